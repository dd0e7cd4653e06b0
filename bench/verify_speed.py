"""Time `deploy verify --no-smtp` beside checkdmarc's library calls in a thread pool of the same size, on the same local domains.

Everything runs in a network namespace with real ports (root is needed): one BIND and one unbound, one nginx, a CA of our own. Both ask
the same resolver and fetch from the same nginx; checkdmarc does `check_mta_sts` and `check_smtp_tls_reporting` of each domain, ours also
asks every name server, the MX hosts' addresses and TLSA records, and judges. Whole processes are timed, in turns.

Reported are wall-clock seconds and their ratio (checkdmarc / ours); the goal is 5, which is not reached yet. Nothing is asserted.

    python bench/verify_speed.py                 # 1,000 domains
    python bench/verify_speed.py --domains 200 --rounds 1
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests import mailworld
from tests.broken_worlds import GOOD, OUR_ID, TLSRPT
from tests.mailworld import SERVER, WEB, NameServers, Network
from tests.servers import Certificates

PEER = """\
import sys
from concurrent.futures import ThreadPoolExecutor
from checkdmarc.mta_sts import check_mta_sts
from checkdmarc.smtp_tls_reporting import check_smtp_tls_reporting

def both(domain):
    return check_mta_sts(domain)["valid"] and check_smtp_tls_reporting(domain)["valid"]

with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    found = list(pool.map(both, sys.argv[2:]))
sys.exit(0 if all(found) else f"{found.count(False)} domains are not valid")
"""


def serve(network: Network, made: Certificates, domains: list[str]) -> None:
    """Run the servers."""
    servers = NameServers(network)
    top = f"@ NS ns1\nns1 A {SERVER}\nmail NS ns1.mail\nns1.mail A {SERVER}\n"
    for domain in domains:
        name = domain.removesuffix(".test")
        top += f"{name} NS ns1.{name}\nns1.{name} A {SERVER}\n"
        servers.zone(
            domain,
            f"@ NS ns1\nns1 A {SERVER}\n@ MX 10 mx.mail.test.\nmta-sts A {WEB}\n"
            f'_mta-sts TXT "v=STSv1; id={OUR_ID};"\n_smtp._tls TXT "{TLSRPT}"\n',
        )
    servers.zone("test", top)
    servers.zone("mail.test", f"@ NS ns1\nns1 A {SERVER}\n@ MX 10 mx\nmx A 127.0.0.3\n")
    servers.start()
    place = network.directory / "www" / ".well-known"
    place.mkdir(parents=True)
    (place / "mta-sts.txt").write_bytes(GOOD)
    blocks = ""
    for first in range(0, len(domains), 100):  # a certificate with too many names is too large for some
        names = [f"mta-sts.{domain}" for domain in domains[first : first + 100]]
        file = made.issue(*names)
        tls = f"ssl_certificate {file}; ssl_certificate_key {file};"
        blocks += f"server {{ listen {WEB}:443 ssl; server_name {' '.join(names)}; {tls} root {place.parent}; }}\n"
    mailworld.start_nginx(network, blocks)


def main() -> None:
    """Run both sides in turns and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domains", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parallelism", type=int, default=20)
    options = parser.parse_args()
    domains = [f"d{number:04}.test" for number in range(options.domains)]
    ours: list[float] = []
    theirs: list[float] = []
    with mailworld.network() as (network, made):
        serve(network, made, domains)
        trust = {"REQUESTS_CA_BUNDLE": str(made.root), "SSL_CERT_FILE": str(made.root)}
        for _ in range(options.rounds):
            began = time.perf_counter()
            done = network.deploy(
                *("verify", *domains, "--no-smtp", "--ca-file", str(made.root), "--format", "json"),
                *("--parallelism", str(options.parallelism)),
            )
            ours.append(time.perf_counter() - began)
            verdicts = {one["verdict"] for one in json.loads(done.stdout)["domains"]}
            if verdicts != {"deliver"}:
                raise SystemExit(f"not every domain is delivered to: {verdicts}\n{done.stderr}")
            began = time.perf_counter()
            peer = network.run(sys.executable, "-c", PEER, str(options.parallelism), *domains, environment=trust, timeout=1800)
            theirs.append(time.perf_counter() - began)
            if peer.returncode != 0:
                raise SystemExit(f"checkdmarc: {peer.stderr[-2000:]}")
    print(f"{options.domains} domains, {options.parallelism} threads, {options.rounds} rounds (median seconds, all)")
    for name, times in (("deploy verify --no-smtp", ours), ("checkdmarc", theirs)):
        print(f"  {name:<24} {statistics.median(times):8.2f}   {' '.join(f'{one:.2f}' for one in times)}")
    print(f"  checkdmarc / ours        {statistics.median(theirs) / statistics.median(ours):8.2f}")


if __name__ == "__main__":
    main()
