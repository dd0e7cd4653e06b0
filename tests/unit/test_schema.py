"""The exported JSON Schema is a draft-07 schema, and says the same as `load` about the shape of declarations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped, unused-ignore]

from mtasts_deploy.declaration.nodes import parse
from mtasts_deploy.declaration.schema import json_schema

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "golden" / "declarations"
SCHEMA = json_schema()
SHAPE = {"MTS120", "MTS121", "MTS122", "MTS123", "MTS124", "MTS156", "MTS350"}
# MTS121 for what only a calendar, or the meaning of the text, can tell
BEYOND = ("which is no day of the calendar", "which is text and no URI", "is not `zone`")


def documents() -> Iterator[tuple[str, Any, list[str]]]:
    """Each golden main file that can be read, with its errors of shape."""
    for case in sorted(CASES.iterdir()):
        root, problems = parse((case / "mta-sts.yaml").read_bytes(), "mta-sts.yaml")
        if root is not None and not problems:
            lines = (case / "expected").read_text(encoding="utf-8").splitlines()
            wrong = [line for line in lines if line.startswith("mta-sts.yaml:") and line.split()[2].rstrip(":") in SHAPE]
            yield case.name, root.value, [line for line in wrong if " error " in line and not any(part in line for part in BEYOND)]


def test_it_is_a_draft_07_schema() -> None:
    Draft7Validator.check_schema(SCHEMA)
    text = json.dumps(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert "$defs" not in text
    assert "prefixItems" not in text
    assert '"$id"' not in text


@pytest.mark.parametrize(("case", "document", "wrong"), list(documents()), ids=lambda value: value if isinstance(value, str) else "")
def test_it_agrees_with_load_about_the_golden_files(case: str, document: Any, wrong: list[str]) -> None:
    refused = [error.message for error in Draft7Validator(SCHEMA).iter_errors(document)]
    ranges = case == "bad-max-age"  # MTS250 is partly shape: numbers are, durations with a unit are not
    assert bool(refused) == bool(wrong or ranges), refused


def test_enough_golden_files_are_about_shape() -> None:
    found = [wrong for _, _, wrong in documents()]
    assert sum(bool(wrong) for wrong in found) >= 12
    assert sum(not wrong for wrong in found) >= 12


@pytest.mark.parametrize(
    "value",
    [
        {"mode": "no"},
        {"max_age": 0},
        {"max_age": 31_557_601},
        {"max_age": "1:30"},
        {"max_age": True},
        {"mx": [1]},
        {"mx": ""},
        {"tlsrpt": True},
        {"tlsrpt": 0},
        {"tlsrpt": []},
        {"sts": "yes"},
        {"sts": 1},
        {"ttl": 604_801},
        {"confirm": "http"},
        {"zone": {"mtasts": "example.com"}},
        {"allow": [{"code": "MTS401", "until": "2027-01-31"}]},
        {"allow": [{"code": "MTS401", "until": "31.1.2027", "why": "x"}]},
        {"rollout": {}},
        {"mode": None},
        [],
        "strict",
    ],
    ids=str,
)
def test_it_refuses_what_load_refuses_in_a_domain(value: object) -> None:
    assert not Draft7Validator(SCHEMA).is_valid({"version": 1, "domains": {"example.com": value}})


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"sts": False, "tlsrpt": "mailto:a@example.net"},
        {"sts": "elsewhere", "tlsrpt": False},
        {"mode": "enforce", "max_age": "26w", "mx": ["zone", "*.example.net"]},
        {"max_age": 31_557_600, "dns": ["local"], "host": "local", "ttl": 300, "confirm": "storage", "profile": "strict"},
        {"zone": "example.com", "mx": []},
        {"zone": {"_mta-sts": "example.com", "_smtp._tls": "example.com", "mx": "example.com"}},
        {"allow": [{"code": "MTS401", "until": "2027-01-31", "why": "x"}]},
    ],
    ids=str,
)
def test_it_accepts_what_load_accepts(value: object) -> None:
    Draft7Validator(SCHEMA).validate({"version": 1, "domains": {"example.com": value}})


def test_it_accepts_the_declaration_of_the_repository() -> None:
    root, problems = parse((ROOT / "mta-sts.yaml").read_bytes(), "mta-sts.yaml")
    assert root is not None
    assert problems == []
    Draft7Validator(SCHEMA).validate(root.value)


def test_every_key_is_described() -> None:
    shapes = [SCHEMA, *SCHEMA["definitions"].values()]
    assert all(shape["description"] for shape in shapes)
    assert all(value.get("description") for shape in shapes for value in shape["properties"].values())
    assert "1 to 31557600" in SCHEMA["definitions"]["Domain"]["properties"]["max_age"]["description"]
