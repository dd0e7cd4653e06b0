"""Looks at many domains at a time, in threads: what takes time is waiting for others."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mtasts_deploy.facts import Probed
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.verify.look import Eyes, Look
from mtasts_deploy.verify.model import Sight


def sights(domains: Sequence[Domain], eyes: Eyes, *, parallelism: int = 20, told: Callable[[Sight], None] = lambda _: None) -> list[Sight]:
    """Look at these domains, so many at a time; `told` gets each as soon as it is there. Never raises for a domain."""
    with _pool(parallelism) as looks, _pool(2 * parallelism) as probes:
        look = Look(eyes, probes)

        def at(domain: Domain) -> Sight:
            sight = look.at(domain)
            told(sight)
            return sight

        found = list(looks.map(at, domains))
    return [_unsure(sight) for sight in found] if silence(eyes) else found


def silence(eyes: Eyes) -> bool:
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
