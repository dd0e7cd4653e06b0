"""What the stages share: the tools of a run (`Tools`) and one domain on its way through them (`Work`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from mtasts_deploy.apply.barrier import Progress
from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.choices import PATIENCE, Stop
from mtasts_deploy.apply.report import Event, Outcome, Stage, as_json
from mtasts_deploy.declaration.model import DomainSettings
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import HostedPolicy, RecordKind, Unknown
from mtasts_deploy.ledger.events import confirmed, digits_of, placed, read_back, saw, stored, written_by_us
from mtasts_deploy.ledger.model import Before, Entry
from mtasts_deploy.ledger.ways import UNKNOWN_HOST
from mtasts_deploy.observe import World
from mtasts_deploy.observed import Observed, Place
from mtasts_deploy.plan.model import DomainPlan, PutPolicy, RemovePolicy, SiteChange
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.interface import Fetcher, NameServers

CHUNK = 64
"""Domains (or zones) between two writes of the ledger: what a crash can leave to look at again, and how fresh a look is before a push."""
T = TypeVar("T")


class Prover(Protocol):
    """The lock, as far as the stages know it."""

    def prove(self) -> None:
        """Raise `LeaseLost` unless this run still holds the lock with time to spare."""


class Log(Protocol):
    """The run log."""

    def write(self, event: dict[str, object]) -> Diagnostic | None:
        """Add one event; a warning, once, if that fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """All that a run works with. `clock` gives the time in UTC, whole seconds; `ticks` seconds that only grow; `pause` takes seconds.

    `fetcher` may be None where no policy is confirmed by fetching it, `name_servers` where no record is in a zone that they serve.
    `patience` is how long the barrier waits. `plan` is the digest of the plan that is carried out.
    """

    run: str
    world: World
    book: Book
    lease: Prover
    log: Log
    clock: Callable[[], datetime]
    emit: Callable[[Event], None]
    stop: Stop
    fetcher: Fetcher | None = None
    name_servers: NameServers | None = None
    patience: timedelta = PATIENCE
    ticks: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    parallelism: int = 32
    rollback: bool = False
    plan: str = ""


