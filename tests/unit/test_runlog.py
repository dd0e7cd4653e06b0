"""The run log is an audit trail: every event is one line, and no failure of the log stops a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mtasts_deploy.apply.runlog import RunLog
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import StateError
from mtasts_deploy.state.directory import DirectoryState

NOW = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryState:
    return DirectoryState(tmp_path / "state", ".mtasts")


def lines(store: DirectoryState, log: RunLog) -> list[Mapping[str, object]]:
    stored = store.read(log.key)
    assert stored is not None
    assert stored.data.endswith(b"\n")
    return [json.loads(line) for line in stored.data.splitlines()]


def test_each_event_is_one_line(store):
    log = RunLog(store, "3F0C9A", lambda: NOW)
    assert store.read(log.key) is None
    assert log.write({"step": "put", "domain": "example.com"}) is None
    assert log.write({"text": "two\nlines \u2028 ü", "run": "forged", "severity": Severity.WARN, "when": NOW}) is None
    assert log.key == "runs/20261124t120005z-3f0c9a.ndjson"
    ours = {"format_version": 1, "time": "2026-11-24T12:00:05+00:00", "run": "3F0C9A"}
    assert lines(store, log) == [
        ours | {"step": "put", "domain": "example.com"},
        ours | {"text": "two\nlines \u2028 ü", "severity": "warn", "when": "2026-11-24 12:00:05+00:00"},
    ]


def test_a_log_that_cannot_be_written_is_said_once(store, tmp_path):
    (tmp_path / "state").write_bytes(b"in the way")
    log = RunLog(store, "3f0c9a", lambda: NOW)
    said = log.write({"step": "put"})
    assert said is not None
    assert (said.code, said.severity) == ("MTS731", Severity.WARN)
    assert ".mtasts/runs/20261124t120005z-3f0c9a.ndjson" in said.message
    assert log.write({"step": "put"}) is None


def test_nor_does_an_event_that_is_no_json_stop_a_run(store):
    log = RunLog(store, "3f0c9a", lambda: NOW)
    event: dict[str, object] = {}
    event["self"] = event
    said = log.write(event)
    assert said is not None
    assert said.code == "MTS731"


def test_a_failing_store_is_not_asked_again(store, monkeypatch):
    asked: list[str] = []

    def fail(key: str, data: bytes) -> None:
        asked.append(key)
        raise StateError(Diagnostic(code="MTS728", message="no"))

    monkeypatch.setattr(store, "append", fail)
    log = RunLog(store, "3f0c9a", lambda: NOW)
    assert log.write({}) is not None
    assert log.write({}) is None
    assert len(asked) == 1
