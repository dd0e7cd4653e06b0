"""What the vectors do not say about policies and their ids."""

from __future__ import annotations

import hashlib
import re

import pytest

from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.rfc.names import MxPattern
from mtasts_deploy.rfc.policy import (
    MAX_MAX_AGE,
    Mode,
    Policy,
    PolicyError,
    PolicyId,
    PolicyIdError,
    max_age_problems,
    parse_policy,
    policy_id,
    render_policy,
)

GOOD = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.org\r\nmax_age: 604800\r\n"


def policy(mode=Mode.ENFORCE, max_age=604800, mx=("mx1.example.org",), version="STSv1"):
    return Policy(version=version, mode=mode, max_age=max_age, mx=tuple(MxPattern(text=text) for text in mx))


def problems(body):
    with pytest.raises(PolicyError) as caught:
        parse_policy(body)
    return caught.value.problems


def found(body):
    """The errors, with their places."""
    return [(problem.code, problem.line, problem.column) for problem in problems(body) if problem.severity is Severity.ERROR]


def test_every_problem_is_told_at_once_with_its_place():
    body = b"version: STSv2\nmode: Enforce\n\nmx: *\nmx: mx1.example.org.\n# note\nmax_age: 7d\nno te: x\n"
    assert found(body) == [
        ("MTS227", 1, 10),
        ("MTS228", 2, 7),
        ("MTS221", 3, 1),
        ("MTS210", 4, 5),
        ("MTS212", 5, 20),
        ("MTS223", 6, 1),
        ("MTS229", 7, 10),
        ("MTS235", 8, 1),
    ]
    assert all(problem.section == "RFC 8461 §3.2" or "§3.2" in str(problem.section) for problem in problems(body))


def test_warnings_are_told_beside_errors():
    codes = {problem.code: problem.severity for problem in problems(b"version: STSv1\nmode: testing\nmode: none\nmx: *.org\n")}
    assert codes == {"MTS234": Severity.WARN, "MTS215": Severity.WARN, "MTS239": Severity.ERROR}


def test_columns_count_code_points_from_the_value():
    assert found(b"version:\t STSv1\nmode: testing\nmx:   a..b\nmax_age: 604800\n") == [("MTS200", 3, 9)]


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (b'{"version": "STSv1"}', "MTS222", "JSON"),
        (b"\n [1]", "MTS222", "JSON"),
        (b"<!doctype html>\n<title>x</title>", "MTS223", "HTML"),
        (GOOD.decode().encode("utf-16"), "MTS220", "UTF-16"),
        (b"  \r\n\t\n", "MTS221", "empty"),
        (b"x" * 65537, "MTS238", "65537 bytes"),
    ],
)
def test_what_is_no_policy_at_all_is_one_problem(body, code, words):
    (problem,) = problems(body)
    assert problem.code == code
    assert words in problem.message


def test_the_wrong_sign_is_told_on_each_line_and_nothing_is_called_missing():
    body = b"version=STSv1;\nmode =testing\nmx=mx1.example.org\nmax_age=604800\n"
    assert found(body) == [("MTS225", 1, 8), ("MTS225", 2, 6), ("MTS225", 3, 3), ("MTS225", 4, 8)]
    assert problems(body)[0].hint == "Write `version: STSv1`."


def test_a_semicolon_is_told_and_the_value_still_read():
    assert found(b"version: STSv1;\nmode: enforce ;\nmx: *;\nmax_age: 604800;\n") == [
        ("MTS226", 1, 15),
        ("MTS226", 2, 15),
        ("MTS226", 3, 6),
        ("MTS210", 3, 5),
        ("MTS226", 4, 16),
    ]


@pytest.mark.parametrize(
    ("line", "name"),
    [("Version: STSv1", "version"), ("MODE: testing", "mode"), ("max-age: 604800", "max_age"), ("Mx: mx1.example.org", "mx")],
)
def test_another_spelling_is_pointed_out_where_it_stands(line, name):
    lines = {"version": "version: STSv1", "mode": "mode: testing", "mx": "mx: mx1.example.org", "max_age": "max_age: 604800"}
    number = list(lines).index(name) + 1
    lines[name] = line
    error = next(problem for problem in problems("\n".join(lines.values()).encode()) if problem.severity is Severity.ERROR)
    assert (error.code, error.line) == ("MTS232" if name == "mx" else "MTS239", number)
    assert f"`{name}:`" in str(error.hint)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"version: STSv1\nmode: testing\nmx: a.example\nmax_age: 604800\nn: \xc3\xbc \xe9\n", ("MTS220", 5, 6)),
        (b"\xef\xbb\xbf" + GOOD, ("MTS220", 1, 1)),
        (b"version: STSv1\nmode: testing\rmx: a.example\nmax_age: 604800\n", ("MTS224", 2, 14)),
        (GOOD[:-1], ("MTS224", 4, 16)),
        (GOOD + b" mode: none\n", ("MTS223", 5, 1)),
        (GOOD + b"mx : b.example\n", ("MTS223", 5, 3)),
        (GOOD + b"note: a\x0bb\n", ("MTS235", 5, 8)),
        (GOOD + b"mode:\n", ("MTS235", 5, 6)),
        (GOOD + b"mx: mx.b\xc3\xbccher.example\n", ("MTS219", 5, 5)),
    ],
)
def test_places(body, place):
    assert found(body) == [place]


