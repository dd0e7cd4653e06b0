"""Time an `apply` on the embedded default with its state in a directory beside the same apply with its state in memory.

One zone a domain, one shard of the ledger for some four of a thousand. Both do the same work in the same process, one after the other: a
first publication, a change of every domain, and an apply without changes. Reported are medians of wall-clock seconds and the ratio.

    python bench/ledger_speed.py                 # 1000 domains, 3 runs
    python bench/ledger_speed.py 200 --runs 5
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StateConflict
from mtasts_deploy.state.interface import Stored

ZONE = "'':\n  type: MX\n  values:\n  - {exchange: mx.example.net., preference: 10}\n"
ACTS = ("first", "change", "nothing")


class Memory:
    """A state store that is a dictionary."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def read(self, key: str) -> Stored | None:
        """The object, or None."""
        data = self._objects.get(key)
        return None if data is None else Stored(data=data, version=_version(data))

    def keys(self, prefix: str) -> Iterable[str]:
        """The keys that begin with `prefix`."""
        return sorted(key for key in self._objects if key.startswith(prefix))

    def write(self, key: str, data: bytes, expected: str | None) -> str:
        """Replace the object, if it has that version."""
        self._compare(key, expected)
        self._objects[key] = data
        return _version(data)

    def remove(self, key: str, expected: str) -> None:
        """Remove the object, if it has that version."""
        self._compare(key, expected)
        self._objects.pop(key, None)

    def append(self, key: str, data: bytes) -> None:
        """Add to the end."""
        self._objects[key] = self._objects.get(key, b"") + data

    def flush(self) -> None:
        """Nothing."""

    def location(self, key: str) -> str:
        """For people."""
        return key

    def _compare(self, key: str, expected: str | None) -> None:
        found = self.read(key)
        if (None if found is None else found.version) != expected:
            raise StateConflict(Diagnostic(code="MTS721", message=f"{key} has changed"))


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def declare(directory: Path, count: int, age: str) -> None:
    """Write the declaration."""
    lines = "".join(f"  d{number:05}.example: {{max_age: {age}}}\n" for number in range(count))
    (directory / "mta-sts.yaml").write_text(f"version: 1\ndefaults: {{tlsrpt: 'mailto:a@b.example'}}\ndomains:\n{lines}", encoding="utf-8")


def seconds(directory: Path, memory: Memory | None) -> float:
    """One apply."""
    made = Deployment.of(load(directory / "mta-sts.yaml", today=datetime.now(UTC).date()))
    if memory is not None:
        made.store = memory
    began = time.perf_counter()
    result = made.apply()
    taken = time.perf_counter() - began
    if result is None or result.exit_code != 0:
        raise SystemExit("the apply failed")
    return taken


def measure(count: int, memory: Memory | None) -> dict[str, float]:
    """The three acts on a fresh deployment."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "zones").mkdir()
        (directory / "policies").mkdir()
        for number in range(count):
            (directory / f"zones/d{number:05}.example.yaml").write_text(ZONE, encoding="utf-8")
        taken = {}
        for act, age in zip(ACTS, ("1d", "2d", "2d"), strict=True):
            declare(directory, count, age)
            taken[act] = seconds(directory, memory)
        return taken


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("domains", type=int, nargs="?", default=1000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    measure(20, None)  # imports
    disk, memory = [], []
    for _ in range(given.runs):
        disk.append(measure(given.domains, None))
        memory.append(measure(given.domains, Memory()))
    print("apply      directory s   memory s   ratio")
    for act in ACTS:
        one, two = (statistics.median(run[act] for run in runs) for runs in (disk, memory))
        print(f"{act:<10} {one:>11.2f} {two:>10.2f} {one / two:>7.2f}")


if __name__ == "__main__":
    main()
