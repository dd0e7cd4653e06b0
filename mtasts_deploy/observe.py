"""Looks at the live world, for the domains asked for: zones through `dns`, policy files through `hosting`. Writes nothing.

In: domains with where they live (`Place`), targets, hosts. Out: one `Observed` a domain, each fact a value or `Unknown` with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns.interface import Target
from mtasts_deploy.errors import MtastsError
from mtasts_deploy.facts import HostedPolicy, LiveMx, MxSet, NameFacts, Unknown, ZoneFacts, ZoneName
from mtasts_deploy.hosting.interface import Host
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.observed import NEGATIVE_TTL, Copy, Observed, Place, RecordSite
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId

MOST_WORKERS = 32
"""Reads under way at a time, over all providers."""
K = TypeVar("K")
T = TypeVar("T")


class World:
    """The zones and files that can be looked at; each list of zones is asked for once."""

    def __init__(self, targets: Mapping[str, Target], hosts: Mapping[str, Host]) -> None:
        self.targets = targets
        self.hosts = hosts
        self._zones: dict[str, frozenset[ZoneName] | MtastsError | None] = {}
        self._holders: dict[tuple[str, str], ZoneName | MtastsError | None] = {}

    def _listed(self, provider: str) -> frozenset[ZoneName] | MtastsError | None:
        """The zones of a provider, None if it cannot list them, or why they could not be listed; asked for once."""
        if provider not in self._zones:
            try:
                self._zones[provider] = self.targets[provider].zones()
            except MtastsError as error:
                self._zones[provider] = error
        return self._zones[provider]

    def zone_of(self, provider: str, name: str) -> ZoneName | None:
        """The zone of that provider that holds `name`: the longest match. Raises `ObservationError` if its zones cannot be listed."""
        zones = self._listed(provider)
        if isinstance(zones, MtastsError):
            raise zones
        if zones is None:
            found = self._holders.get((provider, name))
            if isinstance(found, MtastsError):
                raise found
            return found
        rest = name
        while rest:
            zone = ZoneName(rest + ".")
            if zone in zones:
                return zone
            rest = rest.partition(".")[2]
        return None

    def zones_of(self, place: Place) -> frozenset[ZoneName]:
        """The zones that hold a domain's two records, as far as they can be found; only lists of zones are read."""
        self._find_zones([place])
        asked = _Asked(place, self)
        names = (place.domain.sts_record, place.domain.tlsrpt_record)
        return frozenset(zone for name in names for _, zone in asked.names[name])

    def zones(self, places: Iterable[Place]) -> dict[Domain, frozenset[ZoneName]]:
        """The zones that hold the records of these domains, as far as they can be found; only lists of zones are read."""
        places = list(places)
        self._find_zones(places)
        return {place.domain: self.zones_of(place) for place in places}

    def observe(self, places: Iterable[Place], remembered: Callable[[Domain], Entry | None] = lambda _: None) -> dict[Domain, Observed]:
        """Look at every domain. Every zone is read once, whatever the number of its domains.

        `remembered` gives the ledger's entries: a host need not send the bytes that it shows to be the known ones.
        """
        places = list(places)
        self._find_zones(places)
        asked = [_Asked(place, self) for place in places]
        wanted: dict[tuple[str, ZoneName], set[str]] = defaultdict(set)
        for one in asked:
            for name, sites in one.names.items():
                for key in sites:
                    wanted[key].add(name)
        facts = self._read(wanted)
        return self._hosted(asked, facts, remembered)

    def _hosted(
        self,
        asked: Sequence[_Asked],
        facts: Mapping[tuple[str, ZoneName], ZoneFacts | Unknown],
        remembered: Callable[[Domain], Entry | None],
    ) -> dict[Domain, Observed]:
        """Read the policy files: of each domain at its host, and at those that senders may still be led to. Each host is asked once."""
        known = {one.place.domain: remembered(one.place.domain) for one in asked}
        files = {one.place.domain: _Files.of(one.place, known[one.place.domain], self.hosts) for one in asked}
        by_host: dict[str, list[Domain]] = defaultdict(list)
        for domain, one in files.items():
            for host in one.hosts:
                by_host[host].append(domain)
        found = {
            host: self.hosts[host].read(domains, {domain: entry.known(host) for domain in domains if (entry := known[domain])})
            for host, domains in by_host.items()
        }
        seen = {}
        for asker in asked:
            domain = asker.place.domain
            one = files[domain]
            copies = [
                Copy(host=name, location=self.hosts[name].location(domain), hosted=found[name].get(domain), led=name in one.led)
                for name in one.hosts[1:]
            ]
            seen[domain] = asker.observed(facts, found[one.hosts[0]].get(domain), self.hosts[one.hosts[0]].location(domain), one, copies)
        return seen | self._with_holders(seen, known)

    def _with_holders(self, seen: Mapping[Domain, Observed], known: Mapping[Domain, Entry | None]) -> dict[Domain, Observed]:
        """Where an id of ours is live that no ledger knows, and neither a fetch nor a managed address tells which host serves: ask all."""
        doubted = {domain: one for domain, one in seen.items() if _doubted(one, known[domain])}
        if not doubted:
            return {}
        found = {name: host.read(list(doubted)) for name, host in self.hosts.items()}
        return {
            domain: replace(
                one,
                holders=tuple(
                    name
                    for name, host in self.hosts.items()
                    if found[name].get(domain) is not None and host.location(domain) != one.location
                ),
            )
            for domain, one in doubted.items()
        }

    def _find_zones(self, places: Sequence[Place]) -> None:
        """Ask providers that cannot list their zones about every name, several at a time."""
        open_ = [(place, [name for kind, name in place.names.items() if kind not in (place.zones or {})]) for place in places]
        blind = {provider for provider in {one for place, names in open_ if names for one in place.dns} if self._listed(provider) is None}
        if not blind:
            return
        asked = dict.fromkeys((provider, name) for place, names in open_ for provider in place.dns if provider in blind for name in names)
        todo = [key for key in asked if key not in self._holders]
        for (provider, name), found in zip(todo, self._each(todo, self._ask), strict=True):
            self._holders[provider, name] = found

    def _ask(self, provider: str, name: str) -> ZoneName | MtastsError | None:
        try:
            return self.targets[provider].zone_of(name)
        except MtastsError as error:
            return error

    def _read(self, wanted: Mapping[tuple[str, ZoneName], set[str]]) -> dict[tuple[str, ZoneName], ZoneFacts | Unknown]:
        """Read every zone: several at a time where the provider is somewhere else, in a plain loop where it is not."""
        return dict(zip(wanted, self._each(list(wanted), lambda provider, zone: self._read_one(provider, zone, wanted)), strict=True))

    def _read_one(self, provider: str, zone: ZoneName, wanted: Mapping[tuple[str, ZoneName], set[str]]) -> ZoneFacts | Unknown:
        return self.targets[provider].read(zone, wanted[provider, zone])

    def _each(self, keys: Sequence[tuple[str, K]], action: Callable[[str, K], T]) -> list[T]:
        """The action for each (provider, …), in the order of the keys."""
        workers = sum(max(self.targets[provider].parallel, 1) for provider in {provider for provider, _ in keys})
        if len(keys) <= 1 or all(self.targets[provider].parallel <= 1 for provider, _ in keys):
            return [action(provider, key) for provider, key in keys]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(max_workers=min(workers, len(keys), MOST_WORKERS)) as pool:
            return list(pool.map(lambda key: action(*key), keys))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """Where the policy of a domain is looked for: first the host that serves."""

    hosts: tuple[str, ...]
    led: frozenset[str]
    lost: tuple[str, ...]
    aliases: frozenset[str]

    @classmethod
    def of(cls, place: Place, entry: Entry | None, hosts: Mapping[str, Host]) -> _Files:
        """What a move of an earlier look, or of the declaration since, has left open."""
        if entry is None or not entry.published or set(entry.hosts) <= {place.host}:
            return cls(hosts=(place.host,), led=frozenset({place.host}), lost=(), aliases=frozenset())
        there = {name: hosts[name].location(place.domain) for name in (place.host, *entry.hosts) if name in hosts}
        aliases = frozenset(name for name, location in there.items() if name != place.host and location == there[place.host])
        open_ = [place.host if name in aliases else name for name in entry.hosts if name in hosts]
        return cls(
            hosts=tuple(dict.fromkeys([*open_, place.host])),
            led=frozenset(open_ or [place.host]),
            lost=tuple(name for name in entry.hosts if name not in hosts),
            aliases=aliases,
        )


