"""`plan_domain`: settings, what was observed, the ledger's entry and the time give one `DomainPlan`. Pure: no clock, no I/O.

The order of the steps is the promise (RFC 8461 §8.1): the policy, the proof that it is served, then the records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mtasts_deploy import desired
from mtasts_deploy.declaration.model import DomainSettings, Sts
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import MtastsError
from mtasts_deploy.facts import HostedPolicy, RecordChange, RecordKind, TxtSet, Unknown, fingerprint
from mtasts_deploy.ledger.events import digits_of, saw
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.observed import Observed, RecordSite
from mtasts_deploy.plan import guards, handover, milder, moving
from mtasts_deploy.plan.delivery import delivery
from mtasts_deploy.plan.horizon import horizon, may_be_held, read_policy, ready, strict_ready
from mtasts_deploy.plan.ids import pick_id
from mtasts_deploy.plan.model import (
    Action,
    Barrier,
    Delivery,
    DomainPlan,
    HandOver,
    Line,
    PutAddress,
    PutPolicy,
    PutRecords,
    RemoveRecords,
    SiteChange,
    Step,
    Verdict,
    Wait,
)
from mtasts_deploy.plan.publication import Publication, publication
from mtasts_deploy.plan.wording import consequence, duration, moment, policy_change, policy_text, rua_change, short_id, shown_rua
from mtasts_deploy.rfc.policy import Mode, PolicyId
from mtasts_deploy.rfc.records import StsRecord

_KEPT_POLICY = (Line(action=Action.KEEP, what="policy", text=""), Line(action=Action.KEEP, what="_mta-sts", text=""))
_KEPT_TLSRPT = (Line(action=Action.KEEP, what="_smtp._tls", text=""),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One half of a domain's plan: the policy with its record, or the TLSRPT record."""

    steps: tuple[Step, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    repair: bool = False
    delivery: Delivery | None = None


def plan_domain(
    settings: DomainSettings, seen: Observed, stored: Entry | None, now: datetime, allowed: frozenset[str] = frozenset()
) -> DomainPlan:
    """The plan of one domain. `stored` is the ledger's entry, `allowed` the codes lifted for this domain."""
    if seen.unknown:
        return DomainPlan(domain=settings.domain, verdict=Verdict.UNKNOWN, where=where(seen), findings=about(settings, seen.unknown))
    entry = saw(stored or UNSEEN, seen.look(), now)
    lost = entry.lost is not None and (stored is None or stored.lost != entry.lost)
    if seen.homeless:
        return assemble(settings, seen, stored, (), about(settings, seen.homeless))
    parts = (_policy_part(settings, seen, entry, now, allowed, lost), _tlsrpt_part(settings, seen, entry))
    found = [finding for part in parts for finding in part.findings]
    plan = assemble(settings, seen, stored, parts, about(settings, guards.lift(found, allowed)))
    return replace(plan, lifted=tuple(sorted(allowed))) if allowed else plan


def assemble(
    settings: DomainSettings, seen: Observed, stored: Entry | None, parts: tuple[Part, ...], findings: tuple[Diagnostic, ...]
) -> DomainPlan:
    """Put the parts of a domain together: all records in one step, after the policy is served."""
    steps = _ordered(parts)
    blocked = any(finding.severity is Severity.ERROR for finding in findings)
    if blocked:
        verdict = Verdict.BLOCKED
    elif any(not isinstance(step, Wait) for step in steps):
        verdict = Verdict.CHANGED
    else:
        verdict = Verdict.WAITING if steps else Verdict.UNCHANGED
    return DomainPlan(
        domain=settings.domain,
        verdict=verdict,
        where=where(seen) if steps or findings else "",
        steps=steps,
        lines=tuple(line for part in parts for line in part.lines) if steps else (),
        notes=tuple(note for part in parts for note in part.notes) if steps else (),
        findings=findings,
        inputs=inputs(settings, seen, stored) if steps else {},
        repair=any(part.repair for part in parts),
        delivery=next((part.delivery for part in parts if part.delivery is not None), None) if steps else None,
    )


def inputs(settings: DomainSettings, seen: Observed, stored: Entry | None) -> dict[str, str]:
    """Fingerprints of every fact that the plan of a domain rests on."""
    declared = replace(settings, where=None, allow=(), at={})
    return {**seen.fingerprints(), "settings": fingerprint(declared), "ledger": fingerprint(stored)}


def where(seen: Observed) -> str:
    """Where the domain's records and policy are, for the heading of its plan."""
    zones = dict.fromkeys(f"zone {site.zone} at {site.provider}" for site in (*seen.sts, *seen.tlsrpt))
    return " · ".join([*zones, f"policy {seen.location}"])


def about(settings: DomainSettings, findings: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """The findings, each once and with its domain."""
    domain = str(settings.domain)
    return tuple(finding if finding.domain else finding.of(domain) for finding in dict.fromkeys(findings))


def _ordered(parts: tuple[Part, ...]) -> tuple[Step, ...]:
    steps = [step for part in parts for step in part.steps]
    if not steps:
        return ()
    first = [step for step in steps if isinstance(step, PutAddress | PutPolicy | Barrier)]
    puts = [step for step in steps if isinstance(step, PutRecords)]
    removals = [step for step in steps if isinstance(step, RemoveRecords)]
    waits = [step for step in steps if isinstance(step, Wait)]
    if len(puts) > 1:
        ids = [step.id for step in puts if step.id is not None]
        puts = [PutRecords(changes=tuple(change for step in puts for change in step.changes), id=ids[0] if ids else None)]
    rest = [step for step in steps if not isinstance(step, PutAddress | PutPolicy | Barrier | PutRecords | RemoveRecords | Wait)]
    return (*first, *puts, *removals, *rest, *waits)


def _policy_part(settings: DomainSettings, seen: Observed, entry: Entry, now: datetime, allowed: frozenset[str], lost: bool) -> Part:
    match settings.sts:
        case Sts.TLSRPT_ONLY:
            return Part(findings=tuple(guards.unmanaged(seen)))
        case Sts.ELSEWHERE:
            return Part()
        case Sts.PUBLISH:
            pass
    live = seen.mx
    if isinstance(live, Unknown):
        return Part(findings=(live.reason,))
    found = [*guards.site_guards(seen.sts, RecordKind.STS), *guards.mx_guards(live, settings.mode)]
    if live.null and settings.mode is not Mode.NONE and "MTS407" not in allowed:
        return Part(findings=tuple(found))
    try:
        plan = publication(settings, seen, live, entry, now, allowed)
    except MtastsError as error:
        return Part(findings=(*found, *error.diagnostics))
    move = moving.move_of(settings, seen, entry, now)
    part = publish(settings, seen, entry, plan, now)
    found += milder.guard(settings, seen, entry, plan, now)
    found += moving.address_guards(settings, seen, entry, move.put, bool(part.steps) or move.due or move.put is not None)
    if move.due and _can_move(seen, plan, part):
        found += guards.storage_guard(settings)
        return _moved(settings, seen, move, part, tuple(found))
    part = _led(settings, seen, entry, move, part)
    found += guards.policy_guards(settings, plan, bool(part.steps))
    found += guards.storage_guard(settings)
    found += guards.history_warnings(seen, plan, lost)
    if part.steps:
        again = tuple(guards.taken_back(entry, settings.domain, digits_of(plan.body), None))
        owed = _owed(settings, seen, entry, now) if again and "MTS701" not in allowed else Part()
        if owed.steps:
            # The rollback restored the bytes and was stopped before the record: the fresh id is owed, whatever is declared.
            return replace(owed, findings=tuple(replace(finding, severity=Severity.WARN) for finding in again))
        found += again
    return replace(
        part,
        steps=(*part.steps, *plan.waits),
        notes=(*part.notes, *_new_hosts(seen, entry, plan, now)),
        findings=tuple(found),
        repair=plan.repair and bool(part.steps),
    )


def _can_move(seen: Observed, plan: Publication, part: Part) -> bool:
    """A repair comes before a move. Moved is what the live id names: what an interrupted run or a stranger has put is published first."""
    if not isinstance(seen.hosted, HostedPolicy) or plan.served is None or (plan.repair and part.steps):
        return False
    return {PolicyId.parse(text).digits for text, _ in seen.ids} == {digits_of(seen.hosted.body)}


def _moved(settings: DomainSettings, seen: Observed, move: moving.Move, part: Part, found: tuple[Diagnostic, ...]) -> Part:
    """The move instead of the publication, which follows at the next apply."""
    steps, lines, notes = moving.steps(move, settings, seen)
    if any(not isinstance(step, Wait) for step in part.steps):
        text = "the new policy follows at the next apply, when the policy host has moved"
        steps = (*steps, Wait(what=moving.WAIT, until=None, text=text))
    return Part(steps=steps, lines=(*moving.address_lines(settings, move.put), *lines), notes=notes, findings=found)


def _led(settings: DomainSettings, seen: Observed, entry: Entry, move: moving.Move, part: Part) -> Part:
    """The publication with what the address asks for: the first one before all else, and the record held until everybody knows it."""
    steps = part.steps
    if move.put is not None and not move.due:
        steps = (move.put, *steps)
    lines = (*moving.address_lines(settings, None if move.due else move.put), *part.lines)
    moves_record = any(isinstance(step, PutRecords | HandOver) for step in part.steps)
    if move.hold is not None and moves_record:
        if move.live:
            return replace(part, steps=(move.hold,), lines=(), notes=())
        lines = tuple(replace(line, action=Action.KEEP, text="") if line.what == "_mta-sts" else line for line in lines)
        done = not any(isinstance(step, PutPolicy | PutAddress) for step in steps)
        kept = () if done else tuple(step for step in steps if not isinstance(step, PutRecords | HandOver))
        return replace(part, steps=(*kept, move.hold), lines=lines)
    if move.due:
        steps = (*steps, Wait(what=moving.WAIT, until=None, text="the policy host moves at the next apply, when this is served"))
    elif (wait := moving.open_wait(settings, seen, entry)) is not None:
        steps = (*steps, wait)
    return replace(part, steps=steps, lines=lines)


def _owed(settings: DomainSettings, seen: Observed, entry: Entry, now: datetime) -> Part:
    """The step from served bytes that a rollback restored to a right id for them."""
    hosted = seen.hosted
    served = read_policy(hosted.body) if isinstance(hosted, HostedPolicy) else None
    if served is None or not isinstance(hosted, HostedPolicy) or not seen.ids or digits_of(hosted.body) in entry.taken_back:
        return Part()
    return publish(settings, seen, entry, Publication(policy=served, body=hosted.body, served=served, standing=served), now)


def publish(settings: DomainSettings, seen: Observed, entry: Entry, plan: Publication, now: datetime) -> Part:
    """The steps that make this publication live under a right id: nothing where it already is."""
    hosted = seen.hosted if isinstance(seen.hosted, HostedPolicy) else None
    puts = _puts(seen, plan.body)
    put = bool(puts)
    live = [text for text, _ in seen.ids]
    id_ = str(pick_id(entry, handover.held(entry, live) if settings.plugin else live, plan.body, now))
    record = StsRecord(id=PolicyId.parse(id_)).render()
    move: Step | None
    if settings.plugin:
        move = step = handover.hand_over(entry, id_, settings.ttl)
        lines: tuple[Line, ...] = (handover.record_line(seen, step, _id_text(seen, id_)),)
        waits = () if handover.published(seen, record) else (handover.wait_for_sts(id_),)
    else:
        changes = _changes(seen.sts, RecordKind.STS, record, settings.ttl)
        move = PutRecords(changes=changes, id=id_) if changes else None
        lines, waits = _record_line("_mta-sts", changes, _id_text(seen, id_)), ()
    if not put and move is None:
        return Part(steps=waits, lines=_KEPT_POLICY)
    steps: list[Step] = []
    steps += puts
    steps += [Barrier(body=plan.body), *([move] if move else []), *waits]
    lines = (_policy_line(hosted, plan, put), *lines)
    notes = tuple(_notes(seen, entry, plan, put, live != [id_], now))
    return Part(steps=tuple(steps), lines=lines, notes=notes, delivery=delivery(plan.standing if seen.ids else None, plan.policy))


def _puts(seen: Observed, body: bytes) -> list[PutPolicy]:
    """The same bytes at every host that senders may be led to, where they are not there yet."""
    files = [(seen.host, seen.location, seen.hosted), *((copy.host, copy.location, copy.hosted) for copy in seen.copies if copy.led)]
    found = [(host, location, file if isinstance(file, HostedPolicy) else None) for host, location, file in files]
    return [
        PutPolicy(host=host, location=location, before=None if file is None else file.version, body=body)
        for host, location, file in found
        if file is None or file.body != body
    ]


def _policy_line(hosted: HostedPolicy | None, plan: Publication, put: bool) -> Line:
    if not put:
        return Line(action=Action.KEEP, what="policy", text="")
    if hosted is None and (plan.served is None or not plan.elsewhere):
        return Line(action=Action.ADD, what="policy", text=policy_text(plan.policy))
    if plan.served is None:
        return Line(action=Action.CHANGE, what="policy", text=f"no valid policy → {policy_text(plan.policy)}")
    return Line(action=Action.CHANGE, what="policy", text=policy_change(plan.served, plan.policy))


def _id_text(seen: Observed, id_: str) -> str:
    old = [short_id(text) for text, _ in seen.ids]
    if not old:
        return f"id {short_id(id_)}"
    return f"id {' and '.join(old)} → {short_id(id_)}" if [text for text, _ in seen.ids] != [id_] else f"id {short_id(id_)}"


def _notes(seen: Observed, entry: Entry, plan: Publication, put: bool, fresh: bool, now: datetime) -> Iterator[str]:
    old = plan.served if seen.ids else None
    said = consequence(old, plan.policy)
    if said is not None:
        yield said
    if not put and fresh and seen.ids:
        yield "The bytes stay; the id changes because the live one may stand for other bytes too, or its past is unknown."
    if put and plan.elsewhere:
        yield f"Another server serves the policy now. The record follows when {seen.domain.policy_host} serves it from {seen.location}."
    if put and isinstance(seen.hosted, HostedPolicy) and plan.served is not None and seen.ids:
        until = horizon(entry, digits_of(seen.hosted.body), now)
        if until is not None:
            yield f"The old policy may be held until {moment(until + timedelta(seconds=_longest_ttl(seen)))}."


def _new_hosts(seen: Observed, entry: Entry, plan: Publication, now: datetime) -> Iterator[str]:
    """For declared hosts that are no MX yet: from when their MX record may be added (plan shows both dates)."""
    if plan.policy.mode is Mode.NONE:
        return
    live = entry.live_hosts(now)
    for pattern in plan.policy.mx:
        host = str(pattern)
        if host.startswith("*.") or host in live or not may_be_held(entry, now):
            continue
        if ready(entry, host, now):
            yield f"{host} is no MX host yet. Its MX record may be added now."
            continue
        strict = strict_ready(entry, host, now) + timedelta(seconds=_longest_ttl(seen))
        yield (
            f"{host} is no MX host yet. Its MX record may be added when this policy is live and the old record has expired everywhere; "
            f"no sender can hold a policy without it after {moment(strict)}."
        )


def _longest_ttl(seen: Observed) -> int:
    return max((seconds for _, seconds in seen.ids), default=0)


def _tlsrpt_part(settings: DomainSettings, seen: Observed, entry: Entry) -> Part:
    if settings.tlsrpt is None:
        return Part()
    wanted = desired.tlsrpt(settings)
    part = tlsrpt_steps(seen, wanted, settings.ttl)
    if settings.plugin:
        return _tlsrpt_left(part, wanted)
    if not part.steps:
        return part
    if wanted is None:
        more = guards.foreign_tlsrpt(_live(seen.tlsrpt, RecordKind.TLSRPT), entry.tlsrpt, settings.domain)
    else:
        more = guards.taken_back(entry, settings.domain, None, wanted)
    return replace(part, findings=(*part.findings, *more))


def _tlsrpt_left(part: Part, wanted: str | None) -> Part:
    """octodns-sync takes the TLSRPT record from the declaration: there is nothing to do but to wait for it."""
    changes = [change for step in part.steps if isinstance(step, PutRecords | RemoveRecords) for change in step.changes]
    if not handover.written(changes):
        return Part(lines=_KEPT_TLSRPT if wanted is not None else (), findings=part.findings)
    lines = tuple(Line(action=Action.KEEP, what=line.what, text=f"{line.text} · by octodns-sync") for line in part.lines)
    return Part(steps=(handover.wait_for_tlsrpt(wanted),), lines=lines, findings=part.findings)


def tlsrpt_steps(seen: Observed, wanted: str | None, ttl: int) -> Part:
    """The step that makes `wanted` the only TLSRPT value of ours (None: no value of ours is left); nothing where it already is."""
    changes = _changes(seen.tlsrpt, RecordKind.TLSRPT, wanted, ttl)
    found = tuple(guards.site_guards(seen.tlsrpt, RecordKind.TLSRPT)) if wanted is not None or changes else ()
    if not changes:
        return Part(lines=_KEPT_TLSRPT if wanted is not None else (), findings=found)
    old = _live(seen.tlsrpt, RecordKind.TLSRPT)
    if wanted is None:
        step: Step = RemoveRecords(changes=changes)
        text = f"rua {shown_rua(old)}"
    else:
        step = PutRecords(changes=changes, id=None)
        text = rua_change(old, wanted)
    return Part(steps=(step,), lines=_record_line("_smtp._tls", changes, text if old != (wanted,) else ""), findings=found)


def _live(sites: tuple[RecordSite, ...], kind: RecordKind) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for site in sites for value in site.ours(kind)))


