"""The barrier: no record names a policy before senders get it (DESIGN section 7 stage 3, RFC 8461 §8.1, UPD-3, WEB-23).

Three equal right answers in a row, a second apart, from every address of the policy host that this machine can reach, at least one; and
where a shared cache may still hold what was there before, its time is waited out. `decide` is pure; `watch` is the loop around it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import Address, Fetched
from mtasts_deploy.ledger.events import digits_of
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.interface import Fetcher

ROW: Final = 3
"""Right answers in a row that open the barrier."""
APART: Final = 1.0
"""Seconds between them."""
UNSAID: Final = 3600
"""Seconds for which a shared cache may serve what was there before, where nobody says for how long."""
ROUNDING: Final = timedelta(seconds=2)
"""Our notes are in whole seconds, rounded down, and so are the ages that caches reckon with: nginx serves a file for a second too long."""
SKEW: Final = timedelta(minutes=5)
"""How far our clock may be from that of a host (DESIGN section 8)."""
_SLOWEST: Final = 10.0  # seconds between two looks at what is wrong
_LOOK_WHILE_WAITING: Final = 60.0
# What the new bytes do not mend and waiting does not either, once they are served: nobody waits ten minutes to be told.
_HOPELESS: Final = frozenset({"MTS510", "MTS512", "MTS513", "MTS514", "MTS515", "MTS516", "MTS520", "MTS522", "MTS523", "MTS524"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What must be proved, and until when. `began` is when the proof began, `read_back` the ledger's note that the put was read back.

    `edge_ttl`: the seconds for which the host's own edges keep what was there before. `purged`: they were emptied, confirmed. `repair`:
    the policy only adds hosts or is milder, so a clock that is wrong does not stop it. `new`: the address is, so its certificate may come.
    """

    wanted: bytes
    began: datetime
    until: datetime
    read_back: datetime | None = None
    edge_ttl: int | None = None
    purged: bool = False
    repair: bool = False
    new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the proof is: right and wrong rounds in a row, the largest freshness seen, whether a shared cache was."""

    right: int = 0
    wrong: int = 0
    codes: frozenset[str] = frozenset()
    freshness: int | None = None
    cached: tuple[str, ...] = ()

    def seeing(self, answers: Sequence[Fetched]) -> Progress:
        """The same, with what these answers say about caches."""
        said = [one.freshness for one in answers if one.freshness is not None]
        cached = next((one.shared_cache for one in answers if one.shared_cache), ())
        largest = max([*said, *([] if self.freshness is None else [self.freshness])], default=None)
        return replace(self, freshness=largest, cached=self.cached or cached)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Look again after so many seconds; `why` says what is missing."""

    after: float
    why: Diagnostic | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Senders get the policy, all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The record must not move."""

    findings: tuple[Diagnostic, ...]


Decision = Again | Passed | Closed


def decide(aim: Aim, before: Progress, answers: Sequence[Fetched], now: datetime) -> tuple[Progress, Decision]:
    """What one round of answers, one for each address, means after those `before`."""
    progress = before.seeing(answers)
    skewed = () if aim.repair else skew(answers, now)
    if skewed:
        return progress, Closed(findings=skewed)
    found = wrong(aim.wanted, answers)
    if found:
        return _wrong(aim, progress, found, now)
    progress = replace(progress, right=progress.right + 1, wrong=0, codes=frozenset())
    if progress.right < ROW:
        return progress, Again(after=APART)
    due = fresh_everywhere(aim, progress)
    if due is None or now >= due:
        return progress, Passed()
    cache = _caching(progress, due)
    if due > aim.until:
        return progress, Closed(findings=(cache,))
    return progress, Again(after=min(max((due - now).total_seconds(), APART), _LOOK_WHILE_WAITING), why=cache)


def _wrong(aim: Aim, progress: Progress, found: tuple[Diagnostic, ...], now: datetime) -> tuple[Progress, Decision]:
    codes = frozenset(one.code for one in found)
    count = progress.wrong + 1 if codes == progress.codes else 1
    progress = replace(progress, right=0, wrong=count, codes=codes)
    hopeless = codes <= _HOPELESS and not progress.cached and not aim.new
    after = min(2.0 ** min(count - 1, 10), _SLOWEST)
    if (hopeless and count >= ROW) or now + timedelta(seconds=after) > aim.until:
        return progress, Closed(findings=found)
    return progress, Again(after=after, why=found[0])


def wrong(wanted: bytes, answers: Sequence[Fetched]) -> tuple[Diagnostic, ...]:
    """Why these answers do not prove that senders get `wanted`; empty if they do."""
    reached = [one for one in answers if not one.unreachable]
    if not reached:
        return tuple(replace(one.problem, severity=Severity.ERROR) for one in answers if one.problem is not None)
    return tuple(problem for one in reached if (problem := one.problem or _other(wanted, one)) is not None)


def _other(wanted: bytes, answer: Fetched) -> Diagnostic | None:
    if answer.body == wanted:
        return None
    stale = f", from a shared cache ({', '.join(answer.shared_cache)})" if answer.shared_cache else ""
    return Diagnostic(
        code="MTS530",
        message=f"the address {answer.address} still serves another policy (sha256 {digits_of(answer.body or b'')}…) than the planned one "
        f"(sha256 {digits_of(wanted)}…){stale}",
        hint="Purge the cache if there is one, or wait until it has expired, then run `deploy apply` again. If it stays so, somebody else "
        "writes there, or the host is not what this address serves.",
        ref="RFC 8461 §8.1",
    )


def skew(answers: Sequence[Fetched], now: datetime) -> tuple[Diagnostic, ...]:
    """That our clock and that of the host are too far apart to go by any date, if so."""
    for one in answers:
        if one.date is not None and abs(one.date - now) > SKEW:
            return (
                Diagnostic(
                    code="MTS533",
                    message=f"this machine's clock says {now:%Y-%m-%d %H:%M:%S} UTC, that of the policy host at {one.address} "
                    f"{one.date:%Y-%m-%d %H:%M:%S} UTC",
                    hint="Set the clock that is wrong (NTP): what senders may hold is reckoned by it.",
                ),
            )
    return ()


def fresh_everywhere(aim: Aim, progress: Progress) -> datetime | None:
    """When no shared cache serves what was there before any more; None where there is none, or it was emptied."""
    if aim.purged or (aim.edge_ttl is None and not progress.cached):
        return None
    seconds = aim.edge_ttl
    if seconds is None:
        seconds = UNSAID if progress.freshness is None else progress.freshness
    return (aim.read_back or aim.began) + timedelta(seconds=seconds) + ROUNDING if seconds else None


def _caching(progress: Progress, due: datetime) -> Diagnostic:
    what = f"shows a shared cache ({', '.join(progress.cached)})" if progress.cached else "has edges that keep answers"
    return Diagnostic(
        code="MTS532",
        message=f"the policy host {what}, other edges of which may serve the old policy until {due:%Y-%m-%d %H:%M:%S} UTC; "
        "no record was moved",
        hint="Run `deploy apply` again then. Let the host send `Cache-Control: max-age=60` for this file to shorten the wait.",
        ref="RFC 8461 §8.2",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Where the policy of a domain is fetched: at its policy host and, beside it, at other addresses that senders may still have for it; or
    only `at` the address that it is to have.
    """

    at: Address | None = None
    beside: tuple[Address, ...] = ()

    def answers(self, fetcher: Fetcher, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        """One answer for each address. Names among those beside that lead nowhere any more do not count: nobody gets anything there."""
        if self.at is not None:
            return fetcher.fetch_at(domain, self.at)
        found = {one.address: one for one in fetcher.fetch(domain, known=known)}
        for address in self.beside:
            for one in fetcher.fetch_at(domain, address):
                if one.address:
                    found.setdefault(one.address, one)
        return tuple(found.values())


EVERYWHERE: Final = Asking()


@dataclass(slots=True, kw_only=True)
class Watch:
    """One domain at the barrier. `bodies` are all policies seen there; `end` is how it ended, None while it has not."""

    domain: Domain
    aim: Aim
    asking: Asking = EVERYWHERE
    progress: Progress = field(default_factory=Progress)
    known: bool = False
    due: float = 0.0
    bodies: dict[bytes, None] = field(default_factory=dict)
    warnings: dict[Diagnostic, None] = field(default_factory=dict)
    said: Diagnostic | None = None
    end: Passed | Closed | None = None


def watch(
    watches: Sequence[Watch],
    fetcher: Fetcher,
    *,
    clock: Callable[[], datetime],
    ticks: Callable[[], float],
    pause: Callable[[float], None],
    going: Callable[[], bool],
    say: Callable[[Watch, Diagnostic], None],
    parallelism: int,
) -> None:
    """Look at all of them until each has ended, or `going` says no; several at a time, none waits for another's host.

    `clock` gives UTC, `ticks` seconds that only grow, `pause` sleeps for seconds. `going` is called at least once a second.
    """
    waiting = list(watches)
    running: dict[Future[tuple[Fetched, ...]], Watch] = {}
    with ThreadPoolExecutor(max_workers=max(parallelism, 1)) as pool:
        while (waiting or running) and going():
            now = ticks()
            for one in [one for one in waiting if one.due <= now]:
                waiting.remove(one)
                running[pool.submit(one.asking.answers, fetcher, one.domain, known=one.known)] = one
            soonest = min((one.due for one in waiting), default=now + APART)
            if not running:
                pause(min(max(soonest - now, 0.01), APART))
                continue
            done, _ = wait(running, timeout=min(max(soonest - now, 0.01), APART), return_when=FIRST_COMPLETED)
            for future in done:
                one = running.pop(future)
                if not _look(one, future.result(), clock(), ticks(), say):
                    waiting.append(one)


def _look(one: Watch, answers: Sequence[Fetched], now: datetime, tick: float, say: Callable[[Watch, Diagnostic], None]) -> bool:
    """Take a round of answers in; has the domain ended?"""
    one.bodies.update(dict.fromkeys(body for answer in answers if (body := answer.served) is not None))
    one.warnings.update(dict.fromkeys(warning for answer in answers for warning in noted(answer)))
    one.known = one.known or any(answer.address for answer in answers)
    one.progress, decision = decide(one.aim, one.progress, answers, now)
    match decision:
        case Again():
            one.due = tick + decision.after
            if decision.why is not None and (one.said is None or one.said.code != decision.why.code):
                one.said = decision.why
                say(one, decision.why)
            return False
        case Passed() | Closed():
            one.end = decision
            return True


def noted(answer: Fetched) -> tuple[Diagnostic, ...]:
    """What is worth saying about an answer that stops nothing."""
    return (answer.problem,) if answer.unreachable and answer.problem is not None else answer.warnings
