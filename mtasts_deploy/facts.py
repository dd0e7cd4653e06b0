"""Types that cross the seams between layers: what was seen in the world, and what is to be written there.

Names of DNS owners are A-labels in lower case without the root dot; a `ZoneName` has the root dot. TXT values are the raw text, one
string a value with its character-strings joined; the escaping that octoDNS wants exists only in the bridge. TTLs are seconds.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Final, NewType

from mtasts_deploy.diagnostics import Diagnostic

ZoneName = NewType("ZoneName", str)


class RecordKind(Enum):
    """The two TXT records that we manage; the value is the version field with which a value of ours begins."""

    STS = "v=STSv1"
    TLSRPT = "v=TLSRPTv1"

    def owns(self, value: str) -> bool:
        """Is this TXT value one of ours: the version, followed by white space, `;` or the end (DESIGN section 9)?"""
        version = self.value
        return value.startswith(version) and (len(value) == len(version) or value[len(version)] in " \t;")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A fact that could not be observed, and why. Never a guess."""

    reason: Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class TxtSet:
    """All TXT values at one name, in the order in which the provider gives them."""

    values: tuple[str, ...]
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MxSet:
    """The MX records at one name: exchange hosts, sorted; a null MX (RFC 7505) is the one host `.`."""

    hosts: tuple[str, ...]
    ttl: int


