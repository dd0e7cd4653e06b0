"""The run log: one line of JSON for each thing that a run did, under `runs/` in the state. An audit trail, not needed to go on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import StateError
from mtasts_deploy.state.interface import StateStore

FORMAT_VERSION: Final = 1


class RunLog:
    """The log of one run, at `runs/<UTC time>-<run id>.ndjson` (NDJSON). May be written from several threads.

    Each line has `format_version`, `time` (UTC, ISO 8601) and `run` before the fields of its event. `now` gives aware times. Nothing is
    written before the first event.
    """

    def __init__(self, store: StateStore, run_id: str, now: Callable[[], datetime]) -> None:
        self.key = f"runs/{now().astimezone(UTC):%Y%m%dt%H%M%Sz}-{run_id.lower()}.ndjson"  # keys are lower case
        self._store = store
        self._run = run_id
        self._now = now
        self._failed = False
        self._turn = threading.Lock()

    def write(self, event: Mapping[str, object]) -> Diagnostic | None:
        """Add one event; what JSON does not know is written as its text.

        Never raises for a log that cannot be written: the first failure is returned as a warning (MTS731), then the log is given up.
        """
        with self._turn:
            if self._failed:
                return None
            try:
                self._store.append(self.key, self._line(event))
            except (StateError, TypeError, ValueError, RecursionError) as error:
                self._failed = True
                return self._given_up(error)
        return None

    def close(self) -> Diagnostic | None:
        """Have the store write what it has kept back; never raises, like `write`."""
        with self._turn:
            if self._failed:
                return None
            try:
                self._store.flush()
            except StateError as error:
                self._failed = True
                return self._given_up(error)
        return None

    def _line(self, event: Mapping[str, object]) -> bytes:
        ours = {"format_version": FORMAT_VERSION, "time": self._now().astimezone(UTC).isoformat(), "run": self._run}
        return json.dumps({**ours, **event, **ours}, default=str, separators=(",", ":")).encode("ascii") + b"\n"

    def _given_up(self, error: Exception) -> Diagnostic:
        return Diagnostic(
            code="MTS731",
            severity=Severity.WARN,
            message=f"The run log {self._store.location(self.key)} cannot be written, so the rest of this run is not in it: {error}",
            hint="The run itself goes on: it does not need the log. " + "".join(d.hint or "" for d in getattr(error, "diagnostics", ())),
        )
