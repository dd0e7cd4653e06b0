"""The verdict of `verify` and its findings, from sights put together by hand: no network."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from mtasts_deploy.catalogue import CATALOGUE
from mtasts_deploy.declaration.model import DomainSettings
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import Fetched
from mtasts_deploy.output.channel import Channel
from mtasts_deploy.output.verification import verification_lines
from mtasts_deploy.rfc.names import Domain, MxPattern
from mtasts_deploy.rfc.policy import Mode
from mtasts_deploy.sender.names import Outcome, Reply
from mtasts_deploy.sender.options import Looking
from mtasts_deploy.verify.file import to_json
from mtasts_deploy.verify.findings import reported
from mtasts_deploy.verify.look import Eyes, Look
from mtasts_deploy.verify.model import Delivery, DomainReport, Report, Sight
from mtasts_deploy.verify.policies import Declared
from mtasts_deploy.verify.run import verify
from mtasts_deploy.verify.verdict import judge
from tests.net import DOMAIN, ENFORCE, NOW, STS, TESTING, Key, Net


def look(net: Net, *, smtp: bool = True, declared: Declared | None = None) -> DomainReport:
    eyes = Eyes(lookups=net, fetcher=net, prober=net if smtp else None, looking=Looking(), clock=lambda: NOW)
    report = verify([DOMAIN], eyes, declared={DOMAIN: declared} if declared else None)
    return report.domains[0]


def codes(report: DomainReport, severity: Severity = Severity.WARN) -> list[str]:
    return sorted(finding.code for finding in report.findings if finding.severity >= severity)


def mx(*values: str) -> Mapping[Key, Any]:
    return {("example.com", "MX"): list(values)}


WRONG_NAME = Diagnostic(code="MTS622", message="mx1.example.com at 192.0.2.1: its certificate is not for mx1.example.com")


def test_a_domain_where_all_is_well_is_delivered_to_without_a_word():
    report = look(Net())
    assert (report.delivery, codes(report, Severity.NOTE)) == (Delivery.DELIVER, [])
    assert report.why == "over verified TLS to 2 of 2 MX hosts"
    assert (report.policy_host_ends, report.mx_ends) == (NOW + timedelta(days=60), NOW + timedelta(days=90))


@pytest.mark.parametrize(
    ("net", "delivery", "expected"),
    [
        pytest.param(Net().with_dns({("_mta-sts.example.com", "TXT"): None}), Delivery.UNPROTECTED, [], id="no record"),
        pytest.param(Net().with_dns({("_mta-sts.example.com", "TXT"): [STS, STS]}), Delivery.UNPROTECTED, ["MTS301"], id="two records"),
        pytest.param(
            Net().with_dns({("_mta-sts.example.com", "TXT"): [b"v=spf1 -all"]}), Delivery.UNPROTECTED, [], id="a wildcard answers"
        ),
        pytest.param(
            Net().with_dns({("_mta-sts.example.com", "TXT"): Outcome.TIMEOUT}),
            Delivery.UNKNOWN,
            ["MTS553"],
            id="no answer about the record",
        ),
        pytest.param(
            Net().with_dns({("_mta-sts.example.com", "TXT"): Outcome.FAILED}), Delivery.UNKNOWN, ["MTS552"], id="SERVFAIL about the record"
        ),
        pytest.param(
            Net(fetched=(Fetched(address="192.0.2.80", problem=Diagnostic(code="MTS521", message="status 404")),)),
            Delivery.UNPROTECTED,
            ["MTS521"],
            id="404",
        ),
        pytest.param(
            Net(fetched=(Fetched(address="192.0.2.80", status=200, body=b"<html>"),)), Delivery.UNPROTECTED, ["MTS223"], id="a page"
        ),
        pytest.param(
            Net(fetched=(Fetched(address="192.0.2.80", status=200, body=TESTING),)), Delivery.UNPROTECTED, ["MTS534"], id="testing"
        ),
        pytest.param(Net(probes={"mx1.example.com": WRONG_NAME}), Delivery.DELIVER, ["MTS622"], id="the backup is fine"),
        pytest.param(
            Net(probes={"mx1.example.com": WRONG_NAME, "mx2.example.com": WRONG_NAME}), Delivery.REFUSE, ["MTS622"], id="both fail"
        ),
        pytest.param(Net().with_dns(mx("10 mx9.example.com")), Delivery.REFUSE, ["MTS630", "MTS636"], id="another MX host"),
        pytest.param(Net().with_dns(mx("0 ")), Delivery.NO_MAIL, ["MTS632"], id="null MX"),
        pytest.param(Net().with_dns(mx("0 ", "10 mx1.example.com")), Delivery.DELIVER, ["MTS635"], id="null MX and another"),
        pytest.param(Net().with_dns({("example.com", "MX"): Outcome.FAILED}), Delivery.UNKNOWN, ["MTS637"], id="SERVFAIL about MX"),
        pytest.param(Net().with_dns({("example.com", "MX"): None}), Delivery.NO_MAIL, ["MTS639"], id="neither MX nor address"),
        pytest.param(
            Net().with_dns({("example.com", "MX"): None, ("example.com", "A"): ["192.0.2.9"]}),
            Delivery.REFUSE,
            ["MTS630"],
            id="implicit MX",
        ),
    ],
)
def test_the_verdict(net: Net, delivery: Delivery, expected: list[str]):
    report = look(net)
    assert (report.delivery, codes(report)) == (delivery, expected), report.why


def test_in_testing_a_failing_host_is_a_warning_and_the_verdict_tells_what_enforce_would_do():
    net = Net(
        fetched=(Fetched(address="192.0.2.80", status=200, body=TESTING),),
        probes=dict.fromkeys(["mx1.example.com", "mx2.example.com"], WRONG_NAME),
    )
    report = look(net.with_dns({("_mta-sts.example.com", "TXT"): [b"v=STSv1; id=20260101;"]}))
    assert (report.delivery, codes(report), codes(report, Severity.ERROR)) == (Delivery.UNPROTECTED, ["MTS622"], [])
    assert "enforce would refuse: mx1.example.com" in report.why


def test_a_silent_host_is_dead_where_another_answers_and_unknown_where_none_does():
    silent = dict.fromkeys(["mx1.example.com", "mx2.example.com"], "silent")
    assert look(Net(probes=silent)).delivery is Delivery.REFUSE
    net = Net(probes=silent, answered=False)
    eyes = Eyes(lookups=net, fetcher=net, prober=net, looking=Looking(), clock=lambda: NOW)
    report = verify([DOMAIN, Domain.parse("sub.example.com")], eyes)
    assert report.domains[0].delivery is Delivery.UNKNOWN
    assert codes(report.domains[0]) == []
    assert [finding.code for finding in report.findings] == ["MTS607"]
    assert "2 MX hosts" in report.findings[0].message
    assert report.exit_code == 1


def test_without_smtp_nothing_is_connected_to_and_the_verdict_says_so():
    net = Net()
    report = look(net, smtp=False)
    assert (report.delivery, net.probed) == (Delivery.DELIVER, [])
    assert "port 25 was not looked at" in report.why


def test_each_name_and_host_is_asked_once_however_many_domains_share_it():
    net = Net()
    names = [Domain.parse(f"d{number}.example.com") for number in range(8)]
    for domain in names:
        net.with_dns({(str(domain), "MX"): ["10 mx1.example.com"]})
    eyes = Eyes(lookups=net, fetcher=net, prober=net, looking=Looking(), clock=lambda: NOW)
    verify(names, eyes)
    assert net.probed == ["mx1.example.com 192.0.2.1"]
    assert net.asked.count(("mx1.example.com", "A")) == 1


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"ns1": [STS], "ns2": [STS]}, []),
        ({"ns1": [STS], "ns2": [b"v=STSv1; id=old;"]}, ["MTS562"]),
        ({"ns1": [b"v=STSv1; id=new;"]}, ["MTS563"]),
        ({"ns1": [STS], "ns2": Outcome.TIMEOUT}, ["MTS565"]),
        ({"ns1": Outcome.TIMEOUT}, []),
    ],
)
def test_name_servers_are_compared_with_each_other_and_with_the_resolver(own: Mapping[str, Any], expected: list[str]):
    net = Net(own=own)
    del net.dns[("_smtp._tls.example.com", "TXT")]
    eyes = Eyes(lookups=net, fetcher=net, prober=net, looking=Looking(), clock=lambda: NOW)
    with ThreadPoolExecutor(1) as pool:
        sight = Look(eyes, pool).at(DOMAIN)
    report = judge(Sight(domain=DOMAIN, at=NOW, sts=sight.sts, tlsrpt=sight.tlsrpt, mx=sight.mx))
    assert [finding.code for finding in report.findings if finding.code.startswith("MTS56") and "_mta-sts" in finding.message] == expected


def test_a_delegated_record_is_a_note_and_a_dangling_one_an_error():
    found = Reply(name="_mta-sts.example.com", kind="TXT", server="r", outcome=Outcome.FOUND, texts=(STS,), canonical="_mta-sts.op.example")
    assert "MTS566" in codes(look(Net().with_dns({("_mta-sts.example.com", "TXT"): found})), Severity.NOTE)
    gone = Reply(name="_mta-sts.example.com", kind="TXT", server="r", outcome=Outcome.NO_DATA, canonical="_mta-sts.gone.example")
    assert codes(look(Net().with_dns({("_mta-sts.example.com", "TXT"): gone}))) == ["MTS564"]


def test_two_addresses_with_two_policies_are_told_and_the_stricter_one_counts():
    other = Fetched(address="192.0.2.81", status=200, body=TESTING)
    net = Net()
    net.fetched = (other, *net.fetched)
    report = look(net)
    assert report.policy is not None
    assert report.policy.mode is Mode.ENFORCE
    assert codes(report) == ["MTS534", "MTS535"]


def test_a_filter_against_robots_is_found_out_by_looking_as_a_browser():
    refused = Fetched(address="192.0.2.80", problem=Diagnostic(code="MTS521", message="status 403"))
    net = Net(fetched=(refused,), browser=Fetched(address="192.0.2.80", status=200, body=ENFORCE))
    assert codes(look(net)) == ["MTS521", "MTS537"]


def test_certificates_that_end_within_two_weeks_are_told():
    net = Net(fetched=(Fetched(address="192.0.2.80", status=200, body=ENFORCE, not_after=NOW + timedelta(days=13)),))
    assert codes(look(net)) == ["MTS538"]


@pytest.mark.parametrize(
    ("rua", "expected"),
    [
        (b"mailto:tls@reports.example", []),
        (b"mailto:tls@nowhere.invalid", ["MTS571"]),
        (b"https://reports.example/v1", []),
        (b"https://gone.example:8443/v1", ["MTS572"]),
        (b"mailto:tls@example.com", ["MTS573"]),
    ],
)
def test_where_reports_go_is_looked_at(rua: bytes, expected: list[str]):
    net = Net().with_dns({("_smtp._tls.example.com", "TXT"): [b"v=TLSRPTv1; rua=" + rua]})
    assert codes(look(net), Severity.NOTE) == expected


def test_what_is_declared_is_compared_with_what_is_served():
    settings = DomainSettings(domain=DOMAIN, mode=Mode.TESTING, max_age=86400, mx=(MxPattern.parse("mx3.example.com"),))
    report = look(Net(), declared=Declared(settings=settings))
    (finding,) = [finding for finding in report.findings if finding.code == "MTS536"]
    assert all(
        word in finding.message for word in ("mode enforce instead of testing", "max_age 604800 instead of 86400", "mx3.example.com")
    )


def test_dane_is_information():
    net = Net().with_dns({("_25._tcp.mx1.example.com", "TLSA"): ["3 1 1 abcd"]})
    assert codes(look(net), Severity.NOTE) == ["MTS641"]


def test_findings_carry_the_result_type_of_tls_reports():
    net = Net(probes={"mx1.example.com": WRONG_NAME}, fetched=(Fetched(address="192.0.2.80", status=200, body=ENFORCE + b"mx: *\r\n"),))
    document = json.loads(json.dumps(to_json(Report(at=NOW, domains=(look(net),)), "tool")))
    types = {finding["code"]: finding.get("tls_report") for finding in document["domains"][0]["findings"]}
    assert types["MTS622"] == "certificate-host-mismatch"
    assert types[next(code for code in types if code.startswith("MTS2"))] == "sts-policy-invalid"
    assert document["domains"][0]["findings"][0]["domain"] == "example.com"


RESULT_TYPES = {  # RFC 8460 §4.3
    *("starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure"),
    *("tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"),
}


def test_result_types_are_those_of_the_rfc():
    assert {entry.reported for entry in CATALOGUE.values()} <= RESULT_TYPES | {""}
    assert reported(Diagnostic(code="MTS560", message="")) == ""


def test_of_many_domains_only_what_is_wrong_is_told():
    fine, refused = look(Net()), look(Net(probes=dict.fromkeys(["mx1.example.com", "mx2.example.com"], WRONG_NAME)))
    lines = list(verification_lines(Report(at=NOW, domains=(*[fine] * 6, refused)), Channel(io.StringIO()), verbose=False))
    assert lines[0] == "example.com: deliver: over verified TLS to 2 of 2 MX hosts"
    assert sum("MTS622" in line for line in lines) == 2  # the finding, and where to read about it
    assert lines[-1] == "Verify: 7 domains: 6 deliver, 1 refuse."
    assert any(
        line.startswith("  mx      10 mx1.example.com: TLSv1.3, certificate until 2026-04-05 (90 days)")
        for line in verification_lines(Report(at=NOW, domains=(fine,)), Channel(io.StringIO()), verbose=False)
    )


def test_a_slow_domain_delays_only_itself():
    others, released = threading.Event(), []

    class Slow(Net):
        def ask(self, name: str, kind: str) -> Reply:
            if name == "slow.example.com":
                released.append(others.wait(10))
            return super().ask(name, kind)

    told: list[Domain] = []

    def seen(domain: Domain) -> None:
        told.append(domain)
        if len(told) == 40:
            others.set()

    net = Slow()
    eyes = Eyes(lookups=net, fetcher=net, prober=net, looking=Looking(), clock=lambda: NOW)
    slow = Domain.parse("slow.example.com")
    verify([slow, *(Domain.parse(f"d{number}.example.com") for number in range(40))], eyes, parallelism=3, seen=seen)
    assert released[0], "the others waited for it"
    assert told[-1] == slow