class _Asked:
    """The names of one domain, and in which zones they are."""

    def __init__(self, place: Place, world: World) -> None:
        self.place = place
        self.homeless: list[Diagnostic] = []
        self.unread: list[Diagnostic] = []
        self.names = {name: self._zones(world, name, kind) for kind, name in place.names.items()}

    def _zones(self, world: World, name: str, kind: str) -> list[tuple[str, ZoneName]]:
        found = []
        for provider in self.place.dns:
            try:
                zone = (self.place.zones or {}).get(kind) or world.zone_of(provider, name)
            except MtastsError as error:
                if kind == "address" and self.place.address is None:
                    continue
                self.unread.extend(d for d in error.diagnostics if d not in self.unread)
                continue
            if zone is None and kind == "address" and self.place.address is None:
                continue
            if zone is None:
                self._no_zone(provider)
            else:
                found.append((provider, zone))
        return found

    def _no_zone(self, provider: str) -> None:
        problem = Diagnostic(
            code="MTS404",
            message=f"no zone of provider {provider} holds {self.place.domain}",
            domain=str(self.place.domain),
            hint=f"Add the zone to {provider}, name another provider with `dns:`, or name the zone with `zone:`.",
        )
        if problem not in self.homeless:
            self.homeless.append(problem)

    def observed(
        self,
        facts: Mapping[tuple[str, ZoneName], ZoneFacts | Unknown],
        hosted: HostedPolicy | Unknown | None,
        location: str,
        files: _Files,
        copies: Sequence[Copy],
    ) -> Observed:
        domain = self.place.domain
        return Observed(
            domain=domain,
            sts=self._sites(domain.sts_record, facts),
            tlsrpt=self._sites(domain.tlsrpt_record, facts),
            mx=self._mx(str(domain), facts),
            hosted=hosted,
            host=files.hosts[0],
            location=location,
            homeless=tuple(self.homeless),
            unread=tuple(self.unread),
            address=self._sites(domain.policy_host, facts),
            place=self.place,
            copies=tuple(copies),
            lost=files.lost,
            aliases=files.aliases,
        )

    def _sites(self, name: str, facts: Mapping[tuple[str, ZoneName], ZoneFacts | Unknown]) -> tuple[RecordSite, ...]:
        sites = []
        for key in self.names[name]:
            zone = facts[key]
            if isinstance(zone, Unknown):
                if zone.reason not in self.unread:
                    self.unread.append(zone.reason)
                continue
            sites.append(
                RecordSite(
                    provider=key[0],
                    zone=key[1],
                    name=name,
                    facts=zone.at(name),
                    cut=_cut(zone, name) if zone.cuts else None,
                    negative_ttl=zone.negative_ttl or NEGATIVE_TTL,
                    min_ttl=zone.min_ttl,
                )
            )
        return tuple(sites)

    def _mx(self, name: str, facts: Mapping[tuple[str, ZoneName], ZoneFacts | Unknown]) -> LiveMx | Unknown:
        found: list[MxSet | None] = []
        addressed = False
        ttl = 0
        for key in self.names[name]:
            zone = facts[key]
            if isinstance(zone, Unknown):
                return zone
            at = zone.at(name)
            if at.cname is not None or (zone.cuts and _cut(zone, name)):
                return _hidden_mx(name, key, at)
            addressed = addressed or bool({"A", "AAAA", "ALIAS"}.intersection(at.others))
            found.append(at.mx)
            ttl = max(ttl, at.mx.ttl if at.mx else zone.negative_ttl or NEGATIVE_TTL)
        if len(found) == 1 and found[0] is not None:
            return LiveMx(hosts=found[0].hosts, ttl=ttl)
        hosts = sorted({host for mx in found if mx is not None for host in mx.hosts})
        differing = len({mx.hosts if mx else () for mx in found}) > 1
        if not hosts:
            return LiveMx(hosts=(name,), ttl=ttl or NEGATIVE_TTL, implicit=True, addressed=addressed)
        return LiveMx(hosts=tuple(hosts), ttl=ttl, differing=differing)


def _doubted(seen: Observed, entry: Entry | None) -> bool:
    if seen.place is None or seen.place.https or seen.place.address is not None:
        return False
    if entry is not None and entry.published and not entry.astray:
        return False
    return any(PolicyId.parse(text).digits is not None for text, _ in seen.ids)


def _cut(zone: ZoneFacts, name: str) -> tuple[str, str] | None:
    for at, kind in zone.cuts.items():
        if name.endswith("." + at) or (name == at and kind == "NS"):
            return at, kind
    return None


def _hidden_mx(name: str, key: tuple[str, ZoneName], at: NameFacts) -> Unknown:
    where = f"it is a CNAME to {at.cname}" if at.cname is not None else "the zone delegates it"
    return Unknown(
        reason=Diagnostic(
            code="MTS419",
            message=f"the MX records of {name} cannot be seen in zone {key[1]} at {key[0]}: {where}",
            domain=name,
            hint="Declare the zone that holds its MX records with `zone: {mx: …}`.",
        )
    )
