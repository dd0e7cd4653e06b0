"""The octoDNS bridge on real octoDNS objects: our TXT values change, and nothing else does, whatever the provider is like."""

import logging

import pytest
from octodns.provider.base import BaseProvider
from octodns.provider.yaml import YamlProvider
from octodns.record import Record
from octodns.zone import Zone

from mtasts_deploy.dns import bridge, reading
from mtasts_deploy.dns.interface import Guarantee
from mtasts_deploy.dns.zone_files import ZoneFilesProvider
from mtasts_deploy.errors import ObservationError, ProviderError, Refused
from mtasts_deploy.facts import MxSet, RecordChange, RecordKind, TxtSet, ZoneFacts, ZoneName

ZONE = ZoneName("example.com.")
STS = "_mta-sts.example.com"
TLS = "_smtp._tls.example.com"

RECORDS = [
    ("", {"type": "NS", "ttl": 60, "values": ["ns1.example.net.", "ns2.example.net."]}),
    ("", {"type": "MX", "ttl": 300, "values": [{"preference": 10, "exchange": "MX.example.com."}]}),
    ("www", {"type": "A", "ttl": 60, "value": "192.0.2.1"}),
    ("sub", {"type": "NS", "ttl": 60, "values": ["ns1.example.net."]}),
    ("d", {"type": "DNAME", "ttl": 60, "value": "else.example."}),
    ("_mta-sts.alias", {"type": "CNAME", "ttl": 60, "value": "_mta-sts.example.net."}),
    (
        "_mta-sts",
        {"type": "TXT", "ttl": 300, "values": ["foreign", "v=STSv1\\; id=0\\;", "v=STSv1\\; id=7\\;"], "octodns": {"x": {"comment": "hi"}}},
    ),
]
BEFORE = TxtSet(values=("foreign", "v=STSv1; id=0;", "v=STSv1; id=7;"), ttl=300)


class Memory(BaseProvider):  # type: ignore[misc]
    """A provider with an API: it applies change by change, and remembers the order."""

    SUPPORTS_GEO = SUPPORTS_DYNAMIC = False
    SUPPORTS_ROOT_NS = True
    SUPPORTS = frozenset({"A", "AAAA", "CAA", "CNAME", "DNAME", "MX", "NS", "TXT"})

    def __init__(self, id="memory", records=RECORDS, exists=True, **options):
        self.log = logging.getLogger(f"Memory[{id}]")
        super().__init__(id, **options)
        self.exists, self.listed, self.meta, self.extra, self.fail = exists, None, None, [], None
        self.stored = {(name, data["type"]): data for name, data in records}
        self.applied = []

    def list_zones(self):
        return [ZONE] if self.exists or self.listed else []

    def populate(self, zone, target=False, lenient=False):
        for (name, _), data in self.stored.items():
            zone.add_record(Record.new(zone, name, data, lenient=lenient), lenient=lenient)
        return self.exists

    def _plan_meta(self, existing, desired, changes):
        return self.meta

    def _extra_changes(self, existing, desired, changes):
        return list(self.extra)

    def _apply(self, plan):
        for change in plan.changes:
            if self.fail == change.record.name:
                raise RuntimeError("500 from\nthe API")
            key = (change.record.name, change.record._type)
            self.applied.append(key)
            if change.new is None:
                del self.stored[key]
            else:
                self.stored[key] = {"type": "TXT", **change.new.data}


def sts(value, before=BEFORE, ttl=300, name=STS):
    return RecordChange(name=name, kind=RecordKind.STS, before=before, value=value, ttl=ttl)


def tls(value, before=None, ttl=300, name=TLS):
    return RecordChange(name=name, kind=RecordKind.TLSRPT, before=before, value=value, ttl=ttl)


def refused(provider, *changes):
    stored = dict(provider.stored)
    with pytest.raises(Refused) as raised:
        bridge.write_zone(provider, ZONE, changes)
    assert provider.stored == stored
    assert provider.applied == []
    return raised.value.diagnostics[0]


def test_ours_become_one_and_foreign_values_and_metadata_stay():
    provider = Memory()
    others = {key: data for key, data in provider.stored.items() if key != ("_mta-sts", "TXT")}
    bridge.write_zone(provider, ZONE, [sts("v=STSv1; id=1;", ttl=60)])
    assert provider.stored.pop(("_mta-sts", "TXT")) == {
        "type": "TXT",
        "ttl": 60,
        "values": ["foreign", "v=STSv1\\; id=1\\;"],
        "octodns": {"x": {"comment": "hi"}},
    }
    assert provider.stored == others


