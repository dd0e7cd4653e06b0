"""Three worlds in which the same mixed change is killed: files; PowerDNS and S3 behind HTTPS; a provider that writes record by record.

Three domains in two zones at two providers. One changes, one is created, one loses its TLSRPT record and has its MX hosts narrowed (in the
world of PowerDNS and S3 its policy host also moves, to another bucket behind another address). Each world goes back in a moment to just
before the change.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment
from tests import s3_servers
from tests.killing import apply, fatal_adapters, fatal_requests, fatal_requests_and_files, in_a_child
from tests.nameservers import LOOPBACK, PowerDns, Rrset, running
from tests.servers import Certificates, Nginx, free_port, listening
from tests.watching import Place, in_zone_file, policy_file

ALPHA, SUB, BETA = "alpha.example", "sub.alpha.example", "beta.example"
ZONE_OF = {ALPHA: ALPHA, SUB: ALPHA, BETA: BETA}
OLD_AGE, NEW_AGE = b"86400", b"172800"

Live = tuple[str, str | None, list[bytes | None]]


class World(ABC):
    """`gap`: the seconds for which a record may be missing where the write of a provider was cut short."""

    gap: ClassVar[float] = 1
    count: ClassVar[Callable[[Deployment], None]] = staticmethod(fatal_adapters)

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @abstractmethod
    def declared(self, number: int) -> str:
        """The first declaration (0), and that of the change (1)."""

    @abstractmethod
    def save(self) -> None:
        """Keep what is outside of the directory."""

    @abstractmethod
    def restore(self) -> None:
        """Bring it back."""

    @abstractmethod
    def places(self) -> Mapping[str, Place]:
        """Where a sender looks."""

    @abstractmethod
    def live(self) -> Iterator[Live]:
        """Each domain, its id, and its policy wherever that is published."""

    @abstractmethod
    def untouched(self) -> None:
        """Nothing that is not ours has changed."""

    @abstractmethod
    def state(self) -> Mapping[str, bytes]:
        """The objects of the ledger."""

    def make(self) -> Deployment:
        made = Deployment.of(load(self.directory / "mta-sts.yaml", today=datetime.now(UTC).date()))
        made.eyes = None
        return made

    def declare(self, text: str) -> None:
        (self.directory / "mta-sts.yaml").write_text(text)

    def begin(self) -> None:
        """Publish the first declaration and remember the world as it is then."""
        import octodns_cloudflare  # noqa: F401 - here once, so that no child needs to
        import octodns_powerdns  # noqa: F401

        import mtasts_deploy.apply.run
        import mtasts_deploy.declaration.assembly
        import mtasts_deploy.dns.bridge  # noqa: F401

        self.directory.mkdir(parents=True, exist_ok=True)
        self.declare(self.declared(0))
        assert in_a_child(self.make, apply) == 0
        self.declare(self.declared(1))
        shutil.copytree(self.directory, self._kept)
        self.save()

    def again(self) -> None:
        """Back to just before the change."""
        shutil.rmtree(self.directory)
        shutil.copytree(self._kept, self.directory)
        self.restore()

    def begun(self) -> bool:
        """Has the second run noted anything that it changes?"""
        return any(NEW_AGE in data for data in self.state().values())

    @property
    def _kept(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.kept")


def _domains(alpha: str, sub: str, beta_before: str, beta_after: str) -> tuple[str, str]:
    mail = "tlsrpt: 'mailto:a@example.org'"
    both, one = "mx: [mx1.beta.example, mx2.beta.example]", "mx: [mx1.beta.example]"
    before = f"  {ALPHA}: {{max_age: 1d, {alpha}, {mail}}}\n  {BETA}: {{max_age: 1d, {beta_before}, {both}, {mail}}}\n"
    after = f"  {ALPHA}: {{max_age: 2d, {alpha}, {mail}}}\n  {SUB}: {{max_age: 2d, {sub}, {mail}}}\n"
    return before, after + f"  {BETA}: {{max_age: 1d, {beta_after}, {one}, tlsrpt: false}}\n"


def _files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (directory / ".mtasts/ledger").glob("*.json")}


class Files(World):
    """Zone files in two directories."""

    zones: ClassVar[Mapping[str, tuple[str, str]]] = {
        ALPHA: ("one/alpha.example.yaml", "_mta-sts"),
        SUB: ("one/alpha.example.yaml", "_mta-sts.sub"),
        BETA: ("two/beta.example.yaml", "_mta-sts"),
    }
    texts: ClassVar[Mapping[str, str]] = {
        "one/alpha.example.yaml": """\
# somebody's zone
'':
  type: MX   # the hosts
  values:
  - {exchange: mx1.alpha.example., preference: 10}
