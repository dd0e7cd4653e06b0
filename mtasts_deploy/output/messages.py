"""Messages on stderr: as text, with one line that is updated where a terminal is there; or as lines of JSON (`--log-format json`)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import datetime

from mtasts_deploy.apply.report import Event, Outcome, Stage
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.output.channel import Channel
from mtasts_deploy.output.text import WORDS, further, in_order, plain, subject, tally
from mtasts_deploy.plan.file import finding_json

_COLOURS = {Severity.ERROR: ("bold", "red"), Severity.WARN: ("yellow",), Severity.NOTE: ("cyan",)}
_SILENT = (Outcome.INTERRUPTED.value, Outcome.HELD.value)  # the closing line counts them


class TextMessages:
    """For people. `live`: progress is one line that is updated in place; else each event is a line."""

    def __init__(self, err: Channel, *, live: bool, quiet: bool = False) -> None:
        self._err = err
        self._live = live
        self._quiet = quiet
        self._total = 0
        self._ended = 0
        self._shown = False
        self._turn = threading.Lock()

    def begin(self, domains: int) -> None:
        """Count to this number."""
        self._total = domains
        self._ended = 0

    def event(self, event: Event) -> None:
        """One line, or the progress line; what is wrong about no domain (the lock, the run log) is always said."""
        with self._turn:
            if event.step and not event.text:
                return  # for people it is enough to hear how a domain fares
            if event.domain is None:
                if event.finding is not None:
                    self._clear()
                    self._finding(event.finding)
                return
            self._ended += event.stage is not Stage.LOOK and not event.text
            if self._quiet or event.what in _SILENT:
                return
            text = plain(f"{event.domain.display}: {_progress(event)}")
            if not self._live:
                self._err.line(text)
                return
            counter = f"[{min(self._ended, self._total)}/{self._total}] " if self._total else ""
            self._clear()
            self._err.write((counter + text)[: self._err.width - 1])
            self._err.flush()
            self._shown = True

    def findings(self, findings: Iterable[Diagnostic]) -> None:
        """All of them in order, and how many there are."""
        with self._turn:
            self._clear()
            ordered = [finding for finding in in_order(findings) if not self._quiet or finding.severity is Severity.ERROR]
            for finding in ordered:
                self._finding(finding)
            if line := tally(ordered):
                self._err.line(line)

    def say(self, text: str) -> None:
        """A line."""
        with self._turn:
            self._clear()
            if not self._quiet:
                for paragraph in text.splitlines():
                    for line in self._err.folded(paragraph, 2):
                        self._err.line(line)

    def question(self, text: str) -> None:
        """The beginning of a line."""
        with self._turn:
            self._clear()
            self._err.write(text)
            self._err.flush()

    def end(self) -> None:
        """Leave a clean line."""
        with self._turn:
            self._clear()
            self._err.flush()

    def _clear(self) -> None:
        if self._shown:
            self._err.write("\r\x1b[K")
            self._shown = False

    def _finding(self, finding: Diagnostic) -> None:
        word = f"{WORDS[finding.severity]} {finding.code}"
        first, *rest = self._err.folded(f"{plain(subject(finding))}{word}: {plain(finding.message)}", 2)
        for line in (first.replace(word, self._err.style(word, *_COLOURS[finding.severity]), 1), *rest):
            self._err.line(line)
        for text in further(finding):
            for line in self._err.folded(f"  {text}", 4):
                self._err.line(line)


def _progress(event: Event) -> str:
    """What is wrong is told once, at the end, with what to do."""
    return event.text or (event.what if event.finding is None else f"{event.what} ({event.finding.code})")


def _said(event: Event) -> str:
    if event.finding is not None:
        return f"{event.what}: {event.finding.code} {event.finding.message}"
    return event.text or event.what


class JsonMessages:
    """For programs: one JSON object a line, with `time`, `level` and `message`."""

    def __init__(self, err: Channel, *, clock: Callable[[], datetime], quiet: bool = False) -> None:
        self._err = err
        self._clock = clock
        self._quiet = quiet

    def begin(self, domains: int) -> None:
        """Say how many domains will change."""
        if not self._quiet:
            self._line("info", f"{domains} to change", {"domains": domains})

    def event(self, event: Event) -> None:
        """One line an event."""
        if event.step and not event.text:
            return  # that is what --format ndjson is for
        level = "info" if event.finding is None else WORDS[event.finding.severity].replace("note", "info")
        if self._quiet and level == "info":
            return
        data: dict[str, object] = {"stage": event.stage.value, "what": event.what}
        if event.domain is not None:
            data["domain"] = str(event.domain)
        if event.finding is not None:
            data["finding"] = finding_json(event.finding)
        self._line(level, _said(event), data)

    def findings(self, findings: Iterable[Diagnostic]) -> None:
        """One line a finding."""
        for finding in in_order(findings):
            if not self._quiet or finding.severity is Severity.ERROR:
                self._line(WORDS[finding.severity].replace("note", "info"), finding.message, {"finding": finding_json(finding)})

    def say(self, text: str) -> None:
        """One line."""
        if not self._quiet:
            self._line("info", text, {})

    def question(self, text: str) -> None:
        """A question to a person: text, whatever the format."""
        self._err.write(text)
        self._err.flush()

    def end(self) -> None:
        """Let everything out."""
        self._err.flush()

    def _line(self, level: str, message: str, data: dict[str, object]) -> None:
        self._err.line(json.dumps({"time": self._clock().isoformat(), "level": level, "message": message, **data}))
        self._err.flush()
