"""The set-ups that `deploy host` prints, run: every declared domain is served and nothing else; the template passes cfn-lint."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import trustme

from mtasts_deploy.declaration.load import load
from mtasts_deploy.declaration.model import Declaration, HostSpec, S3HostSpec
from mtasts_deploy.errors import UsageError
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sites import cloudfront
from mtasts_deploy.sites.caddy import caddy
from mtasts_deploy.sites.github_pages import github_pages
from mtasts_deploy.sites.nginx import nginx
from mtasts_deploy.sites.site import Site, site

pytestmark = pytest.mark.integration

NAMES = ("example.com", "mail.example.org", "bücher.example")
PATH = "/.well-known/mta-sts.txt"


def declared(directory: Path, text: str) -> Declaration:
    (directory / "mta-sts.yaml").write_text(f"version: 1\ndefaults: {{tlsrpt: 'mailto:tls@reports.example'}}\n{text}")
    return load(directory / "mta-sts.yaml", today=date(2026, 1, 5))


@pytest.fixture
def files(tmp_path: Path) -> Site:
    """The policies of three domains, as `deploy apply` writes them."""
    made = site(declared(tmp_path, f"domains: {{{', '.join(f'{name}: ' for name in NAMES)}}}\n"), HostSpec, None, str(tmp_path / "www"))
    for domain in made.domains:
        folder = tmp_path / "www" / domain.policy_host / ".well-known"
        folder.mkdir(parents=True)
        (folder / "mta-sts.txt").write_bytes(body(domain))
        (folder / "other.txt").write_bytes(b"other\n")
    return made


def body(domain: Domain) -> bytes:
    return f"version: STSv1\r\nmode: testing\r\nmx: mx.{domain}\r\nmax_age: 604800\r\n".encode()


class Names(http.client.HTTPSConnection):
    """Connects to loopback, whatever the name."""

    def __init__(self, name: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(name, port, context=context, timeout=10)
        self._trust = context

    def connect(self) -> None:
        self.sock = self._trust.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 10), server_hostname=self.host)


def fetch(name: str, port: int, context: ssl.SSLContext, *, path: str = PATH, host: str = "") -> tuple[int, str, bytes]:
    connection = Names(name, port, context)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type") or "", response.read()
    finally:
        connection.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def running(start: Callable[[list[int]], tuple[list[str], dict[str, str]]], log: Path) -> Iterator[list[int]]:
    """The program, once it listens on the second of two ports (HTTPS); on others if somebody else was faster to take them."""
    for attempt in range(5):
        ports = free_ports(2)
        command, environment = start(ports)
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            if listens(process, ports[1]):
                yield ports
                return
            assert attempt < 4, log.read_text()
        finally:
            process.terminate()
            process.wait(timeout=10)


def listens(process: subprocess.Popen[bytes], port: int) -> bool:
    for _ in range(300):
        if process.poll() is not None:
            return False
        with socket.socket() as one:
            open_ = one.connect_ex(("127.0.0.1", port)) == 0
        if open_:
            time.sleep(0.2)  # it may be somebody else who listens, and the program about to say so
            return process.poll() is None
        time.sleep(0.05)
    return False


def certificate(directory: Path, made: Site) -> tuple[Path, Path, ssl.SSLContext]:
    ca = trustme.CA()
    issued = ca.issue_cert(*(domain.policy_host for domain in made.domains))
    chain, key = directory / "chain.pem", directory / "key.pem"
    chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return chain, key, context


@contextmanager
def served_by_nginx(directory: Path, made: Site) -> Iterator[tuple[int, int, ssl.SSLContext]]:
    chain, key, context = certificate(directory, made)
    config = directory / "nginx.conf"

    def start(ports: list[int]) -> tuple[list[str], dict[str, str]]:
        text = re.sub(r"\s*listen \[::\].*;", "", nginx(made))
        text = text.replace("listen 80;", f"listen 127.0.0.1:{ports[0]};").replace("listen 443 ssl;", f"listen 127.0.0.1:{ports[1]} ssl;")
        text = re.sub(r"ssl_certificate /\S+;", f"ssl_certificate {chain};", text)
        text = re.sub(r"ssl_certificate_key /\S+;", f"ssl_certificate_key {key};", text)
        temporary = "".join(f"{kind}_temp_path {directory}/t-{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config.write_text(
            f"{'user root; ' if os.geteuid() == 0 else ''}daemon off; pid {directory}/nginx.pid; error_log stderr;\nevents {{}}\n"
            f"http {{ default_type application/octet-stream; access_log off;\n{temporary}{text}}}\n"
        )
        return ["nginx", "-p", str(directory), "-c", str(config)], {"PATH": "/usr/sbin:/usr/bin:/bin"}

    with running(start, directory / "log") as ports:
        yield ports[0], ports[1], context


@contextmanager
def served_by_caddy(directory: Path, made: Site) -> Iterator[tuple[int, int, ssl.SSLContext]]:
    chain, key, context = certificate(directory, made)
    config = directory / "Caddyfile"

    def start(ports: list[int]) -> tuple[list[str], dict[str, str]]:
        options = f"admin off\n\thttp_port {ports[0]}\n\thttps_port {ports[1]}\n\tdefault_bind 127.0.0.1\n\tauto_https disable_redirects\n"
        text = caddy(made).replace("auto_https disable_redirects\n", options).replace(":443 {", f":{ports[1]} {{")
        config.write_text(text.replace("\t@policy path", f"\ttls {chain} {key}\n\t@policy path"))
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "XDG_CONFIG_HOME": str(directory), "XDG_DATA_HOME": str(directory)}
        return ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"], environment

    with running(start, directory / "log") as ports:
        yield ports[0], ports[1], context


def judge(made: Site, port: int, context: ssl.SSLContext) -> None:
    for domain in made.domains:
        name = domain.policy_host
        status, kind, data = fetch(name, port, context)
        assert (status, data) == (200, body(domain))
        assert kind.split(";")[0] == "text/plain"
        for path in (
            "/",
            "/.well-known/",
            "/.well-known/other.txt",
            "/.well-known/mta-sts.txt/",
            "/.well-known/mta-sts.txt.bak",
            "/index.html",
        ):
            assert fetch(name, port, context, path=path)[0] == 404  # ENG-4
        for host in ("mta-sts.unknown.example", "..", "example.com"):
            assert fetch(name, port, context, host=host)[0] in (400, 404)


@pytest.mark.services("nginx")
def test_nginx_serves_every_declared_domain_and_nothing_else(tmp_path: Path, files: Site) -> None:
    with served_by_nginx(tmp_path, files) as (http_port, https_port, context):
        judge(files, https_port, context)
        plain = http.client.HTTPConnection("127.0.0.1", http_port, timeout=10)
        plain.request("GET", PATH, headers={"Host": files.domains[0].policy_host})
        assert plain.getresponse().status == 404  # no redirect, and no policy in the clear (RFC 8461 §3.3)
        plain.close()


@pytest.mark.services("caddy")
def test_caddy_serves_every_declared_domain_and_nothing_else(tmp_path: Path, files: Site) -> None:
    with served_by_caddy(tmp_path, files) as (_, https_port, context):
        judge(files, https_port, context)
        with pytest.raises(ssl.SSLError):
            fetch("mta-sts.unknown.example", https_port, context)


@pytest.mark.services("nginx")
def test_many_domains_fit(tmp_path: Path, files: Site) -> None:
    many = Site(domains=(*files.domains, *(Domain.parse(f"d{number}.example") for number in range(120))), root=files.root)
    text = nginx(many)
    assert text.count("listen 443 ssl;") == 2
    assert text.count("--cert-name") == 2
    with served_by_nginx(tmp_path, Site(domains=many.domains, root=files.root)) as (_, https_port, context):
        assert fetch(files.domains[0].policy_host, https_port, context)[0] == 200


# --- CloudFront ---------------------------------------------------------------------------------------------------------------------------

CDN = "hosts: {cdn: {type: s3, bucket: policies.example.com}}\nstate: {type: directory, path: .mtasts}\n"


def lint(directory: Path, template: str) -> str:
    path = directory / "template.json"
    path.write_text(template)
    program = Path(sys.executable).parent / "cfn-lint"
    done = subprocess.run([str(program), "--regions", "us-east-1", "--", str(path)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("count", [1, 3, 9])
def test_the_template_passes_cfn_lint(tmp_path: Path, count: int) -> None:
    domains = ", ".join(f"d{number}.example: {{host: cdn}}" for number in range(count))
    made = site(declared(tmp_path, f"{CDN}domains: {{{domains}}}\n"), S3HostSpec, None)
    template = cloudfront.cloudfront(made)
    assert lint(tmp_path, template) == ""
    document = json.loads(template)
    assert document["Parameters"]["BucketName"]["Default"] == "policies.example.com"
    aliases = document["Resources"]["Distribution"]["Properties"]["DistributionConfig"]["Aliases"]
    assert aliases == [f"mta-sts.d{number}.example" for number in range(count)]


def test_the_template_can_be_made_before_there_is_a_bucket(tmp_path: Path) -> None:
    made = site(declared(tmp_path, "domains: {example.com: }\n"), S3HostSpec, None)
    template = cloudfront.cloudfront(made)
    assert "Default" not in json.loads(template)["Parameters"]["BucketName"]
    assert lint(tmp_path, template) == ""


def test_quotas_are_told() -> None:
    few, many = (Site(domains=tuple(Domain.parse(f"d{number}.example") for number in range(count))) for count in (10, 101))
    assert len(cloudfront.notes(few)) == 2
    assert [note.split(";")[0] for note in cloudfront.notes(many)[2:]] == ["These are 101 names"] * 2


@pytest.mark.services("node")
@pytest.mark.parametrize(
    ("key", "prefix", "uri"),
    [
        ("{policy_host}/.well-known/mta-sts.txt", "", "/mta-sts.example.com/.well-known/mta-sts.txt"),
        ("{domain}.txt", "a/b/", "/a/b/example.com.txt"),
        ("x/{domain}/{policy_host}/y", "", "/x/example.com/mta-sts.example.com/y"),
        ("one.txt", "", "/one.txt"),
    ],
)
def test_the_function_at_the_edge_finds_the_key(key: str, prefix: str, uri: str) -> None:
    code = cloudfront.function(Site(domains=(), key=key, prefix=prefix))
    asked = [
        ("MTA-STS.Example.com", PATH),
        ("mta-sts.example.com:443", PATH),
        ("mta-sts.example.com", "/x"),
        ("d1.cloudfront.net", PATH),
        (None, PATH),
    ]
    program = f"""{code}