def _changes(sites: tuple[RecordSite, ...], kind: RecordKind, value: str | None, ttl: int) -> tuple[SiteChange, ...]:
    changes = []
    for site in sites:
        live = site.ours(kind)
        made = max(ttl, site.min_ttl)  # what the provider makes of it: else the difference would never end
        same_ttl = site.facts.txt is None or site.facts.txt.ttl == made
        if live == (() if value is None else (value,)) and (same_ttl or value is None):
            continue
        change = RecordChange(name=site.name, kind=kind, before=site.facts.txt, value=value, ttl=made)
        changes.append(SiteChange(provider=site.provider, zone=site.zone, change=change))
    return tuple(changes)


def _record_line(what: str, changes: tuple[SiteChange, ...], text: str) -> tuple[Line, ...]:
    if not changes:
        return (Line(action=Action.KEEP, what=what, text=""),)
    change = changes[0].change
    ours = _ours(change.before, change.kind)
    if change.value is None:
        return (Line(action=Action.REMOVE, what=what, text=text),)
    if not ours:
        return (Line(action=Action.ADD, what=what, text=text),)
    parts = [text] if ours != (change.value,) or len({one.change.before for one in changes}) > 1 else []
    if change.before is not None and change.before.ttl != change.ttl:
        parts.append(f"ttl {duration(change.before.ttl)} → {duration(change.ttl)}")
    if len(ours) > 1:
        parts.append(f"{len(ours)} values → 1")
    return (Line(action=Action.CHANGE, what=what, text=" · ".join(part for part in parts if part)),)


def _ours(txt: TxtSet | None, kind: RecordKind) -> tuple[str, ...]:
    return () if txt is None else tuple(value for value in txt.values if kind.owns(value))
