"""The seam to DNS: a target is one configured provider."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Protocol

from mtasts_deploy.facts import Change, Unknown, ZoneFacts, ZoneName


class Guarantee(Enum):
    """What a provider promises about the changes of one zone in one write."""

    ZONE_ATOMIC = "zone-atomic"
    RECORD_BY_RECORD = "record-by-record"


def unproved() -> None:
    """What a write proves where nothing need be proved first."""


class Target(Protocol):
    """One provider, read and written zone by zone."""

    name: str

    @property
    def guarantee(self) -> Guarantee:
        """What one write of one zone promises."""

    @property
    def parallel(self) -> int:
        """How many zones may be read or written at a time; 1: a plain loop is quickest."""

    def ready(self) -> None:
        """Find out whether it can be used as it is configured. Raises `Refused`. Does not ask the provider."""

    def zones(self) -> frozenset[ZoneName] | None:
        """The zones that the provider has; None if it cannot list them: then `zone_of` says. Raises `ObservationError`."""

    def zone_of(self, name: str) -> ZoneName | None:
        """The zone that holds this name (A-labels without root dot), for a provider that cannot list zones. Raises `ObservationError`."""

    def read(self, zone: ZoneName, names: Collection[str]) -> ZoneFacts | Unknown:
        """What the zone holds at these names, read afresh. Never raises for a zone that cannot be read: that is `Unknown`."""

    def write(self, zone: ZoneName, changes: Sequence[Change], prove: Callable[[], None] = unproved) -> None:
        """Make these changes and no others. `prove` is called after all that is read, just before each write, and whatever it raises
        comes through, as long as nothing was written.

        Raises `Refused` before the first byte is written, `ProviderError` when it is not known what was written. A return proves
        nothing: read again.
        """
