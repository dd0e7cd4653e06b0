"""`verify` in broken worlds of real servers (`tests/broken_worlds.py`), beside what postfix-mta-sts-resolver and checkdmarc say of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from mtasts_deploy.rfc.policy import policy_id
from tests import mailworld
from tests.broken_worlds import DIFFERENCES, GOOD, OUR_ID, WORLDS, World
from tests.mailworld import OTHER_SERVER, ROOT, SERVER, WEB, NameServers, Network, Postfix
from tests.schemas import faults
from tests.servers import Certificates

pytestmark = [pytest.mark.acceptance, *mailworld.REQUIRES]

MAIL = {world.mail: f"127.3.0.{number}" for number, world in enumerate((world for world in WORLDS if world.mail), 1)}
ROGUES = ("stripped", "garbage", "closing", "endless", "lines", "dripping", "silent", "deaf")
POSTFIX = {
    "no-starttls": "-o smtpd_tls_security_level=none",
    "tls11": "-o smtpd_tls_protocols=TLSv1.1 -o smtpd_tls_mandatory_protocols=TLSv1.1",
    "late": "-o smtpd_delay_reject=no -o { smtpd_client_restrictions = sleep 15 }",
    "turning-away": "-o smtpd_delay_reject=no -o { smtpd_client_restrictions = reject }",
}


@dataclass(frozen=True)
class Seen:
    """What everybody says."""

    ours: Mapping[str, Any]
    others: Mapping[str, Mapping[str, str]]
    stderr: str
    page: str


def certificate(kind: str, name: str, made: Certificates) -> Path:
    """A certificate of that kind for that name."""
    match kind:
        case "expired":
            return made.issue(name, days=(-30, -1))
        case "not-yet":
            return made.issue(name, days=(1, 30))
        case "soon":
            return made.issue(name, days=(-1, 5))
        case "other-name":
            return made.issue("www.example.test")
        case "unknown-ca":
            return made.issue(name, ca=trustme.CA())
        case "no-intermediate":
            whole = made.issue(name, ca=made.ca.create_child_ca())
            blocks = whole.read_text().split("-----BEGIN CERTIFICATE-----")
            whole.write_text("-----BEGIN CERTIFICATE-----".join(blocks[:2]))
            return whole
        case "self-signed":
            return made.self_signed(name)
        case "common-name":
            return made.issue_odd(common_name=name)
        case "partial-wildcard":
            return made.issue_odd(name.replace("mta-", "*-", 1))
        case "wildcard":
            return made.issue("*." + name.partition(".")[2])
        case _:
            return made.issue(name)


def dns(servers: NameServers) -> None:
    """Every zone."""
    top = f"@ NS ns1.test.\nns1 A {SERVER}\nmail NS ns1.mail\nns1.mail A {SERVER}\nlame NS ns1.lame\nns1.lame A {OTHER_SERVER}\n"
    for world in WORLDS:
        if not world.exists:
            continue
        top += f"{world.name} NS ns1.{world.name}\nns1.{world.name} A {SERVER}\n"
        sts = world.sts if world.sts is not None else (f'"v=STSv1; id={policy_id(world.policy)};"',)
        address = world.address if world.address is not None else "AAAA ::1" if world.at == "[::1]" else f"A {world.at or WEB}"
        lines = [f"@ NS ns1\nns1 A {SERVER}", world.mx, world.zone.rstrip("\n"), *(f"_mta-sts TXT {value}" for value in sts)]
        lines += [f"mta-sts {address}"] * bool(address) + [f'_smtp._tls TXT "{world.tlsrpt}"'] * bool(world.tlsrpt)
        servers.zone(world.domain, "\n".join(lines) + "\n")
        if other := world.extra.get("other id"):
            servers.zone(world.domain, "\n".join(lines).replace(OUR_ID, other) + "\n", server=OTHER_SERVER)
    servers.zone("test", top)
    hosts = "".join(f"{kind} A {address}\n" for kind, address in MAIL.items())
    servers.zone(
        "mail.test",
        f"@ NS ns1\nns1 A {SERVER}\n@ MX 10 mx\nmx A 127.0.0.3\nother A 127.0.0.4\nvery.deep A 127.0.0.4\nalias CNAME mx\n"
        f'dead A 127.2.0.99\nsix A 127.0.0.5\nsix AAAA fd00:25::2\nrecord TXT "v=STSv1; id={OUR_ID};"\n{hosts}',
    )


def web(network: Network, made: Certificates) -> None:
    """Nginx: all policy hosts."""
    blocks = ""
    for world in WORLDS:
        host = f"mta-sts.{world.domain}"
        place = network.directory / "www" / host / ".well-known"
        place.mkdir(parents=True)
        (place / "mta-sts.txt").write_bytes(world.policy)
        file = certificate(world.certificate, host, made)
        body = f"server_name {host}; root {place.parent}; location = /.well-known/mta-sts.txt {{ {world.web} }}"
        blocks += (
            f"server {{ listen {world.at or WEB}:443 ssl; ssl_certificate {file}; ssl_certificate_key {file}; {world.server} {body} }}\n"
        )
        if world.name == "web-two-policies":
            other = network.directory / "other" / ".well-known"
            other.mkdir(parents=True)
            (other / "mta-sts.txt").write_bytes(GOOD.replace(b"604800", b"1209600"))
            blocks += f"server {{ listen 127.2.0.3:443 ssl; ssl_certificate {file}; ssl_certificate_key {file}; root {other.parent}; }}\n"
    mailworld.start_nginx(network, blocks)


def mail(network: Network, made: Certificates) -> None:
    """Postfix at many addresses, and what no Postfix can be made to do."""
    services = []
    hosts = {"mx": "127.0.0.3", "other": "127.0.0.4", "six": "127.0.0.5"} | {
        kind: at for kind, at in MAIL.items() if kind not in (*ROGUES, "refusing")
    }
    for kind, address in hosts.items():
        names = ["mx.mail.test", "alias.mail.test"] if kind == "mx" else [f"{kind}.mail.test"]
        file = made.issue(*names, "very.deep.mail.test") if kind in ("mx", "other") else certificate(kind, names[0], made)
        if kind == "no-key":
            file.write_bytes(made.issue("x.test").read_bytes().split(b"-----BEGIN CERTIFICATE-----")[0])
        services.append(f"{address}:25 inet n - n - - smtpd -o smtpd_tls_chain_files={file} {POSTFIX.get(kind, '')}")
    Postfix(network, "mx", services, ["myhostname = mx.mail.test", "smtpd_tls_security_level = may"]).start(("127.0.0.3", 25))
    places = [(kind, MAIL[kind], "25") for kind in ROGUES] + [("silent", "127.9.0.1", "443")]
    arguments = [word for place in places for word in place]
    network.start("rogues", sys.executable, str(ROOT / "tests/rogues.py"), *arguments, ready=lambda: network.answers(MAIL["deaf"], 25))


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    with mailworld.network() as (network, made):
        servers = NameServers(network)
        dns(servers)
        servers.start()
        web(network, made)
        mail(network, made)
        names = [world.domain for world in WORLDS]
        done = network.deploy("verify", *names, "--ca-file", str(made.root), "--timeout", "6s", "--parallelism", "100", "--format", "json")
        assert done.stdout, done.stderr
        trust = {"SSL_CERT_FILE": str(made.root), "REQUESTS_CA_BUNDLE": str(made.root)}
        judged = [world.domain for world in WORLDS if not world.mail]
        others = network.run(sys.executable, str(ROOT / "tests/other_checkers.py"), *judged, environment=trust)
        assert others.stdout, others.stderr
        document = json.loads(done.stdout)
        assert faults("verify", document) == []
        (network.directory / "empty").mkdir()
        page = network.deploy("verify", "fine.test", "web-expired.test", "--ca-file", str(made.root), directory=network.directory / "empty")
        yield Seen({one["domain"]: one for one in document["domains"]}, json.loads(others.stdout), done.stderr, page.stdout)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_verify_says_what_a_sender_would_do_and_why(seen: Seen, world: World):
    report = seen.ours[world.domain]
    codes = sorted(finding["code"] for finding in report["findings"] if finding["severity"] != "note")
    assert (report["verdict"], codes) == (world.verdict, sorted(world.codes)), report["why"]


def test_in_an_empty_directory_there_is_a_useful_page(seen: Seen):
    lines = seen.page.splitlines()
    assert lines[0].startswith("fine.test: deliver: over verified TLS to the MX host mx.mail.test"), seen.page
    assert next(line for line in lines if line.startswith("web-expired.test")).startswith("web-expired.test: deliver unprotected"), (
        seen.page
    )
    assert "certificate has expired" in seen.page
    assert "sts-webpki-invalid" in seen.page
    assert any("hint" in line.lower() or "Renew" in line for line in lines), seen.page


def test_there_are_worlds_enough():
    assert len(WORLDS) >= 50
    assert len({world.name for world in WORLDS}) == len(WORLDS)


def taken(report: Mapping[str, Any]) -> str:
    """What a sender has of the domain by our report, in the words of `other_checkers`."""
    if report["policy"] is not None and report["id"] is not None:
        return str(report["policy"]["mode"])
    return "none" if report["id"] is None and report["sts_record"]["answer"] != "server failure" else "error"


@pytest.mark.parametrize("world", [world for world in WORLDS if not world.mail], ids=lambda world: world.name)
def test_others_say_the_same_or_the_rfc_says_why_not(seen: Seen, world: World):
    ours = taken(seen.ours[world.domain])
    report = seen.ours[world.domain]
    valid = "valid" if report["id"] is not None and report["policy"] is not None else "invalid"
    difference = DIFFERENCES.get(world.name)
    theirs = (seen.others["resolver"][world.domain], seen.others["checkdmarc"][world.domain])
    if difference is None:
        assert theirs == (ours, valid)
    else:
        assert theirs == (difference.resolver or ours, difference.checkdmarc or valid)
        assert theirs != (ours, valid)
        assert "RFC 8461 §" in difference.why


def test_every_certificate_and_host_problem_has_the_name_that_tls_reports_give_it(seen: Seen):
    types = {finding.get("tls_report") for report in seen.ours.values() for finding in report["findings"]}
    assert types >= {
        "sts-policy-fetch-error",
        "sts-policy-invalid",
        "sts-webpki-invalid",
        "starttls-not-supported",
        "certificate-expired",
        "certificate-host-mismatch",
        "certificate-not-trusted",
        "validation-failure",
    }
