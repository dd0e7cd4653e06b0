"""Real name servers on loopback, each in a private directory and on ports of its own: PowerDNS (HTTP API), BIND and Knot (RFC 2136).

A server that was started here is stopped here, by its process; nothing else is touched. `dump` is what the server itself says it holds.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import dns.name
import dns.query
import dns.rcode
import dns.rdataset
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import dns.zone

LOOPBACK = "127.0.0.1"
SOA = "ns1.example.net. hostmaster.@ 0 3600 900 86400 300"
PATIENCE = 15.0
SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")

KNOT = """\
server:
  listen: {address}
  rundir: {here}
  udp-workers: 1
  tcp-workers: 2
  background-workers: 1
log:
  - target: stderr
    any: warning
database:
  storage: {here}/db
  journal-db-max-size: 64M
  kasp-db-max-size: 10M
  timer-db-max-size: 10M
key:
  - id: k
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: a
    key: k
    action: [update, transfer]
template:
  - id: default
    storage: {here}/zones
    file: "%s.zone"
    acl: a
    semantic-checks: off
"""


class Rrset(NamedTuple):
    """A record set: its name relative to the zone (`@` is the apex), and its values as zone files write them."""

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]


def _port() -> int:
    """A port that is free for TCP and UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((LOOPBACK, 0))
            port: int = tcp.getsockname()[1]
            with contextlib.suppress(OSError):
                udp.bind((LOOPBACK, port))
                return port


class Server(ABC):
    """One server. `environment` has the variables that its block of a declaration names."""

    program: ClassVar[str]
    environment: dict[str, str]

    def __init__(self, directory: Path, zones: Mapping[str, Sequence[Rrset]]) -> None:
        self.directory, self.port = directory, _port()
        self.variable = f"MTASTS_TEST_KEY_{self.port}"
        directory.mkdir(parents=True, exist_ok=True)
        arguments = self.prepare(zones)
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(
            arguments, cwd=directory, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, env={**os.environ, "HOME": "/"}
        )
        try:
            self._wait()
            self.fill(zones)
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def prepare(self, zones: Mapping[str, Sequence[Rrset]]) -> list[str]:
        """Write the configuration; the command."""

    def fill(self, zones: Mapping[str, Sequence[Rrset]]) -> None:
        """Make the zones, where that is done by a running server; nothing where they are in its files."""
        del zones

    @abstractmethod
    def answers(self) -> bool:
        """Is it ready?"""

    @abstractmethod
    def block(self) -> dict[str, Any]:
        """Its block of a declaration."""

    @abstractmethod
    def dump(self, zone: str) -> set[tuple[Any, ...]]:
        """All that a zone holds (names without root dot), but for the serial."""

    @abstractmethod
    def add(self, zone: str, rrset: Rrset) -> None:
        """Write a record set as another writer would."""

    @abstractmethod
    def exists(self, zone: str) -> bool:
        """Does it have this zone?"""

    def txt(self, zone: str, name: str) -> list[str]:
        """The TXT values at a name, as one text each."""
        return sorted(_joined(row[3]) for row in self.dump(zone) if row[:2] == (name, "TXT"))

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            if self.answers():
                return
            time.sleep(0.02)
        raise RuntimeError(f"{self.program} did not start:\n{(self.directory / 'log').read_text(errors='replace')[-2000:]}")


def _joined(text: str) -> str:
    """The text of character-strings in quotation marks."""
    import shlex

    return "".join(shlex.split(text.replace("\\;", ";")))


