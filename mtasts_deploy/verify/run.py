"""A verification of many domains at a time: each is looked at, then judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.verify.crew import crew_size, crewed_sights
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.model import DomainReport, Report
from mtasts_deploy.verify.policies import Declared
from mtasts_deploy.verify.sights import sights, silence
from mtasts_deploy.verify.verdict import judge


def verify(
    domains: Sequence[Domain],
    eyes: Eyes,
    *,
    declared: Mapping[Domain, Declared] | None = None,
    parallelism: int = 20,
    seen: Callable[[Domain], None] = lambda _: None,
    make: Callable[[], Eyes] | None = None,
) -> Report:
    """Look at these domains and judge each, so many at a time; `seen` is told when one has been looked at. Never raises for a domain.

    Where eyes can be made elsewhere, too (`make`), many domains are looked at by several processes.
    """
    known = declared or {}
    began = eyes.clock()
    size = 1 if make is None else crew_size(len(domains), eyes, parallelism)
    if make is not None and size > 1:
        found = crewed_sights(domains, make, size=size, parallelism=parallelism, seen=seen)
    else:
        found = sights(domains, eyes, parallelism=parallelism, told=lambda sight: seen(sight.domain))
    reports = tuple(judge(sight, known.get(sight.domain)) for sight in found)
    return Report(at=began, domains=reports, findings=tuple(_blocked(reports)) if silence(eyes) else ())


def _blocked(reports: Sequence[DomainReport]) -> Iterator[Diagnostic]:
    """Said once, not for each host."""
    silent = {host.host for report in reports for host in report.sight.hosts for probe in host.probes if probe.silent}
    if silent:
        named = f"{len(silent)} MX hosts" if len(silent) > 1 else next(iter(silent))
        yield Diagnostic(
            code="MTS607",
            severity=Severity.WARN,
            message=f"port 25 seems to be blocked on the way from this machine: no answer from {named}, and none from any other host",
            hint="Many networks block it. Run `deploy verify` where mail is sent from, or look at the rest with --no-smtp.",
            ref="RFC 8461 §4",
        )
