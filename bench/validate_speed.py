"""Time the pre-commit hook, `deploy validate`, on the repository's own declaration, beside the bare interpreter and check-jsonschema with
the exported schema, which checks the shape of the same file alone. The goal of the hook is 300 ms.

The package is compiled first, as an installed one is. The runs alternate, so that a slow moment of the machine hits all.
Reported are medians and the fastest runs, in milliseconds of whole processes. `--imports` lists what the start is spent on
(`python -X importtime`), the largest first.

    python bench/validate_speed.py                      # 15 runs
    python bench/validate_speed.py --imports
"""

from __future__ import annotations

import argparse
import compileall
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOOK = [sys.executable, "-m", "mtasts_deploy", "validate"]


def milliseconds(command: list[str]) -> float:
    """One process, from its start to its end."""
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return (time.perf_counter() - start) * 1000


def imports(most: int = 20) -> str:
    """The modules that take longest to import, with what they import: milliseconds."""
    command = [sys.executable, "-X", "importtime", *HOOK[1:]]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    found = [(int(whole) / 1000, name) for whole, name in re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s+(\S+)", done.stderr)]
    return "\n".join(f"{took:8.1f}  {name}" for took, name in sorted(found, reverse=True)[:most])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--imports", action="store_true")
    given = parser.parse_args()
    if given.imports:
        print(imports())
        return
    compileall.compile_dir(ROOT / "mtasts_deploy", quiet=1)
    with tempfile.TemporaryDirectory() as name:
        schema = Path(name) / "schema.json"
        exported = subprocess.run([*HOOK[:-1], "schema"], cwd=ROOT, capture_output=True, check=True)
        schema.write_bytes(exported.stdout)
        peer = [str(Path(sys.executable).parent / "check-jsonschema"), "--schemafile", str(schema), "mta-sts.yaml"]
        commands = {"interpreter": [sys.executable, "-c", "pass"], "deploy validate": HOOK}
        if Path(peer[0]).exists():
            commands["check-jsonschema"] = peer
        taken: dict[str, list[float]] = {what: [] for what in commands}
        for _ in range(given.runs + 1):  # the first warms up
            for what, command in commands.items():
                taken[what].append(milliseconds(command))
    print(f"{'median of ' + str(given.runs) + ' runs':<20}{'median':>9}{'fastest':>9}  ms")
    for what, times in taken.items():
        print(f"{what:<20}{statistics.median(times[1:]):>9.0f}{min(times[1:]):>9.0f}")


if __name__ == "__main__":
    main()
