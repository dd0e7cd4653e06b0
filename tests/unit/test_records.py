"""What the vectors do not say about the two TXT records and the report addresses."""

from __future__ import annotations

import pytest

from mtasts_deploy.catalogue import policy as policy_codes
from mtasts_deploy.catalogue import records as record_codes
from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.rfc.policy import PolicyId
from mtasts_deploy.rfc.records import RecordError, StsRecord, TlsrptRecord, parse_rua, parse_sts, parse_tlsrpt


def found(parse, *values):
    with pytest.raises(RecordError) as caught:
        parse(values)
    return [(problem.code, problem.column) for problem in caught.value.problems]


def hint(parse, *values):
    with pytest.raises(RecordError) as caught:
        parse(values)
    return next(str(problem.hint) for problem in caught.value.problems if problem.severity is Severity.ERROR)


def said(problems):
    return [(problem.code, str(problem.severity), problem.column) for problem in problems]


@pytest.mark.parametrize(
    "value", ["v=STSv1; id=a1;", [b"v=STSv1; i", b"d=a1;"], ["v=STSv1; i", "", "d=a1;"], (b"v=STSv1;id=a1",), "v=STSv1;x=y;id=a1"]
)
def test_a_value_is_text_or_character_strings(value):
    assert parse_sts([value]) == StsRecord(id=PolicyId(text="a1"))


def test_every_problem_is_told_at_once_with_its_place():
    assert found(parse_sts, "v=STSv1;; id=a-b; no te=1; x=; id; y=é; ") == [
        ("MTS305", 9),
        ("MTS310", 15),
        ("MTS307", 19),
        ("MTS307", 30),
        ("MTS307", 32),
        ("MTS308", 38),
    ]
    assert found(parse_tlsrpt, "v=TLSRPTv1; rua=mailto:,a@b,,ftp://x, https://; q") == [
        ("MTS325", 17),
        ("MTS322", 25),
        ("MTS321", 29),
        ("MTS324", 30),
        ("MTS329", 39),
        ("MTS327", 39),
        ("MTS307", 49),
    ]


def test_a_missing_field_is_told_unless_a_bad_one_is_there():
    assert found(parse_sts, "v=STSv1; x=y z") == [("MTS307", 12), ("MTS309", 1)]
    assert found(parse_sts, "v=STSv1; id = a1") == [("MTS307", 10)]
    assert found(parse_tlsrpt, "v=TLSRPTv1;") == [("MTS320", 1)]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('"v=STSv1; id=1"', "without quotation marks"),
        (" v=STSv1; id=1", "nothing may come before"),
        ("v=STSv1, id=1", "put a `;`"),
        ("V=stsv1; id=1", "upper and lower case"),
        ("id=1; v=STSv1", "comes first"),
        ("v=TLSRPTv1; rua=mailto:a@example.org", "_smtp._tls"),
        ("v=spf1 -all", "wildcard"),
        ("v=STSv2; id=1", "only version"),
        ("v=STSv1\\; id=1", "without backslashes"),
        ("v=STSv1; ID=1", "`ID=` as `id=`"),
    ],
)
def test_the_mistake_behind_it_is_named(value, words):
    assert words in hint(parse_sts, value)


def test_no_value_and_several():
    assert found(parse_sts) == [("MTS300", 1)]
    assert found(parse_sts, "v=STSv1 ; id=1", "x") == [("MTS300", 1)]
    assert found(parse_tlsrpt, "v=TLSRPTv1;", "v=TLSRPTv1;") == [("MTS301", 1)]
    record = parse_tlsrpt(["v=TLSRPTv2; x", "v=TLSRPTv1; rua=mailto:a@example.org", "site=1"])
    assert said(record.warnings) == [("MTS302", "note", 1), ("MTS302", "warn", 1)]


def test_warnings():
    assert said(parse_sts(["v=STSv1 ; id=1; id=2; x=y"]).warnings) == [
        ("MTS304", "warn", 8),
        ("MTS311", "warn", 17),
        ("MTS312", "note", 23),
    ]
    value = "v=TLSRPTv1; x=1; rua=MAILTO:a@example.org?subject=x; rua=https://example.org/in;k=v"
    assert said(parse_tlsrpt([value]).warnings) == [
        ("MTS312", "note", 13),
        ("MTS329", "warn", 18),
        ("MTS326", "warn", 42),
        ("MTS329", "warn", 22),
        ("MTS331", "warn", 54),
        ("MTS323", "warn", 80),
        ("MTS312", "note", 81),
    ]
    long = "v=TLSRPTv1; rua=" + ",".join(f"mailto:reports-{number:03}@example.org" for number in range(40))
    assert said(parse_tlsrpt([long]).warnings) == [("MTS330", "warn", 1)]


def test_a_backslash_is_an_extension_character_like_others():
    assert said(parse_sts(["v=STSv1; id=1; x=a\\; y=b"]).warnings) == [("MTS312", "note", 16), ("MTS312", "note", 22)]
    assert found(parse_sts, "v=STSv1\\; id=1\\;") == [("MTS306", 8)]


