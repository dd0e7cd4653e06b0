"""The octoDNS plugin in the real `octodns-sync` and `octodns-validate`, beside the real `deploy`, on zone files of a directory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.integration

DECLARATION = """\
version: 1
providers:
  published: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: published}
defaults: {dns: [plugin, published], tlsrpt: "mailto:tls@reports.example", confirm: storage}
domains:
  example.com:
  mail.example.com:
"""
OCTODNS = """\
providers:
  config: {class: octodns.provider.yaml.YamlProvider, directory: config, enforce_order: false, escaped_semicolons: true}
  mtasts: {class: mtasts_deploy.octodns_plugin.MtaStsSource, config: mta-sts.yaml}
  published: {class: octodns.provider.yaml.YamlProvider, directory: published, escaped_semicolons: true}
validators:
  mtasts-zone: {class: mtasts_deploy.octodns_plugin.MtaStsValidator, config: mta-sts.yaml}
zones:
  example.com.: {sources: [config, mtasts], targets: [published]}
"""
ZONE = """\
'':
  - type: NS
    values: [ns1.example.net., ns2.example.net.]
  - type: MX
    values:
      - {exchange: mx1.example.com., preference: 10}
mail:
  type: MX
  value: {exchange: mx1.example.com., preference: 10}
mta-sts: {type: A, value: 192.0.2.1}
www: {type: A, value: 192.0.2.2}
"""
FENCE = """\
providers:
  mtasts: {class: mtasts_deploy.octodns_plugin.MtaStsSource, config: mta-sts.yaml, unknown_domains: skip}
  published: {class: octodns.provider.yaml.YamlProvider, directory: published, enforce_order: false, escaped_semicolons: true}
processors:
  fence: {class: mtasts_deploy.octodns_plugin.Fence, config: mta-sts.yaml}
zones:
  example.com.: {sources: [mtasts], processors: [fence], targets: [published]}
"""


@dataclass
class Done:
    code: int
    out: str


@dataclass
class Place:
    """A directory with a declaration, an octoDNS config, the source zones in `config` and the target's zones in `published`."""

    directory: Path

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.directory / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, *command: str) -> Done:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MTASTS_")}
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def sync(self, *options: str) -> Done:
        return self.run("octodns.cmds.sync", "--config-file", "octodns.yaml", *options)

    def first(self) -> None:
        """Publish the zone as it was before the plugin came: without a word of ours."""
        self.edit("octodns.yaml", "[config, mtasts]", "[config]")
        self.synced()
        self.edit("octodns.yaml", "[config]", "[config, mtasts]")

    def synced(self) -> str:
        done = self.sync("--doit")
        assert done.code == 0, done.out
        return done.out

    def validate(self) -> Done:
        return self.run("octodns.cmds.validate", "--config-file", "octodns.yaml")

    def deploy(self, *arguments: str) -> Done:
        """Nothing serves the policies here, so the guard against `confirm: storage` is lifted."""
        domains = yaml.safe_load((self.directory / "mta-sts.yaml").read_text(encoding="utf-8"))["domains"]
        return self.run("mtasts_deploy", *arguments, *(f"--allow=MTS410={domain}" for domain in domains))

    def applied(self) -> str:
        done = self.deploy("apply", "--auto-approve")
        assert done.code == 0, done.out
        return done.out

    def published(self) -> dict[str, object]:
        path = self.directory / "published" / "example.com.yaml"
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def txt(self, name: str) -> object:
        record = self.published().get(name)
        return record["value"].replace("\\;", ";") if isinstance(record, dict) else record

    def served(self, domain: str = "example.com") -> bytes:
        return (self.directory / "policies" / f"mta-sts.{domain}" / ".well-known" / "mta-sts.txt").read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.write("mta-sts.yaml", DECLARATION)
    place.write("octodns.yaml", OCTODNS)
    place.write("config/example.com.yaml", ZONE)
    (tmp_path / "policies").mkdir()
    return place


@pytest.fixture
def live(place: Place) -> Place:
    """Applied, published, and seen to be published."""
    place.first()
    place.applied()
    place.synced()
    place.applied()
    return place


def sts(place: Place, domain: str = "example.com") -> str:
    """The `_mta-sts` record that names what is served."""
    import hashlib

    return f"v=STSv1; id={hashlib.sha256(place.served(domain)).hexdigest()[:24]};"


def test_octodns_sync_publishes_what_the_ledger_says_and_nothing_before_the_barrier_has_passed(place: Place):
    place.first()
    assert place.run("mtasts_deploy", "apply", "--auto-approve").code == 3  # the guard is not lifted: looked at, and nothing done
    out = place.synced()
    assert "example.com has no _mta-sts record to publish yet" in out
    assert place.txt("_mta-sts") is None
    assert place.txt("_smtp._tls") == "v=TLSRPTv1; rua=mailto:tls@reports.example"
    out = place.applied()
    assert "3. only then run `octodns-sync --doit`" in out
    assert place.txt("_mta-sts") is None, "deploy writes no zone of octodns-sync"
    assert "wait" in place.deploy("plan").out
    place.synced()
    assert place.txt("_mta-sts") == sts(place)
    assert place.txt("_mta-sts.mail") == sts(place, "mail.example.com")
    assert place.txt("_smtp._tls.mail") == "v=TLSRPTv1; rua=mailto:tls@reports.example"
    before = {"www", "mta-sts", "mail", ""}
    assert before <= set(place.published())


