"""Real servers on loopback for integration tests: nginx with certificates of a CA of our own, and a socket that answers as it likes."""

from __future__ import annotations

import os
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

HOST = "mta-sts.example.com"


class Certificates:
    """A CA, its root as a file, and certificates for names as nginx wants them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = trustme.CA()
        self.root = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(self.root)

    def issue(self, *names: str, days: tuple[float, float] = (-1, 30), ca: trustme.CA | None = None, common_name: str = "") -> Path:
        """A file with key, certificate and intermediates; valid from and until so many days from now."""
        now = datetime.now(UTC)
        issuer = ca or self.ca
        certificate = issuer.issue_cert(
            *names,
            not_before=now + timedelta(days=days[0]),
            not_after=now + timedelta(days=days[1]),
            common_name=common_name or None,
        )
        return self._file(certificate.private_key_pem.bytes() + b"".join(blob.bytes() for blob in certificate.cert_chain_pems))

    def issue_odd(self, *names: str, common_name: str = "") -> Path:
        """The same for names that trustme refuses, such as partial wildcards, or for none at all."""
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(issuer, ec.EllipticCurvePrivateKey)
        root = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or "odd")])
        builder = x509.CertificateBuilder(issuer_name=root.subject, subject_name=subject, public_key=key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        builder = builder.not_valid_after(now + timedelta(days=30))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        certificate = builder.sign(issuer, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._file(private + certificate.public_bytes(Encoding.PEM))

    def self_signed(self, name: str) -> Path:
        """A certificate for that name that nobody else has signed."""
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(issuer_name=subject, subject_name=subject, public_key=key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        builder = builder.not_valid_after(now + timedelta(days=30))
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        certificate = builder.sign(key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._file(private + certificate.public_bytes(Encoding.PEM))

    def _file(self, data: bytes) -> Path:
        path = self.directory / f"{len(list(self.directory.iterdir()))}.pem"
        path.write_bytes(data)
        return path


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody uses at this moment, over TCP or UDP. Below those that systems give to outgoing connections."""
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
            try:
                stream.bind((address, port))
                datagram.bind((address, port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def wait_for(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    """Until it is ready; fails with its log if it ends or takes too long."""
    until = time.monotonic() + 10
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise AssertionError(f"{process.args!r} did not start:\n{log.read_text(errors='replace') if log.exists() else ''}")
        time.sleep(0.02)


def listening(address: str, port: int) -> bool:
    """Does somebody take connections there?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((address, port)) == 0


@contextmanager
def running(command: list[str], ready: Callable[[], bool], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program in the foreground, ended afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        wait_for(process, ready, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Nginx:
    """An nginx in its own directory. `servers` are its `server { … }` blocks; `write` and `reload` change them."""

    def __init__(self, directory: Path, *probes: tuple[str, int]) -> None:
        self.directory = directory
        self.probes = probes
        self.config = directory / "nginx.conf"
        self.log = directory / "log"

    def write(self, servers: str) -> None:
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = " ".join(f"{name}_temp_path t-{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.config.write_text(
            f"{user} daemon off; worker_processes 1; pid nginx.pid; error_log stderr; events {{ }}\n"
            f"http {{ access_log off; {temporary} default_type text/plain; keepalive_timeout 0;\n{servers}\n}}\n"
        )

    @contextmanager
    def serving(self, servers: str) -> Iterator[Nginx]:
        """Run with these servers."""
        self.directory.mkdir(exist_ok=True)
        self.write(servers)
        command = ["nginx", "-p", str(self.directory), "-c", "nginx.conf", "-e", "stderr"]
        with running(command, lambda: all(listening(*probe) for probe in self.probes), self.log):
            yield self


class Named:
    """A BIND on 127.0.0.1: primary for zones, or (`forward`) a caching resolver that asks the server at that port."""

    def __init__(self, directory: Path, forward: int | None = None) -> None:
        self.directory = directory
        self.forward = forward
        self.port = free_port()
        self.zones: dict[str, str] = {}
        self.serial = 0
        self.process: subprocess.Popen[bytes] | None = None
        directory.mkdir()

    def zone(self, name: str, text: str, *, minimum: int = 300) -> None:
        """Set a zone: a SOA record is put before `text`. A server that runs takes it in."""
        self.serial += 1
        soa = f"$TTL 3600\n@ IN SOA ns1 root {self.serial} 3600 600 86400 {minimum}\n"
        self.zones[name] = soa + text
        (self.directory / f"{name}.zone").write_text(soa + text)
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 10
            while self.ask(name, "SOA") != str(self.serial) and time.monotonic() < until:
                time.sleep(0.02)

    def ask(self, name: str, kind: str) -> str:
        """The serial of a zone, or what else the server says; empty without an answer."""
        question = dns.message.make_query(name, kind)
        try:
            answer = dns.query.udp(question, "127.0.0.1", timeout=1, port=self.port)
        except (dns.exception.DNSException, OSError):
            return ""
        texts = [rdata for rrset in answer.answer for rdata in rrset]
        return str(getattr(texts[0], "serial", texts[0])) if texts else dns.rcode.to_text(answer.rcode())

    @contextmanager
    def serving(self) -> Iterator[Named]:
        """Run it."""
        place = self.directory
        how = "recursion no;"
        if self.forward is not None:
            how = f"recursion yes; forward only; forwarders {{ 127.0.0.1 port {self.forward}; }}; empty-zones-enable no;"
        zones = "\n".join(f'zone "{name}" {{ type primary; file "{name}.zone"; }};' for name in self.zones)
        (place / "named.conf").write_text(
            f'options {{ directory "{place}"; pid-file "{place}/named.pid"; session-keyfile "{place}/session.key"; '
            f'managed-keys-directory "{place}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; '
            f"dnssec-validation no; notify no; {how} }};\ncontrols {{ }};\n{zones}\n"
        )
        command = ["named", "-g", "-n", "1", "-c", str(place / "named.conf")]
        with running(command, lambda: listening("127.0.0.1", self.port), place / "log") as self.process:
            yield self
        self.process = None


@contextmanager
def hostile(certificate: Path, answer: Callable[[ssl.SSLSocket, threading.Event], None]) -> Iterator[int]:
    """A TLS server on 127.0.0.1 whose connections `answer` deals with, until the event is set; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def serve() -> None:
            while not over.is_set():
                with suppress(OSError):
                    plain, _ = server.accept()
                    plain.settimeout(5)
                    with context.wrap_socket(plain, server_side=True) as connection:
                        connection.recv(65536)
                        answer(connection, over)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            thread.join(10)