def test_the_canonical_forms():
    assert StsRecord(id=PolicyId(text="a1")).render() == "v=STSv1; id=a1;"
    record = TlsrptRecord(rua=("MAILTO:a@example.org", "https://example.org/in;t=1!2"))
    assert record.render() == "v=TLSRPTv1; rua=mailto:a@example.org,https://example.org/in%3Bt=1%212"


@pytest.mark.parametrize(
    ("rua", "code"), [((), "MTS320"), (("a@example.org",), "MTS322"), (("mailto:ü@example.org",), "MTS322"), (("ftp:",), "MTS324")]
)
def test_what_is_no_uri_is_not_rendered(rua, code):
    with pytest.raises(RecordError) as caught:
        TlsrptRecord(rua=rua).render()
    assert [problem.code for problem in caught.value.problems] == [code]


@pytest.mark.parametrize(
    ("uri", "normal"),
    [
        ("mailto:tls@example.org", "mailto:tls@example.org"),
        ("MAILTO:tls@example.org", "mailto:tls@example.org"),
        ("mailto:tls@bücher.example", "mailto:tls@xn--bcher-kva.example"),
        ("mailto:a/b&c=d@example.org", "mailto:a%2Fb%26c%3Dd@example.org"),
        ("mailto:%22a%2Cb%22@example.org", "mailto:%22a%2Cb%22@example.org"),
        ("https://bücher.example:8443/prüfung?x=ü", "https://xn--bcher-kva.example:8443/pr%C3%BCfung?x=%C3%BC"),
        ("HTTPS://example.org", "https://example.org"),
        ("https://[2001:db8::1]:443/in", "https://[2001:db8::1]:443/in"),
    ],
)
def test_a_declared_uri_is_normalised(uri, normal):
    assert parse_rua(uri) == (normal, ())


@pytest.mark.parametrize(
    ("uri", "normal", "column"),
    [("https://example.org/in;a=1;b", "https://example.org/in%3Ba=1%3Bb", 23), ("mailto:a!b@example.org", "mailto:a%21b@example.org", 9)],
)
def test_raw_delimiters_are_encoded_with_a_warning(uri, normal, column):
    text, problems = parse_rua(uri)
    assert text == normal
    assert said(problems) == [("MTS323", "warn", column)]


@pytest.mark.parametrize(
    ("uri", "code", "words"),
    [
        ("mailto:a@example.org,mailto:b@example.org", "MTS323", "Write a list"),
        ("mailto:a@example.org!10m", "MTS323", "Write `mailto:a@example.org`."),
        ("mailto:a@example.org%2Cb@example.org", "MTS325", "list"),
        ("mailto:", "MTS325", ""),
        ("mailto:postmaster", "MTS325", ""),
        ("mailto:a@", "MTS325", ""),
        ("mailto:a..b@example.org", "MTS325", ""),
        ("mailto:a@exa_mple.org", "MTS325", ""),
        ("mailto:a@[192.0.2.1]", "MTS325", ""),
        ("mailto:ü@example.org", "MTS322", ""),
        ("mailto:%C3%BC@example.org", "MTS325", ""),
        ("a@example.org", "MTS322", "Write `mailto:a@example.org`."),
        ("<mailto:a@example.org>", "MTS322", "Write `mailto:a@example.org`."),
        ("reports", "MTS322", "mailto: or https:"),
        ("mailto:a@example.org mailto:b@example.org", "MTS322", "comma"),
        ("https://example.org/%zz", "MTS322", "%25"),
        ("http://example.org/in", "MTS324", ""),
        ("https:in", "MTS327", ""),
        ("https:///in", "MTS327", ""),
        ("https://exa..mple/in", "MTS327", ""),
        ("https://example.org:99999/", "MTS327", ""),
    ],
)
def test_a_declared_uri_that_cannot_be_used(uri, code, words):
    text, problems = parse_rua(uri)
    assert text == uri
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    assert [problem.code for problem in errors] == [code], problems
    assert words in str(errors[0].hint)


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:hunter2@example.org/in",
        "https://u:hunter2!;@example.org/",
        "ftp://u:hunter2@x",
        "u:hunter2@x",
        "https://u:hunter2@x!10m",
        "<https://u:hunter2@x>",
    ],
)
def test_a_password_is_an_error_and_is_not_repeated(uri):
    problems = parse_rua(uri)[1]
    assert any(problem.severity is Severity.ERROR for problem in problems)
    assert "hunter2" not in "".join(f"{problem.message} {problem.hint}" for problem in problems)


def test_every_code_has_one_entry():
    entries = [*policy_codes.ENTRIES, *record_codes.ENTRIES]
    assert len({entry.code for entry in entries}) == len(entries)
    assert all(200 <= int(entry.code[3:]) < 250 for entry in policy_codes.ENTRIES)
    assert all(300 <= int(entry.code[3:]) < 350 for entry in record_codes.ENTRIES)
