"""`plan --since REV`: what differs from a git revision, and what that difference does not explain."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.transcripts import Transcript


def git(*arguments: str) -> str:
    settings = ("user.name=t", "user.email=t@example", "init.defaultBranch=main", "commit.gpgsign=false", "core.autocrlf=false")
    options = [word for setting in settings for word in ("-c", setting)]
    return subprocess.run(["git", *options, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def committed(cli: Transcript) -> Transcript:
    """A deployment that was applied and committed an hour ago."""
    assert cli.deploy("apply", "--auto-approve").code == 0
    cli.clock.pass_(hours=1)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "applied")
    return cli


def show(cli: Transcript, *arguments: str) -> None:
    cli.show(*arguments)
    cli.text = cli.text.replace(git("rev-parse", "HEAD")[:9], "COMMIT")


def test_only_what_differs_is_planned(committed: Transcript) -> None:
    show(committed, "plan", "--since", "HEAD", "-q")
    committed.edit("mta-sts.yaml", "  changed.example:\n", "  changed.example: {max_age: 2w}\n")
    committed.edit("mta-sts.yaml", "  parked.example: {sts: false}\n", "")
    committed.note("somebody edits both records by hand")
    for domain in ("changed.example", "kept.example"):
        committed.edit(f"zones/{domain}.yaml", "mailto:tls@reports.example", "mailto:somebody@else.example")
    show(committed, "plan", "--since", "HEAD", "-q")
    show(committed, "plan", "--since", "HEAD", "--all", "-q", "--out", "plan.json")
    show(committed, "show", "plan.json", "--format", "markdown")
    committed.compare("since")


def test_an_included_file_that_differs_counts(committed: Transcript) -> None:
    committed.edit("mta-sts.yaml", "  parked.example: {sts: false}\n", "include: [teams/*.yaml]\n")
    committed.write("teams/one.yaml", "domains: {parked.example: {sts: false}}\n")
    git("add", ".")
    git("commit", "-qm", "moved to another file: nothing differs")
    unchanged = json.loads(committed.deploy("plan", "--since", "HEAD~1", "--format", "json").out)
    assert unchanged["unchanged"] == []
    assert unchanged["partial"] is True
    committed.write("teams/one.yaml", "domains: {parked.example: {sts: false, ttl: 600}}\n")
    changed = json.loads(committed.deploy("plan", "--since", "HEAD", "--format", "json").out)
    assert [one["domain"] for one in changed["domains"]] == ["parked.example"]


def test_a_domain_whose_host_has_moved_differs_and_says_nothing_of_drift(committed: Transcript) -> None:
    committed.edit("mta-sts.yaml", "defaults: {", "hosts: {local: {type: directory, path: elsewhere}}\ndefaults: {")
    plan = json.loads(committed.deploy("plan", "--since", "HEAD", "--format", "json").out)
    assert {one["domain"] for one in plan["domains"]} >= {"changed.example", "kept.example"}
    assert not any(one["unexplained"] for one in plan["domains"])


def test_a_declaration_that_is_new_differs_as_a_whole(committed: Transcript) -> None:
    committed.write("new.yaml", (committed.directory / "mta-sts.yaml").read_text())
    plan = json.loads(committed.deploy("plan", "--config", "new.yaml", "--since", "HEAD", "--format", "json").out)
    assert len(plan["unchanged"]) == 3


def test_a_declaration_below_the_root_of_the_repository(committed: Transcript) -> None:
    git("-C", str(committed.directory), "mv", "-k", "zones", "zones")  # nothing moves; the index is fresh
    (committed.directory / "sub").mkdir()
    for name in ("mta-sts.yaml", "zones", "policies", ".mtasts"):
        (committed.directory / name).rename(committed.directory / "sub" / name)
    git("add", "-A")
    git("commit", "-qm", "below")
    committed.edit("sub/mta-sts.yaml", "kept.example: {max_age: 1d}", "kept.example: {max_age: 2d}")
    plan = json.loads(committed.deploy("plan", "--config", "sub/mta-sts.yaml", "--since", "HEAD", "--format", "json").out)
    assert [one["domain"] for one in plan["domains"]] == ["kept.example"]


def test_an_allowance_that_has_expired_since_does_not_matter(committed: Transcript) -> None:
    committed.edit(
        "mta-sts.yaml", "kept.example: {max_age: 1d}", "kept.example: {max_age: 1d, allow: [{code: MTS411, until: 2026-01-06, why: x}]}"
    )
    git("commit", "-qam", "allowed")
    committed.clock.pass_(days=30)
    committed.edit("mta-sts.yaml", ", allow: [{code: MTS411, until: 2026-01-06, why: x}]", "")
    plan = json.loads(committed.deploy("plan", "--since", "HEAD", "--format", "json").out)
    assert plan["unchanged"] == ["kept.example"]


@pytest.mark.parametrize(("revision", "code"), [("absent", "MTS916"), ("--all", "MTS916"), ("broken", "MTS917")])
def test_a_revision_that_cannot_be_used(committed: Transcript, revision: str, code: str) -> None:
    text = (committed.directory / "mta-sts.yaml").read_text()
    committed.write("mta-sts.yaml", "version: 99\n")
    git("commit", "-qam", "broken")
    git("tag", "broken")
    committed.write("mta-sts.yaml", text)
    done = committed.deploy("plan", f"--since={revision}")
    assert done.code == 1
    assert f"error {code}: --since {revision}: " in done.err


def test_outside_of_a_repository(cli: Transcript) -> None:
    cli.monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(cli.directory.parent))
    done = cli.deploy("plan", "--since", "HEAD")
    assert done.code == 1
    assert "MTS916" in done.err


def test_all_needs_since(cli: Transcript) -> None:
    done = cli.deploy("plan", "--all")
    assert done.code == 1
    assert "MTS901" in done.err


def test_nothing_in_the_checkout_is_touched(committed: Transcript) -> None:
    committed.edit("mta-sts.yaml", "  changed.example:\n", "  changed.example: {max_age: 2w}\n")
    git("add", "mta-sts.yaml")
    committed.edit("mta-sts.yaml", "2w", "3w")
    before = git("status", "--porcelain=v2"), git("diff"), git("diff", "--cached")
    committed.deploy("plan", "--since", "HEAD")
    assert (git("status", "--porcelain=v2"), git("diff"), git("diff", "--cached")) == before
