"""The ready pipelines, their steps run one by one in scratch repositories with a bare remote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mtasts_deploy import __version__
from mtasts_deploy.pipelines import Kind, pipeline
from tests.pipelines import BOT, Forge, git, shell
from tests.transcripts import deployment

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sys.executable).parent

pytestmark = [pytest.mark.acceptance, pytest.mark.services("jq")]


def text(kind: Kind, name: str) -> str:
    return next(file.text for file in pipeline(kind, ("route53",)) if file.path.endswith(name))


PLAN, APPLY, NIGHTLY = (text("github", f"mta-sts-{name}.yml") for name in ("plan", "apply", "nightly"))


@pytest.fixture
def forge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """A repository with a declaration that was never applied."""
    made = Forge(tmp_path, monkeypatch)
    seed = tmp_path / "seed"
    seed.mkdir()
    deployment(seed)
    (seed / ".gitignore").write_text(".mtasts/lock*\n.mtasts/runs/\n")
    git(seed, "init", "--quiet")
    git(seed, "add", "--all")
    git(seed, "commit", "--quiet", "--message", "seed")
    git(seed, "push", "--quiet", str(made.remote), "main")
    return made


def change(forge: Forge, path: str, old: str, new: str, branch: str = "main") -> None:
    """Somebody pushes an edit."""
    here = forge.clone()
    if branch != "main":
        git(here, "switch", "--quiet", "--force-create", branch)
    content = (here / path).read_text()
    assert old in content, content
    (here / path).write_text(content.replace(old, new))
    git(here, "commit", "--quiet", "--all", "--message", f"edit {path}")
    git(here, "push", "--quiet", "--force", "origin", branch)


def merge(forge: Forge, branch: str) -> None:
    here = forge.clone()
    git(here, "merge", "--quiet", "--no-edit", f"origin/{branch}")
    git(here, "push", "--quiet", "origin", "main")


def applied(forge: Forge) -> None:
    assert forge.github(APPLY, "plan").code == 0
    done = forge.github(APPLY, "apply")
    assert done.code == 0, str(done)


def test_from_a_pull_request_over_the_merge_to_drift_and_back(forge: Forge) -> None:
    applied(forge)
    assert forge.log()[0] == "MTA-STS: what deploy apply wrote [skip ci]"
    published = forge.clone()
    assert (published / "policies/mta-sts.kept.example/.well-known/mta-sts.txt").exists()
    assert list((published / ".mtasts/ledger").iterdir())
    assert "TOKEN" not in git(published, "log", "-p")

    change(forge, "mta-sts.yaml", "kept.example: {max_age: 1d}", "kept.example: {max_age: 1d, mode: enforce}", "pull")
    job = forge.github(PLAN, "plan", "pull")
    assert job.code == 0, str(job)
    (_, comment) = forge.comments
    assert comment["body"].startswith("<!-- mtasts-deploy: plan of mta-sts.yaml -->\n### MTA-STS plan: ")
    assert "1 of 3 domains differ" in comment["body"]
    assert "changed.example" not in comment["body"]
    assert "**kept.example**" in comment["body"]

    change(forge, "mta-sts.yaml", "kept.example: {max_age: 1d}", "kept.example: {max_age: 2w}", "pull")
    forge.github(PLAN, "plan", "pull")
    (_, comment) = forge.comments
    assert "max_age 1d → 2w" in comment["body"]
    assert "enforce" not in comment["body"]

    merge(forge, "pull")
    job = forge.github(APPLY, "plan")
    assert job.outputs == {"changes": "2", "code": "0"}
    assert "**kept.example**: Mail delivery does not change" in job.summary
    job = forge.github(APPLY, "apply")
    assert job.code == 0, str(job)
    assert "MTA-STS Apply: 1 done" in forge.comments[-1]["body"]
    assert forge.github(NIGHTLY, "drift").code == 0

    change(forge, "zones/kept.example.yaml", "mailto:tls@reports.example", "mailto:hand@reports.example")
    job = forge.github(NIGHTLY, "drift")
    assert job.code == 2
    assert "::warning title=MTA-STS::What is published is not what is declared" in str(job)
    applied(forge)
    assert forge.github(NIGHTLY, "drift").code == 0
    assert "hand@" not in (forge.clone() / "zones/kept.example.yaml").read_text()
    assert forge.installed[0] == f"install --quiet mtasts-deploy[route53]=={__version__}"


def test_a_hand_edit_that_is_milder_is_not_undone_until_it_is_committed_or_the_guard_lifted(forge: Forge) -> None:
    applied(forge)
    policy = "policies/mta-sts.kept.example/.well-known/mta-sts.txt"
    change(forge, policy, "mx: mx1.kept.example", "mx: mx.backup.example\nmx: mx1.kept.example")
    job = forge.github(NIGHTLY, "drift")
    assert job.code == 3, str(job)
    assert "MTS425" in str(job)
    job = forge.github(APPLY, "plan")
    assert job.code == 3, str(job)
    assert "**kept.example**: Nothing is done: blocked by MTS425." in job.summary
    assert "mx mx.backup.example besides the declared hosts" in job.summary

    change(forge, "mta-sts.yaml", "{max_age: 1d}", "{max_age: 1d, mx: [zone, mx.backup.example]}")
    applied(forge)
    assert forge.github(NIGHTLY, "drift").code == 0
    assert "mx.backup.example" in (forge.clone() / policy).read_text()

    change(forge, "mta-sts.yaml", ", mx: [zone, mx.backup.example]", "")
    applied(forge)  # by a commit it goes without a question
    change(forge, policy, "mode: testing", "mode: none")
    assert forge.github(APPLY, "plan").code == 3
    allow = "{max_age: 1d, allow: [{code: MTS425, until: 2099-01-01, why: mail works again}]}"
    change(forge, "mta-sts.yaml", "{max_age: 1d}", allow)
    applied(forge)
    assert "mode: testing" in (forge.clone() / policy).read_text()
    assert forge.github(NIGHTLY, "drift").code == 0


def test_the_nightly_look_as_a_sender_fails_where_nothing_can_be_seen(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    applied(forge)
    monkeypatch.setenv("MTASTS_RESOLVER", "127.0.0.1:1")
    monkeypatch.setenv("MTASTS_TIMEOUT", "1s")
    job = forge.github(NIGHTLY, "drift", event={"vars.MTA_STS_FILES_ONLY": ""})
    compared, looked = job.steps[-2:]
    assert (compared.code, looked.code) == (0, 1)
    assert "::error file=mta-sts.yaml," in looked.output
    assert "Traceback" not in looked.output


def test_a_plan_whose_world_has_moved_is_refused_and_a_comment_says_what_moved(forge: Forge) -> None:
    assert forge.github(APPLY, "plan").code == 0
    change(forge, "zones/kept.example.yaml", "mx2", "mx9")
    job = forge.github(APPLY, "apply")
    assert job.code == 5, str(job)
    assert forge.log()[0].startswith("edit ")  # nothing was written
    body = forge.comments[-1]["body"]
    assert "1 of 3 domains of the plan are stale. Nothing was changed." in body
    assert "kept.example: the MX records changed since the plan was made" in body


def test_a_blocked_domain_fails_the_pull_request_with_a_comment(forge: Forge) -> None:
    applied(forge)
    change(forge, "mta-sts.yaml", "domains:", "domains:\n  absent.example:", "pull")
    job = forge.github(PLAN, "plan", "pull")
    assert job.code == 3
    assert "**absent.example**: Nothing is done: blocked by MTS404." in forge.comments[-1]["body"]
    assert "::error file=mta-sts.yaml,line=4,col=3,title=MTS404::" in str(job)


def test_a_declaration_that_is_wrong_is_annotated_and_one_that_mends_it_is_planned(forge: Forge) -> None:
    change(forge, "mta-sts.yaml", "1d", "1day")
    job = forge.github(PLAN, "plan")
    assert job.code == 1
    assert "::error file=mta-sts.yaml,line=5," in str(job)
    assert forge.comments == []
    change(forge, "mta-sts.yaml", "1day", "1d", "pull")
    assert forge.github(PLAN, "plan", "pull").code == 0
    assert len(forge.comments) == 1


def test_a_comment_of_a_stranger_with_the_mark_is_left_alone(forge: Forge) -> None:
    mark = "<!-- mtasts-deploy: plan of mta-sts.yaml -->"
    forge.comments_file.write_text(json.dumps([{"id": 1, "login": "stranger", "body": mark, "path": "x"}]))
    change(forge, "mta-sts.yaml", "1d", "2d", "pull")
    assert forge.github(PLAN, "plan", "pull").code == 0
    assert [one["login"] for one in forge.comments] == ["stranger", BOT]
    assert forge.comments[0]["body"] == mark


def test_a_push_meanwhile_loses_nothing(forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    assert forge.github(APPLY, "plan").code == 0
    meanwhile = forge.clone()
    (meanwhile / "README").write_text("unrelated\n")
    git(meanwhile, "add", "README")
    git(meanwhile, "commit", "--quiet", "--message", "unrelated")
    hook = forge.remote / "hooks/pre-receive"
    once = forge.directory / "once"
    hook.write_text(f"#!/bin/sh\n[ -e {once} ] && exit 0\n: > {once}\nexit 1\n")
    hook.chmod(0o755)
    job = forge.github(APPLY, "apply")
    assert job.code == 0, str(job)
    assert once.exists()
    git(meanwhile, "pull", "--quiet", "--rebase")
    git(meanwhile, "push", "--quiet")
    assert forge.github(NIGHTLY, "drift").code == 0


def gitlab(job: str) -> str:
    """The lines of a job, with those of the job that it extends."""
    jobs = yaml.safe_load(text("gitlab", ".gitlab-ci.yml"))
    return "\n".join([*jobs[".mta-sts"]["before_script"], *jobs[job]["script"]])


def test_gitlab_plans_applies_and_looks_at_night(forge: Forge) -> None:
    env = {"CI": "true", "CI_SERVER_HOST": "gitlab.example", "CI_PROJECT_PATH": "owner/repository", "CI_COMMIT_BRANCH": "main"}
    env |= {"MTA_STS_PUSH_TOKEN": "PUSH", "MTA_STS_FILES_ONLY": "true"}
    here = forge.clone()
    git(forge.remote, "config", "receive.advertisePushOptions", "true")
    done = shell(gitlab("mta-sts plan"), here, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((here / "terraform.json").read_text()) == {"create": 7, "update": 0, "delete": 0}
    assert json.loads((here / "codequality.json").read_text()) == []
    done = shell(gitlab("mta-sts apply"), here, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert forge.log()[0] == "MTA-STS: what deploy apply wrote"
    assert shell(gitlab("mta-sts nightly"), forge.clone(), **env).returncode == 0
    change(forge, "zones/kept.example.yaml", "mailto:tls@reports.example", "mailto:hand@reports.example")
    assert shell(gitlab("mta-sts nightly"), forge.clone(), **env).returncode == 2


def test_a_timer_applies_and_pushes(forge: Forge) -> None:
    here = forge.clone()
    script = next(file for file in pipeline("timer") if file.executable)
    program = forge.directory / "mta-sts-apply"
    program.write_text(script.text)
    program.chmod(0o755)
    done = shell(str(program), here)
    assert done.returncode == 0, done.stdout + done.stderr
    assert forge.log() == ["MTA-STS: what deploy apply wrote", "seed"]
    assert shell(str(program), here).returncode == 0
    assert len(forge.log()) == 2
    change(forge, "mta-sts.yaml", "domains:", "domains:\n  absent.example:")
    change(forge, "mta-sts.yaml", "{max_age: 1d}", "{max_age: 2d}")
    assert shell(str(program), here).returncode == 3  # one is blocked, the others go on, and what they wrote is pushed
    assert forge.log()[0] == "MTA-STS: what deploy apply wrote"


def action(here: Path, **inputs: str) -> tuple[int, dict[str, str], str]:
    """Run the action's script as its last step does."""
    output = here.parent / "action-output"
    output.write_text("")
    definition = yaml.safe_load((ROOT / "action.yml").read_text())
    defaults = {name: one.get("default", "") for name, one in definition["inputs"].items()} | {
        k.replace("_", "-"): v for k, v in inputs.items()
    }
    step = definition["runs"]["steps"][-1]
    env = {name: defaults[value.removeprefix("${{ inputs.").removesuffix(" }}")] for name, value in step["env"].items()}
    done = shell(step["run"], here, GITHUB_ACTION_PATH=str(ROOT), GITHUB_OUTPUT=str(output), GITHUB_ACTIONS="true", **env)
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert set(outputs) <= set(definition["outputs"])
    return done.returncode, outputs, done.stdout + done.stderr


