"""`load` and `find`: effective settings, precedence, durations, names, includes, places."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from mtasts_deploy.catalogue import CATALOGUE, explain
from mtasts_deploy.catalogue.declaration import ENTRIES
from mtasts_deploy.declaration.load import find, load
from mtasts_deploy.declaration.model import Allowance, Confirm, Declaration, DomainSettings, HostSpec, StateSpec, Sts
from mtasts_deploy.declaration.nodes import parse, resolve
from mtasts_deploy.diagnostics import Severity, Span
from mtasts_deploy.errors import DeclarationError
from mtasts_deploy.rfc.names import Domain, MxPattern
from mtasts_deploy.rfc.policy import Mode

TODAY = date(2026, 1, 5)
REPORTS = "mailto:tls@reports.example"


def declare(directory: Path, text: str, **files: str) -> Declaration:
    for name, content in {"mta-sts": text, **files}.items():
        path = directory / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return load(directory / "mta-sts.yaml", today=TODAY)


def one(directory: Path, settings: str, before: str = "") -> DomainSettings:
    found = declare(directory, f"version: 1\n{before}domains:\n  example.com: {settings}\n")
    return found.domains[Domain.parse("example.com")]


def refused(directory: Path, settings: str) -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        one(directory, settings)
    return [found.code for found in caught.value.diagnostics if found.severity is Severity.ERROR]


def test_a_domain_without_settings_has_the_built_in_ones(tmp_path: Path) -> None:
    settings = one(tmp_path, "")
    assert settings == DomainSettings(domain=Domain.parse("example.com"))
    assert settings.sts is Sts.PUBLISH
    assert settings.mode is Mode.TESTING
    assert settings.max_age == 604_800
    assert settings.mx_zone
    assert settings.mx == ()
    assert settings.tlsrpt is None
    assert settings.dns == ("local",)
    assert settings.host == "local"
    assert settings.zone is None
    assert settings.ttl == 3600
    assert settings.confirm is Confirm.STORAGE


def test_own_settings_win_over_the_profile_and_that_over_the_defaults(tmp_path: Path) -> None:
    found = declare(
        tmp_path,
        f"""\
version: 1
defaults: {{tlsrpt: "{REPORTS}", max_age: 1d, ttl: 600, mx: [a.example.net]}}
profiles: {{strict: {{mode: enforce, max_age: 2w, mx: zone}}}}
domains:
  a.example: {{profile: strict, max_age: 3w}}
  b.example: {{profile: strict}}
  c.example:
  d.example: {{tlsrpt: false, mx: [zone, B.example.NET]}}
