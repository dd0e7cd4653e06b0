"""What was ever public: policies, the exposures of ids, MX hosts. Memory, never truth: live DNS and the host are the truth.

Bytes are named by their digits: the first 24 lower-case hex digits of their SHA-256, which are also those of an id of ours. Times are UTC,
whole seconds; TTLs are seconds. The rules are those of DESIGN section 8; why they are needed: RFC 8461 §8.1 and §10.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mtasts_deploy.facts import Address, KnownPolicies
from mtasts_deploy.rfc.policy import PolicyId

YEAR = timedelta(seconds=31557600)
"""The largest max_age (RFC 8461 §3.2): no sender holds a policy longer without having fetched it again."""
DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicPolicy:
    """Bytes that could be fetched at the policy host, or were noted as about to be.

    `since` is the first moment, `until` the last one, None while they may be fetched. `read_back` is when a put of ours was last read back,
    `mark` by what the host's listing showed them then (an ETag), where it shows such a thing. `ours`: they are there because we put them
    there, or pushed an id for them; not so what others have put, also where it is an old policy of ours that they put back.
    """

    body: bytes
    since: datetime
    until: datetime | None = None
    read_back: datetime | None = None
    mark: str | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """An id that was, or may be, in the `_mta-sts` record, with all bytes (by digits) that could be fetched while it may have been visible.

    It may be visible from `since` until `until` (None: still); `ttl` is the largest TTL seen with it. `ours`: this ledger wrote it.
    `counted` is False for an id that was seen live without having been counted as visible: its past is unknown.
    """

    id: str
    since: datetime
    until: datetime | None = None
    ttl: int
    bytes: frozenset[str]
    ours: bool
    counted: bool
    confirmed: datetime | None = None

    def visible(self, now: datetime) -> bool:
        """May some sender see this id in DNS now?"""
        return self.until is None or now < self.until

    @property
    def spent(self) -> bool:
        """Could other bytes than its own be fetched while it was visible, or is its past unknown? Then it is never written again."""
        digits = PolicyId.parse(self.id).digits
        return not self.counted or any(seen != digits for seen in self.bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """The last time without exactly one valid `_mta-sts` record: then senders keep what they hold (RFC 8461 §3.1).

    Some sender may still have such an answer in its cache until `until` (None: it is so now); `ttl` is how long it may be cached.
    """

    since: datetime
    until: datetime | None = None
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MxSighting:
    """An MX host of the domain: first seen, and the first look that missed it (None while it is there)."""

    host: str
    since: datetime
    missed: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was live before the last run that changed the domain: where `rollback` goes back to.

    `policy` names the bytes that were served (None: no file), `sts` says whether a `_mta-sts` record of ours was live, `tlsrpt` is our
    `_smtp._tls` value (None: none, or not touched by the run when `tlsrpt_changed` is False). `done`: the run finished this domain.
    `taken`: it was taken back. `plan` is the digest of the plan that the run carried out.
    """

    run: str
    at: datetime
    policy: str | None
    sts: bool
    tlsrpt: str | None
    tlsrpt_changed: bool = False
    done: bool = False
    taken: bool = False
    plan: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToPublish:
    """The `_mta-sts` record that octodns-sync may publish from now on (`dns: plugin`): its bytes passed the barrier."""

    id: str
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way that senders may take to the policy: an address of the policy host, and the host that serves there.

    It may be taken from `since` until `until` (None: still); `seen` is the first look that showed the address (None: it was only prepared),
    `ttl` the largest that it was seen with. An empty `address`: where the name leads is not known; an empty `host`: what serves there is
    not known. `ours`: it was declared while it was there, or put there by us; `put` is the latter.
    """

    host: str
    address: Address
    ttl: int
    since: datetime
    seen: datetime | None = None
    until: datetime | None = None
    ours: bool = False
    put: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All that is remembered of one domain.

    `host` is the host whose file counts as the served one; empty while no host of ours has had one. `ways` are all that senders may take
    to the policy: while there are several, a move is open, and each of their hosts gets what is put.

    `incomplete`: something was live at first sight, then. `lost`: an id of our form was live that the ledger did not know, then.
    `mx_ttl` is the largest TTL that the MX set was seen with, `mx_watched` the first look at it. `tlsrpt` is the value that we published
    last.
    `taken_back` names what a rollback took back and nobody has declared otherwise since: digits of bytes, or a TLSRPT value.
    `to_publish` is what the octoDNS plugin emits; None where `deploy apply` writes the record itself, or has none to write yet.
    """

    policies: Mapping[str, PublicPolicy] = field(default_factory=dict)
    ids: Mapping[str, Exposure] = field(default_factory=dict)
    blind: Blind | None = None
    mx: Mapping[str, MxSighting] = field(default_factory=dict)
    mx_ttl: int = 0
    mx_watched: datetime | None = None
    incomplete: datetime | None = None
    lost: datetime | None = None
    tlsrpt: str | None = None
    before: Before | None = None
    taken_back: frozenset[str] = frozenset()
    to_publish: ToPublish | None = None
    dns: tuple[str, ...] = ()
    host: str = ""
    ways: tuple[Way, ...] = ()

    @property
    def published(self) -> bool:
        """Was there ever an id? Then senders may hold a policy, and look for another on every way."""
        return bool(self.ids) or self.to_publish is not None

    @property
    def published_by_us(self) -> bool:
        """Did this ledger ever publish a policy of the domain?"""
        return any(known.ours for known in self.ids.values())

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that senders may be led to, as far as they are known."""
        return tuple(dict.fromkeys(host for host in (self.host, *(way.host for way in self.ways)) if host))

    @property
    def astray(self) -> bool:
        """May senders be led to a host of which nobody knows, as the state was lost while the policy host may have been moving?"""
        return any(not way.host for way in self.ways)

    def fetchable(self) -> frozenset[str]:
        """The bytes, by digits, that may be fetched now."""
        return frozenset(digits for digits, policy in self.policies.items() if policy.until is None)

    def elsewhere(self, ids: Iterable[str]) -> frozenset[str]:
        """The bytes, by digits, that were fetched from a server that is no host of ours, as an import does, and that senders may have
        stored under one of these ids; none once a host of ours has had a policy.
        """
        if self.host or self.astray:
            return frozenset()
        stored = frozenset[str]().union(*(known.bytes for text in ids if (known := self.ids.get(text)) is not None))
        return stored & self.fetchable()

    def known(self, host: str) -> KnownPolicies:
        """What to know the policy file by again at that host; a mark says nothing at another host than the one that showed it."""
        marks = {policy.mark: policy.body for policy in self.policies.values() if policy.mark} if host == self.host else {}
        return KnownPolicies(bodies=tuple(policy.body for policy in self.policies.values()), marks=marks)

    def unknown_id_may_be_visible(self, now: datetime) -> bool:
        """May some sender see an id of unknown exposures: one that was live uncounted, or one that had gone just before the first sight?"""
        longest = max([DAY, *(known.ttl for known in self.ids.values())])
        gone_before = self.incomplete is not None and now < self.incomplete + timedelta(seconds=longest)
        return gone_before or any(known.visible(now) and not known.counted for known in self.ids.values())

    def may_be_blind(self, now: datetime) -> bool:
        """May some sender find no valid record now, and so keep what it holds?"""
        return self.blind is not None and (self.blind.until is None or now < self.blind.until)

    def live_hosts(self, now: datetime) -> frozenset[str]:
        """The MX hosts that some sender may still have in its cache: those that are there, and those missed for less than one MX TTL."""
        lifetime = timedelta(seconds=self.mx_lifetime(now))
        return frozenset(host for host, seen in self.mx.items() if seen.missed is None or now < seen.missed + lifetime)

    def mx_lifetime(self, now: datetime) -> int:
        """How long an MX set may be cached, in seconds: the largest TTL seen, at least one day while the history is incomplete."""
        return max(self.mx_ttl, DAY) if self.history_incomplete(now) else self.mx_ttl

    def history_incomplete(self, now: datetime) -> bool:
        """May something that we never saw still be cached? Until the largest max_age has passed since the first sight of a live domain."""
        return self.incomplete is not None and now < self.incomplete + YEAR

    def state_was_lost(self, now: datetime) -> bool:
        """Was an id of our form live that this ledger did not write, within the largest max_age?"""
        return self.lost is not None and now < self.lost + YEAR


UNSEEN = Entry()
