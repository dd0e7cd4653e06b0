"""Broken zone files: what exactly is said about each, and where. Never a traceback, never a guess."""

import os
from pathlib import Path

import pytest

from mtasts_deploy.catalogue.dns import ENTRIES
from mtasts_deploy.dns.local import LocalTarget
from mtasts_deploy.dns.zone_edit import TxtEdit, edit
from mtasts_deploy.errors import ObservationError, Refused
from mtasts_deploy.facts import Unknown, ZoneFacts, ZoneName

FILES = Path(__file__).parent / "zones"
ZONE = ZoneName("example.com.")
NAMES = ["example.com", "_mta-sts.example.com", "_smtp._tls.example.com"]

SAID = {
    "not-yaml": "MTS451 3:4 not YAML: while parsing a flow mapping, did not find expected ',' or '}'",
    "tabs": "MTS451 2:1 not YAML: while scanning for the next token, found character that cannot start any token",
    "latin-1": "MTS450 2:35 the byte 0xFC is not UTF-8 text",
    "duplicate-keys": "MTS453 3:1 the name '_mta-sts' stands here and on line 1; octoDNS would use only one of them",
    "duplicate-spelling": "MTS453 2:1 the name '_MTA-STS' stands here and on line 1 as '_mta-sts'; octoDNS would use only one of them",
    "duplicate-field": "MTS453 4:3 `value` stands twice in one record; octoDNS would use the last",
    "merge-include": "MTS454 1:5 a merge key comes from `!include common.yaml`, so the records in it cannot be seen here",
    "include": "MTS454 1:1 the whole zone file comes from `!include other.yaml`, so the records in it cannot be seen here",
    "include-record": "MTS454 1:11 a record comes from `!include record.yaml`, so the records in it cannot be seen here",
    "alias-bomb": "MTS452 3:30 the aliases expand to more than 10000 entries",
    "recursion": "MTS451 3:10 the alias *a stands for nothing above it, or for something that contains it",
    "undefined-alias": "MTS451 1:30 the alias *nowhere stands for nothing above it, or for something that contains it",
    "nul": "MTS451 2:6 not YAML: the character U+0000 is not allowed",
    "two-documents": "MTS456 3:1 a zone file holds one YAML document, and this one begins a second",
    "a-list": "MTS456 1:1 a zone file is a mapping of names to records, and this one is not",
    "no-type": "MTS456 2:3 a record has no `type`",
    "lower-case-type": "MTS456 1:18 `type: txt` is not a type for octoDNS, which is strict about case",
    "number": "MTS456 1:30 a TXT value `20260101` is not text for YAML, and octoDNS fails on it",
    "empty-value": "MTS456 3:9 a TXT value is empty",
    "bad-ttl": "MTS456 1:28 `ttl: 1h` is not a number of seconds",
    "two-txt": "MTS456 2:5 two TXT records stand at one name; octoDNS refuses that",
    "mx-text": "MTS456 1:23 an MX value is a mapping with `preference` and `exchange`",
}


def target(directory, content=None, name="example.com.yaml"):
    if content is not None:
        (directory / name).write_bytes(content)
    return LocalTarget("local", directory, shown="zones")


def reason(directory, content=None, name="example.com.yaml"):
    found = target(directory, content, name).read(ZONE, NAMES)
    assert isinstance(found, Unknown), found
    assert found.reason.hint
    assert found.reason.code in {entry.code for entry in ENTRIES}
    return found.reason


def said(found):
    where = f"{found.where.line}:{found.where.column} " if found.where else ""
    return f"{found.code} {where}{found.message}"


@pytest.mark.parametrize("name", SAID)
def test_a_broken_zone_file_is_unknown_with_its_place(name, tmp_path):
    found = reason(tmp_path, (FILES / f"{name}.yaml").read_bytes())
    assert said(found) == SAID[name]
    assert found.where.path == "zones/example.com.yaml"


