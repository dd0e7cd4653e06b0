"""Runs the steps of pipelines as their runners do, in scratch clones of a bare remote, with the embedded default.

Actions of others are stood in for: a checkout is a clone, an artifact is a copy, credentials are not asked for. `gh` and `pip` are small
programs that write down what they were asked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
BOT = "github-actions[bot]"

GH = r'''#!{python}
"""Comments of pull requests, kept in a file."""
import json, sys
from pathlib import Path
store = Path(r"{store}")
known = json.loads(store.read_text())
arguments = sys.argv[1:]
assert arguments.pop(0) == "api", arguments
method, field, wanted, paths = "GET", None, None, []
while arguments:
    word = arguments.pop(0)
    if word == "--method": method = arguments.pop(0)
    elif word == "--field": field = arguments.pop(0)
    elif word == "--jq": wanted = arguments.pop(0)
    elif word not in ("--silent", "--paginate"): paths.append(word)
(path,) = paths
if method == "POST":
    text = Path(field.removeprefix("body=@")).read_text()
    known.append({{"id": len(known) + 1, "login": "{bot}", "body": text, "path": path}})
elif method == "PATCH":
    number = int(path.rsplit("/", 1)[1])
    next(one for one in known if one["id"] == number)["body"] = Path(field.removeprefix("body=@")).read_text()
elif path.endswith("/pulls"):
    assert wanted == ".[0].number // empty"
    print(7)
else:
    assert "rtrimstr" in wanted and path.endswith("/issues/7/comments")
    for one in known:
        print(one["id"], one["login"], one["body"].split("\n")[0], sep="\t")
store.write_text(json.dumps(known))
'''


def git(directory: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Step:
    """How one step ended."""

    name: str
    code: int
    output: str


@dataclass
class Job:
    """How one job ended."""

    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def code(self) -> int:
        return next((step.code for step in self.steps if step.code), 0)

    def __str__(self) -> str:
        return "\n".join(f"== {step.name}: {step.code}\n{step.output}" for step in self.steps)


class Forge:
    """A bare remote with a repository, and runners that clone it."""

    def __init__(self, directory: Path, monkeypatch: Any) -> None:
        self.directory = directory
        self.remote = directory / "remote.git"
        self.artifacts = directory / "artifacts"
        self.comments_file = directory / "comments.json"
        self.comments_file.write_text("[]")
        self._count = 0
        self._programs()
        for name in list(os.environ):
            if name.startswith(("MTASTS_", "GITHUB_", "GITLAB_", "CI", "GIT_")):
                monkeypatch.delenv(name)
        home = directory / "home"
        home.mkdir()
        url = f"url.{self.remote.as_uri()}.insteadOf"
        tokens = (
            "https://x-access-token:TOKEN@github.example/owner/repository",
            "https://mta-sts:PUSH@gitlab.example/owner/repository.git",
        )
        (home / ".gitconfig").write_text("[user]\nname = Somebody\nemail = somebody@example.com\n[init]\ndefaultBranch = main\n")
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        monkeypatch.setenv("PATH", f"{directory / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        for token in tokens:
            subprocess.run(["git", "config", "--global", "--add", url, token], check=True)
        subprocess.run(["git", "init", "--quiet", "--bare", str(self.remote)], check=True)

    def _programs(self) -> None:
        folder = self.directory / "bin"
        folder.mkdir()
        (folder / "gh").write_text(GH.format(python=sys.executable, store=self.comments_file, bot=BOT))
        (folder / "pip").write_text(f'#!/bin/sh\necho "$@" >> {self.directory / "pip.log"}\n')
        for name in ("gh", "pip"):
            (folder / name).chmod(0o755)

    @property
    def installed(self) -> list[str]:
        return (self.directory / "pip.log").read_text().splitlines()

    @property
    def comments(self) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = json.loads(self.comments_file.read_text())
        return made

    def clone(self, branch: str = "main") -> Path:
        self._count += 1
        directory = self.directory / f"clone{self._count}"
        subprocess.run(["git", "clone", "--quiet", "--branch", branch, str(self.remote), str(directory)], check=True)
        return directory

    def log(self) -> list[str]:
        return git(self.remote, "log", "--format=%s", "main").splitlines()

    def github(
        self, workflow: str, job: str, branch: str = "main", needs: Job | None = None, event: Mapping[str, str] | None = None
    ) -> Job:
        """Run one job of a workflow on a fresh clone."""
        definition = yaml.safe_load(workflow)["jobs"][job]
        here = self.clone(branch)
        done = Job()
        outputs: dict[str, dict[str, str]] = {}
        contexts = {
            "github.token": "TOKEN",
            "github.base_ref": "main",
            "github.ref_name": branch,
            "github.event.pull_request.number": "7",
            "vars.MTA_STS_FILES_ONLY": "true",  # nothing of a scratch repository is public
            **(event or {}),
        }
        for step in definition["steps"]:
            if "uses" in step:
                self._use(step, here)
                continue
            condition = str(step.get("if", ""))
            if done.code and "always()" not in condition:
                continue
            if "hashFiles('comment.md')" in condition and not (here / "comment.md").exists():
                continue
            if condition.startswith("steps.plan.outputs.changes == '0'") and outputs["plan"]["changes"] != "0":
                continue
            known = contexts | {f"steps.{id_}.outputs.{name}": value for id_, all_ in outputs.items() for name, value in all_.items()}
            made, written = self._run(step["name"], step["run"], here, {k: _filled(v, known) for k, v in step.get("env", {}).items()}, done)
            done.steps.append(made)
            if "id" in step:
                outputs[step["id"]] = written
        done.outputs = {name: outputs.get("plan", {}).get(name, "") for name in definition.get("outputs", {})}
        return done

    def _use(self, step: dict[str, Any], here: Path) -> None:
        used = step["uses"].partition("@")[0]
        match used:
            case "actions/upload-artifact":
                target = self.artifacts / step["with"]["name"]
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(here / step["with"]["path"], target)
            case "actions/download-artifact":
                shutil.copytree(self.artifacts / step["with"]["name"], here / step["with"]["path"])
            case "actions/checkout" | "actions/setup-python" | "aws-actions/configure-aws-credentials":
                pass
            case _:
                raise AssertionError(f"{used} is not stood in for")

    def _run(self, name: str, script: str, here: Path, env: dict[str, str], job: Job) -> tuple[Step, dict[str, str]]:
        output, summary = here.parent / f"{here.name}.output", here.parent / f"{here.name}.summary"
        output.write_text("")
        summary.write_text("")
        environment = os.environ | env
        environment |= {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_WORKSPACE": str(here),
            "GITHUB_REPOSITORY": "owner/repository",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_SHA": git(here, "rev-parse", "HEAD"),
        }
        done = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        job.summary += summary.read_text()
        written = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return Step(name, done.returncode, done.stdout), written


def _filled(text: object, known: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], str(text))


def shell(script: str, here: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Lines of a job as GitLab and cron run them."""
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=here, env=os.environ | env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
