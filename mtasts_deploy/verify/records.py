"""What is wrong with the two TXT records as senders see them (RFC 8461 §3.1, RFC 8460 §3). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from mtasts_deploy.diagnostics import Diagnostic, Problem, Severity
from mtasts_deploy.facts import RecordKind
from mtasts_deploy.rfc.policy import Mode, Policy
from mtasts_deploy.rfc.records import RecordError, StsRecord, TlsrptRecord, TxtValue, parse_sts, parse_tlsrpt
from mtasts_deploy.sender.answer import shown
from mtasts_deploy.sender.names import Outcome, Reply, failed
from mtasts_deploy.verify.model import RecordSight, Sight

Record = TypeVar("Record")
_STS = "RFC 8461 §3.1"
_TLSRPT = "RFC 8460 §3"


def check_sts(sight: Sight) -> tuple[StsRecord | None, list[Diagnostic]]:
    """The `_mta-sts` record, if senders find one, and its findings."""
    found: list[Diagnostic] = []
    record = _read(sight.sts.seen, RecordKind.STS, parse_sts, found, _no_sts)
    if sight.sts.seen.aliased and record is not None:
        found.append(_delegated(sight.sts.seen))
    return record, [*found, *_agreement(sight.sts)]


def check_tlsrpt(sight: Sight, policy: Policy | None) -> list[Diagnostic]:
    """The findings about the `_smtp._tls` record and where its reports go."""
    found: list[Diagnostic] = []
    matters = policy is not None and policy.mode is not Mode.NONE
    record = _read(sight.tlsrpt.seen, RecordKind.TLSRPT, parse_tlsrpt, found, lambda reply: _no_tlsrpt(reply, matters=matters))
    if record is not None:
        found += _receivers(sight, record, policy)
    return [*found, *_agreement(sight.tlsrpt)]


def _read(
    reply: Reply,
    kind: RecordKind,
    parse: Callable[[Sequence[TxtValue]], Record],
    found: list[Diagnostic],
    absent: Callable[[Reply], Diagnostic],
) -> Record | None:
    """The record, or None after having said why there is none."""
    if not reply.answered:
        found.append(failed(reply.name, reply))
        return None
    name = kind.value.removeprefix("v=").encode()
    if not any(name.lower() in text.lower() for text in reply.texts):
        found.append(absent(reply))
        return None
    try:
        record = parse([[text] for text in reply.texts])
    except RecordError as error:
        found += [_placed(reply.name, problem) for problem in error.problems]
        return None
    found += [_placed(reply.name, problem) for problem in getattr(record, "warnings", ())]
    return record


def _placed(name: str, problem: Problem) -> Diagnostic:
    column = f" (character {problem.column})" if problem.column > 1 else ""
    return replace(problem.diagnostic(), message=f"{name}: {problem.message}{column}")


def _no_sts(reply: Reply) -> Diagnostic:
    if reply.aliased and reply.outcome is not Outcome.FOUND:
        return _dangling(reply)
    other = f"; what is there is {shown(reply.texts[0].decode('utf-8', 'replace'), 40)}" if reply.texts else ""
    return Diagnostic(
        code="MTS560",
        severity=Severity.NOTE,
        message=f"{reply.name} has no MTA-STS record{other}: mail is not protected against attackers on the way",
        hint="`deploy init` begins; a domain that takes mail can have a policy in testing within minutes.",
        ref=_STS,
    )


def _no_tlsrpt(reply: Reply, *, matters: bool) -> Diagnostic:
    if reply.aliased and reply.outcome is not Outcome.FOUND:
        return _dangling(reply)
    return Diagnostic(
        code="MTS570",
        severity=Severity.WARN if matters else Severity.NOTE,
        message=f"{reply.name} has no TLSRPT record: nobody is told about failures",
        hint="Declare `tlsrpt: mailto:…`. A policy in testing is of no use without reports.",
        ref=_TLSRPT,
    )


def _dangling(reply: Reply) -> Diagnostic:
    return Diagnostic(
        code="MTS564",
        message=f"{reply.name} is a CNAME to {reply.canonical}, where there is no TXT record",
        hint="Ask whoever runs that name, or remove the CNAME: strangers may be able to register its target.",
        ref=_STS,
    )


def _delegated(reply: Reply) -> Diagnostic:
    return Diagnostic(
        code="MTS566",
        severity=Severity.NOTE,
        message=f"{reply.name} is a CNAME to {reply.canonical}: somebody else publishes the record",
        hint="The policy host must lead to the same operator, or ids and policies get out of step.",
        ref="RFC 8461 §8.2",
    )


def _agreement(record: RecordSight) -> Iterator[Diagnostic]:
    """Do all servers of the zone say the same, and the resolver, too (TXT-22)?"""
    name, seen = record.seen.name, record.seen
    answering = [reply for reply in record.own if reply.answered]
    mute = [reply for reply in record.own if not reply.answered]
    if mute and answering:
        names = ", ".join(reply.server for reply in mute)
        yield Diagnostic(
            code="MTS565",
            severity=Severity.WARN,
            message=f"not every name server of {name} gives an answer: {names} does not",
            hint="Resolvers that ask there wait, and some senders give up.",
        )
    said = {_content(reply) for reply in answering}
    if len(said) > 1:
        servers = "; ".join(f"{reply.server} says {_worded(reply)}" for reply in answering[:4])
        yield Diagnostic(
            code="MTS562",
            message=f"the name servers of {name} disagree: {servers}",
            hint="The zone has not reached all of them. Look at the transfers to the secondary servers.",
            ref=_STS,
        )
    elif said and seen.answered and _content(seen) not in said and not _followed(seen, answering[0]):
        yield Diagnostic(
            code="MTS563",
            severity=Severity.WARN,
            message=f"the resolver {seen.server} still has another answer for {name} than its name servers",
            hint="The change has not propagated yet: senders behind such a resolver learn of it when the TTL has passed.",
            ref="RFC 8461 §8.1",
        )


def _followed(seen: Reply, own: Reply) -> bool:
    """Do both show the same CNAME? What is behind it is not this server's to say."""
    return own.aliased and seen.aliased


def _content(reply: Reply) -> tuple[object, ...]:
    return (reply.canonical,) if reply.aliased else tuple(sorted(reply.texts))


def _worded(reply: Reply) -> str:
    return " and ".join(shown(text.decode("utf-8", "replace"), 60) for text in reply.texts) or reply.outcome.value


def _receivers(sight: Sight, record: TlsrptRecord, policy: Policy | None) -> Iterator[Diagnostic]:
    for uri in record.rua:
        why = sight.receivers.get(uri)
        if why is not None:
            yield Diagnostic(
                code="MTS571" if uri.lower().startswith("mailto:") else "MTS572",
                severity=Severity.WARN,
                message=f"reports to {shown(uri, 120)} do not arrive: {why}",
                hint="Name a mailbox or a server that takes reports.",
                ref=_TLSRPT,
            )
        elif policy is not None and policy.mode is Mode.ENFORCE and len(record.rua) == 1 and uri.lower().endswith(f"@{sight.domain}"):
            yield Diagnostic(
                code="MTS573",
                severity=Severity.NOTE,
                message=f"the only reports about {sight.domain} go to {sight.domain} itself",
                hint="Reports may be delivered without TLS, but not while its MX hosts are down: name a mailbox in another domain, too.",
                ref=_TLSRPT,
            )


def about(finding: Diagnostic, sight: Sight) -> Diagnostic:
    """The finding, with its domain."""
    return replace(finding, domain=str(sight.domain))
