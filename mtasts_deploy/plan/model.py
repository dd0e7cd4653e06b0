"""The plan: per domain what will be done, in which order, and why. Frozen; made by the planner, carried out by `apply`, shown by
`output`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import Address, AddressChange, RecordChange, RecordKind, ZoneName
from mtasts_deploy.rfc.names import Domain


class Action(Enum):
    """What happens to a thing; the symbols are API."""

    ADD = "+"
    CHANGE = "~"
    REMOVE = "-"
    KEEP = "="


class Verdict(Enum):
    """How a domain stands in a plan."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    WAITING = "waiting"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteChange:
    """A record change at one zone of one provider."""

    provider: str
    zone: ZoneName
    change: RecordChange


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressSite:
    """A change of the address records at one zone of one provider."""

    provider: str
    zone: ZoneName
    change: AddressChange


@dataclass(frozen=True, slots=True, kw_only=True)
class PutAddress:
    """Lead the policy host there. `moves`: the domain has a live policy, so its bytes are served there before."""

    changes: tuple[AddressSite, ...]
    moves: bool

    @property
    def address(self) -> Address:
        """Where it leads then."""
        return self.changes[0].change.after


@dataclass(frozen=True, slots=True, kw_only=True)
class PutPolicy:
    """Put these bytes on the policy host, if what is there still has the version `before` (None: nothing).

    `copy`: they are those that are served already, for a host that is to serve them next.
    """

    host: str
    location: str
    before: str | None
    body: bytes
    copy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """Prove that the bytes of the policy are the ones that are served: at the policy host, or at the address that it is to have."""

    body: bytes
    at: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PutRecords:
    """Write these records; `id` is the policy id that the `_mta-sts` record names then, if it changes."""

    changes: tuple[SiteChange, ...]
    id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Store in the state that octodns-sync may publish this id with this TTL (`dns: plugin`); `before` is the id that it could publish."""

    id: str
    ttl: int
    before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRecords:
    """Remove our values of these records."""

    changes: tuple[SiteChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePolicy:
    """Remove a file that no record has ever named."""

    host: str
    location: str
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Something is not done yet on purpose: what, until when at the earliest, and the code under which the wait is lifted (empty:
    never).
    """

    what: str
    until: datetime | None
    text: str
    code: str = ""


Step = PutAddress | PutPolicy | Barrier | PutRecords | HandOver | RemoveRecords | RemovePolicy | Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line for people: what happens to the policy or a record."""

    action: Action
    what: str
    text: str


class Effect(Enum):
    """What a change means for the delivery of mail to a domain."""

    SAME = "as before"
    STRICTER = "may be refused"
    MILDER = "refused less"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """May mail delivery change, and how: a sentence for readers who do not know the RFC."""

    effect: Effect
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainPlan:
    """What will be done for one domain.

    `inputs` are fingerprints of every fact that the planner looked at (empty where nothing is to be done). `findings` with severity error
    block the domain (`blocked`) or say what could not be observed (`unknown`). `notes` are sentences for the reader.
    `repair`: it only adds hosts or makes the mode milder, so it runs first. `lifted` are the
    codes that were lifted for it when the plan was made. `delivery` says what its new policy means for mail (None: no policy is changed).
    `unexplained` is what an apply would do also if the domain were declared as in the revision that the plan is compared with: the world
    has drifted, or that revision was never applied.
    """

    domain: Domain
    verdict: Verdict
    where: str = ""
    steps: tuple[Step, ...] = ()
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    findings: tuple[Diagnostic, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    repair: bool = False
    lifted: tuple[str, ...] = ()
    delivery: Delivery | None = None
    unexplained: tuple[Line, ...] = ()

    @property
    def acts(self) -> bool:
        """Would an apply change the world for this domain?"""
        return self.verdict not in (Verdict.BLOCKED, Verdict.UNKNOWN, Verdict.STALE) and any(
            not isinstance(step, Wait) for step in self.steps
        )

    @property
    def waits(self) -> bool:
        """Is something not done yet on purpose?"""
        return any(isinstance(step, Wait) for step in self.steps)

    def step(self, kind: type[PutPolicy]) -> PutPolicy | None:
        """The step that puts the policy, if there is one."""
        return next((step for step in self.steps if isinstance(step, kind)), None)

    @property
    def put_address(self) -> PutAddress | None:
        """The step that changes the address of the policy host, if there is one."""
        return next((step for step in self.steps if isinstance(step, PutAddress)), None)

    @property
    def moves(self) -> bool:
        """Is it a move: no new bytes, but another host or another address for those that are served?"""
        if any((isinstance(step, PutPolicy) and step.copy) or (isinstance(step, PutAddress) and step.moves) for step in self.steps):
            return True
        # The bytes are at the new host already, and the address stays: there is nothing but the proof.
        others = any(
            isinstance(step, PutPolicy | PutAddress | HandOver) or (isinstance(step, PutRecords) and step.id is not None)
            for step in self.steps
        )
        return not others and any(isinstance(step, Barrier) for step in self.steps)

    @property
    def hand_over(self) -> HandOver | None:
        """The step that leaves the `_mta-sts` record to octodns-sync, if there is one."""
        return next((step for step in self.steps if isinstance(step, HandOver)), None)

    @property
    def records(self) -> tuple[SiteChange, ...]:
        """All record changes."""
        return tuple(change for step in self.steps if isinstance(step, PutRecords | RemoveRecords) for change in step.changes)

    def change_of(self, kind: RecordKind) -> SiteChange | None:
        """The first change of that record."""
        return next((one for one in self.records if one.change.kind is kind), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The numbers of the closing line: policies, records and addresses added, changed, removed; domains waiting, blocked, not observed."""

    add: int
    change: int
    remove: int
    wait: int
    blocked: int
    unknown: int
    unchanged: int

    def __str__(self) -> str:
        """The closing line; its form is API."""
        line = f"Plan: {self.add} to add, {self.change} to change, {self.remove} to remove. {self.wait} wait, {self.blocked} blocked."
        return line + (f" {self.unknown} could not be observed." if self.unknown else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole plan. `partial`: only some of the declared domains were looked at. `strays` are findings about no declared domain.

    `heading` says in a sentence what the plan is, where it is not what the declaration asks for.
    """

    domains: tuple[DomainPlan, ...]
    created: datetime
    partial: bool = False
    strays: tuple[Diagnostic, ...] = ()
    heading: str = ""

    @property
    def acting(self) -> tuple[DomainPlan, ...]:
        """The domains for which an apply would change the world."""
        return tuple(domain for domain in self.domains if domain.acts)

    def summary(self) -> Summary:
        """Count what the closing line says."""
        counts = dict.fromkeys(Action, 0)
        for domain in self.acting:
            for line in domain.lines:
                counts[line.action] += 1
        verdicts = [domain.verdict for domain in self.domains]
        return Summary(
            add=counts[Action.ADD],
            change=counts[Action.CHANGE],
            remove=counts[Action.REMOVE],
            wait=sum(domain.waits and domain.verdict is not Verdict.BLOCKED for domain in self.domains),
            blocked=verdicts.count(Verdict.BLOCKED),
            unknown=verdicts.count(Verdict.UNKNOWN),
            unchanged=verdicts.count(Verdict.UNCHANGED),
        )

    def findings(self) -> Iterable[Diagnostic]:
        """Every finding of every domain, and the strays."""
        for domain in self.domains:
            yield from domain.findings
        yield from self.strays

    @property
    def worst(self) -> Severity | None:
        """The worst severity of all findings."""
        return max((finding.severity for finding in self.findings()), default=None)
