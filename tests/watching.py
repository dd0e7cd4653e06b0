"""The watching sender (`acceptance/sender.py`) beside a test: a process of its own that fails the test for what no sender may see.

What it watches is told for each domain: where its record and its policy are.

    {"record": {"file": "zones/a.example.yaml", "key": "_mta-sts"}, "policy": {"path": "policies/…/mta-sts.txt"}}
    {"record": {"server": 5353, "name": "_mta-sts.a.example"},
     "policy": {"server": 5353, "name": "mta-sts.a.example", "https": 8443, "ca": "ca.pem"}}
    {"record": {"api": "http://…/dns_records", "name": "_mta-sts.a.example"}, "policy": …}
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SENDER = Path(__file__).parent / "acceptance" / "sender.py"

Place = Mapping[str, Any]


def policy_file(directory: Path, domain: str) -> Path:
    """Where the embedded host has the policy of a domain."""
    return directory / "policies" / f"mta-sts.{domain}" / ".well-known" / "mta-sts.txt"


def in_zone_file(directory: Path, domain: str, zone: str, key: str) -> Place:
    """A domain whose record is in a zone file and whose policy is a file."""
    return {"record": {"file": str(directory / zone), "key": key}, "policy": {"path": str(policy_file(directory, domain))}}


@contextmanager
def watched(domains: Mapping[str, Place], looks: list[int], *, gap: float = 1, wrongs: bool = True) -> Iterator[None]:
    """A sender looks all the while, its looks are added at the end. `gap`: seconds for which a record may be missing.

    Fails for what no sender may see, and if there are senders in the end that may hold other bytes than its own under the live id; without
    `wrongs` only for that: where somebody else did it.
    """
    pause = 0.002 if all("file" in place["record"] for place in domains.values()) else 0.01  # others need the processor, too
    sender = subprocess.Popen(
        [sys.executable, str(SENDER), json.dumps({"gap": gap, "pause": pause, "domains": domains})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with sender:
        assert sender.stdout is not None
        assert sender.stdin is not None
        assert sender.stdout.readline() == "watching\n"
        try:
            yield
        finally:
            sender.stdin.close()
            said = json.loads(sender.stdout.readline())
    looks.append(said["looks"])
    if wrongs:
        assert said["wrong"] == [], said["wrong"][:5]
    assert said["spent"] == [], said["spent"]
