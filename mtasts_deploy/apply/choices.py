"""How a run goes, as far as its caller says it. Light, because `plan` needs nothing else of this package."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

PATIENCE: Final = timedelta(minutes=10)
"""How long the barrier waits."""
BEAT: Final = 30.0
"""Seconds between two heartbeats of the lock: a write that takes longer than a lease does not lose it."""


class OnStale(Enum):
    """What it means that some domains of an approved plan are stale."""

    STOP = "stop"
    SKIP = "skip"


class OnError(Enum):
    """What a failing domain means for the others."""

    CONTINUE = "continue"
    STOP = "stop"
    ROLLBACK = "rollback"


@dataclass(slots=True, kw_only=True)
class Stop:
    """Set by the first signal: stop at the next step boundary."""

    requested: bool = False