def test_removing_ours_leaves_foreign_values_with_their_ttl_and_nothing_leaves_nothing():
    provider = Memory()
    bridge.write_zone(provider, ZONE, [sts(None, ttl=60)])
    assert provider.stored["_mta-sts", "TXT"] == {"type": "TXT", "ttl": 300, "value": "foreign", "octodns": {"x": {"comment": "hi"}}}
    bridge.write_zone(provider, ZONE, [tls("v=TLSRPTv1; rua=mailto:a@b")])
    bridge.write_zone(provider, ZONE, [tls(None, TxtSet(values=("v=TLSRPTv1; rua=mailto:a@b",), ttl=300))])
    assert ("_smtp._tls", "TXT") not in provider.stored


def test_what_is_already_so_is_not_written():
    provider = Memory()
    bridge.write_zone(provider, ZONE, [tls(None)])
    before = TxtSet(values=("v=STSv1; id=1;",), ttl=60)
    provider.stored["_mta-sts", "TXT"] = {"type": "TXT", "ttl": 60, "value": "v=STSv1\\; id=1\\;"}
    bridge.write_zone(provider, ZONE, [sts("v=STSv1; id=1;", before, ttl=60)])
    assert provider.applied == []


def test_record_by_record_tlsrpt_goes_first():
    changes = [sts("v=STSv1; id=1;"), tls("v=TLSRPTv1; rua=mailto:a@b")]
    provider = Memory()
    bridge.write_zone(provider, ZONE, changes)
    assert provider.applied == [("_smtp._tls", "TXT"), ("_mta-sts", "TXT")]
    provider = Memory()
    bridge.write_zone(provider, ZONE, changes, guarantee=Guarantee.ZONE_ATOMIC)
    assert sorted(provider.applied) == [("_mta-sts", "TXT"), ("_smtp._tls", "TXT")]


def test_a_changed_record_is_refused_with_both_values():
    found = refused(Memory(), sts("v=STSv1; id=1;", None))
    assert found.code == "MTS702"
    assert "it held nothing, now it holds 'foreign', 'v=STSv1; id=0;', 'v=STSv1; id=7;' with TTL 300" in found.message
    assert refused(Memory(), sts("v=STSv1; id=1;", TxtSet(values=BEFORE.values, ttl=60))).code == "MTS702"


def test_the_order_of_values_says_nothing():
    bridge.write_zone(Memory(), ZONE, [sts("v=STSv1; id=1;", TxtSet(values=BEFORE.values[::-1], ttl=300))])


def test_a_zone_that_is_not_there_is_refused_unless_the_listing_has_it():
    provider = Memory(records=[], exists=False)
    assert refused(provider, sts("v=STSv1; id=1;", None)).code == "MTS458"
    assert refused(provider, sts(None, None)).code == "MTS458"
    provider.listed = True
    bridge.write_zone(provider, ZONE, [sts("v=STSv1; id=1;", None)])
    assert provider.applied == [("_mta-sts", "TXT")]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("_mta-sts.alias.example.com", "MTS459"),
        ("_mta-sts.sub.example.com", "MTS460"),
        ("sub.example.com", "MTS460"),
        ("_mta-sts.d.example.com", "MTS460"),
    ],
)
def test_names_that_can_hold_no_record_are_refused(name, code):
    assert refused(Memory(), sts("v=STSv1; id=1;", None, name=name)).code == code


def test_zone_level_changes_are_refused():
    provider = Memory()
    provider.meta = {"plan": "business"}
    found = refused(provider, sts("v=STSv1; id=1;"))
    assert found.code == "MTS461"
    assert "business" in found.message


def test_changes_that_a_provider_adds_of_its_own_are_left_out():
    provider = Memory()
    zone = Zone(ZONE, [])
    other = Record.new(zone, "www", {"type": "A", "ttl": 1, "value": "192.0.2.2"})
    from octodns.record import Create

    provider.extra = [Create(other)]
    bridge.write_zone(provider, ZONE, [sts("v=STSv1; id=1;")])
    assert provider.applied == [("_mta-sts", "TXT")]


@pytest.mark.parametrize("mark", [{"ignored": True}, {"excluded": ["memory"]}, {"included": ["other"]}])
def test_records_that_octodns_leaves_alone_are_named(mark):
    provider = Memory()
    provider.stored["_mta-sts", "TXT"] = {**provider.stored["_mta-sts", "TXT"], "octodns": mark}
    found = refused(provider, sts("v=STSv1; id=1;"))
    assert found.code == "MTS464"
    assert STS in found.message


