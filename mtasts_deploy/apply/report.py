"""What a run says while it goes on (`Event`) and at its end (`Result`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.plan.file import finding_json
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
    HELD = "held back"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened: in which stage, to which domain, in words; `finding` where something is wrong.

    `step` names a step that has begun (`what` is `started`) or ended, after so many `seconds`; without one the event is about the domain as
    a whole, and `what` its outcome. `run` and `at` (UTC) are set when it is told.
    """

    stage: Stage
    what: str
    domain: Domain | None = None
    text: str = ""
    finding: Diagnostic | None = None
    step: str = ""
    seconds: float | None = None
    run: str = ""
    at: datetime | None = None


_ENDS: Final[Mapping[str, str]] = {
    "done": "done",
    "taken back": "done",
    "waiting": "waiting",
    "unconfirmed": "waiting",
    "failed": "failed",
    "unfinished": "failed",
    "blocked": "left out",
    "could not be observed": "left out",
    "stale": "left out",
    "held back": "left out",
    "interrupted": "left out",
    "started": "started",
}


def as_json(event: Event) -> dict[str, object]:
    """The event as JSON data, without time and run: a line of the run log and of `--format ndjson`."""
    return {
        "event": _ENDS.get(event.what, "note"),
        "stage": event.stage.value,
        "step": event.step or None,
        "what": event.what,
        "domain": None if event.domain is None else str(event.domain),
        "seconds": event.seconds,
        "text": event.text or None,
        "finding": None if event.finding is None else finding_json(event.finding),
    }


def summary_json(result: Result) -> dict[str, object]:
    """The end of a run as JSON data: how many domains ended how."""
    counts = dict.fromkeys(("done", "left out", "failed", "waiting", "unchanged"), 0)
    for outcome in result.outcomes.values():
        counts[_ENDS.get(outcome.value, "unchanged")] += 1
    counts["left_out"] = counts.pop("left out")
    return {"event": "summary", "exit_code": result.exit_code, "taken_back": result.taken_back, **counts}


_CODES: Final = (
    (Outcome.INTERRUPTED, 130),
    (Outcome.UNFINISHED, 6),
    (Outcome.FAILED, 1),
    (Outcome.UNKNOWN, 1),
    (Outcome.STALE, 5),
    (Outcome.BLOCKED, 3),
    (Outcome.UNCONFIRMED, 6),
    (Outcome.HELD, 6),
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