ADDRESS_TYPES: Final = ("A", "AAAA", "CNAME")
"""The record types that say where a name leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a policy host's name leads: to another name (`cname`), or to IPv4 and IPv6 addresses, as text, sorted. Empty: nowhere."""

    cname: str | None = None
    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cname or self.a or self.aaaa)

    def __str__(self) -> str:
        """`CNAME policies.example.net`, `A 192.0.2.1 and 192.0.2.2 · AAAA 2001:db8::1`."""
        return " · ".join(f"{kind} {' and '.join(values)}" for kind, values in self.records())

    def records(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The record types with their values."""
        for kind, values in zip(ADDRESS_TYPES, (self.a, self.aaaa, (self.cname,) if self.cname else ()), strict=True):
            if values:
                yield kind, values

    @classmethod
    def of(cls, records: Mapping[str, Iterable[str]]) -> Address:
        """From record types with their values; target names as A-labels without root dot, IPv6 in any form."""
        cname = next(iter(records.get("CNAME", ())), None)
        return cls(cname=cname, a=_ips(records.get("A", ())), aaaa=_ips(records.get("AAAA", ())))


def _ips(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({_ip(text) for text in texts}))


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text  # whoever wrote it there must mend it; it differs from every declared one


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressSet:
    """The address records at one name; `ttl` is the largest of their TTLs."""

    address: Address
    ttl: int


def besides(types: Iterable[str], wanted: Address) -> tuple[str, ...]:
    """The record types among those at a name beside which this address cannot stand (RFC 1034 §3.6.2; ALIAS is an address already)."""
    others = set(types) - set(ADDRESS_TYPES)
    return tuple(sorted(others if wanted.cname else others & {"ALIAS"}))


def is_policy_host(name: str) -> bool:
    """May this be the name of a policy host (RFC 8461 §3.3)? Only there are address records read and written."""
    return name.startswith("mta-sts.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFacts:
    """What a zone holds at one name. `others` are the record types there besides TXT and MX, sorted; `cname` is the target if one is there.

    `address` is read at names of policy hosts only.

    `refusal` says why our values at this name cannot be edited (they come from an alias, a merge key, an include), if so.
    """

    txt: TxtSet | None = None
    mx: MxSet | None = None
    others: tuple[str, ...] = ()
    cname: str | None = None
    address: AddressSet | None = None
    refusal: Diagnostic | None = None


NOTHING = NameFacts()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneFacts:
    """What one zone at one provider holds at the names that were asked for.

    `names` has an entry for each asked name that exists. `cuts` are names below the apex that carry NS or DNAME and are at or above an
    asked name, with that type: the zone does not answer for what lies there (DNAME: strictly below). `negative_ttl` is the SOA minimum
    where it is known. `min_ttl` is the shortest TTL that the provider takes: it makes a shorter one longer.
    """

    provider: str
    zone: ZoneName
    names: Mapping[str, NameFacts]
    cuts: Mapping[str, str] = field(default_factory=dict)
    negative_ttl: int | None = None
    min_ttl: int = 0

    def at(self, name: str) -> NameFacts:
        """What is at that name; an empty `NameFacts` if nothing is."""
        return self.names.get(name, NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedPolicy:
    """A policy file as it is on its host. `version` is the host's own mark of this very object, for a conditional put.

    `mark` is set where the host shows a mark in its listings by which these bytes can be known again without reading them.
    """

    body: bytes
    version: str
    mark: str | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPolicies:
    """What is remembered of one policy file: bytes that were there or may be, and bytes by the mark that the host has shown for them."""

    bodies: tuple[bytes, ...] = ()
    marks: Mapping[str, bytes] = field(default_factory=dict)


POLICY_LIMIT = 65536
"""Octets of a policy that senders read; more is refused (RFC 8461 §3.3, ruling A18)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What one address of a policy host answered to a sender (RFC 8461 §3.3).

    `address` is empty where the name has none. `body` has the octets as they came, at most one more than `POLICY_LIMIT`; None where there
    are none to speak of. `seconds` is how long the whole exchange took, `date` what the server's clock said, `not_after` when its
    certificate ends. `freshness`: the seconds for which a shared cache that fetches this now may serve it (RFC 9111 §4.2.1), None where
    the answer does not say. `shared_cache` has the header fields that show a shared cache on the way. `problem` is
    why a strict sender takes no policy from this answer; `warnings` are what some senders mind. `unreachable`: this machine has no way to
    addresses of that family, so nothing is known about it.
    """

    address: str
    status: int | None = None
    content_type: str | None = None
    body: bytes | None = None
    seconds: float = 0.0
    date: datetime | None = None
    not_after: datetime | None = None
    freshness: int | None = None
    shared_cache: tuple[str, ...] = ()
    problem: Diagnostic | None = None
    warnings: tuple[Diagnostic, ...] = ()
    unreachable: bool = False

    @property
    def served(self) -> bytes | None:
        """The policy that some sender may take from this answer, strict or not: octets with status 200, whole and as they are stored."""
        return self.body if self.status == 200 and self.body is not None and len(self.body) <= POLICY_LIMIT else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What one address of an MX host answered to a sender that wants TLS (RFC 8461 §4). No mail was sent.

    `protocol` is the TLS version agreed upon, `not_after` when the certificate ends, `seconds` how long it all took. `problem` is why a
    sender that enforces a policy would not deliver there; `warnings` are what some senders mind. `unreachable`: nothing is known about
    this address, because this machine cannot look (no such family, port 25 blocked, turned away at the door). `silent`: the connection
    was not answered at all, which is what a blocked port looks like, too.
    """

    host: str
    address: str
    protocol: str = ""
    not_after: datetime | None = None
    seconds: float = 0.0
    problem: Diagnostic | None = None
    warnings: tuple[Diagnostic, ...] = ()
    unreachable: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderLook:
    """What a sender sees of a domain that is about to have a stricter policy: its policy host, and each MX host at each address."""

    fetched: tuple[Fetched, ...] = ()
    probes: Mapping[str, tuple[Probed, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveMx:
    """The union of the MX hosts of all providers; without any, the domain itself (`implicit`, RFC 5321 §5.1).

    `addressed`: the domain has address records, so that the implicit MX exists. `differing`: the providers do not agree.
    """

    hosts: tuple[str, ...]
    ttl: int
    implicit: bool = False
    addressed: bool = True
    differing: bool = False

    @property
    def null(self) -> bool:
        """Does the domain say that it takes no mail (RFC 7505)?"""
        return self.hosts == (".",)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordChange:
    """One TXT record to be written: our value at `name` becomes `value` (None: ours is removed). Values of others stay as they are.

    `before` is the whole TXT set that the change was planned against; a provider that finds another one there refuses.
    """

    name: str
    kind: RecordKind
    before: TxtSet | None
    value: str | None
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressChange:
    """The address records of a policy host: what is at `name` becomes `after`. Records of all other types there stay as they are.

    `before` is what the change was planned against; a provider that finds something else there refuses.
    """

    name: str
    before: AddressSet | None
    after: Address
    ttl: int


Change = RecordChange | AddressChange


def fingerprint(*parts: object) -> str:
    """A short name for facts: the first 16 hex digits of SHA-256 over their canonical text. Equal facts, equal fingerprint."""
    return hashlib.sha256("\x1f".join(map(_canonical, parts)).encode()).hexdigest()[:16]


def _canonical(part: object) -> str:
    """The text of a fact. Not `repr`: the order of a set differs from process to process, and a saved plan must outlive its process."""
    match part:
        case frozenset() | set():
            return f"{{{','.join(sorted(map(_canonical, part)))}}}"
        case Mapping():
            return f"{{{','.join(sorted(f'{_canonical(key)}:{_canonical(value)}' for key, value in part.items()))}}}"
        case tuple() | list():
            return f"[{','.join(map(_canonical, part))}]"
        case _ if is_dataclass(part):
            counted = (one.name for one in fields(part) if one.compare)
            return f"{type(part).__name__}({','.join(f'{name}={_canonical(getattr(part, name))}' for name in counted)})"
        case _:
            return repr(part)
