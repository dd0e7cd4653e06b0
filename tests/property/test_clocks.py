"""Clocks that are ten minutes off: of the run that holds the lock, of one that comes at any point of it, of one that comes after it.

A lease is measured by clocks, so with one that far off two runs may believe to hold it. Then the proof before each write and the conditions
of the writes stand guard; a watching sender looks at every operation.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from mtasts_deploy.errors import LockHeld, MtastsError
from mtasts_deploy.plan.model import Verdict
from tests.deployments import EXAMPLE, Sandbox
from tests.watcher import Watcher
from tests.worlds import Clock, Failure

OFF = [-600, 600]
FIRST = "domains:\n  example.com: {max_age: 1d}\n"
SECOND = "domains:\n  example.com: {max_age: 2d}\n"
THIRD = "domains:\n  example.com: {max_age: 3d}\n"


class Off(Clock):
    """A clock that is so many seconds off another one."""

    def __init__(self, right: Clock, seconds: float) -> None:
        self.right, self.seconds = right, seconds

    def __call__(self):
        return self.right() + timedelta(seconds=self.seconds)

    @property
    def now(self):  # type: ignore[override]
        return self()

    def pass_(self, **units: float) -> None:
        self.right.pass_(**units)


def beside(sandbox: Sandbox, directory: Path, seconds: float) -> Sandbox:
    """A second machine with the same state and a clock of its own."""
    directory.mkdir()
    other = Sandbox(directory)
    other.target, other.host, other.state = sandbox.target, sandbox.host, sandbox.state
    other.hosts = {"local": sandbox.host}
    other.clock = Off(sandbox.clock, seconds)
    return other


class Story:
    """A domain on its first policy, a watching sender, and a right clock."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.right = Sandbox(directory)
        self.watcher = Watcher(EXAMPLE, self.right.target, self.right.host)
        self.right.declare(FIRST)
        self.right.apply()
        self.right.clock.pass_(hours=3)
        self.watcher("before")

    def settled(self, text: str) -> None:
        """The clock is right again."""
        self.right.clock.pass_(minutes=3)
        self.right.declare(text)
        with self.right.failing(self.watcher):
            for _ in range(2):
                assert self.right.apply().exit_code == 0
        self.watcher("at the end")
        assert self.right.one().verdict is Verdict.UNCHANGED
        assert self.watcher.problems == []
        assert self.watcher.wrong() == set()


@pytest.mark.parametrize("holder", [*OFF, 0])
@pytest.mark.parametrize("contender", [*OFF, 0])
@pytest.mark.parametrize("slow", [0, 15], ids=["at once", "15 s a call"])
def test_another_run_comes_at_every_point_of_one(tmp_path: Path, holder: int, contender: int, slow: int):
    """Whatever the clocks say: who has lost the lock stops, and in the end all is as declared. `slow`: the contender takes its time."""
    held, lost = 0, False
    for number in count(1):
        story = Story(tmp_path / f"{number}")
        first = beside(story.right, story.directory / "first", holder)
        second = beside(story.right, story.directory / "second", contender)
        left = number

        def hook(what: str) -> None:
            nonlocal left, held
            story.watcher(what)  # noqa: B023 - called in this round
            left -= 1
            if left == 0:
                second.declare(THIRD)  # noqa: B023
                story.right.clock.pass_(seconds=slow)  # noqa: B023
                try:
                    second.apply()  # noqa: B023
                except LockHeld:
                    held += 1
                except MtastsError:
                    pass
                story.right.clock.pass_(seconds=slow)  # noqa: B023

        first.declare(SECOND)
        with story.right.failing(hook):
            try:
                first.apply()
            except MtastsError as error:
                lost = lost or error.diagnostics[0].code == "MTS714"
        if left > 0:
            break
        story.settled(THIRD)
    assert number > 15
    taken = contender - holder > 120
    assert lost is (taken and slow > 0), "the lock is looked at again after 10 s"
    if not taken:
        assert held > 10, "a lease that is not over keeps others out"


@pytest.mark.parametrize("seconds", OFF)
def test_a_run_with_a_wrong_clock_between_others_with_a_right_one(tmp_path: Path, seconds: int):
    story = Story(tmp_path / "story")
    wrong = beside(story.right, story.directory / "wrong", seconds)
    for text in (SECOND, FIRST, THIRD):
        wrong.declare(text)
        with story.right.failing(story.watcher):
            assert wrong.apply().exit_code == 0
        story.settled(SECOND)


@pytest.mark.parametrize("seconds", OFF)
def test_a_run_with_a_wrong_clock_that_dies_anywhere_is_finished(tmp_path: Path, seconds: int):
    for number in count(1):
        story = Story(tmp_path / f"{number}")
        wrong = beside(story.right, story.directory / "wrong", seconds)
        wrong.declare(SECOND)
        left = number

        def hook(what: str) -> None:
            nonlocal left
            story.watcher(what)  # noqa: B023 - called in this round
            left -= 1
            if left == 0:
                raise Failure

        with story.right.failing(hook):
            try:
                wrong.apply()
            except Failure:
                story.right.state.objects.pop("lock.json", None)
        if left > 0:
            break
        story.settled(THIRD)
    assert number > 15
