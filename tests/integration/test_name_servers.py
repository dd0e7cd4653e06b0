"""PowerDNS, BIND and Knot as they are: an apply changes our values in their zones and nothing else, whoever else writes there."""

from __future__ import annotations

import itertools
import json
import os
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.errors import ProviderError, Refused
from mtasts_deploy.facts import RecordChange, RecordKind, ZoneName
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.plan.selection import Lifted
from mtasts_deploy.rfc.names import Domain
from tests.estates import applied, codes, deploy, estate, hurried, ours, small
from tests.middleman import latency
from tests.nameservers import LOOPBACK, Bind, Knot, PowerDns, Rrset, Server, running

pytestmark = pytest.mark.integration

IDN = "xn--bcher-kva.example"
MANY = [f"z{number:02}.test" for number in range(50)]
ZONES = {
    "example.com": estate("example.com"),
    IDN: small(IDN),
    "own.test": [*small("own.test"), Rrset("_mta-sts", "NS", 3600, ("ns1.example.net.",))],
    "_mta-sts.own.test": [Rrset("@", "NS", 3600, ("ns1.example.net.",))],
    "twin.test": small("twin.test"),
    "quiet.test": small("quiet.test"),
    **{zone: small(zone) for zone in MANY},
}
TWINS = {"twin.test": small("twin.test")}
KINDS = [pytest.param(kind, marks=pytest.mark.services(kind.program), id=kind.__name__) for kind in (PowerDns, Bind, Knot)]


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> type[Server]:
    found: type[Server] = request.param
    return found


