"""Faults of shape: what pydantic says about plain data, as findings that name the setting, its value and what it must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from mtasts_deploy.declaration import schema
from mtasts_deploy.declaration.model import ZONE_FILES
from mtasts_deploy.declaration.nodes import Node
from mtasts_deploy.declaration.wording import CREDENTIAL, close, described, did_you_mean, shown
from mtasts_deploy.diagnostics import Diagnostic, Problem, Severity, Span

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A finding about the value (or, with `key`, the key) that `path` leads to from some node."""

    path: Path
    code: str
    message: str
    severity: Severity = Severity.ERROR
    key: bool = False
    hint: str | None = None
    ref: str | None = None

    @classmethod
    def of(cls, problem: Problem, path: Path) -> Fault:
        """The same problem of a text that the RFCs define, found in a setting."""
        return cls(
            path=path,
            code=problem.code,
            message=problem.message,
            severity=problem.severity,
            hint=problem.hint or hint_for(problem),
            ref=problem.section,
        )

    def diagnostic(self, node: Node, file: str, domain: str | None = None) -> Diagnostic:
        """With its place in the file, counted from `node`."""
        return Diagnostic(
            code=self.code,
            message=self.message,
            severity=self.severity,
            where=span(node, self.path, file, key=self.key),
            domain=domain,
            hint=self.hint,
            ref=self.ref,
        )


def hint_for(problem: Problem) -> str | None:
    """What to do about a problem of a name or a URI that says only what is wrong."""
    return {
        "MTS20": "Write a domain name, such as example.com: letters, digits, hyphens and dots.",
        "MTS32": "Write a mailto: or an https: URI.",
    }.get(problem.code[:5])


