"""`kill -9` of a mixed change at every external call, then of the next apply at every call, then of a rollback at every call.

In each of the three worlds of `crashes`, with a sender in a process of its own that looks all through. A few points in every run of the
tests. With `--long`: every call once; for pairs, each point between two writes, and then each point between two writes of the next run (of
the worlds in which that takes long, each third or fifth, in turn).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mtasts_deploy.deployment import Deployment
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.policy import PolicyId
from tests import crashes, s3_servers
from tests.crashes import ALPHA, BETA, NEW_AGE, OLD_AGE, SUB, World
from tests.killing import Act, apply, in_a_child, killed, rollback
from tests.watching import watched

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="no fork")]

WORLDS = {crashes.files: "files", crashes.record_by_record: "record by record", crashes.clouds: "PowerDNS and S3"}


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    s3_servers.environment(monkeypatch)
    opened: Callable[[Path], AbstractContextManager[World]] = request.param
    with opened(tmp_path) as made:
        made.begin()
        yield made


def until_done(made: Deployment) -> int:
    """Apply, and where an address moves again; 0 if there is nothing to do after that but to wait for the TTL of the old address."""
    for _ in range(3):
        if code := apply(made):
            return code
        plan = made.plan()
        if {one.verdict for one in plan.domains} <= {Verdict.UNCHANGED, Verdict.WAITING} and not plan.acting:
            return 0
    print(*plan.domains, sep="\n", file=sys.__stderr__)
    return 71


def sound(world: World) -> dict[str, bytes]:
    """Each id names the policy, wherever that is; nothing else has changed. The policies."""
    found = {}
    for name, id_, bodies in world.live():
        for body in bodies:
            if id_ is not None:
                assert body is not None, name
                assert PolicyId.parse(id_).names(body), name
            found[name] = body or b""
    world.untouched()
    return found


def declared(world: World) -> None:
    """The next apply brings what is declared; where an address moves, the one after it."""
    assert in_a_child(world.make, until_done) == 0
    bodies = sound(world)
    assert not list(world.directory.rglob("*.tmp")), "what a killed write has left goes with the next write"
    assert all(id_ for _, id_, _ in world.live())
    assert NEW_AGE in bodies[ALPHA]
    assert NEW_AGE in bodies[SUB]
    assert b"mx2" not in bodies[BETA]


def taken_back(world: World) -> None:
    """The old policies, under ids that stand for nothing else."""
    assert in_a_child(world.make, rollback) == 0
    bodies = sound(world)
    assert OLD_AGE in bodies[ALPHA]
    assert b"mx2" in bodies[BETA]


def once(world: World, points: Iterator[int], act: Act, end: Callable[[World], None], looks: list[int]) -> int:
    """Kill the change at these points, then do what ends it; how many kills."""
    kills = 0
    for number in points:
        world.again()
        with watched(world.places(), looks, gap=world.gap):
            if not killed(world.make, number, apply, count=type(world).count):
                return kills
            kills += 1
            if end is not taken_back or world.begun():
                end(world)
    raise AssertionError


def twice(world: World, points: Points, act: Act, end: Callable[[World], None], looks: list[int]) -> int:
    """Kill the change before and after writes, then `act` before and after writes, then what ends it; how many kills."""
    kills = 0
    for one in count(points.first, points.step):
        for two in count(1 + one % points.again, points.again):
            world.again()
            with watched(world.places(), looks, gap=world.gap):
                if not killed(world.make, one, apply, writes=True, count=type(world).count):
                    return kills
                kills += 1
                if end is taken_back and not world.begun():
                    break  # the last run that changed anything is the one before
                again = killed(world.make, two, act, writes=True, count=type(world).count)
                kills += again
                end(world)
            if not again:
                break
    raise AssertionError


def said(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest, times: int, looks: list[int]) -> None:
    with capsys.disabled():
        print(f"\n{request.node.name}: {times} times, {sum(looks)} looks of a sender")
    assert sum(looks) > times


ENDS = pytest.mark.parametrize(("act", "end"), [(apply, declared), (rollback, taken_back)], ids=["apply", "rollback"])


@dataclass(frozen=True)
class Points:
    """Each `step`-th point from `first` on; of the second kill each `again`-th."""

    first: int
    step: int
    again: int = 1


def worlds(some: Mapping[str, tuple[int, int]], every: Mapping[str, tuple[int, int]]) -> list[Any]:
    """The worlds with their points. `some`: the two steps of a quick run. `every`: with `--long` all points, in how many parts, and the
    step of the second kill.
    """
    found = []
    for opened, name in WORLDS.items():
        if name not in some:
            continue
        needs = [pytest.mark.services("pdns_server", "nginx")] if opened is crashes.clouds else []
        found.append(pytest.param(opened, Points(1, *some[name]), id=f"{name}, some", marks=needs))
        parts, again = every[name]
        for part in range(parts):
            points = Points(1 + part, parts, again)
            found.append(pytest.param(opened, points, id=f"{name}, part {part + 1} of {parts}", marks=[*needs, pytest.mark.long]))
    return found


FILES, RECORDS, CLOUDS = WORLDS.values()


@pytest.mark.parametrize(
    ("world", "points"),
    worlds({FILES: (31, 1), RECORDS: (61, 1), CLOUDS: (67, 1)}, {FILES: (1, 1), RECORDS: (4, 1), CLOUDS: (8, 1)}),
    indirect=["world"],
)
@ENDS
def test_killed_at_every_call(world: World, points: Points, act: Act, end, capsys, request):
    looks: list[int] = []
    kills = once(world, count(points.first, points.step), act, end, looks)
    assert kills >= 2
    said(capsys, request, kills, looks)


@pytest.mark.parametrize(
    ("world", "points"),
    worlds({FILES: (5, 6), RECORDS: (11, 12), CLOUDS: (15, 13)}, {FILES: (3, 1), RECORDS: (6, 3), CLOUDS: (9, 5)}),
    indirect=["world"],
)
@ENDS
def test_killed_and_killed_again_at_every_write(world: World, points: Points, act: Act, end, capsys, request):
    looks: list[int] = []
    kills = twice(world, points, act, end, looks)
    assert kills >= 3
    said(capsys, request, kills, looks)
