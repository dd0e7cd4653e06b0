"""The blocks `hosts` and `state` of a declaration: where policies are put, and where the ledger is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from mtasts_deploy.declaration.model import POLICY_KEY, HostSpec, ProviderSpec, S3HostSpec, S3StateSpec, StateSpec
from mtasts_deploy.declaration.nodes import Node, children_of
from mtasts_deploy.declaration.settings import seconds
from mtasts_deploy.declaration.sources import Source
from mtasts_deploy.declaration.wording import shown
from mtasts_deploy.diagnostics import Diagnostic, Span

_PLACE: Final = re.compile(r"\{[^{}]*\}")
_KNOWN: Final = ("{domain}", "{policy_host}")
_STATE_HINT: Final = (
    "Write `state: {type: s3, bucket: …}` with a private bucket that holds no policies, or `state: {type: directory, path: .mtasts}` if "
    "every run sees that directory (one machine, or its `ledger/` committed after each run)."
)


def hosts(main: Source, problems: list[Diagnostic]) -> dict[str, HostSpec | S3HostSpec]:
    """Every host by name; complete where the shape of its block is right."""
    specs: dict[str, HostSpec | S3HostSpec] = {"local": HostSpec(name="local", path="policies")}
    for name, node in children_of(children_of(main.root).get("hosts")).items():
        block: Mapping[str, Any] = node.value if isinstance(node.value, dict) else {}
        if block.get("type") != "s3":
            specs[name] = HostSpec(name=name, path=_text(block, "path") or "", edge_ttl=_edge_ttl(block), where=_at(main, node))
            continue
        key = _text(block, "key") or POLICY_KEY
        if (wrong := problem_of(key)) is not None:
            message = f"the key {shown(key)} of the host {shown(name)} {wrong}"
            hint = f"Leave `key` out for {POLICY_KEY}; in it {{domain}} is example.com, and {{policy_host}} is mta-sts.example.com."
            problems.append(Diagnostic(code="MTS789", message=message, where=_at(main, node.children["key"]), hint=hint))
        specs[name] = _s3_host(name, block, key, _at(main, node))
    return specs


def state(
    main: Source, hosts: Mapping[str, HostSpec | S3HostSpec], providers: Iterable[ProviderSpec], problems: list[Diagnostic]
) -> StateSpec | S3StateSpec:
    """The state; by default a directory, which is enough only while everything else is in directories too."""
    node = children_of(main.root).get("state")
    if node is None:
        _need_no_state(hosts, providers, problems)
        return StateSpec(path=".mtasts")
    block: Mapping[str, Any] = node.value if isinstance(node.value, dict) else {}
    if block.get("type") != "s3":
        return StateSpec(path=_text(block, "path") or ".mtasts")
    spec = S3StateSpec(
        bucket=_text(block, "bucket") or "",
        prefix=_folder(_text(block, "prefix")),
        region=_text(block, "region"),
        endpoint_url=_text(block, "endpoint_url"),
    )
    same = [host.name for host in hosts.values() if isinstance(host, S3HostSpec) and _place(host) == _place(spec)]
    if same:
        message = f"the state would be in the bucket {shown(spec.bucket)}, which the host {shown(same[0])} serves to the world"
        hint = "Name another bucket, a private one: the ledger tells who published what and when, and a lock in public is no lock."
        problems.append(Diagnostic(code="MTS790", message=message, where=_at(main, node), hint=hint))
    return spec


def problem_of(template: str) -> str | None:
    """What is wrong with the template of a key, as the end of a sentence about it; None if it can be used."""
    unknown = [place for place in _PLACE.findall(template) if place not in _KNOWN]
    rest = _PLACE.sub("", template)
    if unknown:
        return f"has {unknown[0]}, and only {{domain}} and {{policy_host}} stand for something"
    if "{" in rest or "}" in rest:
        return "has a brace without its partner"
    if any(part in ("", ".", "..") for part in template.split("/")):
        return "has an empty part, or begins or ends with a slash"
    return None if rest.isascii() and rest.isprintable() else "has characters that are not printable ASCII"


def _s3_host(name: str, block: Mapping[str, Any], key: str, where: Span) -> S3HostSpec:
    return S3HostSpec(
        name=name,
        bucket=_text(block, "bucket") or "",
        key=key,
        prefix=_folder(_text(block, "prefix")),
        region=_text(block, "region"),
        endpoint_url=_text(block, "endpoint_url"),
        cache_control=_text(block, "cache_control") or "max-age=60",
        edge_ttl=_edge_ttl(block),
        cloudfront=_text(block, "cloudfront"),
        where=where,
    )


def _edge_ttl(block: Mapping[str, Any]) -> int | None:
    value = block.get("edge_ttl")
    known = isinstance(value, int) or (isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}[smhdw]", value))
    return seconds(value) if known and value is not None else None


def _need_no_state(hosts: Mapping[str, HostSpec | S3HostSpec], providers: Iterable[ProviderSpec], problems: list[Diagnostic]) -> None:
    remote: list[tuple[str, Span | None]] = [
        (f"the host {shown(host.name)}", host.where) for host in hosts.values() if isinstance(host, S3HostSpec)
    ]
    elsewhere = [provider for provider in providers if provider.class_name and not provider.local]
    remote += [(f"the provider {shown(provider.name)}", provider.where) for provider in elsewhere]
    if remote:
        what, where = remote[0]
        message = f"`state` is missing, and {what} is not a directory of this machine"
        problems.append(Diagnostic(code="MTS791", message=message, where=where, hint=_STATE_HINT))


def _place(spec: S3HostSpec | S3StateSpec) -> tuple[str, str]:
    endpoint = (spec.endpoint_url or "").rstrip("/").lower()
    return "" if endpoint.endswith(".amazonaws.com") else endpoint, spec.bucket


def _text(block: Mapping[str, Any], key: str) -> str | None:
    value = block.get(key)
    return value if isinstance(value, str) and value else None


def _folder(prefix: str | None) -> str:
    return f"{prefix.rstrip('/')}/" if prefix else ""


def _at(main: Source, node: Node) -> Span:
    return Span(path=main.name, line=node.line, column=node.column)