def span(node: Node, path: Path, file: str, *, key: bool = False) -> Span:
    """The place of what `path` leads to; as far as the path goes."""
    for step in path[:-1] if key else path:
        node = node.children[step]
    line, column = node.keys[str(path[-1])] if key and node.keys else (node.line, node.column)
    return Span(path=file, line=line, column=column)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a setting must be. `one_of` are the words that it takes, if it takes words; `hints` are for values that people write instead."""

    text: str
    code: str = "MTS121"
    one_of: tuple[str, ...] = ()
    hints: Mapping[str, str] | None = None
    hint: str | None = None
    ref: str | None = None


_NO = dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF", "n", "0"), "Write false; YAML 1.2 has only true and false.")
_YES = dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON", "y", "1"), "Write true; YAML 1.2 has only true and false.")
_BLOCK = "Write `{0}:` and the keys below it, indented."
_NAMED = "a mapping from names to their {0}"
_CLASSES = f"For example octodns_route53.Route53Provider, or {ZONE_FILES} for zone files."
_KINDS = "Write `type: directory` and a `path`, or `type: s3` and a `bucket`."

EXPECTED: Final[Mapping[str, Expected]] = {
    "sts": Expected(text="true, false or elsewhere", one_of=("elsewhere",), hints=_NO | _YES, hint="Leave it out to publish a policy."),
    "mode": Expected(
        text="none, testing or enforce",
        one_of=("none", "testing", "enforce"),
        hints={"report": "The drafts called it report; write `testing`.", **dict.fromkeys((*_NO, "false"), "Write `none`.")},
        hint="Start with testing; go to enforce when reports show no failures.",
        ref="RFC 8461 §3.2",
    ),
    "max_age": Expected(
        code="MTS250",
        text="1 to 31557600 seconds, or 90s, 15m, 12h, 7d, 26w",
        hint="Write seconds without quotes, or a whole number with its unit s, m, h, d or w.",
        ref="RFC 8461 §3.2",
    ),
    "mx": Expected(text="`zone`, a host name, `*.` and a name, or a list of these", hint="For example [zone, mx2.example.net]."),
    "tlsrpt": Expected(
        text="a URI, a list of URIs, or false", hint="For example mailto:tls-reports@example.net; leave it out to leave the record alone."
    ),
    "dns": Expected(text="the name of a provider, or a list of names", hint="For example local, or [local, other]."),
    "host": Expected(text="the name of a host", hint="For example local."),
    "zone": Expected(
        text="the name of a zone, or a mapping from `_mta-sts`, `_smtp._tls`, `mx` and `mta-sts` to zones",
        hint="For example example.com; leave it out to have the zone found.",
    ),
    "ttl": Expected(code="MTS350", text="1 to 604800 seconds", hint="Write a whole number without a unit, such as 3600."),
    "address": Expected(
        text="a mapping with `cname`, or with `a` and `aaaa`",
        hint="Write {cname: policies.example.net}, or {a: [192.0.2.1], aaaa: [2001:db8::1]}.",
    ),
    "cname": Expected(text="a host name", hint="For example policies.example.net."),
    "a": Expected(text="an IPv4 address, or a list of them", hint="For example [192.0.2.1]."),
    "aaaa": Expected(text="an IPv6 address, or a list of them", hint="For example [2001:db8::1]."),
    "confirm": Expected(
        text="https or storage",
        one_of=("https", "storage"),
        hint="`https` fetches the policy as a sender does, `storage` reads it back from the host; leave it out if in doubt.",
    ),
    "profile": Expected(text="the name of a profile", hint="Name one that stands under `profiles:`."),
    "allow": Expected(
        text="a list of {code, until, why}", hint="For example [{code: MTS401, until: 2027-01-31, why: the new MX comes in January}]."
    ),
    "code": Expected(text="the code of a guard, such as MTS401", hint="The message of the guard has it."),
    "until": Expected(text="a date such as 2027-01-31", hint="Write year, month and day with two hyphens."),
    "why": Expected(text="a reason, as text", hint="Say in a few words why the guard is lifted."),
    "version": Expected(code="MTS123", text="1", hint="Write `version: 1`, without quotes; a newer version needs a newer mtasts-deploy."),
    "include": Expected(text="a list of file names, with `*` as in a shell", hint="For example [domains/*.yaml]."),
    "providers": Expected(text=_NAMED.format("classes and options"), hint=_BLOCK.format("providers")),
    "hosts": Expected(text=_NAMED.format("types and paths"), hint=_BLOCK.format("hosts")),
    "profiles": Expected(text=_NAMED.format("settings"), hint=_BLOCK.format("profiles")),
    "domains": Expected(text="a mapping from mail domains to their settings", hint="End each domain with a colon: `example.com:`."),
    "state": Expected(text="a mapping with `type`", hint="Write `state: {type: directory, path: .mtasts}`."),
    "defaults": Expected(text="a mapping from settings to their values", hint=_BLOCK.format("defaults")),
    "octodns": Expected(text="the path of an octoDNS configuration", hint="For example config/production.yaml."),
    "secret_handlers": Expected(text=_NAMED.format("classes and options"), hint=_BLOCK.format("secret_handlers")),
    "limits": Expected(text=_NAMED.format("limits"), hint="For example {route53: {max_in_flight: 4, per_second: 5}}."),
    "max_in_flight": Expected(text="a whole number from 1 to 1000", hint="For example 4."),
    "per_second": Expected(text="a number above 0, to 10000", hint="For example 5."),
    "class": Expected(code="MTS156", text="the name of a class of octoDNS", hint=_CLASSES),
    "directory": Expected(text="the path of a directory", hint="For example zones."),
    "default_ttl": Expected(text="1 to 604800 seconds", hint="For example 3600."),
    "escaped_semicolons": Expected(text="true or false", hints=_NO | _YES, hint="Leave it out unless octoDNS has it."),
    "type": Expected(text="directory or s3", one_of=("directory", "s3"), hint=_KINDS),
    "path": Expected(text="the path of a directory", hint="For example policies."),
    "bucket": Expected(text="the name of a bucket", hint="For example policies.example.com."),
    "key": Expected(
        text="the key of an object, with {domain} or {policy_host}", hint="Leave it out for {policy_host}/.well-known/mta-sts.txt."
    ),
    "prefix": Expected(text="the beginning of keys, without a slash in front", hint="For example prod/."),
    "region": Expected(text="the name of a region", hint="For example eu-central-1."),
    "endpoint_url": Expected(text="an http: or https: address", hint="For example https://s3.example.net; leave it out for AWS."),
    "cache_control": Expected(text="a Cache-Control header", hint="For example max-age=60."),
    "edge_ttl": Expected(code="MTS250", text="1 to 31557600 seconds, or 90s, 15m, 12h, 7d", hint="For example 10m."),
    "cloudfront": Expected(text="the id of a CloudFront distribution", hint="For example E2QWRUHAPOMQZL."),
}

# What an item of a mapping with free names is: by the key above it.
_ITEMS: Final = {
    "providers": (
        "the provider",
        Expected(text="a mapping with `class` and options", hint=_CLASSES),
    ),
    "secret_handlers": (
        "the secret handler",
        Expected(text="a mapping with `class` and options", hint="For example {class: octodns_vault.VaultSecrets}."),
    ),
    "limits": (
        "the limit of",
        Expected(text="a mapping with `max_in_flight` and `per_second`", hint="For example {max_in_flight: 4, per_second: 5}."),
    ),
    "hosts": ("the host", Expected(text="a mapping with `type`", hint="For example {type: directory, path: policies}.")),
    "profiles": ("the profile", Expected(text="a mapping from settings to their values", hint="For example {mode: enforce, max_age: 1w}.")),
}
_STORES: Final = (schema.Directory, schema.S3Host, schema.S3State)
_FILE: Final = Expected(text="a mapping", hint="Begin the main file with `version: 1`; an included file with `domains:`.")
_DOMAIN: Final = Expected(text="empty, or a mapping from settings to their values", hint="To name a profile, write {profile: NAME}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is being checked: how a message names it, and its shape."""

    noun: str
    shape: type[BaseModel]


