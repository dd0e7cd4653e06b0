"""A watching sender as a process of its own: reads records and policies again and again, and remembers, as senders do.

Written from RFC 8461 §3.1, §3.3 and §8.1 alone: it imports nothing of the tool, and knows zones and policies only as what files hold and
servers answer. An address that a name server gave is used for its TTL.

    python sender.py PLACES      until its stdin is closed; then one JSON object on stdout

`watching` has examples of PLACES; `gap` and `pause` are in seconds.
"""

from __future__ import annotations

import hashlib
import json
import re
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# What files do not need is imported where it is used: a sweep starts hundreds of senders.

ID = re.compile(r"v=STSv1\\*; *id=([0-9a-zA-Z]+)")
PATIENCE = 5


class Unseen(Exception):
    """This look gave no answer; a sender would come again."""


def ids_in_a_file(place: dict[str, Any]) -> list[str]:
    """The ids in a zone file of octoDNS, under one key."""
    record = re.compile(rf"(?ms)^'?{re.escape(place['key'])}'?:\n?(.*?)(?=^\S|\Z)")
    try:
        found = record.search(Path(place["file"]).read_text())
    except FileNotFoundError:
        raise Unseen from None
    return [] if found is None else ID.findall(found[1])


def ask(port: int, name: str, kind: str) -> list[tuple[str, int]]:
    """What a name server on loopback says, with TTLs."""
    import dns.exception
    import dns.message
    import dns.query
    import dns.rdatatype

    try:
        answer = dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", timeout=PATIENCE, port=port)
    except (dns.exception.DNSException, OSError):
        raise Unseen from None
    wanted = dns.rdatatype.from_text(kind)
    return [(rdata.to_text(), rrset.ttl) for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset]


def ids_of_a_server(place: dict[str, Any]) -> list[str]:
    """The ids that a name server gives out."""
    return [id_ for text, _ in ask(place["server"], place["name"], "TXT") for id_ in ID.findall(text)]


def ids_of_an_api(place: dict[str, Any]) -> list[str]:
    """The ids that the API of a provider lists."""
    import urllib.request

    try:
        with urllib.request.urlopen(f"{place['api']}?per_page=1000", timeout=PATIENCE) as answer:
            records = json.load(answer)["result"]
    except OSError:
        raise Unseen from None
    return [id_ for one in records if (one["name"], one["type"]) == (place["name"], "TXT") for id_ in ID.findall(one["content"])]


def records(place: dict[str, Any]) -> list[str]:
    """The ids that a sender sees now."""
    return ids_in_a_file(place) if "file" in place else ids_of_a_server(place) if "server" in place else ids_of_an_api(place)


