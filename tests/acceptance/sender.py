"""A watching sender as a process of its own: reads records and policies again and again, and remembers, as senders do.

Written from RFC 8461 §3.1, §3.3 and §8.1 alone: it imports nothing of the tool, and knows zone files and policy files only as text.

    python sender.py DIRECTORY NAME=ZONEFILE:KEY …      until its stdin is closed; then one JSON object on stdout
"""

from __future__ import annotations

import hashlib
import json
import re
import select
import sys
import time
from pathlib import Path


class Watched:
    """One domain. `wrong` is what no sender may ever see."""

    def __init__(self, directory: Path, name: str, zone: Path, key: str) -> None:
        self.name = name
        self.zone = zone
        self.policy = directory / "policies" / f"mta-sts.{name}" / ".well-known" / "mta-sts.txt"
        self.record = re.compile(rf"(?ms)^'?{re.escape(key)}'?:\n(.*?)(?=^\S|\Z)")
        self.served: list[str] = []  # every policy, by digits, in the order of its first sight
        self.under: dict[str, set[str]] = {}  # what could be fetched under each id
        self.last: str | None = None
        self.gone: float | None = None
        self.wrong: list[str] = []
        self.looks = 0

    def ids(self) -> list[str]:
        found = self.record.search(self.zone.read_text())
        return [] if found is None else re.findall(r"v=STSv1\\?; *id=([0-9a-zA-Z]+)", found[1])

    def look(self) -> None:
        try:
            before = self.ids()
            try:
                body = self.policy.read_bytes()
            except FileNotFoundError:
                body = None
            if self.ids() != before:
                return  # it changed while we looked: a sender that comes now looks again
        except FileNotFoundError:
            return
        self.looks += 1
        self.saw(before, None if body is None else hashlib.sha256(body).hexdigest()[:24])

    def saw(self, ids: list[str], digits: str | None) -> None:
        if len(ids) > 1:
            self.wrong.append(f"{len(ids)} records")
        if not ids:
            self.gone = self.gone or time.monotonic()
            if self.last is not None and time.monotonic() - self.gone > 1:
                self.wrong.append("no record where there was one")
                self.last = None
            if digits is not None and digits not in self.served:
                self.served.append(digits)
            return
        self.gone = None
        id_ = ids[0]
        if digits is None:
            self.wrong.append(f"id {id_} and no policy")
            return
        if digits not in self.served:
            self.served.append(digits)
        named = id_[:24]
        if named not in self.served:
            self.wrong.append(f"id {id_} while its policy was never served ({digits} is)")
        elif self.served.index(named) > self.served.index(digits) and id_ != self.last:
            self.wrong.append(f"id {id_} appeared while the older {digits} was served")
        if id_ != self.last and named != digits and self.last is not None:
            self.wrong.append(f"id {id_} appeared while {digits} was served")
        if id_ != self.last and self.under.get(id_, set()) - {named}:
            self.wrong.append(f"id {id_} appeared again, and senders may hold other bytes under it")
        self.under.setdefault(id_, set()).add(digits)
        self.last = id_


def main() -> None:
    directory = Path(sys.argv[1])
    watched = []
    for argument in sys.argv[2:]:
        name, _, place = argument.partition("=")
        zone, _, key = place.partition(":")
        watched.append(Watched(directory, name, directory / zone, key))
    print("watching", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for one in watched:
            one.look()
    for one in watched:
        one.look()
    print(
        json.dumps({"looks": sum(one.looks for one in watched), "wrong": [f"{one.name}: {text}" for one in watched for text in one.wrong]})
    )


if __name__ == "__main__":
    main()
