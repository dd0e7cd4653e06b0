"""Git against the world, pure: declaration, ledger and plan against a sight put together by hand."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mtasts_deploy.declaration.model import DomainSettings
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Address, Fetched, Probed
from mtasts_deploy.ledger.events import digits_of
from mtasts_deploy.ledger.model import Entry, Exposure, MxSighting, PublicPolicy, Way
from mtasts_deploy.output.channel import Channel
from mtasts_deploy.output.drifting import drift_lines
from mtasts_deploy.output.machine import Machine
from mtasts_deploy.output.prometheus import FIRST, metrics
from mtasts_deploy.plan.model import Action, DomainPlan, Line, Verdict
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import Mode, policy_id
from mtasts_deploy.sender.names import Outcome, Reply
from mtasts_deploy.state.directory import DirectoryState
from mtasts_deploy.verify.drift import DriftReport, drift
from mtasts_deploy.verify.memory import KEY, recall, remember
from mtasts_deploy.verify.model import HostSight, RecordSight, Report, Sight
from mtasts_deploy.verify.policies import Declared
from mtasts_deploy.verify.verdict import judge
from tests.schemas import faults

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DOMAIN = Domain.parse("example.com")
POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmax_age: 604800\r\n"
ID = str(policy_id(POLICY))
SETTINGS = DomainSettings(domain=DOMAIN, mode=Mode.ENFORCE, max_age=604800)
ENTRY = Entry(
    policies={digits_of(POLICY): PublicPolicy(body=POLICY, since=NOW - timedelta(days=12))},
    ids={ID: Exposure(id=ID, since=NOW, ttl=60, bytes=frozenset({digits_of(POLICY)}), ours=True, counted=True)},
    mx={"mx1.example.com": MxSighting(host="mx1.example.com", since=NOW)},
    ways=(Way(host="web", address=Address(a=("192.0.2.80",)), ttl=60, since=NOW, seen=NOW),),
)
KEPT = DomainPlan(domain=DOMAIN, verdict=Verdict.UNCHANGED)


def reply(name: str, kind: str, *values: str, outcome: Outcome = Outcome.FOUND) -> Reply:
    texts = tuple(value.encode() for value in values) if kind == "TXT" else ()
    return Reply(name=name, kind=kind, server="r", outcome=outcome, texts=texts, values=() if texts else values, ttl=60)


def sight(**changes: object) -> Sight:
    seen = Sight(
        domain=DOMAIN,
        at=NOW,
        sts=RecordSight(seen=reply("_mta-sts.example.com", "TXT", f"v=STSv1; id={ID};")),
        tlsrpt=RecordSight(seen=reply("_smtp._tls.example.com", "TXT", "v=TLSRPTv1; rua=mailto:a@b.example")),
        fetched=(Fetched(address="192.0.2.80", status=200, body=POLICY, not_after=NOW + timedelta(days=60)),),
        mx=reply("example.com", "MX", "10 mx1.example.com"),
        hosts=(host("mx1.example.com"),),
    )
    return replace(seen, **changes)  # type: ignore[arg-type]


def host(name: str) -> HostSight:
    probe = Probed(host=name, address="192.0.2.1", protocol="TLSv1.3", not_after=NOW + timedelta(days=30, hours=12))
    return HostSight(host=name, preference=10, replies=(reply(name, "A", "192.0.2.1"),), probes=(probe,), looked=True)


def compared(seen: Sight, plan: DomainPlan = KEPT, entry: Entry | None = ENTRY) -> DriftReport:
    known = Declared(settings=SETTINGS, entry=entry)
    return drift(Report(at=NOW, domains=(judge(seen, known),)), [plan], {DOMAIN: known})


def test_a_world_that_is_as_it_was_left_has_not_drifted():
    report = compared(sight())
    (one,) = report.domains
    assert (report.exit_code, one.drifted, one.report.id_matches, one.since) == (0, False, True, NOW - timedelta(days=12))
    assert list(drift_lines(report, Channel(io.StringIO()), verbose=False)) == ["Drift: 0 of 1 domain."]


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (sight(sts=RecordSight(seen=reply("_mta-sts.example.com", "TXT", "v=STSv1; id=1;"))), "MTS581"),
        (sight(sts=RecordSight(seen=reply("_mta-sts.example.com", "TXT", outcome=Outcome.NO_NAME)), fetched=()), "MTS581"),
        (sight(fetched=(Fetched(address="192.0.2.80", status=200, body=POLICY.replace(b"604800", b"604801")),)), "MTS580"),
        (sight(fetched=(Fetched(address="192.0.2.80", problem=Diagnostic(code="MTS521", message="404")),)), "MTS580"),
        (sight(hosts=(host("mx1.example.com"), host("mx2.example.com"))), "MTS582"),
        (sight(fetched=(Fetched(address="192.0.2.99", status=200, body=POLICY),)), "MTS583"),
    ],
)
def test_what_no_apply_has_changed_is_drift(seen: Sight, code: str):
    report = compared(seen)
    assert report.exit_code == 2
    assert [finding.code for finding in report.domains[0].findings] == [code]


def test_what_an_apply_would_change_is_drift():
    lines = (Line(action=Action.CHANGE, what="policy", text="mode testing → enforce"), Line(action=Action.KEEP, what="_mta-sts", text=""))
    report = compared(sight(), DomainPlan(domain=DOMAIN, verdict=Verdict.CHANGED, lines=lines))
    assert report.exit_code == 2
    assert "  ~ policy       mode testing → enforce" in list(drift_lines(report, Channel(io.StringIO()), verbose=False))


def test_without_a_ledger_only_the_plan_counts():
    assert compared(sight(hosts=(host("mx9.example.com"),)), entry=None).exit_code == 0


@pytest.mark.parametrize(
    "seen",
    [
        sight(mx=reply("example.com", "MX", outcome=Outcome.TIMEOUT), hosts=()),
        sight(sts=RecordSight(seen=reply("_mta-sts.example.com", "TXT", outcome=Outcome.FAILED)), fetched=()),
    ],
)
def test_what_could_not_be_looked_at_is_no_drift_and_no_peace(seen: Sight):
    report = compared(seen)
    assert (report.exit_code, report.domains[0].drifted) == (1, False)
    assert "mtasts_drift{" not in metrics(report)


def test_a_plan_that_could_not_observe_counts_as_unknown():
    problem = Diagnostic(code="MTS480", message="the provider does not answer")
    report = compared(sight(), DomainPlan(domain=DOMAIN, verdict=Verdict.UNKNOWN, findings=(problem,)))
    assert (report.exit_code, report.domains[0].findings) == (1, (problem,))


def test_metrics_are_in_the_text_format(tmp_path: Path):
    text = metrics(compared(sight(hosts=(host('mx1."odd"\\name'),))))
    assert text.startswith(FIRST)
    assert text.endswith("\n")
    assert 'mtasts_mx_certificate_days{domain="example.com",mx="mx1.\\"odd\\"\\\\name"} 30.50\n' in text
    assert 'mtasts_policy_age_days{domain="example.com"} 12.00\n' in text
    assert f"mtasts_looked_timestamp_seconds {int(NOW.timestamp())}\n" in text
    samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert samples["mtasts_mx_certificate_days"].labels == {"domain": "example.com", "mx": 'mx1."odd"\\name'}
    assert samples["mtasts_policy_age_days"].value == 12


@pytest.mark.parametrize(
    "report",
    [
        compared(sight()),
        compared(sight(fetched=())),
        compared(sight(), DomainPlan(domain=DOMAIN, verdict=Verdict.CHANGED, lines=(Line(action=Action.CHANGE, what="policy", text="x"),))),
        compared(sight(sts=RecordSight(seen=reply("_mta-sts.example.com", "TXT", outcome=Outcome.TIMEOUT)))),
    ],
)
def test_the_json_of_drift_follows_its_schema(report: DriftReport):
    written: list[str] = []
    Machine(written.append, "mtasts-deploy 0").drifted(report)
    assert faults("drift", json.loads(written[0])) == []


def test_the_last_look_is_remembered_by_domain_and_forgotten_if_it_cannot_be_read(tmp_path: Path):
    store = DirectoryState(tmp_path / "state", "state")
    report = judge(sight(), None)
    assert recall(store) == {}
    remember(store, [report])
    look = recall(store)[DOMAIN]
    assert (look.delivery, look.at, look.policy_host_ends) == (report.delivery, NOW, NOW + timedelta(days=60))
    assert look.fresh(NOW + timedelta(hours=1), timedelta(hours=1))
    assert not look.fresh(NOW + timedelta(hours=1, seconds=1), timedelta(hours=1))
    for data in (b"{}", b"nonsense", b'{"format_version": 2, "looks": {}}', b'{"format_version": 1, "looks": {"example.com": {}}}'):
        stored = store.read(KEY)
        assert stored is not None
        store.write(KEY, data, stored.version)
        assert recall(store) == {}
    remember(store, [report])
    assert DOMAIN in recall(store)
