"""The text of one octoDNS YAML zone file as nodes with places: one pass over the events of libyaml, bounded before anything can blow up.

Only the keys that somebody asks for become nodes; the rest is skipped, which is what makes ten thousand zones affordable. As soon as an
asked key involves an anchor, an alias, a tag or a merge key, the whole document is read, so that aliases resolve as in octoDNS. Marks
count code points and do not count a byte order mark: callers hand in the text without one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Container
from typing import Any, NamedTuple

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from mtasts_deploy.diagnostics import Diagnostic, Span

MAX_DEPTH = 100
MAX_CHARACTERS = 16 * 1024 * 1024
BOM = "\ufeff"
_STR_TAG = "tag:yaml.org,2002:str"
_SIMPLE_NAME = re.compile(r"[a-z_*][a-z0-9_*.-]*").fullmatch
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_FLATTER = "No record needs that: correct the brackets or the indentation."
_Event = Any


class ZoneProblem(Exception):
    """A zone text that cannot be used, with its code, its place (counting from 1) and what to do."""

    def __init__(self, code: str, message: str, line: int, column: int, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.line, self.column, self.hint = code, message, line, column, hint

    def diagnostic(self, path: str) -> Diagnostic:
        """The same problem as a diagnostic about the file `path`."""
        return Diagnostic(code=self.code, message=self.message, where=Span(path=path, line=self.line, column=self.column), hint=self.hint)


class Seq(NamedTuple):
    """A YAML sequence; `flow` is `[…]`."""

    first: _Event
    last: _Event
    items: list[Any]

    @property
    def flow(self) -> bool:
        """Is it written in brackets?"""
        return bool(self.first.flow_style)


class Map(NamedTuple):
    """A YAML mapping; `flow` is `{…}`."""

    first: _Event
    last: _Event
    entries: list[tuple[Any, Any]]

    @property
    def flow(self) -> bool:
        """Is it written in braces?"""
        return bool(self.first.flow_style)


class Alias(NamedTuple):
    """`*name`, and the node it stands for."""

    event: _Event
    target: Any


Node = Any
"""A `ScalarEvent` (libyaml's own object, for speed), `Seq`, `Map` or `Alias`."""


class Document(NamedTuple):
    """One zone file: its root (None if it holds nothing), the start marks of nodes that an alias stands for, and where `...` begins.

    `asked` has the asked keys by name if the text needed no aliases, merges or tags to be understood; else it is None.
    """

    root: Node
    shared: frozenset[int]
    end: int | None
    asked: dict[str, tuple[Node, Node]] | None

    @property
    def void(self) -> bool:
        """Is there no content at all, not even `{}`?"""
        return self.root is None or (isinstance(self.root, ScalarEvent) and tag_of(self.root) == "tag:yaml.org,2002:null")


class _Special(Exception):
    """An asked key needs the whole document: it involves anchors, aliases, tags or merges."""


def place(node: Node) -> _Event:
    """The event at which a node begins."""
    if node.__class__ is Seq or node.__class__ is Map:
        return node.first
    return node.event if node.__class__ is Alias else node


def trouble(code: str, message: str, node: Node, hint: str) -> ZoneProblem:
    """A problem at the place of `node`."""
    mark = place(node).start_mark
    return ZoneProblem(code, message, mark.line + 1, mark.column + 1, hint)


def is_merge(node: Node) -> bool:
    """Is this key YAML's merge key, `<<`?"""
    return node.__class__ is ScalarEvent and node.value == "<<" and (node.implicit[0] or node.tag == "tag:yaml.org,2002:merge")


def tag_of(node: ScalarEvent) -> str:
    """The tag that YAML 1.1 (octoDNS's loader) gives to a scalar: its own, or the one that its plain text resolves to."""
    if node.tag is not None and node.tag != "!":
        return str(node.tag)
    if not node.implicit[0] or node.tag == "!":
        return _STR_TAG
    for tag, pattern in yaml.SafeLoader.yaml_implicit_resolvers.get(node.value[:1], ()):
        if pattern.match(node.value):
            return str(tag)
    return _STR_TAG


def text_of(node: ScalarEvent) -> str:
    """What octoDNS makes of a scalar where it wants text: `str()` of the value that YAML 1.1 gives it."""
    tag = tag_of(node)
    if tag == _STR_TAG:
        return str(node.value)
    try:
        return str(yaml.SafeLoader("").construct_object(yaml.ScalarNode(tag, node.value)))
    except (yaml.YAMLError, ValueError):
        return str(node.value)


def name_of(node: ScalarEvent) -> str:
    """The owner name that a key stands for, relative to the zone, as A-labels in lower case (octoDNS's `idna_encode(str(key))`)."""
    value = str(node.value)
    if _SIMPLE_NAME(value) and value not in _WORDS and node.tag is None:
        return value
    name = text_of(node).lower()
    if name.isascii():
        return name
    return _a_labels(name)


def _a_labels(name: str) -> str:
    import idna  # 10 ms, and few zones need it

    labels = []
    for label in unicodedata.normalize("NFC", name).split("."):
        try:
            labels.append(label if label.isascii() else idna.encode(label).decode("ascii"))
        except idna.IDNAError:
            labels.append(label)
    return ".".join(labels)


class _Reader:
    """Pulls events and builds nodes."""

    def __init__(self, text: str, wanted: Container[str] | None) -> None:
        self.next: Callable[[], _Event] = CParser(text).get_event
        self.wanted = wanted
        self.anchors: dict[str, Node] = {}
        self.shared: set[int] = set()
        self.asked: dict[str, tuple[Node, Node]] | None = None if wanted is None else {}

    def document(self) -> Document:
        take = self.next
        take()
        if take().__class__ is StreamEndEvent:
            return Document(None, frozenset(), None, {})
        event = take()
        root = self.top(event) if event.__class__ is MappingStartEvent else self.node(event, 1)
        ending: _Event = take()
        after = take()
        if after.__class__ is DocumentStartEvent:
            raise trouble("MTS456", "a zone file holds one YAML document, and this one begins a second", after, "Keep one document.")
        end = ending.start_mark.index if ending.explicit else None
        return Document(root, frozenset(self.shared), end, self.asked)

    def top(self, first: _Event) -> Map:
        take, wanted, entries = self.next, self.wanted, []
        seen: dict[str, _Event] = {}
        if wanted is not None and (first.anchor is not None or first.tag is not None):
            raise _Special
        while (key := take()).__class__ is not MappingEndEvent:
            if key.__class__ is not ScalarEvent:
                key = self._odd_key(key)
            elif key.anchor is not None:
                self.anchors[key.anchor] = key
            scalar = key.target if key.__class__ is Alias else key
            name = name_of(scalar)
            if name == "<<" and is_merge(scalar):
                if wanted is not None:
                    raise _Special
            elif name in seen:
                self._twice(key, scalar, seen[name], name)
            else:
                seen[name] = scalar
            if wanted is None:
                entries.append((key, self.node(take(), 2)))
            elif name in wanted:
                self.asked[name] = (key, self.node(take(), 2))  # type: ignore[index]
            else:
                self.skip()
        if first.anchor is not None:
            self.anchors[first.anchor] = Map(first, key, entries)
        return Map(first, key, entries)

    def _odd_key(self, event: _Event) -> Node:
        if event.__class__ is AliasEvent:
            alias = self.node(event, 2)
            if isinstance(alias.target, ScalarEvent):
                return alias
        raise trouble("MTS456", "a key of a zone file is a name, and this one is a collection", event, "Write the record's name.")

    def _twice(self, key: Node, scalar: _Event, before: _Event, name: str) -> None:
        if scalar.value == before.value or self.wanted is None or name in self.wanted:
            line = before.start_mark.line + 1
            other = "" if scalar.value == before.value else f" as {before.value!r}"
            raise trouble(
                "MTS453",
                f"the name {scalar.value!r} stands here and on line {line}{other}; octoDNS would use only one of them",
                key,
                "Merge the two into one list of records under one key.",
            )

    def skip(self) -> None:
        take, depth = self.next, 0
        while True:
            event = take()
            kind = event.__class__
            if kind is ScalarEvent:
                if not depth:
                    return
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                depth += 1
                if depth + 1 > MAX_DEPTH:
                    raise self._deep(event)
            else:
                if kind is not AliasEvent:
                    depth -= 1
                if not depth:
                    return

    def _deep(self, event: _Event) -> ZoneProblem:
        return trouble("MTS452", f"the nesting is deeper than {MAX_DEPTH}", event, _FLATTER)

    def node(self, event: _Event, depth: int) -> Node:
        if self.wanted is not None and (event.anchor is not None or getattr(event, "tag", None) is not None):
            raise _Special
        kind = event.__class__
        if kind is ScalarEvent:
            built: Node = event
        elif kind is AliasEvent:
            return self._alias(event)
        elif depth >= MAX_DEPTH:
            raise self._deep(event)
        elif kind is SequenceStartEvent:
            built = self._seq(event, depth + 1)
        else:
            built = self._map(event, depth + 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = built
        return built

    def _seq(self, first: _Event, depth: int) -> Seq:
        take, items = self.next, []
        while (event := take()).__class__ is not SequenceEndEvent:
            if event.__class__ is ScalarEvent and event.anchor is None and event.tag is None:
                items.append(event)
            else:
                items.append(self.node(event, depth))
        return Seq(first, event, items)

    def _map(self, first: _Event, depth: int) -> Map:
        take, entries = self.next, []
        while (key := take()).__class__ is not MappingEndEvent:
            if key.__class__ is not ScalarEvent or key.anchor is not None or key.tag is not None:
                key = self.node(key, depth)
            elif key.value == "<<" and self.wanted is not None:
                raise _Special
            value = take()
            if value.__class__ is not ScalarEvent or value.anchor is not None or value.tag is not None:
                value = self.node(value, depth)
            entries.append((key, value))
        return Map(first, key, entries)

    def _alias(self, event: _Event) -> Alias:
        target = self.anchors.get(event.anchor)
        if target is None:
            raise trouble(
                "MTS451",
                f"the alias *{event.anchor} stands for nothing above it, or for something that contains it",
                event,
                "Define the anchor before its first use.",
            )
        mark = place(target).start_mark
        self.shared.add(mark.index)
        return Alias(event, target)


def parse(text: str, wanted: Container[str] | None) -> Document:
    """The nodes of a zone text (without byte order mark); only the top-level keys in `wanted` have values, None means all of them.

    Raises `ZoneProblem` with MTS451 (not YAML), MTS452 (limits), MTS453 (a key twice) or MTS456 (not one mapping).
    """
    if len(text) > MAX_CHARACTERS:
        raise ZoneProblem("MTS452", "the file is larger than 16 MiB", 1, 1, "Split the zone, or keep it at a provider with an API.")
    try:
        try:
            return _Reader(text, wanted).document()
        except _Special:
            return _Reader(text, None).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = ", ".join(part for part in (error.context, error.problem) if part)
        if "nesting depth" in said:
            raise ZoneProblem("MTS452", f"the nesting is deeper than {MAX_DEPTH}", line, column, _FLATTER) from None
        raise ZoneProblem("MTS451", f"not YAML: {said}", line, column, _hint(said)) from None
    except yaml.reader.ReaderError as error:
        before = text.encode("utf-8", "replace")[: error.position].decode("utf-8", "ignore")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"not YAML: the character U+{_code_point(error.character):04X} is not allowed"
        raise ZoneProblem("MTS451", message, line, column, "Remove it; save the file as UTF-8 text.") from None


def _code_point(character: object) -> int:
    return character if isinstance(character, int) else ord(str(character)[0])


def _hint(said: str) -> str:
    if "tab" in said or "cannot start any token" in said:
        return "Indent with spaces, not with tabs; quote values that begin with a special character."
    return "Correct the syntax at this place; `v=STSv1` values may be put in single quotes."
