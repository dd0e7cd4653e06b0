"""A run as lines of JSON (`--format ndjson`): one object for each thing that happens, as it happens; the run log is the same stream."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from mtasts_deploy.apply.report import Event, as_json, summary_json
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.output.interface import RunReport
from mtasts_deploy.output.pipeline import Pipeline
from mtasts_deploy.plan.file import digest, finding_json
from mtasts_deploy.plan.model import Plan

FORMAT_VERSION: Final = 1


class Stream(Pipeline):
    """Lines for programs; may be written from several threads."""

    form = "ndjson"

    def __init__(self, write: Callable[[str], None], flush: Callable[[], None]) -> None:
        super().__init__(write, places={}, root=Path())
        self._flush = flush
        self._turn = threading.Lock()

    def event(self, event: Event) -> None:
        """One thing that happened."""
        self._line({"time": None if event.at is None else event.at.isoformat(), "run": event.run or None, **as_json(event)})

    def proposed(self, plan: Plan) -> None:
        """The plan that is about to be carried out: its digest and its numbers."""
        summary = plan.summary()
        self._line({"event": "plan", "digest": digest(plan), **{name: getattr(summary, name) for name in summary.__slots__}})

    def ran(self, report: RunReport) -> None:
        """The last line: how many domains ended how."""
        self._line({"run": report.result.run, **summary_json(report.result)})

    def failed(self, findings: Sequence[Diagnostic], exit_code: int) -> None:
        """The last line where there was no run."""
        self._line({"event": "summary", "exit_code": exit_code, "findings": [finding_json(finding) for finding in findings]})

    def found(self, closing: str, findings: Sequence[Diagnostic]) -> None:
        """Nothing but runs has this form."""
        del closing, findings
        raise self._no_form("this command")

    def _line(self, data: dict[str, object]) -> None:
        with self._turn:
            self._write(json.dumps({"format_version": FORMAT_VERSION, **data}, separators=(",", ":"), ensure_ascii=False) + "\n")
            self._flush()