def test_unicode_line_ends_end_no_line():
    body = GOOD + "note: a\u2028b\u0085c\n".encode()
    assert [problem.code for problem in parse_policy(body).warnings] == ["MTS236"]


@pytest.mark.parametrize("mode", Mode)
def test_mx_patterns_come_once_in_the_order_of_the_file(mode):
    body = f"version: STSv1\nmode: {mode}\nmx: b.example\nmx: A.example\nmx: B.example\nmax_age: 604800\n".encode()
    read = parse_policy(body)
    assert [str(pattern) for pattern in read.mx] == ["b.example", "a.example"]
    assert [(problem.code, problem.line) for problem in read.warnings] == [("MTS218", 5)]


def test_warnings_do_not_count_when_policies_are_compared():
    assert parse_policy(GOOD + b"note: x\n") == parse_policy(GOOD)
    assert hash(parse_policy(GOOD + b"note: x\n")) == hash(parse_policy(GOOD))


def test_the_canonical_form():
    body = render_policy(policy(mx=("mx2.example.org", "*.example.net", "mx1.example.org", "mx2.example.org")))
    assert body == (
        b"version: STSv1\r\nmode: enforce\r\nmx: *.example.net\r\nmx: mx1.example.org\r\nmx: mx2.example.org\r\nmax_age: 604800\r\n"
    )


def test_none_may_be_rendered_without_mx():
    assert render_policy(policy(Mode.NONE, 86400, ())) == b"version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        (policy(max_age=0), ["MTS231"]),
        (policy(max_age=-1), ["MTS230"]),
        (policy(max_age=MAX_MAX_AGE + 1), ["MTS230"]),
        (policy(mx=()), ["MTS232"]),
        (policy(Mode.TESTING, 0, (), "STSv2"), ["MTS227", "MTS232", "MTS231"]),
        (policy(mx=[f"mx{number:05}.example.org" for number in range(3000)]), ["MTS238"]),
    ],
)
def test_what_some_sender_refuses_is_not_rendered(given, codes):
    with pytest.raises(PolicyError) as caught:
        render_policy(given)
    assert [problem.code for problem in caught.value.problems] == codes


@pytest.mark.parametrize(
    ("mode", "max_age", "severity"),
    [
        (Mode.TESTING, 0, Severity.WARN),
        (Mode.NONE, 0, Severity.WARN),
        (Mode.NONE, 60, None),
        (Mode.TESTING, 86399, Severity.WARN),
        (Mode.TESTING, 86400, None),
        (Mode.ENFORCE, 604799, Severity.WARN),
        (Mode.ENFORCE, 604800, None),
        (Mode.ENFORCE, 31536000, None),
        (Mode.ENFORCE, 31557600, Severity.NOTE),
    ],
)
def test_what_is_said_about_max_age(mode, max_age, severity):
    assert [problem.severity for problem in max_age_problems(mode, max_age)] == ([severity] if severity else [])


def test_an_id_of_ours_names_its_bytes():
    digits = hashlib.sha256(GOOD).hexdigest()[:24]
    first, again = policy_id(GOOD), policy_id(GOOD, returned=7)
    assert (str(first), first.digits, first.returned) == (digits, digits, 0)
    assert (str(again), again.digits, again.returned) == (f"{digits}r7", digits, 7)
    assert first.names(GOOD)
    assert again.names(GOOD)
    assert not first.names(GOOD + b"\n")
    assert PolicyId.parse(str(again)) == again
    assert len(str(policy_id(GOOD, returned=9_999_999))) == 32


@pytest.mark.parametrize("returned", [-1, 10_000_000])
def test_a_counter_that_does_not_fit_is_refused(returned):
    with pytest.raises(ValueError, match=re.escape(str(returned))):
        policy_id(GOOD, returned=returned)


@pytest.mark.parametrize("tail", ["a", "r0", "r01", "r", "R1", "r1r1"])
def test_foreign_ids_name_nothing(tail):
    for text in (str(policy_id(GOOD)) + tail, str(policy_id(GOOD)).upper(), "20270131T080000Z"):
        parsed = PolicyId.parse(text)
        assert (parsed.digits, parsed.returned, parsed.names(GOOD)) == (None, 0, False)


@pytest.mark.parametrize(("text", "column"), [("", 1), ("a-b", 2), ("a" * 33, 1), ("abc\n", 4), ("１", 1)])
def test_what_is_no_id(text, column):
    with pytest.raises(PolicyIdError) as caught:
        PolicyId.parse(text)
    assert [(problem.code, problem.column) for problem in caught.value.problems] == [("MTS310", column)]
