"""Git against the world: what is declared, and what the ledger remembers, against what senders see. Pure; times are UTC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mtasts_deploy.declaration.model import Sts
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.ledger.events import digits_of
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.plan.model import Action, DomainPlan, Line, Verdict
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import Mode
from mtasts_deploy.verify.model import DomainReport, Report
from mtasts_deploy.verify.policies import Declared

_ID = "RFC 8461 §8.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainDrift:
    """One domain: what senders see (`report`), what an apply would change (`pending`), and what has changed that no apply did (`changes`).

    `declared_mode` is None where no policy is declared; `since` is when the served policy was first public, by the ledger.
    """

    report: DomainReport
    plan: DomainPlan
    pending: tuple[Line, ...] = ()
    changes: tuple[Diagnostic, ...] = ()
    declared_mode: Mode | None = None
    since: datetime | None = None

    @property
    def domain(self) -> Domain:
        """The domain."""
        return self.report.domain

    @property
    def drifted(self) -> bool:
        """Is anything not as it should be by declaration or ledger?"""
        return bool(self.pending or self.changes)

    @property
    def unknown(self) -> bool:
        """Could something that counts not be looked at? A silent port 25 is nothing that could drift."""
        seen = self.report.sight.sts.seen
        return self.plan.verdict is Verdict.UNKNOWN or not seen.answered or not self.report.sight.mx.answered

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """What has changed, then what could not be observed."""
        return (*self.changes, *(self.plan.findings if self.plan.verdict is Verdict.UNKNOWN else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """Git against the world at a moment."""

    at: datetime
    domains: tuple[DomainDrift, ...]

    @property
    def exit_code(self) -> int:
        """1 where something could not be looked at, 2 for drift, else 0."""
        if any(one.unknown for one in self.domains):
            return 1
        return 2 if any(one.drifted for one in self.domains) else 0


def drift(report: Report, plans: Sequence[DomainPlan], known: Mapping[Domain, Declared]) -> DriftReport:
    """Compare each domain of the report with its plan and with what is known of it."""
    by_domain = {plan.domain: plan for plan in plans}
    return DriftReport(at=report.at, domains=tuple(_domain(one, by_domain[one.domain], known[one.domain]) for one in report.domains))


def _domain(one: DomainReport, plan: DomainPlan, declared: Declared) -> DomainDrift:
    settings, entry = declared.settings, declared.entry
    publishing = settings.sts is Sts.PUBLISH
    changes = tuple(_changes(one, entry)) if publishing and entry is not None else ()
    body = one.body
    return DomainDrift(
        report=one,
        plan=plan,
        pending=tuple(line for line in plan.lines if line.action is not Action.KEEP),
        changes=changes,
        declared_mode=settings.mode if publishing else None,
        since=None if entry is None or body is None or (policy := entry.policies.get(digits_of(body))) is None else policy.since,
    )


def _changes(one: DomainReport, entry: Entry) -> Iterator[Diagnostic]:
    yield from _record(one, entry)
    yield from _policy(one, entry)
    yield from _mx(one, entry)
    yield from _address(one, entry)


def _record(one: DomainReport, entry: Entry) -> Iterator[Diagnostic]:
    """The live id against those that the ledger holds for visible."""
    visible = [known.id for known in entry.ids.values() if known.visible(one.sight.at)]
    if not one.sight.sts.seen.answered or not visible:
        return
    live = None if one.record is None else str(one.record.id)
    if live in visible:
        return
    said = f"has the id {live}" if live is not None else "is gone, or senders cannot read it"
    yield _changed(
        "MTS581",
        one,
        f"{one.domain.sts_record} {said}; the ledger has {' and '.join(visible)}",
        "Somebody else changed it. `deploy plan` shows how an apply would put it right.",
        ref=_ID,
    )


def _policy(one: DomainReport, entry: Entry) -> Iterator[Diagnostic]:
    """The served bytes against those that the ledger holds for public."""
    public = entry.fetchable()
    if not public or not one.sight.fetched or any(answer.unreachable for answer in one.sight.fetched):
        return
    if not one.bodies:
        yield _changed(
            "MTS580",
            one,
            f"{one.domain.policy_host} serves no policy; the ledger has one that is public",
            "See the findings of `deploy verify` about the policy host.",
            ref="RFC 8461 §3.3",
        )
    for body in one.bodies:
        if digits_of(body) not in public:
            yield _changed(
                "MTS580",
                one,
                f"{one.domain.policy_host} serves the policy {digits_of(body)}; the ledger has {' and '.join(sorted(public))}",
                "Somebody else changed it, a cache has an old one, or files were not shipped. `deploy plan` shows what an apply would do.",
                ref=_ID,
            )


def _mx(one: DomainReport, entry: Entry) -> Iterator[Diagnostic]:
    """The live MX hosts against those of the last look of an apply."""
    known = {host for host, seen in entry.mx.items() if seen.missed is None}
    live = {host.host for host in one.sight.hosts}
    if not known or not one.sight.mx.answered or known == live:
        return
    said = [f"new: {', '.join(sorted(live - known))}"] * bool(live - known) + [f"gone: {', '.join(sorted(known - live))}"] * bool(
        known - live
    )
    yield _changed(
        "MTS582",
        one,
        f"the MX hosts have changed since the last apply ({'; '.join(said)})",
        "Run `deploy apply`: it notes them, and lets the policy follow where `mx: zone` is declared.",
        ref="RFC 8461 §8.1",
    )


def _address(one: DomainReport, entry: Entry) -> Iterator[Diagnostic]:
    """The addresses of the policy host against those that the ledger knows of, where it knows addresses at all."""
    ways = [way.address for way in entry.ways if way.until is None and way.address]
    if not ways or any(address.cname for address in ways):
        return  # what is behind a CNAME is its owner's to change
    known = {text for address in ways for text in (*address.a, *address.aaaa)}
    strange = [answer.address for answer in one.sight.fetched if answer.address and answer.address not in known]
    if strange:
        yield _changed(
            "MTS583",
            one,
            f"{one.domain.policy_host} leads to {', '.join(strange)}, which the last apply did not see",
            "If that is a move, run `deploy apply`, so that every server gets what is published.",
            ref=_ID,
        )


def _changed(code: str, one: DomainReport, message: str, hint: str, *, ref: str) -> Diagnostic:
    return Diagnostic(code=code, severity=Severity.WARN, message=message, domain=str(one.domain), hint=hint, ref=ref)
