"""Any octoDNS provider as a target: building, secrets, retries, limits, and what errors mean. Without network: fakes that misbehave."""

from __future__ import annotations

import logging
import sys
import threading
import types
from typing import Any, ClassVar

import pytest

from mtasts_deploy import masking
from mtasts_deploy.declaration.model import Limit, ProviderSpec
from mtasts_deploy.dns import build
from mtasts_deploy.dns.octodns_target import OctodnsTarget
from mtasts_deploy.dns.pace import Pace
from mtasts_deploy.dns.providers import Reuse
from mtasts_deploy.dns.trouble import Kind, look
from mtasts_deploy.errors import ObservationError, ProviderError, Refused
from mtasts_deploy.facts import RecordChange, RecordKind, TxtSet, Unknown, ZoneFacts
from tests.unit.test_bridge import BEFORE, FILE, RECORDS, STS, ZONE, Memory

CHANGE = RecordChange(name=STS, kind=RecordKind.STS, before=BEFORE, value="v=STSv1; id=1;", ttl=300)


class Remembering(Memory):
    """A provider that keeps what it once read, and says what was asked of it. `worlds` are what the provider's server holds."""

    worlds: ClassVar[dict[str, Any]] = {}
    built = 0
    failures: ClassVar[list[Exception]] = []
    busy = most = 0
    turn = threading.Lock()

    def __init__(self, id, **options):
        super().__init__(id)
        type(self).built += 1
        self.options = options
        self._cache = {}
        self.server = self.worlds.setdefault(id, dict(self.stored))

    def populate(self, zone, target=False, lenient=False):
        cls = type(self)
        with self.turn:
            cls.busy += 1
            cls.most = max(cls.most, cls.busy)
        try:
            if self.failures:
                raise self.failures.pop(0)
            self.stored = self._cache.setdefault(zone.name, dict(self.server))
            return super().populate(zone, target, lenient)
        finally:
            with self.turn:
                cls.busy -= 1

    def _apply(self, plan):
        self.stored = self.server
        super()._apply(plan)


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    made = types.ModuleType("fake_provider")
    made.Remembering = Remembering  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fake_provider", made)
    monkeypatch.setattr(masking, "_forms", set())
    monkeypatch.setattr(masking, "_pattern", None)
    Remembering.worlds, Remembering.built, Remembering.failures, Remembering.most = {}, 0, [], 0
    return made


def spec(**options):
    return ProviderSpec(name="fake", class_name="fake_provider.Remembering", options=options)


def target(limit: Limit = Limit(), **options) -> tuple[OctodnsTarget, list[float]]:  # noqa: B008 - frozen
    slept: list[float] = []
    return OctodnsTarget(spec(**options), pace=Pace(limit, sleep=slept.append)), slept


def status(code: int, **headers: str) -> Exception:
    error = RuntimeError(f"{code} says the server")
    error.response = types.SimpleNamespace(status_code=code, headers=headers, text='{"error": "more of it"}')  # type: ignore[attr-defined]
    return error


def test_a_second_read_remembers_nothing_of_the_first():
    made, _ = target()
    assert isinstance(made.read(ZONE, [STS]), ZoneFacts)
    Remembering.worlds["fake"].pop(("_mta-sts", "TXT"))
    found = made.read(ZONE, [STS])
    assert isinstance(found, ZoneFacts)
    assert found.at(STS).txt is None


@pytest.mark.parametrize("reuse", [Reuse.WORKER, Reuse.ALL])
def test_a_provider_that_is_kept_is_copied_with_its_caches_for_each_call(reuse):
    kept = build.build(spec())
    first = build.fresh(kept, reuse)
    first._cache["x"] = 1
    assert kept._cache == build.fresh(kept, reuse)._cache == {}
    assert build.fresh(kept, Reuse.NEVER) is kept


def test_throttling_and_the_network_are_tried_again_with_growing_pauses():
    made, slept = target()
    Remembering.failures = [status(429), ConnectionRefusedError(111, "Connection refused"), TimeoutError("timed out")]
    assert isinstance(made.read(ZONE, [STS]), ZoneFacts)
    assert [0.5 <= slept[0] <= 1, 1 <= slept[1] <= 2, 2 <= slept[2] <= 4] == [True] * 3


def test_the_pause_is_what_the_provider_asks_for():
    made, slept = target()
    Remembering.failures = [status(503, **{"Retry-After": "7"}), status(503, **{"Retry-After": "Wed, 21 Oct"})]
    made.read(ZONE, [STS])
    assert slept[0] == 7
    assert 1 <= slept[1] <= 2


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (status(401), "MTS474", "denied"),
        (status(403), "MTS474", "denied: 403 says the server: more of it"),
        (status(500), "MTS477", "failed"),
        (type("RdataParseError", (Exception,), {})("www.example.com.: bad"), "MTS478", "www.example.com"),
        (RuntimeError("whatever"), "MTS463", "whatever"),
    ],
)
def test_refusals_and_faults_are_not_tried_again(error, code, words):
    made, slept = target()
    Remembering.failures = [error]
    found = made.read(ZONE, [STS])
    assert isinstance(found, Unknown)
    assert (found.reason.code, slept) == (code, [])
    assert words in found.reason.message
    assert "example.com" in found.reason.message
    assert "provider fake" in found.reason.message
    assert found.reason.hint


