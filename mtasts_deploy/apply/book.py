"""The ledger during a run: shards are read when asked for, and written by compare-and-swap before the world is changed.

Runs on other zones may write the same shards: what they wrote stays, and so does ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StateConflict, StateError
from mtasts_deploy.ledger.codec import CORRUPT, NEWER, Shard, is_shard, shard_of
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.state.interface import StateStore

_RACES: Final = 50


class Book:
    """All entries; `save()` writes the shards that changed since the last one."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._shards: dict[str, tuple[Shard, str | None]] = {}
        self._dirty: dict[str, dict[str, Entry | None]] = {}  # what was there, by shard and domain

    def get(self, domain: Domain) -> Entry | None:
        """The entry, or None. Raises `StateError` if its shard cannot be read."""
        return self._shard(shard_of(str(domain)))[0].get(str(domain))

    def readable(self, domain: Domain) -> Entry | None:
        """The entry, or None, also where it cannot be read (`problem` says why). Raises `StateError` if the state cannot be reached."""
        try:
            return self.get(domain)
        except StateError as error:
            _unreadable(error)
            return None

    def problem(self, domain: Domain) -> Diagnostic | None:
        """Why this entry cannot be read, if so: it stops its domain and no other. Raises `StateError` if the state cannot be reached."""
        try:
            self.get(domain)
        except StateError as error:
            return _unreadable(error).of(str(domain))
        return None

    def entry(self, domain: Domain) -> Entry:
        """The entry, or an empty one."""
        return self.get(domain) or UNSEEN

    def set(self, domain: Domain, entry: Entry) -> None:
        """Replace an entry; nothing is written before `save()`. An entry that is equal to the one that is there changes nothing."""
        if entry == self.entry(domain):
            return
        key = shard_of(str(domain))
        self._dirty.setdefault(key, {}).setdefault(str(domain), self.get(domain))
        self._shard(key)[0].set(str(domain), entry)

    def domains(self, *, whole: bool = False) -> Iterator[str]:
        """Every domain (A-labels) that the ledger knows, as far as it can be read; `whole`: raises `StateError` if not all of it can."""
        for key in self._store.keys("ledger/"):
            if not is_shard(key):
                continue
            try:
                shard = self._shard(key)[0]
            except StateError as error:
                if error.diagnostics[0].code in (CORRUPT, NEWER) and not whole:
                    continue
                raise
            yield from shard

    def save(self, prove: Callable[[], None]) -> None:
        """Write what changed; `prove` is called before each write and raises if the lock is lost. Raises `StateError`; `StateConflict`
        where somebody else has changed the entry of one of our domains.
        """
        for key in sorted(self._dirty):
            self._save(key, prove)
            del self._dirty[key]

    def _save(self, key: str, prove: Callable[[], None]) -> None:
        for _ in range(_RACES):
            shard, version = self._shards[key]
            prove()
            try:
                self._shards[key] = (shard, self._store.write(key, shard.render(), version))
            except StateConflict as error:
                prove()  # a run that stood still between the proof and the write learns that it has lost the lock
                self._shards[key] = self._merged(key, error)
            else:
                return
        raise StateConflict(self._conflict(key))

    def _merged(self, key: str, error: StateConflict) -> tuple[Shard, str | None]:
        """What others have made of the shard, with our entries. Raises `error` where they have changed one of ours."""
        ours = self._shards[key][0]
        theirs, version = self._read(key)
        for domain, before in self._dirty[key].items():
            entry = ours.get(domain)
            if theirs.get(domain) not in (before, entry):
                raise error
            if entry is not None:
                theirs.set(domain, entry)
        return theirs, version

    def _shard(self, key: str) -> tuple[Shard, str | None]:
        known = self._shards.get(key)
        if known is None:
            known = self._shards[key] = self._read(key)
        return known

    def _read(self, key: str) -> tuple[Shard, str | None]:
        stored = self._store.read(key)
        location = self._store.location(key)
        return (Shard({}, location), None) if stored is None else (Shard.parse(stored.data, location), stored.version)

    def _conflict(self, key: str) -> Diagnostic:
        return Diagnostic(
            code="MTS721",
            message=f"{self._store.location(key)} has changed {_RACES} times in a row since it was read; nothing was written.",
            hint="Other runs write the state at the same time. Run the same command again: it reads anew.",
        )


def _unreadable(error: StateError) -> Diagnostic:
    """What is wrong with an entry that is there. Raises the error again if it is about the state as a whole."""
    finding = error.diagnostics[0]
    if finding.code not in (CORRUPT, NEWER):
        raise error
    return finding
