"""JSON Schemas (draft-07) of the documents that `--format json` writes. Pure data.

Within a `format_version` fields may be added, so the schemas allow more than they name; nothing is taken away and no meaning changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, cast

from mtasts_deploy.apply.report import Outcome, Stage
from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.facts import ADDRESS_TYPES
from mtasts_deploy.plan.model import Action, Effect, Verdict
from mtasts_deploy.rfc.policy import Mode
from mtasts_deploy.sender.names import Outcome as Answer
from mtasts_deploy.verify.model import Delivery

Schema = dict[str, object]

_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_FLAG: Final[Schema] = {"type": "boolean"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_VERSION: Final[Schema] = {"const": 1}
_SECONDS: Final[Schema] = {"type": "number", "minimum": 0}
_CODE: Final[Schema] = {"type": "string", "pattern": "^MTS[0-9]{3}$"}
_DIGEST: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_DOMAIN: Final[Schema] = {"type": "string", "description": "A-labels in lower case, without the root dot."}


def _object(optional: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    """An object of which everything is required that is not optional."""
    return {"type": "object", "required": [name for name in properties if name not in optional], "properties": properties}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _or_null(of: Schema) -> Schema:
    return {"anyOf": [of, {"type": "null"}]}


def _one_of(kinds: type[Outcome | Stage | Verdict | Action | Effect | Severity | Mode | Answer | Delivery]) -> Schema:
    return {"enum": [kind.value for kind in kinds]}


_FINDING: Final = _object(
    ("domain", "hint", "ref", "where"),
    code=_CODE,
    severity=_one_of(Severity),
    message=_TEXT,
    domain=_DOMAIN,
    hint=_TEXT,
    ref=_TEXT,
    where=_object(path=_TEXT, line={"type": "integer", "minimum": 1}, column={"type": "integer", "minimum": 1}),
)
_BYTES: Final[Schema] = {"oneOf": [_object(text=_TEXT), _object(base64=_TEXT)], "description": "A policy, as text where it is UTF-8."}
_SET: Final = _object(values=_list(_TEXT), ttl=_COUNT)
_CHANGE: Final = _object(
    provider=_TEXT,
    zone=_TEXT,
    name=_TEXT,
    kind={"enum": ["sts", "tlsrpt"]},
    before=_or_null(_SET),
    after=_or_null(_object(value=_TEXT, ttl=_COUNT)),
    ttl=_COUNT,
)


_ADDRESS: Final[Schema] = {
    "type": "object",
    "properties": {kind: _list(_TEXT) for kind in ADDRESS_TYPES},
    "additionalProperties": False,
}
_LEADS: Final = _object(
    provider=_TEXT,
    zone=_TEXT,
    name=_TEXT,
    before=_or_null(_object(address=_ADDRESS, ttl=_COUNT)),
    after=_ADDRESS,
    ttl=_COUNT,
)


def _step(name: str, **properties: Schema) -> Schema:
    return _object(step={"const": name}, **properties)


_STEPS: Final = (
    _step("put-address", moves=_FLAG, changes=_list(_LEADS)),
    _step("put-policy", host=_TEXT, location=_TEXT, before=_or_null(_TEXT), after=_BYTES, copy=_FLAG),
    _step("barrier", bytes=_DIGEST, after=_BYTES, at=_or_null(_ADDRESS)),
    _step("put-records", id=_or_null(_TEXT), changes=_list(_CHANGE)),
    _step("hand-over", id=_TEXT, ttl=_COUNT, before=_or_null(_TEXT)),
    _step("remove-records", changes=_list(_CHANGE)),
    _step("remove-policy", host=_TEXT, location=_TEXT, before=_TEXT),
    _step("wait", what=_TEXT, until=_or_null(_TIME), text=_TEXT, code=_TEXT),
)
_LINES: Final = _list(_object(action=_one_of(Action), what=_TEXT, text=_TEXT))
_DOMAIN_PLAN: Final = _object(
    domain=_DOMAIN,
    verdict=_one_of(Verdict),
    where=_TEXT,
    steps=_list({"oneOf": list(_STEPS)}),
    lines=_LINES,
    unexplained=_LINES,
    notes=_list(_TEXT),
    findings=_list(_FINDING),
    inputs={"type": "object", "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{16}$"}},
    repair=_FLAG,
    lifted=_list(_TEXT),
    delivery=_or_null(_object(effect=_one_of(Effect), text=_TEXT)),
)
_SUMMARY: Final = _object(**dict.fromkeys(("add", "change", "remove", "wait", "blocked", "unknown", "unchanged"), _COUNT))
_PLAN: Final = _object(
    format_version=_VERSION,
    tool=_TEXT,
    created=_TIME,
    partial=_FLAG,
    heading=_TEXT,
    digest=_DIGEST,
    summary=_SUMMARY,
    domains=_list(_DOMAIN_PLAN),
    unchanged=_list(_DOMAIN),
    findings=_list(_FINDING),
)


def plan() -> Schema:
    """What `plan` and `show` write, and the file of `plan --out`."""
    return _named("A plan of mtasts-deploy", "plan", _PLAN)


def run() -> Schema:
    """What `apply` and `rollback` write."""
    outcomes: Schema = {"type": "object", "additionalProperties": _one_of(Outcome), "propertyNames": _DOMAIN}
    schema = _object(
        format_version=_VERSION,
        run=_TEXT,
        what={"enum": ["apply", "rollback"]},
        exit_code=_COUNT,
        taken_back=_FLAG,
        outcomes=outcomes,
        findings=_list(_FINDING),
        plan=_PLAN,
    )
    return _named("The end of a run of mtasts-deploy", "run", schema)


def validate() -> Schema:
    """What `validate` writes."""
    schema = _object(format_version=_VERSION, declaration=_TEXT, domains=_COUNT, errors=_COUNT, warnings=_COUNT, findings=_list(_FINDING))
    return _named("What mtasts-deploy found in a declaration", "validate", schema)


def events() -> Schema:
    """A line of `apply --format ndjson`, and of the run log."""
    step: Schema = {"enum": ["put-policy", "remove-policy", "barrier", "put-records", "put-address", None]}
    event = _object(
        ("time", "run"),
        format_version=_VERSION,
        event={"enum": ["started", "done", "failed", "left out", "waiting", "note"]},
        time=_or_null(_TIME),
        run=_or_null(_TEXT),
        stage=_one_of(Stage),
        step=step,
        what=_TEXT,
        domain=_or_null(_DOMAIN),
        seconds=_or_null({"type": "number", "minimum": 0}),
        text=_or_null(_TEXT),
        finding=_or_null(_FINDING),
    )
    counts = dict.fromkeys(("done", "left_out", "failed", "waiting", "unchanged"), _COUNT)
    ended = _object(format_version=_VERSION, event={"const": "summary"}, exit_code=_COUNT, taken_back=_FLAG, **counts)
    failed = _object(format_version=_VERSION, event={"const": "summary"}, exit_code=_COUNT, findings=_list(_FINDING))
    numbers = dict.fromkeys(("add", "change", "remove", "wait", "blocked", "unknown", "unchanged"), _COUNT)
    planned = _object(format_version=_VERSION, event={"const": "plan"}, digest=_DIGEST, **numbers)
    return _named("One line of a run of mtasts-deploy", "events", {"oneOf": [event, planned, ended, failed]})


def verify() -> Schema:
    """What `verify` writes, and the file of `verify --out`."""
    seen = _list(_seen_finding())
    record = _object(
        name=_TEXT,
        answer=_one_of(Answer),
        values=_list(_TEXT),
        ttl=_or_null(_COUNT),
        canonical=_or_null(_TEXT),
        asked=_TEXT,
        servers=_list(_object(server=_TEXT, answer=_one_of(Answer))),
    )
    looked = {"address": _TEXT, "seconds": _SECONDS, "certificate_ends": _or_null(_TIME), "problem": _or_null(_CODE), "looked": _FLAG}
    answer = _object(status=_or_null(_COUNT), content_type=_or_null(_TEXT), **looked)
    host = _object(host=_TEXT, preference=_COUNT, addresses=_list(_TEXT), probes=_list(_object(protocol=_or_null(_TEXT), **looked)))
    domain = _object(
        domain=_DOMAIN,
        at=_TIME,
        verdict=_one_of(Delivery),
        why=_TEXT,
        id=_or_null(_TEXT),
        sts_record=record,
        tlsrpt_record=record,
        policy=_or_null(_object(mode=_one_of(Mode), max_age=_COUNT, mx=_list(_TEXT))),
        policy_host=_list(answer),
        smtp=_FLAG,
        mx=_list(host),
        mx_not_covered=_list(_TEXT),
        policy_host_certificate_ends=_or_null(_TIME),
        mx_certificate_ends=_or_null(_TIME),
        findings=seen,
    )
    schema = _object(
        format_version=_VERSION,
        kind={"const": "verification"},
        tool=_TEXT,
        at=_TIME,
        exit_code=_COUNT,
        domains=_list(domain),
        findings=seen,
    )
    return _named("Domains as mtasts-deploy sees them as a sender", "verify", schema)


def _seen_finding() -> Schema:
    """A finding, with what TLS reports call it (RFC 8460 §4.3)."""
    properties = cast("Schema", _FINDING["properties"])
    return {**_FINDING, "properties": {**properties, "tls_report": _TEXT}}


def drift() -> Schema:
    """What `drift` writes."""
    domain = _object(
        domain=_DOMAIN,
        drift=_FLAG,
        unknown=_FLAG,
        pending=_LINES,
        declared_mode=_or_null(_one_of(Mode)),
        served_mode=_or_null(_one_of(Mode)),
        id_matches=_or_null(_FLAG),
        policy_since=_or_null(_TIME),
        verdict=_one_of(Delivery),
        why=_TEXT,
        policy_host_certificate_ends=_or_null(_TIME),
        mx_certificate_ends=_or_null(_TIME),
        findings=_list(_FINDING),
    )
    schema = _object(format_version=_VERSION, at=_TIME, exit_code=_COUNT, domains=_list(domain))
    return _named("Where the world differs from a declaration of mtasts-deploy", "drift", schema)


def failure() -> Schema:
    """What any command writes that could not do what it was asked to."""
    return _named(
        "Why mtasts-deploy has no result", "failure", _object(format_version=_VERSION, exit_code=_COUNT, findings=_list(_FINDING))
    )


def _named(title: str, name: str, schema: Schema) -> Schema:
    return {"$schema": "http://json-schema.org/draft-07/schema#", "$id": f"urn:mtasts-deploy:{name}:1", "title": title, **schema}


SCHEMAS: Final[Mapping[str, Callable[[], Schema]]] = {
    "plan": plan,
    "run": run,
    "validate": validate,
    "failure": failure,
    "events": events,
    "verify": verify,
    "drift": drift,
}
"""The schemas by name; each is also a file docs/reference/schemas/NAME-1.json."""
