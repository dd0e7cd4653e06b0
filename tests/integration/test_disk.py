"""Real disks: full, read-only, and a process killed in the middle. A private mount namespace, since root ignores permissions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.integration

PREAMBLE = """
import os, subprocess, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from mtasts_deploy.apply.lock import KEY, Lease
from mtasts_deploy.apply.runlog import RunLog
from mtasts_deploy.errors import HostError, StateError
from mtasts_deploy.hosting.directory import DirectoryHost
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.state.directory import DirectoryState

place = Path(sys.argv[1])
state = DirectoryState(place / "state", ".mtasts")
host = DirectoryHost("local", place / "policies", "policies")
domain = Domain.parse("example.com")

def mount(*options):
    subprocess.run(["mount", *options, str(place)], check=True)

def now():
    return datetime.now(UTC)

def lock():
    return Lease.acquire(state, command="deploy apply", now=now, timeout=timedelta(0), sleep=print, on_message=print)

def refused(call, *arguments):
    try:
        call(*arguments)
    except (StateError, HostError) as error:
        assert getattr(error, "written", False) is False
        assert error.__cause__ is not None
        return error.diagnostics[0].code, error.diagnostics[0].message
    raise SystemExit(f"{call} was not refused")

def files():
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())

def fill():
    with open(place / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass
"""


def in_private_mounts(place: Path, script: str) -> None:
    """Run a script in a mount namespace of its own, where it may mount at `place`; skipped where that is not permitted."""
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-m", "--map-root-user"]
    allowed = subprocess.run([*unshare, "mount", "-t", "tmpfs", "none", str(place)], capture_output=True, text=True, check=False)
    if allowed.returncode != 0:
        reason = f"`unshare -m` and mounting are not permitted here: {allowed.stderr.strip()}"
        if os.environ.get("MTASTS_REQUIRE_SERVICES") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    command = [*unshare, sys.executable, "-c", PREAMBLE + textwrap.dedent(script), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr + done.stdout
    assert list(place.iterdir()) == [], "the mount was not private"


@pytest.mark.services("unshare", "mount")
def test_a_full_disk_leaves_everything_as_it_was(tmp_path):
    in_private_mounts(
        tmp_path,
        """
        mount("-t", "tmpfs", "-o", "size=64k", "none")
        old = b"old policy"
        shard = state.write("ledger/00.json", b"old shard", None)
        policy = host.put(domain, old, None)
        state.append("runs/1.ndjson", b"whole\\n")
        lease = lock()
        before = files()
        fill()
        for size in (1, 4096, 5000, 40000):
            code, message = refused(state.write, "ledger/00.json", b"n" * size, shard)
            assert code == "MTS722", (code, message)
            assert message == "Cannot write .mtasts/ledger/00.json: No space left on device.", message
            code, message = refused(state.write, "ledger/01.json", b"n" * size, None)
            assert code == "MTS722", (code, message)
            code, message = refused(host.put, domain, b"n" * size, policy)
            assert code == "MTS742", (code, message)
            code, message = refused(host.put, Domain.parse("new.example"), b"n" * size, None)
            assert code == "MTS742", (code, message)
        code, message = refused(state.append, "runs/1.ndjson", b"n" * 8192)
        assert code == "MTS722", (code, message)
        log = RunLog(state, "1", now)
        assert log.write({"big": "n" * 8192}).code == "MTS731"
        assert state.read("ledger/00.json").data == b"old shard"
        assert state.read("runs/1.ndjson").data == b"whole\\n"
        assert host.read([domain])[domain].body == old
        assert host.read([Domain.parse("new.example")]) == {Domain.parse("new.example"): None}
        assert files() == sorted([*before, "filler", "state/" + log.key]), files()  # the run log's file is made, and empty
        assert state.read(log.key).data == b""
        assert [path.name for path in (place / "policies").iterdir()] == ["mta-sts.example.com"]
        lease.release()
        assert state.read(KEY) is None
        (place / "filler").unlink()
        state.write("ledger/00.json", b"n" * 5000, shard)
        host.put(domain, b"n" * 5000, policy)
        """,
    )


@pytest.mark.services("unshare", "mount")
def test_inodes_may_run_out_first(tmp_path):
    in_private_mounts(
        tmp_path,
        """
        mount("-t", "tmpfs", "-o", "size=1m,nr_inodes=8", "none")
        shard = state.write("a", b"old", None)   # root, state, lock, a: four
        policy = host.put(domain, b"old", None)  # policies, mta-sts.example.com, .well-known, the file: eight
        assert refused(state.write, "a", b"new", shard)[0] == "MTS722"
        assert refused(host.put, domain, b"new", policy)[0] == "MTS742"
        assert refused(host.put, Domain.parse("new.example"), b"new", None)[0] == "MTS742"
        assert state.read("a").data == host.read([domain])[domain].body == b"old"
        """,
    )


@pytest.mark.services("unshare", "mount")
def test_a_read_only_file_system_can_be_read(tmp_path):
    in_private_mounts(
        tmp_path,
        """
        mount("-t", "tmpfs", "none")
        shard = state.write("ledger/00.json", b"old shard", None)
        policy = host.put(domain, b"old policy", None)
        before = files()
        mount("-o", "remount,bind,ro")
        calls = [
            (state.write, "ledger/00.json", b"new", shard),
            (state.write, "ledger/01.json", b"new", None),
            (state.write, "new/00.json", b"", None),
            (state.remove, "ledger/00.json", shard), (state.append, "runs/1.ndjson", b""),
            (DirectoryState(place / "new", "new").write, "a", b"", None),
        ]
        for call in calls:
            code, message = refused(*call)
            assert code == "MTS723", (call, code, message)
            assert "Read-only file system" in message, message
        other = Domain.parse("new.example")
        calls = [(host.put, domain, b"new", policy), (host.put, other, b"new", None), (host.remove, domain, policy)]
        calls += [(DirectoryHost("new", place / "new", "new").put, domain, b"", None)]
        for call in calls:
            code, message = refused(*call)
            assert code == "MTS743", (call, code, message)
        try:
            lock()
        except StateError as error:
            assert error.diagnostics[0].code == "MTS723"
        else:
            raise SystemExit("locked")
        assert list(state.keys("")) == ["ledger/00.json"]
        assert state.read("ledger/00.json").data == b"old shard"
        assert host.read([domain])[domain].body == b"old policy"
        assert files() == before
        """,
    )


PUTS = """
import sys
from pathlib import Path
from mtasts_deploy.hosting.directory import DirectoryHost
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.state.directory import DirectoryState

host = DirectoryHost("local", Path(sys.argv[1]) / "policies", "policies")
state = DirectoryState(Path(sys.argv[1]) / "state", "state")
domain = Domain.parse("example.com")
bodies = [b"a" * 60000, b"b" * 50000]
there = host.read([domain])[domain]
stored = state.read("ledger/00.json")
version, shard = there and there.version, stored and stored.version
while True:
    for body in bodies:
        version = host.put(domain, body, version)
        shard = state.write("ledger/00.json", body, shard)
        print("put", flush=True)
"""


def test_killed_in_the_middle_of_puts_each_file_is_one_of_the_two(tmp_path):
    paths = ("policies/mta-sts.example.com/.well-known/mta-sts.txt", "state/ledger/00.json")
    for attempt in range(12):
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).with_name(".mtasts-0123456789abcdef.tmp").write_bytes(b"half")
        command = [sys.executable, "-c", PUTS, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"put\n"
            time.sleep(0.0007 * attempt)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        for path in paths:
            assert (tmp_path / path).read_bytes() in (b"a" * 60000, b"b" * 50000)
        left = list(tmp_path.rglob(".mtasts-*"))
        assert len(left) <= 1, "this run has removed what the last one left, and can leave one itself"
