"""The documents that start people off are run as they stand: each `$ ` line of their console blocks, in one shell, in a copy of the tree.

Other lines of a block are output that the command above them must print, in this order; `…` at the end stands for the rest of a line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "site", "dist", "lock", "locks", "lock.json", "runs"
)

pytestmark = pytest.mark.acceptance


@dataclass(frozen=True)
class Command:
    text: str
    output: tuple[str, ...]


def commands(document: str) -> list[Command]:
    """The commands of all console blocks; `> ` continues the line above."""
    found: list[Command] = []
    for block in re.findall(r"^```console\n(.*?)^```$", document, flags=re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:], ()))
            elif line == ">" or line.startswith("> "):
                found[-1] = Command(f"{found[-1].text}\n{line[2:]}", ())
            else:
                found[-1] = Command(found[-1].text, (*found[-1].output, line))
    return found


def missing(expected: tuple[str, ...], output: str) -> str | None:
    """The first expected line that does not appear where it should."""
    lines = iter(output.splitlines())
    for wanted in expected:
        if not any(line.startswith(wanted[:-1]) if wanted.endswith("…") else line == wanted for line in lines):
            return wanted
    return None


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md", "docs/octodns.md"])
def test_each_console_line_runs_as_written(name: str, tmp_path: Path) -> None:
    checkout = tmp_path / "mtasts-deploy"
    shutil.copytree(ROOT, checkout, ignore=LEFT_OUT)
    subprocess.run([ROOT / "script" / "setup"], check=True)  # the copy must find it up to date, and not make it anew for itself
    (checkout / ".venv").symlink_to(ROOT / ".venv")  # set up once, not for each document
    found = commands((ROOT / name).read_text(encoding="utf-8"))
    assert found, f"{name} has no console block"
    # The shell prints a mark before each command, so that its output can be told from the next one's.
    mark = "\x1e"
    script = "set -e\n" + "".join(f"printf '{mark}'\n{command.text}\n" for command in found)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MTASTS_")}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    outputs = done.stdout.split(mark)[1:]
    last = found[len(outputs) - 1].text
    assert done.returncode == 0, f"{name}: `{last}` failed with {done.returncode}\n{outputs[-1]}\n{done.stderr}"
    for command, output in zip(found, outputs, strict=True):
        line = missing(command.output, output)
        assert line is None, f"{name}: `{command.text}` should print {line!r}, printed\n{output}"
