"""Every HTTP request of a mixed change in turn goes wrong, in each way that requests go wrong; the next apply brings what is declared.

At PowerDNS and S3, and at a provider that writes record by record (`crashes`), while a sender in a process of its own looks. What goes
wrong at adapters that make no requests is in `tests/property/test_faults.py`.
"""

from __future__ import annotations

from itertools import count

import pytest

from tests.acceptance.test_crash_sweep import declared, said, world, worlds
from tests.crashes import World
from tests.faulting import KINDS, faulty
from tests.watching import watched

__all__ = ["world"]

pytestmark = [pytest.mark.acceptance]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("world", "step"), worlds((1, 1), (23, 1), (37, 3))[2:], indirect=["world"])
def test_every_request_goes_wrong(world: World, step: int, kind: str, capsys, request):
    looks: list[int] = []
    faults = 0
    for number in count(1 + KINDS.index(kind) % step, step):
        world.again()
        with watched(world.places(), looks, gap=world.gap):
            if not faulty(world.make, kind, number):
                break
            faults += 1
            declared(world)
    assert faults >= 1
    said(capsys, request, faults, looks)
