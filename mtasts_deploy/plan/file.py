"""The plan file: canonical JSON, without secrets, times or paths in its digest. The digest covers the steps only."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, cast

from mtasts_deploy.diagnostics import Diagnostic, Severity, Span
from mtasts_deploy.errors import MtastsError, UsageError
from mtasts_deploy.facts import Address, AddressChange, AddressSet, RecordChange, RecordKind, TxtSet, ZoneName
from mtasts_deploy.plan.model import (
    Action,
    AddressSite,
    Barrier,
    Delivery,
    DomainPlan,
    Effect,
    HandOver,
    Line,
    Plan,
    PutAddress,
    PutPolicy,
    PutRecords,
    RemovePolicy,
    RemoveRecords,
    SiteChange,
    Step,
    Verdict,
    Wait,
)
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId

FORMAT_VERSION: Final = 1
Json = Mapping[str, object]


def digest(plan: Plan) -> str:
    """SHA-256 (hex) over the steps of all domains, and the codes lifted for them: equal whenever and wherever the plan was made."""
    steps = {str(domain.domain): [*map(_timeless, domain.steps), *domain.lifted] for domain in plan.domains if domain.steps}
    return hashlib.sha256(_canonical(steps).encode()).hexdigest()


def to_json(plan: Plan, tool: str) -> dict[str, object]:
    """The plan as JSON data; `tool` says what made it."""
    summary = plan.summary()
    return {
        "format_version": FORMAT_VERSION,
        "tool": tool,
        "created": plan.created.astimezone(UTC).isoformat(),
        "partial": plan.partial,
        "heading": plan.heading,
        "digest": digest(plan),
        "summary": {name: getattr(summary, name) for name in summary.__slots__},
        "domains": [_domain(domain) for domain in plan.domains if domain.verdict is not Verdict.UNCHANGED or domain.findings],
        "unchanged": [str(domain.domain) for domain in plan.domains if domain.verdict is Verdict.UNCHANGED and not domain.findings],
        "findings": [finding_json(finding) for finding in plan.strays],
    }


def render(plan: Plan, tool: str) -> bytes:
    """The bytes of a plan file."""
    return (json.dumps(to_json(plan, tool), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def parse(data: bytes, name: str) -> Plan:
    """Read a plan file; `name` is what to call it. Raises `UsageError`: not a plan (MTS771), a newer format (MTS772), tampered with
    (MTS773), truncated (MTS764).
    """
    try:
        raw = cast("Json", json.loads(data))
        version = raw["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if _truncated(data, error):
            raise _unusable("MTS764", name, "it is truncated: its end is missing") from error
        raise _unusable("MTS771", name, "it is not a plan file") from error
    if type(version) is not int or version < 1:
        raise _unusable("MTS771", name, f"it is not a plan file: its `format_version` is {version!r}")
    if version > FORMAT_VERSION:
        raise _unusable("MTS772", name, f"it has format {version}; this version reads up to {FORMAT_VERSION}")
    try:
        plan = _plan(raw)
    except (ValueError, KeyError, TypeError, AttributeError, MtastsError) as error:
        raise _unusable("MTS771", name, "it is not a plan file, or it is damaged") from error
    if digest(plan) != raw.get("digest"):
        raise _unusable("MTS773", name, "its steps are not those that its digest was made of")
    return plan


def _truncated(data: bytes, error: Exception) -> bool:
    text = data.strip()
    if not isinstance(error, json.JSONDecodeError) or not text.startswith(b"{"):
        return not text
    return not text.endswith(b"}") or error.pos >= len(error.doc.rstrip())


def _unusable(code: str, name: str, why: str) -> UsageError:
    return UsageError(Diagnostic(code=code, message=f"{name} cannot be used: {why}", hint="Make a new one: deploy plan --out plan.json"))


def _canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _timeless(step: Step) -> Json:
    said = _step(step).items()
    return {key: value for key, value in said if key not in ("until", "location") and (key, value) not in (("copy", False), ("at", None))}


def _domain(plan: DomainPlan) -> Json:
    return {
        "domain": str(plan.domain),
        "verdict": plan.verdict.value,
        "where": plan.where,
        "steps": [_step(step) for step in plan.steps],
        "lines": _lines(plan.lines),
        "unexplained": _lines(plan.unexplained),
        "notes": list(plan.notes),
        "findings": [finding_json(finding) for finding in plan.findings],
        "inputs": dict(plan.inputs),
        "repair": plan.repair,
        "lifted": list(plan.lifted),
        "delivery": None if plan.delivery is None else {"effect": plan.delivery.effect.value, "text": plan.delivery.text},
    }


def _lines(lines: Iterable[Line]) -> list[Json]:
    return [{"action": line.action.value, "what": line.what, "text": line.text} for line in lines]


def finding_json(finding: Diagnostic) -> dict[str, object]:
    """A diagnostic as JSON data; absent facts are left out."""
    where = finding.where
    data = {
        "code": finding.code,
        "severity": finding.severity.value,
        "message": finding.message,
        "domain": finding.domain,
        "hint": finding.hint,
        "ref": finding.ref,
        "where": None if where is None else {"path": where.path, "line": where.line, "column": where.column},
    }
    return {key: value for key, value in data.items() if value is not None}


def _step(step: Step) -> Json:
    match step:
        case PutAddress():
            return {"step": "put-address", "moves": step.moves, "changes": [_address_change(change) for change in step.changes]}
        case PutPolicy():
            after = {"after": _text(step.body), "copy": step.copy}
            return {"step": "put-policy", "host": step.host, "location": step.location, "before": step.before, **after}
        case Barrier():
            at = None if step.at is None else _address(step.at)
            return {"step": "barrier", "bytes": hashlib.sha256(step.body).hexdigest(), "after": _text(step.body), "at": at}
        case PutRecords():
            return {"step": "put-records", "id": step.id, "changes": [_change(change) for change in step.changes]}
        case HandOver():
            return {"step": "hand-over", "id": step.id, "ttl": step.ttl, "before": step.before}
        case RemoveRecords():
            return {"step": "remove-records", "changes": [_change(change) for change in step.changes]}
        case RemovePolicy():
            return {"step": "remove-policy", "host": step.host, "location": step.location, "before": step.before}
        case Wait():
            until = None if step.until is None else step.until.astimezone(UTC).isoformat()
            return {"step": "wait", "what": step.what, "until": until, "text": step.text, "code": step.code}


def _address(address: Address) -> Json:
    return {kind: list(values) for kind, values in address.records()}


def _address_change(site: AddressSite) -> Json:
    change = site.change
    return {
        "provider": site.provider,
        "zone": site.zone,
        "name": change.name,
        "before": None if change.before is None else {"address": _address(change.before.address), "ttl": change.before.ttl},
        "after": _address(change.after),
        "ttl": change.ttl,
    }


def _change(site: SiteChange) -> Json:
    change = site.change
    before = None if change.before is None else {"values": list(change.before.values), "ttl": change.before.ttl}
    after = None if change.value is None else {"value": change.value, "ttl": change.ttl}
    return {
        "provider": site.provider,
        "zone": site.zone,
        "name": change.name,
        "kind": change.kind.name.lower(),
        "before": before,
        "after": after,
        "ttl": change.ttl,
    }


def _text(body: bytes) -> Json:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def _plan(raw: Json) -> Plan:
    domains = [_read_domain(one) for one in cast("list[Json]", raw["domains"])]
    unchanged = [DomainPlan(domain=Domain.parse(name), verdict=Verdict.UNCHANGED) for name in cast("list[str]", raw["unchanged"])]
    return Plan(
        domains=tuple(sorted([*domains, *unchanged], key=lambda one: str(one.domain))),
        created=datetime.fromisoformat(cast("str", raw["created"])),
        partial=bool(raw["partial"]),
        heading=str(cast("dict[str, object]", raw).get("heading", "")),
        strays=tuple(read_finding(one) for one in cast("list[Json]", raw["findings"])),
    )


def _read_domain(raw: Json) -> DomainPlan:
    return DomainPlan(
        domain=Domain.parse(cast("str", raw["domain"])),
        verdict=Verdict(raw["verdict"]),
        where=cast("str", raw["where"]),
        steps=tuple(_read_step(one) for one in cast("list[Json]", raw["steps"])),
        lines=_read_lines(raw["lines"]),
        unexplained=_read_lines(cast("dict[str, object]", raw).get("unexplained", [])),
        notes=tuple(cast("list[str]", raw["notes"])),
        findings=tuple(read_finding(one) for one in cast("list[Json]", raw["findings"])),
        inputs=dict(cast("dict[str, str]", raw["inputs"])),
        repair=bool(raw["repair"]),
        lifted=tuple(cast("list[str]", raw["lifted"])),
        delivery=_read_delivery(cast("dict[str, Json | None]", raw).get("delivery")),
    )


def _read_lines(raw: object) -> tuple[Line, ...]:
    return tuple(
        Line(action=Action(one["action"]), what=cast("str", one["what"]), text=cast("str", one["text"])) for one in cast("list[Json]", raw)
    )


def _read_delivery(raw: Json | None) -> Delivery | None:
    return None if raw is None else Delivery(effect=Effect(raw["effect"]), text=cast("str", raw["text"]))


def read_finding(raw: Json) -> Diagnostic:
    """A diagnostic from its JSON data."""
    get = cast("dict[str, object]", raw).get
    where = cast("Json | None", get("where"))
    span = (
        None
        if where is None
        else Span(path=cast("str", where["path"]), line=cast("int", where["line"]), column=cast("int", where["column"]))
    )
    return Diagnostic(
        code=cast("str", raw["code"]),
        severity=Severity(raw["severity"]),
        message=cast("str", raw["message"]),
        where=span,
        domain=cast("str | None", get("domain")),
        hint=cast("str | None", get("hint")),
        ref=cast("str | None", get("ref")),
    )


def _read_step(raw: Json) -> Step:
    get = cast("dict[str, str]", raw).get
    match raw["step"]:
        case "put-address":
            changes = tuple(_read_address_change(one) for one in cast("list[Json]", raw["changes"]))
            return PutAddress(changes=changes, moves=bool(raw["moves"]))
        case "put-policy":
            copy = bool(raw.get("copy", False))
            body = _bytes(raw["after"])
            return PutPolicy(host=str(raw["host"]), location=str(raw["location"]), before=get("before"), body=body, copy=copy)
        case "barrier":
            return Barrier(body=_bytes(raw["after"]), at=_read_address(raw["at"]) if raw.get("at") else None)
        case "put-records":
            return PutRecords(changes=_read_changes(raw), id=get("id"))
        case "hand-over":
            return HandOver(id=PolicyId.parse(str(raw["id"])).text, ttl=int(cast("int", raw["ttl"])), before=get("before"))
        case "remove-records":
            return RemoveRecords(changes=_read_changes(raw))
        case "remove-policy":
            return RemovePolicy(host=str(raw["host"]), location=str(raw["location"]), before=str(raw["before"]))
        case "wait":
            until = get("until")
            moment = None if until is None else datetime.fromisoformat(until)
            return Wait(what=str(raw["what"]), until=moment, text=str(raw["text"]), code=str(raw["code"]))
        case other:
            raise ValueError(f"unknown step {other!r}")


def _read_changes(raw: Json) -> tuple[SiteChange, ...]:
    return tuple(_read_change(one) for one in cast("list[Json]", raw["changes"]))


def _read_change(raw: Json) -> SiteChange:
    before = cast("dict[str, object] | None", raw["before"])
    after = cast("dict[str, object] | None", raw["after"])
    change = RecordChange(
        name=cast("str", raw["name"]),
        kind=RecordKind[cast("str", raw["kind"]).upper()],
        before=None if before is None else TxtSet(values=tuple(cast("list[str]", before["values"])), ttl=cast("int", before["ttl"])),
        value=None if after is None else cast("str", after["value"]),
        ttl=cast("int", raw["ttl"]),
    )
    return SiteChange(provider=cast("str", raw["provider"]), zone=ZoneName(cast("str", raw["zone"])), change=change)


def _read_address(raw: object) -> Address:
    return Address.of(cast("dict[str, list[str]]", raw))


def _read_address_change(raw: Json) -> AddressSite:
    before = cast("dict[str, object] | None", raw["before"])
    change = AddressChange(
        name=str(raw["name"]),
        before=None if before is None else AddressSet(address=_read_address(before["address"]), ttl=cast("int", before["ttl"])),
        after=_read_address(raw["after"]),
        ttl=int(cast("int", raw["ttl"])),
    )
    return AddressSite(provider=str(raw["provider"]), zone=ZoneName(str(raw["zone"])), change=change)


def _bytes(raw: object) -> bytes:
    data = cast("dict[str, str]", raw)
    return data["text"].encode() if "text" in data else base64.b64decode(data["base64"], validate=True)
