"""The `local` provider: zone files read without octoDNS, and written in place."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mtasts_deploy import files
from mtasts_deploy.dns.interface import Guarantee, Target
from mtasts_deploy.dns.local import LocalTarget
from mtasts_deploy.errors import ProviderError, Refused
from mtasts_deploy.facts import RecordChange, RecordKind, TxtSet, Unknown, ZoneFacts, ZoneName

ZONE = ZoneName("example.com.")
STS = "_mta-sts.example.com"
TLS = "_smtp._tls.example.com"
TEXT = "---\n# head\n'':\n- type: NS\n  values: [ns1.example.net., ns2.example.net.]\nwww: {type: A, value: 192.0.2.1} # w\n"


@pytest.fixture
def zone_file(tmp_path):
    path = tmp_path / "example.com.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def local(zone_file):
    return LocalTarget("local", zone_file.parent, shown="zones")


def sts(value, before=None, ttl=3600, name=STS):
    return RecordChange(name=name, kind=RecordKind.STS, before=before, value=value, ttl=ttl)


def code(raised):
    return raised.value.diagnostics[0].code


def test_it_is_a_target(local):
    target: Target = local
    assert target.guarantee is Guarantee.ZONE_ATOMIC


def test_zones_come_from_one_scan(tmp_path, monkeypatch):
    for name in [
        "a.example.yaml",
        "bücher.example.yaml",
        "xn--fiq.example.yaml",
        "notes.txt",
        ".b.example.yaml",
        "com.yaml",
        "c.example.yaml.bak",
    ]:
        (tmp_path / name).write_text("{}")
    scans = []
    scandir = os.scandir

    def counting(path):
        scans.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", counting)
    local = LocalTarget("local", tmp_path, shown="zones")
    assert local.zones() == {"a.example.", "xn--bcher-kva.example.", "xn--fiq.example."}
    local.zones()
    assert isinstance(local.read(ZoneName("xn--bcher-kva.example."), ["xn--bcher-kva.example"]), ZoneFacts)
    assert len(scans) == 1


def test_reading_never_imports_octodns(zone_file):
    script = (
        "import sys, pathlib\n"
        "from mtasts_deploy.dns.local import LocalTarget\n"
        f"t = LocalTarget('local', pathlib.Path({str(zone_file.parent)!r}))\n"
        "print(sorted(t.zones()), t.read('example.com.', ['example.com']).names.keys())\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'octodns', 'dns', 'natsort', 'idna', 'boto3', 'ssl'}))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "['example.com.'] dict_keys(['example.com'])\n[]\n"


def test_a_write_is_spliced_in_and_read_back(local, zone_file):
    local.write(
        ZONE,
        [sts("v=STSv1; id=1;"), RecordChange(name=TLS, kind=RecordKind.TLSRPT, before=None, value="v=TLSRPTv1; rua=mailto:a@b", ttl=60)],
    )
    new = (
        "_mta-sts:\n  type: TXT\n  value: v=STSv1\\; id=1\\;\n_smtp._tls:\n  ttl: 60\n  type: TXT\n  value: v=TLSRPTv1\\; rua=mailto:a@b\n"
    )
    assert zone_file.read_text() == TEXT.replace("www", new + "www")
    found = local.read(ZONE, [STS, TLS])
    assert found.at(STS).txt == TxtSet(values=("v=STSv1; id=1;",), ttl=3600)
    assert found.at(TLS).txt == TxtSet(values=("v=TLSRPTv1; rua=mailto:a@b",), ttl=60)

    local.write(
        ZONE, [sts(None, found.at(STS).txt), RecordChange(name=TLS, kind=RecordKind.TLSRPT, before=found.at(TLS).txt, value=None, ttl=60)]
    )
    assert zone_file.read_text() == TEXT


def test_line_ends_and_mode_bits_stay(local, zone_file):
    zone_file.write_bytes(TEXT.replace("\n", "\r\n").encode())
    zone_file.chmod(0o640)
    local.write(ZONE, [sts("v=STSv1; id=1;")])
    content = zone_file.read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") == TEXT.count("\n") + 3
    assert stat.S_IMODE(zone_file.stat().st_mode) == 0o640
    assert [path.name for path in zone_file.parent.iterdir()] == ["example.com.yaml"]


def test_a_record_that_changed_since_the_plan_is_refused_with_both_values(local, zone_file):
    zone_file.write_text(TEXT + "_mta-sts: {type: TXT, value: v=STSv1\\; id=9\\;}\n")
    with pytest.raises(Refused) as raised:
        local.write(ZONE, [sts("v=STSv1; id=1;", TxtSet(values=("v=STSv1; id=0;",), ttl=3600))])
    assert code(raised) == "MTS702"
    assert raised.value.diagnostics[0].message == (
        "the TXT record at _mta-sts.example.com changed since it was planned: "
        "it held 'v=STSv1; id=0;' with TTL 3600, now it holds 'v=STSv1; id=9;' with TTL 3600"
    )


def test_a_missing_zone_file_is_not_created(local, zone_file):
    with pytest.raises(Refused) as raised:
        local.write(ZoneName("example.net."), [sts("v=STSv1; id=1;", name="_mta-sts.example.net")])
    assert code(raised) == "MTS458"
    assert list(zone_file.parent.iterdir()) == [zone_file]


def test_a_link_out_of_the_directory_is_not_followed(tmp_path):
    outside = tmp_path / "outside.yaml"
    outside.write_text(TEXT)
    (tmp_path / "zones").mkdir()
    (tmp_path / "zones" / "example.com.yaml").symlink_to(outside)
    local = LocalTarget("local", tmp_path / "zones")
    found = local.read(ZONE, [STS])
    assert isinstance(found, Unknown)
    assert found.reason.code == "MTS467"
    with pytest.raises(Refused) as raised:
        local.write(ZONE, [sts("v=STSv1; id=1;")])
    assert code(raised) == "MTS467"
    assert outside.read_text() == TEXT


def test_a_link_inside_the_directory_stays_a_link(local, zone_file):
    real = zone_file.rename(zone_file.parent / "real")
    zone_file.symlink_to("real")
    local.write(ZONE, [sts("v=STSv1; id=1;")])
    assert zone_file.is_symlink()
    assert "id=1" in real.read_text()


def test_a_file_that_others_change_meanwhile_is_left_alone(local, zone_file, monkeypatch):
    replace_file = files.replace_file

    def racing(path, data, **options):
        path.write_text(TEXT + "# theirs\n")
        replace_file(path, data, **options)

    monkeypatch.setattr(files, "replace_file", racing)
    with pytest.raises(Refused) as raised:
        local.write(ZONE, [sts("v=STSv1; id=1;")])
    assert code(raised) == "MTS466"
    assert zone_file.read_text() == TEXT + "# theirs\n"
    assert list(zone_file.parent.iterdir()) == [zone_file]


def test_a_full_disk_leaves_the_file_as_it_was(local, zone_file, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Refused) as raised:
        local.write(ZONE, [sts("v=STSv1; id=1;")])
    assert code(raised) == "MTS468"
    assert (
        raised.value.diagnostics[0].message
        == "zones/example.com.yaml cannot be written: No space left on device; nothing was written to it"
    )
    assert zone_file.read_text() == TEXT
    assert list(zone_file.parent.iterdir()) == [zone_file]


def test_a_failure_after_the_rename_is_a_provider_error(local, zone_file, monkeypatch):
    def broken(path, data, **options):
        raise files.Unsettled(5, "Input/output error")

    monkeypatch.setattr(files, "replace_file", broken)
    with pytest.raises(ProviderError) as raised:
        local.write(ZONE, [sts("v=STSv1; id=1;")])
    assert code(raised) == "MTS468"


def test_a_broken_zone_file_is_refused_and_left_alone(local, zone_file):
    zone_file.write_text("a: [\n")
    with pytest.raises(Refused) as raised:
        local.write(ZONE, [sts("v=STSv1; id=1;")])
    assert code(raised) == "MTS463"
    assert zone_file.read_text() == "a: [\n"


def test_nothing_is_written_to_the_standard_streams(local, zone_file, capfd):
    zone_file.write_text(TEXT + "bad: {type: MX, value: {preference: x, exchange: y}}\n_x: {type: TXT, value: 'é'}\n")
    with pytest.raises(Refused):
        local.write(ZONE, [sts("v=STSv1; id=1;")])
    zone_file.write_text(TEXT + "_x: {type: TXT, value: 'é;'}\n")
    local.write(ZONE, [sts("v=STSv1; id=1;")])
    assert capfd.readouterr() == ("", "")
