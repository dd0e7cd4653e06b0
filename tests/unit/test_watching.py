"""The watching sender sees what no sender may see: each kind is shown to it once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.watching import in_zone_file, policy_file, watched

OLD, NEW = (f"version: STSv1\r\nmode: testing\r\nmx: mx.example.com\r\nmax_age: {age}\r\n".encode() for age in (86400, 172800))
LONG_ENOUGH = 0.2


def id_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:24]


class World:
    """One zone file and one policy; what is set stays for some looks."""

    def __init__(self, directory: Path) -> None:
        self.zone, self.policy = directory / "example.com.yaml", policy_file(directory, "example.com")
        self.policy.parent.mkdir(parents=True)
        self.serve(OLD)
        self.record(id_of(OLD))
        self.place = in_zone_file(directory, "example.com", "example.com.yaml", "_mta-sts")

    def serve(self, body: bytes | None) -> None:
        if body is None:
            self.policy.unlink()
            return
        temporary = self.policy.with_suffix(".tmp")
        temporary.write_bytes(body)
        temporary.rename(self.policy)

    def record(self, *ids: str) -> None:
        text = "".join(f"  - v=STSv1\\; id={id_}\\;\n" for id_ in ids)
        temporary = self.zone.with_suffix(".tmp")
        temporary.write_text("www: {type: A, value: 192.0.2.1}\n" + (f"_mta-sts:\n  type: TXT\n  values:\n{text}" if ids else ""))
        temporary.rename(self.zone)
        time.sleep(LONG_ENOUGH)


def nothing(world: World) -> None:
    world.record(id_of(OLD))


def as_it_should_be(world: World) -> None:
    world.serve(NEW)
    world.record(id_of(OLD))
    world.record(id_of(NEW))


def returned(world: World) -> None:
    as_it_should_be(world)
    world.serve(OLD)
    world.record(id_of(NEW))
    world.record(f"{id_of(OLD)}r1")


def record_first(world: World) -> None:
    world.record(id_of(NEW))
    world.serve(NEW)


def no_policy(world: World) -> None:
    world.serve(None)
    world.record(id_of(OLD))


def no_record(world: World) -> None:
    world.record()
    time.sleep(1.2)


def two_records(world: World) -> None:
    world.record(id_of(OLD), id_of(NEW))


def used_again(world: World) -> None:
    as_it_should_be(world)
    world.serve(OLD)
    world.record(id_of(NEW))
    world.record(id_of(OLD))


def left_spent(world: World) -> None:
    world.serve(NEW)
    world.record(id_of(OLD))


@pytest.mark.parametrize("story", [nothing, as_it_should_be, returned])
def test_what_may_be_seen_passes(tmp_path: Path, story: Callable[[World], None]):
    world, looks = World(tmp_path), list[int]()
    with watched({"example.com": world.place}, looks):
        time.sleep(LONG_ENOUGH)
        story(world)
    assert looks[0] > 5


@pytest.mark.parametrize("story", [record_first, no_policy, no_record, two_records, used_again, left_spent])
def test_what_may_not_be_seen_fails(tmp_path: Path, story: Callable[[World], None]):
    world = World(tmp_path)

    def looked() -> None:
        with watched({"example.com": world.place}, []):
            time.sleep(LONG_ENOUGH)
            story(world)

    with pytest.raises(AssertionError, match=r"example\.com: "):
        looked()