sub: {type: MX, values: [{exchange: mx1.alpha.example., preference: 10}]}
www: {type: A, value: 192.0.2.1}   # not ours
""",
        "two/beta.example.yaml": """\
'':
  type: MX
  values:
  - {exchange: mx1.beta.example., preference: 10}
www: {type: A, value: 192.0.2.2}   # not ours
""",
    }
    head: ClassVar[str] = """\
version: 1
providers:
  one: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: one}
  two: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: two}
domains:
"""

    def begin(self) -> None:
        for name, text in self.texts.items():
            (self.directory / name).parent.mkdir(parents=True)
            (self.directory / name).write_text(text)
        (self.directory / "policies").mkdir()
        super().begin()

    def declared(self, number: int) -> str:
        return self.head + _domains("dns: one", "dns: one", "dns: two", "dns: two")[number]

    def save(self) -> None:
        pass

    def restore(self) -> None:
        pass

    def state(self) -> Mapping[str, bytes]:
        return _files(self.directory)

    def places(self) -> Mapping[str, Place]:
        return {name: in_zone_file(self.directory, name, *place) for name, place in self.zones.items()}

    def live(self) -> Iterator[Live]:
        for name, (zone, key) in self.zones.items():
            found = re.search(rf"(?ms)^'?{re.escape(key)}'?:\n(.*?)(?=^\S|\Z)", (self.directory / zone).read_text())
            ids = [] if found is None else re.findall(r"v=STSv1\\; id=([0-9a-z]+)", found[1])
            policy = policy_file(self.directory, name)
            yield name, ids[0] if ids else None, [policy.read_bytes() if policy.exists() else None]

    def untouched(self) -> None:
        ours = re.compile(r"(?m)^'?(_mta-sts|_smtp\._tls|_mta-sts\.sub|_smtp\._tls\.sub)'?:\n(  .*\n)+")
        for name, text in self.texts.items():
            assert ours.sub("", (self.directory / name).read_text()) == text


class RecordByRecord(World):
    """A stand-in for Cloudflare's API, which octodns-cloudflare writes record by record; policies and state are files."""

    gap: ClassVar[float] = 20
    count: ClassVar[Callable[[Deployment], None]] = staticmethod(fatal_requests_and_files)

    def __init__(self, directory: Path, api: str) -> None:
        super().__init__(directory)
        self.api = api
        os.environ["MTASTS_TEST_CLOUDFLARE"] = "token-of-a-test"

    def make(self) -> Deployment:
        from mtasts_deploy.declaration.model import Limit
        from mtasts_deploy.dns.octodns_target import OctodnsTarget
        from mtasts_deploy.dns.pace import Pace

        made = super().make()
        made.name_servers = None  # none serves these zones
        made.hosts = dict(made.hosts)
        for target in made.targets.values():
            if isinstance(target, OctodnsTarget):
                target._pace_given = Pace(Limit(), sleep=lambda _: None)
        return made

    def begin(self) -> None:
        for zone, name in ((ALPHA, ALPHA), (ALPHA, SUB), (BETA, BETA)):
            self.post(zone, {"name": name, "type": "MX", "content": f"mx1.{zone}", "priority": 10, "ttl": 300})
            self.post(zone, {"name": f"www.{name}", "type": "A", "content": "192.0.2.1", "proxied": True, "comment": "theirs", "ttl": 300})
            self.post(zone, {"name": f"_mta-sts.{name}", "type": "TXT", "content": '"foreign"', "comment": "theirs", "ttl": 3600})
        (self.directory / "policies").mkdir(parents=True)
        self._others = self.others()
        super().begin()

    def declared(self, number: int) -> str:
        block = f"{{class: octodns_cloudflare.CloudflareProvider, token: env/MTASTS_TEST_CLOUDFLARE, api_url: '{self.api}'}}"
        allow = "confirm: storage, allow: [{code: MTS410, until: 2099-01-01, why: a test}]"
        settings = [f"dns: {name}, host: local, {allow}" for name in ("one", "two")]
        head = f"version: 1\nstate: {{type: directory, path: .mtasts}}\nproviders:\n  one: {block}\n  two: {block}\ndomains:\n"
        return head + _domains(settings[0], settings[0], settings[1], settings[1])[number]

    def save(self) -> None:
        self._saved = {zone: self.records(zone) for zone in (ALPHA, BETA)}

    def restore(self) -> None:
        for zone, records in self._saved.items():
            self.call("PUT", zone, records)

    def state(self) -> Mapping[str, bytes]:
        return _files(self.directory)

    def places(self) -> Mapping[str, Place]:
        return {
            name: {
                "record": {"api": f"{self.api}/zones/{zone}/dns_records", "name": f"_mta-sts.{name}"},
                "policy": {"path": str(policy_file(self.directory, name))},
            }
            for name, zone in ZONE_OF.items()
        }

    def live(self) -> Iterator[Live]:
        for name, zone in ZONE_OF.items():
            texts = [one["content"] for one in self.records(zone) if one["name"] == f"_mta-sts.{name}" and "STSv1" in one["content"]]
            assert len(texts) <= 1, texts
            policy = policy_file(self.directory, name)
            ids = re.findall(r"id=([0-9a-z]+)", "".join(texts))
            yield name, ids[0] if ids else None, [policy.read_bytes() if policy.exists() else None]

    def untouched(self) -> None:
        assert self.others() == self._others, set(self.others()) ^ set(self._others)

    def others(self) -> list[Any]:
        found = [one for zone in (ALPHA, BETA) for one in self.records(zone) if "v=" not in one["content"]]
        return sorted(json.dumps({key: value for key, value in one.items() if key != "id"}, sort_keys=True) for one in found)

    def records(self, zone: str) -> list[Any]:
        return list(self.call("GET", zone))

    def post(self, zone: str, record: Any) -> None:
        self.call("POST", zone, record)

    def call(self, method: str, zone: str, body: Any = None) -> Any:
        url = f"{self.api}/zones/{zone}/dns_records?per_page=1000"
        request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["result"]


