"""The blocks of octoDNS in a declaration: providers, secret handlers, limits, and the octoDNS configuration that `octodns:` names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mtasts_deploy.declaration.model import PLUGIN, ZONE_FILES, Limit, ProviderSpec
from mtasts_deploy.declaration.nodes import Node
from mtasts_deploy.declaration.octodns_config import OctodnsConfig, read
from mtasts_deploy.declaration.sources import Source
from mtasts_deploy.declaration.wording import SECRET, did_you_mean, shown
from mtasts_deploy.diagnostics import Diagnostic, Span

_NONE: Final = OctodnsConfig(name="")


def octodns(main: Source, directory: Path, problems: list[Diagnostic]) -> OctodnsConfig:
    """The octoDNS configuration that the main file names; an empty one if it names none, or one that cannot be used."""
    node = _children(main.root).get("octodns")
    if node is None or not isinstance(node.value, str) or not node.value or "\0" in node.value:
        return _NONE
    found = read(directory / node.value, node.value, _at(main, node))
    if isinstance(found, OctodnsConfig):
        return found
    problems.append(found)
    return _NONE


def secrets(root: Node, handlers: Collection[str], file: str) -> Iterator[Diagnostic]:
    """Secrets that stand in the open in the blocks of the main file: under a key that says so, and not by way of a handler."""
    for section, noun in (("providers", "the provider"), ("secret_handlers", "the secret handler")):
        for name, node in _children(_children(root).get(section)).items():
            yield from _open_secrets(f"{noun} {shown(name)}", node, handlers, file)


def _open_secrets(what: str, node: Node, handlers: Collection[str], file: str) -> Iterator[Diagnostic]:
    for key, child in _children(node).items():
        if SECRET.search(key) and isinstance(child.value, str | int | float) and not _by_handler(str(child.text), handlers):
            hint = f"Write {shown(key)[1:-1]}: env/NAME, put the value into the environment, and replace the secret: it was in a file."
            where = Span(path=file, line=child.line, column=child.column)
            yield Diagnostic(code="MTS157", message=f"{what} has {shown(key)} in the open", where=where, hint=hint)
        for below in child.children if isinstance(child.children, list) else [child]:
            yield from _open_secrets(what, below, handlers, file)


def _by_handler(text: str, handlers: Collection[str]) -> bool:
    """`env/NAME`; with a default (`env/NAME/default`) the secret would stand in the file all the same."""
    handler, slash, name = text.partition("/")
    if not slash or handler not in handlers:
        return False
    return handler != "env" or not name.partition("/")[2]


def providers(main: Source, config: OctodnsConfig, known: Collection[str], problems: list[Diagnostic]) -> dict[str, ProviderSpec]:
    """Every provider by name: the zone files `local`, those of the octoDNS configuration, and over them those of the main file."""
    blocks = _children(main.root)
    limits = _limits(main, blocks.get("limits"), known, problems)
    declared = {name: node.value for name, node in _children(blocks.get("secret_handlers")).items() if isinstance(node.value, dict)}
    handlers = {**config.handlers, **declared}
    specs = {"local": ProviderSpec(name="local", class_name=ZONE_FILES, options={"directory": "zones"})}
    for name, block in config.providers.items():
        specs[name] = _spec(name, block, config, handlers, limits, where=None, source=config.name)
    for name, node in _children(blocks.get("providers")).items():
        if name == PLUGIN:
            where = Span(path=main.name, line=node.line, column=node.column)
            hint = "Give it another name: `dns: plugin` means that octodns-sync writes the records."
            problems.append(Diagnostic(code="MTS481", message=f"a provider cannot have the name {PLUGIN}", where=where, hint=hint))
        block = node.value if isinstance(node.value, dict) else {}
        specs[name] = _spec(name, block, config, handlers, limits, where=_at(main, node), source=None)
    return specs


def _spec(
    name: str,
    block: Mapping[str, object],
    config: OctodnsConfig,
    handlers: Mapping[str, Mapping[str, object]],
    limits: Mapping[str, Limit],
    *,
    where: Span | None,
    source: str | None,
) -> ProviderSpec:
    options = {key: value for key, value in block.items() if key != "class"}
    class_name = str(block.get("class", ""))
    return ProviderSpec(
        name=name,
        class_name=class_name,
        options=options,
        where=where,
        limit=limits.get(name, Limit()),
        handlers=_used(options, handlers),
        claimed=config.claimed(name, class_name, options),
        source=source,
    )


def _used(options: Any, handlers: Mapping[str, Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
    """The handlers that values of these options begin with, and those that these handlers need: no others are ever built."""
    found: dict[str, Mapping[str, object]] = {}
    for text in _texts(options):
        name = text.partition("/")[0]
        if "/" in text and name in handlers and name not in found:
            found = {**_used({k: v for k, v in handlers[name].items() if k != "class"}, handlers), **found, name: handlers[name]}
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)


def _limits(main: Source, node: Node | None, known: Collection[str], problems: list[Diagnostic]) -> dict[str, Limit]:
    found = {}
    for name, child in _children(node).items():
        if name not in known and node is not None and node.keys is not None:
            line, column = node.keys[name]
            hint = did_you_mean(name, known, "Define it under `providers:`.")
            where = Span(path=main.name, line=line, column=column)
            problems.append(Diagnostic(code="MTS150", message=f"there is no provider {shown(name)}", where=where, hint=hint))
        values = child.value if isinstance(child.value, dict) else {}
        in_flight, rate = values.get("max_in_flight"), values.get("per_second")
        found[name] = Limit(
            max_in_flight=in_flight if isinstance(in_flight, int) else None,
            per_second=float(rate) if isinstance(rate, int | float) else None,
        )
    return found


def _at(main: Source, node: Node) -> Span:
    return Span(path=main.name, line=node.line, column=node.column)


def _children(node: Node | None) -> Mapping[str, Node]:
    """The nodes of a mapping by key; nothing for what is no mapping."""
    return node.children if node is not None and isinstance(node.children, dict) else {}
