"""The strict fetcher against real servers: nginx, and a socket that misbehaves (`rfc.md` part 6, ENG-5, ENG-6)."""

from __future__ import annotations

import gzip
import resource
import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
import yaml

from mtasts_deploy.errors import UsageError
from mtasts_deploy.facts import Fetched
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.https import StrictFetcher
from mtasts_deploy.sender.names import Addresses
from mtasts_deploy.sender.options import Detour, Endpoint, Looking
from tests.servers import HOST, Certificates, Nginx, free_port, hostile, listening

pytestmark = pytest.mark.integration

EXAMPLE = Domain.parse("example.com")
POLICY = b"version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmax_age: 604800\r\n"
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "vectors.yaml"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def good(certificates: Certificates) -> Path:
    return certificates.issue(HOST)


def fetch(certificates: Certificates, port: int, *, timeout: float = 10, address: str = "127.0.0.1") -> Fetched:
    looking = Looking(
        ca_file=certificates.root, detours=(Detour(host=HOST, port=443, to=Endpoint(address=address, port=port)),), timeout=timeout
    )
    (found,) = StrictFetcher(looking).fetch(EXAMPLE, known=False)
    return found


def code(found: Fetched) -> str | None:
    return None if found.problem is None else found.problem.code


@pytest.fixture
def web(tmp_path: Path, good: Path, certificates: Certificates) -> Iterator[Callable[..., Fetched]]:
    """Serves the policy by nginx with these directives and fetches it."""
    place = tmp_path / ".well-known"
    place.mkdir()
    (place / "mta-sts.txt").write_bytes(POLICY)
    port = free_port()

    def served(location: str = "", *, certificate: Path = good, server: str = "") -> Fetched:
        block = f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}; {server} "
        block += f"root {tmp_path}; "
        block += f"location = /.well-known/mta-sts.txt {{ {location} }} }}"
        with Nginx(tmp_path / "nginx", ("127.0.0.1", port)).serving(block):
            return fetch(certificates, port)

    yield served
    shutil.rmtree(tmp_path / "nginx", ignore_errors=True)


