"""The seam to DNS: a target is one configured provider."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum
from typing import Protocol

from mtasts_deploy.facts import RecordChange, Unknown, ZoneFacts, ZoneName


class Guarantee(Enum):
    """What a provider promises about the changes of one zone in one write."""

    ZONE_ATOMIC = "zone-atomic"
    RECORD_BY_RECORD = "record-by-record"


class Target(Protocol):
    """One provider, read and written zone by zone."""

    name: str
    guarantee: Guarantee

    def zones(self) -> frozenset[ZoneName]:
        """The zones that the provider has. Raises `ObservationError`."""

    def read(self, zone: ZoneName, names: Collection[str]) -> ZoneFacts | Unknown:
        """What the zone holds at these names, read afresh. Never raises for a zone that cannot be read: that is `Unknown`."""

    def write(self, zone: ZoneName, changes: Sequence[RecordChange]) -> None:
        """Make these changes and no others.

        Raises `Refused` before the first byte is written, `ProviderError` when it is not known what was written. A return proves
        nothing: read again.
        """
