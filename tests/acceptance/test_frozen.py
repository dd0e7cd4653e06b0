"""A run that stands still past its lease writes nothing when it wakes, wherever it stood, and the one that took over is right.

The run is a process of its own on real files, or with policies and state in S3, that stops itself (SIGSTOP) before its n-th external
call. Its clock is a file that the test moves on, so that two minutes pass at once.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.errors import LeaseLost
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.policy import PolicyId
from tests import killing, s3_servers
from tests.acceptance.test_kill import DOMAINS, FIRST, SECOND, declare, make
from tests.crashes import moto_alone
from tests.killing import in_a_child
from tests.watching import in_zone_file, watched
from tests.wrapping import Before, wrap_adapters

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="no signals")]

LOST = 44


@dataclass(frozen=True)
class Place:
    """Where one run is frozen: zones are files; policies and state are too, or in two buckets, below a prefix of its own."""

    directory: Path
    s3: str | None = None

    def declare(self, settings: str) -> None:
        declare(self.directory, settings)
        if self.s3 is not None:
            bucket = f"endpoint_url: '{self.s3}', prefix: {self.directory.name}/"
            head = f"state: {{type: s3, bucket: state, {bucket}}}\nhosts: {{local: {{type: s3, bucket: web, {bucket}}}}}\n"
            path = self.directory / "mta-sts.yaml"
            path.write_text(path.read_text().replace("domains:\n", f"{head}domains:\n"))

    def deployment(self) -> Deployment:
        from mtasts_deploy.aws import client

        client.forget()
        made = Deployment.of(load(self.directory / "mta-sts.yaml", today=datetime.now(UTC).date()))
        later = self.directory / "later"
        made.clock = lambda: datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=float(later.read_text()))
        made.beat = None  # so that every run makes the same calls
        return made

    def objects(self) -> dict[str, bytes]:
        """Everything but the run logs, which are one file a run."""
        files = (path for path in self.directory.rglob("*") if path.is_file() and path.name != "lock.flock")
        found = {str(path.relative_to(self.directory)): path.read_bytes() for path in files}
        if self.s3 is not None:
            client = s3_servers.s3(self.s3)
            for bucket, below in (("state", ".mtasts"), ("web", "policies")):
                for one in client.list_objects_v2(Bucket=bucket, Prefix=f"{self.directory.name}/").get("Contents", ()):
                    name = one["Key"].replace(self.directory.name, below, 1)
                    found[name] = client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        return {name: data for name, data in found.items() if not name.startswith(".mtasts/runs/")}

    def live(self) -> Iterator[tuple[str, bytes]]:
        """Each id with the policy that is served."""
        there = self.objects()
        for domain in DOMAINS:
            (id_,) = re.findall(rb"v=STSv1\\; id=([0-9a-z]+)\\;", there[f"zones/{domain}.yaml"])
            yield id_.decode(), there[f"policies/mta-sts.{domain}/.well-known/mta-sts.txt"]

    def sender(self, looks: list[int]) -> AbstractContextManager[None]:
        """Looks all the while."""
        places = {}
        for domain in DOMAINS:
            places[domain] = dict(in_zone_file(self.directory, domain, f"zones/{domain}.yaml", "_mta-sts"))
            if self.s3 is not None:
                places[domain]["policy"] = {"url": f"{self.s3}/web/{self.directory.name}/mta-sts.{domain}/.well-known/mta-sts.txt"}
        return watched(places, looks)


def frozen(place: Place, number: int) -> int | None:
    """A child that applies and stops before its `number`-th call; None if it came to its end before."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            made = wrap_adapters(place.deployment(), Before(number, lambda: os.kill(os.getpid(), signal.SIGSTOP)))
            result = made.apply(options=Options(parallelism=1))  # no other thread holds a lock of the system while all stand still
            code = 71 if result is None else result.exit_code
        except LeaseLost:
            code = LOST
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return child
    assert os.waitstatus_to_exitcode(status) == 0
    return None


def apply(place: Place) -> None:
    """In a child: threads and connections of the parent would be in the way of the next one."""
    assert in_a_child(place.deployment, killing.apply) == 0


def unchanged(made: Deployment) -> int:
    return 0 if {plan.verdict for plan in made.plan().domains} == {Verdict.UNCHANGED} else 71


def story(place: Place, number: int, looks: list[int]) -> tuple[bool, int]:
    """Freeze a change before its `number`-th call and wake it when another run has done it; was it long enough, and its late notes."""
    make(place.directory)
    (place.directory / "later").write_text("0")
    place.declare(FIRST)
    apply(place)
    place.declare(SECOND)
    with place.sender(looks):
        child = frozen(place, number)
        if child is None:
            return False, 0
        try:
            (place.directory / "later").write_text("121")
            apply(place)
            after = place.objects()
        finally:
            os.kill(child, signal.SIGCONT)
            _, status = os.waitpid(child, 0)
        # Whoever stood still before it had the lock finds nothing to do; the others learn that they have lost it.
        assert os.waitstatus_to_exitcode(status) in (0, LOST)
    changed = [name for name, data in place.objects().items() if after.get(name) != data]
    assert not [name for name in changed if not name.startswith(".mtasts/ledger/")], f"stopped before call {number}: {changed}"
    assert len(changed) <= 1
    assert in_a_child(place.deployment, unchanged) == 0
    for id_, body in place.live():
        assert b"172800" in body
        assert PolicyId.parse(id_).names(body)
    return True, len(changed)


@pytest.mark.parametrize("step", [pytest.param(11, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)])
@pytest.mark.parametrize("where", ["directory", "S3"])
def test_a_frozen_run_writes_nothing_after_its_lease(where: str, step: int, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    stops = notes = 0
    looks: list[int] = []
    with ExitStack() as stack:
        if where == "S3":
            s3_servers.environment(monkeypatch)
        s3 = stack.enter_context(moto_alone(tmp_path)) if where == "S3" else None
        for number in count(1, step):
            long_enough, late = story(Place(tmp_path / str(number), s3), number, looks)
            if not long_enough:
                break
            stops, notes = stops + 1, notes + late
    with capsys.disabled():
        print(f"\nSIGSTOP past the lease ({where}): {stops} points, {notes} late notes, {sum(looks)} looks of a sender")
    # Between the proof and the write only compare-and-swap stands guard: it lets a note through that nobody else had a reason to write.
    assert notes <= 3
    assert stops >= 35 / step
