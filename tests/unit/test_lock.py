"""The lock is a lease with an owner: one run at a time, a dead one is taken over, a lost one stops, nobody removes another's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mtasts_deploy.apply import owner as owners
from mtasts_deploy.apply.leases import ALL, Leases
from mtasts_deploy.apply.lock import KEY, LENGTH, Lease, unlock
from mtasts_deploy.apply.owner import Owner, is_dead, this_process
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import LeaseLost, LockHeld, StateConflict, StateError, UsageError
from mtasts_deploy.state.directory import DirectoryState
from mtasts_deploy.state.interface import Stored

START = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)


class Clock:
    """A clock that moves when somebody sleeps; `then` is called at each sleep."""

    def __init__(self) -> None:
        self.time = START
        self.slept: list[float] = []
        self.then: Callable[[], None] = lambda: None

    def __call__(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.forward(seconds)
        self.then()

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> DirectoryState:
    return DirectoryState(tmp_path / "state", ".mtasts")


@pytest.fixture
def said() -> list[Diagnostic]:
    return []


@pytest.fixture
def acquire(store, clock, said):
    def acquire(timeout: float = 0) -> Lease:
        return Lease.acquire(
            store, command="deploy apply", now=clock, timeout=timedelta(seconds=timeout), sleep=clock.sleep, on_message=said.append
        )

    return acquire


@pytest.fixture(autouse=True)
def no_ci(monkeypatch):
    for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "CI_JOB_URL", "BUILD_URL"):
        monkeypatch.delenv(name, raising=False)


def holder(store: DirectoryState) -> Owner:
    stored = store.read(KEY)
    assert stored is not None
    (owner,) = Leases.parse(stored.data, "lock").owners
    return owner


def put(store: DirectoryState, *owners: Owner) -> None:
    stored = store.read(KEY)
    store.write(KEY, Leases(owners=owners).render(), stored.version if stored else None)


def other(clock: Clock, **fields: object) -> Owner:
    """A run on another machine that took the lock just now."""
    base = replace(
        this_process("deploy apply"),
        machine="other boot",
        user="alice",
        host="web1",
        pid=4242,
        created=clock(),
        expires=clock() + LENGTH,
        buckets=ALL,
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def test_taken_and_given_back(acquire, store, said):
    with acquire() as lease:
        assert holder(store) == lease.owner
        assert lease.owner.created == START
        assert lease.owner.expires == START + timedelta(seconds=120)
        lease.prove()
    assert store.read(KEY) is None
    lease.release()
    assert said == []


def test_given_back_when_the_run_fails(acquire, store):
    with pytest.raises(ZeroDivisionError), acquire():
        raise ZeroDivisionError
    assert store.read(KEY) is None


def test_held(acquire, store, clock, said):
    put(store, other(clock, run="https://ci.example/1"))
    before = store.read(KEY)
    clock.forward(30)
    with pytest.raises(LockHeld) as error:
        acquire()
    assert error.value.exit_code == 4
    (finding,) = error.value.diagnostics
    assert finding.code == "MTS710"
    assert finding.message == (
        "Another run holds the lock .mtasts/lock.json: alice@web1, process 4242, `deploy apply`, https://ci.example/1, "
        "since 2026-11-24 12:00:05 UTC, 30 s ago."
    )
    assert finding.hint is not None
    assert f"`deploy unlock {holder(store).lease}`" in finding.hint
    assert clock.slept == []
    assert store.read(KEY) == before


def test_waiting_ends_with_the_time(acquire, store, clock, said):
    put(store, other(clock))
    with pytest.raises(LockHeld):
        acquire(timeout=5)
    assert sum(clock.slept) == 5
    assert [(one.code, one.severity) for one in said] == [("MTS713", Severity.NOTE)]


def test_waiting_ends_when_it_is_given_back(acquire, store, clock, said):
    put(store, other(clock))

    def give_back() -> None:
        stored = store.read(KEY)
        if stored and len(clock.slept) == 3:
            store.remove(KEY, stored.version)

    clock.then = give_back
    assert holder(store).user == "alice"
    with acquire(timeout=60) as lease:
        assert holder(store) == lease.owner
    assert len(clock.slept) == 3


def test_a_lease_that_ran_out_is_taken_over(acquire, store, clock, said):
    put(store, other(clock))
    clock.forward(119)
    with pytest.raises(LockHeld):
        acquire()
    clock.forward(1)
    with acquire() as lease:
        assert holder(store) == lease.owner
    assert [(one.code, one.severity) for one in said] == [("MTS711", Severity.NOTE)]
    assert "alice@web1" in said[0].message


CHILD = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from mtasts_deploy.apply.leases import ALL, Leases
from mtasts_deploy.apply.lock import Lease
from mtasts_deploy.state.directory import DirectoryState
store = DirectoryState(Path(sys.argv[1]), "x")
clock = lambda: datetime.fromisoformat(sys.argv[2])
Lease.acquire(store, command="deploy apply", now=clock, timeout=timedelta(0), sleep=print, on_message=print)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_dead_process_on_this_machine_is_taken_over(acquire, tmp_path, said):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "state"), START.isoformat()], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LockHeld):
            acquire()
        child.send_signal(signal.SIGKILL)
        child.stdout.read()  # until it is dead; it stays a zombie until somebody waits for it
        while owners._life(child.pid) != "zombie":
            time.sleep(0.001)
        with acquire():
            pass
    assert [one.code for one in said] == ["MTS711"]
    assert f"process {child.pid} is dead" in said[0].message


def test_who_is_dead():
    mine = this_process("deploy apply")
    assert mine.machine is not None
    assert mine.started is not None
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not is_dead(mine, mine)
    assert is_dead(replace(mine, pid=gone.pid), mine)
    assert is_dead(replace(mine, started="1"), mine)  # the number went to another process
    # In doubt it lives:
    assert not is_dead(replace(mine, started=None), mine)
    assert not is_dead(replace(mine, pid=gone.pid, machine=None), replace(mine, machine=None))
    assert not is_dead(replace(mine, pid=gone.pid, machine="another boot"), mine)
    assert not is_dead(replace(mine, pid=0), mine)
    assert not is_dead(replace(mine, pid=-1), mine)
    assert is_dead(replace(mine, pid=1 << 70), mine)


def test_a_process_of_another_user_lives(monkeypatch):
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(owners, "_life", lambda pid: None)  # /proc with hidepid
    mine = this_process("deploy apply")
    assert not is_dead(mine, mine)


def test_without_boot_id_there_is_no_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(owners, "_said", lambda *command: "")
    assert owners._machine(str(tmp_path)) is None


def test_prove_renews_when_half_is_gone(acquire, store, clock):
    with acquire() as lease:
        clock.forward(60)
        lease.prove()
        assert holder(store).expires == START + timedelta(seconds=120)
        clock.forward(1)
        lease.prove()
        assert holder(store) == lease.owner
        assert lease.owner.expires == clock() + LENGTH
        assert lease.owner.created == START


def test_prove_reads_at_most_every_ten_seconds(acquire, store: DirectoryState, clock, monkeypatch):
    asked: list[str] = []
    read = store.read
    with acquire() as lease:

        def counted(key: str) -> Stored | None:
            asked.append(key)
            return read(key)

        monkeypatch.setattr(store, "read", counted)
        for _ in range(1000):
            clock.forward(0.02)
            lease.prove()
        assert len(asked) == 2


def test_a_lease_that_ran_out_but_that_nobody_took_is_renewed(acquire, store, clock):
    with acquire() as lease:
        clock.forward(3600)
        lease.prove()
        assert holder(store).expires == clock() + LENGTH


@pytest.mark.parametrize("seconds", [10, 61, 3600, -5])
@pytest.mark.parametrize("how", ["taken", "removed"])
def test_a_lost_lease_stops_and_stays_the_others(acquire, store, clock, seconds, how):
    lease = acquire()
    if how == "taken":
        put(store, other(clock))
    else:
        unlock(store, lease.owner.lease, now=clock)
    before = store.read(KEY)
    clock.forward(seconds)
    with pytest.raises(LeaseLost) as error:
        lease.prove()
    assert error.value.exit_code == 4
    assert error.value.diagnostics[0].code == "MTS714"
    assert ("alice@web1" if how == "taken" else "removed") in error.value.diagnostics[0].message
    lease.release()
    assert store.read(KEY) == before


def test_a_state_that_answers_too_slowly_loses_the_lease(acquire, store: DirectoryState, clock, monkeypatch):
    lease = acquire()
    write = store.write

    def slow(key: str, data: bytes, expected: str | None) -> str:
        clock.forward(61)
        return write(key, data, expected)

    monkeypatch.setattr(store, "write", slow)
    clock.forward(70)
    with pytest.raises(LeaseLost):
        lease.prove()


def test_nothing_is_proved_after_release(acquire):
    lease = acquire()
    lease.release()
    with pytest.raises(LeaseLost):
        lease.prove()


def test_a_store_that_meets_its_own_first_try(acquire, store: DirectoryState, clock, monkeypatch):
    """As S3 does when an answer is lost: the write is done, and its repetition is a conflict."""
    write = store.write
    twice = [True, False, True, False]

    def lossy(key: str, data: bytes, expected: str | None) -> str:
        version = write(key, data, expected)
        if twice.pop(0):
            raise StateConflict(Diagnostic(code="MTS721", message="changed"))
        return version

    monkeypatch.setattr(store, "write", lossy)
    with acquire() as lease:
        clock.forward(70)
        lease.prove()
        assert holder(store) == lease.owner
    assert twice == []
    assert store.read(KEY) is None


def test_a_lock_that_cannot_be_given_back_is_a_message(acquire, store, said, monkeypatch):
    def fail(key: str, expected: str) -> None:
        raise StateError(Diagnostic(code="MTS723", message="read-only"))

    monkeypatch.setattr(store, "remove", fail)
    with acquire() as lease:
        pass
    assert [(one.code, one.severity) for one in said] == [("MTS715", Severity.WARN)]
    assert said[0].hint is not None
    assert lease.owner.lease in said[0].hint


@pytest.mark.parametrize(
    "data", [b"", b"busy\n", b"[]", b"{}", b'{"format_version": 1}', b"\xff", b"[" * 100_000, b'{"format_version": "1"}']
)
def test_a_corrupt_lock_is_never_free(acquire, store, clock, data):
    store.write(KEY, data, None)
    for call in (acquire, lambda: unlock(store, "3f0c9a1b7e22", now=clock)):
        with pytest.raises(StateError) as error:
            call()
        (finding,) = error.value.diagnostics
        assert finding.code == "MTS712"
        assert ".mtasts/lock.json" in finding.message
        assert "remove .mtasts/lock.json by hand" in (finding.hint or "")
    stored = store.read(KEY)
    assert stored is not None
    assert stored.data == data


def test_a_lock_of_a_newer_version_is_never_free(acquire, store, clock):
    newer = json.loads(Leases(owners=(other(clock),)).render()) | {"format_version": 3}
    store.write(KEY, json.dumps(newer).encode(), None)
    clock.forward(3600)
    with pytest.raises(StateError) as error:
        acquire()
    assert error.value.diagnostics[0].code == "MTS716"


@pytest.mark.parametrize("field", ["lease", "user", "host", "machine", "pid", "started", "command", "run", "created", "expires", "buckets"])
def test_every_field_is_checked(clock, field):
    def parsed(**changed: object) -> Leases:
        document = json.loads(Leases(owners=(other(clock),)).render())
        document["leases"][0] |= changed
        return Leases.parse(json.dumps(document).encode(), "lock")

    assert parsed().owners[0].user == "alice"
    values: list[object] = [[1.5], 1.5, True, [64], [3, 3], "2026-11-24T12:00:00"]  # the last one has no time zone
    for value in values:
        if value != "2026-11-24T12:00:00" or field in ("pid", "created", "expires", "buckets"):
            with pytest.raises(StateError) as error:
                parsed(**{field: value})
            assert error.value.diagnostics[0].code == "MTS712"
    without = json.loads(Leases(owners=(other(clock),)).render())
    del without["leases"][0][field]
    with pytest.raises(StateError):
        Leases.parse(json.dumps(without).encode(), "lock")


def test_unlock_needs_the_exact_id(acquire, store, clock):
    with pytest.raises(UsageError) as error:
        unlock(store, "3f0c9a1b7e22", now=clock)
    assert error.value.diagnostics[0].code == "MTS718"
    put(store, other(clock))
    lease = holder(store).lease
    for wrong in ("", lease[:-1], lease.upper() + "x", "3f0c9a1b7e22"):
        with pytest.raises(UsageError) as error:
            unlock(store, wrong, now=clock)
        (finding,) = error.value.diagnostics
        assert finding.code == "MTS717"
        assert "alice@web1" in finding.message
        assert f"`deploy unlock {lease}`" in (finding.hint or "")
        assert holder(store).lease == lease
    assert unlock(store, lease, now=clock).severity is Severity.WARN  # for all we know it is alive
    assert store.read(KEY) is None
    put(store, other(clock))
    clock.forward(120)
    assert unlock(store, holder(store).lease, now=clock).severity is Severity.NOTE


@pytest.mark.parametrize(
    ("variables", "run"),
    [
        ({}, None),
        (
            {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "7"},
            "https://github.com/a/b/actions/runs/7",
        ),
        ({"GITHUB_REPOSITORY": "a/b", "CI_JOB_URL": "https://gitlab.example/a/-/jobs/1"}, "https://gitlab.example/a/-/jobs/1"),
        ({"BUILD_URL": "https://bot:s3cret@jenkins.example:8443/job/1/"}, "https://jenkins.example:8443/job/1/"),
        ({"BUILD_URL": "not a URL"}, None),
        ({"BUILD_URL": "https://[broken/"}, None),
    ],
)
def test_the_ci_run_is_named(monkeypatch, variables, run):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert this_process("deploy apply").run == run


def test_of_many_runs_exactly_one_gets_it(tmp_path, clock):
    def attempt(_: int) -> bool:
        try:
            Lease.acquire(
                DirectoryState(tmp_path / "state", "x"),
                command="deploy apply",
                now=clock,
                timeout=timedelta(0),
                sleep=clock.sleep,
                on_message=lambda _: None,
            )
        except LockHeld:
            return False
        return True

    put(DirectoryState(tmp_path / "state", "x"), other(clock, expires=clock()))  # all see a lease to take over
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(32))) == 1
