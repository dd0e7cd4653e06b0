"""Drift for people: one line a domain, and below it what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator

from mtasts_deploy.output.channel import Channel
from mtasts_deploy.output.text import counted, further, plain
from mtasts_deploy.verify.drift import DomainDrift, DriftReport


def drift_lines(report: DriftReport, out: Channel, *, verbose: bool) -> Iterator[str]:
    """What has drifted; with `verbose` also what has not."""
    for one in report.domains:
        if verbose or one.drifted or one.unknown:
            yield from _domain(one, out)
            yield ""
    yield out.style(drift_line(report), "bold")


def drift_line(report: DriftReport) -> str:
    """How many domains have drifted."""
    drifted = sum(one.drifted for one in report.domains)
    unknown = sum(one.unknown for one in report.domains)
    more = f", {unknown} could not be looked at" if unknown else ""
    return f"Drift: {drifted} of {counted(len(report.domains), 'domain')}{more}."


def _domain(one: DomainDrift, out: Channel) -> Iterator[str]:
    state = "could not look" if one.unknown else "drift" if one.drifted else "as declared"
    colour = "red" if one.unknown else "yellow" if one.drifted else "green"
    name = plain(one.domain.display)
    yield f"{out.style(name, 'bold')}: {out.style(state, colour)}"
    yield from out.folded(f"  senders: {one.report.delivery.value}, {plain(one.report.why)}", 4)
    for line in one.pending:
        yield from out.folded(f"  {line.action.value} {line.what:<13}{plain(line.text)}".rstrip(), 17)
    for finding in one.findings:
        head = f"warning {finding.code}"
        yield from out.headed(f"  {head} {plain(finding.message)}", head, 6, "yellow")
        for text in further(finding):
            yield from out.folded(f"      {text}", 8)
