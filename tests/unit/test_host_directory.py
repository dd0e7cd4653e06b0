"""Policy files in a directory: conditional, whole, readable for a web server, and never outside of the root."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from mtasts_deploy.errors import HostError
from mtasts_deploy.facts import HostedPolicy, Unknown
from mtasts_deploy.hosting.directory import DirectoryHost
from mtasts_deploy.rfc.names import Domain

DOMAIN = Domain.parse("example.com")
OLD = b"version: STSv1\r\nmode: testing\r\nmx: mail.example.com\r\nmax_age: 86400\r\n"
NEW = OLD.replace(b"testing", b"enforce")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "policies"


@pytest.fixture
def host(root: Path) -> DirectoryHost:
    return DirectoryHost("local", root, "policies")


@pytest.fixture
def path(root: Path) -> Path:
    return root / "mta-sts.example.com" / ".well-known" / "mta-sts.txt"


def version(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def code_of(seen: object) -> str:
    assert isinstance(seen, Unknown)
    assert seen.reason.domain == "example.com"
    assert "policies/mta-sts.example.com/.well-known/mta-sts.txt" in seen.reason.message
    return seen.reason.code


def refused(error: pytest.ExceptionInfo[HostError]) -> str:
    assert error.value.written is False
    return error.value.diagnostics[0].code


def test_reading_makes_nothing(host, root):
    assert host.read([DOMAIN]) == {DOMAIN: None}
    assert not root.exists()


def test_put_read_remove(host, root, path):
    assert host.put(DOMAIN, OLD, None) == version(OLD)
    assert path.read_bytes() == OLD
    assert host.read([DOMAIN]) == {DOMAIN: HostedPolicy(body=OLD, version=version(OLD))}
    assert host.put(DOMAIN, NEW, version(OLD)) == version(NEW)
    host.remove(DOMAIN, version(NEW))
    assert list(root.iterdir()) == []


def test_names_are_a_labels(host, root):
    domain = Domain.parse("bücher.example")
    host.put(domain, OLD, None)
    assert (root / "mta-sts.xn--bcher-kva.example" / ".well-known" / "mta-sts.txt").exists()
    assert host.location(domain) == "policies/mta-sts.xn--bcher-kva.example/.well-known/mta-sts.txt"


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(host, path, mask):
    before = os.umask(mask)
    try:
        host.put(DOMAIN, OLD, None)
        path.chmod(0o600)
        host.put(DOMAIN, NEW, version(OLD))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o644
    assert [folder.stat().st_mode & 0o7777 for folder in list(path.parents)[:3]] == [0o755] * 3


@pytest.mark.parametrize(("there", "expected"), [(None, "0" * 64), (OLD, None), (OLD, "0" * 64)])
def test_another_file_than_expected_is_a_conflict_and_stays(host, root, path, there, expected):
    if there is not None:
        host.put(DOMAIN, there, None)
    with pytest.raises(HostError) as error:
        host.put(DOMAIN, NEW, expected)
    assert refused(error) == "MTS741"
    assert (path.read_bytes() if path.exists() else None) == there
    if there is None:
        assert list(root.iterdir()) == []
    with pytest.raises(HostError) as error:
        host.remove(DOMAIN, "0" * 64)
    assert refused(error) == "MTS741"
    assert path.exists() == (there is not None)


def test_removing_what_is_not_there_makes_nothing(host, root):
    with pytest.raises(HostError) as error:
        host.remove(DOMAIN, version(OLD))
    assert refused(error) == "MTS741"
    assert not root.exists()


def test_remove_keeps_what_others_have_put_beside_it(host, path):
    host.put(DOMAIN, OLD, None)
    (path.parent / "security.txt").write_bytes(b"")
    host.remove(DOMAIN, version(OLD))
    assert [entry.name for entry in path.parent.iterdir()] == ["security.txt"]


@pytest.mark.parametrize("size", [65536, 65537, 1 << 20])
def test_what_is_longer_than_64_kib_is_unknown(host, path, size):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * size)
    seen = host.read([DOMAIN])[DOMAIN]
    if size <= 65536:
        assert isinstance(seen, HostedPolicy)
        assert seen.body == b"x" * size
        return
    assert code_of(seen) == "MTS748"
    for expected in (None, version(b"x" * 65536), version(OLD)):
        with pytest.raises(HostError) as error:
            host.put(DOMAIN, OLD, expected)
        assert refused(error) == "MTS741"


@pytest.mark.parametrize("link", ["mta-sts.example.com", "mta-sts.example.com/.well-known", "mta-sts.example.com/.well-known/mta-sts.txt"])
@pytest.mark.parametrize("dangling", [True, False])
def test_links_are_refused_and_what_they_point_to_stays(host, root, tmp_path, link, dangling):
    elsewhere = tmp_path / "elsewhere"
    if not dangling:
        inner = elsewhere / "mta-sts.example.com" / ".well-known"
        inner.mkdir(parents=True)
        (inner / "mta-sts.txt").write_bytes(OLD)
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(elsewhere / link)
    assert code_of(host.read([DOMAIN])[DOMAIN]) == "MTS745"
    for expected in (None, version(OLD)):
        with pytest.raises(HostError) as error:
            host.put(DOMAIN, NEW, expected)
        assert refused(error) == "MTS745"
    with pytest.raises(HostError) as error:
        host.remove(DOMAIN, version(OLD))
    assert refused(error) == "MTS745"
    assert (root / link).is_symlink()
    assert elsewhere.exists() != dangling
    if not dangling:
        assert [path.read_bytes() for path in elsewhere.rglob("*.txt")] == [OLD]


def test_the_root_may_be_a_link(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "www")
    host = DirectoryHost("web", tmp_path / "link", "link")
    host.put(DOMAIN, OLD, None)
    assert isinstance(host.read([DOMAIN])[DOMAIN], HostedPolicy)


def test_what_holds_the_root_is_not_made(tmp_path):
    with pytest.raises(HostError) as error:
        DirectoryHost("web", tmp_path / "not mounted" / "www", "www").put(DOMAIN, OLD, None)
    assert refused(error) == "MTS747"
    assert list(tmp_path.iterdir()) == []


def test_something_else_in_the_way(host, root, path):
    path.mkdir(parents=True)
    assert code_of(host.read([DOMAIN])[DOMAIN]) == "MTS744"
    with pytest.raises(HostError) as error:
        host.put(DOMAIN, OLD, None)
    assert refused(error) == "MTS744"
    path.rmdir()
    os.mkfifo(path)
    assert code_of(host.read([DOMAIN])[DOMAIN]) == "MTS744"  # and does not hang
    path.unlink()
    path.parent.rmdir()
    path.parent.write_bytes(b"")
    assert code_of(host.read([DOMAIN])[DOMAIN]) == "MTS744"
    with pytest.raises(HostError) as error:
        host.put(DOMAIN, OLD, None)
    assert refused(error) == "MTS744"


@dataclass(frozen=True)
class Trick:
    policy_host: str


@pytest.mark.parametrize("name", ["mta-sts.../../x", "/etc", "a/b", "a\0b"])
def test_names_that_are_paths_are_refused_whoever_made_them(host, root, name):
    domain = cast(Domain, Trick(name))
    seen = host.read([domain])[domain]
    assert isinstance(seen, Unknown)
    assert seen.reason.code == "MTS750"
    with pytest.raises(HostError) as error:
        host.put(domain, OLD, None)
    assert refused(error) == "MTS750"
    assert not root.exists()


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "MTS742"), (errno.EROFS, "MTS743"), (errno.EIO, "MTS740")])
def test_an_error_at_any_call_leaves_the_old_file_and_nothing_else(host, root, path, monkeypatch, number, code):
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    for old in (None, OLD):
        if old is not None:
            host.put(DOMAIN, old, None)
        for call in ("write", "fsync", "fchmod", "replace"):
            with monkeypatch.context() as patch:
                patch.setattr(os, call, fail)
                with pytest.raises(HostError) as error:
                    host.put(DOMAIN, NEW, None if old is None else version(old))
            unknown = call == "replace" and number == errno.EIO  # a network file system may have done it
            assert error.value.written is unknown
            assert error.value.diagnostics[0].code == ("MTS751" if unknown else code)
            assert (path.read_bytes() if path.exists() else None) == old
            assert list(root.rglob(".mtasts-*")) == []
            assert old is not None or list(root.iterdir()) == []


def test_the_leftover_of_a_killed_run_is_removed_at_the_next_put(host, path):
    host.put(DOMAIN, OLD, None)
    left = path.parent / ".mtasts-0123456789abcdef.tmp"
    left.write_bytes(b"half")
    host.put(DOMAIN, NEW, version(OLD))
    assert not left.exists()


def test_of_many_puts_on_one_file_exactly_one_wins(host, path):
    bodies = [OLD + b"x: %d\r\n" % number for number in range(32)]

    def put(body: bytes) -> bool:
        try:
            host.put(DOMAIN, body, None)
        except HostError as error:
            return error.written
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [body for body, done in zip(bodies, pool.map(put, bodies), strict=True) if done]
    assert won == [path.read_bytes()]