@pytest.mark.services("nginx")
class TestNginx:
    def test_a_policy_is_fetched_as_it_is_stored(self, web: Callable[..., Fetched]):
        found = web()
        assert (code(found), found.status, found.content_type, found.body, found.warnings) == (None, 200, "text/plain", POLICY, ())
        assert found.date is not None
        assert abs((found.date - datetime.now(UTC)).total_seconds()) < 60
        assert found.not_after is not None
        assert 28 < (found.not_after - datetime.now(UTC)).days < 31
        assert (found.freshness, found.shared_cache) == (None, ())

    @pytest.mark.parametrize(
        ("location", "expected"),
        [
            ("return 301 https://www.example.com/.well-known/mta-sts.txt;", "MTS520"),
            ("return 404;", "MTS521"),
            ("return 204;", "MTS521"),
            ("default_type text/html;", "MTS523"),
            ('default_type "";', "MTS522"),
            ("add_header Content-Encoding gzip;", "MTS524"),
        ],
    )
    def test_what_senders_refuse_is_named(self, web: Callable[..., Fetched], location: str, expected: str):
        assert code(web(location)) == expected

    def test_a_redirect_is_told_with_its_target(self, web: Callable[..., Fetched]):
        found = web("return 302 https://www.example.com/elsewhere;")
        assert found.problem is not None
        assert "https://www.example.com/elsewhere" in found.problem.message
        assert "sts-policy-fetch-error" in (found.problem.hint or "")

    def test_caches_and_freshness_are_seen(self, web: Callable[..., Fetched]):
        found = web('add_header X-Cache HIT; add_header Age 7; add_header Cache-Control "public, max-age=60, s-maxage=300";')
        assert (found.freshness, found.shared_cache, found.date) == (300, ("age: 7", "x-cache: HIT"), None)

    def test_tls_1_1_is_refused(self, web: Callable[..., Fetched]):
        found = web(server='ssl_protocols TLSv1.1; ssl_ciphers "ALL:@SECLEVEL=0";')
        assert code(found) in ("MTS516", "MTS518")
        assert "sts-webpki-invalid" in ((found.problem and found.problem.hint) or "")

    @pytest.mark.parametrize("vector", [one["id"] for one in yaml.safe_load(VECTORS.read_text()) if one["kind"] == "policy_cert"])
    def test_certificates_are_judged_as_the_vectors_say(self, web: Callable[..., Fetched], certificates: Certificates, vector: str):
        one = next(one for one in yaml.safe_load(VECTORS.read_text()) if one["id"] == vector)
        asked = one["input"]
        names = [name.replace(asked["policy_host"], HOST).replace("example.org", "example.com") for name in asked["san_dns"]]
        if asked["policy_host"] == "mta-sts.mail.example.org":
            names = ["*.com"]  # one label too few for the wildcard, as in the vector
        days = (-30, -1) if asked["expired"] else (-1, 30)
        issuer = certificates.ca if asked["trusted"] else trustme.CA()
        if asked.get("chain_complete") is False:
            issuer = certificates.ca.create_child_ca()
        odd = not names or any("-*" in name for name in names)
        common_name = HOST if not names else ""
        path = certificates.issue_odd(*names, common_name=common_name) if odd else certificates.issue(*names, days=days, ca=issuer)
        if asked.get("chain_complete") is False:
            pem = path.read_text().split("-----BEGIN CERTIFICATE-----")
            path.write_text("-----BEGIN CERTIFICATE-----".join(pem[:2]))
        found = web(certificate=path)
        assert (found.problem is None) is one["valid"], found
        if found.problem is not None:
            assert found.problem.code in {"MTS510", "MTS512", "MTS513", "MTS514"}

    def test_a_common_name_does_not_count(self, web: Callable[..., Fetched], certificates: Certificates):
        assert code(web(certificate=certificates.issue("other.example.com", common_name=HOST))) == "MTS512"

    @pytest.mark.parametrize(("days", "expected"), [((-30, -1), "MTS510"), ((1, 30), "MTS511")])
    def test_the_time_of_a_certificate_is_named(
        self, web: Callable[..., Fetched], certificates: Certificates, days: tuple[float, float], expected: str
    ):
        assert code(web(certificate=certificates.issue(HOST, days=days))) == expected

    @pytest.mark.parametrize(("size", "expected"), [(65536, None), (65537, "MTS525")])
    def test_64_kibibytes_are_the_most(self, web: Callable[..., Fetched], tmp_path: Path, size: int, expected: str | None):
        (tmp_path / ".well-known" / "mta-sts.txt").write_bytes(b"x" * size)
        found = web()
        assert code(found) == expected
        assert (found.served is None) is (expected is not None)

    def test_the_environment_does_not_count(
        self, web: Callable[..., Fetched], certificates: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
        assert code(web()) is None
        assert not (tmp_path / "keys").exists()

    def test_roots_of_the_environment_do_not_count(
        self, tmp_path: Path, good: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.root))
        port = free_port()
        block = f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {good}; ssl_certificate_key {good}; }}"
        with Nginx(tmp_path / "nginx", ("127.0.0.1", port)).serving(block):
            detour = Detour(host=HOST, port=443, to=Endpoint(address="127.0.0.1", port=port))
            try:
                fetcher = StrictFetcher(Looking(detours=(detour,)))
            except UsageError:
                pytest.skip("this machine has no root certificates")
            (found,) = fetcher.fetch(EXAMPLE, known=False)
        assert code(found) in ("MTS513", "MTS514")

    def test_each_address_is_fetched_by_itself(self, web: Callable[..., Fetched], tmp_path: Path, good: Path, certificates: Certificates):
        port, dead = free_port("127.0.0.2"), free_port("127.0.0.3")
        block = f"server {{ listen 127.0.0.2:{port} ssl; ssl_certificate {good}; ssl_certificate_key {good}; root {tmp_path}; }}"
        detours = (
            Detour(host="127.0.0.2", port=443, to=Endpoint(address="127.0.0.2", port=port)),
            Detour(host="127.0.0.3", port=443, to=Endpoint(address="127.0.0.3", port=dead)),
        )
        looking = Looking(ca_file=certificates.root, detours=detours)
        with Nginx(tmp_path / "nginx", ("127.0.0.2", port)).serving(block):
            found = StrictFetcher(looking, lambda name, _: Addresses(name=name, addresses=("127.0.0.2", "127.0.0.3"))).fetch(
                EXAMPLE, known=True
            )
        assert [(one.address, code(one)) for one in found] == [("127.0.0.2", None), ("127.0.0.3", "MTS500")]