def test_a_provider_that_stays_away_is_waited_for_once():
    made, slept = target()
    Remembering.failures = [ConnectionRefusedError(111, "Connection refused") for _ in range(6)]
    first, second = made.read(ZONE, [STS]), made.read(ZONE, [STS])
    assert isinstance(first, Unknown)
    assert isinstance(second, Unknown)
    assert first.reason.code == "MTS475"
    assert (len(slept), len(Remembering.failures)) == (3, 1)


def test_a_write_that_throttling_stopped_halfway_goes_on_from_a_new_look():
    made, _ = target()
    server = Remembering.worlds.setdefault("fake", {(name, data["type"]): data for name, data in RECORDS})
    apply, calls = Remembering._apply, []

    def halfway(self, plan):
        calls.append(plan)
        if len(calls) == 1:
            server["_mta-sts", "TXT"] = {"type": "TXT", "ttl": 300, "values": ["foreign", "v=STSv1\\; id=0\\;", "v=STSv1\\; id=1\\;"]}
            raise status(429)
        apply(self, plan)

    Remembering._apply = halfway  # type: ignore[method-assign]
    try:
        made.write(ZONE, [CHANGE])
    finally:
        Remembering._apply = apply  # type: ignore[method-assign]
    assert server["_mta-sts", "TXT"]["values"] == ["foreign", "v=STSv1\\; id=1\\;"]


def test_a_refusal_after_an_uncertain_try_is_not_taken_for_nothing_written(monkeypatch):
    made, _ = target()
    server = Remembering.worlds.setdefault("fake", {(name, data["type"]): data for name, data in RECORDS})

    def stranger(self, plan):
        server["_mta-sts", "TXT"] = {"type": "TXT", "ttl": 300, "values": ["v=STSv1\\; id=stranger\\;"]}
        raise status(429)

    monkeypatch.setattr(Remembering, "_apply", stranger)
    with pytest.raises(ProviderError) as raised:
        made.write(ZONE, [CHANGE])
    assert [finding.code for finding in raised.value.diagnostics] == ["MTS476", "MTS702"]