def test_once_all_is_live_neither_command_has_anything_to_do(live: Place):
    assert "Plan: 0 to add, 0 to change, 0 to remove. 0 wait, 0 blocked." in live.deploy("plan").out
    before = {path: path.read_bytes() for path in live.directory.rglob("*.json")}
    assert "No changes were planned" in live.synced()
    live.applied()
    assert {path: path.read_bytes() for path in live.directory.rglob("*.json")} == before


def test_a_barrier_that_does_not_open_leaves_the_old_record_to_octodns_sync(live: Place):
    old = live.txt("_mta-sts")
    live.edit("mta-sts.yaml", "  example.com:\n", "  example.com: {max_age: 2w}\n")
    (live.directory / "policies" / "mta-sts.example.com" / ".well-known" / "mta-sts.txt").unlink()
    (live.directory / "policies" / "mta-sts.example.com" / ".well-known" / "mta-sts.txt").mkdir()
    assert live.deploy("apply", "--auto-approve").code != 0
    live.synced()
    assert live.txt("_mta-sts") == old
    (live.directory / "policies" / "mta-sts.example.com" / ".well-known" / "mta-sts.txt").rmdir()
    live.applied()
    live.synced()
    assert live.txt("_mta-sts") == sts(live) != old


def test_a_domain_that_is_no_longer_declared_keeps_its_record(live: Place):
    live.edit("mta-sts.yaml", "  mail.example.com:\n", "")
    out = live.synced()
    assert "mail.example.com is no longer declared" in out
    assert live.txt("_mta-sts.mail") == sts(live, "mail.example.com")
    assert live.txt("_smtp._tls.mail") is None
    assert "MTS415" in live.deploy("plan").out


def test_a_sub_zone_has_the_records_of_its_domain(place: Place):
    place.edit("octodns.yaml", "zones:\n", "zones:\n  mail.example.com.: {sources: [config, mtasts], targets: [published]}\n")
    place.write("config/mail.example.com.yaml", "'':\n  type: MX\n  value: {exchange: mx1.example.com., preference: 10}\n")
    place.edit("config/example.com.yaml", "mail:\n  type: MX\n  value: {exchange: mx1.example.com., preference: 10}\n", "")
    place.first()
    place.applied()
    place.synced()
    assert place.txt("_mta-sts") == sts(place)
    assert place.txt("_mta-sts.mail") is None
    records = yaml.safe_load((place.directory / "published" / "mail.example.com.yaml").read_text(encoding="utf-8"))
    assert records["_mta-sts"]["value"].replace("\\;", ";") == sts(place, "mail.example.com")


def test_a_record_written_by_hand_stops_the_zone_at_its_place_or_gives_way(place: Place):
    place.first()
    place.applied()
    place.edit("config/example.com.yaml", "www:", "_mta-sts: {type: TXT, values: [foreign, v=STSv1\\; id=2026\\;]}\nwww:")
    done = place.sync("--doit")
    assert done.code != 0
    assert re.search(
        r"MTS483: another source of the zone has a v=STSv1 value at _mta-sts\.example\.com \(.*example\.com\.yaml, line ", done.out
    )
    assert place.txt("_mta-sts") is None
    place.edit("octodns.yaml", "config: mta-sts.yaml}\n  published", "config: mta-sts.yaml, populate_should_replace: true}\n  published")
    place.synced()
    record = place.published()["_mta-sts"]
    assert isinstance(record, dict)
    assert [value.replace("\\;", ";") for value in record["values"]] == ["foreign", sts(place)]


@pytest.mark.parametrize("tool", ["sync", "validate"])
def test_two_sts_values_fail_the_zone_with_file_and_line(live: Place, tool: str):
    place = live
    before = place.published()
    place.edit("config/example.com.yaml", "www:", "_mta-sts.other: {type: TXT, values: [v=STSv1\\; id=1\\;, v=STSv1\\; id=2\\;]}\nwww:")
    done = place.sync("--doit") if tool == "sync" else place.validate()
    assert done.code != 0
    assert re.search(
        r"_mta-sts\.other\.example\.com: MTS301: 2 TXT values begin with `v=STSv1;`.*\(.*config/example\.com\.yaml, line \d+, column \d+\)",
        done.out,
    )
    assert place.published() == before


def test_a_bad_tlsrpt_record_fails_the_zone(place: Place):
    place.edit("config/example.com.yaml", "www:", "_smtp._tls.other: {type: TXT, value: v=TLSRPTv1\\;rua=tls@reports.example}\nwww:")
    done = place.validate()
    assert done.code != 0
    assert "_smtp._tls.other.example.com: MTS3" in done.out


