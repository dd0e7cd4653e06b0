"""octodns-sync may run at any moment of any apply, and with what it read some time ago: no sender is left with wrong bytes.

A watching sender looks at every external operation; octodns-sync is one that publishes what the ledger in the state says at that moment.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from mtasts_deploy.apply.book import Book
from mtasts_deploy.plan.model import Verdict
from tests.deployments import EXAMPLE, Sandbox
from tests.watcher import Watcher
from tests.worlds import Failure

BY_HAND = 'dns: [plugin, local], confirm: storage, allow: [{code: MTS410, until: "2099-01-01", why: test}]'
A = f"domains:\n  example.com: {{{BY_HAND}}}\n"
B = f"domains:\n  example.com: {{{BY_HAND}, max_age: 2w}}\n"
C = f"domains:\n  example.com: {{{BY_HAND}, max_age: 3w}}\n"


class Story:
    """A sandbox, a watching sender, and an octodns-sync whose look at the ledger and whose write are two moments."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.sandbox = Sandbox(directory)
        self.watcher = Watcher(EXAMPLE, self.sandbox.target, self.sandbox.host)

    def sync(self) -> None:
        record = Book(self.sandbox.state).entry(EXAMPLE).to_publish
        if record is not None:
            self.sandbox.target.set_txt("_mta-sts.example.com", f"v=STSv1; id={record.id};", ttl=record.ttl)
        self.watcher("octodns-sync")

    def apply(self, text: str, *, sync_at: int = 0, kill_at: int = 0) -> bool:
        """Was it long enough to be reached by the last of the two?"""
        operation = count(1)
        reached = 0

        def hook(what: str) -> None:
            nonlocal reached
            reached = next(operation)
            self.watcher(what)
            if reached == sync_at:
                self.sync()
            if reached == kill_at:
                raise Failure(what)

        self.sandbox.declare(text)
        self.sandbox.clock.pass_(seconds=1)
        try:
            with self.sandbox.failing(hook):
                self.sandbox.apply()
        except Failure:
            self.sandbox.state.objects.pop("lock.json", None)
        return reached >= max(sync_at, kill_at)

    def settled(self, text: str) -> None:
        for _ in range(2):
            self.apply(text)
            self.sync()
        self.apply(text)
        assert self.sandbox.one().verdict is Verdict.UNCHANGED
        assert self.watcher.wrong() == set()
        assert not [problem for problem in self.watcher.problems if "no policy" in problem or "STSv1 values" in problem]


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)], ids=["some", "all"])
@pytest.mark.parametrize("before", [[], [A], [A, B]], ids=["first", "change", "return"])
def test_octodns_sync_at_any_moment_of_an_apply_that_is_killed_at_any_moment(tmp_path: Path, before: list[str], step: int):
    text = B if before == [A] else A
    runs = 0
    for kill_at in count(1):
        long_enough = kill_at < step
        for sync_at in range(1 + kill_at % step, kill_at + 1, step):
            story = Story(tmp_path / f"{kill_at}-{sync_at}")
            for declared in before:
                story.apply(declared)
                story.sync()
                story.apply(declared)
            long_enough = story.apply(text, sync_at=sync_at, kill_at=kill_at)
            if not long_enough:
                break
            runs += 1
            story.settled(text)
        if not long_enough:
            break
    assert runs >= 100 / step


@pytest.mark.parametrize("last", [A, B, C], ids=["A", "B", "C"])
def test_syncs_that_come_before_the_record_was_ever_live_leave_nobody_with_other_bytes(tmp_path: Path, last: str):
    for sync_at in count(1):
        story = Story(tmp_path / str(sync_at))
        story.apply(A)
        reached = story.apply(B, sync_at=sync_at)
        story.apply(C, sync_at=sync_at)
        story.settled(last)
        if not reached:
            return


def test_an_octodns_sync_that_reads_before_an_apply_and_writes_after_it(tmp_path: Path):
    story = Story(tmp_path / "story")
    story.apply(A)
    early = Book(story.sandbox.state).entry(EXAMPLE).to_publish
    assert early is not None
    story.apply(B)
    story.sync()
    story.sandbox.target.set_txt("_mta-sts.example.com", f"v=STSv1; id={early.id};")
    story.watcher("late")
    story.settled(A)
    assert story.sandbox.live_id() == f"{early.id}r1", "B could be fetched under the first id"
