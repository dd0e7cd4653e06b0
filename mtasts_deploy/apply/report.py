"""What a run says while it goes on (`Event`) and at its end (`Result`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.rfc.names import Domain


class Stage(Enum):
    """The stages of DESIGN section 7."""

    LOOK = "look"
    ADDRESS = "address"
    PREPARE = "prepare"
    COMMIT = "commit"
    REMEMBER = "remember"


class Outcome(Enum):
    """How a domain ended."""

    UNCHANGED = "unchanged"
    DONE = "done"
    WAITING = "waiting"
    TAKEN_BACK = "taken back"
    UNCONFIRMED = "unconfirmed"
    BLOCKED = "blocked"
    UNKNOWN = "could not be observed"
    STALE = "stale"
    FAILED = "failed"
    UNFINISHED = "unfinished"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened: in which stage, to which domain, in words; `finding` where something is wrong."""

    stage: Stage
    what: str
    domain: Domain | None = None
    text: str = ""
    finding: Diagnostic | None = None


_CODES: Final = (
    (Outcome.INTERRUPTED, 130),
    (Outcome.UNFINISHED, 6),
    (Outcome.FAILED, 1),
    (Outcome.UNKNOWN, 1),
    (Outcome.STALE, 5),
    (Outcome.BLOCKED, 3),
    (Outcome.UNCONFIRMED, 6),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How every domain of a run ended, and what was found. `taken_back`: the run failed and was undone
    (exit 1). `begun`: the domains for which something was changed.
    """

    run: str
    outcomes: Mapping[Domain, Outcome]
    findings: tuple[Diagnostic, ...] = ()
    taken_back: bool = False
    begun: frozenset[Domain] = frozenset()

    def count(self, outcome: Outcome) -> int:
        """How many domains ended so."""
        return sum(one is outcome for one in self.outcomes.values())

    @property
    def exit_code(self) -> int:
        """The exit code of DESIGN section 10: the most telling outcome decides."""
        ended = set(self.outcomes.values())
        code = next((code for outcome, code in _CODES if outcome in ended), 0)
        return code or (1 if self.taken_back else 0)
