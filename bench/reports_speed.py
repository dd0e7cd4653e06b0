"""Time `deploy show --format markdown` beside `--format json` on the same saved plan in the same run: a plan with a change in every domain.

The runs alternate, so that a slow moment of the machine hits both. Reported are medians of wall-clock seconds of whole processes, their
difference, and how many characters each wrote.

    python bench/reports_speed.py                      # 10000 changes, 5 runs
    python bench/reports_speed.py 1000 --runs 3
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FORMS = ("json", "markdown", "github", "gitlab", "sarif")


def saved(number: int) -> bytes:
    """A plan file of so many first publications."""
    from mtasts_deploy.plan.file import render
    from mtasts_deploy.plan.model import Action, Barrier, Delivery, DomainPlan, Effect, Line, Plan, PutPolicy, Verdict
    from mtasts_deploy.rfc.names import Domain

    body = b"version: STSv1\r\nmode: testing\r\nmx: mx.example.net\r\nmax_age: 604800\r\n"
    domains = []
    for one in range(number):
        domain = Domain.parse(f"domain-{one:06}.example")
        domains.append(
            DomainPlan(
                domain=domain,
                verdict=Verdict.CHANGED,
                where=f"zone {domain}. at local · policy policies/{domain.policy_host}/.well-known/mta-sts.txt",
                steps=(PutPolicy(host="local", location=domain.policy_url, before=None, body=body), Barrier(body=body)),
                lines=(Line(action=Action.ADD, what="policy", text="mode testing · max_age 1w · mx mx.example.net"),),
                notes=("Senders deliver as before and report TLS failures.",),
                inputs={"policy": "0" * 16},
                delivery=Delivery(effect=Effect.SAME, text="Mail delivery does not change: senders only report TLS failures."),
            )
        )
    return render(Plan(domains=tuple(domains), created=datetime.now(UTC)), "bench")


def run(form: str, directory: Path) -> tuple[float, int]:
    """Seconds of one process, and what it wrote."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "mtasts_deploy", "show", "plan.json", "--format", form]
    done = subprocess.run(command, cwd=directory, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, len(done.stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="?", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "plan.json").write_bytes(saved(given.changes))
        taken: dict[str, list[tuple[float, int]]] = {form: [] for form in FORMS}
        for _ in range(given.runs):
            for form in FORMS:
                taken[form].append(run(form, directory))
    base = statistics.median(seconds for seconds, _ in taken["json"])
    print(f"{given.changes} changes, median of {given.runs} runs\n{'format':<10}{'seconds':>9}{'over json':>11}{'characters':>12}")
    for form in FORMS:
        seconds = statistics.median(seconds for seconds, _ in taken[form])
        print(f"{form:<10}{seconds:>9.2f}{seconds - base:>+11.2f}{taken[form][0][1]:>12}")


if __name__ == "__main__":
    main()
