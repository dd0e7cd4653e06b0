"""A verification of many domains at a time: each is looked at, then judged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import Probed
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.verify.look import Eyes, Look
from mtasts_deploy.verify.model import DomainReport, Report, Sight
from mtasts_deploy.verify.policies import Declared
from mtasts_deploy.verify.verdict import judge


def verify(
    domains: Sequence[Domain],
    eyes: Eyes,
    *,
    declared: Mapping[Domain, Declared] | None = None,
    parallelism: int = 20,
    seen: Callable[[Domain], None] = lambda _: None,
) -> Report:
    """Look at these domains and judge each, so many at a time; `seen` is told when one has been looked at. Never raises for a domain."""
    known = declared or {}
    began = eyes.clock()
    reports = tuple(judge(sight, known.get(sight.domain)) for sight in sights(domains, eyes, parallelism=parallelism, seen=seen))
    return Report(at=began, domains=reports, findings=tuple(_blocked(reports)) if _silence(eyes) else ())


def sights(domains: Sequence[Domain], eyes: Eyes, *, parallelism: int = 20, seen: Callable[[Domain], None] = lambda _: None) -> list[Sight]:
    """Look at these domains, so many at a time. Never raises for a domain."""
    with _pool(parallelism) as looks, _pool(2 * parallelism) as probes:
        look = Look(eyes, probes)

        def at(domain: Domain) -> Sight:
            sight = look.at(domain)
            seen(domain)
            return sight

        found = list(looks.map(at, domains))
    return [_unsure(sight) for sight in found] if _silence(eyes) else found


def _silence(eyes: Eyes) -> bool:
    """Has no MX host answered at all?"""
    return eyes.prober is not None and not eyes.prober.answered


@contextlib.contextmanager
def _pool(size: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads; when interrupted, what has not begun does not begin."""
    pool = ThreadPoolExecutor(max_workers=max(size, 1))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _unsure(sight: Sight) -> Sight:
    """No MX host has answered at all: silence is then no sign of a dead host, it may be this machine's port 25 (CERT-9)."""
    hosts = tuple(replace(host, probes=tuple(_doubted(probe) for probe in host.probes)) for host in sight.hosts)
    return replace(sight, hosts=hosts)


def _doubted(probe: Probed) -> Probed:
    return replace(probe, unreachable=True) if probe.silent else probe


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
