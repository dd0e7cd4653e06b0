"""The seam to state: small objects under keys such as `ledger/3f.json`, written by compare-and-swap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object and the mark of this very content, for compare-and-swap."""

    data: bytes
    version: str


class StateStore(Protocol):
    """Keeps bytes; knows nothing of their meaning. Every method raises `StateError` when the store cannot be reached."""

    def read(self, key: str) -> Stored | None:
        """The object, or None."""

    def keys(self, prefix: str) -> Iterable[str]:
        """The keys that begin with `prefix`, sorted."""

    def write(self, key: str, data: bytes, expected: str | None) -> str:
        """Durably replace the object, whole or not at all, if it still has the version `expected` (None: it does not exist); the new
        version.

        Raises `StateConflict` if it has another one.
        """

    def remove(self, key: str, expected: str) -> None:
        """Remove the object if it still has the version `expected`; raises `StateConflict` if not."""

    def append(self, key: str, data: bytes) -> None:
        """Add to the end of an object that only this run writes (a run log). A store may keep it back until `flush`."""

    def flush(self) -> None:
        """Write what `append` has kept back."""

    def location(self, key: str) -> str:
        """Where that object is, for people."""
