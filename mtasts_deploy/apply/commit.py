"""Stage Commit: just before a zone's push its policies are fetched once more and the zone is read again; then one write, and a fresh
read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mtasts_deploy.apply.confirm import PATIENCE, confirm, question
from mtasts_deploy.apply.prepare import not_served, stale
from mtasts_deploy.apply.report import Outcome, Stage
from mtasts_deploy.apply.serving import fetch_again
from mtasts_deploy.apply.work import Tools, Work, chunks, in_parallel, look_again, started
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import LeaseLost, MtastsError, Refused
from mtasts_deploy.facts import HostedPolicy, RecordKind, TxtSet, ZoneName
from mtasts_deploy.ledger.events import declared_anew, finished, handing_over, pushing, took_back
from mtasts_deploy.observed import Observed, RecordSite
from mtasts_deploy.plan.model import Barrier, PutPolicy, PutRecords, SiteChange
from mtasts_deploy.rfc.names import Domain


@dataclass(slots=True, kw_only=True)
class Push:
    """All changes of one zone at one provider, with the domains they belong to."""

    provider: str
    zone: ZoneName
    changes: list[tuple[Work, SiteChange]] = field(default_factory=list)
    error: MtastsError | None = None

    @property
    def open(self) -> list[SiteChange]:
        """The changes of the domains that have not been left out."""
        return [change for work, change in self.changes if work.open]


def commit(tools: Tools, works: Sequence[Work]) -> None:
    """Push every zone; domains whose records are all confirmed are done."""
    pushed: dict[Domain, Observed] = {}
    for chunk in chunks(_pushes(work for work in works if work.open)):
        concerned = _works(chunk)
        if tools.stop.requested:
            for work in concerned:
                work.end(tools, Stage.COMMIT, Outcome.INTERRUPTED)
            continue
        pushed |= _commit(tools, chunk, concerned)
    for chunk_of_works in chunks([work for work in works if work.open and work.plan.hand_over is not None]):
        _hand_over(tools, chunk_of_works)
    finish(tools, [work for work in works if work.open], _everywhere(tools, works, pushed))
    tools.book.save(tools.lease.prove)


def _pushes(works: Iterable[Work]) -> list[Push]:
    pushes: dict[tuple[str, ZoneName], Push] = {}
    for work in works:
        for change in work.plan.records:
            key = (change.provider, change.zone)
            pushes.setdefault(key, Push(provider=key[0], zone=key[1])).changes.append((work, change))
    return list(pushes.values())


def _works(pushes: Sequence[Push]) -> list[Work]:
    found = {id(work): work for push in pushes for work, _ in push.changes if work.open}
    return list(found.values())


def _commit(tools: Tools, pushes: Sequence[Push], works: Sequence[Work]) -> dict[Domain, Observed]:
    seen = _fetch_once_more(tools, works)
    for push in pushes:
        _compare(tools, push, seen)
    fetch_again(tools, works)
    going = [work for work in works if work.open]
    earlier = {work.plan.domain: tools.book.entry(work.plan.domain) for work in going}
    for work in going:
        _note(tools, work)
    tools.book.save(tools.lease.prove)
    in_parallel(tools, lambda push: _push(tools, push), pushes)
    for work in going:
        if all(isinstance(push.error, Refused) for push in pushes if any(one is work for one, _ in push.changes)):
            # Certainly nothing was written, so the note of the push is taken back: the id was never visible.
            tools.book.set(work.plan.domain, earlier[work.plan.domain])
    fresh = _confirm(tools, pushes, going)
    tools.book.save(tools.lease.prove)
    return fresh


def _fetch_once_more(tools: Tools, works: Sequence[Work]) -> dict[Domain, Observed]:
    """Look again just before the push; a domain whose planned policy is no longer served ends here."""
    seen = look_again(tools, works)
    for work in works:
        wanted = next((step.body for step in work.plan.steps if isinstance(step, PutPolicy | Barrier)), None)
        files = seen[work.plan.domain].files.items()
        wrong = [(host, found) for host, found in files if not (isinstance(found, HostedPolicy) and found.body == wanted)]
        if wanted is not None and wrong:
            work.end(tools, Stage.COMMIT, Outcome.STALE, not_served(wrong[0][0], wanted, wrong[0][1]))
    return seen


def _hand_over(tools: Tools, works: Sequence[Work]) -> None:
    """Leave the records to octodns-sync (`dns: plugin`). It may run at any time, so the write of the ledger is the push itself."""
    if tools.stop.requested:
        for work in works:
            work.end(tools, Stage.COMMIT, Outcome.INTERRUPTED)
        return
    seen = _fetch_once_more(tools, works)
    for work in works:
        domain, step = work.plan.domain, work.plan.hand_over
        if not work.open or step is None:
            continue
        entry = tools.book.entry(domain)
        known = entry.ids.get(step.id)
        if seen[domain].unknown:
            work.end(tools, Stage.COMMIT, Outcome.UNKNOWN, *seen[domain].unknown)
        elif known is not None and known.spent:
            work.end(tools, Stage.COMMIT, Outcome.STALE, stale(domain, ["_mta-sts"]))
        else:
            body = next(other.body for other in work.plan.steps if isinstance(other, Barrier))
            tools.book.set(domain, handing_over(entry, step.id, body, step.ttl, tools.clock()))
            work.begun = True
    tools.book.save(tools.lease.prove)


def _compare(tools: Tools, push: Push, seen: Mapping[Domain, Observed]) -> None:
    """Our names must still hold what the plan was made for; what others have written elsewhere in the zone is built upon."""
    for work, change in push.changes:
        if not work.open:
            continue
        domain = seen[work.plan.domain]
        if domain.unknown:
            work.end(tools, Stage.COMMIT, Outcome.UNKNOWN, *domain.unknown)
        elif _at(domain, change) != change.change.before:
            work.end(tools, Stage.COMMIT, Outcome.STALE, stale(work.plan.domain, [change.change.name]))


def _at(seen: Observed, change: SiteChange) -> TxtSet | None:
    site = _site(seen, change)
    return None if site is None else site.facts.txt


def _site(seen: Observed, change: SiteChange) -> RecordSite | None:
    sites = seen.sts if change.change.kind is RecordKind.STS else seen.tlsrpt
    return next((site for site in sites if (site.provider, site.zone) == (change.provider, change.zone)), None)


def _note(tools: Tools, work: Work) -> None:
    """The id may be visible from now: the ledger knows before the zone does."""
    now = tools.clock()
    for step in work.plan.steps:
        if isinstance(step, PutRecords) and step.id is not None:
            body = next(other.body for other in work.plan.steps if isinstance(other, Barrier))
            ttl = max(change.change.ttl for change in step.changes)
            tools.book.set(work.plan.domain, pushing(tools.book.entry(work.plan.domain), step.id, body, ttl, now))


def _push(tools: Tools, push: Push) -> None:
    changes = push.open
    if not changes:
        return
    domains = [work.plan.domain for work in _works([push])]
    ended = started(tools, Stage.COMMIT, "put-records", domains)
    try:
        tools.lease.prove()
        tools.world.targets[push.provider].write(push.zone, [change.change for change in changes], tools.lease.prove)
    except MtastsError as error:
        push.error = error
    finding = None if push.error is None else push.error.diagnostics[0]
    for domain in domains:
        ended(domain, "done" if finding is None else "failed", finding=finding)
    if not isinstance(push.error, Refused | LeaseLost):
        for work, _ in push.changes:
            work.begun = work.begun or work.open


def _confirm(tools: Tools, pushes: Sequence[Push], works: Sequence[Work]) -> dict[Domain, Observed]:
    """A returned count proves nothing: read again, with fresh eyes. The error of a push counts only if its records are not there."""
    seen = look_again(tools, [work for work in works if work.open])
    for push in pushes:
        if isinstance(push.error, LeaseLost):
            raise push.error
        for work, change in push.changes:
            if not work.open or _holds(seen[work.plan.domain], change):
                continue
            unseen = seen[work.plan.domain].unknown
            findings = push.error.diagnostics if push.error is not None else unseen or (_unconfirmed(change),)
            work.end(tools, Stage.COMMIT, Outcome.FAILED, *findings)
    return seen


def _everywhere(tools: Tools, works: Sequence[Work], pushed: Mapping[Domain, Observed]) -> Mapping[Domain, Sequence[Diagnostic]]:
    """Wait until all name servers show what was pushed; the domains for which some do not yet. Never undone: it is on its way."""
    asked = [work for work in works if work.open and work.plan.domain in pushed]
    found = [question(work.place, pushed[work.plan.domain], tools.book.entry(work.plan.domain), work.plan) for work in asked]
    confirmation = confirm(tools, [one for one in found if one is not None], min(PATIENCE, tools.patience))
    if confirmation.notes:
        asked[0].findings += confirmation.notes
    return confirmation.unconfirmed


def _holds(seen: Observed, change: SiteChange) -> bool:
    site = _site(seen, change)
    wanted = () if change.change.value is None else (change.change.value,)
    return site is not None and not seen.unknown and site.ours(change.change.kind) == wanted


def _unconfirmed(change: SiteChange) -> Diagnostic:
    return Diagnostic(
        code="MTS705",
        message=f"{change.provider} accepted the change of {change.change.name} in zone {change.zone}, but a fresh read does not show it",
        hint="Run `deploy apply` again; if it stays so, look at the zone with the provider's own tools.",
    )


def finish(tools: Tools, works: Sequence[Work], unconfirmed: Mapping[Domain, Sequence[Diagnostic]]) -> None:
    """These domains have all that the plan asked for; those `unconfirmed` not yet at every name server."""
    for work in works:
        entry = tools.book.entry(work.plan.domain)
        change = work.plan.change_of(RecordKind.TLSRPT)
        if change is not None:
            entry = replace(entry, tlsrpt=change.change.value)
        asks_back = any(finding.code == "MTS701" for finding in work.plan.findings) and "MTS701" not in work.plan.lifted
        entry = took_back(entry) if tools.rollback else finished(entry) if asks_back else declared_anew(finished(entry))
        tools.book.set(work.plan.domain, entry)
        outcome = Outcome.TAKEN_BACK if tools.rollback else Outcome.WAITING if work.plan.waits else Outcome.DONE
        lagging = unconfirmed.get(work.plan.domain, ())
        if lagging:
            outcome = Outcome.INTERRUPTED if tools.stop.requested else Outcome.UNCONFIRMED
        work.end(tools, Stage.COMMIT, outcome, *lagging)
