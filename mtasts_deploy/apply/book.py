"""The ledger during a run: shards are read when asked for, and written by compare-and-swap before the world is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mtasts_deploy.ledger.codec import Shard, is_shard, shard_of
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.state.interface import StateStore


class Book:
    """All entries; `save()` writes the shards that changed since the last one."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._shards: dict[str, tuple[Shard, str | None]] = {}
        self._dirty: set[str] = set()

    def get(self, domain: Domain) -> Entry | None:
        """The entry, or None. Raises `StateError` if its shard cannot be read."""
        return self._shard(shard_of(str(domain)))[0].get(str(domain))

    def entry(self, domain: Domain) -> Entry:
        """The entry, or an empty one."""
        return self.get(domain) or UNSEEN

    def set(self, domain: Domain, entry: Entry) -> None:
        """Replace an entry; nothing is written before `save()`. An entry that is equal to the one that is there changes nothing."""
        if entry == self.entry(domain):
            return
        key = shard_of(str(domain))
        self._shard(key)[0].set(str(domain), entry)
        self._dirty.add(key)

    def domains(self) -> Iterator[str]:
        """Every domain (A-labels) that the ledger knows."""
        for key in self._store.keys("ledger/"):
            if is_shard(key):
                yield from self._shard(key)[0]

    def save(self, prove: Callable[[], None]) -> None:
        """Write what changed; `prove` is called before each write and raises if the lock is lost. Raises `StateError`."""
        for key in sorted(self._dirty):
            shard, version = self._shards[key]
            prove()
            self._shards[key] = (shard, self._store.write(key, shard.render(), version))
            self._dirty.discard(key)

    def _shard(self, key: str) -> tuple[Shard, str | None]:
        known = self._shards.get(key)
        if known is None:
            stored = self._store.read(key)
            known = (
                (Shard({}, self._store.location(key)), None)
                if stored is None
                else (Shard.parse(stored.data, self._store.location(key)), stored.version)
            )
            self._shards[key] = known
        return known
