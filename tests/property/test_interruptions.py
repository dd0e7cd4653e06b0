"""A run that ends at any point leaves a valid state, and the next apply finishes it (DESIGN promise 5), on a world in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from mtasts_deploy.plan.model import Verdict
from tests.deployments import EXAMPLE, Sandbox
from tests.watcher import Watcher
from tests.worlds import Failure

FIRST = "domains:\n  example.com: {tlsrpt: 'mailto:a@example.org'}\n"
SECOND = "domains:\n  example.com: {max_age: 2w, tlsrpt: 'mailto:b@example.org'}\n"
THIRD = "domains:\n  example.com: {max_age: 3w, tlsrpt: false}\n"


def kill_at(number: int, watcher: Watcher) -> Callable[[str], None]:
    """Die at the n-th external operation; the watcher looks at each."""
    left = count(1)

    def hook(what: str) -> None:
        watcher(what)
        if next(left) == number:
            raise Failure(what)

    return hook


class Story:
    """A sandbox with a watcher that must never see anything wrong."""

    def __init__(self, directory: Path, *declarations: str) -> None:
        directory.mkdir()
        self.sandbox = Sandbox(directory)
        self.watcher = Watcher(EXAMPLE, self.sandbox.target, self.sandbox.host)
        for text in declarations:
            self.sandbox.declare(text)
            with self.sandbox.failing(self.watcher):
                assert self.sandbox.apply().exit_code == 0
            self.sandbox.clock.pass_(minutes=5)

    def killed(self, number: int, act: Callable[[], object]) -> bool:
        """Was the act killed? Its lock is gone with it, as that of a dead process is."""
        try:
            with self.sandbox.failing(kill_at(number, self.watcher)):
                act()
        except Failure:
            self.sandbox.state.objects.pop("lock.json", None)
            self.sandbox.clock.pass_(seconds=1)
            return True
        return False

    def settled(self) -> None:
        """The declared state is live under an id that stands for nothing else, and there is nothing more to do."""
        with self.sandbox.failing(self.watcher):
            assert self.sandbox.apply().exit_code == 0
        self.watcher("at the end")
        assert self.sandbox.one().verdict is Verdict.UNCHANGED
        self.sound()

    def sound(self) -> None:
        assert self.watcher.problems == []
        assert self.watcher.wrong() == set()


def sweep(tmp_path: Path, before: list[str], act: Callable[[Sandbox], object], end: Callable[[Story], None]) -> int:
    """Kill the act at its first, second, … operation, until one run is too short to be killed; the number of kills."""
    for number in count(1):
        story = Story(tmp_path / str(number), *before)
        if not story.killed(number, partial(act, story.sandbox)):
            return number - 1
        end(story)
    raise AssertionError


def declare_and_apply(text: str) -> Callable[[Sandbox], object]:
    def act(sandbox: Sandbox) -> object:
        sandbox.declare(text)
        return sandbox.apply()

    return act


@pytest.mark.parametrize("before", [[], [FIRST], [FIRST, SECOND], [SECOND, FIRST]], ids=["first", "change", "return", "again"])
@pytest.mark.parametrize("text", [FIRST, SECOND, THIRD], ids=["A", "B", "C"])
def test_the_next_apply_finishes_what_was_killed(tmp_path: Path, before: list[str], text: str):
    kills = sweep(tmp_path, before, declare_and_apply(text), Story.settled)
    assert kills >= (0 if before and before[-1] == text else 12)


@pytest.mark.parametrize("before", [[], [FIRST]], ids=["first", "change"])
def test_a_return_to_the_old_declaration_after_a_kill_takes_a_fresh_id(tmp_path: Path, before: list[str]):
    def back(story: Story) -> None:
        story.sandbox.declare(FIRST)
        story.settled()
        assert "max_age: 604800" in story.sandbox.served()

    assert sweep(tmp_path, before, declare_and_apply(SECOND), back) >= 12


def test_a_killed_apply_can_be_killed_again_at_every_point(tmp_path: Path):
    kills = 0
    for first in range(1, 40, 3):
        for second in count(1):
            story = Story(tmp_path / f"{first}-{second}", FIRST)
            story.sandbox.declare(SECOND)
            story.killed(first, story.sandbox.apply)
            if not story.killed(second, story.sandbox.apply):
                break
            kills += 1
            story.settled()
    assert kills > 100


def test_rollback_after_a_kill_returns_to_the_old_bytes_under_a_fresh_id(tmp_path: Path):
    def back(story: Story) -> None:
        if not any(b"1209600" in data for data in story.sandbox.state.objects.values()):
            return  # killed before the change had begun: the last run that changed the domain is the first publication
        old = story.sandbox.live_id()
        with story.sandbox.failing(story.watcher):
            assert story.sandbox.rollback().exit_code == 0
        story.watcher("after the rollback")
        assert "max_age: 604800" in story.sandbox.served()
        assert story.sandbox.target.txt("_smtp._tls.example.com") == ("v=TLSRPTv1; rua=mailto:a@example.org",)
        story.sound()
        assert story.sandbox.live_id() == old or story.sandbox.live_id().startswith(story.sandbox.live_id()[:24] + "r")

    assert sweep(tmp_path, [FIRST], declare_and_apply(SECOND), back) >= 12


def test_a_rollback_that_was_killed_is_finished_by_the_next(tmp_path: Path):
    def again(story: Story) -> None:
        with story.sandbox.failing(story.watcher):
            assert story.sandbox.rollback().exit_code == 0
        story.watcher("after the rollback")
        assert "max_age: 604800" in story.sandbox.served()
        story.sound()

    assert sweep(tmp_path, [FIRST, SECOND], lambda sandbox: sandbox.rollback(), again) >= 10
