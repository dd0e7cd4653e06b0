"""DANE beside MTA-STS: what DNSSEC proves is said as proved, nothing else is. Knot signs zones, unbound validates them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.dns import Dns
from mtasts_deploy.sender.names import Outcome
from mtasts_deploy.sender.options import Detour, Endpoint, Looking
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.model import Delivery, DomainReport
from mtasts_deploy.verify.run import verify
from tests.net import NOW, STS, Net
from tests.servers import free_port, listening, running

pytestmark = [pytest.mark.integration, pytest.mark.services("knotd", "unbound")]

LOOPBACK = "127.0.0.1"
SIGNED = ("signed.example", "bogus.example")
TLSA = "TLSA 3 1 1 " + 64 * "a"
ZONES = {
    "signed.example": f"@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx {TLSA}\n"
    "to-plain MX 10 mx.plain.example.\nno-tlsa MX 10 bare\nbare A 192.0.2.1\n",
    "bogus.example": f"@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx {TLSA}\n",
    "plain.example": f"@ MX 10 mx\nmx A 192.0.2.1\n_25._tcp.mx {TLSA}\n",
}


@dataclass
class World:
    """A server of zones, and two resolvers: one that validates, one that does not."""

    server: int
    validating: int
    trusting: int

    def look(self, domain: str, resolver: int) -> DomainReport:
        """The verdict about a domain, its policy host and its MX hosts being fine."""
        detours = (Detour(host=LOOPBACK, port=53, to=Endpoint(address=LOOPBACK, port=self.server)),)
        looking = Looking(resolver=Endpoint(address=LOOPBACK, port=resolver), detours=detours)
        eyes = Eyes(lookups=Dns(looking), fetcher=Net(), prober=None, looking=looking, clock=lambda: NOW)
        return verify([Domain.parse(domain)], eyes).domains[0]


def dane(report: DomainReport) -> list[tuple[str, str]]:
    """Code and message of what is said about DANE."""
    found = [finding for finding in report.findings if finding.code in ("MTS640", "MTS641")]
    assert all(finding.severity is Severity.NOTE for finding in found)
    return [(finding.code, finding.message) for finding in found]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("dane")
    made = World(free_port(), free_port(), free_port())
    with running(["knotd", "-c", str(knot(place / "knot", made.server))], lambda: keys(made.server, "bogus.example") != [], place / "log"):
        # The anchor of bogus.example is the key of another zone: nothing there can be proved.
        anchors = [f"signed.example. DNSKEY {key}" for key in keys(made.server, "signed.example")]
        anchors += [f"bogus.example. DNSKEY {key}" for key in keys(made.server, "signed.example")]
        validating = unbound(place / "validating", made.validating, made.server, anchors)
        trusting = unbound(place / "trusting", made.trusting, made.server, [])
        with (
            running(["unbound", "-d", "-c", str(validating)], lambda: listening(LOOPBACK, made.validating), place / "log-v"),
            running(["unbound", "-d", "-c", str(trusting)], lambda: listening(LOOPBACK, made.trusting), place / "log-t"),
        ):
            yield made


def knot(place: Path, port: int) -> Path:
    """Knot with the zones, of which two are signed."""
    for part in ("zones", "db"):
        (place / part).mkdir(parents=True)
    head = "$TTL 60\n@ SOA ns1 root 1 3600 600 86400 30\n@ NS ns1\nns1 A 127.0.0.1\n"
    common = f'_mta-sts TXT "{STS.decode()}"\n_smtp._tls TXT "v=TLSRPTv1; rua=https://reports.example/v1"\nmta-sts A 192.0.2.80\n'
    blocks = ""
    for zone in ZONES:
        (place / "zones" / f"{zone}.zone").write_text(f"$ORIGIN {zone}.\n{head}{common}{ZONES[zone]}")
        blocks += f"  - domain: {zone}\n    dnssec-signing: {'on' if zone in SIGNED else 'off'}\n"
    (place / "knot.conf").write_text(
        f"server:\n  listen: {LOOPBACK}@{port}\n  rundir: {place}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"
        f"log:\n  - target: stderr\n    any: warning\ndatabase:\n  storage: {place}/db\n  journal-db-max-size: 64M\n"
        "  kasp-db-max-size: 10M\n  timer-db-max-size: 10M\n"
        f'template:\n  - id: default\n    storage: {place}/zones\n    file: "%s.zone"\n    zonefile-sync: -1\n    semantic-checks: off\n'
        f"zone:\n{blocks}"
    )
    return place / "knot.conf"


def unbound(place: Path, port: int, server: int, anchors: list[str]) -> Path:
    """Unbound that knows these zones only; it validates what it has an anchor for."""
    place.mkdir()
    modules = "validator iterator" if anchors else "iterator"
    stubs = "".join(f"stub-zone:\n name: {zone}\n stub-addr: {LOOPBACK}@{server}\n" for zone in ZONES)
    trust = "".join(f' trust-anchor: "{anchor}"\n' for anchor in anchors)
    (place / "unbound.conf").write_text(
        f'server:\n interface: {LOOPBACK}@{port}\n do-daemonize: no\n username: ""\n chroot: ""\n directory: "{place}"\n'
        f' pidfile: "{place}/pid"\n use-syslog: no\n do-ip6: no\n do-not-query-localhost: no\n local-zone: "example." transparent\n'
        f' module-config: "{modules}"\n{trust}remote-control:\n control-enable: no\n{stubs}'
    )
    return place / "unbound.conf"


def keys(port: int, zone: str) -> list[str]:
    """The keys of a zone, as its server says; none before it has signed it."""
    try:
        answer = dns.query.udp(dns.message.make_query(f"{zone}.", "DNSKEY"), LOOPBACK, port=port, timeout=1)
    except (dns.exception.DNSException, OSError):
        time.sleep(0.1)
        return []
    return [rdata.to_text() for rrset in answer.answer if rrset.rdtype == dns.rdatatype.DNSKEY for rdata in rrset]


def test_tlsa_records_in_signed_zones_are_said_to_be_signed(world: World):
    report = world.look("signed.example", world.validating)
    assert dane(report) == [("MTS640", "the MX host mx.signed.example has TLSA records, signed with DNSSEC")]


def test_tlsa_records_without_a_signature_are_said_to_be_so(world: World):
    ((code, message),) = dane(world.look("plain.example", world.validating))
    assert (code, "DNSSEC does not prove the TLSA records" in message) == ("MTS641", True)


def test_the_records_of_the_domain_count_as_those_of_the_host_do(world: World):
    ((code, message),) = dane(world.look("to-plain.signed.example", world.validating))
    assert (code, "mx.plain.example" in message, "DNSSEC does not prove the TLSA records" in message) == ("MTS641", True, True)


def test_without_tlsa_records_nothing_is_said(world: World):
    assert dane(world.look("no-tlsa.signed.example", world.validating)) == []


def test_a_resolver_that_does_not_validate_proves_nothing(world: World):
    ((code, message),) = dane(world.look("signed.example", world.trusting))
    assert (code, "does not prove" in message, f"says {LOOPBACK}:{world.trusting}" in message) == ("MTS641", True, True)


def test_a_broken_signature_is_a_failure_of_the_look_up_and_no_word_about_dane(world: World):
    report = world.look("bogus.example", world.validating)
    assert report.sight.mx.outcome is Outcome.FAILED
    assert report.delivery is Delivery.UNKNOWN
    assert dane(report) == []
    said = next(finding for finding in report.findings if finding.code == "MTS637")
    assert "SERVFAIL" in said.message
    assert "DNSSEC" in (said.hint or "")