def test_a_new_mx_host_that_no_served_policy_covers_fails_the_zone_until_the_policy_was_first(live: Place):
    host = "      - {exchange: mx1.example.com., preference: 10}\n"
    live.edit(
        "mta-sts.yaml",
        "  example.com:\n",
        '  example.com: {mode: enforce, allow: [{code: MTS411, until: "2099-01-01", why: test}, '
        '{code: MTS431, until: "2099-01-01", why: no mail here}]}\n',
    )
    live.applied()
    live.synced()
    live.applied()
    live.edit("config/example.com.yaml", host, host + "      - {exchange: mx3.example.com., preference: 30}\n")
    for done in (live.sync("--doit"), live.validate()):
        assert done.code != 0
        assert "MTS484: mx3.example.com would become an MX host of example.com" in done.out
        assert re.search(r"\(.*config/example\.com\.yaml, line 4, column 5\)", done.out)
    live.edit("config/example.com.yaml", "      - {exchange: mx3.example.com., preference: 30}\n", "")
    live.edit("mta-sts.yaml", "{mode: enforce,", "{mode: enforce, mx: [zone, mx3.example.com], ttl: 1,")
    live.applied()
    live.synced()
    live.applied()
    live.edit("config/example.com.yaml", host, host + "      - {exchange: mx3.example.com., preference: 30}\n")
    assert live.sync("--doit").code != 0, "the old id may be in caches for its TTL of one hour"


def test_a_lost_ledger_stops_octodns_sync_before_it_removes_the_live_record(live: Place):
    before = live.published()
    shutil.rmtree(live.directory / ".mtasts")
    done = live.sync("--doit")
    assert done.code != 0
    assert "MTS488: example.com has no _mta-sts record to publish, and one may be live: the ledger does not know the domain" in done.out
    assert live.published() == before
    live.run("mtasts_deploy", "apply", "--auto-approve")  # the ledger begins anew: it has seen the record, and no policy is proved
    done = live.sync("--doit")
    assert done.code != 0
    assert "has seen the id" in done.out
    assert live.published() == before


def test_after_a_lost_ledger_octodns_sync_goes_on_when_a_fresh_id_was_handed_over(live: Place):
    live.edit("config/example.com.yaml", "mta-sts: {type: A,", "mta-sts: {type: A, ttl: 3,")
    live.synced()
    before = live.txt("_mta-sts")
    shutil.rmtree(live.directory / ".mtasts")
    assert "address until" in live.applied()
    done = live.sync("--doit")
    assert done.code != 0
    assert "`deploy apply` hands a fresh id over" in done.out
    assert live.txt("_mta-sts") == before
    time.sleep(4)
    live.applied()
    live.synced()
    assert str(live.txt("_mta-sts")).startswith(str(before).rstrip(";") + "r")
    live.applied()
    assert "0 to add, 0 to change, 0 to remove. 0 wait" in live.deploy("plan").out


def test_the_fence_loses_no_record_of_a_zone_that_others_own(place: Place):
    place.first()
    place.applied()
    place.write("octodns.yaml", FENCE)
    place.edit("published/example.com.yaml", "www:", "_mta-sts.other:\n  type: TXT\n  value: v=STSv1\\; id=1\\;\nwww:")
    before = place.published()
    out = place.synced()
    assert "Creates=4, Updates=0, Deletes=0" in out
    after = place.published()
    assert {name: record for name, record in after.items() if name in before} == before
    assert set(after) - set(before) == {"_mta-sts", "_mta-sts.mail", "_smtp._tls", "_smtp._tls.mail"}
    assert "type: NS" in (place.directory / "published" / "example.com.yaml").read_text(encoding="utf-8")
    assert "No changes were planned" in place.synced()


def test_the_fence_keeps_a_live_record_while_the_ledger_has_none_and_creates_no_zone(place: Place):
    place.write("octodns.yaml", FENCE)
    done = place.sync("--doit")
    assert done.code != 0
    assert "MTS458: provider published has no zone example.com" in done.out
    assert not (place.directory / "published" / "example.com.yaml").exists()
    place.write("published/example.com.yaml", ZONE + "_mta-sts: {type: TXT, value: v=STSv1\\; id=1\\;}\n")
    before = place.published()
    place.synced()
    assert place.txt("_mta-sts") == "v=STSv1; id=1;"
    assert set(place.published()) - set(before) == {"_smtp._tls", "_smtp._tls.mail"}


def test_a_declaration_or_ledger_that_cannot_be_read_stops_octodns_sync(live: Place):
    before = live.published()
    shard = next(path for path in (live.directory / ".mtasts" / "ledger").iterdir() if "example" in path.read_text(encoding="utf-8"))
    text = shard.read_text(encoding="utf-8")
    shard.write_text("{", encoding="utf-8")
    done = live.sync("--doit")
    assert done.code != 0
    assert "MTS761" in done.out
    shard.write_text(text, encoding="utf-8")
    live.edit("mta-sts.yaml", "version: 1", "version: 2")
    done = live.sync("--doit")
    assert done.code != 0
    assert "mta-sts.yaml:1:10: MTS123" in done.out
    assert live.published() == before
