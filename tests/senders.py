"""Conforming senders and the resolvers that they ask, written from RFC 8461 §3, §4.1, §5 and §10.2 and from nothing else.

They know the world in memory only through its TXT values, its MX records, the address of the policy host and the files
at that address. Times are UTC, TTLs are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from mtasts_deploy.facts import Address, NameFacts, ZoneName
from mtasts_deploy.rfc.names import Domain
from tests.worlds import MemoryHost, MemoryTarget

NOWHERE = Address()
NEGATIVE_TTL = 3600
"""How long resolvers remember that a name has no TXT record."""
RAISED = 604800
"""Some senders hold an enforce policy for a week at least (`rfc.md` part 17)."""
SLOWEST = timedelta(minutes=5)
"""Between the bytes that a sender takes and the moment it stores them."""
_RECORD = re.compile(r"v=STSv1;[ \t]*id=([A-Za-z0-9]{1,32})[ \t]*(?:;.*)?")


@dataclass(frozen=True)
class Reading:
    """A policy as a sender reads it."""

    mode: str
    max_age: int
    mx: tuple[str, ...]

    def refuses(self, host: str) -> bool:
        """Would mail to this MX host not be delivered (RFC 8461 §4.1, §5)?"""
        return self.mode == "enforce" and not any(_matches(pattern, host) for pattern in self.mx)

    def lifetime(self, raises: bool = True) -> timedelta:
        """How long a copy is applied after it was fetched, or was confirmed by the same id."""
        return timedelta(seconds=max(self.max_age, RAISED) if raises and self.mode == "enforce" else self.max_age)


def _matches(pattern: str, host: str) -> bool:
    left, _, rest = host.partition(".")
    return bool(left) and pattern[2:] == rest if pattern.startswith("*.") else pattern == host


@lru_cache(maxsize=4096)
def reading(body: bytes) -> Reading | None:
    """The policy in these bytes; None if a sender takes none from them (RFC 8461 §3.2)."""
    try:
        pairs = [line.partition(":")[::2] for line in body.decode("ascii").split("\r\n") if line]
    except UnicodeDecodeError:
        return None
    fields = {name: value.strip() for name, value in pairs}
    if fields.get("version") != "STSv1" or fields.get("mode") not in ("none", "testing", "enforce"):
        return None
    mx = tuple(value.strip() for name, value in pairs if name == "mx")
    return Reading(fields["mode"], int(fields["max_age"]), mx) if mx or fields["mode"] == "none" else None


def the_id(values: Sequence[str]) -> str | None:
    """The id in the only STSv1 record, or None: no record, several of them, or one that cannot be read (RFC 8461 §3.1)."""
    records = [value for value in values if value.startswith("v=STSv1;")]
    found = _RECORD.fullmatch(records[0]) if len(records) == 1 else None
    return None if found is None else found[1]


@dataclass(frozen=True)
class World:
    """What anybody on the Internet sees of one domain."""

    domain: Domain
    target: MemoryTarget
    hosts: Mapping[Address, MemoryHost]

    def txt(self) -> tuple[tuple[str, ...], int]:
        """The TXT values at `_mta-sts` and how long they may be cached."""
        facts = self._facts(self.domain.sts_record)
        return ((), NEGATIVE_TTL) if facts is None or facts.txt is None else (facts.txt.values, facts.txt.ttl)

    def mx(self) -> tuple[tuple[str, ...], int]:
        """The MX hosts and how long they may be cached."""
        facts = self._facts(str(self.domain))
        return ((), NEGATIVE_TTL) if facts is None or facts.mx is None else (facts.mx.hosts, facts.mx.ttl)

    def address(self) -> tuple[tuple[Address, ...], int]:
        """Where the policy host leads and how long that may be cached; `NOWHERE` in a world where that is nobody's business."""
        facts = self._facts(self.domain.policy_host)
        return ((NOWHERE,), NEGATIVE_TTL) if facts is None or facts.address is None else ((facts.address.address,), facts.address.ttl)

    def body_at(self, address: Address) -> bytes | None:
        """What is served there."""
        return self.hosts[address].files.get(self.domain) if address in self.hosts else None

    def body(self) -> bytes | None:
        """What is served where the policy host leads now."""
        return self.body_at(self.address()[0][0])

    def _facts(self, name: str) -> NameFacts | None:
        return self.target.contents[ZoneName(f"{self.domain}.")].get(name)


