"""What a stricter policy needs: that the MX hosts pass, as senders see them, and that somebody has looked (RFC 8461 §4, STG-5). Pure.

Going to `enforce`, narrowing the mx list or lengthening max_age under `enforce` is gated; widening and mildness never are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import HostedPolicy, LiveMx, SenderLook
from mtasts_deploy.observe import Observed
from mtasts_deploy.plan.guards import lift
from mtasts_deploy.plan.horizon import covers, read_policy
from mtasts_deploy.plan.model import Barrier, DomainPlan, PutPolicy, Verdict
from mtasts_deploy.plan.wording import duration
from mtasts_deploy.rfc.policy import Mode, Policy

_RULE = "RFC 8461 §4"
_STAGING = "RFC 8461 §8.4"


def tightens(plan: DomainPlan, seen: Observed) -> str | None:
    """In which way an apply of this plan would make the policy stricter or hold it longer, if it would."""
    new = _published(plan)
    if not plan.acts or new is None or new.mode is not Mode.ENFORCE or (plan.repair and seen.ids):
        return None
    hosted = seen.hosted if isinstance(seen.hosted, HostedPolicy) and seen.ids else None
    old = None if hosted is None else read_policy(hosted.body)
    if old is None or old.mode is not Mode.ENFORCE:
        return "goes to enforce"
    gone = [str(pattern) for pattern in old.mx if pattern not in new.mx]
    if gone:
        return f"no longer names {', '.join(gone)}"
    if new.max_age > old.max_age:
        return f"is held for {duration(new.max_age)} instead of {duration(old.max_age)}"
    return None


def gated(plan: DomainPlan, seen: Observed, look: SenderLook, allowed: frozenset[str]) -> DomainPlan:
    """The plan, stopped where a check as a sender fails (MTS430) or could not be made (MTS431)."""
    how, new = tightens(plan, seen), _published(plan)
    if how is None or new is None:
        return plan
    found = lift((*_policy_host(look, how), *_hosts(seen, look, new, how)), allowed)
    return _with(plan, found)


def by_hand(plan: DomainPlan, seen: Observed) -> DomainPlan:
    """The plan of a domain whose zone files somebody ships: no socket is opened for it, and that is said (MTS432)."""
    how = tightens(plan, seen)
    if how is None:
        return plan
    message = f"the policy {how}, and nobody has looked at the MX hosts as a sender: the records are files here"
    hint = "Run `deploy verify` before you ship the zones."
    return _with(plan, (Diagnostic(code="MTS432", severity=Severity.WARN, message=message, hint=hint, ref=_STAGING),))


def _with(plan: DomainPlan, findings: tuple[Diagnostic, ...]) -> DomainPlan:
    told = tuple(replace(finding, domain=str(plan.domain)) for finding in findings)
    stops = any(finding.severity is Severity.ERROR for finding in told)
    return replace(plan, verdict=Verdict.BLOCKED if stops else plan.verdict, findings=(*plan.findings, *told))


def _published(plan: DomainPlan) -> Policy | None:
    """The policy that senders are to have after an apply, if it changes anything about it."""
    bodies = [step.body for step in plan.steps if isinstance(step, PutPolicy | Barrier)]
    return read_policy(bodies[-1]) if bodies else None


def _policy_host(look: SenderLook, how: str) -> Iterator[Diagnostic]:
    """The host that serves the policy now must be in order: senders fetch the stricter one there."""
    for answer in look.fetched:
        if answer.problem is not None and not answer.unreachable:
            yield _fails(answer.problem, how)
    if look.fetched and all(answer.unreachable for answer in look.fetched):
        yield _unseen("the policy host could not be reached from here", how)


def _hosts(seen: Observed, look: SenderLook, new: Policy, how: str) -> Iterator[Diagnostic]:
    """Every live MX host that the new policy names, at every address."""
    live = seen.mx.hosts if isinstance(seen.mx, LiveMx) and not seen.mx.null else ()
    for host in dict.fromkeys((*live, *look.probes)):
        if not covers(new, host):
            continue  # MTS401 speaks of it
        probes = look.probes.get(host, ())
        for probe in probes:
            if probe.problem is not None and not probe.unreachable:
                yield _fails(probe.problem, how)
        if not any(probe.problem is None for probe in probes) and not any(probe.problem and not probe.unreachable for probe in probes):
            why = next(
                (probe.problem.message for probe in probes if probe.problem is not None), f"{host} has no address, or DNS gave no answer"
            )
            yield _unseen(why, how)


def _fails(problem: Diagnostic, how: str) -> Diagnostic:
    return Diagnostic(
        code="MTS430",
        message=f"the policy {how}, but senders would not deliver: {problem.message} ({problem.code})",
        hint=f"{problem.hint or ''} See `deploy explain {problem.code}`.".strip(),
        ref=problem.ref or _RULE,
    )


def _unseen(why: str, how: str) -> Diagnostic:
    return Diagnostic(
        code="MTS431",
        message=f"the policy {how}, and it could not be observed whether senders would deliver: {why}",
        hint="Look from where mail is sent (`deploy verify --out evidence.json`) and give that file: `--evidence evidence.json`.",
        ref=_STAGING,
    )