ROOT: Final = Context(noun="the declaration", shape=schema.Root)
INCLUDED: Final = Context(noun="an included file", shape=schema.Included)
DOMAIN: Final = Context(noun="a domain", shape=schema.Domain)
_S3: Final = {
    "hosts": Context(noun="an S3 host", shape=schema.S3Host),
    "state": Context(noun="an S3 state", shape=schema.S3State),
}
_BELOW: Final = {
    "providers": Context(noun="this provider", shape=schema.Provider),
    "secret_handlers": Context(noun="this secret handler", shape=schema.Octodns),
    "limits": Context(noun="a limit", shape=schema.Limit),
    "hosts": Context(noun="a host", shape=schema.Directory),
    "state": Context(noun="the state", shape=schema.Directory),
    "defaults": Context(noun="`defaults`", shape=schema.Settings),
    "profiles": Context(noun="a profile", shape=schema.Settings),
    "zone": Context(noun="`zone`", shape=schema.Zones),
    "address": Context(noun="`address`", shape=schema.Addresses),
    "allow": Context(noun="an entry of `allow`", shape=schema.Allow),
}


def file_faults(value: Any, node: Node, context: Context) -> list[Fault]:
    """What is wrong with the shape of a file, apart from its domains. `value` is the plain data without them."""
    return _faults(schema.adapter(context.shape), value, node, context).get(None, [])


def domain_faults(values: Sequence[Any], nodes: Sequence[Node]) -> Mapping[int | None, list[Fault]]:
    """What is wrong with the settings of domains: by the index in `values`, only where something is."""
    return _faults(schema.adapter(list[schema.Domain | None]), values, nodes, DOMAIN)


def _faults(adapter: Any, value: Any, nodes: Node | Sequence[Node], context: Context) -> dict[int | None, list[Fault]]:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        found: dict[int | None, dict[Path, list[tuple[Path, str, bool]]]] = {}
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            loc = one["loc"]
            index = None if isinstance(nodes, Node) else int(loc[0])
            path, key = _walk(_at(nodes, index), loc if index is None else loc[1:], one["type"])
            found.setdefault(index, {}).setdefault(_setting(path), []).append((path, one["type"], key))
        return {
            index: [fault for group in groups.values() for fault in _group(_at(nodes, index), group, context)]
            for index, groups in found.items()
        }
    return {}


def _at(nodes: Any, index: int | None) -> Node:
    return nodes if index is None else nodes[index]  # type: ignore[no-any-return]


def _walk(node: Node, loc: Sequence[str | int], kind: str) -> tuple[Path, bool]:
    """The path in our tree; pydantic's `loc` has names of union members in between."""
    path: list[str | int] = []
    for step in loc:
        children = node.children
        if (isinstance(children, dict) and step in children) or (isinstance(children, list) and isinstance(step, int)):
            node = node.children[step]
            path.append(step)
    if kind == "missing":
        path.append(loc[-1])
    return tuple(path), loc[-1:] == ("[key]",) or kind == "extra_forbidden"


def _setting(path: Path) -> Path:
    """The path down to the setting whose value can be one of several kinds: its errors are one fault."""
    for place, step in enumerate(path):
        if not _is_name(path, place) and step in ("mx", "tlsrpt", "dns", "zone", "max_age", "edge_ttl", "include", "a", "aaaa"):
            return path[: place + 1]
    return path


def _group(node: Node, group: list[tuple[Path, str, bool]], context: Context) -> Iterable[Fault]:
    """One fault for each place; of the kinds that a setting can have, the one is meant of which most fits."""
    deepest = max(len(path) for path, _, _ in group)
    kinds = {path: (kind, key) for path, kind, key in group if len(path) == deepest}
    for path, (kind, key) in kinds.items():
        if kind == "extra_forbidden":
            yield _unknown(path, _context(node, path, context))
        elif kind == "missing":
            yield _missing(path, _context(node, path, context))
        elif key:
            yield _bad_name(path)
        else:
            yield _unexpected(node, path, context)