class PowerDns(Server):
    """PowerDNS with its HTTP API and a SQLite file. `disabled` and `comments` of the API are kept in a dump."""

    program = "pdns_server"

    def prepare(self, zones: Mapping[str, Sequence[Rrset]]) -> list[str]:
        here = self.directory
        self.key, self.api = secrets.token_hex(8), _port()
        self.environment = {self.variable: self.key}
        with contextlib.closing(sqlite3.connect(here / "pdns.sqlite3")) as database:
            database.executescript(SCHEMA.read_text())
        options = {
            "launch": "gsqlite3", "gsqlite3-database": here / "pdns.sqlite3", "gsqlite3-pragma-synchronous": 0,
            "local-address": LOOPBACK, "local-port": self.port, "api": "yes", "api-key": self.key, "webserver": "yes",
            "webserver-address": LOOPBACK, "webserver-port": self.api, "webserver-allow-from": "127.0.0.0/8", "socket-dir": here,
            "daemon": "no", "guardian": "no", "disable-syslog": "yes", "security-poll-suffix": "", "cache-ttl": 0, "query-cache-ttl": 0,
            "negquery-cache-ttl": 0, "zone-cache-refresh-interval": 0, "default-soa-content": SOA,
        }  # fmt: skip
        (here / "pdns.conf").write_text("".join(f"{key}={value}\n" for key, value in options.items()))
        return [self.program, f"--config-dir={here}"]

    def fill(self, zones: Mapping[str, Sequence[Rrset]]) -> None:
        for zone, rrsets in zones.items():
            self.call(
                "POST", "zones", {"name": f"{zone}.", "kind": "Native", "nameservers": [], "rrsets": [_rrset(zone, one) for one in rrsets]}
            )

    def answers(self) -> bool:
        try:
            self.call("GET", "")
        except OSError:
            return False
        return True

    def block(self) -> dict[str, Any]:
        return {
            "class": "octodns_powerdns.PowerDnsProvider",
            "host": LOOPBACK,
            "port": self.api,
            "api_key": f"env/{self.variable}",
        }

    def call(self, method: str, path: str, data: Any = None) -> Any:
        """One call of the API."""
        url = f"http://{LOOPBACK}:{self.api}/api/v1/servers/localhost/{path}".rstrip("/")
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(url, data=body, method=method, headers={"X-API-Key": self.key, "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise OSError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(text) if text else None

    def dump(self, zone: str) -> set[tuple[Any, ...]]:
        return {
            (
                rrset["name"][:-1],
                rrset["type"],
                rrset["ttl"],
                record["content"].replace("\\;", ";"),
                record["disabled"],
                json.dumps([c["content"] for c in rrset["comments"]]),
            )
            for rrset in self.call("GET", f"zones/{zone}.")["rrsets"]
            for record in rrset["records"]
            if rrset["type"] != "SOA"
        }

    def add(self, zone: str, rrset: Rrset) -> None:
        for attempt in range(400):
            try:
                self.call("PATCH", f"zones/{zone}.", {"rrsets": [{**_rrset(zone, rrset), "changetype": "REPLACE"}]})
                return
            except OSError as error:  # its SQLite database is locked by another writer
                if " 500 " not in str(error) or attempt == 399:
                    raise
                time.sleep(0.05)

    def exists(self, zone: str) -> bool:
        return any(one["name"] == f"{zone}." for one in self.call("GET", "zones"))


def _rrset(zone: str, one: Rrset) -> dict[str, Any]:
    name = f"{zone}." if one.name == "@" else f"{one.name}.{zone}."
    marks: dict[str, Any] = {"comments": [{"content": f"about {one.name}", "account": "them"}]} if one.name.startswith("commented") else {}
    return {
        "name": name,
        "type": one.type,
        "ttl": one.ttl,
        "records": [{"content": value, "disabled": one.name.startswith("disabled")} for value in one.values],
        **marks,
    }


class _Rfc2136(Server):
    """A server that takes dynamic updates and transfers with a key."""

    def secret(self) -> str:
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.environment = {self.variable: self.key}
        self.ring = dns.tsigkeyring.from_text({"k.": self.key})
        return self.key

    def write_zones(self, directory: Path, zones: Mapping[str, Sequence[Rrset]]) -> None:
        for zone, rrsets in zones.items():
            lines = [f"$ORIGIN {zone}.", "@ 3600 IN SOA ns1.example.net. hostmaster.example.net. 1 3600 900 86400 300"]
            lines += [f"{one.name} {one.ttl} IN {one.type} {value}" for one in rrsets for value in one.values]
            (directory / f"{zone}.zone").write_text("\n".join(lines) + "\n")

    def answers(self) -> bool:
        query = dns.message.make_query("nowhere.invalid.", "SOA")
        try:
            dns.query.udp(query, LOOPBACK, port=self.port, timeout=0.5)
        except (OSError, dns.exception.DNSException):
            return False
        return True

    def block(self) -> dict[str, Any]:
        return {
            "class": "octodns_bind.Rfc2136Provider",
            "host": LOOPBACK,
            "port": self.port,
            "key_name": "k",
            "key_secret": f"env/{self.variable}",
            "key_algorithm": "hmac-sha256",
        }

    def dump(self, zone: str) -> set[tuple[Any, ...]]:
        transfer = dns.query.xfr(LOOPBACK, f"{zone}.", port=self.port, keyring=self.ring, keyalgorithm="hmac-sha256", relativize=False)
        found = dns.zone.from_xfr(transfer, relativize=False)
        return {
            (name.to_text().rstrip("."), dns.rdatatype.to_text(rdata.rdtype), ttl, rdata.to_text())
            for name, ttl, rdata in found.iterate_rdatas()
            if rdata.rdtype != dns.rdatatype.SOA
        }

    def add(self, zone: str, rrset: Rrset) -> None:
        update = dns.update.UpdateMessage(f"{zone}.", keyring=self.ring, keyalgorithm="hmac-sha256")
        for value in rrset.values:
            update.add(rrset.name, rrset.ttl, rrset.type, value)
        answer = dns.query.tcp(update, LOOPBACK, port=self.port, timeout=10)
        if answer.rcode() != dns.rcode.NOERROR:
            raise OSError(dns.rcode.to_text(answer.rcode()))

    def exists(self, zone: str) -> bool:
        answer = dns.query.udp(dns.message.make_query(f"{zone}.", "SOA"), LOOPBACK, port=self.port, timeout=5)
        return bool(answer.answer)


class Bind(_Rfc2136):
    """BIND 9."""

    program = "named"

    def prepare(self, zones: Mapping[str, Sequence[Rrset]]) -> list[str]:
        here = self.directory
        self.write_zones(here, zones)
        text = (
            f'key k {{ algorithm hmac-sha256; secret "{self.secret()}"; }};\n'
            f'options {{ directory "{here}"; pid-file "{here}/named.pid"; session-keyfile "{here}/session.key"; '
            f'managed-keys-directory "{here}"; listen-on port {self.port} {{ {LOOPBACK}; }}; listen-on-v6 {{ none; }}; recursion no; '
            "dnssec-validation no; notify no; allow-transfer { key k; }; tcp-clients 200; };\ncontrols { };\n"
        )
        for zone in zones:
            text += (
                f'zone "{zone}" {{ type primary; file "{zone}.zone"; update-policy {{ grant k zonesub ANY; }}; check-names ignore; }};\n'
            )
        (here / "named.conf").write_text(text)
        return [self.program, "-g", "-n", "2", "-c", str(here / "named.conf")]


class Knot(_Rfc2136):
    """Knot DNS."""

    program = "knotd"

    def prepare(self, zones: Mapping[str, Sequence[Rrset]]) -> list[str]:
        here = self.directory
        (here / "zones").mkdir()
        self.write_zones(here / "zones", zones)
        (here / "db").mkdir()
        conf = KNOT.format(here=here, address=f"{LOOPBACK}@{self.port}", secret=self.secret())
        conf += "zone:\n" + "".join(f"  - domain: {zone}\n" for zone in zones)
        (here / "knot.conf").write_text(conf)
        return [self.program, "-c", str(here / "knot.conf")]


@contextlib.contextmanager
def running(
    kind: Callable[[Path, Mapping[str, Sequence[Rrset]]], Server], directory: Path, zones: Mapping[str, Sequence[Rrset]]
) -> Iterator[Server]:
    """A server with these zones, stopped at the end; started again on other ports if something took one of its own."""
    for attempt in range(3):
        try:
            server = kind(directory / str(attempt), zones)
            break
        except RuntimeError:
            if attempt == 2:
                raise
    try:
        yield server
    finally:
        server.stop()
