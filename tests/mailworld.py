"""A private network with real servers at their real ports: BIND, unbound, nginx, Postfix. Nothing leaves it, and all of it ends with it.

Everything runs in namespaces of its own (network, mounts, processes), whose first process is killed at the end. Only root can make it, as
Postfix needs several users.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.servers import Certificates

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("unshare", "nsenter", "ip", "named", "unbound", "nginx", "postfix")
SERVER, OTHER_SERVER, RESOLVER, WEB = "127.0.0.10", "127.0.0.11", "127.0.0.53", "127.0.0.2"
SIX = "fd00:25::2"
PATIENCE = 20.0
REQUIRES = (pytest.mark.services(*PROGRAMS), pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root"))


class Network:
    """The namespaces. `directory` is where all files of the world are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        (self.directory / "resolv.conf").write_text(f"nameserver {RESOLVER}\noptions timeout:5 attempts:1\n")
        # BIND listens only on addresses that an interface has.
        addresses = " && ".join(f"ip address add {one} dev lo" for one in (f"{SERVER}/32", f"{OTHER_SERVER}/32", f"{SIX}/128"))
        resolver = f"mount --bind {self.directory}/resolv.conf /etc/resolv.conf"
        begin = f"ip link set lo up && {addresses} && {resolver} && echo up && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc", "bash", "-c", begin], stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"
        (child,) = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        self._enter = ["nsenter", "-t", child, "-n", "-m", "-p"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._holder.kill()
        self._holder.communicate()
        for daemon in self._daemons:
            daemon.wait(PATIENCE)

    def run(self, *command: str, environment: Mapping[str, str] | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """A command in there, with nothing of our environment that leads elsewhere."""
        return subprocess.run(
            self._inside(self.directory, *command),
            env=clean(environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, name: str, *command: str, ready: Callable[[], bool], environment: Mapping[str, str] | None = None) -> None:
        """A server in there that stays in the foreground."""
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                self._inside(self.directory, *command), env=clean(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._daemons.append(daemon)
        until = time.monotonic() + PATIENCE
        while not ready():
            if daemon.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{name} did not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def answers(self, address: str, port: int) -> bool:
        """Does somebody take connections there?"""
        return self.run("bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}", timeout=10).returncode == 0

    def deploy(
        self, *arguments: str, directory: Path | None = None, timeout: float = 300, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The program, as a user runs it there."""
        command = self._inside(directory or self.directory, sys.executable, "-m", "mtasts_deploy", *arguments)
        return subprocess.run(command, env=clean(environment), capture_output=True, text=True, timeout=timeout, check=False)

    def _inside(self, directory: Path, *command: str) -> list[str]:
        """The command in the namespaces. Who enters a mount namespace stands at its root, hence `env -C`."""
        return [*self._enter, "env", "-C", str(directory), *command]


def clean(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without what points programs at other servers, roots or proxies."""
    unwanted = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in unwanted and not name.startswith("MTASTS_") and not name.lower().endswith("_proxy")
    }
    return kept | {"PYTHONPATH": str(ROOT)} | dict(more or {})


class NameServers:
    """BIND at two addresses, with `zones` each, and unbound that knows the top-level domain `test` and nothing else.

    Who has the TSIG key `k` with `secret` may transfer and update every zone.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.zones: dict[str, dict[str, str]] = {SERVER: {}, OTHER_SERVER: {}}
        self.secret = base64.b64encode(secrets.token_bytes(32)).decode()

    def zone(self, name: str, text: str, *, server: str = SERVER) -> None:
        """A zone; a SOA record is put before its text. Taken in at once if the server runs."""
        self.zones[server][name] = f"$TTL 60\n@ IN SOA ns1.{name}. root.{name}. {len(text)} 3600 600 86400 30\n{text}"

    def start(self) -> None:
        """Run all three."""
        for server, zones in self.zones.items():
            place = self.network.directory / server
            place.mkdir()
            for name, text in zones.items():
                (place / f"{name}.zone").write_text(text)
            blocks = "\n".join(
                f'zone "{name}" {{ type primary; file "{name}.zone"; check-names ignore; allow-update {{ key k; }}; }};' for name in zones
            )
            (place / "named.conf").write_text(
                f'key k {{ algorithm hmac-sha256; secret "{self.secret}"; }};\n'
                f'options {{ directory "{place}"; pid-file "{place}/pid"; session-keyfile "{place}/session.key"; '
                f'managed-keys-directory "{place}"; listen-on port 53 {{ {server}; }}; listen-on-v6 {{ none; }}; recursion no; '
                "allow-transfer { key k; }; dnssec-validation no; notify no; check-mx ignore; check-mx-cname ignore; };\n"
                f"controls {{ }};\n{blocks}\n"
            )
            command = ("named", "-g", "-n", "1", "-c", str(place / "named.conf"))
            self.network.start(f"named-{server}", *command, ready=lambda at=server: self.network.answers(at, 53))  # type: ignore[misc]
        place = self.network.directory / "unbound"
        place.mkdir()
        (place / "unbound.conf").write_text(
            f'server:\n interface: {RESOLVER}@53\n access-control: 127.0.0.0/8 allow\n do-daemonize: no\n username: ""\n chroot: ""\n'
            f' directory: "{place}"\n pidfile: "{place}/pid"\n use-syslog: no\n do-ip6: no\n do-not-query-localhost: no\n'
            ' module-config: "iterator"\n local-zone: "." static\n local-zone: "test." transparent\n cache-max-ttl: 0\n'
            " cache-max-negative-ttl: 0\nremote-control:\n control-enable: no\n"
            f'stub-zone:\n name: "test"\n stub-addr: {SERVER}@53\n'
        )
        self.network.start("unbound", "unbound", "-d", "-c", str(place / "unbound.conf"), ready=lambda: self.network.answers(RESOLVER, 53))

    def change(self, zone: str, name: str, kind: str, *values: str, ttl: int = 2) -> None:
        """Replace a record set in a zone that is served, as somebody else would."""
        program = (
            "import sys, dns.query, dns.tsigkeyring, dns.update\n"
            "zone, name, ttl, kind, secret, server, *values = sys.argv[1:]\n"
            "update = dns.update.UpdateMessage(zone, keyring=dns.tsigkeyring.from_text({'k.': secret}), keyalgorithm='hmac-sha256')\n"
            "update.replace(name, int(ttl), kind, *values)\n"
            "sys.exit(dns.query.tcp(update, server, timeout=5).rcode())\n"
        )
        done = self.network.run(sys.executable, "-c", program, zone, name, str(ttl), kind, self.secret, SERVER, *values)
        assert done.returncode == 0, done.stderr


def start_nginx(network: Network, servers: str, *, address: str = WEB) -> None:
    """Nginx with these server blocks."""
    place = network.directory / "nginx"
    place.mkdir()
    temporary = " ".join(f"{name}_temp_path t-{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (place / "nginx.conf").write_text(
        "user root; daemon off; worker_processes 1; pid nginx.pid; error_log stderr; events { }\n"
        f"http {{ access_log off; {temporary} default_type text/plain; server_names_hash_bucket_size 128; "
        f"keepalive_timeout 0;\n{servers}\n}}\n"
    )
    command = ("nginx", "-p", str(place), "-c", "nginx.conf", "-e", "stderr")
    network.start("nginx", *command, ready=lambda: network.answers(address, 443))


class Postfix:
    """A Postfix in its own directory. `services` are lines of master.cf before the usual ones, `settings` lines of main.cf."""

    def __init__(self, network: Network, name: str, services: Iterable[str], settings: Iterable[str]) -> None:
        self.network = network
        self.directory = network.directory / name
        self.log = self.directory / "mail.log"
        self.services = list(services)
        self.settings = list(settings)

    def start(self, probe: tuple[str, int]) -> None:
        """Write its files and run it."""
        config, queue, data = (self.directory / part for part in ("etc", "queue", "data"))
        for place in (config, queue, data):
            place.mkdir(parents=True)
        shutil.chown(data, "postfix")
        common = (ROOT / "tests" / "master.cf").read_text()
        (config / "master.cf").write_text("\n".join(self.services) + "\n" + common)
        lines = [
            "compatibility_level = 3.6",
            f"queue_directory = {queue}",
            f"data_directory = {data}",
            f"maillog_file = {self.log}",
            f"maillog_file_prefixes = {self.directory}",
            "inet_interfaces = 127.0.0.1",
            "inet_protocols = ipv4",
            "mydestination =",
            "alias_maps =",
            "smtpd_peername_lookup = no",
            *self.settings,
        ]
        (config / "main.cf").write_text("\n".join(lines) + "\n")
        done = self.network.run("postfix", "-c", str(config), "start")
        until = time.monotonic() + PATIENCE
        while not self.network.answers(*probe):
            if time.monotonic() > until:
                said = self.log.read_text(errors="replace") if self.log.exists() else ""
                raise AssertionError(f"postfix did not start: {done.stderr}\n{said[-3000:]}")
            time.sleep(0.1)

    def command(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A program of Postfix on this instance."""
        return self.network.run(program, "-c", str(self.directory / "etc"), *arguments)


@contextmanager
def network() -> Iterator[tuple[Network, Certificates]]:
    """A network with a directory that every user can read (unlike those of pytest), and a CA."""
    with tempfile.TemporaryDirectory(prefix="mtasts-world-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "tls").mkdir()
        with Network(directory) as made:
            yield made, Certificates(directory / "tls")
