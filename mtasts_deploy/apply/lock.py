"""The lock of a run: a lease with an owner, kept as `lock.json` in the state and moved only by compare-and-swap (DESIGN section 7)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final

from mtasts_deploy.apply.owner import Owner, is_dead, this_process
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import LeaseLost, LockHeld, StateConflict, StateError, UsageError
from mtasts_deploy.state.interface import StateStore, Stored

KEY: Final = "lock.json"
LENGTH: Final = timedelta(seconds=120)
"""How long a lease lasts after it was taken or renewed."""

_RENEW: Final = LENGTH / 2  # with less than this left, `prove` renews: a write has at least a minute
_LOOK: Final = timedelta(seconds=10)  # `prove` reads the lock again after this, so that a takeover or an unlock is noticed soon
_PAUSE: Final = timedelta(seconds=2)
_RACES: Final = 20


class Lease:
    """The lock, held. Made by `acquire`; also a context manager that releases it. Its methods may be called from several threads."""

    def __init__(
        self, *, store: StateStore, owner: Owner, version: str, now: Callable[[], datetime], on_message: Callable[[Diagnostic], None]
    ) -> None:
        self.owner = owner
        self._store = store
        self._version = version
        self._now = now
        self._on_message = on_message
        self._looked = owner.expires - LENGTH
        self._released = False
        self._turn = threading.Lock()

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
    ) -> Lease:
        """Take the lock for `command`, waiting up to `timeout` (zero: not at all); `sleep` takes seconds, `now` gives aware UTC times.

        A lease that has expired, or whose process on this machine is dead, is taken over; `on_message` is told (MTS711), as it is when
        we begin to wait (MTS713). Raises `LockHeld` (MTS710) when time is up, `StateError` if the lock cannot be read (MTS712, MTS716:
        it never counts as free) or written.
        """
        until = now() + timeout
        mine = this_process(command)
        waiting = False
        while isinstance(taken := _take(store, mine, now, on_message), Owner):
            if now() >= until:
                raise LockHeld(_held(taken, store, now()))
            if not waiting:
                on_message(_waiting(taken, until))
                waiting = True
            sleep(min(_PAUSE, until - now()).total_seconds())
        owner, version = taken
        return cls(store=store, owner=owner, version=version, now=now, on_message=on_message)

    def prove(self) -> None:
        """Return only if the lease is ours and lasts for another minute at least: to be called before every external write.

        Reads the lock if it has not for 10 s, and renews it when less than half of its time is left. Raises `LeaseLost` (MTS714) if it is
        somebody else's or nobody's, if renewing took too long, or after `release`; `StateError` if the lock cannot be read or written.
        """
        with self._turn:
            if self._released:
                raise self._lost("it was released")
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
        with self._turn:
            if self._released:
                return
            self._released = True
            try:
                stored = self._mine()
                if stored is not None:
                    self._store.remove(KEY, stored.version)
            except StateConflict:
                return  # taken over between the two lines
            except StateError as error:
                self._on_message(
                    Diagnostic(
                        code="MTS715",
                        severity=Severity.WARN,
                        message=f"The lock {self._store.location(KEY)} could not be given back: {error}",
                        hint=f"It runs out by itself at {_time(self.owner.expires)}; or `deploy unlock {self.owner.lease}`.",
                    )
                )

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _renew(self, began: datetime) -> None:
        owner = replace(self.owner, expires=began + LENGTH)
        try:
            self._version = self._store.write(KEY, owner.render(), self._version)
        except StateConflict:
            stored = self._mine()  # a store that tried twice meets its own first write
            if stored is None:
                raise self._lost(self._thief()) from None
            self._version = self._store.write(KEY, owner.render(), stored.version)
        self.owner = owner
        self._looked = began

    def _look(self, began: datetime) -> None:
        stored = self._mine()
        if stored is None:
            raise self._lost(self._thief())
        self._version = stored.version
        self._looked = began

    def _mine(self) -> Stored | None:
        stored = self._store.read(KEY)
        return stored if stored is not None and Owner.parse(stored.data, self._store.location(KEY)).lease == self.owner.lease else None

    def _thief(self) -> str:
        stored = self._store.read(KEY)
        if stored is None:
            return "it was removed (`deploy unlock`?)"
        return f"it is held by {Owner.parse(stored.data, self._store.location(KEY)).describe()}"

    def _lost(self, why: str) -> LeaseLost:
        return LeaseLost(
            Diagnostic(
                code="MTS714",
                message=f"This run no longer holds the lock {self._store.location(KEY)}: {why}. It has stopped before its next write.",
                hint="When no other run is going on, run `deploy apply` again: it looks at what is there and goes on.",
            )
        )


def unlock(store: StateStore, lease_id: str, *, now: Callable[[], datetime]) -> Diagnostic:
    """Remove the lock with exactly this id, whoever holds it; a note that says whose it was (MTS719), a warning if it may still be running.

    Raises `UsageError` if the lock has another id (MTS717) or there is none (MTS718), `StateError` if it cannot be read or removed.
    """
    while True:
        stored = store.read(KEY)
        if stored is None:
            raise UsageError(
                Diagnostic(code="MTS718", message="Nothing is locked.", hint="Go on: `deploy apply` takes the lock by itself.")
            )
        holder = Owner.parse(stored.data, store.location(KEY))
        if holder.lease != lease_id:
            message = f"The lock {store.location(KEY)} has another id than {lease_id!r}: it is held by {holder.describe()}."
            hint = f"The run with that id is over. If it is certain that this one is dead too: `deploy unlock {holder.lease}`."
            raise UsageError(Diagnostic(code="MTS717", message=message, hint=hint))
        try:
            store.remove(KEY, stored.version)
        except StateConflict:
            continue  # renewed or released in this moment
        return _unlocked(holder, dead=_vacant(holder, now(), this_process("unlock")) is not None)


def _take(
    store: StateStore, mine: Owner, now: Callable[[], datetime], on_message: Callable[[Diagnostic], None]
) -> tuple[Owner, str] | Owner:
    """Us as the new owner with the version of the lock, or else its holder. Raises `LockHeld` if others are faster again and again."""
    for _ in range(_RACES):
        stored = store.read(KEY)
        holder = None if stored is None else Owner.parse(stored.data, store.location(KEY))
        why = None if holder is None else _vacant(holder, now(), mine)
        if holder is not None and why is None:
            return holder
        owner = replace(mine, created=now(), expires=now() + LENGTH)
        try:
            version = store.write(KEY, owner.render(), None if stored is None else stored.version)
        except StateConflict:
            continue  # somebody was faster: look who
        if holder is not None and why is not None and holder.lease != mine.lease:
            on_message(_taken_over(holder, why))
        return owner, version
    raise LockHeld(_contended(store))


def _vacant(holder: Owner, now: datetime, mine: Owner) -> str | None:
    """Why that lease no longer counts, if so. Ours counts as vacant too: a store that tried twice meets its own first write."""
    if holder.lease == mine.lease:
        return "it is ours"
    if holder.expires <= now:
        return f"it ran out at {_time(holder.expires)}"
    if is_dead(holder, mine):
        return f"its process {holder.pid} is dead"
    return None


def _contended(store: StateStore) -> Diagnostic:
    message = f"Other runs were faster to take the lock {store.location(KEY)}, {_RACES} times in a row."
    return Diagnostic(code="MTS710", message=message, hint="Run the same command again when they are done.")


def _held(holder: Owner, store: StateStore, now: datetime) -> Diagnostic:
    since = max(int((now - holder.created).total_seconds()), 0)
    ago = f"{since} s" if since < 120 else f"{since // 60} min" if since < 7200 else f"{since // 3600} h"
    return Diagnostic(
        code="MTS710",
        message=f"Another run holds the lock {store.location(KEY)}: {holder.describe()}, {ago} ago.",
        hint=(
            f"Wait for it (`--lock-timeout 5m`). If it is dead, its lock runs out by itself at {_time(holder.expires)}; "
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
