"""One run: the stages in their order, over all domains, and what to do when one fails (DESIGN section 7).

Every interruption leaves each domain in a valid state, and the next apply finishes it; going back is another publication.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.commit import commit
from mtasts_deploy.apply.confirm import confirm, question
from mtasts_deploy.apply.moving import close_ways, put_addresses
from mtasts_deploy.apply.prepare import prepare
from mtasts_deploy.apply.report import Event, Outcome, Result, Stage
from mtasts_deploy.apply.serving import preflight
from mtasts_deploy.apply.waves import Share, portions
from mtasts_deploy.apply.work import Tools, Work, note, report
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.ledger.codec import shard_of
from mtasts_deploy.ledger.events import declared_anew
from mtasts_deploy.ledger.model import UNSEEN
from mtasts_deploy.observed import Observed, Place
from mtasts_deploy.plan.model import Plan, Verdict
from mtasts_deploy.rfc.names import Domain

_GOOD = (Outcome.DONE, Outcome.WAITING, Outcome.UNCHANGED, Outcome.TAKEN_BACK, Outcome.UNCONFIRMED)


class Choices(Protocol):
    """How a run goes, as far as the stages need to know: what a failing domain means, and how far each wave goes."""

    @property
    def on_error(self) -> OnError:
        """What a failing domain means for the others."""

    @property
    def waves(self) -> Sequence[Share]:
        """Up to how many domains each wave goes; none: all at once."""

    @property
    def max_failures(self) -> Share:
        """With more failures than that there is no further wave."""


def run(
    tools: Tools,
    plan: Plan,
    works: Sequence[Work],
    seen: Mapping[Domain, Observed],
    places: Mapping[Domain, Place],
    options: Choices,
    take_back: Callable[[Sequence[Work]], Sequence[Work]],
) -> Result:
    """Carry the plan out. `works` are its acting domains, `seen` the looks that it was made from (noted before anything is changed).

    `take_back` gives the works that take back what these domains have changed; it is used with `rollback` only. Raises `StateError` and
    `LeaseLost`: then the run must not write any more, and every domain is in a valid state that the next apply finishes.
    """
    on_error = options.on_error
    outcomes = _left_out(tools, plan)
    _remember(tools, plan, seen, places)
    notes = _ask_about_open(tools, plan, seen, places, outcomes)
    if on_error is not OnError.CONTINUE and any(outcome not in _GOOD for outcome in outcomes.values()):
        for work in works:
            work.end(tools, Stage.LOOK, Outcome.FAILED, _held(begun=False))
        return _result(tools, outcomes, works, notes)
    # Repairs first; then by shard of the ledger, so that a portion of the run writes few shards.
    works = sorted(works, key=lambda work: (not work.plan.repair, shard_of(str(work.plan.domain))))
    waves = portions(works, options.waves) or [works]
    for number, wave in enumerate(waves, 1):
        if len(waves) > 1:
            said = f"wave {number} of {len(waves)}: {len(wave)} domains"
            report(tools, Event(stage=Stage.PREPARE, what="wave", text=said))
        _carry_out(tools, wave, on_error)
        if number < len(waves) and (held := _too_many(works, options, number, len(waves))) is not None:
            for work in works:
                if work.open:
                    work.end(tools, Stage.PREPARE, Outcome.HELD)
            notes = [*notes, held]
            break
    if on_error is OnError.ROLLBACK and any(work.outcome not in _GOOD for work in works) and not tools.stop.requested:
        return _taken_back(tools, outcomes, works, take_back, notes)
    return _result(tools, outcomes, works, notes)


def _carry_out(tools: Tools, works: Sequence[Work], on_error: OnError) -> None:
    """The stages, over one wave."""
    preflight(tools, works)
    put_addresses(tools, works, moves=False)
    if on_error is not OnError.CONTINUE:
        _hold(tools, works, Stage.LOOK)
    prepare(tools, works)
    put_addresses(tools, works, moves=True)
    if on_error is not OnError.CONTINUE:
        _hold(tools, works, Stage.PREPARE)
    commit(tools, works)


def _too_many(works: Sequence[Work], options: Choices, number: int, waves: int) -> Diagnostic | None:
    """Why there is no further wave, if so. A signal is not a failure: it stops the stages by itself."""
    failed = sum(not work.open and work.outcome not in _GOOD and work.outcome is not Outcome.INTERRUPTED for work in works)
    limit = options.max_failures.of(len(works)) if options.on_error is OnError.CONTINUE else 0
    if failed <= limit:
        return None
    left = sum(work.open for work in works)
    return Diagnostic(
        code="MTS709",
        message=f"stopped after wave {number} of {waves}: {failed} domains failed, and --max-failures is {options.max_failures}; "
        f"{left} domains were held back, nothing was changed for them",
        hint="Mend what failed, then run the same command again: it goes on with the rest.",
    )


def _left_out(tools: Tools, plan: Plan) -> dict[Domain, Outcome]:
    """How the domains end for which nothing is done."""
    ended = {
        Verdict.BLOCKED: Outcome.BLOCKED,
        Verdict.UNKNOWN: Outcome.UNKNOWN,
        Verdict.WAITING: Outcome.WAITING,
        Verdict.STALE: Outcome.STALE,
    }
    outcomes: dict[Domain, Outcome] = {}
    for domain in plan.domains:
        if domain.acts:
            continue
        outcomes[domain.domain] = outcome = ended.get(domain.verdict, Outcome.UNCHANGED)
        if outcome not in _GOOD:
            finding = next((one for one in domain.findings if one.severity is Severity.ERROR), next(iter(domain.findings), None))
            report(tools, Event(stage=Stage.LOOK, what=outcome.value, domain=domain.domain, finding=finding))
    return outcomes


def _remember(tools: Tools, plan: Plan, seen: Mapping[Domain, Observed], places: Mapping[Domain, Place]) -> None:
    """Note every look before anything is changed; without news, nothing is written."""
    now = tools.clock()
    asks_back = {domain.domain for domain in plan.domains if any(finding.code == "MTS701" for finding in domain.findings)}
    for domain, observed in seen.items():
        note(tools, places[domain], observed, now)
        entry = tools.book.readable(domain)
        if entry is not None and entry.taken_back and domain not in asks_back and not tools.rollback:
            tools.book.set(domain, declared_anew(entry))
    close_ways(tools, seen)
    tools.book.save(tools.lease.prove)


def _ask_about_open(
    tools: Tools, plan: Plan, seen: Mapping[Domain, Observed], places: Mapping[Domain, Place], outcomes: dict[Domain, Outcome]
) -> list[Diagnostic]:
    """For domains without steps whose last change was not seen at every name server: ask once more, and close what is gone.

    What is still to be told about them; `outcomes` has those of them that lag.
    """
    idle = [one.domain for one in plan.domains if not one.acts and one.domain in seen]
    found = [question(places[domain], seen[domain], tools.book.readable(domain) or UNSEEN) for domain in idle]
    questions = [one for one in found if one is not None]
    confirmation = confirm(tools, questions)
    for domain, findings in confirmation.unconfirmed.items():
        if outcomes.get(domain) not in _GOOD:
            continue
        outcomes[domain] = Outcome.UNCONFIRMED
        report(tools, Event(stage=Stage.REMEMBER, what=Outcome.UNCONFIRMED.value, domain=domain, finding=findings[0]))
    if questions:
        tools.book.save(tools.lease.prove)
    return [*confirmation.notes, *(finding for findings in confirmation.unconfirmed.values() for finding in findings)]


def _hold(tools: Tools, works: Sequence[Work], stage: Stage) -> None:
    """If one of them has failed, the others end here."""
    if all(work.open for work in works):
        return
    for work in works:
        if work.open:
            work.end(tools, stage, Outcome.FAILED, _held(begun=work.begun))


def _held(*, begun: bool) -> Diagnostic:
    done = "its policy is served, its record was not moved" if begun else "nothing was changed for it"
    return Diagnostic(
        code="MTS706",
        message=f"held back because another domain failed: {done}",
        hint="Mend the failing domain, or run with `--on-error continue`.",
    )


def _taken_back(
    tools: Tools,
    outcomes: dict[Domain, Outcome],
    works: Sequence[Work],
    take_back: Callable[[Sequence[Work]], Sequence[Work]],
    notes: Sequence[Diagnostic],
) -> Result:
    """Take back what this run has changed, through the same stages."""
    changed = [work for work in works if work.begun and not work.plan.moves]  # a move has brought no new bytes
    back = list(take_back(changed))
    reverse = replace(tools, rollback=True)
    prepare(reverse, back)
    commit(reverse, back)
    result = _result(tools, outcomes, [*works, *back], notes)
    return replace(result, taken_back=True)


def _result(tools: Tools, outcomes: dict[Domain, Outcome], works: Sequence[Work], notes: Sequence[Diagnostic]) -> Result:
    ended = {**outcomes, **{work.plan.domain: work.outcome or Outcome.INTERRUPTED for work in works}}
    findings = (*notes, *(finding for work in works for finding in work.findings))
    begun = frozenset(work.plan.domain for work in works if work.begun)
    return Result(run=tools.run, outcomes=ended, findings=findings, begun=begun)
