"""A saved plan against the world of this moment: it may only stop.

What a run of the same plan has done already is no reason to stop: then the rest is carried out, as long as it is a part of what was
approved. Nor is a ledger that has seen more since, where that changes no step.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import fields
from typing import Final

from mtasts_deploy.apply.choices import OnStale
from mtasts_deploy.apply.prepare import changed_things, stale
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StalePlan
from mtasts_deploy.facts import RecordKind
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.plan.file import digest
from mtasts_deploy.plan.model import DomainPlan, HandOver, Plan, PutRecords, RemoveRecords, Step, Verdict
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId

_BY_A_RUN: Final = frozenset({"ledger", "policy", "_mta-sts", "_smtp._tls", "address"})
_INCIDENTAL: Final = frozenset({"location", "until", "text"})


def without(plan: DomainPlan, verdict: Verdict, *findings: Diagnostic) -> DomainPlan:
    """The domain left out, and why."""
    return DomainPlan(domain=plan.domain, verdict=verdict, where=plan.where, findings=findings)


def undeclared(plan: DomainPlan) -> DomainPlan:
    """A domain of the plan that is not declared (any more)."""
    return without(plan, Verdict.STALE, _other_settings(plan.domain, f"{plan.domain.display} is not declared"))


def checked(plan: DomainPlan, fresh: DomainPlan, entry: Entry | None, approved: str) -> DomainPlan:
    """The saved plan of a domain, if the one that would be made now (`fresh`) rests on the same facts; else the domain is left out.

    `approved` is the digest of the whole saved plan: what its own run has done since is gone on with.
    """
    if fresh.verdict in (Verdict.BLOCKED, Verdict.UNKNOWN):
        return without(plan, fresh.verdict, *fresh.findings)
    before = None if entry is None else entry.before
    begun = before is not None and before.plan == approved and not before.taken
    if not fresh.steps:
        return without(plan, Verdict.UNCHANGED) if begun else without(plan, Verdict.STALE, _done_already(plan.domain))
    differing = [name for name, mark in plan.inputs.items() if fresh.inputs[name] != mark]
    if not differing:
        return plan
    if "settings" in differing:
        return without(plan, Verdict.STALE, _other_settings(plan.domain, f"{plan.domain.display} is declared otherwise now"))
    if differing == ["ledger"] and list(_parts(fresh)) == list(_parts(plan)):
        return fresh
    if begun and _BY_A_RUN.issuperset(differing) and set(_parts(fresh)) <= set(_parts(plan)):
        return fresh
    return without(plan, Verdict.STALE, _half_way(plan.domain, differing) if begun else stale(plan.domain, differing))


def unless_stale(plan: Plan, on_stale: OnStale) -> None:
    """Raise `StalePlan` (exit 5) where a domain of an approved plan is stale, unless it is to be left out."""
    left_out = [domain for domain in plan.domains if domain.verdict is Verdict.STALE]
    if not left_out or on_stale is OnStale.SKIP:
        return
    rest = len(plan.acting)
    hint = "Make a new plan: `deploy plan --out plan.json`." + f" Or apply the other {rest} as planned: `--on-stale skip`." * bool(rest)
    many = f"{len(left_out)} of {len(left_out) + rest} domains of the plan are" if len(left_out) + rest > 1 else "The plan is"
    said = Diagnostic(code="MTS766", message=f"{many} stale. Nothing was changed.", hint=hint)
    raise StalePlan(*(finding for domain in left_out for finding in domain.findings), said)


def unless_expected(plan: Plan, expected: str) -> None:
    """Raise `StalePlan` (exit 5) unless this is the plan with that digest."""
    made = digest(plan)
    if made != expected:
        message = f"The plan that would be carried out now has the digest {made}, not {expected}. Nothing was changed."
        hint = "Look at `deploy plan` again: the declaration or the world has changed since that digest was made."
        raise StalePlan(Diagnostic(code="MTS767", message=message, hint=hint))


def _parts(plan: DomainPlan) -> Iterator[Hashable]:
    """What a plan brings about, piece by piece, and in place of what. An id stands for the bytes that it names: an interrupted run
    may have noted one as about to be public, so that the next needs a fresh counter.
    """
    for step in plan.steps:
        yield from _pieces(step)


def _pieces(step: Step) -> Iterator[Hashable]:
    if isinstance(step, PutRecords | RemoveRecords):
        for site in step.changes:
            change = site.change
            value = _named(step.id) if isinstance(step, PutRecords) and change.kind is RecordKind.STS else change.value
            yield type(step), site.provider, site.zone, change.name, change.kind, change.before, value, change.ttl
    elif isinstance(step, HandOver):
        yield type(step), _named(step.id), step.ttl, step.before
    else:
        yield type(step), *((one.name, getattr(step, one.name)) for one in fields(step) if one.name not in _INCIDENTAL)


def _named(id_: str | None) -> str | None:
    return None if id_ is None else PolicyId.parse(id_).digits or id_


def _done_already(domain: Domain) -> Diagnostic:
    return Diagnostic(
        code="MTS702",
        message="what the plan asks for is live already: somebody has applied it since it was made",
        domain=str(domain),
        hint="There is nothing to do for it; `deploy plan` shows what is left.",
    )


def _half_way(domain: Domain, differing: list[str]) -> Diagnostic:
    return Diagnostic(
        code="MTS768",
        message=f"a run of this very plan ended half-way, and {changed_things(differing)} changed since it was made; what is left to do is "
        "not what was approved",
        domain=str(domain),
        hint="What is published is valid. Make a new plan (`deploy plan --out plan.json`): it holds what is left to do.",
    )


def _other_settings(domain: Domain, what: str) -> Diagnostic:
    return Diagnostic(
        code="MTS765",
        message=f"the plan was made from other settings: {what}",
        domain=str(domain),
        hint="Apply the plan with the declaration that it was made from, or make a new one: `deploy plan --out plan.json`.",
    )