def test_the_action_plans_and_applies_what_was_approved(forge: Forge) -> None:
    here = forge.clone()
    assert action(here, command="validate")[:2] == (0, {"exit-code": "0"})
    code, outputs, _ = action(here, command="plan", domains="kept.example\nchanged.example")
    assert code == 0
    assert outputs["changes"] == "6"
    assert outputs["exit-code"] == "2"
    assert outputs["plan-path"] == "plan.json"
    assert json.loads((here / "plan.json").read_text())["digest"] == outputs["digest"]
    code, refused, said = action(here, command="apply", expect="0" * 64)
    assert (code, refused["exit-code"]) == (5, "5")
    assert "MTS767" in said
    code, done, said = action(here, command="apply", plan_file="plan.json", domains="")
    assert code == 0, said
    assert done["digest"] == outputs["digest"]
    code, rest, _ = action(here, command="drift")
    assert (code, rest["changes"]) == (2, "1")
    assert action(here, command="apply", expect=rest["digest"])[0] == 0
    assert action(here, command="apply")[1]["changes"] == "0"
    assert action(here, command="drift")[0] == 0
    assert action(here, command="nonsense")[0] == 1


def test_every_output_of_the_action_is_written_by_its_last_step() -> None:
    definition = yaml.safe_load((ROOT / "action.yml").read_text())
    last = definition["runs"]["steps"][-1]["id"]
    for name, one in definition["outputs"].items():
        assert one["value"] == f"${{{{ steps.{last}.outputs.{name} }}}}"


