"""What was observed of a domain: where it lives, what is there, and the same as a look for the ledger. Facts only; `observe` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import MtastsError
from mtasts_deploy.facts import Address, HostedPolicy, LiveMx, NameFacts, RecordKind, Unknown, ZoneName, fingerprint
from mtasts_deploy.ledger.events import Look
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.records import parse_sts

NEGATIVE_TTL = 3600
"""What an answer "no MX" or "no record" is taken to be cached for where the zone does not tell its SOA minimum (RFC 2308 §5)."""


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


def _single(site: RecordSite) -> bool:
    try:
        parse_sts(site.ours(RecordKind.STS))
    except MtastsError:
        return False
    return True
