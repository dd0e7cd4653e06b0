"""The lock of a run: a lease with an owner on the buckets of zones that the run touches (DESIGN section 7).

All leases are kept in `lock.json` in the state (`leases`), moved only by compare-and-swap. A run takes its buckets in order, keeps its
lease alive by a heartbeat, and proves before every external write that it still holds it.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final

from mtasts_deploy.apply.leases import ALL, Leases
from mtasts_deploy.apply.owner import Owner, is_dead, this_process
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import LeaseLost, LockHeld, StateConflict, StateError, UsageError
from mtasts_deploy.state.interface import StateStore

KEY: Final = "lock.json"
LENGTH: Final = timedelta(seconds=120)
"""How long a lease lasts after it was taken or renewed."""
_RENEW: Final = LENGTH / 2  # with less than this left, `prove` renews: a write has at least a minute
_LOOK: Final = timedelta(seconds=10)  # `prove` reads the lock again after this, so that a takeover or an unlock is noticed soon
_PAUSE: Final = timedelta(seconds=2)
_RACES: Final = 50
_WRONG_CLOCK: Final = timedelta(seconds=5)


class Lease:
    """The lock, held. Made by `acquire`; also a context manager that releases it. Its methods may be called from several threads."""

    def __init__(
        self, *, store: StateStore, owner: Owner, now: Callable[[], datetime], on_message: Callable[[Diagnostic], None], beat: float | None
    ) -> None:
        self.owner = owner
        self._store = store
        self._now = now
        self._on_message = on_message
        self._looked = owner.expires - LENGTH
        self._released = False
        self._gone: LeaseLost | None = None
        self._turn = threading.Lock()
        self._over = threading.Event()
        self._heart = None if beat is None else threading.Thread(target=self._keep, args=(beat,), name="lease", daemon=True)
        if self._heart is not None:
            self._heart.start()

    @classmethod
    def acquire(
        cls,
        store: StateStore,
        *,
        command: str,
        now: Callable[[], datetime],
        timeout: timedelta,
        sleep: Callable[[float], None],
        on_message: Callable[[Diagnostic], None],
        buckets: Collection[int] = ALL,
        beat: float | None = None,
    ) -> Lease:
        """Take these buckets for `command`, in order, waiting up to `timeout` (zero: not at all) with those that it has; `sleep` takes
        seconds, `now` gives aware UTC times, `beat` is the time between two heartbeats in seconds (None: there are none).

        A lease that has expired, or whose process on this machine is dead, is taken over; `on_message` is told (MTS711), as it is when
        we begin to wait (MTS713). Raises `LockHeld` (MTS710) when time is up, `StateError` if the lock cannot be read (MTS712, MTS716:
        it never counts as free) or written. Whatever is raised, nothing stays held.
        """
        until = now() + timeout
        wanted = _Wanted(store=store, mine=this_process(command), buckets=tuple(sorted(set(buckets))), now=now, on_message=on_message)
        waiting = False
        try:
            while isinstance(taken := wanted.take(sleep, last=now() >= until), Blocked):
                if now() >= until:
                    raise LockHeld(_held(taken.by, store, now()))
                if not waiting:
                    on_message(_waiting(taken.by, until))
                    waiting = True
                sleep(min(_PAUSE, until - now()).total_seconds())
        except BaseException:
            if wanted.touched:
                with contextlib.suppress(StateError):
                    _give_back(store, wanted.mine.lease)
            raise
        return cls(store=store, owner=taken, now=now, on_message=on_message, beat=beat)

    def prove(self) -> None:
        """Return only if the lease is ours and lasts for another minute at least: to be called before every external write.

        Reads the lock if it has not for 10 s, and renews it when less than half of its time is left. Raises `LeaseLost` (MTS714) if it is
        somebody else's or nobody's, if renewing took too long, or after `release`; `StateError` if the lock cannot be read or written.
        """
        with self._turn:
            if self._released:
                raise self._lost("it was released")
            if self._gone is not None:
                raise self._gone
            began = self._now()
            if self.owner.expires - began < _RENEW or began < self._looked:  # a clock that was set back tells nothing about the time left
                self._renew(began)
            elif began - self._looked >= _LOOK:
                self._look(began)
            else:
                return
            if self.owner.expires - self._now() < _RENEW:
                raise self._lost("proving that it is ours took too long")

    def release(self) -> None:
        """Give the lock back. Never removes another's, does nothing the second time, and never raises: what fails is a message (MTS715)."""
        self._over.set()
        with self._turn:
            if self._released:
                return
            self._released = True
            try:
                _give_back(self._store, self.owner.lease)
            except StateError as error:
                self._on_message(
                    Diagnostic(
                        code="MTS715",
                        severity=Severity.WARN,
                        message=f"The lock {self._store.location(KEY)} could not be given back: {error}",
                        hint=f"It runs out by itself at {_time(self.owner.expires)}; or `deploy unlock {self.owner.lease}`.",
                    )
                )
        if self._heart is not None:
            self._heart.join()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _keep(self, beat: float) -> None:
        """The heartbeat. What it finds out is told by the next `prove`."""
        while not self._over.wait(beat):
            with self._turn:
                if self._released:
                    return
                try:
                    self._renew(self._now())
                except LeaseLost as error:
                    self._gone = error
                    return
                except StateError:
                    continue  # the next one may go through; until then the lease is as old as it is

    def _renew(self, began: datetime) -> None:
        for _ in range(_RACES):
            version, leases = self._read()
            if leases.of(self.owner.lease) is None or version is None:
                raise self._lost(self._thief(leases))
            owner = replace(self.owner, expires=began + LENGTH)
            try:
                self._store.write(KEY, leases.having(owner).render(), version)
            except StateConflict:
                continue  # another run has changed its own lease
            self.owner = owner
            self._looked = began
            return
        raise self._lost("others changed the lock again and again while it was to be renewed")

    def _look(self, began: datetime) -> None:
        _, leases = self._read()
        if leases.of(self.owner.lease) is None:
            raise self._lost(self._thief(leases))
        self._looked = began

    def _read(self) -> tuple[str | None, Leases]:
        return _read(self._store)

    def _thief(self, leases: Leases) -> str:
        thieves = dict.fromkeys(holder for bucket in self.owner.buckets if (holder := leases.holder(bucket)))
        if not thieves:
            return "it was removed (`deploy unlock`?)"
        return f"it is held by {next(iter(thieves)).describe()}"

    def _lost(self, why: str) -> LeaseLost:
        return LeaseLost(
            Diagnostic(
                code="MTS714",
                message=f"This run no longer holds the lock {self._store.location(KEY)}: {why}. It has stopped before its next write.",
                hint="When no other run is going on, run `deploy apply` again: it looks at what is there and goes on.",
            )
        )


