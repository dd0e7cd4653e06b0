"""What a plan means for the mail of a domain, in one sentence for a reviewer who reads nothing else. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.facts import RecordKind
from mtasts_deploy.plan.model import Barrier, DomainPlan, Effect, PutRecords, RemovePolicy, RemoveRecords, Step, Verdict, Wait
from mtasts_deploy.plan.wording import moment


class Tidings(Enum):
    """What kind of news; the order is that of importance."""

    REFUSED = "refused"
    UNSURE = "unsure"
    STOPPED = "stopped"
    EASED = "eased"
    SAME = "same"
    LATER = "later"
    NOTHING = "nothing"


HEADINGS: Final = {
    Tidings.REFUSED: "Mail may be refused",
    Tidings.UNSURE: "Mail may be affected",
    Tidings.STOPPED: "Not done",
    Tidings.EASED: "Less mail is refused",
    Tidings.SAME: "Mail delivery does not change",
    Tidings.LATER: "Waiting",
}
_EFFECTS: Final = {Effect.STRICTER: Tidings.REFUSED, Effect.MILDER: Tidings.EASED, Effect.SAME: Tidings.SAME}


def tidings(plan: DomainPlan) -> tuple[Tidings, str]:
    """The news of one domain and its sentence."""
    codes = ", ".join(dict.fromkeys(finding.code for finding in plan.findings if finding.severity is Severity.ERROR))
    match plan.verdict:
        case Verdict.BLOCKED:
            return Tidings.STOPPED, f"Nothing is done: blocked by {codes}."
        case Verdict.UNKNOWN:
            return Tidings.STOPPED, f"Nothing is done: it could not be observed ({codes})."
        case Verdict.STALE:
            return Tidings.STOPPED, f"Nothing is done: the world has moved since the plan was made ({codes})."
        case Verdict.UNCHANGED:
            warned = [finding.code for finding in plan.findings]
            return (Tidings.SAME, f"Nothing changes; see {', '.join(dict.fromkeys(warned))}.") if warned else (Tidings.NOTHING, "")
        case Verdict.WAITING:
            return Tidings.LATER, _waiting(plan)
        case Verdict.CHANGED:
            return _changed(plan)


def _waiting(plan: DomainPlan) -> str:
    waits = [step for step in plan.steps if isinstance(step, Wait)]
    until = max((step.until for step in waits if step.until is not None), default=None)
    what = ", ".join(dict.fromkeys(step.what for step in waits))
    return f"Nothing changes yet: waits for {what}" + (f" until {moment(until)}." if until is not None else ".")


def _changed(plan: DomainPlan) -> tuple[Tidings, str]:
    if plan.delivery is not None:
        later = "".join(f" Later: {step.text}." for step in plan.steps if isinstance(step, Wait))
        return _EFFECTS[plan.delivery.effect], plan.delivery.text + later
    if all(isinstance(step, RemovePolicy | Wait) for step in plan.steps):
        return Tidings.SAME, "Mail delivery does not change: no record has ever named the policy that is removed."
    if all(_about_reports(step) for step in plan.steps):
        return Tidings.SAME, "Mail delivery does not change: only where senders report."
    return Tidings.UNSURE, "Mail delivery may change: read the details."


def _about_reports(step: Step) -> bool:
    match step:
        case PutRecords() | RemoveRecords():
            return all(change.change.kind is RecordKind.TLSRPT for change in step.changes)
        case Wait() | Barrier():
            return True
        case _:
            return False
