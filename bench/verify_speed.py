"""Time `deploy verify --no-smtp` beside checkdmarc's library calls in a thread pool of the same size, on the same local domains.

Everything runs in a network namespace with real ports (root is needed): one PowerDNS, which is both the resolver and the server of every
zone, one nginx, a CA of our own. Both sides ask and fetch from the same. checkdmarc does `check_mta_sts`, `check_smtp_tls_reporting` and
`check_mx` without TLS (MX hosts against the policy, their addresses and TLSA records: what `verify` looks at, too); ours also asks every
name server of each zone. `--without-mx` leaves `check_mx` out. Whole processes are timed, in turns.

Both sides trust the public roots of this machine beside our CA, as everywhere but in a laboratory: who reads them for each connection, as
checkdmarc does, pays for each connection. `--only-our-root` leaves them out.

Reported are wall-clock seconds and their ratio (checkdmarc / ours); the goal is 5. Nothing is asserted.

    python bench/verify_speed.py                 # 1,000 domains
    python bench/verify_speed.py --domains 200 --rounds 1
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import ssl
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import mailworld
from tests.broken_worlds import GOOD, OUR_ID, TLSRPT
from tests.mailworld import RESOLVER, SERVER, WEB, Network
from tests.nameservers import SCHEMA
from tests.servers import Certificates

PEER = """\
import sys
from concurrent.futures import ThreadPoolExecutor
from checkdmarc.mta_sts import check_mta_sts
from checkdmarc.smtp import check_mx
from checkdmarc.smtp_tls_reporting import check_smtp_tls_reporting

def every(domain):
    found = check_mta_sts(domain)
    if not found["valid"] or not check_smtp_tls_reporting(domain)["valid"]:
        return False
    if sys.argv[2] == "mx":
        hosts = check_mx(domain, check_mx_tls=False, mta_sts_mx_patterns=found["policy"]["mx"])["hosts"]
        return [host["hostname"] for host in hosts] == ["mx.mail.test"]
    return True

with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    found = list(pool.map(every, sys.argv[3:]))
sys.exit(0 if all(found) else f"{found.count(False)} domains are not valid")
"""


def serve(network: Network, made: Certificates, domains: list[str]) -> None:
    """Run the servers."""
    place = network.directory / "pdns"
    place.mkdir()
    with contextlib.closing(sqlite3.connect(place / "db")) as database:
        database.executescript(SCHEMA.read_text())
        for number, zone in enumerate(("mail.test", *domains)):
            rows = [(zone, "SOA", f"ns1.mail.test root.{zone} 1 3600 600 86400 30"), (zone, "NS", "ns1.mail.test")]
            rows.append((zone, "MX", "mx.mail.test"))
            if number == 0:
                rows += [("ns1.mail.test", "A", SERVER), ("mx.mail.test", "A", "127.0.0.3")]
            else:
                rows += [(f"mta-sts.{zone}", "A", WEB), (f"_mta-sts.{zone}", "TXT", f'"v=STSv1; id={OUR_ID};"')]
                rows.append((f"_smtp._tls.{zone}", "TXT", f'"{TLSRPT}"'))
            database.execute("INSERT INTO domains (id, name, type) VALUES (?, ?, 'NATIVE')", (number, zone))
            database.executemany(
                "INSERT INTO records (domain_id, name, type, content, ttl, prio, auth) VALUES (?, ?, ?, ?, 60, 10, 1)",
                [(number, *row) for row in rows],
            )
        database.commit()
    options = {
        "launch": "gsqlite3", "gsqlite3-database": place / "db", "local-address": f"{SERVER},{RESOLVER}", "socket-dir": place,
        "daemon": "no", "guardian": "no", "disable-syslog": "yes", "security-poll-suffix": "",
    }  # fmt: skip
    (place / "pdns.conf").write_text("".join(f"{key}={value}\n" for key, value in options.items()))
    network.start("pdns", "pdns_server", f"--config-dir={place}", ready=lambda: network.answers(RESOLVER, 53))
    root = network.directory / "www"
    (root / ".well-known").mkdir(parents=True)
    (root / ".well-known" / "mta-sts.txt").write_bytes(GOOD)
    blocks = ""
    for first in range(0, len(domains), 10):
        names = [f"mta-sts.{domain}" for domain in domains[first : first + 10]]
        file = made.issue(*names)
        tls = f"ssl_certificate {file}; ssl_certificate_key {file};"
        blocks += f"server {{ listen {WEB}:443 ssl; server_name {' '.join(names)}; {tls} root {root}; }}\n"
    mailworld.start_nginx(network, blocks)


def main() -> None:
    """Run both sides in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parallelism", type=int, default=20)
    parser.add_argument("--without-mx", action="store_true", help="leave checkdmarc's check_mx out; verify looks at MX hosts all the same")
    parser.add_argument("--only-our-root", action="store_true", help="trust the CA of the bench alone")
    options = parser.parse_args()
    domains = [f"d{number:04}.test" for number in range(options.domains)]
    ours: list[float] = []
    theirs: list[float] = []
    with mailworld.network() as (network, made):
        serve(network, made, domains)
        roots = network.directory / "roots.pem"
        public = b"" if options.only_our_root else Path(ssl.get_default_verify_paths().openssl_cafile).resolve().read_bytes()
        roots.write_bytes(made.root.read_bytes() + public)
        # Installed packages are compiled by pip; a checkout is by its first run, unless the environment forbids it.
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(network.directory / "compiled")}
        trust = {"REQUESTS_CA_BUNDLE": str(roots), "SSL_CERT_FILE": str(roots), **compiled}
        extent = "no-mx" if options.without_mx else "mx"
        network.deploy("verify", "mail.test", "--no-smtp", "--ca-file", str(roots), environment=compiled)
        network.run(sys.executable, "-c", PEER, "1", extent, "mail.test", environment=trust)
        for _ in range(options.rounds):
            began = time.perf_counter()
            done = network.deploy(
                *("verify", *domains, "--no-smtp", "--ca-file", str(roots), "--format", "json"),
                *("--parallelism", str(options.parallelism)),
                environment=compiled,
            )
            ours.append(time.perf_counter() - began)
            verdicts = {one["verdict"] for one in json.loads(done.stdout)["domains"]}
            if verdicts != {"deliver"}:
                raise SystemExit(f"not every domain is delivered to: {verdicts}\n{done.stderr}")
            began = time.perf_counter()
            peer = network.run(sys.executable, "-c", PEER, str(options.parallelism), extent, *domains, environment=trust, timeout=1800)
            theirs.append(time.perf_counter() - began)
            if peer.returncode != 0:
                raise SystemExit(f"checkdmarc: {peer.stderr[-2000:]}")
    print(f"{options.domains} domains, {options.parallelism} threads, {options.rounds} rounds (median seconds, all)")
    for name, times in (("deploy verify --no-smtp", ours), ("checkdmarc", theirs)):
        print(f"  {name:<24} {statistics.median(times):8.2f}   {' '.join(f'{one:.2f}' for one in times)}")
    print(f"  checkdmarc / ours        {statistics.median(theirs) / statistics.median(ours):8.2f}")


if __name__ == "__main__":
    main()
