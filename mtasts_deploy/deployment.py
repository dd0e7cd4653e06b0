"""The composition root: a declaration becomes targets, hosts, state; and `plan`, `apply`, `rollback`, `status` are calls on them.

Concrete adapters are made by `adapters`. Tests build a `Deployment` with adapters of their own.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mtasts_deploy import adapters
from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.choices import BEAT, PATIENCE, OnError, OnStale, Stop
from mtasts_deploy.apply.report import Event, Outcome, Result, Stage, summary_json
from mtasts_deploy.apply.waves import NONE, Share
from mtasts_deploy.declaration.model import PLUGIN, Confirm, Declaration, DomainSettings, Sts
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import MtastsError, Refused, UsageError
from mtasts_deploy.facts import ZoneName
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.observe import Observed, Place, World
from mtasts_deploy.plan.file import digest
from mtasts_deploy.plan.guards import stray
from mtasts_deploy.plan.handover import blocked, two_writers
from mtasts_deploy.plan.model import DomainPlan, Plan, Verdict
from mtasts_deploy.plan.planner import plan_domain
from mtasts_deploy.plan.rollback import rollback_domain
from mtasts_deploy.plan.selection import Lifted, Selection
from mtasts_deploy.plan.sharing import guard_shared, shared
from mtasts_deploy.plan.since import compared
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.options import Looking
from mtasts_deploy.verify.policies import Declared

if TYPE_CHECKING:
    from mtasts_deploy.apply.lock import Lease
    from mtasts_deploy.apply.upkeep import Inventory
    from mtasts_deploy.apply.work import Tools, Work
    from mtasts_deploy.dns.interface import Target
    from mtasts_deploy.dns.zone_memory import ZoneMemory
    from mtasts_deploy.hosting.interface import Host
    from mtasts_deploy.sender.interface import Fetcher, NameServers
    from mtasts_deploy.state.interface import StateStore
    from mtasts_deploy.verify.evidence import Witness
    from mtasts_deploy.verify.look import Eyes


def utc_now() -> datetime:
    """The time in UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A plan with what it was made from."""

    plan: Plan
    seen: Mapping[Domain, Observed]
    places: Mapping[Domain, Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run goes."""

    on_error: OnError = OnError.CONTINUE
    parallelism: int = 10
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
        survey = self._survey(book, selection or Selection(), lifted or Lifted())
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
            saved = self._survey(Book(self.store), selection, lifted).plan
            if not approve(saved):
                return None
        with self._lease(options, self._concerned(selection, saved)) as lease:
            book = Book(self.store)
            if saved is None:
                survey = self._survey(book, selection, lifted)
                on_plan(survey.plan)
                if expect is not None:
                    unless_expected(survey.plan, expect)
            else:
                survey = self._same(book, saved)
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
        named = [self._settings(domain) for domain in domains]
        with self._lease(options, named or self.declaration.domains.values()) as lease:
            book = Book(self.store)
            survey = self._rollback_survey(book, self._to_take_back(book, domains), partial=bool(domains))
            if not approve(survey.plan):
                return None
            return self._run(lease, book, survey, options, rollback=True)

    def rollback_plan(self, domains: Sequence[Domain]) -> Plan:
        """What `rollback` would do now. Writes nothing."""
        book = Book(self.store)
        return self._rollback_survey(book, self._to_take_back(book, domains), partial=bool(domains)).plan

    def survey(self, selection: Selection | None = None) -> tuple[Survey, Book]:
        """The plan of this moment with all that it was made from, for `status`, `history` and `render`. Writes nothing."""
        book = Book(self.store)
        return self._survey(book, selection or Selection(), Lifted()), book

    def declared(self, domains: Iterable[Domain]) -> tuple[dict[Domain, Declared], tuple[Diagnostic, ...]]:
        """What is known of those of these domains that are declared, for a verification, and why the ledger could not be read, if so."""
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
            places = [self._place(self.declaration.domains[domain]) for domain in found.lost]
            seen = self._world(places).observe(places)
            return rebuild(self.store, found, seen, self.clock(), lease.prove)

    def _concerned(self, selection: Selection, saved: Plan | None) -> list[DomainSettings]:
        """The declared domains that a run may write about: those that are chosen, or those with steps in the saved plan."""
        declared = self.declaration.domains
        if saved is None:
            return list(self._chosen(selection).values())
        return [declared[plan.domain] for plan in saved.domains if plan.steps and plan.domain in declared]

    def _chosen(self, selection: Selection) -> dict[Domain, DomainSettings]:
        """The selected domains; which of them fall to a shard, all declared ones decide."""
        chosen = selection.pick(self.declaration.domains)
        if selection.shard is None:
            return chosen
        from mtasts_deploy.apply.leases import bucket_of

        zones = self._world().zones(self._place(settings) for settings in self.declaration.domains.values())
        picked = selection.shard.pick(zones, self._sharers().values(), bucket_of)
        return {domain: settings for domain, settings in chosen.items() if domain in picked}

    def _settings(self, domain: Domain) -> DomainSettings:
        settings = self.declaration.domains.get(domain)
        if settings is None:
            raise UsageError(
                Diagnostic(
                    code="MTS903",
                    message=f"{domain.display} is not declared in {self.declaration.path.name}",
                    hint="Add it under `domains:` first.",
                )
            )
        return settings

    def _place(self, settings: DomainSettings) -> Place:
        zones = settings.zone
        fixed = zones if isinstance(zones, Mapping) or zones is None else dict.fromkeys(("sts", "tlsrpt", "mx", "address"), zones)
        https = settings.confirm is Confirm.HTTPS
        dns = settings.dns or (PLUGIN,)  # where only octodns-sync knows the provider, the name servers are looked at
        files = bool(settings.dns) and all(self.declaration.providers[name].local for name in settings.dns)
        public = not files and self.name_servers is not None
        return Place(
            domain=settings.domain,
            dns=dns,
            host=settings.host,
            plugin=settings.plugin,
            zones=fixed,
            https=https,
            public=public,
            address=settings.address,
        )

    def _sharers(self) -> dict[str, list[Domain]]:
        """The declared domains whose policies are one file, by its location."""
        publishing = (settings for settings in self.declaration.domains.values() if settings.sts is Sts.PUBLISH)
        return shared((self.hosts[settings.host].location(settings.domain), settings.domain) for settings in publishing)

    def _two_writers(self, world: World) -> Mapping[Domain, Diagnostic]:
        """What stops domains in whose zone both octodns-sync and `deploy apply` would write, whichever domains were asked for."""
        declared = self.declaration.domains.values()
        if len({settings.plugin for settings in declared}) < 2:
            return {}
        return two_writers(declared, lambda settings: world.zones_of(self._place(settings)))

    def _world(self, places: Iterable[Place] = ()) -> World:
        """The world; the providers of these places are found to be usable first. Raises `Refused` with what is wrong with each."""
        problems: dict[Diagnostic, None] = {}
        for name in dict.fromkeys(name for place in places for name in place.dns):
            try:
                self.targets[name].ready()
            except Refused as error:
                problems |= dict.fromkeys(error.diagnostics)
        if problems:
            raise Refused(*problems)
        if self.world is None:
            self.world = World(self.targets, self.hosts)
        return self.world

    def _look(self, places: Iterable[Place], book: Book) -> dict[Domain, Observed]:
        """Look at these domains. One whose entry in the ledger cannot be read counts as not observed."""
        places = list(places)
        seen = self._world(places).observe(places, book.readable)
        problems = {domain: problem for domain in seen if (problem := book.problem(domain))}
        return seen | {domain: replace(seen[domain], unread=(*seen[domain].unread, problem)) for domain, problem in problems.items()}

    def _survey(self, book: Book, selection: Selection, lifted: Lifted) -> Survey:
        chosen = self._chosen(selection)
        lifted.check(self.declaration.domains)
        places = {domain: self._place(settings) for domain, settings in chosen.items()}
        strays = {} if selection.partial else self._stray_places(book)
        looked = [*places.values(), *strays.values()]
        world = self._world(looked)
        seen = self._look(looked, book)
        now = self.clock()
        stops = self._two_writers(world)
        plans = [
            blocked(plan_domain(settings, seen[domain], book.readable(domain), now, lifted.for_domain(settings)), stops.get(domain))
            for domain, settings in sorted(chosen.items())
        ]
        plans = self._gated(plans, seen, lambda domain: lifted.for_domain(chosen[domain]))
        heading = "" if selection.shard is None else f"Shard {selection.shard}."
        findings = tuple(stray(domain) for domain in strays if seen[domain].ids or seen[domain].unknown)
        plan = Plan(domains=guard_shared(plans, self._sharers()), created=now, partial=selection.partial, strays=findings, heading=heading)
        managed = {domain: seen[domain] for domain, settings in chosen.items() if settings.sts is not Sts.ELSEWHERE}
        return Survey(plan=plan, seen=managed, places=places)

    def _gated(
        self, plans: Sequence[DomainPlan], seen: Mapping[Domain, Observed], lifted: Callable[[Domain], frozenset[str]]
    ) -> list[DomainPlan]:
        """The plans, those that make a policy stricter looked at as a sender does."""
        from mtasts_deploy.plan.gates import tightens

        if self.eyes is None or not any(plan.domain in seen and tightens(plan, seen[plan.domain]) for plan in plans):
            return list(plans)
        from mtasts_deploy.verify.gate import gate

        files = {domain for domain, settings in self.declaration.domains.items() if settings.by_hand}
        return gate(plans, seen, self.eyes, self.evidence, files=files, lifted=lifted)

    def _to_take_back(self, book: Book, domains: Sequence[Domain]) -> list[DomainSettings]:
        """The named domains; without any, those that the last run changed."""
        if domains:
            return [self._settings(domain) for domain in domains]
        changed = [
            (before, settings)
            for domain, settings in self.declaration.domains.items()
            if (known := book.readable(domain)) and (before := known.before)
        ]
        last = max((before for before, _ in changed), key=lambda before: before.at, default=None)
        return [settings for before, settings in changed if last is not None and before.run == last.run]

    def _rollback_survey(self, book: Book, chosen: Sequence[DomainSettings], *, partial: bool) -> Survey:
        places = {settings.domain: self._place(settings) for settings in chosen}
        world = self._world(places.values())
        seen = self._look(places.values(), book)
        now = self.clock()
        stops = self._two_writers(world)
        plans = [
            blocked(rollback_domain(settings, seen[settings.domain], book.readable(settings.domain), now), stops.get(settings.domain))
            for settings in chosen
        ]
        runs = {
            before for settings in chosen if (known := book.readable(settings.domain)) and (before := known.before) and not before.taken
        }
        said = sorted({f"run {before.run} of {before.at:%Y-%m-%d %H:%M} UTC" for before in runs})
        heading = f"Takes back {' and '.join(said)}." if said else "There is nothing to take back."
        return Survey(
            plan=Plan(domains=guard_shared(plans, self._sharers()), created=now, partial=partial, heading=heading), seen=seen, places=places
        )

    def _same(self, book: Book, saved: Plan) -> Survey:
        """The saved plan, with the domains left out whose facts or settings are no longer those that it was made from."""
        from mtasts_deploy.apply.recheck import checked, undeclared

        chosen = {plan.domain: self.declaration.domains.get(plan.domain) for plan in saved.domains if plan.steps}
        places = {domain: self._place(settings) for domain, settings in chosen.items() if settings is not None}
        world = self._world(places.values())
        seen = self._look(places.values(), book)
        now = self.clock()
        stops = self._two_writers(world)
        approved = digest(saved)
        lifted = {plan.domain: frozenset(plan.lifted) for plan in saved.domains}
        now_made = [
            blocked(plan_domain(settings, seen[domain], book.readable(domain), now, lifted[domain]), stops.get(domain))
            for domain in (plan.domain for plan in saved.domains if plan.acts)
            if (settings := chosen.get(domain)) is not None
        ]
        fresh = {plan.domain: plan for plan in self._gated(now_made, seen, lambda domain: lifted[domain])}
        plans: list[DomainPlan] = []
        for plan in saved.domains:
            if not plan.acts:
                plans.append(plan)
            elif plan.domain not in fresh:
                plans.append(undeclared(plan))
            else:
                plans.append(checked(plan, fresh[plan.domain], book.readable(plan.domain), approved))
        return Survey(
            plan=Plan(domains=guard_shared(plans, self._sharers()), created=saved.created, partial=saved.partial, strays=saved.strays),
            seen=seen,
            places=places,
        )

    def _stray_places(self, book: Book) -> dict[Domain, Place]:
        """Domains that the ledger knows as live and that are no longer declared."""
        strays = {}
        declared = {str(domain) for domain in self.declaration.domains}
        for name in book.domains():
            if name in declared:
                continue
            domain = Domain.parse(name)
            entry = book.readable(domain) or UNSEEN
            dns = tuple(one for one in entry.dns if one in self.targets)
            if dns and entry.host in self.hosts and _open(entry):
                strays[domain] = Place(domain=domain, dns=dns, host=entry.host)
        return strays

    def _lease(self, options: Options, chosen: Iterable[DomainSettings]) -> Lease:
        """The lease on the zones of these domains; a domain without a zone counts as one."""
        from mtasts_deploy.apply.leases import bucket_of
        from mtasts_deploy.apply.lock import Lease

        found = self._world().zones(self._place(settings) for settings in chosen)
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
            world=self._world(),
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
            back = self._rollback_survey(book, [work.settings for work in changed], partial=True)
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
        return Work(plan=plan, settings=settings, place=self._place(settings))


def _open(entry: Entry) -> bool:
    return any(known.until is None for known in entry.ids.values())
