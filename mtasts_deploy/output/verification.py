"""A verification for people: one line a domain, what is live below it, and the findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.output.channel import Channel
from mtasts_deploy.output.text import counted, further, in_order, listed, plain
from mtasts_deploy.plan.wording import duration, short_id
from mtasts_deploy.sender.names import Outcome
from mtasts_deploy.verify.model import Delivery, DomainReport, HostSight, Report

_COLOURS: Final = {Delivery.DELIVER: "green", Delivery.REFUSE: "red", Delivery.UNKNOWN: "red"}
_FEW: Final = 5  # domains about which everything is told
_MARKS: Final = {Severity.ERROR: "!", Severity.WARN: "warning", Severity.NOTE: "note"}


def verification_lines(report: Report, out: Channel, *, verbose: bool) -> Iterator[str]:
    """The whole verification. Of many domains only what is wrong is told, unless `verbose`."""
    whole = verbose or len(report.domains) <= _FEW
    for one in report.domains:
        yield from _domain(one, out, whole=whole)
        if whole:
            yield ""
    for finding in report.findings:
        yield from _finding(finding, out, indent="")
    yield out.style(tally_line(report), "bold")


def tally_line(report: Report) -> str:
    """How many domains have which verdict."""
    counts = Counter(one.delivery for one in report.domains)
    said = ", ".join(f"{counts[delivery]} {delivery.value}" for delivery in Delivery if counts[delivery]) or "nothing to look at"
    return f"Verify: {counted(len(report.domains), 'domain')}: {said}."


def _domain(one: DomainReport, out: Channel, *, whole: bool) -> Iterator[str]:
    name, verdict = plain(one.domain.display), one.delivery.value
    first, *rest = out.folded(f"{name}: {verdict}: {plain(one.why)}", 4)
    said = first[len(name) :].replace(verdict, out.style(verdict, "bold", _COLOURS.get(one.delivery, "yellow")), 1)
    yield from (out.style(name, "bold") + said, *rest)
    if whole:
        for label, text in _facts(one):
            yield from out.folded(f"  {label:<8}{plain(text)}", 12)
    for finding in in_order(one.findings):
        if whole or finding.severity is not Severity.NOTE:
            yield from _finding(finding, out, indent="  ")


def _facts(one: DomainReport) -> Iterator[tuple[str, str]]:
    seen = one.sight.sts.seen
    if one.record is not None:
        yield "record", f"id {short_id(str(one.record.id))}, ttl {duration(seen.ttl or 0)}"
    if one.policy is not None:
        patterns = listed([str(pattern) for pattern in one.policy.mx], 6) or "none"
        yield "policy", f"{one.policy.mode}, max_age {duration(one.policy.max_age)}, mx {patterns}"
    if one.policy_host_ends is not None:
        addresses = listed([answer.address for answer in one.sight.fetched if answer.address], 4)
        yield "web", f"{addresses}, certificate until {_day(one.policy_host_ends, one.sight.at)}"
    for host in one.sight.hosts:
        yield "mx", _host(host, one)
    tlsrpt = one.sight.tlsrpt.seen
    if tlsrpt.outcome is Outcome.FOUND:
        yield "reports", listed([text.decode("utf-8", "replace") for text in tlsrpt.texts], 3)


def _host(host: HostSight, one: DomainReport) -> str:
    named = "" if one.policy is None else " (not named by the policy)" if host.host in one.uncovered else ""
    if not host.looked:
        return f"{host.preference} {host.host}{named}, {listed(host.addresses, 4) or 'no address'}"
    passed = host.passed
    ends = min((probe.not_after for probe in passed if probe.not_after is not None), default=None)
    protocols = "/".join(sorted({probe.protocol for probe in passed}))
    good = f"{protocols}, certificate until {_day(ends, one.sight.at)}" if ends is not None else ""
    failing = len(host.probes) - len(passed)
    bad = f"{failing} of {counted(len(host.probes), 'address', 'addresses')} failing" if failing else ""
    return f"{host.preference} {host.host}{named}: {'; '.join(text for text in (good, bad) if text) or 'no address'}"


def _day(when: datetime, now: datetime) -> str:
    return f"{when:%Y-%m-%d} ({counted((when - now).days, 'day')})"


def _finding(finding: Diagnostic, out: Channel, *, indent: str) -> Iterator[str]:
    colour = "red" if finding.severity is Severity.ERROR else "yellow" if finding.severity is Severity.WARN else "cyan"
    head = f"{_MARKS[finding.severity]} {finding.code}"
    yield from out.headed(f"{indent}{head} {plain(finding.message)}", head, len(indent) + 4, colour)
    for text in further(finding):
        yield from out.folded(f"{indent}    {text}", len(indent) + 6)
