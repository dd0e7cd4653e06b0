"""The composition root: a declaration becomes targets, hosts, state; and `plan`, `apply`, `rollback`, `status` are calls on them.

Concrete adapters are made by `adapters`. Tests build a `Deployment` with adapters of their own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mtasts_deploy import adapters
from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.choices import BEAT, PATIENCE, OnError, OnStale, Stop
from mtasts_deploy.apply.report import Event, Outcome, Result, Stage, summary_json
from mtasts_deploy.apply.waves import NONE, Share
from mtasts_deploy.declaration.model import PLUGIN, Declaration, DomainSettings
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import MtastsError
from mtasts_deploy.facts import ZoneName
from mtasts_deploy.observe import World
from mtasts_deploy.plan.file import digest
from mtasts_deploy.plan.model import DomainPlan, Plan, Verdict
from mtasts_deploy.plan.selection import Lifted, Selection
from mtasts_deploy.plan.since import compared
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.options import Looking
from mtasts_deploy.surveying import Survey, Surveyor

if TYPE_CHECKING:
    from mtasts_deploy.apply.lock import Lease
    from mtasts_deploy.apply.upkeep import Inventory
    from mtasts_deploy.apply.work import Tools, Work
    from mtasts_deploy.dns.interface import Target
    from mtasts_deploy.dns.zone_memory import ZoneMemory
    from mtasts_deploy.hosting.interface import Host
    from mtasts_deploy.ledger.events import Look
    from mtasts_deploy.sender.interface import Fetcher, NameServers
    from mtasts_deploy.state.interface import StateStore
    from mtasts_deploy.verify.evidence import Witness
    from mtasts_deploy.verify.look import Eyes
    from mtasts_deploy.verify.policies import Declared


def utc_now() -> datetime:
    """The time in UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run goes."""

    on_error: OnError = OnError.CONTINUE
    parallelism: int = 32
    lock_timeout: timedelta = timedelta()
    barrier_timeout: timedelta = PATIENCE
    command: str = "deploy apply"
    on_stale: OnStale = OnStale.STOP
    waves: tuple[Share, ...] = ()
    max_failures: Share = NONE


@dataclass(kw_only=True)
class Deployment:
    """A declaration with its adapters. `clock` gives UTC in whole seconds; `sleep` takes seconds, when nothing is under way, `pause` in a
    run. `ticks` are seconds that only grow, `beat` those between two heartbeats of the lock (None: none). `world` remembers the zones that
    were found. `fetcher` makes what fetches policies, at the first run that needs it, `name_servers` what asks them; without it the
    providers' word has to do. `eyes` makes what looks at a domain before its policy becomes stricter (None: nobody looks), `evidence` is
    what was seen elsewhere, by domain. `memories` are saved at the end of a run.
    """

    declaration: Declaration
    targets: Mapping[str, Target]
    hosts: Mapping[str, Host]
    store: StateStore
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    emit: Callable[[Event], None] = lambda _: None
    stop: Stop = field(default_factory=Stop)
    fetcher: Callable[[], Fetcher] | None = None
    name_servers: Callable[[], NameServers] | None = None
    pause: Callable[[float], None] = time.sleep
    ticks: Callable[[], float] = time.monotonic
    memories: Sequence[ZoneMemory] = ()
    beat: float | None = None
    world: World | None = None
    eyes: Callable[[], Eyes] | None = None
    evidence: Mapping[str, Witness] = field(default_factory=dict)

    @classmethod
    def of(cls, declaration: Declaration, looking: Looking | None = None) -> Deployment:
        """The deployment that a declaration describes, looking at the world in this way. Touches nothing yet."""
        base = declaration.directory
        memories = adapters.memories(declaration.providers.values(), declaration.state, base)
        targets: dict[str, Target] = {name: adapters.target(spec, base, memories.get(name)) for name, spec in declaration.providers.items()}
        if any(not settings.dns for settings in declaration.domains.values()):
            targets[PLUGIN] = adapters.served_zones(looking or Looking())
        return cls(
            declaration=declaration,
            targets=targets,
            hosts={name: adapters.host(spec, base) for name, spec in declaration.hosts.items()},
            store=adapters.state(declaration.state, base),
            fetcher=lambda: adapters.fetcher(looking or Looking()),
            memories=tuple(memories.values()),
            beat=BEAT,
            name_servers=lambda: adapters.name_servers(looking or Looking()),
            eyes=lambda: adapters.eyes(looking or Looking(), utc_now, smtp=True),
        )

    def plan(self, selection: Selection | None = None, lifted: Lifted | None = None, since: Declaration | None = None) -> Plan:
        """What an apply would do now; with `since`, also what it would do if all were declared as there. Writes nothing; takes no lock."""
        book = Book(self.store)
        survey = self._surveyor().survey(book, selection or Selection(), lifted or Lifted())
        return survey.plan if since is None else compared(survey.plan, self.declaration, since, survey.seen, book.readable)

    def apply(
        self,
        *,
        selection: Selection | None = None,
        lifted: Lifted | None = None,
        options: Options | None = None,
        approve: Callable[[Plan], bool] | None = None,
        saved: Plan | None = None,
        expect: str | None = None,
        on_plan: Callable[[Plan], None] = lambda _: None,
    ) -> Result | None:
        """Bring the world to the declaration.

        With `saved`, that plan and no other. With `approve`, plans first, asks, and then takes the lock; None if the answer is no. Else
        plans once, under the lock, and tells `on_plan`; with `expect`, only if the plan has this digest. Raises `StalePlan`, `LockHeld`,
        `LeaseLost`, `StateError`.
        """
        from mtasts_deploy.apply.recheck import unless_expected, unless_stale

        selection, lifted, options = selection or Selection(), lifted or Lifted(), options or Options()
        if saved is None and approve is not None:
            saved = self._surveyor().survey(Book(self.store), selection, lifted).plan
            if not approve(saved):
                return None
        with self._lease(options, self._concerned(selection, saved)) as lease:
            book = Book(self.store)
            if saved is None:
                survey = self._surveyor().survey(book, selection, lifted)
                on_plan(survey.plan)
                if expect is not None:
                    unless_expected(survey.plan, expect)
            else:
                survey = self._surveyor().survey_saved(book, saved)
                unless_stale(survey.plan, options.on_stale)
            return self._run(lease, book, survey, options, approved=saved)

    def rollback(
        self,
        domains: Sequence[Domain],
        *,
        options: Options | None = None,
        approve: Callable[[Plan], bool],
    ) -> Result | None:
        """Take the last change of these domains back to what was live before it; without any, what the last run changed. None if
        `approve` says no.
        """
        options = options or Options(command="deploy rollback")
        named = [self._surveyor().settings(domain) for domain in domains]
        with self._lease(options, named or self.declaration.domains.values()) as lease:
            book = Book(self.store)
            survey = self._surveyor().survey_back(book, self._surveyor().to_take_back(book, domains), partial=bool(domains))
            if not approve(survey.plan):
                return None
            return self._run(lease, book, survey, options, rollback=True)

    def rollback_plan(self, domains: Sequence[Domain]) -> Plan:
        """What `rollback` would do now. Writes nothing."""
        book = Book(self.store)
        return self._surveyor().survey_back(book, self._surveyor().to_take_back(book, domains), partial=bool(domains)).plan

    def survey(self, selection: Selection | None = None) -> tuple[Survey, Book]:
        """The plan of this moment with all that it was made from, for `status`, `history` and `render`. Writes nothing."""
        book = Book(self.store)
        return self._surveyor().survey(book, selection or Selection(), Lifted()), book

    def declared(self, domains: Iterable[Domain]) -> tuple[dict[Domain, Declared], tuple[Diagnostic, ...]]:
        """What is known of those of these domains that are declared, for a verification, and why the ledger could not be read, if so."""
        from mtasts_deploy.verify.policies import Declared

        book = Book(self.store)
        known: dict[Domain, Declared] = {}
        problems: dict[Diagnostic, None] = {}
        for domain in domains:
            if (settings := self.declaration.domains.get(domain)) is None:
                continue
            try:
                known[domain] = Declared(settings=settings, entry=book.get(domain))
            except MtastsError as error:
                known[domain] = Declared(settings=settings)
                problems |= dict.fromkeys(error.diagnostics)
        return known, tuple(problems)

    def inventory(self) -> Inventory:
        """What the state holds. Writes nothing. Raises `StateError` where it cannot be reached."""
        from mtasts_deploy.apply.upkeep import inventory

        return inventory(self.store, self.declaration.domains)

    def rebuild(self, options: Options) -> list[tuple[str, str]]:
        """Make anew what cannot be read in the ledger, from what is live; see `upkeep.rebuild`. Raises `LockHeld`, `StateError`."""
        from mtasts_deploy.apply.upkeep import rebuild

        with self._lease(options, self.declaration.domains.values()) as lease:
            found = self.inventory()
            places = [self._surveyor().place(self.declaration.domains[domain]) for domain in found.lost]
            seen = self._surveyor().usable(places).observe(places)
            return rebuild(self.store, found, seen, self.clock(), lease.prove)

    def adopt(self, seen: Mapping[Domain, Look], options: Options) -> None:
        """Remember what senders may have stored of declared domains that others have published so far. Writes nothing but the ledger.
        Raises `LockHeld`, `StateError`.
        """
        from mtasts_deploy.ledger.events import saw

        with self._lease(options, [self._surveyor().settings(domain) for domain in seen]) as lease:
            book = Book(self.store)
            for domain, look in seen.items():
                book.set(domain, saw(book.entry(domain), look, self.clock()))
            book.save(lease.prove)

    def _concerned(self, selection: Selection, saved: Plan | None) -> list[DomainSettings]:
        """The declared domains that a run may write about: those that are chosen, or those with steps in the saved plan."""
        declared = self.declaration.domains
        if saved is None:
            return list(self._surveyor().chosen(selection).values())
        return [declared[plan.domain] for plan in saved.domains if plan.steps and plan.domain in declared]

    def _surveyor(self) -> Surveyor:
        if self.world is None:
            self.world = World(self.targets, self.hosts)
        return Surveyor(
            declaration=self.declaration,
            world=self.world,
            clock=self.clock,
            public=self.name_servers is not None,
            eyes=self.eyes,
            evidence=self.evidence,
        )

    def _lease(self, options: Options, chosen: Iterable[DomainSettings]) -> Lease:
        """The lease on the zones of these domains; a domain without a zone counts as one."""
        from mtasts_deploy.apply.leases import bucket_of
        from mtasts_deploy.apply.lock import Lease

        found = self._surveyor().world.zones(self._surveyor().place(settings) for settings in chosen)
        zones = frozenset[ZoneName]().union(*(held or {ZoneName(f"{domain}.")} for domain, held in found.items()))
        return Lease.acquire(
            self.store,
            command=options.command,
            now=self.clock,
            timeout=options.lock_timeout,
            sleep=self.sleep,
            on_message=lambda finding: self.emit(Event(stage=Stage.LOOK, what="lock", finding=finding)),
            buckets={bucket_of(zone) for zone in zones},
            beat=self.beat,
        )

    def _run(
        self, lease: Lease, book: Book, survey: Survey, options: Options, *, rollback: bool = False, approved: Plan | None = None
    ) -> Result:
        from mtasts_deploy.apply.run import run  # with threads and the barrier: 15 ms that `plan` can do without
        from mtasts_deploy.apply.runlog import RunLog
        from mtasts_deploy.apply.work import Tools

        works = [self._work(plan) for plan in survey.plan.acting]
        run_id = secrets.token_hex(4)
        log = RunLog(self.store, run_id, self.clock)
        tools = Tools(
            run=run_id,
            world=self._surveyor().world,
            book=book,
            lease=lease,
            log=log,
            clock=self.clock,
            emit=self.emit,
            stop=self.stop,
            fetcher=self.fetcher() if self.fetcher is not None and any(work.place.https for work in works) else None,
            name_servers=self.name_servers() if self.name_servers and any(one.public for one in survey.places.values()) else None,
            patience=options.barrier_timeout,
            ticks=self.ticks,
            pause=self.pause,
            parallelism=options.parallelism,
            rollback=rollback,
            plan=digest(approved or survey.plan),
        )

        def take_back(changed: Sequence[Work]) -> list[Work]:
            back = self._surveyor().survey_back(book, [work.settings for work in changed], partial=True)
            return [self._backwards(tools, plan) for plan in back.plan.domains]

        try:
            result = run(tools, survey.plan, works, survey.seen, survey.places, options, take_back)
            log.write(summary_json(result))
            return result
        finally:
            for memory in self.memories:
                memory.save()
            if (warning := log.close()) is not None:
                self.emit(Event(stage=Stage.COMMIT, what="warning", finding=warning))

    def _backwards(self, tools: Tools, plan: DomainPlan) -> Work:
        """A domain to be taken back; it ends at once where nothing can or need be done."""
        work = self._work(plan)
        work.begun = True
        if plan.verdict in (Verdict.UNCHANGED, Verdict.WAITING):
            work.end(tools, Stage.PREPARE, Outcome.TAKEN_BACK)
        elif not plan.acts:
            work.end(tools, Stage.PREPARE, Outcome.UNFINISHED, *plan.findings)
        return work

    def _work(self, plan: DomainPlan) -> Work:
        from mtasts_deploy.apply.work import Work

        settings = self.declaration.domains[plan.domain]
        return Work(plan=plan, settings=settings, place=self._surveyor().place(settings))
