"""A policy host moves, with real name servers, real web servers and a sender that has the old address in its cache all along.

Host, address and bytes change in one commit; an independent sender looks many times a second, at every address that it may still have.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from mtasts_deploy.adapters import fetcher, name_servers
from mtasts_deploy.apply.report import Event, Outcome, Result
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.options import Detour, Endpoint, Looking
from tests.estates import codes, deploy
from tests.nameservers import LOOPBACK, Bind, Knot, PowerDns, Rrset, Server, running
from tests.servers import HOST, Certificates, Nginx, free_port

pytestmark = [pytest.mark.acceptance, pytest.mark.services("nginx")]

EXAMPLE = Domain.parse("example.com")
TTL = 4
WEB, CDN, LATE = "127.0.0.2", "127.0.0.3", "127.0.0.4"
KINDS = [pytest.param(kind, marks=pytest.mark.services(kind.program), id=kind.__name__) for kind in (PowerDns, Bind, Knot)]
ZONE = [
    Rrset("@", "NS", 3600, ("ns1.example.com.",)),
    Rrset("ns1", "A", 3600, (LOOPBACK,)),
    Rrset("@", "MX", 600, ("10 mx.example.com.",)),
    Rrset("mx", "A", 300, ("192.0.2.25",)),
    Rrset("old", "A", TTL, (WEB,)),
    Rrset("new", "A", TTL, (CDN,)),
    Rrset("beside.mta-sts", "TXT", 300, ('"theirs"',)),
]
SITE = """
server {{
  listen {address}:{port} ssl; server_name {host}; ssl_certificate {certificate}; ssl_certificate_key {certificate};
  location = /.well-known/mta-sts.txt {{ root {root}; default_type text/plain; }}
}}
"""


@dataclass
class Sender:
    """Resolves, fetches and remembers addresses for their TTL, in a thread. Written from RFC 8461 §3.1 and §3.3.

    `order` are the policies in the order in which they were published: what is served must be what the id names, or newer.
    """

    dns_port: int
    https_port: int
    roots: Path
    addresses: dict[str, float] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    looks: int = 0
    at: dict[str, set[str]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def looking(self) -> Iterator[Sender]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join(30)

    def _run(self) -> None:
        while not self._over.wait(0.03):
            with suppress(dns.exception.DNSException, OSError):
                self._look()

    def _look(self) -> None:
        for address in self._ask(HOST, "A"):
            self.addresses[address] = time.monotonic() + TTL
        found = [match[1] for text in self._ask("_mta-sts.example.com", "TXT") if (match := re.search(r"id=([0-9a-f]{24})", text))]
        for id_ in found:
            if id_ not in self.ids:
                self.ids.append(id_)
            for address in [one for one, until in self.addresses.items() if time.monotonic() < until]:
                self._judge(id_, address, self._fetch(address))
        self.looks += 1

    def _judge(self, id_: str, address: str, body: bytes | None) -> None:
        digits = "" if body is None else hashlib.sha256(body).hexdigest()[:24]
        self.at.setdefault(address, set()).add(digits)
        if digits and digits not in self.order:
            self.order.append(digits)
        if id_ not in self.order:
            self.problems.append(f"the id {id_} is seen, and its bytes never were: {address} has {digits}")
        elif digits not in self.order[self.order.index(id_) :]:
            self.problems.append(f"the id {id_} is seen, and {address} has {digits or 'nothing'}")

    def _ask(self, name: str, kind: str) -> list[str]:
        question = dns.message.make_query(name, kind)
        answer = dns.query.udp(question, LOOPBACK, timeout=2, port=self.dns_port)
        return [rdata.to_text() for rrset in answer.answer if rrset.rdtype == dns.rdatatype.from_text(kind) for rdata in rrset]

    def _fetch(self, address: str) -> bytes | None:
        context = ssl.create_default_context(cafile=str(self.roots))
        with (
            socket.create_connection((address, self.https_port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as tls,
        ):
            tls.sendall(f"GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while part := tls.recv(65536):
                data += part
        head, _, body = data.partition(b"\r\n\r\n")
        return body if b" 200 " in head.partition(b"\r\n")[0] else None


@dataclass
class Estate:
    """One domain at a real server; `web` serves at one address, `cdn` at another."""

    directory: Path
    server: Server
    certificates: Certificates
    port: int
    patience: timedelta = timedelta(seconds=30)
    events: list[Event] = field(default_factory=list)

    def deployment(self, settings: str) -> Deployment:
        hosts = ", ".join(f"{name}: {{type: directory, path: {self.directory / name}}}" for name in ("web", "cdn"))
        text = f"  example.com: {{confirm: https, ttl: {TTL}, {settings}}}\n"
        made = deploy(self.directory, {"dns": self.server.block()}, text, more=f"hosts: {{{hosts}}}\n")
        domains = {domain: replace(one, by_hand=False) for domain, one in made.declaration.domains.items()}
        made.declaration = replace(made.declaration, domains=domains)
        detours = [Detour(host=one, port=443, to=Endpoint(address=one, port=self.port)) for one in (WEB, CDN, LATE)]
        looking = Looking(
            resolver=Endpoint(address=LOOPBACK, port=self.server.port),
            detours=(*detours, Detour(host=LOOPBACK, port=53, to=Endpoint(address=LOOPBACK, port=self.server.port))),
            ca_file=self.certificates.root,
            timeout=5,
        )
        made.fetcher = lambda: fetcher(looking)
        made.name_servers = lambda: name_servers(looking)
        made.emit = self.events.append
        made.clock = lambda: datetime.now(UTC).replace(microsecond=0)
        return made

    def apply(self, settings: str) -> Result:
        result = self.deployment(settings).apply(options=Options(barrier_timeout=self.patience))
        assert result is not None
        return result

    def policy(self, host: str) -> Path:
        return self.directory / host / HOST / ".well-known" / "mta-sts.txt"

    def until_done(self, settings: str) -> None:
        for _ in range(40):
            result = self.apply(settings)
            assert result.exit_code == 0, (codes(result), result)
            if result.outcomes[EXAMPLE] in (Outcome.DONE, Outcome.UNCHANGED):
                return
            time.sleep(0.5)
        raise AssertionError(f"not done: {self.deployment(settings).plan().domains[0]}")


@pytest.fixture(params=KINDS)
def estate(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    monkeypatch.setattr("mtasts_deploy.observe.NEGATIVE_TTL", TTL)
    (tmp_path / "ca").mkdir()
    certificates = Certificates(tmp_path / "ca")
    good, port = certificates.issue(HOST), free_port()
    sites = "".join(
        SITE.format(address=address, port=port, host=HOST, certificate=good, root=tmp_path / "here" / name / HOST)
        for address, name in ((WEB, "web"), (CDN, "cdn"))
    )
    with running(request.param, tmp_path / "dns", {"example.com": ZONE}) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with Nginx(tmp_path / "nginx", (WEB, port), (CDN, port)).serving(sites):
            yield Estate(directory=tmp_path / "here", server=server, certificates=certificates, port=port)


def test_a_sender_with_the_old_address_never_meets_an_id_without_its_bytes(estate: Estate):
    before = estate.server.dump("example.com")
    with Sender(dns_port=estate.server.port, https_port=estate.port, roots=estate.certificates.root).looking() as sender:
        estate.until_done("host: web, address: {cname: old.example.com}")
        assert not estate.policy("cdn").exists()
        first = estate.policy("web").read_bytes()

        settings = "host: cdn, address: {cname: new.example.com}, max_age: 2w"
        result = estate.apply(settings)
        assert result.outcomes[EXAMPLE] is Outcome.WAITING, codes(result)
        assert estate.policy("cdn").read_bytes() == estate.policy("web").read_bytes() == first, "the move brings no new bytes"
        result = estate.apply(settings)
        assert result.exit_code == 0, codes(result)
        assert estate.policy("cdn").read_bytes() == estate.policy("web").read_bytes() != first
        estate.until_done(settings)

        last = "host: cdn, address: {a: [127.0.0.3]}, max_age: 3w"
        estate.until_done(last)
        assert b"max_age: 1814400" in estate.policy("cdn").read_bytes()
        assert b"max_age: 1209600" in estate.policy("web").read_bytes(), "the old host was left long ago"
    assert len(sender.ids) == 3, sender.ids
    assert sender.looks > 50
    assert len(sender.at[WEB]) == 2, "the new bytes were met at the old address, too"
    assert not sender.problems, sender.problems[:5]
    after = {row for row in estate.server.dump("example.com") if row[0] not in ("_mta-sts.example.com", "_smtp._tls.example.com", HOST)}
    assert after == {row for row in before if row[0] != HOST}
    assert [row[1] for row in estate.server.dump("example.com") if row[0] == HOST] == ["A"]


def test_an_address_that_serves_something_else_is_never_led_to(estate: Estate):
    estate.until_done("host: web, address: {cname: old.example.com}")
    estate.patience = timedelta(seconds=3)
    result = estate.apply("host: web, address: {cname: new.example.com}")
    assert result.outcomes[EXAMPLE] is not Outcome.DONE
    assert result.exit_code == 1, codes(result)
    assert [row[3] for row in estate.server.dump("example.com") if row[0] == HOST] == ["old.example.com."]


@contextmanager
def late(estate: Estate, tmp_path: Path, certificate: Path) -> Iterator[None]:
    """A third place, which serves what `web` holds with this certificate."""
    root = estate.directory / "web" / HOST
    site = SITE.format(address=LATE, port=estate.port, host=HOST, certificate=certificate, root=root)
    with Nginx(tmp_path / f"late{time.monotonic_ns()}", (LATE, estate.port)).serving(site):
        yield


def test_a_certificate_that_comes_when_the_name_leads_there_is_waited_for(estate: Estate, tmp_path: Path):
    """As with ACME: the first address is written, and the record follows when the certificate is there; whoever moves must have one."""
    estate.patience = timedelta(seconds=3)
    settings = f"host: web, address: {{a: [{LATE}]}}"
    with late(estate, tmp_path, estate.certificates.self_signed(HOST)):
        result = estate.apply(settings)
        assert (result.outcomes[EXAMPLE], result.exit_code) == (Outcome.WAITING, 0), codes(result)
        assert any(event.text.startswith("certificate: ") for event in estate.events)
        assert [row[3] for row in estate.server.dump("example.com") if row[0] == HOST] == [LATE]
        time.sleep(TTL)
        result = estate.apply(settings)
        assert (result.outcomes[EXAMPLE], result.exit_code) == (Outcome.WAITING, 0), codes(result)
        assert estate.server.txt("example.com", "_mta-sts.example.com") == []
    with late(estate, tmp_path, estate.certificates.issue(HOST)):
        estate.until_done(settings)
    assert len(estate.server.txt("example.com", "_mta-sts.example.com")) == 1


def test_a_live_policy_does_not_move_to_where_the_certificate_is_missing(estate: Estate, tmp_path: Path):
    estate.until_done("host: web, address: {cname: old.example.com}")
    estate.patience = timedelta(seconds=3)
    settings = f"host: web, address: {{a: [{LATE}]}}"
    with late(estate, tmp_path, estate.certificates.self_signed(HOST)):
        result = estate.apply(settings)
        assert result.exit_code == 1, codes(result)
        assert codes(result)[0] in ("MTS511", "MTS512", "MTS513"), codes(result)
        assert [row[3] for row in estate.server.dump("example.com") if row[0] == HOST] == ["old.example.com."]
    with late(estate, tmp_path, estate.certificates.issue(HOST)):
        estate.until_done(settings)
        assert [row[3] for row in estate.server.dump("example.com") if row[0] == HOST] == [LATE]
