"""`apply --format ndjson`: each thing that happens is a line, as the published schema says, and the run log is the same stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped, unused-ignore]

from mtasts_deploy.output.schemas import SCHEMAS
from tests.golden.test_cli_process import deploy
from tests.transcripts import deployment


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    deployment(tmp_path)
    return tmp_path


def lines(text: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in text.splitlines()]
    validator = Draft7Validator(SCHEMAS["events"]())
    for line in found:
        validator.validate(line)
    return found


def run_log(directory: Path) -> list[dict[str, Any]]:
    (log,) = (directory / ".mtasts/runs").iterdir()
    return lines(log.read_text())


def test_every_step_of_an_apply_is_a_line_and_the_run_log_is_the_same(fresh: Path) -> None:
    done = deploy(fresh, "apply", "--auto-approve", "--format", "ndjson")
    assert done.returncode == 0
    found = lines(done.stdout)
    assert found[0]["event"] == "plan"
    assert len(found[0]["digest"]) == 64
    steps = {(line["step"], line["event"]) for line in found if line.get("step")}
    assert steps == {("put-policy", "started"), ("put-policy", "done"), ("put-records", "started"), ("put-records", "done")}
    assert all((line["seconds"] is None) == (line["event"] == "started") for line in found if line.get("step"))
    ends = {line["domain"] for line in found if line["event"] == "done" and line["stage"] == "commit" and not line["step"]}
    assert ends == {"changed.example", "kept.example", "parked.example"}
    summary = found[-1]
    assert {name: summary[name] for name in ("event", "done", "left_out", "failed", "waiting", "exit_code")} == {
        "event": "summary",
        "done": 3,
        "left_out": 0,
        "failed": 0,
        "waiting": 0,
        "exit_code": 0,
    }
    stream = [line for line in found if line["event"] != "plan"]
    logged = run_log(fresh)
    assert [{**line, "time": None} for line in stream] == [{**line, "time": None} for line in logged]


def test_what_stops_a_run_is_the_last_line(fresh: Path) -> None:
    done = deploy(fresh, "apply", "--format", "ndjson")
    assert done.returncode == 1
    assert lines(done.stdout)[-1]["findings"][0]["code"] == "MTS906"


def test_other_commands_have_no_such_form(fresh: Path) -> None:
    done = deploy(fresh, "status", "--format", "ndjson")
    assert done.returncode == 1
    assert "MTS915" in done.stderr


def test_wrong_usage_has_the_form_that_was_asked_for(fresh: Path) -> None:
    done = deploy(fresh, "apply", "--no-such-option", "--format", "json", "--log-format=json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["findings"][0]["code"] == "MTS901"
    assert json.loads(done.stderr.splitlines()[0])["finding"]["code"] == "MTS901"


def test_a_damaged_state_is_named_and_rebuilt(fresh: Path) -> None:
    assert deploy(fresh, "apply", "--auto-approve").returncode == 0
    assert deploy(fresh, "state", "check").returncode == 0
    shown = json.loads(deploy(fresh, "state", "show", "--format", "json").stdout)
    assert (shown["domains"], shown["runs"], shown["leases"]) == (3, 1, [])
    shard = sorted((fresh / ".mtasts/ledger").iterdir())[0]
    good = shard.read_bytes()
    shard.write_bytes(good[:100])
    found = deploy(fresh, "state", "check")
    assert found.returncode == 1
    assert "error MTS761: .mtasts/ledger/" in found.stderr
    assert deploy(fresh, "status").returncode == 1
    refused = deploy(fresh, "state", "rebuild")
    assert refused.returncode == 1
    assert "MTS906" in refused.stderr
    rebuilt = deploy(fresh, "state", "rebuild", "--auto-approve")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert rebuilt.stdout.startswith("rebuilt .mtasts/ledger/")
    (aside,) = (fresh / ".mtasts/broken").iterdir()
    assert aside.read_bytes() == good[:100]
    assert deploy(fresh, "state", "check").returncode == 0
    assert deploy(fresh, "apply", "--auto-approve").returncode == 0
    assert "0 to add, 0 to change, 0 to remove" in deploy(fresh, "plan").stdout
    assert "Nothing needs to be rebuilt" in deploy(fresh, "state", "rebuild").stderr