class Addresses:
    """A resolver with a cache, and strict HTTPS at every address that it may still give."""

    def __init__(self, place: dict[str, Any]) -> None:
        import ssl

        self.place = place
        self.until: dict[str, float] = {}
        self.context = ssl.create_default_context(cafile=place["ca"])

    def __call__(self) -> list[bytes | None]:
        for address, ttl in ask(self.place["server"], self.place["name"], "A"):
            self.until[address] = time.monotonic() + ttl
        return [self.fetch(address) for address, until in self.until.items() if time.monotonic() < until] or [None]

    def fetch(self, address: str) -> bytes | None:
        import socket

        name = self.place["name"]
        try:
            with (
                socket.create_connection((address, self.place["https"]), timeout=PATIENCE) as plain,
                self.context.wrap_socket(plain, server_hostname=name) as tls,
            ):
                tls.sendall(f"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                data = b""
                while part := tls.recv(65536):
                    data += part
        except OSError:
            raise Unseen from None
        head, _, body = data.partition(b"\r\n\r\n")
        status = head.split(b" ")[1:2]
        if status == [b"404"]:
            return None
        if status != [b"200"]:
            raise Unseen
        return body


def in_files(place: dict[str, Any]) -> Callable[[], list[bytes | None]]:
    """Policies that are files."""

    def read() -> list[bytes | None]:
        try:
            return [Path(place["path"]).read_bytes()]
        except FileNotFoundError:
            return [None]

    return read


def at_a_url(place: dict[str, Any]) -> Callable[[], list[bytes | None]]:
    """A policy that plain HTTP gives out, as an object in a bucket."""
    import urllib.error
    import urllib.request

    def read() -> list[bytes | None]:
        try:
            with urllib.request.urlopen(place["url"], timeout=PATIENCE) as answer:
                return [answer.read()]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return [None]
            raise Unseen from None
        except OSError:
            raise Unseen from None

    return read


def policies(place: dict[str, Any]) -> Callable[[], list[bytes | None]]:
    """What reads the policies that a sender may get now."""
    return in_files(place) if "path" in place else at_a_url(place) if "url" in place else Addresses(place)


class Watched:
    """One domain. `wrong` is what no sender may ever see."""

    def __init__(self, name: str, place: dict[str, Any], gap: float) -> None:
        self.name, self.place, self.gap = name, place["record"], gap
        self.policies = policies(place["policy"])
        self.served: list[str] = []  # every policy, by digits, in the order of its first sight
        self.under: dict[str, set[str]] = {}  # what could be fetched under each id
        self.last: str | None = None
        self.gone: float | None = None
        self.wrong: list[str] = []
        self.looks = 0

    def look(self) -> None:
        try:
            before = records(self.place)
            bodies = self.policies()
            if records(self.place) != before:
                return  # it changed while we looked: a sender that comes now looks again
        except Unseen:
            return
        self.looks += 1
        self.saw(before, [None if body is None else hashlib.sha256(body).hexdigest()[:24] for body in bodies])

    def saw(self, ids: list[str], bodies: list[str | None]) -> None:
        if len(ids) > 1:
            self.wrong.append(f"{len(ids)} records")
        for digits in bodies:
            if digits is not None and digits not in self.served:
                self.served.append(digits)
        if not ids:
            self.gone = self.gone or time.monotonic()
            if self.last is not None and time.monotonic() - self.gone > self.gap:
                self.wrong.append("no record where there was one")
                self.last = None
            return
        self.gone = None
        for digits in bodies:
            self.judge(ids[0], digits)
        self.last = ids[0]

    def judge(self, id_: str, digits: str | None) -> None:
        if digits is None:
            self.wrong.append(f"id {id_} and no policy")
            return
        named, appeared = id_[:24], id_ != self.last
        if named not in self.served:
            self.wrong.append(f"id {id_} while its policy was never served ({digits} is)")
        elif self.served.index(named) > self.served.index(digits) and appeared:
            self.wrong.append(f"id {id_} appeared while the older {digits} was served")
        if appeared and named != digits and self.last is not None:
            self.wrong.append(f"id {id_} appeared while {digits} was served")
        if appeared and self.under.get(id_, set()) - {named}:
            self.wrong.append(f"id {id_} appeared again, and senders may hold other bytes under it")
        self.under.setdefault(id_, set()).add(digits)

    def spent(self) -> list[str]:
        """What senders may hold under the live id, besides what it names."""
        return [] if self.last is None else sorted(self.under[self.last] - {self.last[:24]})


def main() -> None:
    said = json.loads(sys.argv[1])
    watched = [Watched(name, place, said["gap"]) for name, place in said["domains"].items()]
    print("watching", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for one in watched:
            one.look()
        time.sleep(said["pause"])
    for one in watched:
        one.look()
    wrong = [f"{one.name}: {text}" for one in watched for text in one.wrong]
    spent = [f"{one.name}: {text} under the last id" for one in watched for text in one.spent()]
    print(json.dumps({"looks": sum(one.looks for one in watched), "wrong": wrong, "spent": spent}))


if __name__ == "__main__":
    main()
