"""How a run or a check ended, in words that all formats for people share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.output.interface import Checked, RunReport, Shipment
from mtasts_deploy.output.text import counted, listed, tally

_FIRST: Final = (Outcome.DONE, Outcome.TAKEN_BACK, Outcome.WAITING, Outcome.UNCHANGED, Outcome.BLOCKED, Outcome.UNKNOWN, Outcome.STALE)
ENDINGS: Final = (*_FIRST, *(outcome for outcome in Outcome if outcome not in _FIRST))
"""The order in which endings are counted."""


def closing_line(report: RunReport) -> str:
    """How many domains ended how."""
    result = report.result
    counts = ", ".join(f"{result.count(outcome)} {outcome.value}" for outcome in ENDINGS if result.count(outcome)) or "no domains"
    return f"{report.what}: {counts}."


def verdict_line(report: Checked) -> str:
    """Is the declaration valid?"""
    if any(finding.severity is Severity.ERROR for finding in report.findings):
        return f"{report.name}: {tally(report.findings)}."
    return f"{report.name}: valid, {counted(report.domains, 'domain')}."


def afterwards(report: RunReport) -> Iterator[str]:
    """What is left to do by hand after a run."""
    result = report.result
    unfinished = result.count(Outcome.UNFINISHED) or result.count(Outcome.INTERRUPTED)
    if result.taken_back and unfinished:
        yield "The run failed, and not all that it had changed could be taken back."
    elif result.taken_back:
        yield "The run failed; what it had changed was taken back."
    if unfinished:
        again = "deploy apply"
        if result.taken_back or report.what == "Rollback":  # `apply` would be stopped by MTS701
            left = [str(domain) for domain, end in result.outcomes.items() if end in (Outcome.UNFINISHED, Outcome.INTERRUPTED)]
            again = f"deploy rollback {' '.join(left[:5])}" + " …" * (len(left) > 5)
        yield f"What is published is valid. Run `{again}` again: it looks at what is there and goes on."
    if result.count(Outcome.UNCONFIRMED):
        yield "Unconfirmed records are on their way to all name servers. Run `deploy apply` again later: it asks them, and closes."
    yield from _shipping(report.ship)


def _shipping(ship: Shipment) -> Iterator[str]:
    """The order that keeps senders right: nobody may see an id whose policy is not served yet (RFC 8461 §8.1)."""
    last = [f"ship {listed(ship.zones)}"] * bool(ship.zones) + ["run `octodns-sync --doit`"] * ship.octodns
    if not ship.policies and not last:
        return
    yield ""
    if not ship.domains:
        if ship.zones:
            yield f"These are files until you ship them: {listed(ship.zones)}."
        if ship.octodns:
            yield "The records are published when octodns-sync runs next: `octodns-sync --doit`."
        return
    yield "These are files until you ship them. In this order:"
    yield f"  1. ship {listed(ship.policies)}"
    urls = [domain.policy_url for domain in ship.domains]
    where = f" at {listed(ship.addresses, 3)}" if ship.addresses else ""
    yield f"  2. fetch {listed(urls, 3)}{where} and compare: the new policy must be what is served"
    if last:
        yield f"  3. only then {' and '.join(last)}"