def unlock(store: StateStore, lease_id: str, *, now: Callable[[], datetime]) -> Diagnostic:
    """Remove the lease with exactly this id, whoever holds it; a note says whose it was (MTS719), a warning if it may be running.

    Raises `UsageError` if no lease has that id (MTS717) or there is none at all (MTS718), `StateError` if the lock cannot be read or
    written.
    """
    while True:
        version, leases = _read(store)
        if version is None or not leases.owners:
            raise UsageError(
                Diagnostic(code="MTS718", message="Nothing is locked.", hint="Go on: `deploy apply` takes the lock by itself.")
            )
        holder = leases.of(lease_id)
        if holder is None:
            raise UsageError(_other_id(lease_id, leases, store))
        try:
            _store(store, leases.without([lease_id]), version)
        except StateConflict:
            continue  # renewed or released in this moment
        return _unlocked(holder, dead=_vacant(holder, now(), this_process("unlock")) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Somebody else holds a bucket."""

    by: Owner


@dataclass(slots=True, kw_only=True)
class _Wanted:
    """Buckets that are about to be taken. `touched`: the lock may hold a lease of ours."""

    store: StateStore
    mine: Owner
    buckets: tuple[int, ...]
    now: Callable[[], datetime]
    on_message: Callable[[Diagnostic], None]
    touched: bool = False

    def take(self, sleep: Callable[[float], None], *, last: bool) -> Owner | Blocked:
        """Take those that are free, in order, up to the first that is not; so no two runs ever wait for each other. Us as the owner of
        all, or who blocks. `last`: with less than all of them nothing is written.
        """
        for race in range(_RACES):
            version, leases = _read(self.store)
            got, over, blocked = self._free(leases)
            if blocked is not None and (last or not got or self._enough(leases, got)):
                return blocked
            now = self.now()
            held = leases.of(self.mine.lease)
            owner = replace(self.mine, created=held.created if held else now, expires=now + LENGTH, buckets=got)
            try:
                self.touched = True
                self.store.write(KEY, leases.without(one.lease for one in over).having(owner).render(), version)
            except StateConflict:
                if race:
                    sleep(random.uniform(0, min(0.01 * race, 0.2)))
                continue  # somebody was faster: look who
            for holder, why in over.items():
                self.on_message(_taken_over(holder, why))
            return blocked or owner
        raise LockHeld(_contended(self.store))

    def _free(self, leases: Leases) -> tuple[tuple[int, ...], dict[Owner, str], Blocked | None]:
        """The buckets that we may hold now, the leases that are over, and who holds the next bucket."""
        over: dict[Owner, str] = {}
        for place, bucket in enumerate(self.buckets):
            holder = leases.holder(bucket)
            if holder is None or holder in over or holder.lease == self.mine.lease:
                continue
            why = _vacant(holder, self.now(), self.mine)
            if why is None:
                return self.buckets[:place], over, Blocked(by=holder)
            over[holder] = why
        return self.buckets, over, None

    def _enough(self, leases: Leases, got: tuple[int, ...]) -> bool:
        held = leases.of(self.mine.lease)
        return held is not None and held.buckets == got and held.expires - self.now() >= _RENEW


def _read(store: StateStore) -> tuple[str | None, Leases]:
    stored = store.read(KEY)
    return (None, Leases()) if stored is None else (stored.version, Leases.parse(stored.data, store.location(KEY)))


def _store(store: StateStore, leases: Leases, version: str) -> None:
    """Without any lease there is no lock."""
    if leases.owners:
        store.write(KEY, leases.render(), version)
    else:
        store.remove(KEY, version)


def _give_back(store: StateStore, lease: str) -> None:
    for _ in range(_RACES):
        version, leases = _read(store)
        if version is None or leases.of(lease) is None:
            return
        try:
            _store(store, leases.without([lease]), version)
        except StateConflict:
            continue  # another run changed its own lease, or took ours over
        return


def _vacant(holder: Owner, now: datetime, mine: Owner) -> str | None:
    """Why that lease no longer counts, if so."""
    if holder.expires <= now:
        return f"it ran out at {_time(holder.expires)}"
    if is_dead(holder, mine):
        return f"its process {holder.pid} is dead"
    return None


def _contended(store: StateStore) -> Diagnostic:
    message = f"Other runs were faster to take the lock {store.location(KEY)}, {_RACES} times in a row."
    return Diagnostic(code="MTS710", message=message, hint="Run the same command again when they are done.")


def _held(holder: Owner, store: StateStore, now: datetime) -> Diagnostic:
    ahead = holder.expires - LENGTH - now > _WRONG_CLOCK  # renewed later than now
    when = f"{_span(now - holder.created)} ago" if not ahead else f"and renewed {_span(holder.expires - LENGTH - now)} in the future"
    clock = "Its clock or the one of this machine is wrong: set it right (NTP). " if ahead else ""
    return Diagnostic(
        code="MTS710",
        message=f"Another run holds the lock {store.location(KEY)}: {holder.describe()}, {when}.",
        hint=(
            f"{clock}Wait for it (`--lock-timeout 5m`). If it is dead, its lock runs out by itself at {_time(holder.expires)}; "
            f"to remove it at once, and only if it is certain that it is dead: `deploy unlock {holder.lease}`."
        ),
    )


def _taken_over(holder: Owner, why: str) -> Diagnostic:
    message = f"Took over the lock of {holder.describe()}: {why}."
    return Diagnostic(code="MTS711", severity=Severity.NOTE, message=message, hint="What that run has left open is finished by this one.")


def _waiting(holder: Owner, until: datetime) -> Diagnostic:
    message = f"Waiting until {_time(until)} for the lock of {holder.describe()}."
    return Diagnostic(code="MTS713", severity=Severity.NOTE, message=message)


def _unlocked(holder: Owner, *, dead: bool) -> Diagnostic:
    message = f"Removed the lock of {holder.describe()}."
    if dead:
        return Diagnostic(code="MTS719", severity=Severity.NOTE, message=message)
    hint = "It had not run out. If that run is still alive after all, it stops before its next write, at the latest after 10 s of writing."
    return Diagnostic(code="MTS719", severity=Severity.WARN, message=message, hint=hint)


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _span(length: timedelta) -> str:
    seconds = max(int(length.total_seconds()), 0)
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _other_id(lease_id: str, leases: Leases, store: StateStore) -> Diagnostic:
    owners = " and ".join(owner.describe() for owner in leases.owners[:3]) + " and others" * (len(leases.owners) > 3)
    commands = " or ".join(f"`deploy unlock {owner.lease}`" for owner in leases.owners[:3])
    return Diagnostic(
        code="MTS717",
        message=f"The lock {store.location(KEY)} has another id than {lease_id!r}: it is held by {owners}.",
        hint=f"The run with that id is over. If it is certain that this one is dead too: {commands}.",
    )
