"""Drift for people: one line a domain, and below it what is not as it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mtasts_deploy.output.text import counted, further, plain
from mtasts_deploy.verify.drift import DomainDrift, DriftReport

Style = Callable[..., str]


def drift_lines(report: DriftReport, style: Style, *, verbose: bool) -> Iterator[str]:
    """What has drifted; with `verbose` also what has not."""
    for one in report.domains:
        if verbose or one.drifted or one.unknown:
            yield from _domain(one, style)
    yield style(drift_line(report), "bold")


def drift_line(report: DriftReport) -> str:
    """How many domains have drifted."""
    drifted = sum(one.drifted for one in report.domains)
    unknown = sum(one.unknown for one in report.domains)
    more = f", {unknown} could not be looked at" if unknown else ""
    return f"Drift: {drifted} of {counted(len(report.domains), 'domain')}{more}."


def _domain(one: DomainDrift, style: Style) -> Iterator[str]:
    state = "could not look" if one.unknown else "drift" if one.drifted else "as declared"
    verdict = f"senders: {one.report.delivery.value}, {one.report.why}"
    yield f"{style(plain(one.domain.display), 'bold')}: {style(state, 'yellow' if state != 'as declared' else 'green')}; {plain(verdict)}"
    for line in one.pending:
        yield f"  {line.action.value} {line.what:<13}{plain(line.text)}".rstrip()
    for finding in one.findings:
        yield f"  {style(f'warning {finding.code}', 'yellow')} {plain(finding.message)}"
        for text in further(finding):
            yield f"      {text}"
