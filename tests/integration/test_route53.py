"""octodns-route53 against moto: what it writes, and that a zone that is not there is not made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.errors import Refused
from mtasts_deploy.facts import RecordChange, RecordKind, ZoneName
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.names import Domain
from tests.estates import applied, deploy

pytestmark = pytest.mark.integration
BLOCK = {
    "class": "octodns_route53.Route53Provider",
    "access_key_id": "env/MTASTS_TEST_AWS_ID",
    "secret_access_key": "env/MTASTS_TEST_AWS_SECRET",
}
IDN = "xn--bcher-kva.example"


@pytest.fixture
def route53(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("MTASTS_TEST_AWS_ID", "AKIATESTTESTTEST")
    monkeypatch.setenv("MTASTS_TEST_AWS_SECRET", "secret-of-a-test")
    with mock_aws():
        client = boto3.client("route53", aws_access_key_id="x", aws_secret_access_key="y")
        for zone in ("example.com", IDN):
            made = client.create_hosted_zone(Name=zone, CallerReference=zone)["HostedZone"]["Id"]
            rrsets = [
                (f"{zone}.", "MX", "10 mx.example.net."),
                (f"www.{zone}.", "A", "192.0.2.1"),
                (f"_mta-sts.{zone}.", "TXT", '"foreign; value"'),
            ]
            changes = [
                {"Action": "CREATE", "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": 3600, "ResourceRecords": [{"Value": value}]}}
                for name, kind, value in rrsets
            ]
            client.change_resource_record_sets(HostedZoneId=made, ChangeBatch={"Changes": changes})
        yield client


def dump(client: Any, zone: str) -> set[tuple[str, str, int, str]]:
    (found,) = [one for one in client.list_hosted_zones()["HostedZones"] if one["Name"] == f"{zone}."]
    return {
        (one["Name"], one["Type"], one["TTL"], value["Value"].replace("\\;", ";"))
        for one in client.list_resource_record_sets(HostedZoneId=found["Id"])["ResourceRecordSets"]
        for value in one["ResourceRecords"]
    }


def test_only_our_values_differ_and_the_second_plan_is_empty(route53: Any, tmp_path: Path):
    before = dump(route53, "example.com"), dump(route53, IDN)
    deployment = deploy(tmp_path, {"aws": BLOCK}, "  example.com:\n  mail.example.com:\n  bücher.example:\n")
    result = applied(deployment)
    assert (result.exit_code, result.findings) == (0, ())
    after = dump(route53, "example.com"), dump(route53, IDN)
    assert before[0] <= after[0]
    assert before[1] <= after[1]
    names = {f"{name}.{domain}." for name in ("_mta-sts", "_smtp._tls") for domain in ("example.com", "mail.example.com")}
    assert {row[0] for row in after[0] - before[0]} == names
    assert [one.verdict for one in deployment.plan().domains] == [Verdict.UNCHANGED] * 3
    second = deploy(tmp_path, {"aws": BLOCK}, "  example.com: {max_age: 2w}\n  mail.example.com:\n  bücher.example:\n")
    assert applied(second).exit_code == 0
    assert {row[0] for row in after[0] ^ dump(route53, "example.com")} == {"_mta-sts.example.com."}


def test_a_missing_zone_is_refused_and_not_created(route53: Any, tmp_path: Path):
    deployment = deploy(tmp_path, {"aws": BLOCK}, "  nowhere.example: {zone: nowhere.example}\n  example.com:\n")
    result = applied(deployment)
    assert result.outcomes[Domain.parse("nowhere.example")] is Outcome.UNKNOWN
    assert result.outcomes[Domain.parse("example.com")] is Outcome.DONE
    assert [finding.code for finding in deployment.plan().domains[1].findings] == ["MTS458"]
    change = RecordChange(name="_mta-sts.nowhere.example", kind=RecordKind.STS, before=None, value="v=STSv1; id=1;", ttl=60)
    with pytest.raises(Refused) as raised:
        deployment.targets["aws"].write(ZoneName("nowhere.example."), [change])
    assert raised.value.diagnostics[0].code == "MTS458"
    assert {one["Name"] for one in route53.list_hosted_zones()["HostedZones"]} == {"example.com.", f"{IDN}."}
