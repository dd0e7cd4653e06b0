"""Surveys: plans with all that they were made from. The world is looked at, and the pure planner decides; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from mtasts_deploy.apply.book import Book
from mtasts_deploy.declaration.model import PLUGIN, Confirm, Declaration, DomainSettings, Sts
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import Refused, UsageError
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.observe import World
from mtasts_deploy.observed import Observed, Place
from mtasts_deploy.plan.file import digest
from mtasts_deploy.plan.guards import stray
from mtasts_deploy.plan.handover import blocked, two_writers
from mtasts_deploy.plan.model import DomainPlan, Plan
from mtasts_deploy.plan.planner import plan_domain
from mtasts_deploy.plan.rollback import rollback_domain
from mtasts_deploy.plan.selection import Lifted, Selection
from mtasts_deploy.plan.sharing import guard_shared, shared
from mtasts_deploy.rfc.names import Domain

if TYPE_CHECKING:
    from mtasts_deploy.verify.evidence import Witness
    from mtasts_deploy.verify.look import Eyes


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """A plan with what it was made from."""

    plan: Plan
    seen: Mapping[Domain, Observed]
    places: Mapping[Domain, Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyor:
    """Makes surveys of a declaration. `clock` gives UTC in whole seconds; `public` says that name servers can be asked. `eyes` makes what
    looks at a domain before its policy becomes stricter (None: nobody looks), `evidence` is what was seen elsewhere, by domain.
    """

    declaration: Declaration
    world: World
    clock: Callable[[], datetime]
    public: bool
    eyes: Callable[[], Eyes] | None = None
    evidence: Mapping[str, Witness] = field(default_factory=dict)

    def survey(self, book: Book, selection: Selection, lifted: Lifted) -> Survey:
        """The plan of this moment for the selected domains."""
        chosen = self.chosen(selection)
        lifted.check(self.declaration.domains)
        places = {domain: self.place(settings) for domain, settings in chosen.items()}
        strays = {} if selection.partial else self._stray_places(book)
        looked = [*places.values(), *strays.values()]
        world = self.usable(looked)
        seen = self.look(looked, book)
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

    def survey_back(self, book: Book, chosen: Sequence[DomainSettings], *, partial: bool) -> Survey:
        """The plan that takes the last change of these domains back."""
        places = {settings.domain: self.place(settings) for settings in chosen}
        world = self.usable(places.values())
        seen = self.look(places.values(), book)
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

    def survey_saved(self, book: Book, saved: Plan) -> Survey:
        """The saved plan, with the domains left out whose facts or settings are no longer those that it was made from."""
        from mtasts_deploy.apply.recheck import checked, undeclared

        chosen = {plan.domain: self.declaration.domains.get(plan.domain) for plan in saved.domains if plan.steps}
        places = {domain: self.place(settings) for domain, settings in chosen.items() if settings is not None}
        world = self.usable(places.values())
        seen = self.look(places.values(), book)
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

    def chosen(self, selection: Selection) -> dict[Domain, DomainSettings]:
        """The selected domains; which of them fall to a shard, all declared ones decide."""
        chosen = selection.pick(self.declaration.domains)
        if selection.shard is None:
            return chosen
        from mtasts_deploy.apply.leases import bucket_of

        zones = self.world.zones(self.place(settings) for settings in self.declaration.domains.values())
        picked = selection.shard.pick(zones, self._sharers().values(), bucket_of)
        return {domain: settings for domain, settings in chosen.items() if domain in picked}

    def to_take_back(self, book: Book, domains: Sequence[Domain]) -> list[DomainSettings]:
        """The named domains; without any, those that the last run changed."""
        if domains:
            return [self.settings(domain) for domain in domains]
        changed = [
            (before, settings)
            for domain, settings in self.declaration.domains.items()
            if (known := book.readable(domain)) and (before := known.before)
        ]
        last = max((before for before, _ in changed), key=lambda before: before.at, default=None)
        return [settings for before, settings in changed if last is not None and before.run == last.run]

    def settings(self, domain: Domain) -> DomainSettings:
        """What is declared for a domain. Raises `UsageError` (MTS903) if nothing is."""
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

    def place(self, settings: DomainSettings) -> Place:
        """Where the facts of a domain are."""
        zones = settings.zone
        fixed = zones if isinstance(zones, Mapping) or zones is None else dict.fromkeys(("sts", "tlsrpt", "mx", "address"), zones)
        https = settings.confirm is Confirm.HTTPS
        dns = settings.dns or (PLUGIN,)  # where only octodns-sync knows the provider, the name servers are looked at
        files = bool(settings.dns) and all(self.declaration.providers[name].local for name in settings.dns)
        public = not files and self.public
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

    def usable(self, places: Iterable[Place]) -> World:
        """The world, after the providers of these places were found to be usable. Raises `Refused` with what is wrong with each."""
        problems: dict[Diagnostic, None] = {}
        for name in dict.fromkeys(name for place in places for name in place.dns):
            try:
                self.world.targets[name].ready()
            except Refused as error:
                problems |= dict.fromkeys(error.diagnostics)
        if problems:
            raise Refused(*problems)
        return self.world

    def look(self, places: Iterable[Place], book: Book) -> dict[Domain, Observed]:
        """Look at these domains. One whose entry in the ledger cannot be read counts as not observed."""
        places = list(places)
        seen = self.usable(places).observe(places, book.readable)
        problems = {domain: problem for domain in seen if (problem := book.problem(domain))}
        return seen | {domain: replace(seen[domain], unread=(*seen[domain].unread, problem)) for domain, problem in problems.items()}

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

    def _two_writers(self, world: World) -> Mapping[Domain, Diagnostic]:
        """What stops domains in whose zone both octodns-sync and `deploy apply` would write, whichever domains were asked for."""
        declared = self.declaration.domains.values()
        if len({settings.plugin for settings in declared}) < 2:
            return {}
        return two_writers(declared, lambda settings: world.zones_of(self.place(settings)))

    def _sharers(self) -> dict[str, list[Domain]]:
        """The declared domains whose policies are one file, by its location."""
        publishing = (settings for settings in self.declaration.domains.values() if settings.sts is Sts.PUBLISH)
        return shared((self.world.hosts[settings.host].location(settings.domain), settings.domain) for settings in publishing)

    def _stray_places(self, book: Book) -> dict[Domain, Place]:
        """Domains that the ledger knows as live and that are no longer declared."""
        strays = {}
        declared = {str(domain) for domain in self.declaration.domains}
        for name in book.domains():
            if name in declared:
                continue
            domain = Domain.parse(name)
            entry = book.readable(domain) or UNSEEN
            dns = tuple(one for one in entry.dns if one in self.world.targets)
            if dns and entry.host in self.world.hosts and _open(entry):
                strays[domain] = Place(domain=domain, dns=dns, host=entry.host)
        return strays


def _open(entry: Entry) -> bool:
    return any(known.until is None for known in entry.ids.values())
