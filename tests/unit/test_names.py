"""What the vectors do not say about domains and mx patterns."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.errors import MtastsError
from mtasts_deploy.rfc.names import MAX_DOMAIN, Domain, DomainError, MxPattern, MxPatternError

LONG = ".".join(["a" * 60] * 4)  # 243 octets


def domain_problem(text):
    with pytest.raises(DomainError) as caught:
        Domain.parse(text)
    return caught.value.problems[0]


def pattern_problems(text):
    with pytest.raises(MxPatternError) as caught:
        MxPattern.parse(text)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example.", "xn--bcher-kva.example"),
        ("straße.example", "xn--strae-oqa.example"),  # IDNA 2003 would give strasse
        ("XN--bcher-KVA.example", "xn--bcher-kva.example"),
        ("例え。テスト。", "xn--r8jz45g.xn--zckzah"),
        ("ｅｘａｍｐｌｅ.org", "example.org"),
        ("xn--i-7iq.ws", "xn--i-7iq.ws"),  # registered, though IDNA 2008 forbids it
        ("r3---sn.example", "r3---sn.example"),
        ("ai", "ai"),
        ("3com.example", "3com.example"),
        (LONG[1:], LONG[1:]),
    ],
)
def test_domain(text, name):
    assert str(Domain.parse(text)) == name


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("", "MTS200", 1),
        (".", "MTS200", 1),
        ("example..org", "MTS200", 9),
        (".example.org", "MTS200", 1),
        ("example.org..", "MTS200", 13),
        ("_mta-sts.example.org", "MTS201", 1),
        ("ex_ample.org", "MTS201", 3),
        ("*.example.org", "MTS201", 1),
        ("mail.-example.org", "MTS201", 6),
        ("mail.example-.org", "MTS201", 6),
        ("exam ple.org", "MTS201", 5),
        ("example.org\n", "MTS201", 12),
        ("\u212aelvin_.example", "MTS201", 7),  # the Kelvin sign is mapped to k
        ("a" * 64 + ".org", "MTS202", 1),
        (LONG, "MTS202", 1),
        ("ü" * 2000, "MTS202", 1),
        ("mail.i❤.ws", "MTS203", 6),
        ("\ud800.org", "MTS203", 1),
        ("192.0.2.1", "MTS204", 1),
        ("１９２.0.2.1", "MTS204", 1),
        ("[192.0.2.1]", "MTS204", 1),
        ("[IPv6:2001:db8::1]", "MTS204", 1),
        ("2001:db8::1", "MTS204", 1),
        ("example.123", "MTS204", 1),
        ("postmaster@example.org", "MTS204", 11),
    ],
)
def test_what_is_no_domain_is_told_with_its_place(text, code, column):
    problem = domain_problem(text)
    assert (problem.code, problem.column) == (code, column), problem.message
    assert problem.section


def test_every_bad_label_is_named():
    with pytest.raises(DomainError) as caught:
        Domain.parse("a_b.-c.d..e")
    assert [problem.column for problem in caught.value.problems] == [2, 5, 10]
    assert '"a_b"' in str(caught.value)
    assert isinstance(caught.value, MtastsError)
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["MTS201", "MTS201", "MTS200"]


def test_the_longest_owner_name_just_fits():
    domain = Domain.parse(LONG[1:])
    assert len(str(domain)) == MAX_DOMAIN
    assert len(domain.tlsrpt_record) == 253
    assert "11 of `_smtp._tls.`" in domain_problem(LONG).message


def test_names_that_follow_from_a_domain():
    domain = Domain.parse("bücher.example")
    assert domain.sts_record == "_mta-sts.xn--bcher-kva.example"
    assert domain.tlsrpt_record == "_smtp._tls.xn--bcher-kva.example"
    assert domain.policy_host == "mta-sts.xn--bcher-kva.example"
    assert domain.policy_url == "https://mta-sts.xn--bcher-kva.example/.well-known/mta-sts.txt"
    assert domain.unicode == "bücher.example"
    assert domain.display == "bücher.example (xn--bcher-kva.example)"
    assert Domain.parse("example.org").display == "example.org"
    assert Domain.parse("xn--i-7iq.xn--bcher-kva").unicode == "xn--i-7iq.bücher"


def test_domains_compare_by_name():
    domains = {Domain.parse(text) for text in ("b.example", "A.example", "a.example.")}
    assert [str(domain) for domain in sorted(domains)] == ["a.example", "b.example"]


def test_a_mail_address_is_answered_with_its_domain():
    assert domain_problem("tls@example.org").hint == "Write `example.org`."


def test_long_nonsense_is_refused_at_once():
    for text in (":" * 5000 + "x", "1." * 5000, "a-" * 5000, "\u3002" * 5000):
        assert domain_problem(text).code in {"MTS200", "MTS202", "MTS204"}
        assert pattern_problems(text)


def test_messages_fit_on_one_line():
    message = domain_problem("exam\x1b[31m\nple.org").message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [("MTS214", 1)]),
        ("*", [("MTS210", 1)]),
        ("*.", [("MTS211", 1)]),
        ("*.*.example.org", [("MTS211", 3)]),
        ("mx.*.example.org", [("MTS211", 4)]),
        (".example.org", [("MTS212", 1)]),
        ("mx1.example.org.", [("MTS212", 16)]),
        (".", [("MTS212", 1)]),
        ("mx_1.example.org.", [("MTS217", 3), ("MTS212", 17)]),
        ("192.0.2.25", [("MTS213", 1)]),
        ("*.192.0.2", []),
        ("2001:db8::25", [("MTS213", 1)]),
        ("[192.0.2.25]", [("MTS213", 1)]),
        ("mx1.example.org:25", [("MTS214", 16)]),
        ("10 mx1.example.org", [("MTS214", 3)]),
        ("a.example, b.example", [("MTS214", 10)]),
        ("smtp://mx1.example.org", [("MTS214", 5)]),
        ("*.mx..example.-org", [("MTS200", 6), ("MTS201", 15)]),
        ("a." * 126 + "ab", [("MTS202", 1)]),
        ("i❤.ws", [("MTS203", 1)]),
    ],
)
def test_what_is_no_pattern(text, found):
    if found:
        assert [(problem.code, problem.column) for problem in pattern_problems(text)] == found
    else:
        assert str(MxPattern.parse(text)) == text


def test_a_lone_asterisk_is_explained():
    (problem,) = pattern_problems("*")
    assert "not valid" in problem.message
    assert "never means any host" in problem.message
    assert "stop delivering" in problem.message
    assert "Name the MX hosts" in str(problem.hint)


def test_an_underscore_is_answered_with_the_wildcard_above():
    assert "*.example.org" in str(pattern_problems("mx_1.example.org")[0].hint)
    assert "*." not in str(pattern_problems("mx.ex_ample.org")[0].hint)
    assert MxPattern.parse("*.example.org").matches("mx_1.example.org")


def test_patterns_take_u_labels():
    assert str(MxPattern.parse("*.BÜCHER.example")) == "*.xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("mx.bücher.example", "mx.BÜCHER.example.", True),
        ("*.bücher.example", "mx.bücher.example", True),
        ("*.example.org", "bücher.example.org", True),
        ("*.example.org", "i❤.example.org", False),
        ("*.example.org", " .example.org", False),
        ("*.example.org", "-.example.org", False),
        ("*.example.org", "mx1.example.org..", False),
        ("*.org", "org", False),
        ("kelvin.example", "\u212aelvin.example", True),  # UTS 46 maps the Kelvin sign
        ("mx1.example.org", "mx1.example.org\n", False),
        ("mx1.example.org", "\ud800", False),
        ("mx1.example.org", "ü" * 100000, False),
    ],
)
def test_matching(pattern, host, matches):
    assert MxPattern.parse(pattern).matches(host) is matches


def test_a_domain_is_a_host():
    assert MxPattern.parse("example.org").matches(Domain.parse("Example.org"))


@pytest.mark.parametrize(
    ("text", "code"),
    [("*.org", "MTS215"), ("*.co.uk", "MTS215"), ("localhost", "MTS216"), ("*.example.org", None), ("mx.example.org", None)],
)
def test_warnings_are_about_the_pattern_and_not_part_of_it(text, code):
    pattern = MxPattern.parse(text)
    assert [problem.code for problem in pattern.warnings] == ([code] if code else [])
    assert all(problem.severity is Severity.WARN for problem in pattern.warnings)
    assert pattern == MxPattern(text=text)


def test_ascii_names_do_not_load_the_idna_tables():
    code = (
        "import sys; from mtasts_deploy.rfc import *; Domain.parse('xn--bcher-kva.example'); MxPattern.parse('*.a.example'); "
        "sys.exit('idna' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
