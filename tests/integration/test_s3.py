"""Policies and state in buckets: moto keeps to conditions, rclone ignores them, a proxy in front of moto knows none (501)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from mtasts_deploy.apply.choices import OnStale
from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.aws.bucket import Bucket
from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.errors import HostError, StateConflict, StateError
from mtasts_deploy.facts import HostedPolicy, KnownPolicies, Unknown
from mtasts_deploy.hosting.keys import KeyTemplate
from mtasts_deploy.hosting.s3 import S3Host
from mtasts_deploy.plan.model import Plan
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from mtasts_deploy.state.s3 import S3State
from tests import s3_servers
from tests.s3_servers import Proxy, knows_no_conditions, proxy, rclone_program

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

POLICIES, STATE = "policies.example.com", "state.example.com"
KEY = "{policy_host}/.well-known/mta-sts.txt"
EXAMPLE = Domain.parse("example.com")
OLD, NEW, RIVAL = b"version: STSv1\r\nmode: none\r\nmax_age: 1\r\n", b"version: STSv1\r\nmode: none\r\nmax_age: 2\r\n", b"rival"
SERVERS = ("moto", "rclone", "501")


@dataclass(frozen=True)
class Server:
    """A running server with both buckets; `proxy` stands in front of it."""

    kind: str
    proxy: Proxy

    @property
    def address(self) -> str:
        return self.proxy.address

    @property
    def others(self) -> Any:
        return s3_servers.s3(self.address)

    def host(self, **options: Any) -> S3Host:
        return S3Host("cdn", Bucket(name=POLICIES, endpoint_url=self.address, sleep=lambda _: None), KeyTemplate(template=KEY), **options)

    def state(self, prefix: str = "") -> S3State:
        return S3State(Bucket(name=STATE, endpoint_url=self.address, sleep=lambda _: None), prefix)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    s3_servers.environment(monkeypatch)


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    kind = getattr(request, "param", "moto")
    with ExitStack() as stack:
        if kind == "rclone":
            if rclone_program() is None:
                pytest.skip("not installed: rclone")
            for name in (POLICIES, STATE):
                (tmp_path / "buckets" / name).mkdir(parents=True)
            upstream = stack.enter_context(s3_servers.rclone(tmp_path / "buckets"))
        else:
            upstream = stack.enter_context(s3_servers.moto())
            for name in (POLICIES, STATE):
                s3_servers.s3(upstream).create_bucket(Bucket=name)
        front = stack.enter_context(proxy(upstream))
        if kind == "501":
            front.answer = knows_no_conditions
        yield Server(kind, front)


every_server = pytest.mark.parametrize("server", SERVERS, indirect=True)


def key(domain: Domain) -> str:
    return KEY.replace("{policy_host}", domain.policy_host)


# --- the host -----------------------------------------------------------------------------------------------------------------------------


@every_server
def test_a_policy_is_put_read_changed_and_removed(server: Server) -> None:
    host = server.host(cache_control="max-age=60")
    assert host.read([EXAMPLE]) == {EXAMPLE: None}
    first = host.put(EXAMPLE, OLD, None)
    assert host.read([EXAMPLE]) == {EXAMPLE: HostedPolicy(body=OLD, version=first)}
    second = host.put(EXAMPLE, NEW, first)
    assert host.read([EXAMPLE]) == {EXAMPLE: HostedPolicy(body=NEW, version=second)}
    head = server.others.head_object(Bucket=POLICIES, Key=key(EXAMPLE))
    assert head["ContentType"] == "text/plain"  # ENG-3
    assert "ContentEncoding" not in head
    assert head["CacheControl"] == "max-age=60"
    with pytest.raises(HostError, match="has changed") as caught:
        host.remove(EXAMPLE, first)
    assert not caught.value.written
    host.remove(EXAMPLE, second)
    assert host.read([EXAMPLE]) == {EXAMPLE: None}


@every_server
@pytest.mark.parametrize("before", [None, OLD], ids=["nothing", "old"])
@pytest.mark.parametrize("rival", [RIVAL, None], ids=["changes", "removes"])
def test_a_concurrent_writer_is_detected(server: Server, before: bytes | None, rival: bytes | None) -> None:
    host = server.host()
    expected = None if before is None else host.put(EXAMPLE, before, None)
    if rival is not None:
        server.others.put_object(Bucket=POLICIES, Key=key(EXAMPLE), Body=rival)
    elif before is not None:
        server.others.delete_object(Bucket=POLICIES, Key=key(EXAMPLE))
    else:
        return
    with pytest.raises(HostError) as caught:
        host.put(EXAMPLE, NEW, expected)
    assert caught.value.diagnostics[0].code == "MTS775"
    assert not caught.value.written
    found = host.read([EXAMPLE])[EXAMPLE]
    assert (found.body if isinstance(found, HostedPolicy) else found) == rival


@every_server
def test_an_apply_meets_a_writer_who_came_after_the_plan(server: Server, tmp_path: Path) -> None:
    zone = tmp_path / "zones" / "example.com.yaml"
    zone.parent.mkdir()
    zone.write_text("'': {type: MX, value: {exchange: mx1.example.com., preference: 10}}\n")

    def apply(max_age: str, approve: Callable[[Plan], bool] = lambda _: True) -> Outcome:
        path = tmp_path / "mta-sts.yaml"
        path.write_text(
            f"version: 1\nhosts: {{cdn: {{type: s3, bucket: {POLICIES}, endpoint_url: '{server.address}'}}}}\n"
            "state: {type: directory, path: .mtasts}\n"
            f"domains: {{example.com: {{host: cdn, max_age: {max_age}, tlsrpt: 'mailto:tls@reports.example'}}}}\n"
        )
        options = Options(on_stale=OnStale.SKIP)
        result = Deployment.of(load(path, today=date(2026, 1, 5))).apply(approve=approve, options=options)
        assert result is not None
        return result.outcomes[EXAMPLE]

    def upload(_: Plan) -> bool:
        server.others.put_object(Bucket=POLICIES, Key=key(EXAMPLE), Body=RIVAL)
        return True

    def stored() -> bytes:
        body: bytes = server.others.get_object(Bucket=POLICIES, Key=key(EXAMPLE))["Body"].read()
        return body

    assert apply("1w") is Outcome.DONE
    before, first = zone.read_text(), stored()
    assert apply("2w", upload) is Outcome.STALE
    assert (zone.read_text(), stored()) == (before, RIVAL)
    assert apply("2w") is Outcome.DONE
    assert stored() not in (first, RIVAL)
    assert PolicyId.parse(zone.read_text().partition("id=")[2].partition("\\;")[0]).names(stored())


def test_a_writer_between_the_look_and_the_put_is_detected_by_the_condition(server: Server) -> None:
    host = server.host()
    version = host.put(EXAMPLE, OLD, None)
    rival = s3_servers.s3(server.address)

    def rush(request: s3_servers.Request) -> None:
        if request[0] == "PUT" and "if-match" in request[2]:
            rival.put_object(Bucket=POLICIES, Key=key(EXAMPLE), Body=RIVAL)

    server.proxy.answer = rush
    with pytest.raises(HostError) as caught:
        host.put(EXAMPLE, NEW, version)
    assert (caught.value.diagnostics[0].code, caught.value.written) == ("MTS775", False)


@pytest.mark.parametrize("server", ["501"], indirect=True)
def test_a_server_without_conditions_is_asked_for_them_once(server: Server) -> None:
    host = server.host()
    version = host.put(EXAMPLE, OLD, None)
    host.put(EXAMPLE, NEW, version)
    asked = [request for request in server.proxy.requests if {"if-match", "if-none-match"} & request[2].keys()]
    assert len(asked) == 1


def test_a_put_whose_answer_was_lost_is_not_a_conflict(server: Server) -> None:
    host = server.host()
    lost = iter([True])
    server.proxy.lose = lambda request: request[0] == "PUT" and next(lost, False)
    version = host.put(EXAMPLE, OLD, None)
    assert [request[0] for request in server.proxy.requests] == ["GET", "PUT", "PUT", "GET"]
    assert host.read([EXAMPLE]) == {EXAMPLE: HostedPolicy(body=OLD, version=version)}


def test_a_put_may_have_happened_when_no_answer_comes_at_all(server: Server) -> None:
    server.proxy.lose = lambda request: request[0] == "PUT"
    server.proxy.answer = lambda request: (403, "AccessDenied") if request[0] == "GET" and len(server.proxy.requests) > 1 else None
    with pytest.raises(HostError) as caught:
        server.host().put(EXAMPLE, OLD, None)
    assert caught.value.written


def test_five_thousand_unchanged_policies_take_at_most_six_requests(server: Server) -> None:
    from moto.s3.models import s3_backends

    backend = s3_backends["123456789012"]["aws"]
    domains = [Domain.parse(f"d{number}.example") for number in range(5000)]
    bodies = {domain: f"version: STSv1\r\nmode: testing\r\nmx: mx.{domain}\r\nmax_age: 604800\r\n".encode() for domain in domains}
    for domain, body in bodies.items():
        backend.put_object(POLICIES, key(domain), body)
    known = {domain: KnownPolicies(bodies=(OLD, body)) for domain, body in bodies.items()}
    host = server.host()
    found = host.read(domains, known)
    assert server.proxy.count() <= 6
    assert {domain: one.body for domain, one in found.items() if isinstance(one, HostedPolicy)} == bodies
    # Two are changed, one is removed: three more requests.
    for domain in domains[:2]:
        backend.put_object(POLICIES, key(domain), RIVAL)
    backend.delete_object(POLICIES, key(domains[2]))
    changed = host.read(domains, known)
    assert server.proxy.count() <= 9
    assert [changed[domain] for domain in domains[:3]] == [HostedPolicy(body=RIVAL, version=hashlib.md5(RIVAL).hexdigest())] * 2 + [None]


def test_without_known_bytes_everything_is_read(server: Server) -> None:
    domains = [Domain.parse(f"d{number}.example") for number in range(9)]
    host = server.host()
    for domain in domains[:8]:
        host.put(domain, OLD, None)
    server.proxy.count()
    found = host.read(domains)
    bodies = {domain: one.body for domain, one in found.items() if isinstance(one, HostedPolicy)}
    assert bodies == dict.fromkeys(domains[:8], OLD)
    assert found[domains[8]] is None
    assert server.proxy.count() == 1 + 8


def test_versioned_buckets_are_fine(server: Server) -> None:
    for name in (POLICIES, STATE):
        server.others.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    host = server.host()
    version = host.put(EXAMPLE, NEW, host.put(EXAMPLE, OLD, None))
    host.remove(EXAMPLE, version)
    assert host.read([EXAMPLE]) == {EXAMPLE: None}
    host.put(EXAMPLE, OLD, None)
    state = server.state()
    state.remove("a.json", state.write("a.json", b"1", None))
    assert state.read("a.json") is None
    state.write("a.json", b"2", None)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((404, "NoSuchBucket"), "MTS776"),
        ((403, "AccessDenied"), "MTS777"),
        ((403, "RequestTimeTooSkewed"), "MTS779"),
        ((400, "ExpiredToken"), "MTS780"),
        ((403, "InvalidAccessKeyId"), "MTS780"),
        ((403, "SignatureDoesNotMatch"), "MTS780"),
        ((400, "IllegalLocationConstraintException"), "MTS778"),
        ((503, "SlowDown"), "MTS783"),
        ((500, "InternalError"), "MTS783"),
        ((400, "InvalidDigest"), "MTS774"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_what_the_server_refuses_has_a_page_and_was_not_written(server: Server, answer: tuple[int, str], code: str) -> None:
    server.proxy.answer = lambda request: answer
    host = server.host()
    found = host.read([EXAMPLE])[EXAMPLE]
    assert isinstance(found, Unknown)
    assert found.reason.code == code
    many = host.read([Domain.parse(f"d{number}.example") for number in range(20)])
    assert {one.reason.code for one in many.values() if isinstance(one, Unknown)} == {code}
    with pytest.raises(HostError) as caught:
        host.put(EXAMPLE, OLD, None)
    assert (caught.value.diagnostics[0].code, caught.value.written) == (code, False)
    server.proxy.answer = lambda request: answer if request[0] == "PUT" else None
    with pytest.raises(HostError) as caught:
        host.put(EXAMPLE, OLD, None)
    assert (caught.value.diagnostics[0].code, caught.value.written) == (code, answer[0] >= 500)
    assert caught.value.diagnostics[0].hint


def test_a_dead_endpoint_and_missing_credentials_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from mtasts_deploy.aws import client

    dead = S3Host("cdn", Bucket(name=POLICIES, endpoint_url="http://127.0.0.1:1", sleep=lambda _: None), KeyTemplate(template=KEY))
    with pytest.raises(HostError) as caught:
        dead.put(EXAMPLE, OLD, None)
    assert (caught.value.diagnostics[0].code, caught.value.written) == ("MTS782", False)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    client.forget()
    found = dead.read([EXAMPLE])[EXAMPLE]
    assert isinstance(found, Unknown)
    assert found.reason.code == "MTS781"
    monkeypatch.setenv("AWS_PROFILE", "absent")
    client.forget()
    found = dead.read([EXAMPLE])[EXAMPLE]
    assert isinstance(found, Unknown)
    assert found.reason.code == "MTS781"


def test_too_long_an_object_is_no_policy(server: Server) -> None:
    server.others.put_object(Bucket=POLICIES, Key=key(EXAMPLE), Body=b"x" * 65537)
    found = server.host().read([EXAMPLE])[EXAMPLE]
    assert isinstance(found, Unknown)
    assert found.reason.code == "MTS784"


# --- the state ----------------------------------------------------------------------------------------------------------------------------


def test_state_is_swapped_only_by_who_has_seen_it(server: Server) -> None:
    state = server.state("prod/")
    assert state.read("ledger/00.json") is None
    first = state.write("ledger/00.json", b"1", None)
    with pytest.raises(StateConflict, match="is there already"):
        state.write("ledger/00.json", b"2", None)
    second = state.write("ledger/00.json", b"2", first)
    with pytest.raises(StateConflict, match="has changed"):
        state.write("ledger/00.json", b"3", first)
    with pytest.raises(StateConflict, match="has changed"):
        state.remove("ledger/00.json", first)
    found = state.read("ledger/00.json")
    assert found is not None
    assert (found.data, found.version) == (b"2", second)
    state.remove("ledger/00.json", second)
    assert state.read("ledger/00.json") is None
    assert list(state.keys("ledger/")) == []
    with pytest.raises(StateConflict, match="is gone"):
        state.write("ledger/00.json", b"4", second)
    state.write("ledger/00.json", b"5", None)
    assert list(state.keys("ledger/")) == ["ledger/00.json"]
    with pytest.raises(StateError, match="cannot be the key"):
        state.read("../lock.json")
    assert state.location("lock.json") == f"{server.address}/{STATE}/prod/lock.json"


def test_twenty_racing_writers_lose_nothing(server: Server) -> None:
    server.state().write("ledger/00.json", b"[]", None)
    lost: list[BaseException] = []

    def add(number: int) -> None:
        state = server.state()
        try:
            while True:
                found = state.read("ledger/00.json")
                assert found is not None
                try:
                    state.write("ledger/00.json", json.dumps([*json.loads(found.data), number]).encode(), found.version)
                except StateConflict:
                    continue
                return
        except BaseException as error:
            lost.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    found = server.state().read("ledger/00.json")
    assert found is not None
    assert sorted(json.loads(found.data)) == list(range(20))


def test_one_of_twenty_takes_what_is_free(server: Server) -> None:
    for _ in range(2):  # free because it never was, then free because it was given back
        won: list[str] = []

        def take() -> None:
            with contextlib.suppress(StateConflict):
                won.append(server.state().write("lock.json", b"the same bytes", None))  # noqa: B023

        threads = [threading.Thread(target=take) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        server.state().remove("lock.json", won[0])


def test_a_write_of_state_whose_answer_was_lost_is_known_again(server: Server) -> None:
    state = server.state()
    version = state.write("lock.json", b"1", None)
    lost = iter([True, True])
    server.proxy.lose = lambda request: request[0] == "PUT" and next(lost, False)
    version = state.write("lock.json", b"2", version)
    found = state.read("lock.json")
    assert found is not None
    assert (found.data, found.version) == (b"2", version)
    # Never an answer: the write is found out by looking.
    server.proxy.lose = lambda request: request[0] == "PUT"
    version = state.write("lock.json", b"3", version)
    assert state.read("lock.json") == found.__class__(data=b"3", version=version)


@pytest.mark.parametrize("server", ["rclone", "501"], indirect=True)
def test_a_server_that_does_not_keep_to_conditions_is_refused_as_state(server: Server) -> None:
    with pytest.raises(StateError) as caught:
        server.state().write("lock.json", b"x", None)
    assert caught.value.diagnostics[0].code == "MTS792"
    assert server.state().read("lock.json") is None


def test_the_probe_costs_little_and_is_made_once(server: Server) -> None:
    server.state().write("a.json", b"1", None)
    assert server.proxy.count() == 4
    state = server.state()
    state.write("b.json", b"1", None)
    assert server.proxy.count() == 3
    state.write("c.json", b"1", None)
    assert server.proxy.count() == 1


def test_run_logs_are_kept_back_and_written_whole(server: Server) -> None:
    state = server.state()
    state.append("runs/1.ndjson", b"1\n")
    state.append("runs/1.ndjson", b"2\n")
    assert server.proxy.count() == 0
    assert state.read("runs/1.ndjson") is None
    state.flush()
    state.append("runs/1.ndjson", b"3\n")
    state.write("ledger/00.json", b"1", None)
    found = state.read("runs/1.ndjson")
    assert found is not None
    assert found.data == b"1\n2\n3\n"
    server.proxy.count()
    state.append("runs/1.ndjson", b"x" * 70000)
    assert server.proxy.count() == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((404, "NoSuchBucket"), "MTS794"),
        ((403, "AccessDenied"), "MTS795"),
        ((400, "ExpiredToken"), "MTS796"),
        ((503, "SlowDown"), "MTS797"),
        ((403, "RequestTimeTooSkewed"), "MTS798"),
        ((400, "InvalidDigest"), "MTS799"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_what_the_server_of_the_state_refuses_has_a_page(server: Server, answer: tuple[int, str], code: str) -> None:
    server.proxy.answer = lambda request: answer
    state = server.state()
    for act in (lambda: state.read("a.json"), lambda: state.keys("ledger/"), lambda: state.write("a.json", b"1", None)):
        with pytest.raises(StateError) as caught:
            act()
        assert caught.value.diagnostics[0].code == code
        assert caught.value.diagnostics[0].hint
