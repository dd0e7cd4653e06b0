"""A saved plan against the world of this moment: it may only stop."""

from __future__ import annotations

from mtasts_deploy.apply.prepare import stale
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.plan.model import DomainPlan, Verdict
from mtasts_deploy.rfc.names import Domain


def without(plan: DomainPlan, verdict: Verdict, *findings: Diagnostic) -> DomainPlan:
    """The domain left out, and why."""
    return DomainPlan(domain=plan.domain, verdict=verdict, where=plan.where, findings=findings)


def gone(plan: DomainPlan) -> DomainPlan:
    """The domain left out that is no longer declared."""
    return without(plan, Verdict.STALE, stale(plan.domain, ["the declaration"]))


def checked(plan: DomainPlan, fresh: DomainPlan) -> DomainPlan:
    """The saved plan of a domain, if the one that would be made now rests on the same facts; else the domain is left out."""
    if fresh.verdict in (Verdict.BLOCKED, Verdict.UNKNOWN):
        return without(plan, fresh.verdict, *fresh.findings)
    if not fresh.steps:
        return without(plan, Verdict.STALE, _done_already(plan.domain))
    differing = [name for name, mark in plan.inputs.items() if fresh.inputs[name] != mark]
    return without(plan, Verdict.STALE, stale(plan.domain, differing)) if differing else plan


def _done_already(domain: Domain) -> Diagnostic:
    return Diagnostic(
        code="MTS702",
        message="what the plan asks for is live already: somebody has applied it since it was made",
        domain=str(domain),
        hint="There is nothing to do for it; `deploy plan` shows what is left.",
    )
