"""Until when some sender may apply a policy, and when an MX host is covered by all that senders may hold (DESIGN section 8)."""

from __future__ import annotations

from datetime import datetime, timedelta

from mtasts_deploy.errors import MtastsError
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.rfc.policy import Mode, Policy, parse_policy

SLACK = timedelta(minutes=10)
"""Slow fetches and clocks that differ."""
RAISED = 604800
"""Some senders hold an enforce policy at least this long, seconds (`rfc.md` part 17)."""


def read_policy(body: bytes) -> Policy | None:
    """The policy in these bytes, or None if a strict sender reads none."""
    try:
        return parse_policy(body)
    except MtastsError:
        return None


def lifetime(policy: Policy) -> timedelta:
    """How long a sender may hold a fetched copy, at most."""
    seconds = max(policy.max_age, RAISED) if policy.mode is Mode.ENFORCE else policy.max_age
    return timedelta(seconds=seconds) + SLACK


def horizon(entry: Entry, digits: str, now: datetime) -> datetime | None:
    """The time until which some sender may apply the policy with these digits; None if these bytes are no policy.

    The later of the last moment its bytes could be fetched and the last moment an id under which they may be stored may be visible (for
    what is still open: now), plus its lifetime.
    """
    public = entry.policies[digits]
    policy = read_policy(public.body)
    if policy is None:
        return None
    last = public.until or now
    for known in entry.ids.values():
        if digits in known.bytes:
            last = max(last, known.until or now)
    return last + lifetime(policy)


def may_be_held(entry: Entry, now: datetime) -> dict[str, tuple[Policy, datetime]]:
    """The policies, by digits, that some sender may still apply, each with its horizon."""
    held = {}
    for digits, public in entry.policies.items():
        until = horizon(entry, digits, now)
        policy = read_policy(public.body)
        if until is not None and policy is not None and until > now:
            held[digits] = (policy, until)
    return held


def ready(entry: Entry, host: str, now: datetime) -> bool:
    """May `host` become an MX host without a sender refusing it after it has looked again?

    So it is when every enforce policy among the exposures of every id that may be visible and the bytes that may be fetched names it, and
    no id of unknown exposures may be visible. While some sender may find no valid record, it keeps what it holds, so then only
    `strict_ready` counts, and nothing does if the history is incomplete.
    """
    if entry.unknown_id_may_be_visible(now):
        return False
    if entry.may_be_blind(now) and (entry.history_incomplete(now) or strict_ready(entry, host, now) > now):
        return False
    named = entry.fetchable().union(*(known.bytes for known in entry.ids.values() if known.visible(now)))
    return all(_allows(entry, digits, host) for digits in named if digits in entry.policies)


def strict_ready(entry: Entry, host: str, now: datetime) -> datetime:
    """From when no sender at all can hold an enforce policy that lacks `host`; `now` if none does."""
    lacking = [until for policy, until in may_be_held(entry, now).values() if policy.mode is Mode.ENFORCE and not covers(policy, host)]
    return max(lacking, default=now)


def _allows(entry: Entry, digits: str, host: str) -> bool:
    policy = read_policy(entry.policies[digits].body)
    return policy is None or policy.mode is not Mode.ENFORCE or covers(policy, host)


def covers(policy: Policy, host: str) -> bool:
    """Does some pattern of the policy match this MX host (RFC 8461 §4.1)?"""
    return any(pattern.matches(host) for pattern in policy.mx)
