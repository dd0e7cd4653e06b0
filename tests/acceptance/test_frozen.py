"""A run that stands still past its lease writes nothing when it wakes, wherever it stood, and the one that took over is right.

The run is a process of its own on real files that stops itself (SIGSTOP) before its n-th external call. Its clock is a file that the test
moves on, so that two minutes pass at once.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.errors import LeaseLost
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.policy import PolicyId
from tests.acceptance.test_kill import DOMAINS, FIRST, SECOND, declare, make, pairs

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="no signals")]

LOST = 44


class Freezing:
    """Wraps an adapter so that the process stops before its n-th call of all wrapped adapters together."""

    left: int = 0

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name == "location":
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            Freezing.left -= 1
            if Freezing.left == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
            return found(*arguments, **options)

        return call


def deployment(directory: Path) -> Deployment:
    made = Deployment.of(load(directory / "mta-sts.yaml", today=datetime.now(UTC).date()))
    made.clock = lambda: datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=float((directory / "later").read_text()))
    made.beat = None  # so that every run makes the same calls
    return made


def frozen(directory: Path, number: int) -> int | None:
    """A child that applies and stops before its `number`-th call; None if it came to its end before."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            made = deployment(directory)
            made.targets = {name: Freezing(target) for name, target in made.targets.items()}
            made.hosts = {name: Freezing(host) for name, host in made.hosts.items()}
            made.store = Freezing(made.store)
            Freezing.left = number
            result = made.apply(options=Options(parallelism=1))  # no other thread holds a lock of the system while all stand still
            code = 71 if result is None else result.exit_code
        except LeaseLost:
            code = LOST
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return child
    assert os.waitstatus_to_exitcode(status) == 0
    return None


def content(directory: Path) -> dict[str, str]:
    """Everything but the run logs, which are one file a run."""
    files = (path for path in directory.rglob("*") if path.is_file() and "runs" not in path.parts and path.name != "lock.flock")
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def apply(directory: Path) -> int:
    result = deployment(directory).apply()
    assert result is not None
    return result.exit_code


def test_a_frozen_run_writes_nothing_after_its_lease(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    stops = notes = 0
    for number in range(1, 10_000):
        directory = tmp_path / str(number)
        make(directory)
        (directory / "later").write_text("0")
        declare(directory, FIRST)
        assert apply(directory) == 0
        declare(directory, SECOND)
        child = frozen(directory, number)
        if child is None:
            break
        stops += 1
        try:
            (directory / "later").write_text("121")
            assert apply(directory) == 0
            after = content(directory)
        finally:
            os.kill(child, signal.SIGCONT)
            _, status = os.waitpid(child, 0)
        # Whoever stood still before it had the lock finds nothing to do; the others learn that they have lost it.
        assert os.waitstatus_to_exitcode(status) in (0, LOST)
        changed = [name for name, mark in content(directory).items() if after.get(name) != mark]
        assert not [name for name in changed if not name.startswith(".mtasts/ledger/")], f"stopped before call {number}"
        notes += len(changed)
        assert len(changed) <= 1
        assert {plan.verdict for plan in deployment(directory).plan().domains} == {Verdict.UNCHANGED}
        for _, id_, body in pairs(directory):
            assert body is not None
            assert b"172800" in body
            assert PolicyId.parse(id_ or "").names(body)
    with capsys.disabled():
        print(f"\nSIGSTOP past the lease: {stops} points, {len(DOMAINS)} domains, {notes} late notes in the ledger")
    # Between the proof and the write only compare-and-swap stands guard: it lets a note through that nobody else had a reason to write.
    assert notes <= 3
    assert stops >= 35
