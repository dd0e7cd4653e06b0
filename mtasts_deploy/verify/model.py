"""What a look at a domain saw (`Sight`), and what is said about it (`DomainReport`). Pure types; times are UTC, TTLs are seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Fetched, Probed
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import Policy
from mtasts_deploy.rfc.records import StsRecord
from mtasts_deploy.sender.names import Outcome, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSight:
    """A TXT name: what the resolver says, and what each server of its zone says for itself."""

    seen: Reply
    own: tuple[Reply, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSight:
    """An MX host: its preference in the MX record, the answers about its addresses and its TLSA records, and what each address answered.

    `looked`: were its addresses connected to?
    """

    host: str
    preference: int
    replies: tuple[Reply, ...] = ()
    tlsa: Reply | None = None
    probes: tuple[Probed, ...] = ()
    looked: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its addresses, IPv4 first."""
        return tuple(dict.fromkeys(value for reply in self.replies if reply.outcome is Outcome.FOUND for value in reply.values))

    @property
    def alias(self) -> str:
        """Where a CNAME leads, if the host is one."""
        return next((reply.canonical for reply in self.replies if reply.aliased), "")

    @property
    def passed(self) -> tuple[Probed, ...]:
        """The addresses where an enforcing sender would deliver."""
        return tuple(probe for probe in self.probes if probe.problem is None)

    @property
    def unknown(self) -> bool:
        """Is it not known whether a sender would deliver there?"""
        if any(not reply.answered for reply in self.replies) and not self.addresses:
            return True
        return self.looked and bool(self.probes) and not self.passed and any(probe.unreachable for probe in self.probes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """All that one look at a domain saw.

    `fetched` has an answer for each address of the policy host, and is empty where there is no record that invites anybody to ask;
    `as_browser` is what a browser gets where we were refused. `mx` is the answer about its MX records, `implicit` those about its own
    addresses where it has none (RFC 5321 §5.1). `receivers` says of each URI for TLS reports why nothing would be received there, None
    where something would. `smtp`: were MX hosts to be connected to?
    """

    domain: Domain
    at: datetime
    sts: RecordSight
    tlsrpt: RecordSight
    fetched: tuple[Fetched, ...] = ()
    as_browser: Fetched | None = None
    mx: Reply
    implicit: tuple[Reply, ...] = ()
    hosts: tuple[HostSight, ...] = ()
    receivers: Mapping[str, str | None] = field(default_factory=dict)
    smtp: bool = True


class Delivery(Enum):
    """What a sender that honours MTA-STS, and holds no earlier policy, would do with mail for the domain."""

    DELIVER = "deliver"
    UNPROTECTED = "deliver unprotected"
    REFUSE = "refuse"
    NO_MAIL = "no mail"
    UNKNOWN = "could not look"


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainReport:
    """What is said about a domain: the verdict with its reason, what is live, and every finding."""

    sight: Sight
    delivery: Delivery
    why: str
    record: StsRecord | None = None
    policy: Policy | None = None
    uncovered: tuple[str, ...] = ()
    findings: tuple[Diagnostic, ...] = ()

    @property
    def domain(self) -> Domain:
        """The domain."""
        return self.sight.domain

    @property
    def bodies(self) -> frozenset[bytes]:
        """What its addresses serve, where nothing is wrong with the fetch."""
        return frozenset(one.body for one in self.sight.fetched if one.problem is None and one.body is not None)

    @property
    def body(self) -> bytes | None:
        """The policy that every address serves; None where none does, or they differ."""
        return next(iter(self.bodies)) if len(self.bodies) == 1 else None

    @property
    def id_matches(self) -> bool | None:
        """Does the live id name the served policy (None: there is not both)?"""
        return None if self.record is None or self.body is None else self.record.id.names(self.body)

    @property
    def policy_host_ends(self) -> datetime | None:
        """When the first certificate of the policy host ends."""
        return min((one.not_after for one in self.sight.fetched if one.not_after is not None), default=None)

    @property
    def mx_ends(self) -> datetime | None:
        """When the first certificate of an MX host ends."""
        dates = (probe.not_after for host in self.sight.hosts for probe in host.probes)
        return min((date for date in dates if date is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A verification: its domains in the order asked for, and what was found about the looking itself (`MTS607`: port 25 is blocked)."""

    at: datetime
    domains: tuple[DomainReport, ...]
    findings: tuple[Diagnostic, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where mail would be refused or something could not be looked at (DESIGN section 10)."""
        return int(any(one.delivery in (Delivery.REFUSE, Delivery.UNKNOWN) for one in self.domains))