@dataclass
class Resolver:
    """Answers from its cache while an answer may be cached, be it that there is nothing (RFC 2308)."""

    world: World
    cached: dict[str, tuple[tuple[Any, ...], datetime]] = field(default_factory=dict)

    def txt(self, now: datetime) -> tuple[str, ...]:
        return self._ask("txt", self.world.txt, now)

    def mx(self, now: datetime) -> tuple[str, ...]:
        return self._ask("mx", self.world.mx, now)

    def body(self, now: datetime) -> bytes | None:
        """What is served at the address that it knows."""
        return self.world.body_at(self._ask("address", self.world.address, now)[0])

    def copy(self) -> Resolver:
        return Resolver(self.world, dict(self.cached))

    def _ask(self, what: str, world, now: datetime) -> tuple[Any, ...]:
        known = self.cached.get(what)
        if known is None or now >= known[1]:
            values, ttl = world()
            known = self.cached[what] = (values, now + timedelta(seconds=ttl))
        return known[0]


@dataclass(frozen=True)
class Held:
    """A policy in a sender's cache: the bytes, and the id under which they were stored."""

    id: str
    body: bytes
    since: datetime


@dataclass
class Sender:
    """Keeps one policy. `extends`: the same id at a refresh only lengthens the life of what it holds. `raises`: a week at least."""

    world: World
    extends: bool
    raises: bool
    held: Held | None = None
    slow: tuple[Held, datetime] | None = None

    def policy(self, now: datetime) -> Reading | None:
        """What it would apply now."""
        self._arrived(now)
        policy = None if self.held is None else reading(self.held.body)
        if self.held is None or policy is None or now >= self.held.since + policy.lifetime(self.raises):
            return None
        return policy

    def look(self, resolver: Resolver, now: datetime, *, works: bool = True, slow: bool = False) -> None:
        """Ask for the record; fetch if it names another id than the stored one (RFC 8461 §3.1, §5.1)."""
        valid = self.policy(now) is not None
        id_ = the_id(resolver.txt(now))
        if id_ is None:
            return
        if self.held is not None and valid and self.held.id == id_:
            if self.extends:
                self.held = replace(self.held, since=now)
            return
        self._fetch(id_, resolver, now, works, slow)

    def refresh(self, resolver: Resolver, now: datetime, *, works: bool = True, slow: bool = False) -> None:
        """Before the policy expires, whatever the record says (RFC 8461 §10.2)."""
        if self.extends:
            self.look(resolver, now, works=works, slow=slow)
        elif self.policy(now) is not None and self.held is not None:
            self._fetch(self.held.id, resolver, now, works, slow)

    def refuses(self, resolver: Resolver, host: str, now: datetime) -> bool:
        """Does it refuse this MX host, also after it has looked for a new id, as it must before it gives up (RFC 8461 §5.1)?"""
        policy = self.policy(now)
        if policy is None or policy.refuses(host):
            self.look(resolver, now)
            policy = self.policy(now)
        return policy is not None and policy.refuses(host)

    def copy(self) -> Sender:
        return replace(self)

    def _fetch(self, id_: str, resolver: Resolver, now: datetime, works: bool, slow: bool) -> None:
        body = resolver.body(now)
        if not works or body is None or reading(body) is None:
            return
        if slow:
            self.slow = (Held(id_, body, now + SLOWEST), now + SLOWEST)
        else:
            self.held = Held(id_, body, now)

    def _arrived(self, now: datetime) -> None:
        if self.slow is not None and now >= self.slow[1]:
            self.held, self.slow = self.slow[0], None