def _context(node: Node, path: Path, context: Context) -> Context:
    for place in reversed(range(len(path) - 1)):
        if not _is_name(path, place) and path[place] in _BELOW:
            section = str(path[place])
            return _S3[section] if section in _S3 and _of_s3(node, path[:-1]) else _BELOW[section]
    return context


def _of_s3(node: Node, path: Path) -> bool:
    for step in path:
        node = node.children[step]
    return isinstance(node.value, dict) and node.value.get("type") == "s3"


def _is_name(path: Path, place: int) -> bool:
    """Is this step a name that the user chose?"""
    return place == 1 and path[0] in _ITEMS


def _unknown(path: Path, context: Context) -> Fault:
    name = str(path[-1])
    known = schema.keys_of(context.shape)
    if context.shape in _STORES and CREDENTIAL.search(name):
        message = f"{shown(name)} stands in {context.noun}: credentials never stand in a declaration"
        hint = "Remove it. boto3 finds credentials by itself: AWS_PROFILE, AWS_ACCESS_KEY_ID, a role; `deploy permissions` says for what."
        return Fault(path=path, code="MTS788", message=message, key=True, hint=hint)
    what = "option" if context.shape is schema.Provider else "key" if context.shape in (schema.Root, schema.Included) else "setting"
    message = f"{shown(name)} is no {what} of {context.noun}"
    return Fault(path=path, code="MTS120", message=message, key=True, hint=_elsewhere(name, context) or did_you_mean(name, known, ""))


def _elsewhere(name: str, context: Context) -> str | None:
    """Where a key belongs that stands in the wrong block."""
    if context is INCLUDED and name in schema.keys_of(schema.Root):
        return "Move it to the main file; an included file has `domains` and `include` only."
    if context is ROOT and name in schema.keys_of(schema.Domain):
        return f"Put it under `defaults:` (for all domains) or under a domain: `defaults: {{{name}: …}}`."
    if context in (ROOT, INCLUDED) and "." in name:
        return "Mail domains stand under `domains:`, indented."
    if context.shape is schema.Settings and name == "allow":
        return "A guard is lifted for one domain at a time: move it to the domain."
    if context.shape is schema.Settings and name == "profile":
        return "Only a domain names a profile; write the settings here."
    return None


def _missing(path: Path, context: Context) -> Fault:
    name = str(path[-1])
    expected = EXPECTED[name]
    message = f"`{name}` is missing" + ("" if context is ROOT else f" in {context.noun}")
    hint = "Begin the file with `version: 1`." if name == "version" else f"Add `{name}:` and {expected.text}."
    return Fault(path=path[:-1], code="MTS122", message=message, hint=hint)


def _bad_name(path: Path) -> Fault:
    message = f"{shown(str(path[-1]))} cannot be a name"
    hint = "Names begin with a letter or digit; then letters, digits, `-`, `_` and `.`; at most 63."
    return Fault(path=path, code="MTS124", message=message, key=True, hint=hint)


def _unexpected(node: Node, path: Path, context: Context) -> Fault:
    for step in path:
        node = node.children[step]
    if not path:
        what, expected = ("the settings", _DOMAIN) if context is DOMAIN else ("the file", _FILE)
    elif len(path) == 2 and path[0] in _ITEMS:
        what, expected = _ITEMS[str(path[0])]
        what = f"{what} {shown(str(path[1]))}"
    elif isinstance(path[-1], int):
        setting = str(path[-2])
        what, expected = f"item {path[-1] + 1} of `{setting}`", EXPECTED[setting]
        expected = replace(expected, text="a mapping with `code`, `until` and `why`" if setting == "allow" else "text")
    elif "zone" in path[:-1]:
        what, expected = f"`{path[-1]}` of `zone`", replace(EXPECTED["zone"], text="the name of a zone")
    else:
        what, expected = f"`{path[-1]}`", EXPECTED[str(path[-1])]
    return _wrong(path, what, expected, node)


def _wrong(path: Path, what: str, expected: Expected, node: Node) -> Fault:
    value = node.value
    if value is None:
        message = f"{what} has no value; it must be {expected.text}"
        hint: str | None = expected.hint or "Write a value, or remove the line."
    else:
        verb = "are" if what == "the settings" else "is"
        message = f"{what} {verb} {described(value, node.text)}; {'they' if verb == 'are' else 'it'} must be {expected.text}"
        hint = _slip(expected, node) or expected.hint
    return Fault(path=path, code=expected.code, message=message, hint=hint, ref=expected.ref)


def _slip(expected: Expected, node: Node) -> str | None:
    """A hint for a value that is nearly right."""
    text = node.text
    if text is None:
        return None
    if expected.hints and text in expected.hints:
        return expected.hints[text]
    found = close(text, expected.one_of)
    return f"Did you mean `{found}`?" if found else None
