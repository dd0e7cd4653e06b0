"""Many runs at once, large runs, and what they lose: nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.leases import bucket_of
from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import ProviderError
from mtasts_deploy.facts import ZoneName
from mtasts_deploy.rfc.policy import PolicyId
from tests.golden.test_cli_process import DEPLOY, environment

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="no locks of the system")]


def policy_of(directory: Path, domain: str) -> bytes:
    return (directory / f"policies/mta-sts.{domain}/.well-known/mta-sts.txt").read_bytes()


def zone(*names: str) -> str:
    hosts = [f"{name}:\n  type: MX\n  values:\n  - {{exchange: mx.example.net., preference: 10}}\n" for name in names]
    return "".join(hosts)


def deployed(directory: Path) -> Deployment:
    return Deployment.of(load(directory / "mta-sts.yaml", today=datetime.now(UTC).date()))


@pytest.mark.parametrize("same_zone", [True, False], ids=["one zone", "a zone each"])
def test_eight_applies_at_once_lose_no_work(tmp_path: Path, same_zone: bool):
    (tmp_path / "zones").mkdir()
    (tmp_path / "policies").mkdir()
    domains = [f"d{number}.shared.example" if same_zone else f"shared{number}.example" for number in range(8)]
    if same_zone:
        (tmp_path / "zones/shared.example.yaml").write_text(zone(*(f"d{number}" for number in range(8))))
    else:
        for domain in domains:
            (tmp_path / f"zones/{domain}.yaml").write_text(zone("''"))
    (tmp_path / "mta-sts.yaml").write_text(
        "version: 1\ndomains:\n" + "".join(f"  {domain}: {{tlsrpt: 'mailto:a@b.example'}}\n" for domain in domains)
    )
    runs = [
        subprocess.Popen(
            [*DEPLOY, "apply", "--auto-approve", "--lock-timeout", "5m", "--domain", domain],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for domain in domains
    ]
    for run in runs:
        out, err = run.communicate(timeout=300)
        assert run.returncode == 0, err
        assert "Apply: 1 done." in out
    plan = deployed(tmp_path).plan()
    assert not plan.acting
    for domain in domains:
        file = "shared.example" if same_zone else domain
        key = f"_mta-sts.{domain.partition('.')[0]}" if same_zone else "_mta-sts"
        text = (tmp_path / f"zones/{file}.yaml").read_text()
        found = re.search(rf"(?ms)^{key}:\n(.*?)(?=^\S|\Z)", text)
        assert found is not None
        (id_,) = re.findall(r"id=([0-9a-z]+)", found[1])
        assert PolicyId.parse(id_).names(policy_of(tmp_path, domain))
    assert not (tmp_path / ".mtasts/lock.json").exists()


# Goes on when a file says so, after the first message: the run then holds its lease and is between two steps.
HELD = """
import sys, time
from pathlib import Path
from mtasts_deploy.cli.running import Running
from mtasts_deploy.__main__ import main
inner = Running._event
def event(self, event):
    inner(self, event)
    Path("held").touch()
    while not Path("go").exists():
        time.sleep(0.05)