WEB, CDN = "127.0.0.2", "127.0.0.3"
TTL = 60
SITE = """
server {{
  listen {address}:{port} ssl; server_name _; ssl_certificate {certificate}; ssl_certificate_key {certificate};
  location = /.well-known/mta-sts.txt {{ proxy_pass {s3}/{bucket}/$host/.well-known/mta-sts.txt; default_type text/plain; }}
}}
"""


class Clouds(World):
    """PowerDNS, two buckets of policies behind nginx at two addresses, and the state in a third. All is fetched as senders do."""

    count: ClassVar[Callable[[Deployment], None]] = staticmethod(fatal_requests)

    def __init__(self, directory: Path, server: PowerDns, s3: str, port: int, ca: Path) -> None:
        super().__init__(directory)
        self.server, self.s3, self.port, self.ca = server, s3, port, ca

    def make(self) -> Deployment:
        from mtasts_deploy.adapters import fetcher, name_servers
        from mtasts_deploy.aws import client
        from mtasts_deploy.sender.options import Detour, Endpoint, Looking

        client.forget()
        made = super().make()
        own = Endpoint(address=LOOPBACK, port=self.server.port)
        web = [Detour(host=one, port=443, to=Endpoint(address=one, port=self.port)) for one in (WEB, CDN)]
        looking = Looking(resolver=own, detours=(*web, Detour(host=LOOPBACK, port=53, to=own)), ca_file=self.ca, timeout=5)
        made.fetcher = lambda: fetcher(looking)
        made.name_servers = lambda: name_servers(looking)
        waited = [0.0]

        def pause(seconds: float) -> None:
            time.sleep(min(seconds, 0.01))
            waited[0] += seconds

        made.pause = pause
        made.ticks = lambda: time.monotonic() + waited[0]
        return made

    def declared(self, number: int) -> str:
        block = json.dumps(self.server.block())
        bucket = f"endpoint_url: '{self.s3}'"
        head = (
            f"version: 1\nproviders: {{one: {block}, two: {block}}}\n"
            f"hosts: {{web: {{type: s3, bucket: web, {bucket}}}, cdn: {{type: s3, bucket: cdn, {bucket}}}}}\n"
            f"state: {{type: s3, bucket: state, prefix: prod/, {bucket}}}\ndefaults: {{ttl: {TTL}}}\ndomains:\n"
        )
        one, two = "dns: one, host: web", f"dns: two, host: web, address: {{a: [{WEB}]}}"
        return head + _domains(one, one, two, f"dns: two, host: cdn, address: {{a: [{CDN}]}}")[number]

    def begin(self) -> None:
        self._others = self.others()
        super().begin()

    def save(self) -> None:
        self._zones = {zone: self.server.call("GET", f"zones/{zone}.")["rrsets"] for zone in (ALPHA, BETA)}
        self._objects = {bucket: self.objects(bucket) for bucket in ("web", "cdn", "state")}

    def restore(self) -> None:
        for zone, rrsets in self._zones.items():
            kept = {(one["name"], one["type"]) for one in rrsets}
            now = self.server.call("GET", f"zones/{zone}.")["rrsets"]
            gone = [
                {"name": one["name"], "type": one["type"], "changetype": "DELETE"} for one in now if (one["name"], one["type"]) not in kept
            ]
            old = [{**one, "changetype": "REPLACE"} for one in rrsets if one not in now and one["type"] != "SOA"]
            if gone or old:
                self.server.call("PATCH", f"zones/{zone}.", {"rrsets": [*gone, *old]})
        for bucket, objects in self._objects.items():
            now_there = self.objects(bucket)
            for key in now_there.keys() - objects.keys():
                self.client.delete_object(Bucket=bucket, Key=key)
            for key, data in objects.items():
                if now_there.get(key) != data:
                    self.client.put_object(Bucket=bucket, Key=key, Body=data, ContentType="text/plain")

    def state(self) -> Mapping[str, bytes]:
        return {key: data for key, data in self.objects("state").items() if "/ledger/" in key}

    def places(self) -> Mapping[str, Place]:
        port = self.server.port
        return {
            name: {
                "record": {"server": port, "name": f"_mta-sts.{name}"},
                "policy": {"server": port, "name": f"mta-sts.{name}", "https": self.port, "ca": str(self.ca)},
            }
            for name in ZONE_OF
        }

    def live(self) -> Iterator[Live]:
        """The policy of beta is wherever it may be resolved: once it has moved, at both."""
        for name, zone in ZONE_OF.items():
            texts = [text for text in self.server.txt(zone, f"_mta-sts.{name}") if "STSv1" in text]
            assert len(texts) <= 1, texts
            ids = re.findall(r"id=([0-9a-z]+)", "".join(texts))
            (address,) = [row[3] for row in self.server.dump(zone) if row[:2] == (f"mta-sts.{name}", "A")]
            body = self.objects("web" if address == WEB else "cdn").get(f"mta-sts.{name}/.well-known/mta-sts.txt")
            yield name, ids[0] if ids else None, [body]

    def untouched(self) -> None:
        assert self.others() == self._others

    def others(self) -> set[Any]:
        rows = {row for zone in (ALPHA, BETA) for row in self.server.dump(zone)}
        return {row for row in rows if not (row[1] == "TXT" and "v=" in row[3]) and row[0] != f"mta-sts.{BETA}"}

    @property
    def client(self) -> Any:
        return s3_servers.s3(self.s3)

    def objects(self, bucket: str) -> dict[str, bytes]:
        client = self.client
        listed = client.list_objects_v2(Bucket=bucket).get("Contents", ())
        return {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}


