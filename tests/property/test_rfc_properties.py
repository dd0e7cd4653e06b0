"""Laws of the texts that the RFCs define: what is rendered is read back, and no input makes a reader fall over."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.rfc import (
    Domain,
    DomainError,
    Mode,
    MxPattern,
    MxPatternError,
    Policy,
    PolicyError,
    PolicyId,
    RecordError,
    StsRecord,
    TlsrptRecord,
    parse_policy,
    parse_rua,
    parse_sts,
    parse_tlsrpt,
    policy_id,
    render_policy,
)

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join).map(lambda name: f"{name}.example")
PATTERNS = st.tuples(st.sampled_from(["", "*."]), HOSTS).map("".join).map(MxPattern.parse)
IDS = st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True).map(PolicyId.parse)
MAILTO = st.tuples(st.from_regex(r"[a-z0-9_+-]{1,12}", fullmatch=True), HOSTS).map(lambda parts: f"mailto:{parts[0]}@{parts[1]}")
HTTPS = st.tuples(HOSTS, st.from_regex(r"(/[a-zA-Z0-9._~=&+-]{0,8}|%[0-9A-F]{2}){0,3}", fullmatch=True)).map(
    lambda parts: f"https://{parts[0]}/{parts[1]}"
)
# Text near the grammar, which plain text hardly ever is.
PIECES = [
    "version",
    "mode",
    "mx",
    "max_age",
    "v=STSv1",
    "v=TLSRPTv1",
    "id",
    "rua",
    "mailto:",
    "https://",
    "a@example.org",
    "STSv1",
    "enforce",
]
NEAR = st.lists(st.sampled_from([*PIECES, *' \t:;=,.*!%\r\n\\"_-@', "\u3002", "ü", "xn--", "604800", "mx1.example.org"]), max_size=24).map(
    "".join
)
TEXTS = st.one_of(st.text(), NEAR, st.text(st.characters()))  # lone surrogates included
RECORDS = st.tuples(st.sampled_from(["v=STSv1;", "v=TLSRPTv1;", "v=STSv1; id=", "v=TLSRPTv1; rua=mailto:"]), TEXTS).map("".join)
VALUES = st.lists(st.one_of(TEXTS, RECORDS, st.lists(st.binary(), max_size=3)), max_size=3)


def outcome(parse, text):
    """What was read, or None; and all that was said. An error of another class than ours goes through."""
    try:
        read = parse(text)
    except (PolicyError, RecordError) as error:
        return None, error.problems
    return read, read.warnings


def failed(problems):
    return any(problem.severity is Severity.ERROR for problem in problems)


@st.composite
def policies(draw):
    mode = draw(st.sampled_from(Mode))
    mx = draw(st.sets(PATTERNS, min_size=mode is not Mode.NONE, max_size=6))
    return Policy(version="STSv1", mode=mode, max_age=draw(st.integers(1, 31557600)), mx=tuple(sorted(mx)))


@given(policies())
def test_a_rendered_policy_is_read_back(policy):
    body = render_policy(policy)
    read = parse_policy(body)
    assert read == policy
    assert render_policy(read) == body
    assert body.isascii()
    assert body.replace(b"\r\n", b"\n").count(b"\n") == body.count(b"\r\n") == 3 + len(policy.mx)


@given(policies(), st.randoms(use_true_random=False))
def test_the_order_of_mx_does_not_matter(policy, random):
    mx = [*policy.mx, *policy.mx[:1]]
    random.shuffle(mx)
    other = Policy(version=policy.version, mode=policy.mode, max_age=policy.max_age, mx=tuple(mx))
    assert render_policy(other) == render_policy(policy)


@given(IDS)
def test_a_rendered_sts_record_is_read_back(policy_id):
    record = StsRecord(id=policy_id)
    assert parse_sts([record.render()]) == record
    assert parse_sts([record.render()]).warnings == ()


@given(st.lists(st.one_of(MAILTO, HTTPS), min_size=1, max_size=5).map(tuple))
def test_a_rendered_tlsrpt_record_is_read_back(rua):
    record = TlsrptRecord(rua=rua)
    read = parse_tlsrpt([record.render()])
    assert read == record
    assert [problem for problem in read.warnings if problem.severity is not Severity.NOTE] == []


@given(st.binary(), st.integers(0, 9_999_999))
def test_an_id_names_its_bytes(body, returned):
    made = policy_id(body, returned=returned)
    assert made == PolicyId.parse(str(made))
    assert (made.returned, made.names(body), made.names(body + b"x")) == (returned, True, False)


@given(PATTERNS, TEXTS)
@example(MxPattern(text="*.example.org"), "\ud800.example.org")
@example(MxPattern(text="*.example.org"), "\u00ad.example.org")
def test_matching_never_raises(pattern, host):
    assert pattern.matches(host) in (True, False)


@given(HOSTS, LABELS)
def test_a_wildcard_is_exactly_one_label(name, label):
    pattern = MxPattern.parse(f"*.{name}")
    assert pattern.matches(f"{label.upper()}.{name}.")
    assert not pattern.matches(name)
    assert not pattern.matches(f"{label}.{label}.{name}")


@given(st.one_of(st.binary(), TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_a_policy_or_a_policy_error(body):
    policy, problems = outcome(parse_policy, body)
    assert failed(problems) is (policy is None)


@given(VALUES)
def test_any_values_are_a_record_or_a_record_error(values):
    for parse in (parse_sts, parse_tlsrpt):
        record, problems = outcome(parse, values)
        assert failed(problems) is (record is None)
        if record is not None:
            again = parse([record.render()])
            assert parse([again.render()]) == again


@given(TEXTS)
def test_any_text_is_a_name_or_an_error_of_ours(text):
    with suppress(DomainError):
        domain = Domain.parse(text)
        assert Domain.parse(str(domain)) == domain
        assert Domain.parse(domain.unicode) == domain
    with suppress(MxPatternError):
        pattern = MxPattern.parse(text)
        assert MxPattern.parse(str(pattern)) == pattern


@given(st.one_of(TEXTS, st.sampled_from(["mailto:", "https://"]).flatmap(lambda scheme: TEXTS.map(scheme.__add__))))
def test_a_usable_uri_is_published_and_read_back(uri):
    normal, problems = parse_rua(uri)
    if failed(problems):
        return
    assert parse_tlsrpt([TlsrptRecord(rua=(normal,)).render()]).rua == (normal,)
    assert parse_rua(normal)[0] == normal