Running._event = event
sys.argv[1:] = ["apply", "--auto-approve", "--shard", "1/2"]
sys.exit(main())
"""


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """Sixteen domains, four of them in one zone."""
    (tmp_path / "zones").mkdir()
    (tmp_path / "policies").mkdir()
    alone = [f"alone{number}.example" for number in range(12)]
    for domain in alone:
        (tmp_path / f"zones/{domain}.yaml").write_text(zone("''"))
    (tmp_path / "zones/shared.example.yaml").write_text(zone(*(f"d{number}" for number in range(4))))
    domains = [*alone, *(f"d{number}.shared.example" for number in range(4))]
    (tmp_path / "mta-sts.yaml").write_text("version: 1\ndomains:\n" + "".join(f"  {domain}:\n" for domain in domains))
    return tmp_path


def begun(directory: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=directory, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_all_shards_at_once_do_everything_once_and_are_joined(estate: Path):
    files = [f"run{number}.json" for number in range(1, 5)]
    runs = [
        begun(estate, *DEPLOY, "apply", "--auto-approve", "--shard", f"{number}/4", "--json-into", file)
        for number, file in enumerate(files, 1)
    ]
    for run in runs:
        _, err = run.communicate(timeout=300)
        assert run.returncode == 0, err  # none has waited for another, and none was refused
    done = [set(json.loads((estate / file).read_text())["outcomes"]) for file in files]
    assert sum(map(len, done)) == len(set().union(*done)) == 16
    joined = subprocess.run([*DEPLOY, "merge-reports", *files], cwd=estate, env=environment(), capture_output=True, text=True, check=False)
    assert (joined.returncode, "Apply: 16 done." in joined.stdout) == (0, True), joined.stdout + joined.stderr
    assert not deployed(estate).plan().acting
    assert not (estate / ".mtasts/lock.json").exists()


def test_runs_exclude_each_other_exactly_where_they_overlap(estate: Path):
    zones = {f"{file.stem}." for file in (estate / "zones").iterdir()}

    def buckets(shard: str) -> set[int]:
        number, _, of = shard.partition("/")
        return {bucket_of(ZoneName(name)) for name in zones if bucket_of(ZoneName(name)) % int(of) == int(number) - 1}

    shards = ("2/2", "1/2", *(f"{number}/8" for number in range(1, 9)))
    first = begun(estate, sys.executable, "-c", HELD)
    while not (estate / "held").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    codes = {}
    for shard in shards:
        other = begun(estate, *DEPLOY, "apply", "--auto-approve", "--shard", shard)
        _, err = other.communicate(timeout=120)
        codes[shard] = other.returncode
        assert ("MTS710" in err) == (other.returncode == 4), err
    (estate / "go").touch()
    _, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    assert codes == {shard: 4 if buckets(shard) & buckets("1/2") else 0 for shard in shards}
    assert set(codes.values()) == {0, 4}
    assert not deployed(estate).plan().acting


def test_eight_applies_of_the_same_change_do_it_once(tmp_path: Path):
    (tmp_path / "zones").mkdir()
    (tmp_path / "policies").mkdir()
    (tmp_path / "zones/one.example.yaml").write_text(zone("''"))
    (tmp_path / "mta-sts.yaml").write_text("version: 1\ndomains:\n  one.example: {tlsrpt: 'mailto:a@b.example'}\n")
    command = [*DEPLOY, "apply", "--auto-approve", "--lock-timeout", "5m"]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    said = [run.communicate(timeout=300)[0].strip().splitlines()[-1] for run in runs]
    assert [run.returncode for run in runs] == [0] * 8
    assert sum("Apply: 1 unchanged." in text for text in said) == 7, said


class Failing:
    """A target of which one zone cannot be written."""

    def __init__(self, inner: Any, zone: str) -> None:
        self._inner = inner
        self._zone = zone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, zone: ZoneName, *arguments: Any) -> None:
        if zone == self._zone:
            raise ProviderError(Diagnostic(code="MTS468", message="injected: the server does not answer"))
        self._inner.write(zone, *arguments)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_a_large_run_whose_last_domain_fails_in_commit_is_taken_back(tmp_path: Path, count: int, capsys: pytest.CaptureFixture[str]):
    domains = [f"d{number:04}.example" for number in range(count)]
    (tmp_path / "zones").mkdir()
    (tmp_path / "policies").mkdir()
    for domain in domains:
        (tmp_path / f"zones/{domain}.yaml").write_text(zone("''"))

    def declare(age: str) -> None:
        lines = "".join(f"  {domain}: {{max_age: {age}, tlsrpt: 'mailto:a@b.example'}}\n" for domain in domains)
        (tmp_path / "mta-sts.yaml").write_text("version: 1\ndomains:\n" + lines)

    declare("1d")
    result = deployed(tmp_path).apply()
    assert result is not None
    assert result.exit_code == 0
    old = {domain: policy_of(tmp_path, domain) for domain in domains}
    declare("2d")
    made = deployed(tmp_path)
    failing: dict[str, Any] = {name: Failing(target, f"{domains[-1]}.") for name, target in made.targets.items()}
    made.targets = failing
    result = made.apply(options=Options(on_error=OnError.ROLLBACK))
    assert result is not None
    assert result.taken_back
    assert result.count(Outcome.DONE) == 0
    spent = 0
    for domain in domains:
        assert policy_of(tmp_path, domain) == old[domain]
        (id_,) = re.findall(r"STSv1\\; id=([0-9a-z]+)", (tmp_path / f"zones/{domain}.yaml").read_text())
        assert PolicyId.parse(id_).names(old[domain])
        spent += PolicyId.parse(id_).returned == 0
    assert spent <= 1  # only the zone that cannot be written still has the id from before
    with capsys.disabled():
        print(f"\n--on-error rollback: {count} domains on their old policies, {count - spent} of them under fresh ids")
