"""Metrics of `verify` and `drift`, as the parser of Prometheus' own library reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mtasts_deploy.cli.app import run
from mtasts_deploy.errors import UsageError
from mtasts_deploy.output.prometheus import FIRST, Prometheus, metrics
from mtasts_deploy.sender.options import Looking
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.model import Delivery, Report
from mtasts_deploy.verify.run import verify
from tests.net import DOMAIN, NOW, TESTING, Net

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """Every sample; each belongs to a family with a help text and the type gauge, and no two are the same."""
    families = list(text_string_to_metric_families(text))
    assert all(family.type == "gauge" and family.documentation for family in families)
    found = [((sample.name, frozenset(sample.labels.items())), sample.value) for family in families for sample in family.samples]
    assert all(sample.name == family.name for family in families for sample in family.samples)
    assert len(dict(found)) == len(found)
    return dict(found)


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset({"domain": "example.com", **labels}.items())


def looked(net: Net) -> Report:
    return verify([DOMAIN], Eyes(lookups=net, fetcher=net, prober=net, looking=Looking(), clock=lambda: NOW))


def test_a_verification_says_verdict_mode_id_and_the_days_of_certificates():
    samples = read(metrics(looked(Net())))
    assert samples[("mtasts_looked_timestamp_seconds", frozenset())] == NOW.timestamp()
    assert {name: samples[key("mtasts_verdict", verdict=name)] for name in [one.value for one in Delivery]} == {
        one.value: float(one is Delivery.DELIVER) for one in Delivery
    }
    assert samples[key("mtasts_mode", of="served", mode="enforce")] == 1
    assert samples[key("mtasts_id_match")] == 1
    assert samples[key("mtasts_policy_host_certificate_days")] == 60
    assert {dict(labels)["mx"] for name, labels in samples if name == "mtasts_mx_certificate_days"} <= {
        "mx1.example.com",
        "mx2.example.com",
    }
    assert not any(name in ("mtasts_drift", "mtasts_policy_age_days") for name, _ in samples)


def test_another_policy_than_the_id_names_is_said():
    net = Net()
    net.fetched = (type(net.fetched[0])(address="192.0.2.80", status=200, body=TESTING),)
    samples = read(metrics(looked(net)))
    assert samples[key("mtasts_id_match")] == 0
    assert samples[key("mtasts_mode", of="served", mode="testing")] == 1
    assert key("mtasts_policy_host_certificate_days") not in samples


def test_names_that_others_made_cannot_break_the_format():
    odd = 'mx1."odd"\\name'
    net = Net().with_dns({("example.com", "MX"): [f"10 {odd}"], (odd, "A"): ["192.0.2.1"]})
    assert "mtasts_verdict" in {name for name, _ in read(metrics(looked(net)))}


def test_the_format_is_written_for_verify_and_refused_for_others(tmp_path: Path):
    written: list[str] = []
    output = Prometheus(written.append, places={}, root=tmp_path)
    output.verified(looked(Net()))
    assert written[0].startswith(FIRST)
    output.failed((), 1)
    assert len(written) == 1
    with pytest.raises(UsageError):
        output.found("", ())


@pytest.mark.parametrize("command", ["apply", "plan", "status"])
def test_who_asks_for_metrics_of_what_has_none_hears_so_before_anything_is_done(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert run([command, "--format", "prometheus"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.search(rf"MTS915.*deploy {command}", said.err), said.err


def test_a_file_that_is_not_ours_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.prom").write_text("# theirs\n")
    assert run(["verify", "example.com", "--prometheus", "other.prom"]) == 1
    assert "MTS908" in capsys.readouterr().err
    assert (tmp_path / "other.prom").read_text() == "# theirs\n"
