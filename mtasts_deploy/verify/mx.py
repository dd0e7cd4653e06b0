"""What is wrong with the MX hosts of a domain: against its policy (RFC 8461 §4.1), on port 25 (§4.2), and in DNS (RFC 5321 §5.1). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import Probed
from mtasts_deploy.rfc.policy import Mode, Policy
from mtasts_deploy.sender.names import Outcome, failed
from mtasts_deploy.verify.look import exchanges_of
from mtasts_deploy.verify.model import HostSight, Sight
from mtasts_deploy.verify.policies import SOON, soon

_MATCH: Final = "RFC 8461 §4.1"
_MANY: Final = 8  # patterns without a host that are worth a warning


def null_mx(sight: Sight) -> bool:
    """Does the domain say that it takes no mail (RFC 7505 §3)?"""
    exchanges = exchanges_of(sight.mx)
    return bool(exchanges) and not any(host for _, host in exchanges)


def not_covered(sight: Sight, policy: Policy | None) -> tuple[str, ...]:
    """The MX hosts that the policy does not name (RFC 8461 §4.1); none without a policy that names hosts."""
    if policy is None or policy.mode is Mode.NONE:
        return ()
    return tuple(host.host for host in sight.hosts if not any(pattern.matches(host.host) for pattern in policy.mx))


def check_mx(sight: Sight, policy: Policy | None) -> list[Diagnostic]:
    """The findings about MX records, coverage, addresses, port 25 and DANE."""
    enforcing = policy is not None and policy.mode is Mode.ENFORCE
    found = [*_records(sight, policy), *_coverage(sight, policy)]
    for host in sight.hosts:
        found += _names(host)
        for probe in host.probes:
            found += _probe(probe, enforcing=enforcing)
        found += _ending(sight, host)
        found += _dane(sight, host)
    return found


def _records(sight: Sight, policy: Policy | None) -> Iterator[Diagnostic]:
    domain = str(sight.domain)
    exchanges = exchanges_of(sight.mx)
    if sight.mx.outcome is Outcome.NO_NAME:
        hint = "Look at the spelling; a domain that does not exist takes no mail."
        yield Diagnostic(code="MTS638", message=f"{domain} does not exist", hint=hint, ref="RFC 5321 §5.1")
    elif not sight.mx.answered:
        yield replace(failed(domain, sight.mx), code="MTS637")
    elif null_mx(sight):
        useless = " A policy protects nothing there." if policy is not None else ""
        yield Diagnostic(
            code="MTS632",
            severity=Severity.WARN if policy is not None else Severity.NOTE,
            message=f"{domain} has a null MX: it takes no mail.{useless}",
            hint="Retire the policy, or give the domain an MX host." if policy is not None else None,
            ref="RFC 7505 §3",
        )
    elif exchanges and not all(host for _, host in exchanges):
        hint = "Remove it, or the other MX records: a null MX stands alone, and senders differ in what they make of both."
        yield Diagnostic(code="MTS635", message=f"{domain} has a null MX beside other MX records", hint=hint, ref="RFC 7505 §3")
    elif not exchanges and not sight.hosts:
        hint = "Add an MX record; for a domain without mail, a null MX (`0 .`)."
        yield Diagnostic(code="MTS639", message=f"{domain} has neither an MX record nor an address", hint=hint, ref="RFC 5321 §5.1")
    elif not exchanges:
        yield Diagnostic(
            code="MTS634",
            severity=Severity.NOTE,
            message=f"{domain} has no MX record, so it is its own MX host",
            hint=f"A policy must name {domain} itself. An MX record would say it in the open.",
            ref="RFC 5321 §5.1",
        )


def _coverage(sight: Sight, policy: Policy | None) -> Iterator[Diagnostic]:
    if policy is None or policy.mode is Mode.NONE:
        return
    enforcing = policy.mode is Mode.ENFORCE
    for host in not_covered(sight, policy):
        effect = "senders do not deliver there" if enforcing else "in enforce, senders would not deliver there"
        yield Diagnostic(
            code="MTS630",
            severity=Severity.ERROR if enforcing else Severity.WARN,
            message=f"the policy does not name the MX host {host}: {effect}",
            hint=f"Add `mx: {host}` to the policy, with a new id. TLS reports call it validation-failure.",
            ref=_MATCH,
        )
    if not sight.hosts:
        return
    idle = [str(pattern) for pattern in policy.mx if not any(pattern.matches(host.host) for host in sight.hosts)]
    if idle:
        yield Diagnostic(
            code="MTS631",
            severity=Severity.WARN if len(idle) > _MANY else Severity.NOTE,
            message=f"the policy names what is no MX host now: {', '.join(idle[:_MANY])}{' …' * (len(idle) > _MANY)}",
            hint="Keep what you are about to use; whoever holds such a host may take mail for the domain.",
            ref=_MATCH,
        )


def _names(host: HostSight) -> Iterator[Diagnostic]:
    if host.alias:
        yield Diagnostic(
            code="MTS633",
            severity=Severity.WARN,
            message=f"the MX host {host.host} is a CNAME to {host.alias}",
            hint="Name the target in the MX record: with policy and certificate, most senders compare the name in there, some the target.",
            ref="RFC 5321 §5.1",
        )
    if host.addresses or host.probes:
        return
    unanswered = [reply for reply in host.replies if not reply.answered]
    if unanswered:
        yield replace(failed(host.host, unanswered[0]), code="MTS637")
    else:
        gone = all(reply.outcome is Outcome.NO_NAME for reply in host.replies)
        message = f"the MX host {host.host} {'does not exist' if gone else 'has no address'}"
        hint = "Remove the MX record, or give the name an address: whoever can register it takes the mail."
        yield Diagnostic(code="MTS636", message=message, hint=hint, ref="RFC 5321 §5.1")


def _probe(probe: Probed, *, enforcing: bool) -> Iterator[Diagnostic]:
    problem = probe.problem
    if problem is not None and not (probe.silent and probe.unreachable):
        mild = problem.severity is Severity.ERROR and not enforcing
        yield replace(problem, severity=Severity.WARN) if mild else problem
    yield from probe.warnings


def _ending(sight: Sight, host: HostSight) -> Iterator[Diagnostic]:
    ends = min((probe.not_after for probe in host.probes if probe.not_after is not None), default=None)
    if ends is not None and ends - sight.at < SOON:
        yield soon(f"the certificate of the MX host {host.host}", "MTS626", ends, sight.at, ref="RFC 8461 §4.2")


def _dane(sight: Sight, host: HostSight) -> Iterator[Diagnostic]:
    """TLSA records, said as information: MTA-STS never overrides DANE (RFC 8461 §2)."""
    tlsa = host.tlsa
    if tlsa is None or tlsa.outcome is not Outcome.FOUND:
        return
    if tlsa.authentic and sight.mx.authentic:
        message = f"the MX host {host.host} has TLSA records, signed with DNSSEC"
        hint = "Senders with DANE follow these, and many then ignore MTA-STS: both must be right."
        yield Diagnostic(code="MTS640", severity=Severity.NOTE, message=message, hint=hint, ref="RFC 8461 §2")
        return
    unsigned = "the TLSA records" if not tlsa.authentic else f"the MX records of {sight.domain}"
    message = f"the MX host {host.host} has TLSA records, but DNSSEC does not prove {unsigned} (says {tlsa.server})"
    hint = "Senders ignore them. Sign the zone, or ask through a resolver that validates."
    yield Diagnostic(code="MTS641", severity=Severity.NOTE, message=message, hint=hint, ref="RFC 8461 §2")
