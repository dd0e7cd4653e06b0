"""`kill -9` of a mixed change at every external call, then of the next apply at every call, then of a rollback at every call.

Three domains in two zones at two providers: one is created, one changes, one loses its TLSRPT record and has its MX hosts narrowed. A
sender in a process of its own looks all through. Sampled; many more points with `--long`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mtasts_deploy.deployment import Deployment
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.policy import PolicyId
from tests.acceptance.test_kill import apply, deployment, killed, rollback

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="no fork")]

SENDER = Path(__file__).parent / "sender.py"
PLACES = {
    "alpha.example": ("one/alpha.example.yaml", "_mta-sts"),
    "sub.alpha.example": ("one/alpha.example.yaml", "_mta-sts.sub"),
    "beta.example": ("two/beta.example.yaml", "_mta-sts"),
}
ALPHA = """\
# somebody's zone
'':
  type: MX   # the hosts
  values:
  - {exchange: mx1.alpha.example., preference: 10}
sub: {type: MX, values: [{exchange: mx1.alpha.example., preference: 10}]}
www: {type: A, value: 192.0.2.1}   # not ours
"""
BETA = """\
'':
  type: MX
  values:
  - {exchange: mx1.beta.example., preference: 10}
www: {type: A, value: 192.0.2.2}   # not ours
"""
HEAD = """\
version: 1
providers:
  one: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: one}
  two: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: two}
domains:
"""
BEFORE = """\
  alpha.example: {dns: one, max_age: 1d, tlsrpt: 'mailto:a@example.org'}
  beta.example: {dns: two, max_age: 1d, mx: [mx1.beta.example, mx2.beta.example], tlsrpt: 'mailto:a@example.org'}
"""
AFTER = """\
  alpha.example: {dns: one, max_age: 2d, tlsrpt: 'mailto:a@example.org'}
  sub.alpha.example: {dns: one, max_age: 2d, tlsrpt: 'mailto:a@example.org'}
  beta.example: {dns: two, max_age: 1d, mx: [mx1.beta.example], tlsrpt: false}
"""


def start(directory: Path) -> None:
    for name, text in (("one/alpha.example.yaml", ALPHA), ("two/beta.example.yaml", BETA)):
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_text(text)
    (directory / "policies").mkdir()
    (directory / "mta-sts.yaml").write_text(HEAD + BEFORE)
    assert apply(deployment(directory)) == 0
    (directory / "mta-sts.yaml").write_text(HEAD + AFTER)


@contextmanager
def watched(directory: Path, looks: list[int]) -> Iterator[None]:
    """A sender looks all the while; whatever it must not see fails the test."""
    arguments = [f"{name}={zone}:{key}" for name, (zone, key) in PLACES.items()]
    sender = subprocess.Popen(
        [sys.executable, str(SENDER), str(directory), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with sender:
        assert sender.stdout is not None
        assert sender.stdin is not None
        assert sender.stdout.readline() == "watching\n"
        try:
            yield
        finally:
            sender.stdin.close()
            said = json.loads(sender.stdout.readline())
    looks.append(said["looks"])
    assert said["wrong"] == []


def live(directory: Path) -> Iterator[tuple[str, str | None, bytes | None]]:
    for name, (zone, key) in PLACES.items():
        found = re.search(rf"(?ms)^'?{re.escape(key)}'?:\n(.*?)(?=^\S|\Z)", (directory / zone).read_text())
        ids = [] if found is None else re.findall(r"v=STSv1\\; id=([0-9a-z]+)", found[1])
        policy = directory / f"policies/mta-sts.{name}/.well-known/mta-sts.txt"
        yield name, ids[0] if ids else None, policy.read_bytes() if policy.exists() else None


def sound(directory: Path) -> None:
    for name, id_, body in live(directory):
        if id_ is not None:
            assert body is not None, name
            assert PolicyId.parse(id_).names(body), name
    for zone, text in (("one/alpha.example.yaml", ALPHA), ("two/beta.example.yaml", BETA)):
        ours = re.compile(r"(?m)^'?(_mta-sts|_smtp\._tls|_mta-sts\.sub|_smtp\._tls\.sub)'?:\n(  .*\n)+")
        assert ours.sub("", (directory / zone).read_text()) == text


def declared(directory: Path) -> None:
    assert apply(deployment(directory)) == 0
    assert {plan.verdict for plan in deployment(directory).plan().domains} == {Verdict.UNCHANGED}
    sound(directory)
    assert not list(directory.rglob("*.tmp"))
    bodies = {name: body or b"" for name, _, body in live(directory)}
    assert b"172800" in bodies["alpha.example"]
    assert b"172800" in bodies["sub.alpha.example"]
    assert b"mx2" not in bodies["beta.example"]


def begun(directory: Path) -> bool:
    """Has the second run noted anything that it changes?"""
    return any(b"172800" in path.read_bytes() for path in (directory / ".mtasts/ledger").iterdir())


def taken_back(directory: Path) -> None:
    assert rollback(deployment(directory)) == 0
    sound(directory)
    bodies = {name: body or b"" for name, _, body in live(directory)}
    assert b"86400" in bodies["alpha.example"]
    assert b"mx2" in bodies["beta.example"]


def sweep(tmp_path: Path, first: int, second: int, act: Callable[[Deployment], int], end: Callable[[Path], None]) -> tuple[int, int]:
    """Kill an apply at each `first`-th call, then `act` at each `second`-th; then `end`. How many kills, how many looks of the sender."""
    kills, looks = 0, list[int]()
    for one in range(1, 10_000, first):
        for two in range(1, 10_000, second):
            directory = tmp_path / f"{one}-{two}"
            start(directory)
            with watched(directory, looks):
                if not killed(directory, one, apply):
                    return kills, sum(looks)
                if end is taken_back and not begun(directory):
                    break  # the last run that changed anything is the one before
                again = killed(directory, two, act)
                kills += 1 + again
                end(directory)
            if not again:
                break
    raise AssertionError


@pytest.mark.parametrize(("first", "second"), [pytest.param(17, 23, id="sampled"), pytest.param(3, 4, id="full", marks=pytest.mark.long)])
@pytest.mark.parametrize(("act", "end"), [(apply, declared), (rollback, taken_back)], ids=["apply", "rollback"])
def test_killed_and_killed_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], first: int, second: int, act, end):
    kills, looks = sweep(tmp_path, first, second, act, end)
    with capsys.disabled():
        print(f"\nkill -9, then in the next {act.__name__}: {kills} kills, {looks} looks of a sender")
    assert kills >= 20
    assert looks > kills