""",
    )
    a, b, c, d = found.domains.values()
    assert [(one.mode, one.max_age, one.ttl) for one in (a, b, c)] == [
        (Mode.ENFORCE, 3 * 604_800, 600),
        (Mode.ENFORCE, 2 * 604_800, 600),
        (Mode.TESTING, 86_400, 600),
    ]
    assert [one.mx_zone for one in (a, b, c, d)] == [True, True, False, True]
    assert c.mx == (MxPattern.parse("a.example.net"),)
    assert d.mx == (MxPattern.parse("b.example.net"),)
    assert (a.tlsrpt, d.tlsrpt) == ((REPORTS,), ())
    assert (a.profile, c.profile) == ("strict", None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("604800", 604_800),
        ("90000s", 90_000),
        ("1500m", 90_000),
        ("36h", 129_600),
        ("7d", 604_800),
        ("26w", 15_724_800),
        ("0o400000", 131_072),
    ],
)
def test_durations(tmp_path: Path, text: str, seconds: int) -> None:
    assert one(tmp_path, f"{{max_age: {text}}}").max_age == seconds


@pytest.mark.parametrize("text", ["0", "-1", "31557601", "1y", "1:30", "1.5d", "+5", "53w", "1e6", "true", "'604800'", "５", "1_000"])
def test_what_is_no_duration(tmp_path: Path, text: str) -> None:
    if text == "+5":
        assert one(tmp_path, "{max_age: +5}").max_age == 5  # a YAML integer
    else:
        assert refused(tmp_path, f"{{max_age: {text}}}") == ["MTS250"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("YES", "YES"),
        ("1:30", "1:30"),
        ("2027-01-31", "2027-01-31"),
        ("0123", 123),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("-7", -7),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.INF", float("-inf")),
        ("True", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("Null", None),
        ("", None),
        ("0b1", "0b1"),
        ("9" * 5000, float("inf")),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_sts(tmp_path: Path) -> None:
    assert one(tmp_path, "{sts: true}").sts is Sts.PUBLISH
    assert one(tmp_path, f"{{sts: false, tlsrpt: '{REPORTS}'}}").sts is Sts.TLSRPT_ONLY
    assert one(tmp_path, "{sts: elsewhere}").sts is Sts.ELSEWHERE


def test_names_are_a_labels_inside(tmp_path: Path) -> None:
    found = declare(tmp_path, 'version: 1\ndomains:\n  Bücher.example: {mx: ["*.büro.example", mx.straße.example]}\n')
    (settings,) = found.domains.values()
    assert settings.domain.text == "xn--bcher-kva.example"
    assert [str(pattern) for pattern in settings.mx] == ["*.xn--bro-hoa.example", "mx.xn--strae-oqa.example"]
    assert settings.where == Span(path=str(tmp_path / "mta-sts.yaml"), line=3, column=3)


def test_zones(tmp_path: Path) -> None:
    assert one(tmp_path, "{zone: Example.COM}").zone == "example.com."
    assert one(tmp_path, "{zone: com.}").zone == "com."
    zones = one(tmp_path, "{zone: {_mta-sts: _mta-sts.example.com, _smtp._tls: _TLS.example.com., mx: example.com}}").zone
    assert zones == {"sts": "_mta-sts.example.com.", "tlsrpt": "_tls.example.com.", "mx": "example.com."}


def test_a_guard_is_lifted_until_the_end_of_its_last_day(tmp_path: Path) -> None:
    settings = one(tmp_path, "{allow: [{code: MTS401, until: 2026-01-05, why: a reason}]}")
    (allowance,) = settings.allow
    assert replace(allowance, where=None) == Allowance(code="MTS401", until=TODAY, why="a reason")
    assert allowance.where == Span(path=str(tmp_path / "mta-sts.yaml"), line=3, column=25)
    assert refused(tmp_path, "{allow: [{code: MTS401, until: 2026-01-04, why: a reason}]}") == ["MTS161"]


def test_places_of_own_settings(tmp_path: Path) -> None:
    settings = one(tmp_path, "\n    max_age: 2w\n    # bücher\n    mx: [zone]")
    assert {name: (where.line, where.column) for name, where in settings.at.items()} == {"max_age": (4, 14), "mx": (6, 9)}
    assert replace(settings, at={}, where=None) == settings


def test_columns_count_code_points_and_no_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "mta-sts.yaml"
    path.write_bytes("\ufeff{version: 1, domains: {bücher.example: {mod: none}}}\r\n".encode())
    with pytest.raises(DeclarationError) as caught:
        load(path, today=TODAY)
    (found,) = (found for found in caught.value.diagnostics if found.severity is Severity.ERROR)
    assert found.where == Span(path=str(path), line=1, column=41)


def test_aliases_repeat_whole_values(tmp_path: Path) -> None:
    text = "version: 1\nprofiles: {a: &a {mode: none}, b: *a}\n"
    text += "domains:\n  a.example: &d {profile: a, mx: &mx [zone]}\n  b.example: *d\n  c.example: {profile: b, mx: *mx}\n"
    assert [settings.mode for settings in declare(tmp_path, text).domains.values()] == [Mode.NONE] * 3


def test_long_texts_count_when_aliases_repeat_them(tmp_path: Path) -> None:
    text = f"version: 1\nprofiles:\n  a: {{host: &long {'x' * 100_000}, dns: [{'*long, ' * 5000}]}}\n"
    with pytest.raises(DeclarationError) as caught:
        declare(tmp_path, text)
    assert [found.code for found in caught.value.diagnostics] == ["MTS110"]


def test_max_age_of_the_defaults_is_no_fault_of_a_domain_in_mode_none(tmp_path: Path) -> None:
    assert declare(tmp_path, "version: 1\ndefaults: {max_age: 1w}\ndomains: {a.example: {mode: none}}\n").warnings == ()


def test_the_embedded_default(tmp_path: Path) -> None:
    found = declare(tmp_path, "version: 1\ndomains: {example.com: }\n")
    assert found.directory == tmp_path
    assert found.providers["local"].class_name == "mtasts_deploy.dns.zone_files.ZoneFilesProvider"
    assert found.providers["local"].options == {"directory": "zones"}
    assert found.hosts["local"] == HostSpec(name="local", path="policies")
    assert found.state == StateSpec(path=".mtasts")


def test_local_can_be_redefined_and_others_added(tmp_path: Path) -> None:
    found = declare(
        tmp_path,
        """\
version: 1
providers:
  local: {class: mtasts_deploy.dns.zone_files.ZoneFilesProvider, directory: dns, escaped_semicolons: false, default_ttl: 300}
