"""The published schemas say what `--format json` writes: what it writes is valid, and what lacks anything or has another type is not."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped, unused-ignore]

from mtasts_deploy.cli.tools import SchemaName
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.output.machine import Machine
from mtasts_deploy.output.schemas import SCHEMAS
from mtasts_deploy.plan.model import Step
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.options import Looking
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.run import verify
from tests.net import DOMAIN, NOW, STS, Net
from tests.schemas import faults

ROOT = Path(__file__).parents[2]
TRANSCRIPTS = ROOT / "tests" / "golden" / "cli"


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON document in the transcripts, with the name of its schema."""
    for path in sorted(TRANSCRIPTS.glob("*.txt")):
        text = path.read_text().replace('"FINGERPRINT"', '"0123456789abcdef"')
        for found in re.finditer(r"^\$ deploy (\w+)[^\n]*\n(\{\n.*?^\})$", text, flags=re.MULTILINE | re.DOTALL):
            command, document = found[1], json.loads(found[2])
            if "format_version" not in document:
                continue
            if set(document) == {"format_version", "exit_code", "findings"}:
                yield "failure", document
            elif command in ("plan", "show", "validate"):
                yield command.replace("show", "plan"), document
            elif command in ("apply", "rollback"):
                yield "run", document


def verified() -> dict[str, Any]:
    """What `verify` writes of a world where much is wrong."""
    net = Net(probes={"mx1.example.com": Diagnostic(code="MTS620", message="no")}, own={"ns1": [STS]})
    other = Domain.parse("nowhere.example")
    written: list[str] = []
    eyes = Eyes(lookups=net, fetcher=net, prober=net, looking=Looking(), clock=lambda: NOW)
    Machine(written.append, "mtasts-deploy 0").verified(verify([DOMAIN, other], eyes))
    return cast("dict[str, Any]", json.loads(written[0]))


DOCUMENTS = [*documents(), ("verify", verified())]


def test_there_is_a_document_for_each_schema() -> None:
    # The lines of a run: tests/golden/test_cli_stream.py; drift: tests/unit/test_drift.py, tests/acceptance/test_mail.py.
    assert {name for name, _ in DOCUMENTS} | {"events", "drift"} == set(SCHEMAS) == set(get_args(SchemaName)) - {"declaration"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_published_and_a_schema(name: str) -> None:
    schema = SCHEMAS[name]()
    Draft7Validator.check_schema(schema)
    assert json.loads((ROOT / f"docs/reference/schemas/{name}-1.json").read_text()) == json.loads(json.dumps(schema))


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_what_is_written_is_valid_and_nothing_unnamed_is_in_it(name: str, document: dict[str, Any]) -> None:
    assert faults(name, document) == []


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_a_document_that_lacks_something_is_not_valid(name: str, document: dict[str, Any]) -> None:
    validator = Draft7Validator(SCHEMAS[name]())
    for key in document:
        assert not validator.is_valid({other: value for other, value in document.items() if other != key}), key
        wrong = copy.deepcopy(document)
        wrong[key] = 1.5
        assert not validator.is_valid(wrong), key


def test_every_kind_of_step_is_in_the_schema() -> None:
    properties = cast("Any", SCHEMAS["plan"]())["properties"]
    steps = properties["domains"]["items"]["properties"]["steps"]["items"]["oneOf"]
    assert len(steps) == len(get_args(Step))
