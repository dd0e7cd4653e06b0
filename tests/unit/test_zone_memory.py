"""What is remembered of zone files never differs from what parsing them would give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns import zone_text
from mtasts_deploy.dns.local import LocalTarget
from mtasts_deploy.dns.zone_memory import ZoneMemory, digest_of
from mtasts_deploy.facts import NameFacts, ZoneFacts, ZoneName

ZONE = ZoneName("example.com.")
NAMES = ("example.com", "_mta-sts.example.com", "_smtp._tls.example.com")
TEXT = """\
'':
  - {type: A, value: 192.0.2.1}
  - {type: MX, ttl: 300, value: {preference: 10, exchange: mx1.example.com.}}
_mta-sts: {type: TXT, values: ['v=STSv1\\; id=1\\;', 'another']}
_smtp: {type: NS, value: ns.example.net.}
"""


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    directory = tmp_path / "zones"
    directory.mkdir()
    (directory / "example.com.yaml").write_text(TEXT)
    return directory


def target(zones: Path, **options: int) -> LocalTarget:
    return LocalTarget("local", zones, memory=ZoneMemory(zones.parent / "cache", "local"), **options)  # type: ignore[arg-type]


def remember(zones: Path) -> ZoneFacts:
    """Read the zone and save what was read; the facts."""
    reading = target(zones)
    facts = reading.read(ZONE, NAMES)
    assert reading._memory is not None
    reading._memory.save()
    assert isinstance(facts, ZoneFacts)
    return facts


def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are parsed from now on."""
    texts: list[str] = []
    read = zone_text.read
    monkeypatch.setattr(zone_text, "read", lambda text, *args, **more: texts.append(text) or read(text, *args, **more))  # type: ignore[func-returns-value]
    return texts


def test_a_file_that_has_not_changed_is_not_parsed_again(zones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = remember(zones)
    parsed = parses(monkeypatch)
    assert target(zones).read(ZONE, NAMES) == facts
    assert not parsed


def test_reading_alone_writes_nothing(zones: Path) -> None:
    target(zones).read(ZONE, NAMES)
    assert [path.name for path in zones.parent.iterdir()] == ["zones"]


@pytest.mark.parametrize("changed", [TEXT.replace("mx1", "mx2"), TEXT + "\n", "", "]"])
def test_other_bytes_are_parsed(zones: Path, changed: str) -> None:
    remember(zones)
    (zones / "example.com.yaml").write_text(changed)
    assert target(zones).read(ZONE, NAMES) == LocalTarget("local", zones).read(ZONE, NAMES)


def test_other_names_and_settings_are_parsed(zones: Path) -> None:
    remember(zones)
    assert target(zones).read(ZONE, NAMES[:1]) == LocalTarget("local", zones).read(ZONE, NAMES[:1])
    found = target(zones, default_ttl=60).read(ZONE, NAMES)
    assert isinstance(found, ZoneFacts)
    txt = found.names["_mta-sts.example.com"].txt
    assert txt is not None
    assert txt.ttl == 60


@pytest.mark.parametrize("damage", ["zero", "half", "list", "newer", "wrong types"])
def test_a_damaged_cache_is_no_cache(zones: Path, damage: str) -> None:
    facts = remember(zones)
    [path] = (zones.parent / "cache" / "local").iterdir()
    data = path.read_bytes()
    digest = json.loads(data)["zones"][ZONE][0]
    path.write_bytes(
        {
            "zero": bytes(len(data)),
            "half": data[: len(data) // 2],
            "list": b"[]",
            "newer": data.replace(b'"format_version":1', b'"format_version":2'),
            "wrong types": json.dumps({"format_version": 1, "zones": {ZONE: [digest, {"example.com": 7}, {}]}}).encode(),
        }[damage]
    )
    assert target(zones).read(ZONE, NAMES) == facts


def test_what_an_entry_cannot_say_is_not_remembered(tmp_path: Path) -> None:
    """A refusal has a place in the file; a fact that is added to `NameFacts` is parsed anew until an entry knows it."""
    memory = ZoneMemory(tmp_path, "local")
    refusal = Diagnostic(code="MTS455", message="an alias", hint="Write it out.")
    memory.note("digest", ZoneFacts(provider="local", zone=ZONE, names={"example.com": NameFacts(refusal=refusal)}))
    memory.save()
    assert ZoneMemory(tmp_path, "local").recall(ZONE, "digest") is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = ZoneMemory(tmp_path / "file", "local")
    memory.note("digest", ZoneFacts(provider="local", zone=ZONE, names={}))
    memory.save()


def test_the_digest_depends_on_all_that_a_reading_does() -> None:
    readings = [
        digest_of(b"a", NAMES, 3600, True),
        digest_of(b"b", NAMES, 3600, True),
        digest_of(b"a", NAMES[1:], 3600, True),
        digest_of(b"a", NAMES, 60, True),
        digest_of(b"a", NAMES, 3600, False),
    ]
    assert len(set(readings)) == len(readings)
