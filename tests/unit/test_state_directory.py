"""State in a directory: nothing is lost between writers, nothing leads out of the root, nothing is half written."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mtasts_deploy import files
from mtasts_deploy.errors import StateConflict, StateError
from mtasts_deploy.state.directory import DirectoryState


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(root: Path) -> DirectoryState:
    return DirectoryState(root, ".mtasts")


def code_of(error: pytest.ExceptionInfo[StateError]) -> str:
    return error.value.diagnostics[0].code


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.rglob(".mtasts-*")]


def test_reading_makes_nothing(store, root):
    assert store.read("ledger/3f.json") is None
    assert store.keys("ledger/") == []
    assert not root.exists()


def test_what_is_written_is_read_and_listed(store, root):
    version = store.write("ledger/3f.json", b"one", None)
    assert version == hashlib.sha256(b"one").hexdigest()
    stored = store.read("ledger/3f.json")
    assert stored is not None
    assert (stored.data, stored.version) == (b"one", version)
    store.write("ledger/3f.json", b"two", version)
    store.write("lock.json", b"x", None)
    assert (root / "ledger" / "3f.json").read_bytes() == b"two"
    assert store.keys("") == ["ledger/3f.json", "lock.json"]
    assert store.keys("ledger/") == store.keys("led") == store.keys("ledger/3") == ["ledger/3f.json"]
    assert store.keys("runs/") == []
    assert store.location("ledger/3f.json") == ".mtasts/ledger/3f.json"


@pytest.mark.parametrize(("there", "expected"), [(None, "0" * 64), (b"theirs", None), (b"theirs", "0" * 64)])
def test_another_version_is_a_conflict_and_stays(store, there, expected):
    if there is not None:
        store.write("a", there, None)
    with pytest.raises(StateConflict) as error:
        store.write("a", b"mine", expected)
    assert code_of(error) == "MTS721"
    stored = store.read("a")
    assert (stored and stored.data) == there


def test_remove_is_conditional(store, root):
    with pytest.raises(StateConflict):
        store.remove("a/b", "0" * 64)
    assert not root.exists()
    version = store.write("a/b", b"x", None)
    with pytest.raises(StateConflict):
        store.remove("a/b", "0" * 64)
    store.remove("a/b", version)
    assert store.read("a/b") is None


def test_append_adds(store):
    store.append("runs/1.ndjson", b"a\n")
    store.append("runs/1.ndjson", b"b\n")
    stored = store.read("runs/1.ndjson")
    assert stored is not None
    assert stored.data == b"a\nb\n"


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", ".hidden", "a/.tmp"),
        *("a\0b", "A", "a b", "ä", "a\n", "a\\b", "c:", "lock.flock", "x" * 300),
    ],
)
def test_what_is_no_key_is_refused(store, root, key):
    for call in (
        lambda: store.read(key),
        lambda: store.write(key, b"", None),
        lambda: store.append(key, b""),
        lambda: store.remove(key, ""),
    ):
        with pytest.raises(StateError) as error:
            call()
        assert code_of(error) == "MTS720"
    assert not root.exists()


def test_prefixes_cannot_lead_out(store):
    with pytest.raises(StateError):
        store.keys("../")


@pytest.mark.parametrize("inside", [True, False])
def test_links_below_the_root_are_refused(store, root, tmp_path, inside):
    store.write("real/a", b"kept", None)
    elsewhere = root / "real" if inside else tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "a").write_bytes(b"kept")
    (root / "ledger").symlink_to(elsewhere)
    (root / "file").symlink_to(elsewhere / "a")
    calls = [
        lambda: store.read("ledger/a"),
        lambda: store.write("ledger/a", b"lost", hashlib.sha256(b"kept").hexdigest()),
        lambda: store.write("ledger/new", b"lost", None),
        lambda: store.remove("ledger/a", hashlib.sha256(b"kept").hexdigest()),
        lambda: store.append("ledger/a", b"lost"),
        lambda: store.keys("ledger/"),
        lambda: store.keys(""),
        lambda: store.read("file"),
        lambda: store.write("file", b"lost", hashlib.sha256(b"kept").hexdigest()),
        lambda: store.append("file", b"lost"),
    ]
    for call in calls:
        with pytest.raises(StateError) as error:
            call()
        assert code_of(error) == "MTS725"
    assert [path.name for path in elsewhere.iterdir()] == ["a"]
    assert (elsewhere / "a").read_bytes() == b"kept"


def test_the_root_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    DirectoryState(tmp_path / "link", "link").write("a/b", b"x", None)
    assert (tmp_path / "real" / "a" / "b").read_bytes() == b"x"


def test_what_holds_the_root_is_not_made(tmp_path):
    with pytest.raises(StateError) as error:
        DirectoryState(tmp_path / "not mounted" / "state", "state").write("a", b"", None)
    assert code_of(error) == "MTS727"
    assert list(tmp_path.iterdir()) == []


def test_something_else_in_the_way(store, root, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError) as error:
        DirectoryState(tmp_path / "file", "file").read("a/b")
    assert code_of(error) == "MTS724"
    (root / "a").mkdir(parents=True)
    with pytest.raises(StateError) as error:
        store.read("a")
    assert code_of(error) == "MTS724"
    os.mkfifo(root / "fifo")
    with pytest.raises(StateError) as error:  # and does not hang
        store.read("fifo")
    assert code_of(error) == "MTS724"
    assert store.keys("") == []


def test_the_leftover_of_a_killed_run_is_ignored_then_removed(store, root):
    store.write("ledger/00.json", b"x", None)
    left = root / "ledger" / ".mtasts-0123456789abcdef.tmp"
    left.write_bytes(b"half")
    other = root / "ledger" / ".mtasts-notes"
    other.write_bytes(b"somebody's")
    fresh = DirectoryState(root, ".mtasts")
    assert fresh.keys("ledger/") == ["ledger/00.json"]
    assert left.exists()
    fresh.write("ledger/01.json", b"y", None)
    assert not left.exists()
    assert other.exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "MTS722"), (errno.EDQUOT, "MTS722"), (errno.EROFS, "MTS723"), (errno.EACCES, "MTS723"), (errno.EIO, "MTS728")],
)
def test_an_error_at_any_call_leaves_the_old_object_and_nothing_else(store, root, monkeypatch, number, code):
    version = store.write("ledger/00.json", b"old", None)

    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    for call in ("write", "fsync", "fchmod", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(StateError) as error:
                store.write("ledger/00.json", b"new", version)
        unknown = call == "replace" and code == "MTS728"  # a network file system may have done it
        assert code_of(error) == ("MTS730" if unknown else code)
        said = error.value.diagnostics[0]
        assert ".mtasts/ledger/00.json" in said.message
        assert os.strerror(number) in said.message
        assert said.hint
        assert (root / "ledger" / "00.json").read_bytes() == b"old"
        assert leftovers(root) == []


def test_a_directory_that_cannot_be_flushed_is_not_called_written(store, root, monkeypatch):
    version = store.write("a", b"old", None)
    flush = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: flush(fd) if stat.S_ISREG(os.fstat(fd).st_mode) else _fail(errno.EIO))
    with pytest.raises(StateError) as error:
        store.write("a", b"new", version)
    assert code_of(error) == "MTS730"
    assert (root / "a").read_bytes() == b"new"


def _fail(number: int) -> int:
    raise OSError(number, os.strerror(number))


def test_short_writes_are_continued(store, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    store.write("a", b"0123456789", None)
    stored = store.read("a")
    assert stored is not None
    assert stored.data == b"0123456789"


def test_a_failed_append_leaves_no_half_line(store, monkeypatch):
    store.append("runs/1", b"whole\n")
    write = os.write

    def half(fd: int, data: memoryview) -> int:
        return write(fd, data[:3]) if len(data) > 3 else _fail(errno.ENOSPC)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(StateError):
            store.append("runs/1", b"line\n")
    stored = store.read("runs/1")
    assert stored is not None
    assert stored.data == b"whole\n"


def test_a_hanging_writer_is_named_in_the_end(store, root, monkeypatch):
    store.write("a", b"", None)
    monkeypatch.setattr("mtasts_deploy.state.directory._PATIENCE", 0.05)
    fd = os.open(root / "lock.flock", os.O_RDWR)
    try:
        with files.exclusively(fd, seconds=0), pytest.raises(StateError) as error:
            store.write("b", b"", None)
    finally:
        os.close(fd)
    assert code_of(error) == "MTS726"


def test_a_lock_file_deleted_while_we_wait_protects_nothing(store, root):
    store.write("a", b"", None)
    fd = os.open(root / "lock.flock", os.O_RDWR)
    with ThreadPoolExecutor() as pool:
        with files.exclusively(fd, seconds=0):
            writing = pool.submit(store.write, "b", b"", None)
            (root / "lock.flock").unlink()
        writing.result(timeout=10)
    os.close(fd)
    assert (root / "lock.flock").exists()


def count(root: Path, times: int) -> None:
    """Add one to the number in `counter`, `times` times, as a run does: read, compare and swap, again on a conflict."""
    store = DirectoryState(root, "state")
    done = 0
    while done < times:
        stored = store.read("ledger/counter")
        number = int(stored.data) if stored else 0
        try:
            store.write("ledger/counter", b"%d" % (number + 1), stored.version if stored else None)
        except StateConflict:
            continue
        done += 1


def test_threads_lose_nothing(root):
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(count, root, 20) for _ in range(8)]:
            future.result()
    assert (root / "ledger" / "counter").read_bytes() == b"160"


def test_processes_lose_nothing(root):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=count, args=(root, 25)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert (root / "ledger" / "counter").read_bytes() == b"100"
    assert leftovers(root) == []
