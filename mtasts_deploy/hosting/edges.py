"""The edges of a CloudFront distribution in front of a bucket: one invalidation for all files of a portion, waited for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from mtasts_deploy.aws.distribution import Distribution
from mtasts_deploy.aws.trouble import ADVICE, AwsError, Trouble
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError

_PATIENCE: Final = 600.0  # seconds; an invalidation takes a minute or two
_PAUSES: Final = (1, 2, 3, 5)  # seconds between two looks, the last one again and again
_MANY: Final = 10  # paths cost money from the thousandth of a month on: more than these are one with `*`
_PUBLIC: Final = "/.well-known/mta-sts.txt"

_CODES: Final = {
    Trouble.NO_DISTRIBUTION: "MTS785",
    Trouble.FORBIDDEN: "MTS786",
    Trouble.REJECTED: "MTS780",
    Trouble.NO_CREDENTIALS: "MTS781",
    Trouble.CLOCK: "MTS779",
}
_LATER: Final = "The policy is in the bucket, and no record has moved. Run `deploy apply` again: it invalidates anew and goes on."


class Edges:
    """One distribution. `below` is the prefix of the bucket's keys, which an origin path may take away from the paths of viewers."""

    def __init__(self, distribution: Distribution, *, below: str = "", sleep: Callable[[float], None] = time.sleep) -> None:
        self._distribution = distribution
        self._below = below
        self._sleep = sleep

    def forget(self, keys: Sequence[str], waiting: Callable[[], None]) -> None:
        """Return when every edge has forgotten the objects with these keys; `waiting` is called between two looks.

        Raises `HostError` (MTS785, 786, 787, or of the credentials) if some may not have.
        """
        until = time.monotonic() + _PATIENCE
        try:
            invalidation = self._distribution.invalidate(paths(keys, self._below))
            for pause in _pauses():
                if self._distribution.invalidated(invalidation):
                    return
                if time.monotonic() > until:
                    raise self._failed(f"invalidation {invalidation} is not completed after {_PATIENCE / 60:.0f} minutes", "MTS787", _LATER)
                self._sleep(pause)
                waiting()
        except AwsError as error:
            code = _CODES.get(error.trouble, "MTS787")
            raise self._failed(error.said, code, _LATER if code == "MTS787" else ADVICE[error.trouble]) from error

    def _failed(self, why: str, code: str, hint: str) -> HostError:
        message = f"Caches of CloudFront distribution {self._distribution.id} may still serve the old policy: {why}."
        return HostError(Diagnostic(code=code, message=message, hint=hint))


def paths(keys: Sequence[str], below: str = "") -> list[str]:
    """What viewers ask for, and what a function at the edge or an origin path may make of it: CloudFront wants both invalidated."""
    shown = sorted(set(keys))
    if len(shown) > _MANY:
        shown = [os.path.commonprefix(shown) + "*"]  # noqa: RUF071 - `*` stands for characters, not for parts of a path
    found = [_PUBLIC, *(f"/{key}" for key in shown)]
    if below:
        found += [f"/{key.removeprefix(below).lstrip('/')}" for key in shown if key.startswith(below)]
    return list(dict.fromkeys(found))


def _pauses() -> Iterator[float]:
    yield from _PAUSES
    while True:
        yield _PAUSES[-1]