def test_the_hook_finds_a_bad_declaration_offline(forge: Forge) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    here = forge.clone()
    entry = f"{hook['entry']}"
    assert shell(entry, here).returncode == 0
    (here / "mta-sts.yaml").write_text("version: 1\ndomains: {example.com: {mod: enforce}}\n")
    done = shell(entry, here)
    assert done.returncode == 1
    assert "mta-sts.yaml:2:25: error MTS120" in done.stderr


def lint(*command: str | Path) -> None:
    done = subprocess.run([str(SCRIPTS / command[0]), *map(str, command[1:])], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    """All files of all pipelines, as `deploy init` writes them."""
    kinds: tuple[Kind, ...] = ("github", "gitlab", "timer")
    found = {}
    for file in (one for kind in kinds for one in pipeline(kind, ("route53",))):
        path = tmp_path / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
        if file.executable:
            path.chmod(0o755)
        found[path.name] = path
    return found


def test_linters_have_nothing_to_say(written: dict[str, Path]) -> None:
    workflows = [path for path in written.values() if ".github" in path.parts]
    assert len(workflows) == 3
    lint("actionlint", *workflows)
    lint("zizmor", "--offline", "--no-progress", *workflows, ROOT / "action.yml")
    lint("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    lint("check-jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml")
    lint("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", written["mta-sts.gitlab-ci.yml"])
    rules = "{extends: default, rules: {document-start: disable, line-length: {max: 160}, truthy: {check-keys: false},"
    rules += " comments: {min-spaces-from-content: 1}}}"
    lint("yamllint", "--strict", "--config-data", rules, *workflows, written["mta-sts.gitlab-ci.yml"], ROOT / "action.yml")
    lint("pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml")
    lint("hadolint", ROOT / "Dockerfile")


@pytest.mark.parametrize("wrong", [("uses: actions/checkout@v6", "zizmor"), ("runs-on: nowhere", "actionlint")])
def test_the_linters_would_say_something(written: dict[str, Path], wrong: tuple[str, str]) -> None:
    line, linter = wrong
    path = written["mta-sts-nightly.yml"]
    key = line.partition(":")[0]
    lines = path.read_text().splitlines()
    number = next(number for number, one in enumerate(lines) if one.strip().lstrip("- ").startswith(f"{key}:"))
    lines[number] = lines[number][: lines[number].index(key)] + line
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(AssertionError):
        lint(linter, *(["--offline"] if linter == "zizmor" else []), path)


@pytest.mark.services("systemd-analyze")
def test_systemd_takes_the_units(written: dict[str, Path]) -> None:
    unit = written["mta-sts.service"]
    unit.write_text(unit.read_text().replace("/srv/mta-sts/mta-sts-apply", str(written["mta-sts-apply"])))
    command = ["systemd-analyze", "verify", str(unit), str(written["mta-sts.timer"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "mta-sts" not in done.stderr, done.stderr
