"""The composition root: a declaration becomes targets, hosts, state; and `plan`, `apply`, `rollback`, `status` are calls on them.

Concrete adapters are made by `adapters`. Tests build a `Deployment` with adapters of their own.
"""

from __future__ import annotations

import fnmatch
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mtasts_deploy import adapters
from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.report import Event, Outcome, Result, Stage
from mtasts_deploy.apply.run import OnError, run
from mtasts_deploy.apply.work import Stop, Tools, Work
from mtasts_deploy.declaration.model import Declaration, DomainSettings, Sts
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import UsageError
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.observe import Observed, Place, World
from mtasts_deploy.plan.guards import LIFTABLE
from mtasts_deploy.plan.model import DomainPlan, Plan, Verdict
from mtasts_deploy.plan.planner import plan_domain
from mtasts_deploy.plan.rollback import rollback_domain
from mtasts_deploy.plan.sharing import guard_shared, shared
from mtasts_deploy.rfc.names import Domain

if TYPE_CHECKING:
    from mtasts_deploy.apply.lock import Lease
    from mtasts_deploy.dns.interface import Target
    from mtasts_deploy.hosting.interface import Host
    from mtasts_deploy.state.interface import StateStore


def utc_now() -> datetime:
    """The time in UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which declared domains a call is about: globs over A-labels or U-labels; none: all of them."""

    domains: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        """Does it leave anything out?"""
        return bool(self.domains or self.exclude)

    def pick(self, declared: Mapping[Domain, DomainSettings]) -> dict[Domain, DomainSettings]:
        """The selected domains. Raises `UsageError` for a pattern that matches none."""
        if not self.partial:
            return dict(declared)
        for pattern in self.domains:
            if not any(_matches(domain, pattern) for domain in declared):
                raise UsageError(
                    Diagnostic(
                        code="MTS903",
                        message=f"no declared domain matches {pattern!r}",
                        hint="`deploy status` lists the declared domains; `*` and `?` stand for any characters.",
                    )
                )
        return {
            domain: settings
            for domain, settings in declared.items()
            if (not self.domains or any(_matches(domain, pattern) for pattern in self.domains))
            and not any(_matches(domain, pattern) for pattern in self.exclude)
        }


