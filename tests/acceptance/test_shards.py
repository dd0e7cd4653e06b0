"""Shards as real processes, at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mtasts_deploy.apply.leases import bucket_of
from mtasts_deploy.facts import ZoneName
from tests.acceptance.test_races import deployed, zone
from tests.golden.test_cli_process import DEPLOY, environment

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="no locks of the system")]

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
