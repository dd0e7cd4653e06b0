"""What is live of a domain, as the settings that describe it (`deploy import`). Pure: what was seen, and judged, comes in.

Only what senders take counts: a record or a policy that they refuse has no meaning to declare, and its domain is left out with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from mtasts_deploy.declaration.model import Sts
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.rfc.names import Domain, MxPattern
from mtasts_deploy.rfc.policy import Mode, Policy, PolicyError, parse_policy
from mtasts_deploy.rfc.records import RecordError, parse_rua, parse_tlsrpt
from mtasts_deploy.verify.model import DomainReport, RecordSight


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A domain of which something is live, and how it is declared. `findings` are all deviations that were found.

    `mode`, `max_age` (seconds) and `mx` are None where we do not publish its policy; `tlsrpt` where no such record is to be managed; `ttl`
    (seconds) where the zone's own servers did not say it. `alias` is where others publish the record. `id` with its TTL and `bodies` are
    what senders may have stored together.
    """

    domain: Domain
    sts: Sts
    mode: Mode | None = None
    max_age: int | None = None
    mx: tuple[MxPattern, ...] | None = None
    tlsrpt: tuple[str, ...] | None = None
    ttl: int | None = None
    alias: str = ""
    id: tuple[str, int] | None = None
    bodies: tuple[bytes, ...] = ()
    findings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A domain that is not declared, and why: `findings`. `nothing`: nothing of it is live; else it could not be read."""

    domain: Domain
    nothing: bool
    findings: tuple[Diagnostic, ...] = ()


def described(report: DomainReport) -> Live | LeftOut:
    """How this domain is to be declared so that an apply changes nothing for senders; or why it cannot be."""
    sight = report.sight
    unanswered = not sight.sts.seen.answered or not sight.tlsrpt.seen.answered
    tried = _claims(sight.sts, b"stsv1") or sight.sts.seen.aliased
    if unanswered or (tried and report.record is None):
        return LeftOut(domain=report.domain, nothing=False, findings=report.findings)
    tlsrpt, odd = _tlsrpt(sight.tlsrpt)
    findings = (*report.findings, *(finding.of(str(report.domain)) for finding in odd))
    if not tried:
        return _reports_only(report, tlsrpt, findings)
    if sight.sts.seen.aliased:
        alias = sight.sts.seen.canonical
        return Live(
            domain=report.domain,
            sts=Sts.ELSEWHERE,
            tlsrpt=tlsrpt,
            alias=alias,
            ttl=_ttl(sight.tlsrpt) if tlsrpt else None,
            findings=findings,
        )
    return _publishing(report, tlsrpt, findings)


def _reports_only(report: DomainReport, tlsrpt: tuple[str, ...] | None, findings: tuple[Diagnostic, ...]) -> Live | LeftOut:
    tried = _claims(report.sight.tlsrpt, b"tlsrptv1")
    if tlsrpt is None:
        return LeftOut(domain=report.domain, nothing=not tried and not report.sight.tlsrpt.seen.aliased, findings=findings)
    return Live(domain=report.domain, sts=Sts.TLSRPT_ONLY, tlsrpt=tlsrpt, ttl=_ttl(report.sight.tlsrpt), findings=findings)


def _publishing(report: DomainReport, tlsrpt: tuple[str, ...] | None, findings: tuple[Diagnostic, ...]) -> Live | LeftOut:
    sight, policy = report.sight, report.policy
    bodies = tuple(dict.fromkeys(body for answer in sight.fetched if (body := answer.served) is not None))
    record = report.record
    if policy is None or record is None or not _agree(report, policy):
        return LeftOut(domain=report.domain, nothing=False, findings=findings)
    ttl = _ttl(sight.sts)
    more = tuple(finding.of(str(report.domain)) for finding in _inexpressible(report, policy, tlsrpt, ttl))
    return Live(
        domain=report.domain,
        sts=Sts.PUBLISH,
        mode=policy.mode,
        max_age=max(policy.max_age, 1),
        mx=policy.mx,
        tlsrpt=tlsrpt,
        ttl=ttl,
        id=(str(record.id), max(ttl or 0, sight.sts.seen.ttl or 0)),
        bodies=bodies,
        findings=(*findings, *more),
    )


def _agree(report: DomainReport, policy: Policy) -> bool:
    """Do all addresses serve a policy of this meaning, as far as they serve any?"""
    try:
        return all(parse_policy(body).means(policy) for body in report.bodies)
    except PolicyError:
        return False


def _claims(record: RecordSight, name: bytes) -> bool:
    """Does a TXT value there look as if it were the record?"""
    return any(name in text.lower() for text in record.seen.texts)


def _tlsrpt(record: RecordSight) -> tuple[tuple[str, ...] | None, list[Diagnostic]]:
    """The URIs to declare. None where there is no record of ours to be: none at all, one that nobody can read, one that others publish."""
    if record.seen.aliased or not _claims(record, b"tlsrptv1"):
        return None, []
    try:
        found = parse_tlsrpt([[text] for text in record.seen.texts])
    except RecordError:
        return None, []  # its findings are in the report; what is not declared stays as it is
    normal = [parse_rua(uri) for uri in found.rua]
    wrong = [problem.diagnostic() for _, problems in normal for problem in problems if problem.severity is Severity.ERROR]
    if wrong:
        return None, [replace(finding, severity=Severity.WARN) for finding in wrong]
    return tuple(dict.fromkeys(uri for uri, _ in normal)), []


def _ttl(record: RecordSight) -> int | None:
    """The TTL as the zone's own servers give it: a resolver counts it down."""
    return max((reply.ttl for reply in record.own if reply.ttl is not None and reply.texts), default=None)


def _inexpressible(report: DomainReport, policy: Policy, tlsrpt: tuple[str, ...] | None, ttl: int | None) -> Iterator[Diagnostic]:
    """What the declaration cannot say in the same way, so that the first plan shows it as a change."""
    if policy.max_age == 0:
        yield Diagnostic(
            code="MTS940",
            severity=Severity.WARN,
            message="the policy has max_age 0, which no declaration can have; 1 second is declared instead",
            hint="Declare a day or more: a policy that is forgotten at once protects nothing.",
            ref="RFC 8461 §3.2",
        )
    other = _ttl(report.sight.tlsrpt) if tlsrpt else None
    if ttl is not None and other is not None and ttl != other:
        yield Diagnostic(
            code="MTS940",
            severity=Severity.WARN,
            message=f"the TTLs of its two records differ ({ttl} s at _mta-sts, {other} s at _smtp._tls); both get {ttl} s",
            hint="One `ttl` stands for both records.",
        )
