"""What a plan owes to the difference between two declarations, and what it would have done without it (drift, or never applied). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from mtasts_deploy.declaration.model import Declaration, DomainSettings
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.observed import Observed
from mtasts_deploy.plan.model import Action, DomainPlan, Line, Plan
from mtasts_deploy.plan.planner import plan_domain
from mtasts_deploy.rfc.names import Domain


def differing(now: Declaration, then: Declaration | None) -> frozenset[Domain]:
    """The declared domains whose effective settings are not those of `then`; also where a provider or host of theirs is another one."""
    if then is None:
        return frozenset(now.domains)
    return frozenset(
        domain
        for domain, settings in now.domains.items()
        if settings != then.domains.get(domain) or _backing(now, settings) != _backing(then, settings)
    )


def dropped(now: Declaration, then: Declaration | None) -> tuple[Domain, ...]:
    """The domains that are no longer declared."""
    return () if then is None else tuple(sorted(set(then.domains) - set(now.domains)))


def compared(
    plan: Plan, now: Declaration, then: Declaration, seen: Mapping[Domain, Observed], stored: Callable[[Domain], Entry | None]
) -> Plan:
    """The plan with `unexplained` in each domain: what it would also do if the domain were declared as it was."""
    changed = differing(now, then)

    def marked(one: DomainPlan) -> DomainPlan:
        old, settings = then.domains.get(one.domain), now.domains[one.domain]
        if not one.steps or old is None or one.domain not in seen:
            return one
        if one.domain not in changed:
            return replace(one, unexplained=_changes(one))
        if _place(old) != _place(settings) or _backing(then, old) != _backing(now, settings):
            return one  # the old settings speak of records and files that nobody has looked at
        allowed = frozenset(one.lifted) | {lifted.code for lifted in old.allow}
        before = plan_domain(old, seen[one.domain], stored(one.domain), plan.created, allowed)
        return replace(one, unexplained=_changes(before)) if before.acts else one

    return replace(plan, domains=tuple(map(marked, plan.domains)))


def _changes(plan: DomainPlan) -> tuple[Line, ...]:
    return tuple(line for line in plan.lines if line.action is not Action.KEEP)


def _backing(declaration: Declaration, settings: DomainSettings) -> tuple[object, ...]:
    return (*(declaration.providers.get(name) for name in settings.dns), declaration.hosts.get(settings.host))


def _place(settings: DomainSettings) -> tuple[object, ...]:
    zone = dict(settings.zone) if isinstance(settings.zone, Mapping) else settings.zone
    return (settings.dns, settings.host, settings.plugin, zone)