@contextmanager
def files(directory: Path) -> Iterator[World]:
    """Zone files."""
    yield Files(directory / "here")


@contextmanager
def record_by_record(directory: Path) -> Iterator[World]:
    """The stand-in for Cloudflare in a process of its own: where a test forks, no thread may run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cloudflare", ALPHA, BETA], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield RecordByRecord(directory / "here", process.stdout.readline().strip())
        finally:
            process.stdin.close()


@contextmanager
def moto_alone(directory: Path) -> Iterator[str]:
    """The address of a moto in a process of its own, with the three buckets."""
    from tests.servers import running as program

    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)]
    with program(command, lambda: listening(LOOPBACK, port), directory / "moto.log"):
        address = f"http://{LOOPBACK}:{port}"
        client = s3_servers.s3(address)
        for bucket in ("web", "cdn", "state"):
            client.create_bucket(Bucket=bucket)
        for bucket in ("web", "cdn"):
            public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
            client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [public]}))
        yield address


@contextmanager
def clouds(directory: Path) -> Iterator[World]:
    """PowerDNS, moto and nginx. The environment is that of `s3_servers.environment`."""
    zones = {
        zone: [
            Rrset("@", "NS", 3600, (f"ns1.{zone}.",)),
            Rrset("ns1", "A", 3600, (LOOPBACK,)),
            Rrset("@", "MX", 600, (f"10 mx1.{zone}.",)),
            Rrset("commented", "A", 300, ("192.0.2.4",)),
            Rrset("mta-sts", "A", TTL, (WEB,)),
        ]
        for zone in (ALPHA, BETA)
    }
    zones[ALPHA] += [Rrset("sub", "MX", 600, ("10 mx1.alpha.example.",)), Rrset("mta-sts.sub", "A", TTL, (WEB,))]
    (directory / "ca").mkdir()
    certificates, port = Certificates(directory / "ca"), free_port()
    certificate = certificates.issue(*(f"mta-sts.{name}" for name in ZONE_OF))
    with ExitStack() as stack:
        s3 = stack.enter_context(moto_alone(directory))
        server = stack.enter_context(running(PowerDns, directory / "dns", zones))
        assert isinstance(server, PowerDns)
        sites = "".join(
            SITE.format(address=address, port=port, certificate=certificate, s3=s3, bucket=bucket)
            for address, bucket in ((WEB, "web"), (CDN, "cdn"))
        )
        stack.enter_context(Nginx(directory / "nginx", (WEB, port), (CDN, port)).serving(sites))
        os.environ.update(server.environment)
        yield Clouds(directory / "here", server, s3, port, certificates.root)
