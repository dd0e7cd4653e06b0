"""Do documents follow the published schemas, to the letter?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft7Validator  # type: ignore[import-untyped, unused-ignore]

from mtasts_deploy.output.schemas import SCHEMAS


def strict(schema: Any) -> Any:
    """The same schema without room for what it does not name."""
    if isinstance(schema, Mapping):
        closed = {key: strict(value) for key, value in schema.items()}
        return {"additionalProperties": False, **closed} if "properties" in schema else closed
    return [strict(one) for one in schema] if isinstance(schema, list) else schema


def faults(name: str, document: Mapping[str, Any]) -> list[str]:
    """What of the document is not as the schema of that name says, or is not named by it."""
    return [f"{error.json_path}: {error.message}" for error in Draft7Validator(strict(SCHEMAS[name]())).iter_errors(document)]