def test_a_provider_that_is_switched_off_is_refused():
    assert refused(Memory(apply_disabled=True), sts("v=STSv1; id=1;")).code == "MTS464"


def test_a_provider_that_loses_the_zone_is_refused():
    lossy = type("ZoneFileProvider", (Memory,), {"__module__": "octodns_bind"})()
    assert refused(lossy, sts("v=STSv1; id=1;")).code == "MTS462"


def test_an_unreadable_zone_is_refused_or_unknown():
    provider = Memory(records=[("x", {"type": "NOPE", "ttl": 1, "value": "x"})])
    found = refused(provider, sts("v=STSv1; id=1;", None))
    assert (found.code, 'Unknown record type: "NOPE"' in found.message) == ("MTS463", True)
    with pytest.raises(ObservationError) as raised:
        reading.read_zone(provider, ZONE, [STS])
    assert raised.value.diagnostics[0].code == "MTS463"


def test_a_failure_while_writing_is_a_provider_error():
    provider = Memory()
    provider.fail = "_mta-sts"
    with pytest.raises(ProviderError, match="500 from the API") as raised:
        bridge.write_zone(provider, ZONE, [sts("v=STSv1; id=1;"), tls("v=TLSRPTv1; rua=mailto:a@b")])
    assert raised.value.diagnostics[0].code == "MTS468"
    assert provider.applied == [("_smtp._tls", "TXT")]


def test_reading():
    found = reading.read_zone(
        Memory(), ZONE, [STS, "example.com", "www.example.com", "_mta-sts.alias.example.com", "_mta-sts.sub.example.com", "x.d.example.com"]
    )
    assert isinstance(found, ZoneFacts)
    assert found.at(STS).txt == BEFORE
    assert found.at("example.com").mx == MxSet(hosts=("mx.example.com",), ttl=300)
    assert found.at("example.com").others == ("NS",)
    assert found.at("www.example.com").others == ("A",)
    assert found.at("_mta-sts.alias.example.com").cname == "_mta-sts.example.net"
    assert found.cuts == {"sub.example.com": "NS", "d.example.com": "DNAME"}
    with pytest.raises(ObservationError) as raised:
        reading.read_zone(Memory(records=[], exists=False), ZONE, [STS])
    assert raised.value.diagnostics[0].code == "MTS458"


FILE = """---
'':
  - type: NS
    values: [ns1.example.net., ns2.example.net.]
  - type: MX
    value: {preference: 10, exchange: mx.example.com.}
_mta-sts: {type: TXT, ttl: 300, values: [foreign, v=STSv1\\; id=0\\;, v=STSv1\\; id=7\\;], octodns: {x: {comment: hi}}}
mta-sts: {type: CAA, value: {flags: 0, tag: issue, value: ca.example}}
www: {type: A, value: 192.0.2.1} # comment
"""


def by_octodns(directory):
    zone = Zone(ZONE, [])
    YamlProvider("check", str(directory), enforce_order=False, escaped_semicolons=True).populate(zone, lenient=True)
    return {(record.name, record._type): record.data for record in zone.records}


@pytest.mark.parametrize("kind", [YamlProvider, ZoneFilesProvider])
def test_whole_files_lose_nothing_not_even_the_root_ns(kind, tmp_path):
    (tmp_path / "example.com.yaml").write_text(FILE)
    before = by_octodns(tmp_path)
    provider = kind("files", str(tmp_path), enforce_order=False, escaped_semicolons=True)
    bridge.write_zone(provider, ZONE, [sts("v=STSv1; id=1;"), tls("v=TLSRPTv1; rua=mailto:a@b")])
    after = by_octodns(tmp_path)
    assert after.pop(("_smtp._tls", "TXT"))["value"] == "v=TLSRPTv1\\; rua=mailto:a@b"
    ours = after.pop(("_mta-sts", "TXT"))
    assert (ours["values"], ours["octodns"]) == (["foreign", "v=STSv1\\; id=1\\;"], {"x": {"comment": "hi"}})
    del before["_mta-sts", "TXT"]
    assert after == before
    if kind is ZoneFilesProvider:
        assert "# comment" in (tmp_path / "example.com.yaml").read_text()