hosts: {web: {type: directory, path: /srv/mta-sts}}
state: {type: directory, path: state}
domains: {example.com: {host: web, dns: [local, local]}}
""",
    )
    assert found.providers["local"].options == {"directory": "dns", "escaped_semicolons": False, "default_ttl": 300}
    assert set(found.hosts) == {"local", "web"}
    web = found.hosts["web"]
    assert isinstance(web, HostSpec)
    assert web.path == "/srv/mta-sts"
    assert found.state == StateSpec(path="state")
    assert found.domains[Domain.parse("example.com")].dns == ("local",)


def test_included_domains_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    more = tmp_path / "teams" / "more" / "c.yml"
    more.parent.mkdir(parents=True)
    more.write_text("domains: {c.example: }\n", encoding="utf-8")
    found = declare(
        tmp_path,
        "version: 1\ninclude: ['teams/**/*.yaml', last.yaml]\ndomains: {z.example: }\n",
        teams__b="domains: {b.example: }\ninclude: [more/c.yml]\n",
        teams__a="domains: {a.example: , y.example: {mode: none}}\n",
        teams__deep__d="domains: {d.example: }\n",
        last="domains: {l.example: }\n",
    )
    assert [str(domain) for domain in found.domains] == [f"{name}.example" for name in "zaybcdl"]
    assert {settings.where.path.rpartition("/")[2] for settings in found.domains.values() if settings.where} >= {"c.yml", "d.yaml"}


def test_warnings_do_not_forbid_the_use(tmp_path: Path) -> None:
    found = declare(tmp_path, "version: 1\ndomains: {a.example: , b.example: , c.example: {mode: enforce}}\n")
    assert [(warning.code, warning.severity, warning.domain) for warning in found.warnings] == [
        ("MTS252", Severity.WARN, None),
        ("MTS252", Severity.WARN, "c.example"),
    ]
    assert found.warnings[0].message.endswith("(1 other domain as well)")


def test_a_warning_about_shared_settings_is_said_once_and_where_they_stand(tmp_path: Path) -> None:
    found = declare(
        tmp_path, f"version: 1\ndefaults: {{tlsrpt: '{REPORTS}', max_age: 2h}}\ndomains: {{a.example: , b.example: {{ttl: 600}}}}\n"
    )
    (warning,) = found.warnings
    assert (warning.code, warning.domain) == ("MTS233", None)
    assert warning.where == Span(path=str(tmp_path / "mta-sts.yaml"), line=2, column=59)


def test_a_lifted_registry_wildcard_only_warns(tmp_path: Path) -> None:
    assert refused(tmp_path, '{mode: enforce, mx: "*.co.uk"}') == ["MTS257"]
    settings = one(tmp_path, '{mode: enforce, mx: "*.co.uk", allow: [{code: MTS257, until: 2027-01-31, why: a test}]}')
    assert settings.mx == (MxPattern.parse("*.co.uk"),)


def test_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DeclarationError, match=r"there is no file mta-sts\.yaml") as caught:
        find(None, {})
    assert "deploy init" in str(caught.value.diagnostics[0].hint)
    for name in ("mta-sts.yaml", "a.yaml", "b.yaml"):
        (tmp_path / name).touch()
    assert find(None, {"MTASTS_CONFIG": ""}) == Path("mta-sts.yaml")
    assert find(None, {"MTASTS_CONFIG": "a.yaml"}) == Path("a.yaml")
    assert find(Path("b.yaml"), {"MTASTS_CONFIG": "a.yaml"}) == Path("b.yaml")
    with pytest.raises(DeclarationError, match="from MTASTS_CONFIG"):
        find(None, {"MTASTS_CONFIG": "c.yaml"})


def test_the_declaration_of_the_repository_is_good() -> None:
    found = load(Path(__file__).parents[2] / "mta-sts.yaml", today=TODAY)
    assert found.domains
    assert found.warnings == ()


def test_many_domains_with_the_same_fault_each_get_their_place(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(tmp_path, "version: 1\ndomains:\n" + "".join(f"  d{number}.example: {{mod: none}}\n" for number in range(50)))
    errors = [found for found in caught.value.diagnostics if found.severity is Severity.ERROR]
    assert [found.where.line for found in errors if found.where] == list(range(3, 53))
    assert errors[7].domain == "d7.example"


def test_the_collector_is_as_it_was(tmp_path: Path) -> None:
    assert gc.isenabled()
    with pytest.raises(DeclarationError):
        load(tmp_path / "nothing.yaml", today=TODAY)
    assert gc.isenabled()


def test_pydantic_is_imported_only_when_a_declaration_is_loaded() -> None:
    code = (
        "import sys, mtasts_deploy.declaration.load, mtasts_deploy.declaration.model\n"
        "print([name for name in ('pydantic', 'octodns', 'dns', 'ssl', 'boto3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_hostile_text_is_never_a_crash() -> None:
    for data in (
        b"\x00",
        b"\xff",
        b"&a",
        b"*a",
        b"? ?",
        b"{",
        b"!!",
        b"%YAML 9.9\n---\n",
        b"- - - ? : -",
        b"\xef\xbb\xbf",
        b'"\\ud800"',
        b'&a "<<": 1\n*a : 2',
    ):
        root, problems = parse(data, "x")
        assert root is not None or problems, data


def test_the_catalogue() -> None:
    assert len({entry.code for entry in ENTRIES}) == len(ENTRIES)
    assert all(CATALOGUE[entry.code] is entry for entry in ENTRIES)
    assert explain(" mts154 ") is CATALOGUE["MTS154"]
    assert explain("MTS000") is None
