"""The program as a process: pipes, signals, terminals."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.transcripts import deployment

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = [sys.executable, "-m", "mtasts_deploy"]

# The first message that a policy is served sends the signals: the run is then between two steps.
SIGNALLED = """
import os, signal, sys
from mtasts_deploy.cli.running import Running
from mtasts_deploy.__main__ import main
inner = Running._event
todo = [getattr(signal, name) for name in {signals!r}]
def event(self, event):
    inner(self, event)
    if event.text:
        while todo:
            os.kill(os.getpid(), todo.pop())
Running._event = event
sys.argv[1:] = ["apply", "--auto-approve", "--parallelism", "1"]
sys.exit(main())
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MTASTS_", "CI", "NO_COLOR", "FORCE_COLOR"))}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def deploy(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEPLOY, *arguments], cwd=directory, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    deployment(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["plan", "explain", "schema", "--help"])
def test_a_reader_that_goes_away_is_no_error(fresh: Path, command: str) -> None:
    script = f"set -o pipefail; {' '.join(DEPLOY)} {command} | head -1"
    done = subprocess.run(["bash", "-c", script], cwd=fresh, env=environment(CI="1"), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


def test_an_apply_goes_on_without_a_reader(fresh: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    child = subprocess.run(
        [*DEPLOY, "apply", "--auto-approve"], cwd=fresh, env=environment(), stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert child.returncode == 0, child.stderr
    assert "Traceback" not in child.stderr
    assert "unchanged" in deploy(fresh, "plan").stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_said_and_stops_no_apply(fresh: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*DEPLOY, "apply", "--auto-approve"], cwd=fresh, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "MTS909" in done.stderr
    assert "Traceback" not in done.stderr
    assert "unchanged" in deploy(fresh, "plan").stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_poor_encoding_is_no_error(fresh: Path, encoding: str) -> None:
    more = environment(PYTHONIOENCODING=encoding)
    done = subprocess.run([*DEPLOY, "plan"], cwd=fresh, env=more, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"Plan: 7 to add" in done.stdout


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_stops_at_a_step_boundary(fresh: Path, signal: str) -> None:
    program = SIGNALLED.format(signals=(signal,))
    done = subprocess.run([sys.executable, "-c", program], cwd=fresh, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "Stopping at the next step boundary" in done.stderr
    assert "interrupted" in done.stdout
    assert not (fresh / ".mtasts/lock.json").exists()
    assert deploy(fresh, "apply", "--auto-approve").returncode == 0
    assert "3 domains unchanged" in deploy(fresh, "plan").stdout


@pytest.mark.skipif(shutil.which("nohup") is None, reason="needs nohup")
def test_what_nohup_has_switched_off_stays_off(fresh: Path) -> None:
    program = SIGNALLED.format(signals=("SIGHUP",))
    done = subprocess.run(
        ["nohup", sys.executable, "-c", program], cwd=fresh, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Apply: 3 done." in done.stdout


def test_a_terminal_that_is_closed_stops_the_run_or_not_but_breaks_nothing(fresh: Path) -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen([*DEPLOY, "apply", "--auto-approve"], cwd=fresh, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)
    assert child.wait(timeout=60) in (0, 1, 130)
    assert deploy(fresh, "apply", "--auto-approve").returncode == 0
    assert "3 domains unchanged" in deploy(fresh, "plan").stdout


def test_the_second_signal_stops_at_once_and_says_what_is_unknown(fresh: Path) -> None:
    program = SIGNALLED.format(signals=("SIGINT", "SIGINT"))
    done = subprocess.run([sys.executable, "-c", program], cwd=fresh, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert (
        "Stopped at once. It is not known how far the run has come with: changed.example, kept.example and parked.example." in done.stderr
    )
    again = deploy(fresh, "apply", "--auto-approve")
    assert "MTS711" in again.stderr
    assert again.returncode == 0
    assert "3 domains unchanged" in deploy(fresh, "plan").stdout


def on_terminal(directory: Path, *arguments: str, answer: str = "", **more: str) -> tuple[int, str]:
    """Run with a terminal as stdin, stdout and stderr; the exit code and all that was shown."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [*DEPLOY, *arguments], cwd=directory, env=environment(**{"TERM": "xterm", **more}), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
        if answer and b"accepted: " in shown:
            os.write(ours, answer.encode())
            answer = ""
    os.close(ours)
    return child.wait(timeout=30), shown.decode()


def test_a_terminal_gets_colours_a_question_and_one_line_of_progress(fresh: Path) -> None:
    code, shown = on_terminal(fresh, "apply", answer="yes\n")
    assert code == 0
    assert "\x1b[32m+\x1b[0m policy" in shown
    assert "Only 'yes' is accepted: " in shown
    assert "[3/3] " in shown
    assert "\r\x1b[K" in shown
    assert "Apply: 3 done." in shown


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_plain_terminal_gets_no_colours(fresh: Path, name: str, value: str) -> None:
    code, shown = on_terminal(fresh, "apply", answer="yes\n", **{name: value})
    assert code == 0
    assert "\x1b[3" not in shown
    assert ("\x1b" in shown) == (name == "NO_COLOR")  # the line of progress is no colour


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_knows_the_commands(fresh: Path) -> None:
    more = environment(_DEPLOY_COMPLETE="complete_bash", COMP_WORDS="deploy ro", COMP_CWORD="1")
    done = subprocess.run([*DEPLOY], cwd=fresh, env=more, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["rollback"]
