"""An octoDNS configuration that the declaration names with `octodns:`: its providers, its secret handlers, and which zones it writes
where.

Read as octoDNS reads it (PyYAML's types, `!include`), without importing octoDNS. Nothing in it is changed or resolved.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from mtasts_deploy.diagnostics import Diagnostic, Span

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE: Final = "tag:yaml.org,2002:merge"
_DEPTH: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OctodnsConfig:
    """What is of interest here. By the provider that they are written to, `zones` are the names of zones: A-labels, root dot, perhaps
    with `*`.
    """

    name: str
    providers: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    handlers: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    zones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def claimed(self, name: str, class_name: str, options: Mapping[str, object]) -> tuple[str, ...]:
        """The zones that it writes to this provider, whatever name it has there: the same name, or the same class and options."""
        own = {"class": class_name, **options}
        names = [other for other, block in self.providers.items() if other == name or block == own]
        return tuple(sorted({zone for other in names for zone in self.zones.get(other, ())}))


class _Loader(_LOADER):  # type: ignore[misc]
    """The C loader with octoDNS's `!include`, as a value and after `<<:`."""

    depth = 0

    def flatten_mapping(self, node: Any) -> None:
        node.value = [
            (key, yaml.compose(self.included(value), type(self))) if key.tag == _MERGE and value.tag == "!include" else (key, value)
            for key, value in node.value
        ]
        super().flatten_mapping(node)

    def included(self, node: Any) -> Any:
        path = Path(node.start_mark.name).parent / Path(self.construct_scalar(node)).expanduser()
        _Loader.depth += 1
        if _Loader.depth > _DEPTH:
            raise yaml.constructor.ConstructorError(None, None, "too many files are included", node.start_mark)
        return _named(path)


def _named(path: Path) -> Any:
    """The text of a file as a stream that knows its name, which `!include` counts from."""
    import io

    stream = io.StringIO(path.read_text(encoding="utf-8"))
    stream.name = str(path)
    return stream


_Loader.add_constructor("!include", lambda loader, node: yaml.load(loader.included(node), _Loader))


def read(path: Path, name: str, where: Span) -> OctodnsConfig | Diagnostic:
    """Read it; a diagnostic (MTS486) if that cannot be done. `name` is what messages call it, `where` the place that names it."""
    _Loader.depth = 0
    try:
        raw = yaml.load(_named(path), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        return _unusable(name, (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8 text", where)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark is not None else ""
        return _unusable(name, f"{place}{getattr(error, 'problem', None) or 'not YAML'}", where)
    except RecursionError:
        return _unusable(name, "it nests too deeply", where)
    if not isinstance(raw, dict) or not isinstance(raw.get("providers"), dict):
        return _unusable(name, "it has no `providers`", where)
    return OctodnsConfig(
        name=name,
        providers=_blocks(raw["providers"]),
        handlers=_blocks(raw.get("secret_handlers")),
        zones=_zones(raw.get("zones")),
    )


def _unusable(name: str, why: str, where: Span) -> Diagnostic:
    hint = "`octodns:` names the file that `octodns-sync --config-file` reads; its path counts from this file."
    return Diagnostic(code="MTS486", message=f"the octoDNS configuration {name} cannot be used: {why}", where=where, hint=hint)


def _blocks(raw: Any) -> dict[str, Mapping[str, object]]:
    return {str(name): block for name, block in raw.items() if isinstance(block, dict)} if isinstance(raw, dict) else {}


def _a_labels(name: str) -> str:
    """The name of a zone, or a pattern of names, as DNS has it."""
    name = unicodedata.normalize("NFC", name).lower()
    if name.isascii():
        return name
    import idna  # few configurations need it

    try:
        return ".".join(label if label.isascii() else idna.encode(label).decode("ascii") for label in name.split("."))
    except idna.IDNAError:
        return name


def _zones(raw: Any) -> dict[str, tuple[str, ...]]:
    """Zones by target; an alias zone is written where the zone is that it stands for."""
    found: dict[str, list[str]] = {}
    for name, zone in raw.items() if isinstance(raw, dict) else ():
        settings = raw.get(zone["alias"]) if isinstance(zone, dict) and "alias" in zone else zone
        targets = settings.get("targets") if isinstance(settings, dict) else None
        pattern = _a_labels(str(name))
        if pattern.startswith("*"):  # any zone of its sources: by a glob, or as far as can be told here all of them
            pattern = str(settings.get("glob", "*")) if isinstance(settings, dict) else "*"
        for target in targets if isinstance(targets, list) else ():
            found.setdefault(str(target), []).append(pattern)
    return {target: tuple(names) for target, names in found.items()}
