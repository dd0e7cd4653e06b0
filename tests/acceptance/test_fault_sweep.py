"""Every HTTP request of a mixed change in turn goes wrong, in each way that requests go wrong; the next apply brings what is declared.

At PowerDNS and S3, and at a provider that writes record by record (`crashes`), while a sender in a process of its own looks. What goes
wrong at adapters that make no requests is in `tests/property/test_faults.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, cycle

import pytest

from tests.acceptance.test_crash_sweep import CLOUDS, RECORDS, Points, declared, said, world, worlds
from tests.crashes import World
from tests.faulting import KINDS, faulty
from tests.watching import watched

__all__ = ["world"]

pytestmark = [pytest.mark.acceptance]


def sweep(world: World, points: Iterator[tuple[int, str]], looks: list[int]) -> int:
    """One fault at each of these points; how many."""
    for faults, (number, kind) in enumerate(points):
        world.again()
        with watched(world.places(), looks, gap=world.gap):
            if not faulty(world.make, kind, number):
                return faults
            declared(world)
    raise AssertionError


SWEPT = worlds({RECORDS: (4, 1), CLOUDS: (15, 1)}, {RECORDS: (1, 1), CLOUDS: (2, 1)})


@pytest.mark.parametrize(("world", "points"), [one for one in SWEPT if "some" in str(one.id)], indirect=["world"])
def test_some_requests_go_wrong_in_some_way(world: World, points: Points, capsys, request):
    looks: list[int] = []
    faults = sweep(world, zip(count(points.first, points.step), cycle(KINDS), strict=False), looks)
    assert faults >= 3
    said(capsys, request, faults, looks)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("world", "points"), [one for one in SWEPT if "some" not in str(one.id)], indirect=["world"])
def test_every_request_goes_wrong(world: World, points: Points, kind: str, capsys, request):
    looks: list[int] = []
    faults = sweep(world, ((number, kind) for number in count(points.first, points.step)), looks)
    assert faults >= 3
    said(capsys, request, faults, looks)