@dataclass(slots=True, kw_only=True)
class Work:
    """One domain on its way. `begun`: something in the world was changed for it; `led`: its address was. `progress`: what is known about
    caches of its policy, `purged`: those in front of its hosts have forgotten it since it was put.
    """

    plan: DomainPlan
    settings: DomainSettings
    place: Place
    outcome: Outcome | None = None
    begun: bool = False
    led: bool = False
    progress: Progress = field(default_factory=Progress)
    purged: bool = False
    findings: list[Diagnostic] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Is there still something to do?"""
        return self.outcome is None

    def end(self, tools: Tools, stage: Stage, outcome: Outcome, *findings: Diagnostic) -> None:
        """The domain ends here. A failure after the world was changed is `unfinished`: the next apply goes on."""
        if self.begun and outcome in (Outcome.FAILED, Outcome.STALE, Outcome.UNKNOWN):
            outcome = Outcome.UNFINISHED
        self.outcome = outcome
        named = [finding if finding.domain else finding.of(str(self.plan.domain)) for finding in findings]
        self.findings += named
        report(tools, Event(stage=stage, what=outcome.value, domain=self.plan.domain, finding=named[0] if named else None))
        for finding in named[1:]:
            report(tools, Event(stage=stage, what=outcome.value, domain=self.plan.domain, finding=finding))


def report(tools: Tools, event: Event) -> None:
    """Tell the world and the run log."""
    event = replace(event, run=tools.run, at=tools.clock())
    tools.emit(event)
    warning = tools.log.write(as_json(event))
    if warning is not None:
        tools.emit(Event(stage=event.stage, what="warning", finding=warning))


def started(tools: Tools, stage: Stage, step: str, domains: Iterable[Domain]) -> Callable[..., None]:
    """Tell that a step begins for these domains; to be called with each domain when it has ended, and with how: `what` is `done` or
    `failed`.
    """
    began = tools.ticks()
    for domain in domains:
        report(tools, Event(stage=stage, what="started", domain=domain, step=step))

    def ended(domain: Domain, what: str = "done", *, text: str = "", finding: Diagnostic | None = None) -> None:
        seconds = round(tools.ticks() - began, 3)
        report(tools, Event(stage=stage, what=what, domain=domain, step=step, seconds=seconds, text=text, finding=finding))

    return ended


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items in portions."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


def in_parallel(tools: Tools, action: Callable[[T], None], items: Iterable[T]) -> None:
    """Do this to each item, several at a time; the action must not raise."""
    todo = list(items)
    if len(todo) <= 1 or tools.parallelism <= 1:
        for item in todo:
            action(item)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=min(tools.parallelism, len(todo))) as pool:
        list(pool.map(action, todo))


def look_again(tools: Tools, works: Sequence[Work]) -> dict[Domain, Observed]:
    """Observe these domains afresh and note the looks in the ledger (not yet saved)."""
    seen = tools.world.observe([work.place for work in works], tools.book.get)
    now = tools.clock()
    for work in works:
        note(tools, work.place, seen[work.plan.domain], now)
    return seen


def note(tools: Tools, place: Place, seen: Observed, now: datetime) -> None:
    """Put a look into the ledger: what was seen was exposed; what is confirmed closes what went before."""
    if seen.unknown:
        return
    entry = tools.book.entry(seen.domain)
    if not place.plugin:
        entry = written_by_us(entry)
    entry = saw(entry, seen.look(), now)
    if entry.ids or entry.policies:
        entry = placed(entry, place.dns, serving(entry, place, seen))
    tools.book.set(seen.domain, settle(entry, seen, now, https=place.https, public=place.public))


def serving(entry: Entry, place: Place, seen: Observed) -> str:
    """The host whose file counts as the served one: the declared one as soon as senders are led to it, with the same bytes there; none
    while what others serve was imported.
    """
    if entry.astray:
        return UNKNOWN_HOST
    if not isinstance(seen.hosted, HostedPolicy) and entry.elsewhere(text for text, _ in seen.ids):
        return UNKNOWN_HOST
    if not entry.published or seen.host == place.host:
        return place.host
    copy = next((copy for copy in seen.copies if copy.host == place.host and copy.led), None)
    same = copy is not None and isinstance(copy.hosted, HostedPolicy) and isinstance(seen.hosted, HostedPolicy)
    arrived = place.address is None or set(seen.leads) == {place.address}
    return place.host if same and arrived and copy is not None and _body(copy.hosted) == _body(seen.hosted) else seen.host


def _body(file: HostedPolicy | Unknown | None) -> bytes | None:
    return file.body if isinstance(file, HostedPolicy) else None


def settle(entry: Entry, seen: Observed, now: datetime, *, https: bool = False, public: bool = False) -> Entry:
    """Close what a look shows to be gone: other bytes than the served ones, other ids than the only one at every provider.

    `https`: what the host holds is not yet what senders get, so other bytes are gone when the barrier says so. `public`: what the
    provider holds is not yet what name servers give, so other ids are gone when `confirm` says so.
    """
    # While a host that may be asked has other bytes, or may have as nobody knows which one it is, those are not gone.
    alone = len({_body(file) for file in seen.files.values()}) == 1 and not entry.astray
    if alone and isinstance(seen.hosted, HostedPolicy):
        entry = (stored if https else read_back)(entry, seen.hosted.body, now, seen.hosted.mark if seen.host == entry.host else None)
    live = [site.ours(RecordKind.STS) for site in seen.sts]
    if not public and len(seen.ids) == 1 and all(len(values) == 1 and values == live[0] for values in live):
        entry = confirmed(entry, seen.ids[0][0], now)
    return entry


def hosts_of(tools: Tools, work: Work) -> tuple[str, ...]:
    """The hosts that must have the planned policy: those where it is put, and all that senders may be led to."""
    named = [step.host for step in work.plan.steps if isinstance(step, PutPolicy | RemovePolicy)]
    led = [host for host in tools.book.entry(work.plan.domain).hosts if host in tools.world.hosts]
    return tuple(dict.fromkeys([*named, *led])) or (work.place.host,)


def before_of(tools: Tools, seen: Observed, tlsrpt: SiteChange | None) -> Before:
    """What is live now, to go back to; a record that octodns-sync may publish at any time counts as live."""
    hosted = seen.hosted
    fetched = tools.book.entry(seen.domain).elsewhere(text for text, _ in seen.ids)
    policy = digits_of(hosted.body) if isinstance(hosted, HostedPolicy) else next(iter(fetched)) if len(fetched) == 1 else None
    live = [value for site in seen.tlsrpt for value in site.ours(RecordKind.TLSRPT)]
    return Before(
        run=tools.run,
        at=tools.clock(),
        policy=policy,
        sts=bool(seen.ids) or tools.book.entry(seen.domain).to_publish is not None,
        tlsrpt=live[0] if tlsrpt is not None and live else None,
        tlsrpt_changed=tlsrpt is not None,
        plan=tools.plan,
    )
