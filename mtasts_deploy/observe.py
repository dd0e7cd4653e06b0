"""Looks at the live world, for the domains asked for: zones through `dns`, policy files through `hosting`. Writes nothing.

In: domains with where they live (`Place`), targets, hosts. Out: one `Observed` a domain, each fact a value or `Unknown` with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns.interface import Target
from mtasts_deploy.errors import MtastsError
from mtasts_deploy.facts import Address, HostedPolicy, LiveMx, MxSet, NameFacts, RecordKind, Unknown, ZoneFacts, ZoneName, fingerprint
from mtasts_deploy.hosting.interface import Host
from mtasts_deploy.ledger.events import Look
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from mtasts_deploy.rfc.records import parse_sts

NEGATIVE_TTL = 3600
"""What an answer "no MX" or "no record" is taken to be cached for where the zone does not tell its SOA minimum (RFC 2308 §5)."""

MOST_WORKERS = 32
"""Reads under way at a time, over all providers."""
K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a domain lives: its providers, its host, and zones that the declaration fixes for a record (`sts`, `tlsrpt`, `mx`, `address`).

    `address` is where its policy host is to lead; None where that is not managed: then it is only looked at, if a provider has it.

    `plugin`: octodns-sync writes the records. `https`: what its host holds is not at once what senders get, so only a fetch over HTTPS
    tells that other bytes are gone. `public`: name servers give out what its providers hold, so only they tell that another id is gone.
    """

    domain: Domain
    dns: tuple[str, ...]
    host: str
    plugin: bool = False
    zones: Mapping[str, ZoneName] | None = None
    https: bool = False
    public: bool = False
    address: Address | None = None

    @property
    def names(self) -> dict[str, str]:
        """The names of its records by kind."""
        return {
            "sts": self.domain.sts_record,
            "tlsrpt": self.domain.tlsrpt_record,
            "mx": str(self.domain),
            "address": self.domain.policy_host,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSite:
    """One TXT record name at one provider: what is there, and the cut above it (name, type) if the zone does not answer for the name."""

    provider: str
    zone: ZoneName
    name: str
    facts: NameFacts
    cut: tuple[str, str] | None = None
    negative_ttl: int = NEGATIVE_TTL
    min_ttl: int = 0

    @property
    def blind_ttl(self) -> int:
        """How long the answer may be cached that there is no record, or the one that is there."""
        return max(self.negative_ttl, 0 if self.facts.txt is None else self.facts.txt.ttl)

    def ours(self, kind: RecordKind) -> tuple[str, ...]:
        """Our values there."""
        txt = self.facts.txt
        return () if txt is None else tuple(value for value in txt.values if kind.owns(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A policy file at another host than the one that serves. `led`: senders may be led there already."""

    host: str
    location: str
    hosted: HostedPolicy | Unknown | None
    led: bool


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The world as far as one domain goes. `homeless` says which of its names no zone of a provider holds.

    `hosted` is the file at `host`, the one that serves now; that is the declared one unless the domain is to move. `copies` are at other
    hosts: the declared one, and those that senders may still be led to. `lost` are such hosts that are not declared any more; `aliases`
    are other names of the declared host. `address` has the sites of the policy host's name. `holders`, looked for only where a ledger was
    lost, are other hosts that have a policy of the domain.
    """

    domain: Domain
    sts: tuple[RecordSite, ...] = ()
    tlsrpt: tuple[RecordSite, ...] = ()
    mx: LiveMx | Unknown
    hosted: HostedPolicy | Unknown | None
    host: str
    location: str
    homeless: tuple[Diagnostic, ...] = ()
    unread: tuple[Diagnostic, ...] = ()
    address: tuple[RecordSite, ...] = ()
    place: Place | None = None
    copies: tuple[Copy, ...] = ()
    lost: tuple[str, ...] = ()
    aliases: frozenset[str] = frozenset()
    holders: tuple[str, ...] = ()

    @property
    def files(self) -> dict[str, HostedPolicy | Unknown | None]:
        """What is at each host that senders may be led to."""
        return {self.host: self.hosted, **{copy.host: copy.hosted for copy in self.copies if copy.led}}

    @property
    def leads(self) -> dict[Address, int]:
        """Where the policy host leads, by all providers, with TTLs; nowhere known: the empty address with the TTL of that answer."""
        found: dict[Address, int] = {}
        for site in self.address:
            at = site.facts.address
            address, ttl = (at.address, at.ttl) if at is not None else (Address(), site.negative_ttl)
            found[address] = max(ttl, found.get(address, 0))
        if len(found) > 1:
            found.pop(Address(), None)
        return found or {Address(): NEGATIVE_TTL}

    @cached_property
    def unknown(self) -> tuple[Diagnostic, ...]:
        """Why something could not be observed, once each."""
        facts = [fact.reason for fact in (self.mx, self.hosted, *(copy.hosted for copy in self.copies)) if isinstance(fact, Unknown)]
        return tuple(dict.fromkeys([*self.unread, *facts]))

    @cached_property
    def ids(self) -> tuple[tuple[str, int], ...]:
        """The ids in all `_mta-sts` values of ours at all providers, with TTLs; values without a readable id have none."""
        found: dict[str, int] = {}
        for site in self.sts:
            for value in site.ours(RecordKind.STS):
                try:
                    text = str(parse_sts([value]).id)
                except MtastsError:
                    continue
                ttl = 0 if site.facts.txt is None else site.facts.txt.ttl
                found[text] = max(ttl, found.get(text, 0))
        return tuple(found.items())

    def look(self) -> Look:
        """The same as a look for the ledger."""
        mx = None if isinstance(self.mx, Unknown) else self.mx
        bodies = tuple(dict.fromkeys(file.body for file in self.files.values() if isinstance(file, HostedPolicy)))
        return Look(
            ids=self.ids,
            bodies=bodies,
            mx=None if mx is None or mx.null else mx.hosts,
            mx_ttl=0 if mx is None else mx.ttl,
            single=all(_single(site) for site in self.sts) if self.sts else None,
            blind_ttl=max((site.blind_ttl for site in self.sts), default=NEGATIVE_TTL),
            host="" if self.place is None else self.place.host,
            aliases=self.aliases,
            declared=None if self.place is None else self.place.address,
            addresses=self.leads,
            closes=self.place is None or not self.place.public,
            unsure=self._unsure,
        )

    @property
    def _unsure(self) -> bool:
        """Without a ledger: may another host than the declared one serve? A fetch would tell, and an address that is the declared one."""
        if self.place is None or self.place.https:
            return False
        return bool(self.holders) if self.place.address is None else set(self.leads) != {self.place.address}

    def fingerprints(self) -> dict[str, str]:
        """A fingerprint of each fact that the planner looks at, for the stale check."""
        return {
            "_mta-sts": fingerprint(*self.sts),
            "_smtp._tls": fingerprint(*self.tlsrpt),
            "mx": fingerprint(self.mx),
            "policy": self._policy_fingerprint(),
            "address": fingerprint(*self.address),
        }

    def _policy_fingerprint(self) -> str:
        """Of the files, wherever they are. In a move the first look that shows the new address says that the other host serves now: what is
        where is the same, so that is no other fact.
        """
        if not self.copies:
            return fingerprint(self.hosted)
        here = Copy(host=self.host, location=self.location, hosted=self.hosted, led=True)
        return fingerprint(frozenset({here, *self.copies}))


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


def _single(site: RecordSite) -> bool:
    try:
        parse_sts(site.ours(RecordKind.STS))
    except MtastsError:
        return False
    return True


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
