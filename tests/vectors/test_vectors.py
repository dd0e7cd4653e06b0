"""Every vector gives its verdict, its facts and its severity. `valid` is the strict reading of the RFCs, `severity` what we make of it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtasts_deploy.diagnostics import Problem, Severity
from mtasts_deploy.rfc import Domain, MxPattern, MxPatternError, PolicyId, parse_policy, parse_sts, parse_tlsrpt
from mtasts_deploy.rfc._text import TextError

VECTORS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "vectors.yaml").read_text(encoding="utf-8"))

Outcome = tuple[Mapping[str, object], Sequence[Problem]]


class NotSo(Exception):
    """The statement of the vector is false, without a text being wrong."""


def read_sts(values: Sequence[Any]) -> Outcome:
    record = parse_sts(values)
    return {"id": str(record.id)}, record.warnings


def read_tlsrpt(values: Sequence[Any]) -> Outcome:
    record = parse_tlsrpt(values)
    return {"rua": list(record.rua)}, record.warnings


def read_policy(body: bytes) -> Outcome:
    policy = parse_policy(body)
    return {"mode": str(policy.mode), "max_age": policy.max_age, "mx": [str(pattern) for pattern in policy.mx]}, policy.warnings


def sized(vector: Mapping[str, Any]) -> bytes:
    head: str = vector["head"]
    return head.encode().ljust(vector["total_bytes"], vector["pad_char"].encode())


def match(vector: Mapping[str, str]) -> Outcome:
    if not MxPattern.parse(vector["pattern"]).matches(vector["host"]):
        raise NotSo
    return {}, ()


def name(vector: Mapping[str, str]) -> Outcome:
    domain = Domain.parse(vector["policy_domain"])
    names = {"mta-sts-txt": domain.sts_record, "tlsrpt-txt": domain.tlsrpt_record, "policy-host": domain.policy_host}
    if names[vector["record"]] != vector["name"]:
        raise NotSo
    return {}, ()


def read_id(vector: Mapping[str, str]) -> Outcome:
    return {"id": str(PolicyId.parse(vector["sample"]))}, ()


READERS: Mapping[str, Callable[[Any], Outcome]] = {
    "txt_record": lambda text: read_sts([text]),
    "txt_rrset": read_sts,
    "policy_id": read_id,
    "dns_name": name,
    "policy_file": read_policy,
    "policy_size": lambda vector: read_policy(sized(vector)),
    "mx_match": match,
    "tlsrpt_record": lambda text: read_tlsrpt([text]),
    "tlsrpt_rrset": read_tlsrpt,
}
OURS = [vector for vector in VECTORS if vector["kind"] in READERS]


def given(vector: Mapping[str, Any]) -> Any:
    value = vector["input"]
    if vector["kind"] == "policy_file":
        return base64.b64decode(value) if vector.get("input_encoding") == "base64" else value.encode()
    return value


@pytest.mark.parametrize("vector", OURS, ids=lambda vector: vector["id"])
def test_vector(vector):
    problems: Sequence[Problem]
    try:
        facts, problems = READERS[vector["kind"]](given(vector))
        valid = True
    except TextError as error:
        valid, facts, problems = False, {}, error.problems
        assert any(problem.severity is Severity.ERROR for problem in problems)
        assert all(problem.section and problem.message for problem in problems)
    except NotSo:
        valid, facts, problems = False, {}, ()
    assert valid == vector["valid"], (vector["reason"], problems)
    for key, value in vector.get("expect", {}).items():
        assert facts[key] == value
    worst = max((problem.severity for problem in problems), default=Severity.NOTE)
    if "severity" in vector:
        assert worst is Severity(vector["severity"]), problems
    elif vector["valid"]:
        assert worst is Severity.NOTE, problems


def test_every_kind_has_vectors():
    assert {vector["kind"] for vector in OURS} == set(READERS)
    assert len(OURS) == 277


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "mx_match" and not v["valid"]], ids=lambda vector: vector["id"])
def test_no_pattern_raises_at_a_host(vector):
    try:
        pattern = MxPattern.parse(vector["input"]["pattern"])
    except MxPatternError:
        return
    assert pattern.matches(vector["input"]["host"]) is False
