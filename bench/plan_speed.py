"""Time `deploy plan` beside `octodns-sync` on the same zones in the same run.

One zone a domain, ten record sets a zone, everything applied: both tools read all zones and find nothing to do. `octodns-sync` plans from
YamlProvider to YamlProvider, its two sides being one directory. The runs alternate, so that a slow moment of the machine hits both.

Reported are medians of wall-clock seconds, the ratio, the peak resident memory of the process, how both grow with the number of zones, and
what a `deploy apply --auto-approve` costs that changes one domain. The package is compiled first, as an installed one is.

    python bench/plan_speed.py                      # 1000 and 10000 zones, 5 runs
    python bench/plan_speed.py 100 500 --runs 3
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
SUMMARY = "Plan: 0 to add, 0 to change, 0 to remove"
QUIET = subprocess.DEVNULL

# Eight record sets; with our two TXT records a zone has ten.
ZONE = """\
'':
  - type: A
    value: 192.0.2.80
  - type: MX
    values:
      - exchange: mx1.{domain}.
        preference: 10
      - exchange: mx2.{domain}.
        preference: 20
  - type: TXT
    value: v=spf1 mx -all
_dmarc:
  type: TXT
  value: v=DMARC1\\; p=reject\\; rua=mailto:dmarc@{domain}
mta-sts:
  type: CNAME
  value: policies.example.com.
mx1:
  type: A
  value: 192.0.2.25
mx2:
  type: A
  value: 198.51.100.25
www:
  type: CNAME
  value: {domain}.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process: wall-clock seconds, and the peak of its resident memory in MB."""

    seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The medians of one size."""

    zones: int
    plan: Run
    octodns: Run
    apply_one: Run


def run(arguments: Sequence[str], directory: Path) -> Run:
    """Run one program to its end; raises `SystemExit` if it fails."""
    started = time.perf_counter()
    child = subprocess.Popen(arguments, cwd=directory, stdin=QUIET, stdout=QUIET, stderr=QUIET)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: exit code {child.returncode}")
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB elsewhere
    return Run(seconds=seconds, megabytes=usage.ru_maxrss * scale / 1e6)


def middle(runs: Sequence[Run]) -> Run:
    """The median of the times; the largest of the peaks."""
    return Run(seconds=statistics.median(r.seconds for r in runs), megabytes=max(r.megabytes for r in runs))


def declare(directory: Path, domains: Sequence[str], changed: int) -> None:
    """Write the declaration. `changed` is written into the first domain's `max_age`: another number, another policy."""
    lines = ["version: 1", "defaults: {tlsrpt: mailto:tls-reports@example.net}", "domains:"]
    lines += [f"  {domains[0]}: {{max_age: {604800 + changed}}}", *(f"  {domain}:" for domain in domains[1:])]
    (directory / "mta-sts.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def generate(directory: Path, count: int) -> list[str]:
    """Write `count` zones, the declaration and the octoDNS configuration; the domains."""
    domains = [f"d{number:05}.example" for number in range(count)]
    zones = directory / "zones"
    zones.mkdir()
    for domain in domains:
        (zones / f"{domain}.yaml").write_text(ZONE.format(domain=domain), encoding="utf-8")
    declare(directory, domains, 0)
    side = "{class: octodns.provider.yaml.YamlProvider, directory: zones, default_ttl: 3600, escaped_semicolons: true}"
    sync = f"providers:\n  source: {side}\n  target: {side}\nzones:\n" + "".join(
        f"  {domain}.: {{sources: [source], targets: [target]}}\n" for domain in domains
    )
    (directory / "octodns.yaml").write_text(sync, encoding="utf-8")
    return domains


def compile_package() -> None:
    """Write the bytecode that `pip install` writes; a checkout has none where Python was told not to write it."""
    import mtasts_deploy

    compileall.compile_dir(Path(mtasts_deploy.__file__).parent, quiet=1)


def measure(count: int, runs: int) -> Result:
    """Generate, apply once, then time the three commands in turn."""
    plan = [str(BIN / "deploy"), "plan"]
    apply = [str(BIN / "deploy"), "apply", "--auto-approve"]
    octodns = [str(BIN / "octodns-sync"), "--config-file", "octodns.yaml", "--quiet"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        domains = generate(directory, count)
        run(apply, directory)
        shown = subprocess.run(plan, cwd=directory, stdin=QUIET, capture_output=True, text=True, check=True).stdout
        if SUMMARY not in shown:
            raise SystemExit(f"the plan after the apply is not empty:\n{shown[-2000:]}")
        taken: tuple[list[Run], list[Run], list[Run]] = ([], [], [])
        for number in range(1, runs + 1):
            taken[0].append(run(plan, directory))
            taken[1].append(run(octodns, directory))
            declare(directory, domains, number)
            taken[2].append(run(apply, directory))
    return Result(zones=count, plan=middle(taken[0]), octodns=middle(taken[1]), apply_one=middle(taken[2]))


def report(results: Sequence[Result]) -> None:
    """Print the table, and the growth from the smallest to the largest size."""
    columns = "zones", "plan s", "octodns-sync s", "ratio", "plan MB", "octodns-sync MB", "apply 1 s", "apply 1 / plan", "apply 1 MB"
    print("  ".join(columns))
    for r in results:
        cells = (
            f"{r.zones}",
            f"{r.plan.seconds:.2f}",
            f"{r.octodns.seconds:.2f}",
            f"{r.octodns.seconds / r.plan.seconds:.1f}",
            f"{r.plan.megabytes:.0f}",
            f"{r.octodns.megabytes:.0f}",
            f"{r.apply_one.seconds:.2f}",
            f"{r.apply_one.seconds / r.plan.seconds:.2f}",
            f"{r.apply_one.megabytes:.0f}",
        )
        print("  ".join(cell.rjust(len(column)) for cell, column in zip(cells, columns, strict=True)))
    first, last = results[0], results[-1]
    if first.zones != last.zones:
        print(
            f"\nfrom {first.zones} to {last.zones} zones (x{last.zones / first.zones:.1f}): "
            f"plan x{last.plan.seconds / first.plan.seconds:.1f}, octodns-sync x{last.octodns.seconds / first.octodns.seconds:.1f}"
        )


def main() -> None:
    """Measure the sizes given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zones", type=int, nargs="*", default=[1000, 10000])
    parser.add_argument("--runs", type=int, default=5, help="runs of each command (5)")
    arguments = parser.parse_args()
    compile_package()
    report([measure(count, arguments.runs) for count in sorted(arguments.zones)])


if __name__ == "__main__":
    main()
