"""The octoDNS plugin on real octoDNS objects, with a declaration and a ledger in a directory. `octodns-sync` itself: tests/integration."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from octodns.processor.base import BaseProcessor
from octodns.provider.base import BaseProvider
from octodns.record import Record
from octodns.source.base import BaseSource
from octodns.zone import Zone
from octodns.zone.validator import ZoneValidator

from mtasts_deploy import octodns_plugin
from mtasts_deploy.apply.book import Book
from mtasts_deploy.ledger.events import Look, handing_over, putting, saw
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.octodns_plugin import Fence, MtaStsSource, MtaStsValidator, PluginError
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import policy_id
from mtasts_deploy.state.directory import DirectoryState
from tests.worlds import START

TESTING = b"version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmax_age: 604800\r\n"
ENFORCE = TESTING.replace(b"testing", b"enforce")
ID = str(policy_id(ENFORCE))


@pytest.fixture(autouse=True)
def _validators():
    Record.enable_validators(["legacy"])
    Zone.enable_zone_validators(["legacy"])


@pytest.fixture(autouse=True)
def _warnings(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)  # an earlier test may have set the root logger otherwise


@pytest.fixture
def config(tmp_path: Path) -> str:
    return declare(tmp_path, "  example.com: {tlsrpt: 'mailto:a@example.org', ttl: 600}\n")


def declare(directory: Path, domains: str) -> str:
    path = directory / "mta-sts.yaml"
    path.write_text(f"version: 1\ndefaults: {{dns: [plugin, local]}}\ndomains:\n{domains}", encoding="utf-8")
    return str(path)


def handed(body: bytes = ENFORCE, *hosts: str) -> Entry:
    """A policy that was put, seen beside these MX hosts, and handed over."""
    entry = saw(putting(UNSEEN, body, START), Look(mx=hosts or ("mx1.example.com",), mx_ttl=3600), START)
    return handing_over(entry, str(policy_id(body)), body, 600, START)


def remember(config: str, **entries: Entry) -> None:
    book = Book(DirectoryState(Path(config).parent / ".mtasts", ".mtasts"))
    for name, entry in entries.items():
        book.set(Domain.parse(name.replace("_", ".")), entry)
    book.save(lambda: None)


def zone(*records: tuple[str, str, object], name: str = "example.com.", sub_zones: tuple[str, ...] = ()) -> Zone:
    made = Zone(name, set(sub_zones))
    for key, kind, value in records:
        data = {"type": kind, "ttl": 300, "values" if isinstance(value, list) else "value": value}
        made.add_record(Record.new(made, key, data, lenient=True), lenient=True)
    return made


def mx(*hosts: str) -> list[dict[str, object]]:
    return [{"preference": 10, "exchange": f"{host}."} for host in hosts]


def txt(made: Zone) -> dict[str, tuple[list[str], int]]:
    return {record.name: ([str(value) for value in record.values], record.ttl) for record in made.records if record._type == "TXT"}


def populated(config: str, made: Zone, *, replacing: bool = False, unknown: str = "stop") -> Zone:
    MtaStsSource("mtasts", config, populate_should_replace=replacing, unknown_domains=unknown).populate(made, lenient=True)
    return made


# --- the source ---------------------------------------------------------------------------------------------------------------------------


def test_a_source_of_txt_records_that_lists_no_zones(config: str):
    source = MtaStsSource("mtasts", config)
    assert isinstance(source, BaseSource)
    assert (set(source.SUPPORTS), source.SUPPORTS_GEO, source.list_zones()) == ({"TXT"}, False, [])
    assert source.log.name == "MtaStsSource[mtasts]"


def test_the_record_is_that_of_the_ledger_and_its_id_is_not_computed(config: str):
    remember(config, example_com=replace(handed(), to_publish=replace(handed().to_publish, id="fromtheledger")))  # type: ignore[type-var]
    assert txt(populated(config, zone())) == {
        "_mta-sts": (["v=STSv1\\; id=fromtheledger\\;"], 600),
        "_smtp._tls": (["v=TLSRPTv1\\; rua=mailto:a@example.org"], 600),
    }


def test_before_the_barrier_there_is_no_sts_record_and_the_log_says_so(config: str, caplog: pytest.LogCaptureFixture):
    remember(config, example_com=saw(UNSEEN, Look(mx=("mx1.example.com",), mx_ttl=3600), START))
    assert set(txt(populated(config, zone()))) == {"_smtp._tls"}
    assert "example.com has no _mta-sts record to publish yet: run `deploy apply`" in caplog.text


def test_a_domain_that_the_ledger_does_not_know_stops_octodns_sync_unless_something_keeps_what_is_live(config: str):
    with pytest.raises(PluginError, match=r"MTS488: example\.com has no _mta-sts record to publish.*the ledger does not know the domain"):
        populated(config, zone())
    assert set(txt(populated(config, zone(), unknown="skip"))) == {"_smtp._tls"}
    with pytest.raises(PluginError, match="unknown_domains"):
        populated(config, zone(), unknown="yes")


def test_a_live_record_that_was_not_handed_over_yet_stops_octodns_sync_unless_an_earlier_source_has_it(config: str):
    remember(config, example_com=saw(UNSEEN, Look(ids=(("2026", 300),), bodies=(ENFORCE,), mx=("mx1.example.com",), single=True), START))
    with pytest.raises(PluginError, match=r"MTS488.*the ledger has seen the id 2026 live"):
        populated(config, zone())
    with pytest.raises(PluginError, match="MTS488"):
        populated(config, zone(("_mta-sts", "TXT", "foreign")))
    kept = txt(populated(config, zone(("_mta-sts", "TXT", "v=STSv1\\; id=2026\\;"))))
    assert kept["_mta-sts"] == (["v=STSv1\\; id=2026\\;"], 300)


def test_only_the_zone_that_owns_a_name_has_the_record(config: str):
    remember(config, example_com=handed())
    assert txt(populated(config, zone(sub_zones=("_mta-sts",)))).keys() == {"_smtp._tls"}
    assert txt(populated(config, zone(name="_mta-sts.example.com."))) == {"": ([f"v=STSv1\\; id={ID}\\;"], 600)}
    assert txt(populated(config, zone(name="com."))).keys() == {"_mta-sts.example", "_smtp._tls.example"}
    for other in ("example.org.", "ample.com.", "sub.example.com."):
        assert txt(populated(config, zone(name=other))) == {}


def test_domains_that_deploy_writes_itself_or_others_publish_have_no_record(tmp_path: Path):
    config = declare(tmp_path, "  example.com: {dns: local}\n  b.example: {sts: elsewhere}\n  c.example: {sts: false}\n")
    remember(config, example_com=handed(), b_example=handed(), c_example=handed())
    assert txt(populated(config, zone())) == {}
    assert txt(populated(config, zone(name="b.example."))) == {}
    assert txt(populated(config, zone(name="c.example."))).keys() == {"_mta-sts"}, "`sts: false` leaves a live record alone"


def test_values_of_others_at_our_name_stay_and_ours_by_hand_stop_the_zone(config: str):
    remember(config, example_com=handed())
    made = populated(config, zone(("_mta-sts", "TXT", "foreign"), ("_mta-sts", "A", "192.0.2.1")))
    assert txt(made)["_mta-sts"] == (["foreign", f"v=STSv1\\; id={ID}\\;"], 600)
    with pytest.raises(PluginError) as raised:
        populated(config, zone(("_mta-sts", "TXT", ["foreign", "v=STSv1\\; id=1\\;"])))
    assert "MTS483: another source of the zone has a v=STSv1 value at _mta-sts.example.com, which mtasts publishes" in str(raised.value)
    made = populated(config, zone(("_mta-sts", "TXT", ["foreign", "v=STSv1\\; id=1\\;"])), replacing=True)
    assert txt(made)["_mta-sts"][0] == ["foreign", f"v=STSv1\\; id={ID}\\;"]


def test_a_declaration_that_cannot_be_used_says_all_that_is_wrong(tmp_path: Path):
    config = declare(tmp_path, "  example.com: {mode: on}\n  example.org: {ttl: 0}\n")
    with pytest.raises(PluginError) as raised:
        MtaStsSource("mtasts", config)
    assert f"{config}:4:23: example.com: MTS121: `mode` is" in str(raised.value)
    assert "MTS350" in str(raised.value)


def test_an_allowance_that_has_expired_stops_no_zone(tmp_path: Path):
    config = declare(tmp_path, "  example.com: {allow: [{code: MTS401, until: '2020-01-01', why: past}]}\n")
    remember(config, example_com=handed())
    assert txt(populated(config, zone())).keys() == {"_mta-sts"}


# --- the validator ------------------------------------------------------------------------------------------------------------------------


def reasons(made: Zone, config: str | None = None, **after: float) -> list[str]:
    validator = MtaStsValidator("mtasts-zone", config, clock=lambda: START + timedelta(**after))
    assert isinstance(validator, ZoneValidator)
    return [str(reason) for reason in validator.validate(made)]


@pytest.mark.parametrize(
    ("key", "value", "codes"),
    [
        ("_mta-sts", "v=STSv1\\; id=1\\;", []),
        ("_mta-sts.sub", "v=STSv1\\; id=1", []),
        ("_mta-sts", ["v=STSv1\\; id=1\\;", "foreign"], []),
        ("_mta-sts", ["v=STSv1\\; id=1\\;", "v=STSv1\\; id=2\\;"], ["MTS301"]),
        ("_mta-sts", ["v=STSv1\\; id=1\\;", "v=STSv1 \\; id=2\\;"], ["MTS301"]),
        ("_mta-sts", "v=STSv1\\; id=a-b\\;", ["MTS310"]),
        ("_mta-sts", "v=STSv1\\;", ["MTS309"]),
        ("_mta-sts", "foreign", ["MTS303"]),
        ("_smtp._tls", "v=TLSRPTv1\\;rua=mailto:a@example.org", []),
        ("_smtp._tls", "v=TLSRPTv1\\;", ["MTS320"]),
        ("_smtp._tls", ["v=TLSRPTv1\\;rua=mailto:a@example.org", "v=TLSRPTv1\\;rua=mailto:b@example.org"], ["MTS301"]),
        ("www", "v=STSv1\\;", []),
        ("x_mta-sts", "v=STSv1\\;", []),
    ],
)
def test_anyones_records_are_read_as_a_strict_sender_reads_them(key: str, value: object, codes: list[str]):
    found = reasons(zone((key, "TXT", value)))
    assert [text.split(": ")[1] for text in found] == codes
    assert all(text.startswith(f"{key}.example.com: ") for text in found)


def test_a_new_mx_host_needs_a_policy_that_names_it_only_in_mode_enforce(config: str):
    made = zone(("", "MX", mx("mx1.example.com", "mx2.example.com")))
    assert reasons(made, config) == []
    remember(config, example_com=handed(TESTING))
    assert reasons(made, config) == []
    remember(config, example_com=handed(ENFORCE))
    (text,) = reasons(made, config)
    assert text.startswith("MTS484: mx2.example.com would become an MX host of example.com, but a policy in mode enforce")
    assert "without it after 2026-01-12 12:10 UTC" in text
    assert reasons(zone(("", "MX", mx("mx1.example.com"))), config) == []
    assert reasons(zone(("", "MX", mx("mx2.example.com")), name="example.org."), config) == []


def test_what_is_an_mx_host_already_never_stops_the_zone_that_mends_it(config: str, caplog: pytest.LogCaptureFixture):
    remember(config, example_com=handed(ENFORCE, "mx1.example.com", "mx2.example.com"))
    assert reasons(zone(("", "MX", mx("mx1.example.com", "mx2.example.com"))), config) == []
    assert "mx2.example.com is an MX host of example.com already, and a policy in mode enforce" in caplog.text


def test_no_new_host_while_an_id_of_unknown_history_may_be_visible(config: str):
    remember(config, example_com=saw(handed(TESTING), Look(ids=(("stranger", 300),)), START))
    (text,) = reasons(zone(("", "MX", mx("mx2.example.com"))), config)
    assert "but an id of unknown history may be visible" in text


def test_without_mx_records_the_addresses_of_the_domain_are_its_mx_and_a_null_mx_is_none(config: str):
    remember(config, example_com=handed(ENFORCE))
    (text,) = reasons(zone(("", "A", "192.0.2.1")), config)
    assert "example.com would become an MX host of example.com" in text
    assert reasons(zone(("", "TXT", "x")), config) == []
    assert reasons(zone(("", "MX", [{"preference": 0, "exchange": "."}])), config) == []


def test_an_octodns_without_zone_validators_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(octodns_plugin, "ValidationReason", None)
    with pytest.raises(PluginError, match="MTS485"):
        MtaStsValidator("mtasts-zone")


# --- the fence ----------------------------------------------------------------------------------------------------------------------------


class Target(BaseProvider):  # type: ignore[misc]
    """A provider that holds one zone and counts what it is asked to change."""

    SUPPORTS_GEO = SUPPORTS_DYNAMIC = False
    SUPPORTS_ROOT_NS = True
    SUPPORTS = frozenset({"A", "CAA", "CNAME", "MX", "NS", "TXT"})

    def __init__(self, held: Zone, *, exists: bool = True, meta: object = None) -> None:
        self.log = logging.getLogger("Target")
        super().__init__("target", root_ns_warnings=False)
        self.held, self.exists, self.meta = held, exists, meta

    def populate(self, zone, target=False, lenient=False):
        for record in self.held.records:
            zone.add_record(record, lenient=True)
        return self.exists

    def _plan_meta(self, existing, desired, changes):
        return self.meta


OTHERS = (
    ("", "NS", ["ns1.example.net.", "ns2.example.net."]),
    ("", "MX", mx("mx1.example.com")),
    ("www", "A", "192.0.2.1"),
    ("_mta-sts.other", "TXT", "v=STSv1\\; id=1\\;"),
)


def planned(config: str, target: Target, *sources: tuple[str, str, object], lenient: bool = False):
    """The changes that octodns-sync would make, as its manager calls everything."""
    fence = Fence("fence", config)
    assert isinstance(fence, BaseProcessor)
    desired = fence.process_source_zone(populated(config, zone(*sources), unknown="skip"), sources=[], lenient=lenient)
    plan = target.plan(desired, processors=[fence], lenient=lenient)
    plan = fence.process_plan(plan, sources=[], target=target, lenient=lenient)
    return {} if plan is None else {change.record.name: change for change in plan.changes}


def test_only_our_names_change_whatever_the_sources_have_or_lack(config: str):
    remember(config, example_com=handed())
    changes = planned(config, Target(zone(*OTHERS)), ("www", "A", "192.0.2.99"), ("new", "A", "192.0.2.99"), ("mta-sts", "A", "192.0.2.9"))
    assert {name: type(change).__name__ for name, change in changes.items()} == {"_mta-sts": "Create", "_smtp._tls": "Create"}
    held = zone(*OTHERS)
    for change in changes.values():
        held.add_record(change.new)
    assert planned(config, Target(held)) == {}


def test_foreign_values_and_metadata_at_our_name_stay(config: str):
    remember(config, example_com=handed())
    held = zone(*OTHERS)
    data = {"type": "TXT", "ttl": 300, "values": ["foreign", "v=STSv1\\; id=1\\;"], "octodns": {"target": {"comment": "hi"}}}
    held.add_record(Record.new(held, "_mta-sts", data))
    new = planned(config, Target(held))["_mta-sts"].new
    assert (list(new.values), new.ttl, new.octodns) == (["foreign", f"v=STSv1\\; id={ID}\\;"], 600, {"target": {"comment": "hi"}})


def test_a_live_record_is_removed_only_where_tlsrpt_false_says_so(tmp_path: Path):
    live = (("_mta-sts", "TXT", "v=STSv1\\; id=1\\;"), ("_smtp._tls", "TXT", ["v=TLSRPTv1\\; rua=mailto:a@b.example", "foreign"]))
    config = declare(tmp_path, "  example.com:\n")
    assert planned(config, Target(zone(*OTHERS, *live))) == {}
    config = declare(tmp_path, "  example.com: {tlsrpt: false}\n")
    changes = planned(config, Target(zone(*OTHERS, *live)))
    assert list(changes) == ["_smtp._tls"]
    assert list(changes["_smtp._tls"].new.values) == ["foreign"]


def test_what_cannot_be_published_there_is_refused(config: str):
    remember(config, example_com=handed())
    for code, target in (
        ("MTS458", Target(zone(), exists=False)),
        ("MTS459", Target(zone(*OTHERS, ("_mta-sts", "CNAME", "other.example.")))),
        ("MTS460", Target(zone(*OTHERS, ("_tls", "A", "192.0.2.1"), ("_smtp._tls", "NS", ["ns1.example.net."])))),
        ("MTS461", Target(zone(*OTHERS), meta={"plan": "enterprise"})),
    ):
        with pytest.raises(PluginError, match=code):
            planned(config, target)


def test_the_plugin_leaves_octodns_own_settings_alone(config: str):
    Zone.enable_zone_validators(["none"])
    before = Zone.registered_zone_validators()
    level = logging.getLogger("Zone").level
    remember(config, example_com=handed())
    planned(config, Target(zone(*OTHERS)))
    assert (Zone.registered_zone_validators(), logging.getLogger("Zone").level) == (before, level)