@pytest.fixture
def server(kind: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with running(kind, tmp_path / "server", ZONES) as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        yield started


def changed(before: set[tuple[object, ...]], after: set[tuple[object, ...]]) -> set[str]:
    """The names and types at which two dumps differ."""
    return {f"{row[0]} {row[1]}" for row in before ^ after}


def test_of_forty_record_sets_only_ours_differ(server: Server, tmp_path: Path):
    before = server.dump("example.com")
    assert len({row[:2] for row in before}) >= 40
    assert len({row[1] for row in before}) >= 12
    deployment = deploy(tmp_path / "d", {"dns": server.block()}, "  example.com:\n  mail.example.com:\n")
    result = applied(deployment)
    assert (result.exit_code, result.findings) == (0, ())
    after = server.dump("example.com")
    assert before <= after
    assert changed(before, after) == {
        f"{name}.{domain} TXT" for name in ("_mta-sts", "_smtp._tls") for domain in ("example.com", "mail.example.com")
    }
    assert server.txt("example.com", "_smtp._tls.example.com") == ["foreign; value", "v=TLSRPTv1; rua=mailto:tls@reports.example"]
    plan = deployment.plan()
    assert [one.verdict for one in plan.domains] == [Verdict.UNCHANGED] * 2
    deployment = deploy(tmp_path / "d", {"dns": server.block()}, "  example.com: {tlsrpt: false}\n  mail.example.com: {max_age: 2w}\n")
    assert applied(deployment).exit_code == 0
    last = server.dump("example.com")
    assert before <= last
    assert server.txt("example.com", "_smtp._tls.example.com") == ["foreign; value"]
    assert changed(after, last) == {"_smtp._tls.example.com TXT", "_mta-sts.mail.example.com TXT"}


def test_fifty_zones_at_once_while_another_writes_in_them(server: Server, tmp_path: Path):
    before = {zone: server.dump(zone) for zone in MANY}
    written: list[tuple[str, str]] = []
    done = threading.Event()

    def writer() -> None:
        for number, zone in zip(itertools.count(), itertools.cycle(MANY)):
            if done.is_set():
                return
            server.add(zone, Rrset(f"w{number}", "A", 60, ("192.0.2.77",)))
            written.append((zone, f"w{number}.{zone}"))

    others = [threading.Thread(target=writer)]
    for thread in others:
        thread.start()
    try:
        result = applied(deploy(tmp_path / "d", {"dns": server.block()}, "".join(f"  {zone}:\n" for zone in MANY)), parallelism=16)
    finally:
        done.set()
        for thread in others:
            thread.join()
    assert result.exit_code == 0, result.findings
    assert len(written) > 10
    after = {zone: server.dump(zone) for zone in MANY}
    for zone in MANY:
        assert before[zone] <= after[zone]
        assert len(server.txt(zone, f"_mta-sts.{zone}")) == 1
        new = {row[0] for row in after[zone] - before[zone]}
        assert {str(name) for name in new if not ours(str(name))} == {name for at, name in written if at == zone}


def test_several_domains_idn_a_zone_of_its_own_and_two_providers(server: Server, kind: type[Server], tmp_path: Path, monkeypatch):
    with running(kind, tmp_path / "second", TWINS) as second:
        for name, value in second.environment.items():
            monkeypatch.setenv(name, value)
        domains = "  example.com:\n  mail.example.com:\n  bücher.example:\n  own.test:\n  twin.test: {dns: [dns, second]}\n"
        blocks = {"dns": server.block(), "second": second.block()}
        deployment = deploy(tmp_path / "d", blocks, domains)
        first = deployment.plan()
        zones = {str(one.domain): {change.zone for change in one.records} for one in first.domains}
        assert zones["mail.example.com"] == {"example.com."}
        assert zones[IDN] == {IDN + "."}
        assert zones["own.test"] == {"_mta-sts.own.test.", "own.test."}
        assert applied(deployment).exit_code == 0
        assert [one.verdict for one in deployment.plan().domains] == [Verdict.UNCHANGED] * 5
        assert len(server.txt("_mta-sts.own.test", "_mta-sts.own.test")) == 1
        assert len(server.txt(IDN, f"_mta-sts.{IDN}")) == 1
        assert server.txt("twin.test", "_mta-sts.twin.test") == second.txt("twin.test", "_mta-sts.twin.test") != []
        assert server.dump("quiet.test") == {row for row in server.dump("quiet.test") if not ours(str(row[0]))}


def test_of_two_providers_one_that_failed_is_finished_by_the_next_apply(server: Server, kind: type[Server], tmp_path: Path, monkeypatch):
    with running(kind, tmp_path / "second", TWINS) as second:
        for name, value in second.environment.items():
            monkeypatch.setenv(name, value)
        blocks = {"dns": server.block(), "second": second.block()}
        assert applied(deploy(tmp_path / "d", blocks, "  twin.test: {dns: [dns, second]}\n")).exit_code == 0
        old = second.txt("twin.test", "_mta-sts.twin.test")
        deployment = deploy(tmp_path / "d", blocks, "  twin.test: {dns: [dns, second], max_age: 2w}\n")
        target = deployment.targets["second"]

        def broken(zone: ZoneName, changes: object, prove: object) -> None:
            from mtasts_deploy.diagnostics import Diagnostic

            raise ProviderError(Diagnostic(code="MTS477", message="500"))

        with monkeypatch.context() as patch:
            patch.setattr(target, "write", broken)
            result = applied(deployment)
        assert (result.exit_code, codes(result)) == (6, ["MTS477"])
        new = server.txt("twin.test", "_mta-sts.twin.test")
        assert second.txt("twin.test", "_mta-sts.twin.test") == old != new
        plan = deployment.plan().domains[0]
        assert [(change.provider, change.change.value) for change in plan.records] == [("second", new[0])]
        assert applied(deployment).exit_code == 0
        assert second.txt("twin.test", "_mta-sts.twin.test") == server.txt("twin.test", "_mta-sts.twin.test") == new
        assert [one.verdict for one in deployment.plan().domains] == [Verdict.UNCHANGED]


def test_a_missing_zone_is_refused_and_not_created_and_a_delegated_name_is_refused(server: Server, tmp_path: Path):
    domains = "  nowhere.example: {zone: nowhere.example}\n  lost.example:\n  sub.example.com:\n  quiet.test:\n"
    deployment = deploy(tmp_path / "d", {"dns": server.block()}, domains)
    plans = {str(one.domain): one for one in deployment.plan().domains}
    assert [finding.code for finding in plans["nowhere.example"].findings][:1] == ["MTS458"]
    assert "MTS404" in [finding.code for finding in plans["lost.example"].findings]
    assert {"MTS403", "MTS419"} & {finding.code for finding in plans["sub.example.com"].findings}
    result = applied(deployment)
    assert result.outcomes[Domain.parse("quiet.test")] is Outcome.DONE
    assert result.count(Outcome.DONE) == 1
    change = RecordChange(name="_mta-sts.nowhere.example", kind=RecordKind.STS, before=None, value="v=STSv1; id=1;", ttl=60)
    with pytest.raises(Refused) as raised:
        deployment.targets["dns"].write(ZoneName("nowhere.example."), [change])
    assert raised.value.diagnostics[0].code == "MTS458"
    assert not server.exists("nowhere.example")
    assert not server.exists("lost.example")


def test_a_wrong_key_and_a_dead_server_leave_their_domains_and_the_others_are_done(server: Server, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("MTASTS_TEST_WRONG", "d3Jvbmcga2V5IHdyb25nIGtleSB3cm9uZyBrZXkgISE=")
    wrong = {key: "env/MTASTS_TEST_WRONG" if str(value).startswith("env/") else value for key, value in server.block().items()}
    with socket.socket() as closed:
        closed.bind((LOOPBACK, 0))
        dead = {**server.block(), "port": closed.getsockname()[1]}
        before = server.dump("twin.test")
        domains = "  quiet.test:\n  twin.test: {dns: wrong}\n  example.com: {dns: [dns, dead]}\n"
        deployment = deploy(tmp_path / "d", {"dns": server.block(), "wrong": wrong, "dead": dead}, domains)
        plans = {str(one.domain): one for one in deployment.plan().domains}
        result = applied(deployment)
    denied, away = plans["twin.test"].findings[0], plans["example.com"].findings[0]
    assert (denied.code, away.code) == ("MTS474", "MTS475")
    assert "wrong" in denied.message
    assert "dead" in away.message
    assert os.environ["MTASTS_TEST_WRONG"] not in denied.message
    assert {str(domain): outcome for domain, outcome in result.outcomes.items()} == {
        "quiet.test": Outcome.DONE,
        "twin.test": Outcome.UNKNOWN,
        "example.com": Outcome.UNKNOWN,
    }
    assert result.exit_code == 1
    assert server.dump("twin.test") == before
    assert len(server.txt("quiet.test", "_mta-sts.quiet.test")) == 1


def test_a_cname_at_our_name_is_refused(server: Server, tmp_path: Path):
    server.add("quiet.test", Rrset("_mta-sts", "CNAME", 60, ("_mta-sts.example.net.",)))
    before = server.dump("quiet.test")
    deployment = deploy(tmp_path / "d", {"dns": server.block()}, "  quiet.test:\n")
    assert "MTS402" in [finding.code for finding in deployment.plan().domains[0].findings]
    assert applied(deployment).exit_code == 3
    assert server.dump("quiet.test") == before


def test_a_zone_that_octodns_writes_there_is_refused(server: Server, tmp_path: Path):
    (tmp_path / "octodns.yaml").write_text(
        json.dumps(
            {
                "providers": {
                    "theirs": server.block(),
                    "config": {"class": "octodns.provider.yaml.YamlProvider", "directory": "env/MTASTS_NOT_SET"},
                },
                "zones": {"example.com.": {"sources": ["config"], "targets": ["theirs"]}},
            }
        )
    )
    domains = "  example.com: {dns: theirs}\n  quiet.test: {dns: theirs}\n"
    deployment = deploy(tmp_path / "d", {"dns": server.block()}, domains, more="octodns: ../octodns.yaml\n")
    plans = {str(one.domain): one for one in deployment.plan().domains}
    assert "MTS479" in [finding.code for finding in plans["example.com"].findings]
    assert plans["example.com"].verdict is Verdict.BLOCKED
    assert plans["quiet.test"].verdict is Verdict.CHANGED
    assert (
        deploy(tmp_path / "e", {"dns": server.block()}, "  example.com:\n", more="octodns: ../octodns.yaml\n")
        .plan()
        .domains[0]
        .findings[0]
        .code
        == "MTS479"
    )


def test_a_record_that_octodns_cannot_read_is_named(server: Server, tmp_path: Path):
    if isinstance(server, PowerDns):
        pytest.skip("octodns-powerdns reads what PowerDNS takes")
    server.add("quiet.test", Rrset("there", "LOC", 60, ("52 22 23.000 N 4 53 32.000 E -2.00m",)))
    finding = deploy(tmp_path / "d", {"dns": server.block()}, "  quiet.test:\n").plan().domains[0].findings[0]
    assert finding.code == "MTS478"
    assert "the zone quiet.test holds a record that octoDNS cannot read: there.quiet.test LOC: " in finding.message


def test_a_server_that_is_too_slow_is_said_to_be(server: Server, tmp_path: Path):
    port = "port"
    with latency(server.block()[port], 1) as slow:
        block = {**server.block(), port: slow, "timeout": 0.2}
        deployment = deploy(tmp_path / "d", {"dns": server.block(), "slow": block}, "  quiet.test: {dns: slow}\n  twin.test:\n")
        finding = deployment.plan().domains[0].findings[0]
        result = applied(deployment)
    assert finding.code == "MTS475"
    assert "slow" in finding.message
    assert (result.outcomes[Domain.parse("twin.test")], result.exit_code) == (Outcome.DONE, 1)


def test_of_two_providers_with_different_addresses_both_get_the_declared_one(
    server: Server, kind: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = datetime.now(UTC).replace(microsecond=0)
    with running(kind, tmp_path / "second", TWINS) as second:
        for name, value in second.environment.items():
            monkeypatch.setenv(name, value)
        server.add("twin.test", Rrset("mta-sts", "A", 300, ("192.0.2.1",)))
        second.add("twin.test", Rrset("mta-sts", "A", 300, ("192.0.2.2",)))

        def at(address: str, days: int) -> Deployment:
            blocks = {"dns": server.block(), "second": second.block()}
            deployment = deploy(tmp_path / "d", blocks, f"  twin.test: {{dns: [dns, second], address: {{a: [{address}]}}}}\n")
            deployment.clock = lambda: now + timedelta(days=days)
            return deployment

        def addresses() -> list[str]:
            return [str(row[3]) for one in (server, second) for row in one.dump("twin.test") if row[:2] == ("mta-sts.twin.test", "A")]

        assert "MTS422" in {finding.code for finding in at("192.0.2.1", 0).plan().domains[0].findings}
        assert applied(at("192.0.2.1", 0)).exit_code == 3
        assert addresses() == ["192.0.2.1", "192.0.2.2"]
        result = at("192.0.2.1", 0).apply(lifted=Lifted.parse(["MTS422=twin.test"]), options=Options())
        assert result is not None
        assert (list(result.outcomes.values()), addresses()) == ([Outcome.WAITING], ["192.0.2.1"] * 2)
        assert server.txt("twin.test", "_mta-sts.twin.test") == second.txt("twin.test", "_mta-sts.twin.test") == []
        assert applied(at("192.0.2.1", 2)).exit_code == 0
        id_ = server.txt("twin.test", "_mta-sts.twin.test")
        assert len(id_) == 1

        deployment = at("192.0.2.3", 4)

        def broken(zone: ZoneName, changes: object, prove: object) -> None:
            from mtasts_deploy.diagnostics import Diagnostic

            raise ProviderError(Diagnostic(code="MTS477", message="500"))

        with monkeypatch.context() as patch:
            patch.setattr(deployment.targets["second"], "write", broken)
            result = applied(deployment)
        assert (result.exit_code, codes(result), addresses()) == (6, ["MTS477"], ["192.0.2.3", "192.0.2.1"])
        plan = at("192.0.2.3", 4).plan().domains[0]
        assert plan.put_address is not None
        assert [one.provider for one in plan.put_address.changes] == ["second"]
        assert applied(at("192.0.2.3", 4)).exit_code == 0
        assert addresses() == ["192.0.2.3"] * 2
        assert server.txt("twin.test", "_mta-sts.twin.test") == second.txt("twin.test", "_mta-sts.twin.test") == id_


@pytest.mark.services(PowerDns.program)
@pytest.mark.parametrize(("status", "code"), [(429, "MTS476"), (503, "MTS476"), (500, "MTS477")])
def test_an_api_that_refuses_for_now_is_told_and_the_others_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status, code):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with running(PowerDns, tmp_path / "server", {"quiet.test": small("quiet.test")}) as good:
        for name, value in good.environment.items():
            monkeypatch.setenv(name, value)
        api = ThreadingHTTPServer((LOOPBACK, 0), Refusing)
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            blocks = {"dns": good.block(), "busy": {**good.block(), "port": api.server_address[1]}}
            deployment = deploy(tmp_path / "d", blocks, "  quiet.test:\n  twin.test: {dns: busy}\n")
            hurried(deployment)
            finding = next(one for one in deployment.plan().domains if str(one.domain) == "twin.test").findings[0]
            result = applied(deployment)
        finally:
            api.shutdown()
            thread.join()
            api.server_close()
        assert (finding.code, "busy" in finding.message) == (code, True)
        assert (result.outcomes[Domain.parse("quiet.test")], result.exit_code) == (Outcome.DONE, 1)
        assert result.outcomes[Domain.parse("twin.test")] is Outcome.UNKNOWN