@pytest.mark.parametrize("name", [name for name in SAID if name != "latin-1"])
def test_an_edit_of_it_is_refused(name):
    text = (FILES / f"{name}.yaml").read_bytes().decode()
    change = TxtEdit(name="_mta-sts.example.com", values=("v=STSv1; id=2;",), ttl=3600)
    if name != "mx-text":  # that is another name, which an edit does not look at
        with pytest.raises(Refused):
            edit(text, ZONE, [change], shown="z.yaml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "alias-for-our-key",
            "MTS455 2:11 the TXT record here depends on the alias *x, so it cannot be changed without changing what is not ours",
        ),
        (
            "merge",
            "MTS455 3:3 the TXT record here depends on a merge key (`<<`), so it cannot be changed without changing what is not ours",
        ),
    ],
)
def test_what_cannot_be_edited_is_still_read(name, expected, tmp_path):
    found = target(tmp_path, (FILES / f"{name}.yaml").read_bytes()).read(ZONE, NAMES)
    assert isinstance(found, ZoneFacts)
    txt = found.at("_mta-sts.example.com").txt
    assert txt is not None
    assert txt.values == ("v=STSv1; id=1;",)
    assert said(found.at("_mta-sts.example.com").refusal) == expected


@pytest.mark.parametrize("before", [b"a: ", b"_mta-sts: ", b"", b"'': &a "])
def test_deep_nesting(before, tmp_path):
    found = reason(tmp_path, before + b"[" * 50_000)
    assert (found.code, found.message) == ("MTS452", "the nesting is deeper than 100")


def test_deep_nesting_in_block_style(tmp_path):
    text = "".join(f"{' ' * depth}a:\n" for depth in range(500))
    assert reason(tmp_path, text.encode()).code == "MTS452"


def test_a_file_over_16_mib_is_not_read(tmp_path):
    with (tmp_path / "example.com.yaml").open("wb") as file:
        file.truncate(16 * 1024 * 1024 + 1)
    assert said(reason(tmp_path)) == "MTS452 1:1 the file is larger than 16 MiB"


def test_a_directory_instead_of_a_file(tmp_path):
    (tmp_path / "example.com.yaml").mkdir()
    assert said(reason(tmp_path)) == "MTS450 1:1 zones/example.com.yaml is a directory"


def test_a_pipe_instead_of_a_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "example.com.yaml")
    assert said(reason(tmp_path)) == "MTS450 1:1 zones/example.com.yaml is not a regular file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file(tmp_path):
    (tmp_path / "example.com.yaml").write_text("")
    (tmp_path / "example.com.yaml").chmod(0)
    assert said(reason(tmp_path)) == "MTS450 1:1 zones/example.com.yaml cannot be read: Permission denied"


def test_a_dangling_link(tmp_path):
    (tmp_path / "example.com.yaml").symlink_to("nowhere")
    assert said(reason(tmp_path)) == "MTS450 1:1 zones/example.com.yaml cannot be read: No such file or directory"


def test_no_file(tmp_path):
    assert said(reason(tmp_path)) == "MTS458 provider local has no zone example.com: there is no file zones/example.com.yaml"


def test_no_directory(tmp_path):
    here = LocalTarget("local", tmp_path / "nowhere", shown="zones")
    with pytest.raises(ObservationError) as raised:
        here.zones()
    expected = "MTS471 the zone directory zones of provider local cannot be listed: No such file or directory"
    assert said(raised.value.diagnostics[0]) == expected
    found = here.read(ZONE, NAMES)
    assert isinstance(found, Unknown)
    assert said(found.reason) == expected


def test_one_zone_in_two_files(tmp_path):
    (tmp_path / "bücher.example.yaml").write_text("")
    (tmp_path / "xn--bcher-kva.example.yaml").write_text("")
    here = target(tmp_path)
    assert here.zones() == {"xn--bcher-kva.example."}
    found = here.read(ZoneName("xn--bcher-kva.example."), ["xn--bcher-kva.example"])
    assert isinstance(found, Unknown)
    assert said(found.reason) == (
        "MTS457 1:1 the zone xn--bcher-kva.example stands in 2 files, zones/bücher.example.yaml and zones/xn--bcher-kva.example.yaml"
    )


def test_a_file_name_that_octodns_does_not_look_for(tmp_path):
    assert said(reason(tmp_path, b"", "Example.com.yaml")) == (
        "MTS457 1:1 octoDNS does not find zones/Example.com.yaml: it looks for example.com.yaml"
    )
