"""What the last look at each domain has seen, kept in the state under `cache/`: for `status`, and worth nothing else. Times are UTC."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mtasts_deploy.errors import StateError
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.state.interface import StateStore
from mtasts_deploy.verify.model import Delivery, DomainReport

KEY: Final = "cache/looks.json"
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLook:
    """When a domain was looked at, what senders would have done and why, and when the first certificates end."""

    at: datetime
    delivery: Delivery
    why: str
    smtp: bool
    policy_host_ends: datetime | None = None
    mx_ends: datetime | None = None

    def fresh(self, now: datetime, max_age: timedelta) -> bool:
        """Is it not older than that?"""
        return now - self.at <= max_age


def recall(store: StateStore) -> dict[Domain, LastLook]:
    """The last look at each domain. What cannot be read, or is of a later version, is forgotten: it is a cache."""
    try:
        stored = store.read(KEY)
    except StateError:
        return {}
    return {} if stored is None else _parse(stored.data)


def remember(store: StateStore, reports: Iterable[DomainReport]) -> None:
    """Keep what these reports say. Where that cannot be written (no right to, somebody else just did), nothing is kept: it is a cache."""
    try:
        stored = store.read(KEY)
        known = {} if stored is None else _parse(stored.data)
        known |= {one.domain: _look(one) for one in reports}
        store.write(KEY, _render(known), None if stored is None else stored.version)
    except StateError:
        return


def _look(one: DomainReport) -> LastLook:
    return LastLook(
        at=one.sight.at,
        delivery=one.delivery,
        why=one.why,
        smtp=one.sight.smtp,
        policy_host_ends=one.policy_host_ends,
        mx_ends=one.mx_ends,
    )


def _render(looks: Mapping[Domain, LastLook]) -> bytes:
    data = {
        str(domain): {
            "at": look.at.isoformat(),
            "verdict": look.delivery.value,
            "why": look.why,
            "smtp": look.smtp,
            "policy_host_ends": None if look.policy_host_ends is None else look.policy_host_ends.isoformat(),
            "mx_ends": None if look.mx_ends is None else look.mx_ends.isoformat(),
        }
        for domain, look in sorted(looks.items(), key=lambda item: str(item[0]))
    }
    return (json.dumps({"format_version": FORMAT_VERSION, "looks": data}, indent=1) + "\n").encode()


def _parse(data: bytes) -> dict[Domain, LastLook]:
    try:
        document = json.loads(data)
        if document["format_version"] != FORMAT_VERSION:
            return {}
        return {Domain.parse(name): _entry(one) for name, one in document["looks"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _entry(one: Mapping[str, Any]) -> LastLook:
    return LastLook(
        at=datetime.fromisoformat(one["at"]),
        delivery=Delivery(one["verdict"]),
        why=str(one["why"]),
        smtp=bool(one["smtp"]),
        policy_host_ends=_time(one["policy_host_ends"]),
        mx_ends=_time(one["mx_ends"]),
    )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
