"""Domains whose policy is one and the same file: they change together, to the same bytes, or not at all (UPD-16). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.plan.model import DomainPlan, PutPolicy, RemovePolicy, Verdict
from mtasts_deploy.rfc.names import Domain


def guard_shared(plans: Sequence[DomainPlan], sharers: Mapping[str, Collection[Domain]]) -> tuple[DomainPlan, ...]:
    """The plans; those blocked (MTS409) that would give other bytes to a domain that shares the file and does not ask for the same.

    `sharers` are the declared domains by the location of their policy, where it is that of several.
    """
    if not sharers:
        return tuple(plans)
    changes = {plan.domain: change for plan in plans if plan.acts and (change := _change(plan)) is not None}
    return tuple(_guarded(plan, changes, sharers) for plan in plans)


def shared(locations: Iterable[tuple[str, Domain]]) -> dict[str, list[Domain]]:
    """The domains by location, where it is that of several."""
    found: dict[str, list[Domain]] = {}
    for location, domain in locations:
        found.setdefault(location, []).append(domain)
    return {location: domains for location, domains in found.items() if len(domains) > 1}


def _guarded(plan: DomainPlan, changes: Mapping[Domain, PutPolicy | RemovePolicy], sharers: Mapping[str, Collection[Domain]]) -> DomainPlan:
    change = changes.get(plan.domain)
    if change is None:
        return plan
    others = [other for other in sharers.get(change.location, ()) if other != plan.domain and not _same(change, changes.get(other))]
    if not others:
        return plan
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    finding = Diagnostic(
        code="MTS409",
        message=f"its policy is the same file as that of {others[0].display}{more}, for which other bytes are planned: {change.location}",
        domain=str(plan.domain),
        hint="Put `{policy_host}` into the `key` of the host; or give all its domains the same settings and apply them together.",
        ref="RFC 8461 §8.1",
    )
    return replace(plan, verdict=Verdict.BLOCKED, findings=(*plan.findings, finding))


def _change(plan: DomainPlan) -> PutPolicy | RemovePolicy | None:
    return next((step for step in plan.steps if isinstance(step, PutPolicy | RemovePolicy)), None)


def _same(change: PutPolicy | RemovePolicy, other: PutPolicy | RemovePolicy | None) -> bool:
    if isinstance(change, PutPolicy):
        return isinstance(other, PutPolicy) and other.location == change.location and other.body == change.body
    return isinstance(other, RemovePolicy) and other.location == change.location