for (const [host, uri] of {json.dumps(asked)}) {{
  const answer = handler({{request: {{uri: uri, querystring: {{a: 1}}, headers: host === null ? {{}} : {{host: {{value: host}}}}}}}});
  console.log(answer.statusCode || answer.uri + Object.keys(answer.querystring).length);
}}"""
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"{uri}0", f"{uri}0", "404", "404", "404"]


# --- what is to be served -----------------------------------------------------------------------------------------------------------------


def test_the_host_that_domains_use_is_meant(tmp_path: Path) -> None:
    text = """\
hosts: {a: {type: directory, path: /srv/a}, b: {type: directory, path: b}, cdn: {type: s3, bucket: abc, key: "{domain}", prefix: p}}
state: {type: directory, path: .mtasts}
domains:
  a.example: {host: a}
  b.example: {host: b}
  c.example: {host: cdn}
  d.example: {host: a, sts: false, tlsrpt: 'mailto:x@reports.example'}
"""
    declaration = declared(tmp_path, text)
    with pytest.raises(UsageError, match="several hosts are meant: a, b"):
        site(declaration, HostSpec, None)
    with pytest.raises(UsageError, match="no host of that kind"):
        site(declaration, HostSpec, "cdn")
    with pytest.raises(UsageError, match="no domain is declared"):
        site(declaration, HostSpec, "local")
    found = site(declaration, HostSpec, "a")
    assert ([str(domain) for domain in found.domains], found.root, found.made) == (["a.example"], "/srv/a", "/srv/a")
    assert "Copy what" not in nginx(found)
    found = site(declaration, HostSpec, "b")
    assert (found.root, found.made) == ("/srv/mta-sts", "b")
    assert "# Copy what `deploy apply` writes into b/ to /srv/mta-sts/." in caddy(found)
    assert site(declaration, S3HostSpec, None) == Site(domains=(Domain.parse("c.example"),), bucket="abc", key="{domain}", prefix="p/")


def test_the_note_about_github_pages_names_its_limits(files: Site) -> None:
    text = github_pages(files)
    assert "One domain a repository" in text
    assert "3 repositories" in text
    assert all(domain.policy_host in text for domain in files.domains)
