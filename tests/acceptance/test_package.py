"""What is built from this checkout is what people install."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.acceptance


def test_the_wheel_holds_the_package_its_types_and_both_programs_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert "mtasts_deploy/py.typed" in names
    assert "mtasts_deploy/pipelines/github/mta-sts-plan.yml" in names
    assert [name for name in names if not name.startswith(("mtasts_deploy/", "mtasts_deploy-"))] == []
    assert "deploy = mtasts_deploy.__main__:main" in entry_points.splitlines()
    assert "mtasts-deploy = mtasts_deploy.__main__:main" in entry_points.splitlines()
