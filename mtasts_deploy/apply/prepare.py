"""Stage Prepare: the ledger is told, the policy is put, read back, and proved to be served. No record moves here (RFC 8461 §8.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from mtasts_deploy.apply.report import Event, Outcome, Stage
from mtasts_deploy.apply.serving import barrier
from mtasts_deploy.apply.work import Tools, Work, before_of, chunks, hosts_of, in_parallel, look_again, note, report, started
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError, LeaseLost
from mtasts_deploy.facts import HostedPolicy, RecordKind, Unknown
from mtasts_deploy.ledger.events import Look, changing, digits_of, placed, putting, read_back, removed, saw, stored, taking_back
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.ledger.ways import given_up, preparing, vouched
from mtasts_deploy.observe import Observed
from mtasts_deploy.plan.horizon import covers, read_policy
from mtasts_deploy.plan.model import Barrier, PutPolicy, RemovePolicy
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import Mode, Policy


class _Interrupted(Exception):
    """The first signal came while caches were being emptied."""


def prepare(tools: Tools, works: Sequence[Work]) -> None:
    """Take every open domain through the stage; the ones that fail end here and are named."""
    for chunk in chunks([work for work in works if work.open]):
        if tools.stop.requested:
            for work in chunk:
                work.end(tools, Stage.PREPARE, Outcome.INTERRUPTED)
            continue
        _prepare(tools, chunk)


def _prepare(tools: Tools, works: Sequence[Work]) -> None:
    seen = look_again(tools, works)
    for work in works:
        _compare(tools, work, seen[work.plan.domain])
    going = [work for work in works if work.open]
    earlier = {work.plan.domain: _note(tools, work, seen[work.plan.domain]) for work in going}
    tools.book.save(tools.lease.prove)
    _watch_mx(tools, going, earlier)
    refused: list[Work] = []
    lost: list[LeaseLost] = []
    in_parallel(tools, lambda work: _put(tools, work, refused, lost), [work for work in going if work.open and _puts(work)])
    if lost:
        raise lost[0]
    for work in refused:
        # The put certainly did not happen, so its note is taken back: those bytes were never public.
        tools.book.set(work.plan.domain, earlier[work.plan.domain])
    _purge(tools, [work for work in going if work.open and _serves(work)])
    _read_back(tools, [work for work in going if work.open])
    tools.book.save(tools.lease.prove)  # the note that the put was read back must outlive a run that ends while it waits
    barrier(tools, going)
    tools.book.save(tools.lease.prove)


def _puts(work: Work) -> bool:
    return any(isinstance(step, PutPolicy | RemovePolicy) for step in work.plan.steps)


def _serves(work: Work) -> bool:
    """Does it matter what caches serve: is something put or removed, or may a record move to bytes that an earlier run has put?"""
    return any(isinstance(step, PutPolicy | RemovePolicy | Barrier) for step in work.plan.steps)


def _compare(tools: Tools, work: Work, seen: Observed) -> None:
    """Is the world still the one that the plan was made for?"""
    if seen.unknown:
        work.end(tools, Stage.PREPARE, Outcome.UNKNOWN, *seen.unknown)
        return
    now = seen.fingerprints()
    differing = [name for name, mark in now.items() if work.plan.inputs.get(name) != mark and not (name == "address" and work.led)]
    if differing:
        work.end(tools, Stage.PREPARE, Outcome.STALE, stale(work.plan.domain, differing))


def _watch_mx(tools: Tools, works: Sequence[Work], earlier: Mapping[Domain, Entry]) -> None:
    """Read the MX records once more, now that the ledger's note lets no host be ready that the noted enforce policies lack: one that
    was added before the note is seen, and stops the domain.
    """
    enforced = [(work, policy) for work in works if (policy := _enforced(work)) is not None]
    seen = look_again(tools, [work for work, _ in enforced])
    for work, policy in enforced:
        domain = work.plan.domain
        hosts = tools.book.entry(domain).live_hosts(tools.clock())
        uncovered = sorted(host for host in hosts if not covers(policy, host))
        if seen[domain].unknown:
            work.end(tools, Stage.PREPARE, Outcome.UNKNOWN, *seen[domain].unknown)
        elif uncovered:
            work.end(tools, Stage.PREPARE, Outcome.STALE, stale(domain, [f"the MX records ({', '.join(uncovered)})"]))
        else:
            continue
        # Nothing was put, so the note of the put is taken back.
        tools.book.set(domain, earlier[domain])
        note(tools, work.place, seen[domain], tools.clock())


def _enforced(work: Work) -> Policy | None:
    """The enforce policy that the domain puts, unless it is a repair or the guard of its MX hosts is lifted."""
    if work.plan.repair or any(finding.code == "MTS401" for finding in work.plan.findings):
        return None
    put = next((step for step in work.plan.steps if isinstance(step, PutPolicy)), None)
    policy = None if put is None else read_policy(put.body)
    return policy if policy is not None and policy.mode is Mode.ENFORCE else None


_WORDS: Final = {
    "_mta-sts": "the _mta-sts record",
    "_smtp._tls": "the _smtp._tls record",
    "mx": "the MX records",
    "policy": "the served policy",
    "address": "the address of the policy host",
    "settings": "the declaration",
    "ledger": "the ledger",
}


def changed_things(what: Sequence[str]) -> str:
    """The names of plan inputs, for people."""
    return " and ".join(_WORDS.get(name, name) for name in what)


def stale(domain: Domain, what: Sequence[str]) -> Diagnostic:
    """The world has moved since the plan was made: `what` are the names of plan inputs, or words for people."""
    return Diagnostic(
        code="MTS702",
        message=f"{changed_things(what)} changed since the plan was made; the domain is left as it is",
        domain=str(domain),
        hint="Run `deploy plan` again and look at what it says now.",
    )


def _note(tools: Tools, work: Work, seen: Observed) -> Entry:
    """Write into the ledger what is about to happen; the entry without the put, in case it is refused."""
    now = tools.clock()
    entry = tools.book.entry(work.plan.domain)
    before = before_of(tools, seen, work.plan.change_of(RecordKind.TLSRPT))
    if not work.plan.moves:  # a move changes no policy, so there is nothing to go back to
        entry = taking_back(entry) if tools.rollback else changing(entry, before)
    if "MTS423" in work.plan.lifted:
        entry = given_up(entry, seen.lost, work.place.host)
    if "MTS424" in work.plan.lifted:
        entry = vouched(entry, work.place.host)
    without = entry
    if work.plan.moves:
        entry = _prepared(work, seen, entry, now)
    put = next((step for step in work.plan.steps if isinstance(step, PutPolicy)), None)
    if put is not None:
        entry = putting(entry, put.body, now)
    tools.book.set(work.plan.domain, placed(entry, work.place.dns, entry.host if entry.published else work.place.host))
    return without


def _prepared(work: Work, seen: Observed, entry: Entry, now: datetime) -> Entry:
    """Before the first copy: senders may be led to the new host, by the new address or, where that is not managed, by the present one."""
    address, ttl = max(seen.leads.items(), key=lambda item: item[1])
    if work.place.address is not None:
        address, ttl = work.place.address, work.settings.ttl
    return preparing(entry, work.place.host, address, ttl, now, put=False)


def _put(tools: Tools, work: Work, refused: list[Work], lost: list[LeaseLost]) -> None:
    domain, written = work.plan.domain, False
    for step in work.plan.steps:
        if not isinstance(step, PutPolicy | RemovePolicy):
            continue
        ended = started(tools, Stage.PREPARE, "put-policy" if isinstance(step, PutPolicy) else "remove-policy", [domain])
        try:
            tools.lease.prove()
            work.begun = True
            if isinstance(step, PutPolicy):
                tools.world.hosts[step.host].put(domain, step.body, step.before)
            else:
                tools.world.hosts[step.host].remove(domain, step.before)
            written = True
            ended(domain)
        except HostError as error:
            ended(domain, "failed", finding=error.diagnostics[0])
            if not error.written and not written:
                work.begun = work.led
                refused.append(work)
            work.end(tools, Stage.PREPARE, Outcome.FAILED, *error.diagnostics)
            return
        except LeaseLost as error:
            lost.append(error)
            return


def _purge(tools: Tools, works: Sequence[Work]) -> None:
    """Have caches forget the old bytes, once for all domains of a host; where they may not have, no record moves.

    A signal ends the wait.
    """

    def waiting() -> None:
        tools.lease.prove()
        if tools.stop.requested:
            raise _Interrupted

    hosts = [(work, hosts_of(tools, work)) for work in works]
    for work in works:
        work.purged = True
    for name in dict.fromkeys(name for _, names in hosts for name in names):
        group = [work for work, names in hosts if name in names and work.open]
        try:
            purged = tools.world.hosts[name].purge([work.plan.domain for work in group], waiting)
        except HostError as error:
            for work in group:
                work.end(tools, Stage.PREPARE, Outcome.FAILED, *error.diagnostics)
        except _Interrupted:
            for work in group:
                work.end(tools, Stage.PREPARE, Outcome.INTERRUPTED)
        else:
            for work in group:
                work.purged = work.purged and purged


def _read_back(tools: Tools, works: Sequence[Work]) -> None:
    """What the host holds must be the planned bytes. With `confirm: storage` that is the barrier; else the fetch follows."""
    fresh = fetch(tools, works)
    now = tools.clock()
    for work in works:
        found = fresh[work.plan.domain]
        entry = tools.book.entry(work.plan.domain)
        bodies = {file.body if isinstance(file, HostedPolicy) else None for file in found.values()}
        files = [file for file in found.values() if isinstance(file, HostedPolicy)]
        entry = saw(entry, Look(bodies=tuple(file.body for file in files)), now)
        if entry.astray:
            pass  # what is not at this host may be at another
        elif len(bodies) == 1 and files:
            if not entry.host:  # what an import has found elsewhere is on a host of ours now, not from the note of the put on
                entry = placed(entry, work.place.dns, work.place.host)
            shown = found.get(entry.host)
            mark = shown.mark if isinstance(shown, HostedPolicy) else None
            entry = (stored if work.place.https else read_back)(entry, files[0].body, now, mark)
        elif not any(found.values()) and not entry.elsewhere(entry.ids):
            entry = removed(entry, now)
        tools.book.set(work.plan.domain, entry)
        wanted = next((step.body for step in work.plan.steps if isinstance(step, PutPolicy | Barrier)), None)
        wrong = [(host, file) for host, file in found.items() if not (isinstance(file, HostedPolicy) and file.body == wanted)]
        if wanted is not None and wrong:
            work.end(tools, Stage.PREPARE, Outcome.FAILED, not_served(wrong[0][0], wanted, wrong[0][1]))
        elif _puts(work) and not (work.place.https and wanted is not None):
            report(tools, Event(stage=Stage.PREPARE, what="done", domain=work.plan.domain, text="policy is served"))


def fetch(tools: Tools, works: Sequence[Work]) -> dict[Domain, dict[str, HostedPolicy | Unknown | None]]:
    """What is at each host of each domain now."""
    hosts = {work.plan.domain: hosts_of(tools, work) for work in works}
    found: dict[Domain, dict[str, HostedPolicy | Unknown | None]] = {domain: {} for domain in hosts}
    for name in dict.fromkeys(name for names in hosts.values() for name in names):
        group = [domain for domain, names in hosts.items() if name in names]
        files = tools.world.hosts[name].read(group)
        for domain in group:
            found[domain][name] = files.get(domain)
    return found


def not_served(host: str, wanted: bytes, found: HostedPolicy | Unknown | None) -> Diagnostic:
    """The barrier does not open: say what is served instead."""
    if isinstance(found, Unknown):
        return found.reason
    instead = "no file is there" if found is None else f"other bytes are there (sha256 {digits_of(found.body)}…)"
    return Diagnostic(
        code="MTS704",
        message=f"the planned policy (sha256 {digits_of(wanted)}…) is not what {host} serves: {instead}; no record was moved",
        hint="Find out who else writes there, then run `deploy apply` again.",
        ref="RFC 8461 §8.1",
    )
