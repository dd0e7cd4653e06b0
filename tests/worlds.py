"""A world in memory for tests of planning and applying: targets, hosts and state with the real interfaces, failures on demand, and a clock.

Zones here change at once and whole, as the directory adapters do; what real adapters do is tested with the real ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns.interface import Guarantee, unproved
from mtasts_deploy.errors import HostError, ProviderError, Refused, StateConflict
from mtasts_deploy.facts import (
    Address,
    AddressChange,
    AddressSet,
    Change,
    HostedPolicy,
    KnownPolicies,
    MxSet,
    NameFacts,
    TxtSet,
    Unknown,
    ZoneFacts,
    ZoneName,
)
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.state.interface import Stored

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


@dataclass
class Clock:
    """Time that passes when it is told to."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **units: float) -> None:
        self.now += timedelta(**units)


class Failure(Exception):
    """What a test throws to stop a run at a point, as a kill would."""


@dataclass
class Faults:
    """Called at each external operation with its name; a test sets `hook` to fail or to look."""

    hook: Callable[[str], None] = lambda _: None
    calls: list[str] = field(default_factory=list)

    def __call__(self, what: str) -> None:
        self.calls.append(what)
        self.hook(what)


@dataclass
class MemoryTarget:
    """A provider whose zones are dictionaries from names to facts."""

    name: str = "local"
    contents: dict[ZoneName, dict[str, NameFacts]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    guarantee: Guarantee = Guarantee.ZONE_ATOMIC
    cuts: dict[str, str] = field(default_factory=dict)
    parallel: int = 1

    def ready(self) -> None:
        pass

    def zone_of(self, name: str) -> ZoneName | None:
        raise NotImplementedError(name)

    def zones(self) -> frozenset[ZoneName]:
        return frozenset(self.contents)

    def read(self, zone: ZoneName, names: Collection[str]) -> ZoneFacts | Unknown:
        self.faults(f"read {zone}")
        held = self.contents[zone]
        return ZoneFacts(provider=self.name, zone=zone, names={name: held[name] for name in names if name in held}, cuts=self.cuts)

    def write(self, zone: ZoneName, changes: Sequence[Change], prove: Callable[[], None] = unproved) -> None:
        self.faults(f"write {zone}")
        prove()
        held = self.contents[zone]
        for change in changes:
            here = held.get(change.name, NameFacts())
            if (here.address if isinstance(change, AddressChange) else here.txt) != change.before:
                raise Refused(Diagnostic(code="MTS702", message=f"{change.name} changed"))
        for change in changes:
            here = held.get(change.name, NameFacts())
            if isinstance(change, AddressChange):
                held[change.name] = replace(here, address=AddressSet(address=change.after, ttl=change.ttl))
                continue
            foreign = () if here.txt is None else tuple(value for value in here.txt.values if not change.kind.owns(value))
            values = foreign if change.value is None else (*foreign, change.value)
            held[change.name] = replace(here, txt=TxtSet(values=values, ttl=change.ttl) if values else None)
        self.faults(f"wrote {zone}")

    def txt(self, name: str) -> tuple[str, ...]:
        """The TXT values at a name."""
        for held in self.contents.values():
            facts = held.get(name)
            if facts is not None and facts.txt is not None:
                return facts.txt.values
        return ()

    def set_txt(self, name: str, *values: str, ttl: int = 3600) -> None:
        """Write as a stranger would."""
        zone = next(zone for zone in self.contents if name.endswith("." + zone.rstrip(".")))
        here = self.contents[zone].get(name, NameFacts())
        txt = TxtSet(values=values, ttl=ttl) if values else None
        self.contents[zone][name] = replace(here, txt=txt)

    def set_address(self, name: str, address: Address | None, ttl: int = 3600) -> None:
        """Lead a policy host somewhere."""
        zone = next(zone for zone in self.contents if name.endswith("." + zone.rstrip(".")))
        here = self.contents[zone].get(name, NameFacts())
        self.contents[zone][name] = replace(here, address=AddressSet(address=address, ttl=ttl) if address else None)

    def address(self, name: str) -> Address | None:
        """Where a policy host leads."""
        found = next((held[name].address for held in self.contents.values() if name in held), None)
        return None if found is None else found.address

    def set_mx(self, domain: str, *hosts: str, ttl: int = 3600) -> None:
        """Change the MX records."""
        zone = next(zone for zone in self.contents if (domain + ".").endswith(zone))
        here = self.contents[zone].get(domain, NameFacts())
        mx = MxSet(hosts=tuple(sorted(hosts)), ttl=ttl) if hosts else None
        self.contents[zone][domain] = NameFacts(txt=here.txt, mx=mx, others=here.others, cname=here.cname)


@dataclass
class MemoryHost:
    """A policy host that is a dictionary."""

    name: str = "local"
    files: dict[Domain, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    def location(self, domain: Domain) -> str:
        return f"{'policies' if self.name == 'local' else self.name}/{domain.policy_host}/.well-known/mta-sts.txt"

    edge_ttl: int | None = None
    empties: bool = False
    purges: list[tuple[Domain, ...]] = field(default_factory=list)

    def read(
        self, domains: Collection[Domain], known: Mapping[Domain, KnownPolicies] | None = None
    ) -> Mapping[Domain, HostedPolicy | Unknown | None]:
        self.faults(f"fetch {self.name}")
        return {
            domain: HostedPolicy(body=self.files[domain], version=_mark(self.files[domain])) for domain in domains if domain in self.files
        }

    def put(self, domain: Domain, body: bytes, expected: str | None) -> str:
        self.faults(f"put {domain}")
        if (None if domain not in self.files else _mark(self.files[domain])) != expected:
            raise HostError(Diagnostic(code="MTS741", message="changed"), written=False)
        self.files[domain] = body
        self.faults(f"served {domain}")
        return _mark(body)

    def remove(self, domain: Domain, expected: str) -> None:
        self.faults(f"remove {domain}")
        if domain not in self.files or _mark(self.files[domain]) != expected:
            raise HostError(Diagnostic(code="MTS741", message="changed"), written=False)
        del self.files[domain]
        self.faults(f"removed {domain}")

    def purge(self, domains: Collection[Domain], waiting: Callable[[], None]) -> bool:
        self.faults("purge")
        waiting()
        self.purges.append(tuple(domains))
        return self.empties


@dataclass
class MemoryState:
    """A state store that is a dictionary."""

    objects: dict[str, bytes] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    def read(self, key: str) -> Stored | None:
        return None if key not in self.objects else Stored(data=self.objects[key], version=_mark(self.objects[key]))

    def keys(self, prefix: str) -> Iterable[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def write(self, key: str, data: bytes, expected: str | None) -> str:
        self.faults(f"save {key}")
        if (None if key not in self.objects else _mark(self.objects[key])) != expected:
            raise StateConflict(Diagnostic(code="MTS721", message=f"{key} changed"))
        self.objects[key] = data
        self.faults(f"saved {key}")
        return _mark(data)

    def remove(self, key: str, expected: str) -> None:
        if key in self.objects and _mark(self.objects[key]) != expected:
            raise StateConflict(Diagnostic(code="MTS721", message=f"{key} changed"))
        self.objects.pop(key, None)

    def append(self, key: str, data: bytes) -> None:
        self.objects[key] = self.objects.get(key, b"") + data

    def flush(self) -> None:
        pass

    def location(self, key: str) -> str:
        return f".mtasts/{key}"


def broken(what: str) -> Callable[[str], None]:
    """A hook that makes the operations beginning with `what` fail as their adapters would."""

    def hook(call: str) -> None:
        if not call.startswith(what):
            return
        finding = Diagnostic(code="MTS999", message=f"{call}: injected")
        if call.startswith(("put", "remove")):
            raise HostError(finding, written=False)
        if call.startswith(("served", "removed", "purge")):
            raise HostError(finding)
        raise ProviderError(finding)

    return hook


def _mark(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
