"""What zone files held when they were last read, by the SHA-256 of their bytes: a file that has not changed is not parsed again.

A cache and nothing more: a file's bytes are read and hashed each time, an entry counts only for those very bytes, names and settings, and
only if it stands for exactly the facts that were read. Whatever is wrong with it, the zone file is parsed. Only `apply` writes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from mtasts_deploy import __version__, files
from mtasts_deploy.facts import Address, AddressSet, MxSet, NameFacts, TxtSet, ZoneFacts, ZoneName

FORMAT_VERSION: Final = 2


def digest_of(content: bytes, names: Collection[str], *settings: object) -> str:
    """The name of a reading: by this version, of these bytes, at these names, with these settings of the provider."""
    head = json.dumps([FORMAT_VERSION, __version__, *settings, *sorted(names)])
    return hashlib.sha256(head.encode() + b"\0" + content).hexdigest()


class ZoneMemory:
    """The readings of one provider's zone files in a directory, 256 small files of JSON; absent, unreadable and foreign files are empty."""

    def __init__(self, directory: Path, provider: str) -> None:
        self._directory = directory / provider
        self._provider = provider
        self._shards: dict[str, dict[str, Any]] = {}
        self._noted: dict[ZoneName, tuple[str, ZoneFacts]] = {}

    def recall(self, zone: ZoneName, digest: str) -> ZoneFacts | None:
        """The facts of the reading with this digest, if it was the last one of that zone."""
        known = self._shard(_shard_of(zone)).get(zone)
        if not isinstance(known, list) or known[:1] != [digest]:
            return None
        try:
            return _facts(self._provider, zone, known)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def note(self, digest: str, facts: ZoneFacts) -> None:
        """Remember a reading; kept by `save`."""
        self._noted[facts.zone] = digest, facts

    def save(self) -> None:
        """Write what was noted and can be said by an entry. A cache that cannot be written is not worth a message."""
        changed = set()
        for zone, (digest, facts) in self._noted.items():
            entry = _entry(digest, facts)
            if _facts(self._provider, zone, entry) == facts:
                changed.add(key := _shard_of(zone))
                self._shard(key)[zone] = entry
        self._noted.clear()
        with contextlib.suppress(OSError):
            self._directory.mkdir(parents=True, exist_ok=True)
            for key in sorted(changed):
                document = {"format_version": FORMAT_VERSION, "zones": self._shards[key]}
                files.replace_file(self._directory / key, json.dumps(document, separators=(",", ":")).encode())

    def _shard(self, key: str) -> dict[str, Any]:
        if key not in self._shards:
            self._shards[key] = self._load(key)
        return self._shards[key]

    def _load(self, key: str) -> dict[str, Any]:
        try:
            document = json.loads(files.read_file(str(self._directory / key)) or b"{}")
        except (OSError, ValueError, RecursionError):
            return {}
        readable = isinstance(document, dict) and document.get("format_version") == FORMAT_VERSION
        zones = document.get("zones") if readable else None
        return zones if isinstance(zones, dict) else {}


def _shard_of(zone: ZoneName) -> str:
    return f"{hashlib.sha256(zone.encode()).hexdigest()[:2]}.json"


def _entry(digest: str, facts: ZoneFacts) -> list[Any]:
    names = {
        name: [
            at.txt and [list(at.txt.values), at.txt.ttl],
            at.mx and [list(at.mx.hosts), at.mx.ttl],
            list(at.others),
            at.cname,
            at.address and [dict(at.address.address.records()), at.address.ttl],
        ]
        for name, at in facts.names.items()
    }
    return [digest, names, dict(facts.cuts)]


def _facts(provider: str, zone: ZoneName, entry: list[Any]) -> ZoneFacts:
    _, names, cuts = entry
    return ZoneFacts(provider=provider, zone=zone, names={name: _at(*raw) for name, raw in names.items()}, cuts=dict(cuts))


def _at(txt: list[Any] | None, mx: list[Any] | None, others: list[str], cname: str | None, address: list[Any] | None) -> NameFacts:
    return NameFacts(
        txt=None if txt is None else TxtSet(values=tuple(txt[0]), ttl=int(txt[1])),
        mx=None if mx is None else MxSet(hosts=tuple(mx[0]), ttl=int(mx[1])),
        others=tuple(others),
        cname=cname,
        address=None if address is None else AddressSet(address=Address.of(address[0]), ttl=int(address[1])),
    )