def _matches(domain: Domain, pattern: str) -> bool:
    pattern = pattern.lower().rstrip(".")
    return fnmatch.fnmatchcase(str(domain), pattern) or fnmatch.fnmatchcase(domain.unicode, pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """Guards lifted on the command line: code and domain."""

    pairs: frozenset[tuple[str, Domain]] = frozenset()

    @classmethod
    def parse(cls, options: Iterable[str]) -> Lifted:
        """Read `MTS401=example.com` options. Raises `UsageError` for another form or a code that cannot be lifted."""
        pairs = set()
        for option in options:
            code, equals, name = option.partition("=")
            if not equals or not name:
                raise UsageError(
                    Diagnostic(
                        code="MTS904", message=f"--allow {option}: expected CODE=DOMAIN", hint="For example: --allow MTS401=example.com"
                    )
                )
            if code not in LIFTABLE:
                raise UsageError(
                    Diagnostic(
                        code="MTS905",
                        message=f"--allow {option}: {code} cannot be lifted",
                        hint=f"These can: {', '.join(sorted(LIFTABLE))}. `deploy explain {code}` says what to do instead.",
                    )
                )
            pairs.add((code, Domain.parse(name)))
        return cls(pairs=frozenset(pairs))

    def for_domain(self, settings: DomainSettings) -> frozenset[str]:
        """The codes lifted for this domain, on the command line or in the declaration (whose expired entries are errors there)."""
        if not self.pairs and not settings.allow:
            return frozenset()
        return frozenset({code for code, domain in self.pairs if domain == settings.domain} | {one.code for one in settings.allow})


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
    command: str = "deploy apply"


@dataclass(kw_only=True)
class Deployment:
    """A declaration with its adapters. `clock` gives UTC in whole seconds; `sleep` takes seconds."""

    declaration: Declaration
    targets: Mapping[str, Target]
    hosts: Mapping[str, Host]
    store: StateStore
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], None] = time.sleep
    emit: Callable[[Event], None] = lambda _: None
    stop: Stop = field(default_factory=Stop)

    @classmethod
    def of(cls, declaration: Declaration) -> Deployment:
        """The deployment that a declaration describes. Touches nothing yet."""
        base = declaration.directory
        return cls(
            declaration=declaration,
            targets={name: adapters.target(spec, base) for name, spec in declaration.providers.items()},
            hosts={name: adapters.host(spec, base) for name, spec in declaration.hosts.items()},
            store=adapters.state(declaration.state, base),
        )

    def plan(self, selection: Selection | None = None, lifted: Lifted | None = None) -> Plan:
        """What an apply would do now. Writes nothing at all; takes no lock."""
        return self._survey(Book(self.store), selection or Selection(), lifted or Lifted()).plan

    def apply(
        self,
        *,
        selection: Selection | None = None,
        lifted: Lifted | None = None,
        options: Options | None = None,
        approve: Callable[[Plan], bool] | None = None,
        saved: Plan | None = None,
        on_plan: Callable[[Plan], None] = lambda _: None,
    ) -> Result | None:
        """Bring the world to the declaration.

        With `saved`, that plan and no other. With `approve`, plans first, asks, and then takes the lock; None if the answer is no. Else
        plans once, under the lock, and tells `on_plan`. Raises `LockHeld`, `LeaseLost`, `StateError`.
        """
        selection, lifted, options = selection or Selection(), lifted or Lifted(), options or Options()
        if saved is None and approve is not None:
            saved = self._survey(Book(self.store), selection, lifted).plan
            if not approve(saved):
                return None
        with self._lease(options) as lease:
            book = Book(self.store)
            if saved is None:
                survey = self._survey(book, selection, lifted)
                on_plan(survey.plan)
            else:
                survey = self._same(book, saved, lifted)
            return self._run(lease, book, survey, options)

    def rollback(
        self,
        domains: Sequence[Domain],
        *,
        options: Options | None = None,
        approve: Callable[[Plan], bool],
    ) -> Result | None:
        """Take the last change of these domains (none: of all) back to what was live before it; None if `approve` says no."""
        options = options or Options(command="deploy rollback")
        with self._lease(options) as lease:
            book = Book(self.store)
            chosen = [self._settings(domain) for domain in domains] or list(self.declaration.domains.values())
            survey = self._rollback_survey(book, chosen)
            if not approve(survey.plan):
                return None
            return self._run(lease, book, survey, options, rollback=True)

    def rollback_plan(self, domains: Sequence[Domain]) -> Plan:
        """What `rollback` would do now. Writes nothing."""
        chosen = [self._settings(domain) for domain in domains] or list(self.declaration.domains.values())
        return self._rollback_survey(Book(self.store), chosen).plan

    def survey(self, selection: Selection | None = None) -> tuple[Survey, Book]:
        """The plan of this moment with all that it was made from, for `status`, `history` and `render`. Writes nothing."""
        book = Book(self.store)
        return self._survey(book, selection or Selection(), Lifted()), book

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
        fixed = zones if isinstance(zones, Mapping) or zones is None else dict.fromkeys(("sts", "tlsrpt", "mx"), zones)
        return Place(domain=settings.domain, dns=settings.dns, host=settings.host, zones=fixed)

    def _sharers(self) -> dict[str, list[Domain]]:
        """The declared domains whose policies are one file, by its location."""
        publishing = (settings for settings in self.declaration.domains.values() if settings.sts is Sts.PUBLISH)
        return shared((self.hosts[settings.host].location(settings.domain), settings.domain) for settings in publishing)

    def _world(self) -> World:
        return World(self.targets, self.hosts)

    def _survey(self, book: Book, selection: Selection, lifted: Lifted) -> Survey:
        chosen = selection.pick(self.declaration.domains)
        world = self._world()
        places = {domain: self._place(settings) for domain, settings in chosen.items()}
        strays = {} if selection.partial else self._stray_places(book)
        seen = world.observe([*places.values(), *strays.values()], book.get)
        now = self.clock()
        plans = [
            plan_domain(settings, seen[domain], book.get(domain), now, lifted.for_domain(settings))
            for domain, settings in sorted(chosen.items())
        ]
        findings = tuple(finding for domain in strays if (finding := self._stray(seen[domain])))
        plan = Plan(domains=guard_shared(plans, self._sharers()), created=now, partial=selection.partial, strays=findings)
        managed = {domain: seen[domain] for domain, settings in chosen.items() if settings.sts is not Sts.ELSEWHERE}
        return Survey(plan=plan, seen=managed, places=places)

    def _rollback_survey(self, book: Book, chosen: Sequence[DomainSettings]) -> Survey:
        places = {settings.domain: self._place(settings) for settings in chosen}
        seen = self._world().observe(places.values(), book.get)
        now = self.clock()
        plans = [rollback_domain(settings, seen[settings.domain], book.get(settings.domain), now) for settings in chosen]
        return Survey(plan=Plan(domains=guard_shared(plans, self._sharers()), created=now, partial=True), seen=seen, places=places)

    def _same(self, book: Book, saved: Plan, lifted: Lifted) -> Survey:
        """The saved plan, with the domains left out whose facts or settings are no longer those that it was made from."""
        from mtasts_deploy.apply.prepare import stale

        chosen = {plan.domain: self.declaration.domains.get(plan.domain) for plan in saved.acting}
        places = {domain: self._place(settings) for domain, settings in chosen.items() if settings is not None}
        seen = self._world().observe(places.values(), book.get)
        now = self.clock()
        plans: list[DomainPlan] = []
        for plan in saved.domains:
            settings = chosen.get(plan.domain)
            if not plan.acts:
                plans.append(plan)
            elif settings is None:
                plans.append(_without(plan, Verdict.STALE, stale(plan.domain, ["the declaration"])))
            else:
                fresh = plan_domain(settings, seen[plan.domain], book.get(plan.domain), now, lifted.for_domain(settings))
                plans.append(_checked(plan, fresh))
        domains = guard_shared(plans, self._sharers())
        return Survey(plan=replace(saved, domains=domains), seen={}, places=places)

    def _stray_places(self, book: Book) -> dict[Domain, Place]:
        """Domains that the ledger knows as live and that are no longer declared."""
        strays = {}
        declared = {str(domain) for domain in self.declaration.domains}
        for name in book.domains():
            if name in declared:
                continue
            domain = Domain.parse(name)
            entry = book.entry(domain)
            dns = tuple(one for one in entry.dns if one in self.targets)
            if dns and entry.host in self.hosts and _open(entry):
                strays[domain] = Place(domain=domain, dns=dns, host=entry.host)
        return strays

    def _stray(self, seen: Observed) -> Diagnostic | None:
        if not seen.ids and not seen.unknown:
            return None
        return Diagnostic(
            code="MTS415",
            severity=Severity.WARN,
            message=f"{seen.domain.display} has a live policy but is no longer declared; it is left as it is",
            domain=str(seen.domain),
            hint=f"Add `{seen.domain.unicode}: {{mode: none}}` under `domains:` to withdraw its policy, or its old settings to keep it.",
            ref="RFC 8461 §8.3",
        )

    def _lease(self, options: Options) -> Lease:
        from mtasts_deploy.apply.lock import Lease

        return Lease.acquire(
            self.store,
            command=options.command,
            now=self.clock,
            timeout=options.lock_timeout,
            sleep=self.sleep,
            on_message=lambda finding: self.emit(Event(stage=Stage.LOOK, what="lock", finding=finding)),
        )

    def _run(self, lease: Lease, book: Book, survey: Survey, options: Options, *, rollback: bool = False) -> Result:
        from mtasts_deploy.apply.runlog import RunLog

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
            parallelism=options.parallelism,
            rollback=rollback,
        )
        works = [self._work(plan) for plan in survey.plan.acting]

        def take_back(changed: Sequence[Work]) -> list[Work]:
            back = self._rollback_survey(book, [work.settings for work in changed])
            return [self._backwards(tools, plan) for plan in back.plan.domains]

        try:
            return run(tools, survey.plan, works, survey.seen, survey.places, options.on_error, take_back)
        finally:
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
        settings = self.declaration.domains[plan.domain]
        return Work(plan=plan, settings=settings, place=self._place(settings))


def _open(entry: Entry) -> bool:
    return any(known.until is None for known in entry.ids.values())


def _without(plan: DomainPlan, verdict: Verdict, *findings: Diagnostic) -> DomainPlan:
    return DomainPlan(domain=plan.domain, verdict=verdict, where=plan.where, findings=findings)


def _checked(plan: DomainPlan, fresh: DomainPlan) -> DomainPlan:
    """A saved plan against the world of this moment: it may only stop."""
    from mtasts_deploy.apply.prepare import stale

    if fresh.verdict in (Verdict.BLOCKED, Verdict.UNKNOWN):
        return _without(plan, fresh.verdict, *fresh.findings)
    differing = [name for name, mark in plan.inputs.items() if fresh.inputs.get(name, mark) != mark]
    if differing or not fresh.steps:
        return _without(plan, Verdict.STALE, stale(plan.domain, differing or ["everything"]))
    return plan
