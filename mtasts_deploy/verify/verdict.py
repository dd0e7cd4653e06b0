"""The verdict on a domain: what a sender that honours MTA-STS, and holds no earlier policy, would do with mail (RFC 8461 §5). Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.rfc.policy import Mode, Policy
from mtasts_deploy.rfc.records import StsRecord
from mtasts_deploy.sender.names import Outcome, failed
from mtasts_deploy.verify.model import Delivery, DomainReport, HostSight, Sight
from mtasts_deploy.verify.mx import check_mx, not_covered, null_mx
from mtasts_deploy.verify.policies import Declared, check_policy
from mtasts_deploy.verify.records import about, check_sts, check_tlsrpt

Verdict = tuple[Delivery, str]


def judge(sight: Sight, declared: Declared | None = None) -> DomainReport:
    """The report on one domain."""
    record, of_record = check_sts(sight)
    policy, of_policy = check_policy(sight, record, declared)
    findings = [*of_record, *of_policy, *check_mx(sight, policy), *check_tlsrpt(sight, policy)]
    delivery, why = _verdict(sight, record, of_record, policy, of_policy)
    return DomainReport(
        sight=sight,
        delivery=delivery,
        why=why,
        record=record,
        policy=policy,
        uncovered=not_covered(sight, policy),
        findings=tuple(about(finding, sight) for finding in dict.fromkeys(findings)),
    )


def _verdict(
    sight: Sight, record: StsRecord | None, of_record: Sequence[Diagnostic], policy: Policy | None, of_policy: Sequence[Diagnostic]
) -> Verdict:
    if (verdict := _without_mail(sight)) is not None:
        return verdict
    if not sight.sts.seen.answered:
        return Delivery.UNKNOWN, failed(sight.sts.seen.name, sight.sts.seen).message
    if record is None:
        return Delivery.UNPROTECTED, _first(of_record) or "there is no MTA-STS record"
    if policy is None:
        if sight.fetched and all(one.unreachable or (one.problem and one.problem.code == "MTS553") for one in sight.fetched):
            return Delivery.UNKNOWN, _first(of_policy) or "the policy could not be looked at"
        return Delivery.UNPROTECTED, f"senders get no policy: {_first(of_policy)}"
    if policy.mode is not Mode.ENFORCE:
        delivery, why = _enforced(sight, policy)
        would = f"; enforce would refuse: {why}" if policy.mode is Mode.TESTING and delivery is Delivery.REFUSE else ""
        return Delivery.UNPROTECTED, f"the policy's mode is {policy.mode}{would}"
    return _enforced(sight, policy)


def _without_mail(sight: Sight) -> Verdict | None:
    """The verdict where nothing is delivered, or nobody knows where to."""
    mx = sight.mx
    if mx.outcome is Outcome.NO_NAME:
        return Delivery.REFUSE, f"{sight.domain} does not exist"
    if not mx.answered:
        return Delivery.UNKNOWN, failed(mx.name, mx).message
    if null_mx(sight):
        return Delivery.NO_MAIL, "it has a null MX"
    if not sight.hosts:
        unanswered = [reply for reply in sight.implicit if not reply.answered]
        if unanswered:
            return Delivery.UNKNOWN, failed(unanswered[0].name, unanswered[0]).message
        return Delivery.NO_MAIL, "it has neither an MX record nor an address"
    return None


def _enforced(sight: Sight, policy: Policy) -> Verdict:
    """What a sender does under this policy if it is enforced: the MX hosts in their order, those that fail left out (RFC 8461 §8.4)."""
    bare = set(not_covered(sight, policy))
    failures: dict[str, str] = {}
    fine: list[HostSight] = []
    unknown: list[HostSight] = []
    for host in sight.hosts:
        if host.host in bare:
            failures[host.host] = f"the policy does not name the MX host {host.host}"
        elif host.unknown:
            unknown.append(host)
        elif not host.addresses and not host.probes:
            failures[host.host] = f"the MX host {host.host} has no address"
        elif not host.looked or host.passed:
            fine.append(host)
        else:
            failures[host.host] = next((probe.problem.message for probe in host.probes if probe.problem is not None), "")
    of = f"{len(fine)} of {len(sight.hosts)} MX hosts" if len(sight.hosts) > 1 else f"the MX host {sight.hosts[0].host}"
    first = next(iter(failures.values()), "")
    if fine and not all(host.looked for host in fine):
        return Delivery.DELIVER, f"the policy names {of}; port 25 was not looked at" + f"; not to others: {first}" * bool(first)
    if fine:
        return Delivery.DELIVER, f"over verified TLS to {of}" + f"; not to others: {first}" * bool(first)
    if unknown:
        return Delivery.UNKNOWN, _blind(unknown)
    return Delivery.REFUSE, first


def _blind(hosts: Sequence[HostSight]) -> str:
    """Why nothing is known about MX hosts."""
    for host in hosts:
        for probe in host.probes:
            if probe.silent:
                return f"no MX host answers on port 25 from here (asked {', '.join(one.host for one in hosts[:3])})"
            if probe.unreachable and probe.problem is not None:
                return probe.problem.message
    return f"the addresses of the MX host {hosts[0].host} could not be looked up"


def _first(findings: Sequence[Diagnostic]) -> str:
    """The first error among findings, in its words."""
    return next((finding.message for finding in findings if finding.severity is Severity.ERROR), "")
