"""The lock object of the state: the leases of all runs that go on, each on some of 64 fixed buckets of zones.

Two runs with no zone in common need not wait for each other. All leases are in one small object, so that every change of them is one
compare-and-swap: none is ever half taken.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from mtasts_deploy.apply.owner import Owner, unreadable
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StateError
from mtasts_deploy.facts import ZoneName

FORMAT_VERSION: Final = 2
"""Format 1 was one owner, who held everything."""
BUCKETS: Final = 64
ALL: Final = tuple(range(BUCKETS))


def bucket_of(zone: ZoneName) -> int:
    """The bucket of a zone (with root dot): the same for ever, whoever asks."""
    return hashlib.sha256(zone.encode()).digest()[0] % BUCKETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Leases:
    """Who holds what. No bucket is held twice."""

    owners: tuple[Owner, ...] = ()

    def of(self, lease: str) -> Owner | None:
        """The owner with that id."""
        return next((owner for owner in self.owners if owner.lease == lease), None)

    def holder(self, bucket: int) -> Owner | None:
        """Who holds that bucket."""
        return next((owner for owner in self.owners if bucket in owner.buckets), None)

    def without(self, leases: Iterable[str]) -> Leases:
        """These leases are over."""
        gone = set(leases)
        return replace(self, owners=tuple(owner for owner in self.owners if owner.lease not in gone))

    def having(self, owner: Owner) -> Leases:
        """The owner as it is now, in the place of what it was."""
        return replace(self, owners=(*self.without([owner.lease]).owners, owner))

    def render(self) -> bytes:
        """The bytes of the lock object: JSON, `format_version` 2."""
        fields = [owner.fields() for owner in self.owners]
        return json.dumps({"format_version": FORMAT_VERSION, "leases": fields}, indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes, location: str) -> Leases:
        """Read a lock object of this format or the one before. Raises `StateError` that names `location`: MTS712 if it is none, MTS716 if
        a newer version wrote it.
        """
        try:
            document = json.loads(data)
            version = document["format_version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise unreadable(location) from None
        if type(version) is not int:
            raise unreadable(location)
        if version > FORMAT_VERSION:
            raise _newer(location)
        try:
            if version == FORMAT_VERSION:
                return cls(owners=tuple(Owner.of(fields) for fields in document["leases"]))._checked()
            return cls(owners=(Owner.of({**document, "buckets": list(ALL)}),))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise unreadable(location) from None

    def _checked(self) -> Leases:
        held = [bucket for owner in self.owners for bucket in owner.buckets]
        if len(held) != len(set(held)) or not set(held) <= set(ALL):
            raise ValueError
        return self


def _newer(location: str) -> StateError:
    return StateError(
        Diagnostic(
            code="MTS716",
            message=f"The lock {location} was written by a newer version of mtasts-deploy.",
            hint="Upgrade mtasts-deploy here to the version that the others use.",
        )
    )
