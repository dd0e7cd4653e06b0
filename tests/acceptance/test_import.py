"""`import` of live domains in odd but legal forms: the first plan changes no meaning, and the first apply shows no id without its bytes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from mtasts_deploy.rfc.policy import parse_policy
from tests import mailworld
from tests.live_domains import DOMAINS, LiveDomain
from tests.mailworld import SERVER, WEB, NameServers, Network
from tests.servers import Certificates

pytestmark = [pytest.mark.acceptance, *mailworld.REQUIRES]

HEAD = f"""\
# the mail domains of the team
version: 1
providers:
  bind:
    {{class: octodns_bind.Rfc2136Provider, host: {SERVER}, port: 53, key_name: k, key_secret: env/TSIG_SECRET, key_algorithm: hmac-sha256}}
hosts:
  web: {{type: directory, path: HOST}}   # behind nginx
state: {{type: directory, path: STATE}}
defaults: {{dns: bind, host: web}}
"""
PUBLISHED = [one for one in DOMAINS if one.policy is not None and one.declared.get("sts") != "elsewhere"]


@dataclass
class Estate:
    """The world of all domains. What is served is below `www`, a link to the directory of the old server."""

    network: Network
    servers: NameServers
    made: Certificates

    def deploy(self, *arguments: str, config: str = "mta-sts.yaml") -> subprocess.CompletedProcess[str]:
        trust = ["--ca-file", str(self.made.root)] if arguments[0] != "validate" else []
        secret = {"TSIG_SECRET": self.servers.secret}
        return self.network.deploy(*arguments, "--config", config, *trust, environment=secret)

    def declare(self, host: str, config: str = "mta-sts.yaml") -> None:
        text = HEAD.replace("HOST", host).replace("STATE", f"state-{host}")
        (self.network.directory / config).write_text(text)

    def live(self) -> dict[str, tuple[str | None, str | None]]:
        """Of each domain whose record is its own: the id at the name server, and the digits of what is served."""
        program = (
            "import sys, dns.message, dns.query\n"
            "for name in sys.argv[2:]:\n"
            "    answer = dns.query.udp(dns.message.make_query(f'_mta-sts.{name}', 'TXT'), sys.argv[1], timeout=5)\n"
            "    texts = [b''.join(one.strings).decode() for rrset in answer.answer for one in rrset]\n"
            "    print(name, next((text.partition('id=')[2].partition(';')[0] for text in texts if text.startswith('v=STSv1')), ''))\n"
        )
        done = self.network.run(sys.executable, "-c", program, SERVER, *(one.name for one in PUBLISHED))
        assert done.returncode == 0, done.stderr
        return {name: (id_ or None, self.served(name)) for name, id_ in (line.split(" ") for line in done.stdout.splitlines())}

    def served(self, name: str) -> str | None:
        file = self.network.directory / "www" / f"mta-sts.{name}" / ".well-known" / "mta-sts.txt"
        return hashlib.sha256(file.read_bytes()).hexdigest()[:24] if file.exists() else None

    def lead_to(self, name: str) -> None:
        """Let the web server serve that directory."""
        link = self.network.directory / "www"
        link.unlink(missing_ok=True)
        link.symlink_to(name)


def zone(domains: list[LiveDomain]) -> str:
    lines = [f"@ NS ns1\nns1 A {SERVER}"]
    for one in domains:
        where = "" if not one.zone else f".{one.name.removesuffix(f'.{one.zone}')}"
        lines += [f"{where.lstrip('.') or '@'} {one.mx}", f"mta-sts{where} {one.address}"]
        lines += [f"_mta-sts{where} {one.sts}".replace("\n_mta-sts", f"\n_mta-sts{where}")] * bool(one.sts)
        lines += [f"_smtp._tls{where} {one.tlsrpt}"] * bool(one.tlsrpt)
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    with mailworld.network() as (network, made):
        servers = NameServers(network)
        zones = {one.name: [other for other in DOMAINS if (other.zone or other.name) == one.name] for one in DOMAINS if not one.zone}
        servers.zone("test", f"@ NS ns1\nns1 A {SERVER}\n" + "".join(f"{n} NS ns1.{n}\nns1.{n} A {SERVER}\n" for n in delegated(zones)))
        for name, domains in zones.items():
            servers.zone(name, zone(domains))
        mail = f"mx A 127.0.0.3\nxn--mller-kva A 127.0.0.3\nweb A {WEB}\n"
        servers.zone("mail.test", f"@ NS ns1\nns1 A {SERVER}\n@ MX 10 mx\n{mail}")
        servers.start()
        for one in DOMAINS:
            place = network.directory / "old" / f"mta-sts.{one.name}" / ".well-known"
            if one.policy is not None:
                place.mkdir(parents=True)
                (place / "mta-sts.txt").write_bytes(one.policy)
        (network.directory / "new").mkdir()
        certificate = made.issue(*(f"mta-sts.{one.name}" for one in DOMAINS))
        world = Estate(network, servers, made)
        world.lead_to("old")
        root = network.directory / "www"
        server = f"listen {WEB}:443 ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}; root {root}/$host;"
        mailworld.start_nginx(network, f"server {{ {server} }}\n")
        world.declare("new")
        yield world


def delegated(zones: dict[str, list[LiveDomain]]) -> list[str]:
    return [name.removesuffix(".test") for name in zones] + ["mail"]


def written(path: Path) -> dict[str, object]:
    found = yaml.safe_load(path.read_text())["domains"]
    return dict(found)


def test_where_the_declared_host_serves_already_the_plan_says_the_same(estate: Estate):
    estate.declare("old", "there.yaml")
    names = estate.network.directory / "names.txt"
    names.write_text("# all of ours\n" + "".join(f"{one.name}  # live\n" for one in DOMAINS))
    done = estate.deploy("import", "--from-file", str(names), config="there.yaml")
    assert done.returncode == 0, done.stderr
    time.sleep(2)  # the TTL of the address at which an id of our form was found, as after a lost ledger
    assert only_our_form(estate, "there.yaml") == {one.name for one in DOMAINS} - {"reports.test"}
    done = estate.deploy("import", "--from-file", str(names), config="there.yaml")
    assert (done.returncode, "Import: 0 written" in done.stderr) == (0, True), "what is declared stays"


def test_import_then_plan_shows_only_our_form_and_no_id_is_seen_without_its_bytes(estate: Estate):
    path = estate.network.directory / "mta-sts.yaml"
    before = path.read_text()
    done = estate.deploy("import", *(one.name for one in DOMAINS))
    assert done.returncode == 0, done.stderr
    text = path.read_text()
    assert text.startswith(before)
    assert {name.encode("idna").decode(): settings for name, settings in written(path).items()} == {
        one.name: one.declared for one in DOMAINS
    }
    assert estate.deploy("validate").returncode == 0
    time.sleep(2)  # as above
    assert only_our_form(estate) == {one.name for one in DOMAINS} - {"reports.test"}  # there all is as it should be

    live = estate.live()
    done = estate.deploy("apply", "--auto-approve", "--barrier-timeout", "2s")
    assert done.returncode == 6, done.stdout + done.stderr
    for name, (id_, digits) in estate.live().items():
        if id_ != live[name][0]:
            assert id_ is not None
            assert id_[:24] == digits, f"{name}: an id has moved while the old server still served"
    assert sum(id_ == live[name][0] for name, (id_, _) in estate.live().items()) > 10

    modes = {one.name: parse_policy(one.policy).mode for one in PUBLISHED if one.policy is not None}
    estate.lead_to("new")
    only_our_form(estate)
    done = estate.deploy("apply", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, (id_, digits) in estate.live().items():
        assert id_ is not None
        assert id_[:24] == digits
        assert len(id_) == 24 or name == "our-form.test"
    for name, mode in modes.items():
        file = estate.network.directory / "new" / f"mta-sts.{name}" / ".well-known" / "mta-sts.txt"
        assert parse_policy(file.read_bytes()).mode is mode
    done = estate.deploy("plan", "--detailed-exitcode")
    assert done.returncode == 0, done.stdout
    done = estate.deploy("rollback", "crlf.test", "year.test", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (estate.network.directory / "www/mta-sts.crlf.test/.well-known/mta-sts.txt").read_bytes() == DOMAINS[0].policy


def only_our_form(estate: Estate, config: str = "mta-sts.yaml") -> set[str]:
    """The plan has no line that changes the meaning of anything; the domains in it."""
    done = estate.deploy("plan", "--format", "json", config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    plan = json.loads(done.stdout)
    for one in plan["domains"]:
        assert one["verdict"] in ("changed", "unchanged"), one
        for line in one["lines"]:
            what, text = line["what"], line["text"]
            if line["action"] == "=":
                continue
            assert line["action"] == "~", one
            assert {
                "policy": text.startswith("same policy, our form"),
                "_mta-sts": text.startswith("id ") and "ttl" not in text,
                "_smtp._tls": text == "same record, our form",
            }[what], one
    return {one["domain"] for one in plan["domains"]}
