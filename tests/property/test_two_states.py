"""Two deployments with states of their own manage one zone and one host: not prevented, but each apply leaves what is right for senders."""

from __future__ import annotations

from pathlib import Path

from mtasts_deploy.errors import MtastsError
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from tests.deployments import EXAMPLE, Sandbox
from tests.watcher import Watcher
from tests.worlds import MemoryState

OURS = "domains:\n  example.com: {max_age: 1d}\n"
THEIRS = "domains:\n  example.com: {max_age: 2d}\n"


def test_the_other_one_applies_at_every_point_of_ours(tmp_path: Path):
    points = 0
    for number in range(1, 1000):
        directory = tmp_path / str(number)
        (directory / "theirs").mkdir(parents=True)
        ours, theirs = Sandbox(directory), Sandbox(directory / "theirs")
        theirs.target, theirs.host, theirs.clock, theirs.state = ours.target, ours.host, ours.clock, MemoryState()
        watcher = Watcher(EXAMPLE, ours.target, ours.host)
        ours.declare("domains:\n  example.com: {max_age: 3d}\n")
        ours.apply()
        watcher("before")
        ours.clock.pass_(hours=3)
        ours.declare(OURS)
        theirs.declare(THEIRS)
        left = number

        def hook(what: str) -> None:
            nonlocal left
            watcher(what)  # noqa: B023 - called in this round
            left -= 1
            if left == 0:
                theirs.apply()  # noqa: B023 - called in this round

        with ours.failing(hook):
            try:
                ours.apply()
            except MtastsError:
                ours.state.objects.pop("lock.json", None)
        if left > 0:
            break
        points += 1
        ours.clock.pass_(minutes=5)
        with ours.failing(watcher):
            assert ours.apply().exit_code == 0, number
        watcher("at the end")
        body = ours.host.files[Domain.parse("example.com")]
        assert b"86400" in body
        assert PolicyId.parse(ours.live_id()).names(body)
        assert watcher.wrong() == set(), number
        assert not ours.plan().acting
    assert points >= 20
