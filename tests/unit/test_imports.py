"""What a command imports is what its start costs: commands that need no network and no provider must not import them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("boto3", "botocore", "octodns", "dns", "ssl", "rich", "asyncio")
PROGRAM = """
import sys
from mtasts_deploy.__main__ import main
sys.argv = ["deploy", *sys.argv[1:]]
code = main()
print("imported:", *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sample deployment with a saved plan."""
    directory = tmp_path_factory.mktemp("sample")
    shutil.copy(ROOT / "mta-sts.yaml", directory)
    for name in ("zones", "policies"):
        shutil.copytree(ROOT / name, directory / name)
    done = deploy(directory, "plan", "--out", "plan.json")
    assert done.returncode == 0, done.stderr
    return directory


def deploy(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MTASTS_")} | {"PYTHONPATH": str(ROOT)}
    program = PROGRAM.format(heavy=HEAVY)
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A declaration with buckets."""
    directory = tmp_path_factory.mktemp("remote")
    (directory / "mta-sts.yaml").write_text(
        "version: 1\nhosts: {cdn: {type: s3, bucket: policies.example.com}}\nstate: {type: s3, bucket: state.example.com}\n"
        "defaults: {host: cdn, tlsrpt: 'mailto:tls@reports.example'}\ndomains: {example.com: }\n"
    )
    return directory


@pytest.mark.parametrize("command", ["validate", "permissions", "schema"])
def test_a_declaration_with_buckets_is_looked_at_without_boto3(remote: Path, command: str) -> None:
    done = deploy(remote, *command.split())
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].rstrip() == "imported:"


@pytest.mark.parametrize(
    "command",
    ["--help", "apply --help", "validate", "schema", "show plan.json", "plan", "status", "explain MTS401", "render", "host nginx"],
)
def test_a_command_imports_nothing_that_it_does_not_need(sample: Path, command: str) -> None:
    done = deploy(sample, *command.split())
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].rstrip() == "imported:"


def test_the_version_is_told_without_the_command_line() -> None:
    program = "import sys; from mtasts_deploy.__main__ import main; sys.argv[1:] = ['--version']; main(); print('typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["False"]
