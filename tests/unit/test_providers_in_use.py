"""Providers as the whole program uses them: which are built, what is said when one cannot be, and that zones are looked at side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mtasts_deploy.declaration.model import ZONE_FILES
from mtasts_deploy.dns import build
from mtasts_deploy.dns.interface import Guarantee
from mtasts_deploy.dns.providers import PROVIDERS, install_hint, known
from mtasts_deploy.errors import Refused
from mtasts_deploy.facts import NameFacts, Unknown, ZoneFacts, ZoneName
from mtasts_deploy.observe import World
from mtasts_deploy.observed import Place
from mtasts_deploy.rfc.names import Domain
from tests.deployments import declare
from tests.worlds import MemoryHost, MemoryTarget

ROOT = Path(__file__).resolve().parents[2]
TEXT = """\
version: 1
state: {type: directory, path: .mtasts}
providers:
  cf: {class: octodns_cloudflare.CloudflareProvider, token: env/MTASTS_TEST_NOT_SET}
  ns1: {class: octodns_ns1.Ns1Provider, api_key: env/MTASTS_TEST_NOT_SET}
defaults: {tlsrpt: "mailto:tls@reports.example"}
domains:
  a.example: {dns: cf}
  b.example: {dns: cf}
  c.example: {dns: ns1}
  d.example:
"""
ZONE = "'': {type: MX, value: {exchange: mx.d.example., preference: 10}}\n"


def plan(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (directory / "mta-sts.yaml").write_text(TEXT)
    (directory / "zones").mkdir(exist_ok=True)
    (directory / "zones" / "d.example.yaml").write_text(ZONE)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MTASTS_")}
    command = [sys.executable, "-m", "mtasts_deploy", "plan", *arguments]
    variables |= {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", **environment}
    return subprocess.run(command, cwd=directory, env=variables, capture_output=True, text=True, check=False)


def test_what_is_missing_is_said_once_for_each_provider_and_nothing_else(tmp_path: Path):
    done = plan(tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("MTASTS_TEST_NOT_SET, which is not set") == 1
    assert done.stderr.count("needs the package octodns_ns1, which is not installed") == 1
    assert "pip install 'mtasts-deploy[ns1]'" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("error MTS") == 2


def test_only_the_providers_of_selected_domains_are_built(tmp_path: Path):
    done = plan(tmp_path, "--domain", "d.example")
    assert done.returncode == 0, done.stderr


def test_a_secret_is_in_no_log_of_a_library(tmp_path: Path):
    done = plan(
        tmp_path, "--domain", "a.example", "-vv", MTASTS_TEST_NOT_SET="token-of-a-test", https_proxy="http://token-of-a-test@127.0.0.1:9"
    )
    assert done.returncode == 1
    assert "token-of-a-test" not in done.stdout + done.stderr
    assert "***" in done.stderr
    assert "Traceback" not in done.stderr


class Meeting(MemoryTarget):
    """A target whose reads wait for one another: alone, none comes back."""

    meeting = threading.Barrier(8, timeout=20)

    def read(self, zone, names):
        self.meeting.wait()
        return super().read(zone, names)


def test_zones_at_a_provider_somewhere_else_are_read_side_by_side():
    zones = {ZoneName(f"z{number}.example."): {f"z{number}.example": NameFacts(others=("A",))} for number in range(16)}
    world = World({"far": Meeting(name="far", contents=zones, parallel=8)}, {"local": MemoryHost()})
    places = [Place(domain=Domain.parse(zone), dns=("far",), host="local") for zone in zones]
    seen = world.observe(places)
    assert [str(domain) for domain in seen] == [zone[:-1] for zone in zones]
    assert not any(isinstance(one.mx, Unknown) for one in seen.values())


class Blind(MemoryTarget):
    """A target that cannot list its zones."""

    def zones(self):
        return None

    def zone_of(self, name):
        self.faults(f"ask {name}")
        return next((zone for zone in self.contents if name.endswith(zone[:-1])), None)


def test_a_provider_that_lists_no_zones_is_asked_once_for_each_name():
    target = Blind(name="blind", contents={ZoneName("example.com."): {"example.com": NameFacts(others=("A",))}}, parallel=4)
    world = World({"blind": target}, {"local": MemoryHost()})
    domain = Domain.parse("example.com")
    for _ in range(2):
        seen = world.observe([Place(domain=domain, dns=("blind",), host="local")])
        assert isinstance(world.targets["blind"].read(ZoneName("example.com."), []), ZoneFacts)
        assert [site.zone for site in seen[domain].sts] == ["example.com."]
    asked = [call for call in target.faults.calls if call.startswith("ask")]
    assert sorted(asked) == [
        "ask _mta-sts.example.com",
        "ask _smtp._tls.example.com",
        "ask example.com",
        "ask mta-sts.example.com",
    ]


def test_the_table_is_about_classes_that_have_an_extra():
    extras = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    for name, one in PROVIDERS.items():
        assert name.startswith(("octodns.", "mtasts_deploy.")) or f"\n{one.extra} = [" in extras, name
    assert known("their.Provider").guarantee is Guarantee.RECORD_BY_RECORD
    assert "pip install their-package" in install_hint("their_package.Provider")


INSTALLED = ("octodns_bind", "octodns_cloudflare", "octodns_powerdns", "octodns_route53")


@pytest.mark.parametrize("name", [name for name in PROVIDERS if name.startswith(INSTALLED)])
def test_the_options_that_we_set_are_options_of_the_class(name: str, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    from mtasts_deploy.declaration.model import ProviderSpec

    needed = {"octodns_bind": {"host": "127.0.0.1"}, "octodns_powerdns": {"host": "x", "api_key": "k"}}.get(name.partition(".")[0], {})
    options = {"directory": str(tmp_path)} if name.endswith("ZoneFileProvider") else needed
    spec = ProviderSpec(name="x", class_name=name, options=options)
    if name.endswith("ZoneFileProvider"):
        with pytest.raises(Refused):
            build.build(spec)
        return
    made = build.build(spec)
    for option, value in known(name).options.items():
        assert getattr(made, option, getattr(made, f"_supports_{option[7:]}", None)) == value, option


def test_an_octodns_configuration_gives_its_providers_and_what_it_claims(tmp_path: Path):
    (tmp_path / "octodns.yaml").write_text(
        """\
secret_handlers:
  vault: {class: x.Vault, url: env/VAULT}
  other: {class: x.Other}
providers:
  cloud: {class: octodns_cloudflare.CloudflareProvider, token: vault/cf}
  files: {class: octodns.provider.yaml.YamlProvider, directory: zones}
zones:
  Example.COM.: {sources: [files], targets: [cloud]}
  bücher.example.: {alias: example.com.}
  '*': {sources: [files], targets: [cloud], glob: '*.glob.example.'}
  second.example.: {alias: Example.COM.}
"""
    )
    made = declare(
        tmp_path,
        "octodns: octodns.yaml\nstate: {type: directory, path: .mtasts}\n"
        "domains:\n  a.example: {dns: cloud}\nlimits: {cloud: {per_second: 2}}\n",
    )
    cloud = made.providers["cloud"]
    assert (cloud.class_name, cloud.source) == ("octodns_cloudflare.CloudflareProvider", "octodns.yaml")
    assert cloud.options == {"token": "vault/cf"}
    assert set(cloud.handlers) == {"vault"}
    assert cloud.claimed == ("*.glob.example.", "example.com.", "second.example.")
    assert cloud.limit.per_second == 2
    assert made.providers["local"].class_name == ZONE_FILES
    assert made.providers["files"].claimed == ()
