"""Many runs at once, large runs, and what they lose: nothing."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import ProviderError
from mtasts_deploy.facts import ZoneName
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from tests import s3_servers
from tests.golden.test_cli_process import DEPLOY, environment
from tests.watching import in_zone_file, watched

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(sys.platform == "win32", reason="no locks of the system"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def policy_of(directory: Path, domain: str) -> bytes:
    return (directory / f"policies/mta-sts.{domain}/.well-known/mta-sts.txt").read_bytes()


def zone(*names: str) -> str:
    hosts = [f"{name}:\n  type: MX\n  values:\n  - {{exchange: mx.example.net., preference: 10}}\n" for name in names]
    return "".join(hosts)


def deployed(directory: Path) -> Deployment:
    return Deployment.of(load(directory / "mta-sts.yaml", today=datetime.now(UTC).date()))


@pytest.fixture(params=["directory", "S3"])
def state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The line of a declaration: where the state is."""
    if request.param == "directory":
        yield "state: {type: directory, path: .mtasts}\n"
        return
    s3_servers.environment(monkeypatch)
    with s3_servers.moto() as upstream, s3_servers.proxy(upstream) as front:
        s3_servers.s3(upstream).create_bucket(Bucket="state")
        yield f"state: {{type: s3, bucket: state, endpoint_url: '{front.address}'}}\n"


def started(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """An `apply` in a process of its own."""
    return subprocess.Popen(
        [*DEPLOY, "apply", "--auto-approve", "--lock-timeout", "5m", *arguments],
        cwd=directory,
        env={**environment(), **{name: value for name, value in os.environ.items() if name.startswith("AWS_")}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("same_zone", [True, False], ids=["one zone", "a zone each"])
def test_eight_applies_at_once_lose_no_work(tmp_path: Path, state: str, same_zone: bool):
    (tmp_path / "zones").mkdir()
    (tmp_path / "policies").mkdir()
    domains = [f"d{number}.shared.example" if same_zone else f"shared{number}.example" for number in range(8)]
    places = {}
    for domain in domains:
        file = "zones/shared.example.yaml" if same_zone else f"zones/{domain}.yaml"
        key = f"_mta-sts.{domain.partition('.')[0]}" if same_zone else "_mta-sts"
        places[domain] = in_zone_file(tmp_path, domain, file, key)
        (tmp_path / file).write_text(zone(*(f"d{number}" for number in range(8))) if same_zone else zone("''"))
    (tmp_path / "mta-sts.yaml").write_text(
        f"version: 1\n{state}domains:\n" + "".join(f"  {domain}: {{tlsrpt: 'mailto:a@b.example'}}\n" for domain in domains)
    )
    looks: list[int] = []
    with watched(places, looks):
        for run in [started(tmp_path, "--domain", domain) for domain in domains]:
            out, err = run.communicate(timeout=300)
            assert run.returncode == 0, err
            assert "Apply: 1 done." in out
    assert looks[0] > 0
    plan = deployed(tmp_path).plan()
    assert not plan.acting
    for domain, place in places.items():
        text = Path(place["record"]["file"]).read_text()
        found = re.search(rf"(?ms)^{place['record']['key']}:\n(.*?)(?=^\S|\Z)", text)
        assert found is not None
        (id_,) = re.findall(r"id=([0-9a-z]+)", found[1])
        assert PolicyId.parse(id_).names(policy_of(tmp_path, domain))
    assert not (tmp_path / ".mtasts/lock.json").exists()


def test_eight_applies_of_the_same_change_do_it_once(tmp_path: Path, state: str):
    (tmp_path / "zones").mkdir()
    (tmp_path / "policies").mkdir()
    (tmp_path / "zones/one.example.yaml").write_text(zone("''"))
    (tmp_path / "mta-sts.yaml").write_text(f"version: 1\n{state}domains:\n  one.example: {{tlsrpt: 'mailto:a@b.example'}}\n")
    looks: list[int] = []
    with watched({"one.example": in_zone_file(tmp_path, "one.example", "zones/one.example.yaml", "_mta-sts")}, looks):
        runs = [started(tmp_path) for _ in range(8)]
        said = [run.communicate(timeout=300)[0].strip().splitlines()[-1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 8
    assert sum("Apply: 1 unchanged." in text for text in said) == 7, said


class Failing:
    """A target of which one zone cannot be written, so many times."""

    def __init__(self, inner: Any, zone: str, times: float) -> None:
        self._inner, self._zone, self._times = inner, zone, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, zone: ZoneName, *arguments: Any) -> None:
        if zone == self._zone and self._times > 0:
            self._times -= 1
            raise ProviderError(Diagnostic(code="MTS468", message="injected: the server does not answer"))
        self._inner.write(zone, *arguments)


@pytest.mark.parametrize("times", [1, math.inf], ids=["once", "for good"])
@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.long)])
def test_a_large_run_whose_last_domain_fails_in_commit_is_taken_back(
    tmp_path: Path, count: int, times: float, capsys: pytest.CaptureFixture[str]
):
    domains = [f"d{number:04}.example" for number in range(count)]
    (tmp_path / "zones").mkdir()
    (tmp_path / "policies").mkdir()
    for domain in domains:
        (tmp_path / f"zones/{domain}.yaml").write_text(zone("''"))

    def declare(age: str) -> None:
        lines = "".join(f"  {domain}: {{max_age: {age}, tlsrpt: 'mailto:a@b.example'}}\n" for domain in domains)
        (tmp_path / "mta-sts.yaml").write_text("version: 1\ndomains:\n" + lines)

    def under_old_ids() -> set[str]:
        """Every domain is on its old policy; those that still have the id from before, under which the new one could be fetched."""
        spent = set()
        for domain in domains:
            assert policy_of(tmp_path, domain) == old[domain]
            (id_,) = re.findall(r"STSv1\\; id=([0-9a-z]+)", (tmp_path / f"zones/{domain}.yaml").read_text())
            assert PolicyId.parse(id_).names(old[domain])
            if PolicyId.parse(id_).returned == 0:
                spent.add(domain)
        return spent

    declare("1d")
    result = deployed(tmp_path).apply()
    assert result is not None
    assert result.exit_code == 0
    old = {domain: policy_of(tmp_path, domain) for domain in domains}
    declare("2d")
    made = deployed(tmp_path)
    failing: dict[str, Any] = {name: Failing(target, f"{domains[-1]}.", times) for name, target in made.targets.items()}
    made.targets = failing
    looks: list[int] = []
    watch = [domains[0], domains[-1]]
    with watched({one: in_zone_file(tmp_path, one, f"zones/{one}.yaml", "_mta-sts") for one in watch}, looks):
        result = made.apply(options=Options(on_error=OnError.ROLLBACK))
        assert result is not None
        assert result.taken_back
        assert result.count(Outcome.DONE) == 0
        spent = under_old_ids()
        assert spent == (set() if times == 1 else {domains[-1]})
        if spent:  # the zone can be written again: what is owed is paid
            back = deployed(tmp_path).rollback([Domain.parse(domain) for domain in spent], approve=lambda _: True)
            assert back is not None
            assert back.exit_code == 0
            assert under_old_ids() == set()
    with capsys.disabled():
        print(f"\n--on-error rollback: {count} domains on their old policies, {count - len(spent)} of them under fresh ids at once")
