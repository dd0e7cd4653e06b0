"""How hard a provider is worked: limits of the user, retries with back-off and jitter on what passes by itself, and timeouts."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from mtasts_deploy.declaration.model import Limit
from mtasts_deploy.dns import trouble
from mtasts_deploy.errors import MtastsError

ATTEMPTS: Final = 4
BUSY_ATTEMPTS: Final = 8
"""Where a fault of the provider may be a busy moment: shorter pauses, more of them."""
LONGEST: Final = 60.0
"""Seconds after which nothing is tried again."""
TIMEOUT: Final = 30.0
"""Seconds that an HTTP request may take where the provider sets no limit of its own."""
_PATIENCE: Final = 30.0  # seconds for which a provider that was not there is asked only once a call
T = TypeVar("T")


class Pace:
    """The pace of one provider. `sleep` and `clock` are in seconds. Its methods may be called from several threads."""

    def __init__(
        self,
        limit: Limit,
        *,
        in_flight: int = 16,
        faults_pass: bool = False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`in_flight`: calls under way at a time where the limit does not say.

        `faults_pass`: an HTTP 5xx or SERVFAIL of this provider may be a busy moment, and is tried again.
        """
        self.in_flight = limit.max_in_flight or in_flight
        self._passing = trouble.WORTH_RETRYING | ({trouble.Kind.BROKEN.value} if faults_pass else set())
        self._gap = 1 / limit.per_second if limit.per_second else 0.0
        self._slots = threading.BoundedSemaphore(self.in_flight)
        self._sleep, self._clock = sleep, clock
        self._turn = threading.Lock()
        self._next = 0.0
        self._down = float("-inf")

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One call, when there is room for it."""
        with self._slots:
            yield

    def turn(self) -> None:
        """Wait until the next request may begin."""
        if not self._gap:
            return
        with self._turn:
            now = self._clock()
            wait = max(0.0, self._next - now)
            self._next = max(self._next, now) + self._gap
        if wait:
            self._sleep(wait)

    def patiently(self, attempt: Callable[[int], T]) -> T:
        """Do this, and again after a pause if throttling or the network was in the way; the attempt is told its number, from 1.

        Raises what the last attempt raised. A provider that stays away is not waited for again at once.
        """
        once = self._clock() < self._down
        retrying = Retrying(
            retry=retry_if_exception(self._passes),
            wait=_pause,
            stop=stop_after_attempt(1) if once else _enough,
            sleep=self._sleep,
            reraise=True,
        )
        numbers = itertools.count(1)
        try:
            result = retrying(lambda: attempt(next(numbers)))
        except MtastsError as error:
            if error.diagnostics[0].code == trouble.Kind.UNREACHABLE.value:
                self._down = self._clock() + _PATIENCE
            raise
        self._down = float("-inf")
        return result

    def _passes(self, error: BaseException) -> bool:
        return isinstance(error, MtastsError) and error.diagnostics[0].code in self._passing


_backoff: Final = wait_exponential(multiplier=0.5, max=8)
_busy: Final = wait_exponential(multiplier=0.05, max=2)


def _fault(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _is_busy(error: BaseException | None) -> bool:
    return isinstance(error, MtastsError) and error.diagnostics[0].code == trouble.Kind.BROKEN.value


def _enough(state: RetryCallState) -> bool:
    tries = BUSY_ATTEMPTS if _is_busy(_fault(state)) else ATTEMPTS
    return state.attempt_number >= tries or (state.seconds_since_start or 0) >= LONGEST


def _pause(state: RetryCallState) -> float:
    """Half a second (a busy moment: 50 ms), doubling, with as much again by chance; or what the provider asks for, at most 30 s."""
    error = _fault(state)
    asked = trouble.look(error).retry_after if error is not None else 0.0
    backoff = _busy if _is_busy(error) else _backoff
    return max(backoff(state) * (1 + random.random()), min(asked, 30.0))


def fit(provider: Any, pace: Pace) -> bool:
    """Let each HTTP request of this provider wait for its turn, and none of them wait for ever. False where it has none to be found."""
    fitted = False
    for holder in [provider, *(value for value in vars(provider).values() if hasattr(value, "__dict__"))]:
        for value in list(vars(holder).values()):
            fitted = _fit_session(value, pace) or _fit_boto(value, pace) or fitted
    return fitted


def _fit_session(session: Any, pace: Pace) -> bool:
    if not any(kind.__module__ == "requests.sessions" for kind in type(session).__mro__):
        return False
    send = session.send

    def paced(request: Any, **options: Any) -> Any:
        pace.turn()
        if options.get("timeout") is None:
            options["timeout"] = TIMEOUT
        return send(request, **options)

    if getattr(send, "__name__", "") != "paced":
        session.send = paced
    return True


def _fit_boto(client: Any, pace: Pace) -> bool:
    if not any((kind.__module__, kind.__name__) == ("botocore.client", "BaseClient") for kind in type(client).__mro__):
        return False
    client.meta.events.register("before-send", lambda **_: pace.turn())
    return True
