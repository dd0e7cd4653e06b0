"""Many domains, looked at by several processes: one Python process uses one core, whatever its number of threads."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.model import Sight
from mtasts_deploy.verify.sights import sights

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess

_WORTH: Final = 100  # domains for each process: below, starting one costs more than it saves


def crew_size(domains: int, eyes: Eyes, parallelism: int) -> int:
    """How many processes are worth their start; 1: only this one.

    With port 25 there is only one: a host is asked once, and whether any has answered must be known (CERT-9); the network is then what
    takes time.
    """
    return 1 if eyes.prober is not None else max(min(_cores(), domains // _WORTH, parallelism), 1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def crewed_sights(
    domains: Sequence[Domain], make: Callable[[], Eyes], *, size: int, parallelism: int, seen: Callable[[Domain], None]
) -> list[Sight]:
    """Look at these domains in so many processes, which make their own eyes, and so many at a time in all; in the order asked for.

    What a process did not come to (it was killed) is looked at here. Never raises for a domain.
    """
    found: dict[Domain, Sight] = {}
    context = _context()
    crew: list[tuple[Connection, BaseProcess]] = []
    try:
        for first in range(size):
            here, there = context.Pipe(duplex=False)
            arguments = (domains[first::size], make, -(-parallelism // size), there)
            process = context.Process(target=_work, args=arguments, daemon=True)  # type: ignore[attr-defined]
            process.start()
            there.close()
            crew.append((here, process))
        _gather([here for here, _ in crew], found, seen)
    finally:
        for here, process in crew:
            here.close()
            process.terminate()
            process.join()
    rest = [domain for domain in domains if domain not in found]
    if rest:
        found |= {sight.domain: sight for sight in sights(rest, make(), parallelism=parallelism, told=lambda sight: seen(sight.domain))}
    return [found[domain] for domain in domains]


def _context() -> BaseContext:
    """Forking costs nothing, and is safe where there is one thread; macOS has libraries that do not survive it."""
    import multiprocessing

    fork = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork" if fork else "spawn")


def _gather(pipes: list[Connection], found: dict[Domain, Sight], seen: Callable[[Domain], None]) -> None:
    from multiprocessing.connection import wait

    while pipes:
        ready = wait(pipes)
        for pipe in [one for one in pipes if one in ready]:
            try:
                sight: Sight = pipe.recv()
            except (EOFError, OSError):
                pipes.remove(pipe)
                continue
            found[sight.domain] = sight
            seen(sight.domain)


def _work(domains: Sequence[Domain], make: Callable[[], Eyes], parallelism: int, pipe: Connection) -> None:
    """What one process does. It ends when nobody listens any more, or by the signal of who has started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    turn = threading.Lock()

    def told(sight: Sight) -> None:
        with turn:
            pipe.send(sight)

    with contextlib.suppress(BrokenPipeError):
        sights(domains, make(), parallelism=parallelism, told=told)
    pipe.close()
