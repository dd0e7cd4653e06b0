"""`kill -9` at every external operation of real runs on real files: what is left is valid, and the next apply finishes it.

A child process, forked from this one, runs on adapters that kill it before or after their n-th call (`killing`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.policy import PolicyId
from tests.killing import apply, killed, rollback
from tests.watching import in_zone_file, watched

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="no fork")]

DOMAINS = ("one.example", "two.example", "three.example")
ZONE = """\
# {domain}: somebody's zone
'':
  type: MX   # the hosts
  values:
  - {{exchange: mx1.{domain}., preference: 10}}
  - {{exchange: mx2.{domain}., preference: 20}}
www: {{type: A, value: 192.0.2.1}}   # not ours
"""
FIRST = "{max_age: 1d, tlsrpt: 'mailto:a@example.org'}"
SECOND = "{max_age: 2d, tlsrpt: 'mailto:b@example.org'}"
THIRD = "{max_age: 3d, tlsrpt: false}"


def make(directory: Path) -> None:
    (directory / "zones").mkdir(parents=True)
    (directory / "policies").mkdir()
    for domain in DOMAINS:
        (directory / "zones" / f"{domain}.yaml").write_text(ZONE.format(domain=domain))


def declare(directory: Path, settings: str) -> None:
    (directory / "mta-sts.yaml").write_text("version: 1\ndomains:\n" + "".join(f"  {domain}: {settings}\n" for domain in DOMAINS))


def deployment(directory: Path) -> Deployment:
    return Deployment.of(load(directory / "mta-sts.yaml", today=datetime.now(UTC).date()))


def pairs(directory: Path) -> Iterator[tuple[str, str | None, bytes | None]]:
    """Each domain with the id in its zone file and the bytes that are served."""
    for domain in DOMAINS:
        text = (directory / "zones" / f"{domain}.yaml").read_text()
        ids = re.findall(r"v=STSv1\\; id=([0-9a-z]+)\\;", text)
        assert len(ids) <= 1, text
        policy = directory / "policies" / f"mta-sts.{domain}" / ".well-known" / "mta-sts.txt"
        yield domain, ids[0] if ids else None, policy.read_bytes() if policy.exists() else None


def valid(directory: Path, before: dict[str, bytes | None], ages: tuple[str, ...]) -> None:
    """Promise 2 and 3: every id names what is served, or what was served before it; the rest of each zone is untouched."""
    for domain, id_, body in pairs(directory):
        if id_ is not None:
            assert body is not None, f"{domain}: an id without a policy"
            named = [one for one in (body, before[domain]) if one is not None and PolicyId.parse(id_).names(one)]
            assert named, f"{domain}: {id_} names neither the served bytes nor the ones before"
        if body is not None:
            assert body.endswith(b"\r\n")
            assert any(age.encode() in body for age in ages)
        text = (directory / "zones" / f"{domain}.yaml").read_text()
        ours = re.compile(r"(?m)^(_mta-sts|_smtp\._tls):\n(  .*\n)+")
        assert ours.sub("", text) == ZONE.format(domain=domain)


def finish(directory: Path) -> None:
    """The next apply takes the dead holder's lock over and does the rest; then there is nothing to do."""
    made = deployment(directory)
    assert apply(made) == 0
    assert {plan.verdict for plan in made.plan().domains} == {Verdict.UNCHANGED}
    for domain, id_, body in pairs(directory):
        assert id_ is not None
        assert body is not None
        assert PolicyId.parse(id_).names(body), domain
    assert not list(directory.rglob("*.tmp"))


def sweep(
    tmp_path: Path,
    start: Callable[[Path], None],
    act: Callable[[Deployment], int],
    check: Callable[[Path], None],
    looks: list[int],
    step: int,
) -> int:
    """Kill at every `step`-th point, while a sender looks; how many kills."""
    for kills, number in enumerate(range(1, 10_000, step)):
        directory = tmp_path / str(number)
        make(directory)
        start(directory)
        before = {domain: body for domain, _, body in pairs(directory)}
        places = {one: in_zone_file(directory, one, f"zones/{one}.yaml", "_mta-sts") for one in DOMAINS}
        with watched(places, looks):
            if not killed(partial(deployment, directory), number, act):
                return kills
            valid(directory, before, ("86400", "172800", "259200"))
            check(directory)
    raise AssertionError


def first(directory: Path) -> None:
    declare(directory, FIRST)


def change(directory: Path) -> None:
    declare(directory, FIRST)
    assert apply(deployment(directory)) == 0
    declare(directory, SECOND)


def changed(directory: Path) -> None:
    change(directory)
    assert apply(deployment(directory)) == 0


def back(directory: Path) -> None:
    """After a killed rollback: another one ends with the old bytes under an id that was never used before."""
    assert rollback(deployment(directory)) == 0
    for _, id_, body in pairs(directory):
        assert body is not None
        assert b"86400" in body
        assert id_ is not None
        parsed = PolicyId.parse(id_)
        assert parsed.names(body)
        assert parsed.returned >= 1


STEPS = pytest.mark.parametrize("step", [pytest.param(4, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)])


@STEPS
def test_a_first_publication_killed_at_every_point(tmp_path: Path, step: int, capsys: pytest.CaptureFixture[str]):
    looks: list[int] = []
    kills = sweep(tmp_path, first, apply, finish, looks, step)
    with capsys.disabled():
        print(f"\nkill -9 in a first publication: {kills} points, {sum(looks)} looks of a sender")
    assert kills >= 70 / step


@STEPS
def test_a_change_killed_at_every_point(tmp_path: Path, step: int, capsys: pytest.CaptureFixture[str]):
    looks: list[int] = []
    kills = sweep(tmp_path, change, apply, finish, looks, step)
    with capsys.disabled():
        print(f"\nkill -9 in a change: {kills} points, {sum(looks)} looks of a sender")
    assert kills >= 70 / step


@STEPS
def test_a_rollback_killed_at_every_point(tmp_path: Path, step: int, capsys: pytest.CaptureFixture[str]):
    looks: list[int] = []
    kills = sweep(tmp_path, changed, rollback, back, looks, step)
    with capsys.disabled():
        print(f"\nkill -9 in a rollback: {kills} points, {sum(looks)} looks of a sender")
    assert kills >= 60 / step
