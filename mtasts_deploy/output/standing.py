"""How a domain stands (`Standing`): what is declared, what is live, what senders may still hold, and what comes next. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING

from mtasts_deploy.declaration.model import DomainSettings, Sts
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import HostedPolicy, LiveMx
from mtasts_deploy.ledger.events import digits_of, saw
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.observe import Observed
from mtasts_deploy.plan.horizon import covers, may_be_held, read_policy
from mtasts_deploy.plan.model import Action, DomainPlan, Verdict, Wait
from mtasts_deploy.rfc.policy import Mode, Policy, PolicyId

if TYPE_CHECKING:
    from mtasts_deploy.verify.memory import LastLook


class IdState(Enum):
    """What the live id says about the served bytes."""

    ABSENT = "none"
    NAMES = "names the policy"
    SPENT = "spent"
    OTHER = "names other bytes"
    FOREIGN = "not checkable"
    SEVERAL = "several"


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What comes next, and when at the earliest (None: with the next apply, or when somebody acts)."""

    text: str
    when: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One domain now.

    `declared` and `live` are modes (None: no policy is declared, or served); `mx` are the live MX hosts, `uncovered` those that the served
    policy does not name; `held_until` is the time until which some sender may apply another policy than the served one (None: none can);
    `unknown` says what could not be observed, `look` what senders were last seen to do.
    """

    plan: DomainPlan
    sts: Sts
    declared: Mode | None = None
    live: Mode | None = None
    ids: tuple[str, ...] = ()
    id_state: IdState = IdState.ABSENT
    mx: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    held_until: datetime | None = None
    tlsrpt: bool = False
    next: tuple[Next, ...] = ()
    unknown: tuple[Diagnostic, ...] = ()
    look: LastLook | None = None


def standing(settings: DomainSettings, plan: DomainPlan, seen: Observed | None, stored: Entry | None, now: datetime) -> Standing:
    """Put together how a domain stands; `seen` is None for a domain that others publish."""
    declared = settings.mode if settings.sts is Sts.PUBLISH else None
    if seen is None or seen.unknown:
        unknown = () if seen is None else seen.unknown
        return Standing(plan=plan, sts=settings.sts, declared=declared, next=_next(plan), unknown=unknown)
    entry = saw(stored or UNSEEN, seen.look(), now)
    imported = entry.elsewhere(text for text, _ in seen.ids)
    known = entry.policies[next(iter(imported))].body if len(imported) == 1 else None  # on a server that is no host of ours
    body = seen.hosted.body if isinstance(seen.hosted, HostedPolicy) else known
    served = None if body is None else read_policy(body)
    mx = seen.mx.hosts if isinstance(seen.mx, LiveMx) and not seen.mx.null else ()
    ids = tuple(text for text, _ in seen.ids)
    return Standing(
        plan=plan,
        sts=settings.sts,
        declared=declared,
        live=None if served is None else served.mode,
        ids=ids,
        id_state=_id_state(ids, body, entry),
        mx=mx,
        uncovered=_uncovered(served, mx),
        held_until=_held_until(entry, body, now),
        tlsrpt=any(site.facts.txt is not None for site in seen.tlsrpt),
        next=_next(plan),
    )


def _uncovered(served: Policy | None, mx: tuple[str, ...]) -> tuple[str, ...]:
    return () if served is None else tuple(host for host in mx if not covers(served, host))


def _id_state(ids: tuple[str, ...], body: bytes | None, entry: Entry) -> IdState:
    if len(ids) != 1:
        return IdState.SEVERAL if ids else IdState.ABSENT
    live = PolicyId.parse(ids[0])
    if live.digits is None:
        return IdState.FOREIGN
    if body is None or not live.names(body):
        return IdState.OTHER
    known = entry.ids.get(ids[0])
    return IdState.SPENT if known is not None and known.spent else IdState.NAMES


def _held_until(entry: Entry, body: bytes | None, now: datetime) -> datetime | None:
    served = None if body is None else digits_of(body)
    return max((until for digits, (_, until) in may_be_held(entry, now).items() if digits != served), default=None)


def _next(plan: DomainPlan) -> tuple[Next, ...]:
    if plan.verdict is Verdict.BLOCKED:
        codes = dict.fromkeys(finding.code for finding in plan.findings if finding.severity.value == "error")
        return (Next(text=f"blocked by {', '.join(codes)}"),)
    lines = [f"{line.action.value} {line.what}" for line in plan.lines if line.action is not Action.KEEP]
    coming = [Next(text=f"deploy apply: {', '.join(lines)}")] if plan.acts and lines else []
    coming += [Next(text=step.text, when=step.until) for step in plan.steps if isinstance(step, Wait)]
    return tuple(coming)
