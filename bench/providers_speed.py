"""Time `deploy plan` and `deploy apply` beside `octodns-sync` on the same number of PowerDNS zones, 50 ms of latency away.

A PowerDNS of its own stands behind a small TCP proxy that adds the latency. Both tools write the same two TXT records into each of their
zones: ours into one half of the server's zones, octodns-sync (16 workers; a name filter, zone files as its source) into the other, so that
both begin with zones that lack them. Then the same again with all records changed. octodns-sync plans within `--doit`, so its plan run and
its sync run stand against ours. What is compared is work over the network: everything lies in memory where there is a /dev/shm, because
ours also writes (and syncs to disk) policies and a ledger, which octodns-sync has not.

Reported are wall-clock seconds and their ratio (ours / octodns-sync); the goal is 0.5 for plan + apply. Nothing is asserted.

    python bench/providers_speed.py                 # 200 zones
    python bench/providers_speed.py --zones 50 --latency 0.05
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.estates import small
from tests.middleman import latency
from tests.nameservers import PowerDns, Rrset, running

BIN = Path(sys.executable).parent
WORKERS = 16
MEMORY = Path("/dev/shm")


def run(arguments: Sequence[str], directory: Path, environment: dict[str, str]) -> float:
    """Run one program to its end; its seconds. Raises `SystemExit` if it fails."""
    started = time.perf_counter()
    done = subprocess.run(arguments, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}")
    return seconds


def declare(directory: Path, domains: Sequence[str], block: dict[str, object], changed: int) -> None:
    """Write our declaration; another `changed`, another policy and another TLSRPT record for every domain."""
    lines = [
        "version: 1",
        "state: {type: directory, path: .mtasts}",
        f"providers: {{pdns: {json.dumps(block)}}}",
        f"defaults: {{dns: pdns, confirm: storage, max_age: {604800 + changed}, tlsrpt: 'mailto:tls{changed}@reports.example'}}",
        "domains:",
        # Nothing serves these policies, so the guard against `confirm: storage` is lifted.
        *(f"  {domain}: {{allow: [{{code: MTS410, until: 2099-01-01, why: a benchmark}}]}}" for domain in domains),
    ]
    (directory / "mta-sts.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def source(directory: Path, domains: Sequence[str], block: dict[str, object], changed: int) -> None:
    """Write the zone files and the configuration of octodns-sync for the same records."""
    zones = directory / "zones"
    zones.mkdir(exist_ok=True)
    for domain in domains:
        (zones / f"{domain}.yaml").write_text(
            f"_mta-sts: {{type: TXT, ttl: 3600, value: v=STSv1\\; id={changed:024}\\;}}\n"
            f"_smtp._tls: {{type: TXT, ttl: 3600, value: v=TLSRPTv1\\; rua=mailto:tls{changed}@reports.example}}\n",
            encoding="utf-8",
        )
    config = {
        "manager": {"max_workers": WORKERS},
        "processors": {"ours": {"class": "octodns.processor.filter.NameAllowlistFilter", "allowlist": ["_mta-sts", "_smtp._tls"]}},
        "providers": {
            "config": {
                "class": "octodns.provider.yaml.YamlProvider",
                "directory": str(zones),
                "escaped_semicolons": True,
                "enforce_order": False,
            },
            "pdns": block,
        },
        "zones": {f"{domain}.": {"sources": ["config"], "processors": ["ours"], "targets": ["pdns"]} for domain in domains},
    }
    (directory / "octodns.yaml").write_text(json.dumps(config), encoding="utf-8")


def served(zone: str) -> list[Rrset]:
    """A zone whose name server is this one."""
    others = [one for one in small(zone) if one.type != "NS"]
    return [*others, Rrset("@", "NS", 3600, (f"ns.{zone}.",)), Rrset("ns", "A", 3600, ("127.0.0.1",))]


def measure(count: int, seconds: float, options: Sequence[str]) -> list[tuple[str, float, float, float, float]]:
    """For the first publication and for a change of everything: our plan and apply, octodns-sync's plan and sync."""
    mine = [f"m{number:04}.example" for number in range(count)]
    theirs = [f"t{number:04}.example" for number in range(count)]
    rows: list[tuple[str, float, float, float, float]] = []
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        directory = Path(name)
        with running(PowerDns, directory / "pdns", {zone: served(zone) for zone in [*mine, *theirs]}) as server:
            assert isinstance(server, PowerDns)
            with latency(server.api, seconds) as port:
                block = {**server.block(), "port": port}
                # The zones say that they are served at 127.0.0.1: there ours also asks, without latency, what senders get.
                seen = {"MTASTS_RESOLVER": f"127.0.0.1:{server.port}", "MTASTS_CONNECT_TO": f"127.0.0.1:53:127.0.0.1:{server.port}"}
                environment = {**os.environ, **server.environment, **seen}
                deploy, sync = [str(BIN / "deploy")], [str(BIN / "octodns-sync"), "--config-file", "octodns.yaml", "--quiet"]
                for changed, what in ((0, "first publication"), (1, "everything changed")):
                    declare(directory, mine, block, changed)
                    source(directory, theirs, block, changed)
                    ours = [run([*deploy, "plan"], directory, environment)]
                    peer = [run(sync, directory, environment)]
                    ours.append(run([*deploy, "apply", "--auto-approve", *options], directory, environment))
                    peer.append(run([*sync, "--doit", "--force"], directory, environment))
                    rows.append((what, ours[0], ours[1], peer[0], peer[1]))
                shown = subprocess.run([*deploy, "plan"], cwd=directory, env=environment, capture_output=True, text=True, check=True).stdout
                if "Plan: 0 to add, 0 to change, 0 to remove" not in shown:
                    raise SystemExit(f"the plan after the apply is not empty:\n{shown[-2000:]}")
    return rows


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zones", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds added to a round trip (0.05)")
    parser.add_argument("--parallelism", help="for ours; by default its own default")
    arguments = parser.parse_args()
    options = ["--parallelism", arguments.parallelism] if arguments.parallelism else []
    how = " ".join(options) or "defaults"
    print(f"{arguments.zones} zones, {arguments.latency * 1000:.0f} ms, octodns-sync: {WORKERS} workers, apply: {how}")
    print("what                 plan s  apply s  octodns plan s  octodns sync s  plan + apply / plan + sync")
    for what, plan, apply, peer_plan, peer_sync in measure(arguments.zones, arguments.latency, options):
        ratio = (plan + apply) / (peer_plan + peer_sync)
        print(f"{what:<20} {plan:>6.2f}  {apply:>7.2f}  {peer_plan:>14.2f}  {peer_sync:>14.2f}  {ratio:>26.2f}")


if __name__ == "__main__":
    main()