def test_zone_files_edits_txt_records_only(tmp_path):
    (tmp_path / "example.com.yaml").write_text(FILE)
    provider = ZoneFilesProvider("files", str(tmp_path))
    desired = Zone(ZONE, [])
    provider.populate(desired)
    desired.add_record(Record.new(desired, "new", {"type": "A", "ttl": 60, "value": "192.0.2.7"}))
    plan = provider.plan(desired)
    with pytest.raises(Refused) as raised:
        provider.apply(plan)
    assert raised.value.diagnostics[0].code == "MTS470"
    assert (tmp_path / "example.com.yaml").read_text() == FILE


def test_zone_files_works_as_an_ordinary_octodns_target(tmp_path):
    (tmp_path / "example.com.yaml").write_text(FILE)
    provider = ZoneFilesProvider("files", str(tmp_path))
    desired = Zone(ZONE, [])
    provider.copy().populate(desired)
    desired.add_record(Record.new(desired, "_x", {"type": "TXT", "ttl": 60, "value": "a\\; b"}))
    assert provider.apply(provider.plan(desired)) == 1
    assert (tmp_path / "example.com.yaml").read_text() == FILE.replace(
        "mta-sts: {type: CAA", "_x:\n  ttl: 60\n  type: TXT\n  value: a\\; b\nmta-sts: {type: CAA"
    )


def test_zone_files_refuses_what_changed_since_populate(tmp_path):
    path = tmp_path / "example.com.yaml"
    path.write_text(FILE)
    provider = ZoneFilesProvider("files", str(tmp_path))
    desired = Zone(ZONE, [])
    provider.populate(desired)
    desired.add_record(Record.new(desired, "_x", {"type": "TXT", "ttl": 60, "value": "a"}))
    plan = provider.plan(desired)
    path.write_text(FILE + "# theirs\n")
    with pytest.raises(Refused) as raised:
        provider.apply(plan)
    assert raised.value.diagnostics[0].code == "MTS466"
    assert path.read_text() == FILE + "# theirs\n"


@pytest.mark.parametrize("option", [{"split_extension": "."}, {"shared_filename": "all.yaml"}, {"disable_zonefile": True}])
def test_zone_files_refuses_options_that_spread_a_zone(option, tmp_path):
    with pytest.raises(Refused, match=next(iter(option))) as raised:
        ZoneFilesProvider("files", str(tmp_path), **option)
    assert raised.value.diagnostics[0].code == "MTS469"


def test_after_an_interrupted_try_what_it_left_is_built_upon():
    value = "v=STSv1; id=1;"
    for left in (["foreign", "v=STSv1\\; id=7\\;", "v=STSv1\\; id=1\\;"], ["foreign"], ["foreign", "v=STSv1\\; id=1\\;"]):
        provider = Memory()
        provider.stored["_mta-sts", "TXT"] = {"type": "TXT", "ttl": 300, "values": left}
        with pytest.raises(Refused, match="changed since it was planned"):
            bridge.write_zone(provider, ZONE, [sts(value)])
        bridge.write_zone(provider, ZONE, [sts(value)], again=True)
        assert provider.stored["_mta-sts", "TXT"]["values"] == ["foreign", "v=STSv1\\; id=1\\;"]


@pytest.mark.parametrize("left", [["other", "v=STSv1\\; id=1\\;"], ["foreign", "v=STSv1\\; id=stranger\\;"], []])
def test_after_an_interrupted_try_what_strangers_left_is_refused(left):
    provider = Memory()
    provider.stored["_mta-sts", "TXT"] = {"type": "TXT", "ttl": 300, "values": left}
    if not left:
        del provider.stored["_mta-sts", "TXT"]
    with pytest.raises(Refused) as raised:
        bridge.write_zone(provider, ZONE, [sts("v=STSv1; id=1;")], again=True)
    assert raised.value.diagnostics[0].code == "MTS702"


def test_an_automatic_ttl_gives_way_to_ours_and_other_metadata_stays():
    provider = Memory()
    marks = {"cloudflare": {"auto-ttl": True, "comment": "hi", "tags": ["a"]}, "other": 1}
    provider.stored["_mta-sts", "TXT"] = {**provider.stored["_mta-sts", "TXT"], "octodns": marks}
    bridge.write_zone(provider, ZONE, [sts("v=STSv1; id=1;")])
    assert provider.stored["_mta-sts", "TXT"]["octodns"] == {"cloudflare": {"comment": "hi", "tags": ["a"]}, "other": 1}


def test_the_shortest_ttl_of_a_provider_is_told():
    provider = Memory()
    assert reading.read_zone(provider, ZONE, [STS]).min_ttl == 0
    provider.min_ttl = 120
    assert reading.read_zone(provider, ZONE, [STS], min_ttl=60).min_ttl == 120
