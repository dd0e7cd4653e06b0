"""Which policy a domain should have now: the declared one, as far as what senders may hold and the live MX hosts allow (DESIGN section
8).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mtasts_deploy import desired
from mtasts_deploy.declaration.model import DomainSettings
from mtasts_deploy.facts import HostedPolicy, LiveMx
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.observe import Observed
from mtasts_deploy.plan.horizon import covers, read_policy
from mtasts_deploy.plan.model import Wait
from mtasts_deploy.rfc.names import MxPattern
from mtasts_deploy.rfc.policy import Mode, Policy, PolicyId, render_policy

WATCH = "MTS411"
"""The code of the wait for the MX set to be watched; lifted by `allow`."""
_STRICTNESS = (Mode.NONE, Mode.TESTING, Mode.ENFORCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """The policy to publish and how it came about.

    `served` is the policy in the bytes that are served now (None: no file, or no valid policy), `elsewhere`: by a server that is no host of
    ours, where they were fetched; `kept` are patterns of it that stay
    although the declaration lacks them, each with the time until which its host may be cached (None: the host is a live MX). `uncovered`
    are live MX hosts that no pattern names. `standing` is what senders may hold now: the served policy or, where the file is lost, the one
    that the live id names.
    """

    policy: Policy
    body: bytes
    served: Policy | None
    standing: Policy | None
    kept: tuple[tuple[MxPattern, datetime | None], ...] = ()
    waits: tuple[Wait, ...] = ()
    uncovered: tuple[str, ...] = ()
    elsewhere: bool = False

    @property
    def repair(self) -> bool:
        """Does it only add hosts or make the mode milder? No guard about MX or reachability stops that."""
        old = self.standing
        if old is None:
            return False
        milder = strictness(self.policy.mode) < strictness(old.mode)
        same = self.policy.mode is old.mode and self.policy.max_age <= old.max_age
        return (milder or same) and set(old.mx) <= set(self.policy.mx)

    @property
    def first_enforce(self) -> bool:
        """Does it go to enforce from something milder, or from nothing?"""
        return self.policy.mode is Mode.ENFORCE and (self.standing is None or self.standing.mode is not Mode.ENFORCE)


def strictness(mode: Mode) -> int:
    """0 for none, 1 for testing, 2 for enforce."""
    return _STRICTNESS.index(mode)


def publication(
    settings: DomainSettings, seen: Observed, live: LiveMx, entry: Entry, now: datetime, allowed: frozenset[str]
) -> Publication:
    """The policy to publish now.

    Raises `MxPatternError` for an MX host that no pattern can name, `PolicyError` for a policy that cannot be rendered.
    """
    hosted = seen.hosted.body if isinstance(seen.hosted, HostedPolicy) else None
    declared = desired.declared_mx(settings, live)
    if settings.mode is Mode.NONE:
        return _none(settings, seen, entry, declared, live)
    goal = desired.policy(settings, declared, settings.mode)
    uncovered = _uncovered(declared, entry, now)
    if not uncovered and hosted is not None and seen.ids and hosted == (body := render_policy(goal)):
        return Publication(policy=goal, body=body, served=goal, standing=goal)
    served = None if hosted is None else read_policy(hosted)
    standing = served or _named(seen, entry)
    elsewhere = _elsewhere(seen, entry)
    kept = _kept(_readable(served, entry, now), uncovered, entry, now)
    mode, watch = _mode(settings.mode, standing if seen.ids else None, entry, now, allowed)
    if settings.mx_zone and mode is Mode.ENFORCE and standing is not None and standing.mode is Mode.ENFORCE:
        kept = (*kept, *_left_lately(kept, uncovered, entry, now))
    waits = tuple(_wait_for_mx(pattern, until) for pattern, until in kept if until is not None)
    policy = replace(goal, mode=mode, mx=(*declared, *(pattern for pattern, _ in kept)))
    return Publication(
        policy=policy,
        body=render_policy(policy),
        served=standing if elsewhere else served,
        standing=standing,
        elsewhere=elsewhere,
        kept=kept,
        waits=waits if watch is None else (*waits, watch),
        uncovered=tuple(host for host in uncovered if not covers(policy, host)),
    )


def _none(settings: DomainSettings, seen: Observed, entry: Entry, declared: tuple[MxPattern, ...], live: LiveMx) -> Publication:
    """Mode none keeps the mx lines of the last served policy: two senders refuse a policy without any (`rfc.md` RET-6)."""
    served = read_policy(seen.hosted.body) if isinstance(seen.hosted, HostedPolicy) else None
    standing = served or _named(seen, entry)
    mx = standing.mx if standing is not None and standing.mx else declared
    if not mx and not live.null:
        mx = tuple(desired.pattern_for(host) for host in live.hosts)
    policy = desired.policy(settings, mx, Mode.NONE)
    elsewhere = _elsewhere(seen, entry)
    served = standing if elsewhere else served
    return Publication(policy=policy, body=render_policy(policy), served=served, standing=standing, elsewhere=elsewhere)


def _elsewhere(seen: Observed, entry: Entry) -> bool:
    """Is the policy that senders fetch on a server that is no host of ours, as an import has found it?"""
    return not isinstance(seen.hosted, HostedPolicy) and bool(entry.elsewhere(text for text, _ in seen.ids))


def _named(seen: Observed, entry: Entry) -> Policy | None:
    """The policy that a live id of ours names, where the file is lost; of a server of others, the one that an import has seen there."""
    for text, _ in seen.ids:
        public = entry.policies.get(PolicyId.parse(text).digits or "")
        if public is not None:
            return read_policy(public.body)
    if isinstance(seen.hosted, HostedPolicy):
        return None
    fetched = [read_policy(entry.policies[digits].body) for digits in entry.elsewhere(text for text, _ in seen.ids)]
    first = next(iter(fetched), None)
    return first if first is not None and all(other is not None and first.means(other) for other in fetched) else None


def _uncovered(patterns: tuple[MxPattern, ...], entry: Entry, now: datetime) -> tuple[str, ...]:
    return tuple(sorted(host for host in entry.live_hosts(now) if not any(pattern.matches(host) for pattern in patterns)))


def _readable(served: Policy | None, entry: Entry, now: datetime) -> tuple[MxPattern, ...]:
    """The patterns of the served policy, and of every other that senders may hold under an id that may be visible: what a stranger serves
    must not make us forget the hosts that ours names.
    """
    exposed = sorted({digits for known in entry.ids.values() if known.visible(now) for digits in known.bytes})
    policies = [served, *(read_policy(entry.policies[digits].body) for digits in exposed if digits in entry.policies)]
    return tuple(dict.fromkeys(pattern for policy in policies if policy is not None for pattern in policy.mx))


def _kept(
    patterns: tuple[MxPattern, ...], uncovered: tuple[str, ...], entry: Entry, now: datetime
) -> tuple[tuple[MxPattern, datetime | None], ...]:
    lifetime = timedelta(seconds=entry.mx_lifetime(now))
    kept = []
    for pattern in patterns:
        missed = [entry.mx[host].missed for host in uncovered if pattern.matches(host)]
        if missed:
            gone = [moment for moment in missed if moment is not None]
            kept.append((pattern, max(gone) + lifetime if len(gone) == len(missed) else None))
    return tuple(kept)


def _left_lately(
    kept: tuple[tuple[MxPattern, datetime | None], ...], uncovered: tuple[str, ...], entry: Entry, now: datetime
) -> Iterator[tuple[MxPattern, datetime]]:
    """Hosts that left the zone less than one MX TTL ago and that no policy names, as one of others was put in the place of ours: senders
    that know them still must not be refused by the repair.
    """
    lifetime = timedelta(seconds=entry.mx_lifetime(now))
    for host in uncovered:
        missed = entry.mx[host].missed
        if missed is not None and not any(pattern.matches(host) for pattern, _ in kept):
            yield desired.pattern_for(host), missed + lifetime


def _mode(goal: Mode, live: Policy | None, entry: Entry, now: datetime, allowed: frozenset[str]) -> tuple[Mode, Wait | None]:
    """The mode for now: enforce only when it is live already, or when the MX set has been watched for one MX TTL."""
    if goal is not Mode.ENFORCE or (live is not None and live.mode is Mode.ENFORCE):
        return goal, None
    watched = (entry.mx_watched or now) + timedelta(seconds=entry.mx_lifetime(now))
    if now >= watched or WATCH in allowed:
        return goal, None
    text = "mode enforce follows when the MX records have been watched for one TTL; until then the policy is in testing"
    return Mode.TESTING, Wait(what="mx", until=watched, text=text, code=WATCH)


def _wait_for_mx(pattern: MxPattern, until: datetime | None) -> Wait:
    return Wait(what="mx", until=until, text=f"mx {pattern} leaves the policy when no sender can have its MX record cached any more")
