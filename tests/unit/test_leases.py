"""64 buckets of zones: runs with no zone in common go on side by side, runs with one in common do not, and none waits in a circle."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.leases import ALL, BUCKETS, Leases, bucket_of
from mtasts_deploy.apply.lock import KEY, LENGTH, Lease, unlock
from mtasts_deploy.apply.owner import Owner, this_process
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import LeaseLost, LockHeld, StateConflict
from mtasts_deploy.facts import ZoneName
from mtasts_deploy.ledger.codec import shard_of
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.state.directory import DirectoryState
from tests.deployments import Sandbox, zone
from tests.worlds import MemoryState

START = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Now:
    """A clock; `then` is called whenever somebody sleeps."""

    def __init__(self) -> None:
        self.time = START
        self.then: Callable[[], None] = lambda: None

    def __call__(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.then()


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def store() -> MemoryState:
    return MemoryState()


def take(store, now: Now, *buckets: int, timeout: float = 0, said: list[Diagnostic] | None = None, beat: float | None = None) -> Lease:
    said = [] if said is None else said
    wait = timedelta(seconds=timeout)
    return Lease.acquire(
        store, command="deploy apply", now=now, timeout=wait, sleep=now.sleep, on_message=said.append, buckets=buckets, beat=beat
    )


def held(store) -> dict[str, tuple[int, ...]]:
    stored = store.read(KEY)
    return {} if stored is None else {owner.lease: owner.buckets for owner in Leases.parse(stored.data, KEY).owners}


def test_a_zone_has_the_same_bucket_for_ever():
    assert [bucket_of(ZoneName(name)) for name in ("example.com.", "example.org.", "example.net.")] == [62, 12, 4]
    assert {bucket_of(ZoneName(f"zone{number}.example.")) for number in range(2000)} == set(range(BUCKETS))


def test_runs_on_different_buckets_go_on_side_by_side(store, now):
    one, two = take(store, now, 1, 5), take(store, now, 2, 6)
    assert held(store) == {one.owner.lease: (1, 5), two.owner.lease: (2, 6)}
    now.time += timedelta(seconds=70)
    one.prove()
    two.prove()
    one.release()
    two.prove()
    assert held(store) == {two.owner.lease: (2, 6)}
    two.release()
    assert store.read(KEY) is None


def test_one_bucket_in_common_is_enough(store, now):
    with take(store, now, 1, 5):
        before = store.read(KEY)
        with pytest.raises(LockHeld):
            take(store, now, 2, 5)
        assert store.read(KEY) == before
    take(store, now, 2, 5).release()


def test_buckets_are_taken_in_order_and_kept_while_waiting(store, now):
    """Who waits keeps those below the one that it waits for: a run on all zones is not starved by small ones."""
    small = take(store, now, 3)
    seen: list[dict[str, tuple[int, ...]]] = []

    def then() -> None:
        seen.append(held(store))
        with pytest.raises(LockHeld):
            take(store, now, 2)  # ours already
        take(store, now, 40).release()  # above the one that we wait for
        if len(seen) == 3:
            small.release()

    now.then = then
    large = take(store, now, *ALL, timeout=60)
    (waiting,) = (buckets for lease, buckets in seen[0].items() if lease != small.owner.lease)
    assert waiting == (0, 1, 2)
    assert held(store) == {large.owner.lease: ALL}


@pytest.mark.parametrize("error", [KeyboardInterrupt, LockHeld])
def test_who_gives_up_waiting_keeps_nothing(store, now, error):
    small = take(store, now, 3)

    def then() -> None:
        if error is KeyboardInterrupt:
            raise KeyboardInterrupt

    now.then = then
    with pytest.raises(error):
        take(store, now, *ALL, timeout=10)
    assert held(store) == {small.owner.lease: (3,)}


def test_a_waiting_run_stays_alive(store, now):
    take(store, now, 3)

    def then() -> None:
        stored = store.read(KEY)
        for owner in Leases.parse(stored.data, KEY).owners:
            if owner.buckets == (0, 1, 2):
                assert owner.expires - now() >= LENGTH / 2 - timedelta(seconds=2)

    now.then = then
    large = take(store, now, *ALL, timeout=300)  # the small one runs out after two minutes
    assert held(store) == {large.owner.lease: ALL}


def test_an_expired_lease_is_over_with_all_its_buckets(store, now):
    said: list[Diagnostic] = []
    frozen = take(store, now, 1, 5)
    now.time += timedelta(seconds=121)
    with take(store, now, 5, said=said):
        assert [one.code for one in said] == ["MTS711"]
        with pytest.raises(LeaseLost):
            frozen.prove()
        take(store, now, 1).release()
    frozen.release()
    assert store.read(KEY) is None


def test_unlock_removes_that_lease_and_no_other(store, now):
    one, two = take(store, now, 1), take(store, now, 2)
    unlock(store, one.owner.lease, now=now)
    two.prove()
    now.time += timedelta(seconds=10)
    two.prove()
    with pytest.raises(LeaseLost, match="removed"):
        one.prove()
    assert held(store) == {two.owner.lease: (2,)}


def test_a_lock_of_the_format_before_holds_every_zone_and_is_rewritten(store, now):
    fields = this_process("deploy apply").fields() | {"machine": "other", "created": START.isoformat()}
    fields["expires"] = (START + LENGTH).isoformat()
    del fields["buckets"]
    store.objects[KEY] = json.dumps({"format_version": 1, **fields}).encode()
    with pytest.raises(LockHeld):
        take(store, now, 7)
    now.time += LENGTH
    with take(store, now, 7) as lease:
        assert json.loads(store.objects[KEY])["format_version"] == 2
        assert held(store) == {lease.owner.lease: (7,)}


def test_a_lock_from_the_future_says_so(store, now):
    now.time += timedelta(hours=3)
    take(store, now, 1)
    now.time = START
    with pytest.raises(LockHeld) as error:
        take(store, now, 1)
    (finding,) = error.value.diagnostics
    assert "renewed 3 h in the future" in finding.message
    assert "clock" in (finding.hint or "")


def test_the_heart_beats_while_nothing_is_proved(tmp_path: Path):
    """A write that takes longer than a lease must not lose it."""
    store = DirectoryState(tmp_path / "state", ".mtasts")
    begun = datetime.now(UTC)
    ahead = timedelta()

    def clock() -> datetime:
        return datetime.now(UTC) + ahead

    made: list[Diagnostic] = []
    with Lease.acquire(
        store, command="x", now=clock, timeout=timedelta(), sleep=time.sleep, on_message=made.append, buckets=(1,), beat=0.01
    ) as lease:
        ahead = timedelta(minutes=10)
        until = time.monotonic() + 10
        while lease.owner.expires < begun + ahead and time.monotonic() < until:
            time.sleep(0.01)
        assert lease.owner.expires >= begun + ahead
        assert any(thread.name == "lease" for thread in threading.enumerate())
    assert not any(thread.name == "lease" for thread in threading.enumerate())
    assert store.read(KEY) is None


def test_what_the_heart_finds_out_stops_the_next_write(tmp_path: Path):
    store = DirectoryState(tmp_path / "state", ".mtasts")
    now = Now()
    lease = take(store, now, 1, beat=0.01)
    unlock(store, lease.owner.lease, now=now)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            lease.prove()
        except LeaseLost:
            break
        time.sleep(0.01)
    else:
        pytest.fail("still proved")
    lease.release()


def test_many_runs_on_many_buckets_never_overlap(tmp_path: Path):
    """Real threads, real files: whoever holds a bucket holds it alone, and every run gets its turn."""
    store = DirectoryState(tmp_path / "state", ".mtasts")
    inside: dict[int, int] = dict.fromkeys(range(8), 0)
    done: list[int] = []

    def clock() -> datetime:
        return datetime.now(UTC)

    def run(number: int) -> None:
        buckets = {number % 8, (number * 3 + 1) % 8, (number * 5 + 2) % 8}
        wait = timedelta(seconds=60)
        with Lease.acquire(
            store,
            command="x",
            now=clock,
            timeout=wait,
            sleep=lambda s: time.sleep(min(s, 0.01)),
            on_message=lambda _: None,
            buckets=buckets,
        ):
            for bucket in buckets:
                inside[bucket] += 1
                assert inside[bucket] == 1
            time.sleep(0.005)
            for bucket in buckets:
                inside[bucket] -= 1
        done.append(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(24)))
    assert sorted(done) == list(range(24))
    assert store.read(KEY) is None


# --- the ledger of runs side by side ------------------------------------------------------------------------------------------------------


def mates() -> tuple[Domain, Domain]:
    """Two domains in one shard of the ledger."""
    seen: dict[str, str] = {}
    for number in range(1000):
        name = f"d{number}.example"
        if (other := seen.setdefault(shard_of(name), name)) != name:
            return Domain.parse(other), Domain.parse(name)
    raise AssertionError


def test_runs_side_by_side_keep_what_the_other_wrote_into_the_same_shard(store):
    one, two = mates()
    first, second = Book(store), Book(store)
    assert first.get(one) is None
    assert second.get(two) is None
    for book, domain, host in ((first, one, "a"), (second, two, "b"), (first, one, "c")):
        book.set(domain, Entry(host=host))
        book.save(lambda: None)
    assert {domain: Book(store).entry(domain).host for domain in (one, two)} == {one: "c", two: "b"}


def test_an_entry_of_ours_that_somebody_else_has_changed_is_a_conflict(store):
    one, _ = mates()
    first, second = Book(store), Book(store)
    for book in (first, second):
        book.set(one, Entry(host="a" if book is first else "b"))
    first.save(lambda: None)
    with pytest.raises(StateConflict):
        second.save(lambda: None)
    assert Book(store).entry(one).host == "a"


def test_the_lock_is_proved_before_each_try(store):
    one, two = mates()
    first, second = Book(store), Book(store)
    first.set(one, Entry(host="a"))
    second.set(two, Entry(host="b"))
    first.save(lambda: None)
    proofs: list[int] = []
    second.save(lambda: proofs.append(1))
    assert len(proofs) == 3


# --- applies ------------------------------------------------------------------------------------------------------------------------------


def other_run(sandbox: Sandbox, *zones: str) -> Owner:
    owner = this_process("deploy apply")
    created = sandbox.clock()
    from dataclasses import replace

    buckets = tuple(sorted({bucket_of(ZoneName(name)) for name in zones}))
    owner = replace(owner, machine="elsewhere", created=created, expires=created + LENGTH, buckets=buckets)
    sandbox.state.objects[KEY] = Leases(owners=(owner,)).render()
    return owner


def test_an_apply_takes_the_zones_that_it_touches(tmp_path: Path):
    sandbox = Sandbox(tmp_path)
    sandbox.target.contents |= zone("example.org", "mx1.example.org")
    sandbox.declare("domains:\n  example.com:\n  example.org:\n")
    other_run(sandbox, "example.org.")
    from mtasts_deploy.plan.selection import Selection

    result = sandbox.deployment.apply(selection=Selection(domains=("example.com",)))
    assert result is not None
    assert result.exit_code == 0
    with pytest.raises(LockHeld):
        sandbox.apply()
    with pytest.raises(LockHeld):
        sandbox.rollback("example.org")
    assert sandbox.rollback("example.com").exit_code == 0


def test_a_plan_takes_no_lock(tmp_path: Path):
    sandbox = Sandbox(tmp_path)
    other_run(sandbox, "example.com.")
    before = dict(sandbox.state.objects)
    assert len(sandbox.plan().acting) == 1
    assert sandbox.state.objects == before