def test_no_more_calls_are_under_way_than_the_limit_allows():
    made, _ = target(Limit(max_in_flight=2))
    threads = [threading.Thread(target=made.read, args=(ZONE, [STS])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Remembering.most <= 2
    assert made.parallel == 2


def test_no_more_requests_begin_than_the_limit_allows():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    pace = Pace(Limit(per_second=4), sleep=sleep, clock=lambda: now[0])
    begun = []
    for _ in range(9):
        pace.turn()
        begun.append(now[0])
    assert begun == [number / 4 for number in range(9)]


def test_a_zone_that_octodns_writes_to_the_same_provider_is_refused():
    made = OctodnsTarget(ProviderSpec(name="fake", class_name="fake_provider.Remembering", options={}, claimed=("*.com.",)))
    found = made.read(ZONE, [STS])
    assert isinstance(found, ZoneFacts)
    refusal = found.at(STS).refusal
    assert refusal is not None
    assert (refusal.code, "(by `*.com.`)" in refusal.message) == ("MTS479", True)
    with pytest.raises(Refused) as raised:
        made.write(ZONE, [CHANGE])
    assert raised.value.diagnostics[0].code == "MTS479"


class TestBuilding:
    def test_options_secrets_and_defaults(self, monkeypatch):
        monkeypatch.setenv("MTASTS_TEST_TOKEN", "0012345")
        monkeypatch.setenv("MTASTS_TEST_RETRIES", "7")
        made = build.build(
            spec(
                token="env/MTASTS_TEST_TOKEN",
                retries="env/MTASTS_TEST_RETRIES",
                region="env/MTASTS_TEST_NONE/eu-1",
                a={"b": "env/MTASTS_TEST_TOKEN"},
                url="http/x",
            )
        )
        assert made.options["token"] == "0012345"
        assert made.options["retries"] == 7
        assert made.options["region"] == "eu-1"
        assert made.options["a"] == {"b": 12345}
        assert made.options["url"] == "http/x"
        assert made.options["root_ns_warnings"] is False

    def test_a_missing_variable_is_named_with_its_option_and_nothing_is_logged(self, monkeypatch, caplog):
        monkeypatch.delenv("MTASTS_TEST_TOKEN", raising=False)
        with pytest.raises(Refused) as raised:
            target(token="env/MTASTS_TEST_TOKEN")[0].ready()
        found = raised.value.diagnostics[0]
        assert (found.code, found.message) == (
            "MTS473",
            "the provider fake takes `token` from the variable MTASTS_TEST_TOKEN, which is not set",
        )
        assert caplog.records == []

    @pytest.mark.parametrize(
        ("class_name", "hint"),
        [("octodns_ns1.Ns1Provider", "pip install 'mtasts-deploy[ns1]'"), ("octodns_nowhere.sub.Provider", "pip install octodns-nowhere")],
    )
    def test_a_missing_package_says_what_to_install(self, class_name, hint):
        with pytest.raises(Refused) as raised:
            OctodnsTarget(ProviderSpec(name="x", class_name=class_name, options={})).ready()
        assert raised.value.diagnostics[0].code == "MTS472"
        assert hint in (raised.value.diagnostics[0].hint or "")

    @pytest.mark.parametrize("class_name", ["fake_provider.Missing", "octodns.provider.yaml.YamlProvider"])
    def test_what_cannot_be_made_is_refused(self, class_name):
        with pytest.raises(Refused) as raised:
            OctodnsTarget(ProviderSpec(name="x", class_name=class_name, options={"directry": "x"})).ready()
        assert raised.value.diagnostics[0].code == "MTS469"

    def test_a_secret_handler_is_built_from_its_own_block(self, monkeypatch):
        class Vault:
            def __init__(self, name, token):
                self.name, self.token = name, token

            def fetch(self, name, source):
                if name == "none":
                    raise KeyError("no such secret")
                return f"{self.token}-{name}"

        sys.modules["fake_provider"].Vault = Vault  # type: ignore[attr-defined]
        monkeypatch.setenv("MTASTS_TEST_TOKEN", "opensesame")
        handlers = {"vault": {"class": "fake_provider.Vault", "token": "env/MTASTS_TEST_TOKEN"}}
        made = build.build(ProviderSpec(name="x", class_name="fake_provider.Remembering", options={"k": "vault/dns"}, handlers=handlers))
        assert made.options["k"] == "opensesame-dns"
        assert masking.masked("k=opensesame-dns t=opensesame") == "k=*** t=***"
        with pytest.raises(Refused, match="has no `k` for the provider x"):
            build.build(ProviderSpec(name="x", class_name="fake_provider.Remembering", options={"k": "vault/none"}, handlers=handlers))

    def test_a_resolved_secret_is_masked_in_what_is_said(self, monkeypatch):
        monkeypatch.setenv("MTASTS_TEST_TOKEN", 'hunter2 "quoted"')
        made, _ = target(token="env/MTASTS_TEST_TOKEN")
        Remembering.failures = [RuntimeError('the token hunter2 "quoted" is bad, hunter2+%22quoted%22 too')]
        found = made.read(ZONE, [STS])
        assert isinstance(found, Unknown)
        assert "the token *** is bad, *** too" in found.reason.message
        assert masking.masked(r'{"t": "hunter2 \"quoted\""}') == '{"t": "***"}'

    def test_a_whole_file_provider_from_a_block_reads_and_writes(self, tmp_path, monkeypatch):
        (tmp_path / "example.com.yaml").write_text(FILE)
        monkeypatch.setenv("MTASTS_TEST_ZONES", str(tmp_path))
        options = {"directory": "env/MTASTS_TEST_ZONES", "enforce_order": False}
        made = OctodnsTarget(ProviderSpec(name="files", class_name="octodns.provider.yaml.YamlProvider", options=options))
        assert made.zones() == frozenset({ZONE})
        made.write(ZONE, [CHANGE])
        found = made.read(ZONE, [STS])
        assert isinstance(found, ZoneFacts)
        assert found.at(STS).txt == TxtSet(values=("foreign", "v=STSv1; id=1;"), ttl=300)

    def test_loggers_of_providers_are_silent(self, caplog):
        build.build(spec())
        logging.getLogger("Memory[fake]").error("what fails is raised")
        assert caplog.records == []

    def test_zones_that_cannot_be_listed(self, monkeypatch):
        def fail(self):
            raise status(403)

        monkeypatch.setattr(Remembering, "list_zones", fail)
        with pytest.raises(ObservationError) as raised:
            target()[0].zones()
        assert raised.value.diagnostics[0].code == "MTS474"


@pytest.mark.parametrize(
    ("name", "kind"),
    [("CloudflareRateLimitError", Kind.THROTTLED), ("Cloudflare5xxError", Kind.THROTTLED), ("CloudflareAuthenticationError", Kind.DENIED)],
)
def test_errors_without_a_status_are_told_by_their_names(name, kind):
    assert look(type(name, (Exception,), {})("x")).kind is kind


def test_errors_of_aws_are_told_by_their_codes():
    error = RuntimeError("An error occurred (Throttling)")
    error.response = {"Error": {"Code": "Throttling"}, "ResponseMetadata": {"HTTPStatusCode": 400}}  # type: ignore[attr-defined]
    assert look(error).kind is Kind.THROTTLED