Answer = Callable[[ssl.SSLSocket, threading.Event], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def drip(connection: ssl.SSLSocket, over: threading.Event) -> None:
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
    while not over.wait(0.05):
        connection.sendall(b"x")


def drip_headers(connection: ssl.SSLSocket, over: threading.Event) -> None:
    connection.sendall(HEAD + b"X: ")
    while not over.wait(0.05):
        connection.sendall(b"x")


def endless_headers(connection: ssl.SSLSocket, over: threading.Event) -> None:
    connection.sendall(HEAD)
    while not over.is_set():
        connection.sendall(b"X-More: and more\r\n" * 100)


def endless_line(connection: ssl.SSLSocket, over: threading.Event) -> None:
    connection.sendall(HEAD + b"X: ")
    while not over.is_set():
        connection.sendall(b"x" * 10000)


def endless_continues(connection: ssl.SSLSocket, over: threading.Event) -> None:
    while not over.is_set():
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def endless_body(connection: ssl.SSLSocket, over: threading.Event) -> None:
    connection.sendall(HEAD + b"\r\n")
    while not over.is_set():
        connection.sendall(b"x" * 10000)


def endless_chunks(connection: ssl.SSLSocket, over: threading.Event) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")


def compressed(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    body = gzip.compress(b"x" * 10_000_000)
    connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def reset(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut_off(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nversion: STSv1")


def nonsense(connection: ssl.SSLSocket, _over: threading.Event) -> None:
    connection.sendall(b"220 mail.example.com ESMTP\r\n")


def silent(_connection: ssl.SSLSocket, over: threading.Event) -> None:
    over.wait(10)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (drip, "MTS505"),
        (drip_headers, "MTS505"),
        (endless_headers, "MTS526"),
        (endless_line, "MTS526"),
        (endless_continues, "MTS505"),
        (endless_body, "MTS525"),
        (endless_chunks, "MTS525"),
        (compressed, "MTS524"),
        (reset, "MTS503"),
        (cut_off, "MTS527"),
        (nonsense, "MTS526"),
        (silent, "MTS505"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_hostile_server_is_bounded_in_time_and_memory(good: Path, certificates: Certificates, answer: Answer, expected: str):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    with hostile(good, answer) as port:
        found = fetch(certificates, port, timeout=1)
        waited = time.monotonic() - began
    assert code(found) == expected, found
    assert waited < 3
    assert found.served is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_a_server_that_never_shakes_hands_is_given_up(certificates: Certificates):
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = fetch(certificates, server.getsockname()[1], timeout=0.5)
    assert code(found) == "MTS505"


def test_a_closed_port_is_named(certificates: Certificates):
    assert code(fetch(certificates, free_port())) == "MTS500"


class Cutter:
    """Hands connections on to a server, and resets each after so many octets of the server's."""

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.limit = 0
        self.passed = 0

    def __enter__(self) -> Cutter:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self.upstream)) as server, suppress(OSError):
                self._relay(client, server)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        self.passed = 0
        while self.passed < self.limit:
            for ready in select.select([client, server], [], [], 5)[0]:
                data = ready.recv(65536 if ready is client else self.limit - self.passed)
                if not data:
                    return
                (server if ready is client else client).sendall(data)
                self.passed += len(data) if ready is server else 0
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.services("nginx")
def test_a_connection_that_is_reset_at_any_octet_gives_a_finding_and_never_a_policy(tmp_path: Path, good: Path, certificates: Certificates):
    place = tmp_path / ".well-known"
    place.mkdir()
    (place / "mta-sts.txt").write_bytes(POLICY)
    port = free_port()
    tls = "ssl_session_tickets off; ssl_protocols TLSv1.3;"  # the same number of octets each time, but for signatures
    block = f"server {{ listen 127.0.0.1:{port} ssl; {tls} ssl_certificate {good}; ssl_certificate_key {good}; root {tmp_path}; }}"
    with Nginx(tmp_path / "nginx", ("127.0.0.1", port)).serving(block), Cutter(port) as cutter:
        cutter.limit = 1_000_000
        assert code(fetch(certificates, cutter.port)) is None
        whole = cutter.passed
        seen = set()
        began = time.monotonic()
        for cutter.limit in range(whole - 40):  # the last octets only say goodbye
            found = fetch(certificates, cutter.port, timeout=5)
            assert (found.served, found.problem is None) == (None, False), (cutter.limit, whole, found)
            seen.add(code(found))
        assert seen <= {"MTS503", "MTS518", "MTS526", "MTS527"}
        assert "MTS503" in seen
        assert time.monotonic() - began < 120


@pytest.mark.services("openssl")
def test_a_server_that_wants_to_renegotiate_for_ever_is_given_up(good: Path, certificates: Certificates):
    port = free_port()
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(good), "-key", str(good), "-tls1_2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        until = time.monotonic() + 10
        while not listening("127.0.0.1", port) and time.monotonic() < until:
            time.sleep(0.02)
        over = threading.Event()

        def insist() -> None:
            assert server.stdin is not None
            while not over.wait(0.02):
                with suppress(OSError):
                    server.stdin.write(b"r\n")
                    server.stdin.flush()

        thread = threading.Thread(target=insist)
        thread.start()
        began = time.monotonic()
        found = fetch(certificates, port, timeout=2)
        waited = time.monotonic() - began
        over.set()
        thread.join(10)
        server.kill()
    assert code(found) in ("MTS503", "MTS505", "MTS518"), found
    assert waited < 4
