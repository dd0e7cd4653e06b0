"""What pipelines read: Markdown, annotations, GitLab's reports, SARIF."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.transcripts import Transcript

FORMS = ("markdown", "github", "gitlab", "gitlab-codequality", "sarif")


def test_markdown_tells_of_mail_first(applied: Transcript) -> None:
    applied.edit("mta-sts.yaml", "kept.example: {max_age: 1d}", "kept.example: {max_age: 1d, mode: enforce}")
    applied.edit("zones/parked.example.yaml", "'':", "_smtp._tls: {type: CNAME, value: reports.example.}\n'':")
    applied.edit("mta-sts.yaml", "parked.example: {sts: false}", 'parked.example: {sts: false, tlsrpt: "mailto:other@reports.example"}')
    applied.show("plan", "--format", "markdown", "--allow", "MTS411=kept.example", "--out", "plan.json")
    applied.show("show", "plan.json", "--format", "markdown")
    applied.show("apply", "plan.json", "--format", "markdown")
    applied.show("apply", "plan.json", "--format", "markdown", "-q")
    applied.compare("markdown")


@pytest.mark.parametrize("form", FORMS)
def test_a_blocked_plan_and_a_bad_declaration(applied: Transcript, form: str) -> None:
    applied.edit("zones/new.example.yaml", "mta-sts:", "_mta-sts: {type: CNAME, value: sts.mailhost.example.}\nmta-sts:")
    applied.show("plan", "--format", form)
    applied.show("validate", "--format", form)
    applied.edit("mta-sts.yaml", "{max_age: 1d}", "{max_age: 1d, mod: enforce, ttl: nought}")
    applied.show("validate", "--format", form)
    applied.show("plan", "--format", form)
    applied.compare(f"report-{form}")


def test_under_actions_the_summary_is_written(applied: Transcript, tmp_path_factory: pytest.TempPathFactory) -> None:
    summary = tmp_path_factory.mktemp("actions") / "summary.md"
    summary.write_text("from the step before\n")
    applied.monkeypatch.setenv("GITHUB_ACTIONS", "true")
    applied.monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    applied.monkeypatch.setenv("GITHUB_WORKSPACE", str(applied.directory.parent))
    applied.edit("zones/new.example.yaml", "mta-sts:", "_mta-sts: {type: CNAME, value: sts.mailhost.example.}\nmta-sts:")
    done = applied.deploy("plan", "--format", "github")
    assert done.code == 3
    assert done.out.startswith(f"::error file={applied.directory.name}/mta-sts.yaml,line=")
    text = summary.read_text()
    assert text.startswith("from the step before\n<!-- mtasts-deploy: plan of ")
    assert "**new.example**: Nothing is done: blocked by MTS402." in text
    human = applied.deploy("plan")
    assert human.code == 3
    assert summary.read_text() == text


def test_a_summary_that_cannot_be_written_is_said(applied: Transcript) -> None:
    applied.monkeypatch.setenv("GITHUB_ACTIONS", "true")
    applied.monkeypatch.setenv("GITHUB_STEP_SUMMARY", "absent/summary.md")
    done = applied.deploy("plan", "--format", "github")
    assert done.code == 1
    assert "MTS908" in done.err


@pytest.mark.parametrize("command", [("history", "kept.example"), ("permissions",), ("explain",)])
def test_what_has_no_such_form_says_so(applied: Transcript, command: tuple[str, ...]) -> None:
    done = applied.deploy(*command, "--format", "sarif")
    assert done.code == 1
    assert "MTS915" in done.err


def test_status_shows_what_is_wrong(applied: Transcript) -> None:
    applied.write("zones/kept.example.yaml", "_mta-sts: {type: TXT\n")
    done = applied.deploy("status", "--format", "gitlab")
    assert [issue["location"]["path"] for issue in json.loads(done.out)] == ["zones/kept.example.yaml"]


def test_json_beside_any_form(applied: Transcript) -> None:
    for form in FORMS:
        applied.deploy("plan", "--format", form, "--json-into", "into.json")
        assert json.loads((applied.directory / "into.json").read_text())["summary"]["add"] == 3
        Path("into.json").unlink()


def test_runs_as_json(applied: Transcript) -> None:
    applied.show("apply", "--auto-approve", "--format", "json", "--domain", "new.example", "-q")
    applied.show("rollback", "--auto-approve", "--format", "json", "-q")
    applied.compare("runs-json")


def test_the_comments_of_two_declarations_differ(applied: Transcript) -> None:
    applied.write("other--name.yaml", (applied.directory / "mta-sts.yaml").read_text())
    first, second = (applied.deploy("plan", "--format", "markdown", "--config", name).out for name in ("mta-sts.yaml", "other--name.yaml"))
    assert first.splitlines()[0] == "<!-- mtasts-deploy: plan of mta-sts.yaml -->"
    assert second.splitlines()[0] == "<!-- mtasts-deploy: plan of other- -name.yaml -->"
