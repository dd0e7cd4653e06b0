"""What the stages ask the world of senders: before anything is public, between the put and the push, and just before the push.

Only domains with `confirm: https`. Whatever a fetch shows goes into the ledger, before anything is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from mtasts_deploy.apply.barrier import Aim, Asking, Closed, Passed, Watch, skew, watch, wrong
from mtasts_deploy.apply.report import Event, Outcome, Stage
from mtasts_deploy.apply.work import Tools, Work, hosts_of, in_parallel, report, started
from mtasts_deploy.declaration.model import Confirm
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Fetched
from mtasts_deploy.ledger.events import Look, digits_of, read_back, saw
from mtasts_deploy.ledger.ways import open_addresses
from mtasts_deploy.plan.model import Barrier, PutPolicy
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.interface import Fetcher

# What putting a file does not mend: who asks that address gets no policy, before and after (certificates, redirects, addresses).
_UNMENDED: Final = frozenset(
    f"MTS{number}" for number in (500, 501, 502, 510, 511, 512, 513, 514, 515, 516, 518, 520, 550, 551, 552, 553, 554)
)
# What a server shows that has no certificate for a name yet; it gets one when the name leads to it (ACME, RFC 8555).
_UNCERTIFIED: Final = frozenset({"MTS510", "MTS511", "MTS512", "MTS513", "MTS514", "MTS518"})
_UNKNOWN: Final = frozenset({"MTS501", "MTS502", "MTS552", "MTS553", "MTS554"})


def wanted(work: Work) -> bytes | None:
    """The policy that must be served before a record of this domain moves."""
    return next((step.body for step in work.plan.steps if isinstance(step, PutPolicy | Barrier)), None)


def by_https(works: Sequence[Work]) -> list[Work]:
    """The open domains whose policy must be proved by fetching it."""
    return [work for work in works if work.open and work.settings.confirm is Confirm.HTTPS and wanted(work) is not None]


def preflight(tools: Tools, works: Sequence[Work]) -> None:
    """Before anything is public: fetch each policy host as it is. A domain whose host is broken in a way that the put does not mend ends.

    A repair is never held up here: whoever looks must be able to find it.
    """
    asked = [work for work in by_https(works) if not _new(tools, work) and not work.plan.moves]
    imported = {work.plan.domain: _imported(tools, work) for work in asked}
    for work, answers in _fetched(tools, asked, stoppable=True):
        work.progress = work.progress.seeing(answers)
        served = {digits_of(body) for one in answers if (body := one.served) is not None}
        if (known := imported[work.plan.domain]) and served - known:
            work.end(tools, Stage.LOOK, Outcome.STALE, _changed_since(work.plan.domain))
            continue
        broken = [one.problem for one in answers if one.problem is not None and one.problem.code in _UNMENDED]
        if work.plan.repair:
            continue
        if all(one.unreachable for one in answers):
            broken += wrong(b"", answers)
        broken += skew(answers, tools.clock())
        if broken:
            unknown = all(one.code in _UNKNOWN for one in broken)
            work.end(tools, Stage.LOOK, Outcome.UNKNOWN if unknown else Outcome.FAILED, *broken)
    if asked:
        tools.book.save(tools.lease.prove)


def _imported(tools: Tools, work: Work) -> frozenset[str]:
    """The bytes, by digits, that an import has seen on a server of others, where the plan has only that to go by."""
    entry = tools.book.entry(work.plan.domain)
    return entry.elsewhere(entry.ids)


def _changed_since(domain: Domain) -> Diagnostic:
    return Diagnostic(
        code="MTS702",
        message="the served policy is another than the one that was imported; the domain is left as it is",
        domain=str(domain),
        hint="Somebody else still publishes there. Run `deploy verify`, correct the declaration, then plan again.",
    )


def _new(tools: Tools, work: Work) -> bool:
    """Is the address ours and nothing published yet? Then what is wrong there now may still come right by itself."""
    return work.place.address is not None and not tools.book.entry(work.plan.domain).published


def _asking(tools: Tools, work: Work) -> Asking:
    """A move is proved at the new address; after it, a policy is proved wherever senders may still be led."""
    at = next((step.at for step in work.plan.steps if isinstance(step, Barrier)), None)
    beside = open_addresses(tools.book.entry(work.plan.domain), tools.clock())
    return Asking(at=at) if at is not None else Asking(beside=beside if len(beside) > 1 else ())


def barrier(tools: Tools, works: Sequence[Work]) -> None:
    """Hold these domains until senders get their policies. Those whose time is up end; their records stay."""
    asked = by_https(works)
    if not asked:
        return
    watches = {work.plan.domain: _watch(tools, work) for work in asked}
    ended = started(tools, Stage.PREPARE, "barrier", watches)

    def going() -> bool:
        tools.lease.prove()
        return not tools.stop.requested

    def say(one: Watch, why: Diagnostic) -> None:
        text = f"waiting for its policy to be served: {why.code} {why.message}"
        report(tools, Event(stage=Stage.PREPARE, what="waiting", domain=one.domain, text=text))

    watch(
        list(watches.values()),
        _fetcher(tools),
        clock=tools.clock,
        ticks=tools.ticks,
        pause=tools.pause,
        going=going,
        say=say,
        parallelism=tools.parallelism,
    )
    for work in asked:
        _ended(tools, work, watches[work.plan.domain], ended)


def _watch(tools: Tools, work: Work) -> Watch:
    now = tools.clock()
    body = wanted(work)
    assert body is not None
    known = tools.book.entry(work.plan.domain).policies.get(digits_of(body))
    aim = Aim(
        wanted=body,
        began=now,
        until=now + tools.patience,
        read_back=None if known is None else known.read_back,
        edge_ttl=max((ttl for name in hosts_of(tools, work) if (ttl := tools.world.hosts[name].edge_ttl) is not None), default=None),
        purged=work.purged,
        repair=work.plan.repair,
        new=_new(tools, work),
    )
    return Watch(domain=work.plan.domain, aim=aim, asking=_asking(tools, work), progress=work.progress)


def _ended(tools: Tools, work: Work, one: Watch, ended: Callable[..., None]) -> None:
    now = tools.clock()
    entry = saw(tools.book.entry(one.domain), Look(bodies=tuple(one.bodies)), now)
    work.progress = replace(one.progress, right=0, wrong=0)
    _warn(work, one.warnings)
    match one.end:
        case None:
            work.end(tools, Stage.PREPARE, Outcome.INTERRUPTED)
        case Closed() if one.aim.new and all(finding.code in _UNCERTIFIED for finding in one.end.findings):
            _await_certificate(tools, work, one.end.findings[0])
        case Closed():
            ended(one.domain, "failed", finding=one.end.findings[0])
            work.end(tools, Stage.PREPARE, Outcome.FAILED, *one.end.findings)
        case Passed():
            # What was there before is gone everywhere, as far as anybody can tell.
            entry = read_back(entry, one.aim.wanted, now)
            ended(one.domain, text="policy is served")
    tools.book.set(one.domain, entry)


def _await_certificate(tools: Tools, work: Work, why: Diagnostic) -> None:
    """No record names the policy yet, so nobody misses it: the next apply goes on."""
    text = f"certificate: the policy host has none that senders accept yet ({why.code} {why.message}); the next apply looks again"
    report(tools, Event(stage=Stage.PREPARE, what="waiting", domain=work.plan.domain, text=text))
    work.end(tools, Stage.PREPARE, Outcome.WAITING)


def fetch_again(tools: Tools, works: Sequence[Work]) -> None:
    """Just before the push: fetch each policy once more. A domain whose policy is no longer the planned one ends; its record stays."""
    for work, answers in _fetched(tools, by_https(works)):
        body = wanted(work)
        assert body is not None
        found = wrong(body, answers)
        if found:
            outcome = Outcome.STALE if all(one.code == "MTS530" for one in found) else Outcome.FAILED
            work.end(tools, Stage.COMMIT, outcome, *found)


def _fetched(tools: Tools, works: Sequence[Work], *, stoppable: bool = False) -> list[tuple[Work, tuple[Fetched, ...]]]:
    """What the hosts of these domains answer now; noted in the ledger (not yet saved). `stoppable`: after a signal the rest is left out."""
    if not works:
        return []
    fetcher = _fetcher(tools)
    answers: dict[Domain, tuple[Fetched, ...]] = {}

    def fetch(work: Work) -> None:
        if stoppable and tools.stop.requested:
            return
        domain = work.plan.domain
        tools.lease.prove()  # a slow host must not make the lease run out unseen
        answers[domain] = asking[domain].answers(fetcher, domain, known=bool(tools.book.entry(domain).ids))

    asking = {work.plan.domain: _asking(tools, work) for work in works}  # the book is for one thread: its shards are read before
    in_parallel(tools, fetch, works)
    now = tools.clock()
    asked = [work for work in works if work.plan.domain in answers]
    for work in asked:
        domain = work.plan.domain
        bodies = tuple(dict.fromkeys(body for one in answers[domain] if (body := one.served) is not None))
        tools.book.set(domain, saw(tools.book.entry(domain), Look(bodies=bodies), now))
    return [(work, answers[work.plan.domain]) for work in asked]


def _warn(work: Work, warnings: Mapping[Diagnostic, None]) -> None:
    for warning in warnings:
        named = warning.of(str(work.plan.domain))
        if named not in work.findings:
            work.findings.append(named)


def _fetcher(tools: Tools) -> Fetcher:
    assert tools.fetcher is not None, "a domain with `confirm: https` needs a fetcher"
    return tools.fetcher
