"""The text of one declaration file as nodes with places: one pass over the event stream, bounded before anything can blow up.

Scalars are those of the YAML 1.2 core schema (`no`, `1:30` and dates are text). Keys are always text. Anchors and aliases are allowed,
the merge key `<<` is not: profiles and defaults do what it is used for. Lines and columns count from 1, columns in code points.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from mtasts_deploy.declaration.wording import SECRET, shown, syntax_hint
from mtasts_deploy.diagnostics import Diagnostic, Span

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 100
MAX_EXPANDED: Final = 1_000_000
"""Values that all aliases of a file may stand for together; a long text counts as several."""
_WEIGHT: Final = 100

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # six times as fast, and the same events
_SUSPECTS: Final = frozenset("-+.0123456789nNtTfF~")  # how a plain scalar begins that may be more than text
_WORDS: Final = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DEEP: Final = f"the nesting is deeper than {MAX_DEPTH}"
_FLATTER: Final = "No setting needs that; correct the brackets or the indentation."
_BOM: Final = "\ufeff"


class Node(NamedTuple):
    """One value and its place. `value` is plain data: str, int, float, bool, None, a list or a dict with text keys.

    `children` are the nodes below (a list, or a dict by key), `keys` the line and column of each key of a mapping; both are None for a
    scalar, whose text as written is `text`.
    """

    value: Any
    line: int
    column: int
    text: str | None = None
    children: Any = None
    keys: dict[str, tuple[int, int]] | None = None


def children_of(node: Node | None) -> Mapping[str, Node]:
    """The nodes of a mapping by key; nothing for what is no mapping."""
    return node.children if node is not None and isinstance(node.children, dict) else {}


class _Stop(Exception):
    """The file cannot be read any further; the problem is noted."""


def parse(data: bytes, path: str) -> tuple[Node | None, list[Diagnostic]]:
    """The root of one file, and what is wrong with its text; None if nothing could be made of it. `path` is how messages name the file.

    Every problem is an error with a place. A tree that comes with problems lacks what they are about.
    """
    problems: list[Diagnostic] = []
    if len(data) > MAX_BYTES:
        hint = "Split the file and name the parts under `include:`."
        where = Span(path=path, line=1, column=1)
        return None, [Diagnostic(code="MTS102", message="the file is larger than 16 MiB", where=where, hint=hint)]
    try:
        text = data.decode("utf-8").removeprefix(_BOM)
    except UnicodeDecodeError as error:
        return None, [_not_utf8(data, error.start, path)]
    try:
        return _Reader(text, path, problems).document(), problems
    except _Stop:
        return None, problems
    except yaml.MarkedYAMLError as error:
        problems.append(_syntax(error, text, path))
    except yaml.reader.ReaderError:
        problems.append(_forbidden(text, path))
    return None, problems


def _not_utf8(data: bytes, start: int, path: str) -> Diagnostic:
    line_start = data.rfind(b"\n", 0, start) + 1
    before = data[line_start:start].decode("utf-8").removeprefix(_BOM)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        message = "the file is UTF-16, not UTF-8"
    else:
        message = f"the file is not UTF-8: the byte 0x{data[start]:02x} begins no character"
    return Diagnostic(
        code="MTS103",
        message=message,
        where=Span(path=path, line=data.count(b"\n", 0, start) + 1, column=len(before) + 1),
        hint="Save the file as UTF-8; or write names as A-labels (xn--…), which are ASCII.",
    )


def _forbidden(text: str, path: str) -> Diagnostic:
    found = _UNPRINTABLE.search(text)
    start = found.start() if found else 0
    where = Span(path=path, line=text.count("\n", 0, start) + 1, column=start - (text.rfind("\n", 0, start) + 1) + 1)
    message = f"the character U+{ord(text[start]):04X} is not allowed in YAML" if text else "the file is not YAML"
    return Diagnostic(code="MTS104", message=message, where=where, hint="Remove it; it is invisible in many editors.")


def _syntax(error: yaml.MarkedYAMLError, text: str, path: str) -> Diagnostic:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.split("\n")
    rest = lines[line][column:] if line < len(lines) else ""
    before = lines[line][:column] if line < len(lines) else ""
    if SECRET.search(before):
        rest = rest[:1]
    where = Span(path=path, line=line + 1, column=column + 1)
    said = ", ".join(part for part in (error.context, error.problem) if part)
    if "nesting depth" in said:  # libyaml's own limit, when it looks ahead
        return Diagnostic(code="MTS109", message=_DEEP, where=where, hint=_FLATTER)
    message, hint = syntax_hint(said, before, rest)
    return Diagnostic(code="MTS104", message=message, where=where, hint=hint)


def resolve(text: str) -> Any:
    """What a plain scalar stands for in the YAML 1.2 core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)
    if _FLOAT.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan"))
    return text


class _Reader:
    """Pulls events and builds nodes; notes what is wrong in `problems` and goes on where it can."""

    def __init__(self, text: str, path: str, problems: list[Diagnostic]) -> None:
        self._take: Callable[[], Any] = _LOADER(text).get_event
        self._text = text
        self._lines: list[str] = []
        self._path = path
        self._problems = problems
        self._anchors: dict[str, tuple[Node, int]] = {}  # with the number of nodes it stands for
        self._open: set[str] = set()
        self._count = 0
        self._expanded = 0

    def document(self) -> Node:
        take = self._take
        take()
        event = take()
        if event.__class__ is StreamEndEvent:
            hint = "The main file begins with `version: 1` (`deploy init` writes one), an included file with `domains:`."
            self._note("MTS105", "the file is empty", 1, 1, hint)
            raise _Stop
        root = self._node(take(), 1)
        take()
        event = take()
        if event.__class__ is DocumentStartEvent:
            mark: Any = event.start_mark
            self._note(
                "MTS106", "a second YAML document begins here", mark.line + 1, mark.column + 1, "Keep one document in a file; remove `---`."
            )
            raise _Stop
        return root

    def _note(self, code: str, message: str, line: int, column: int, hint: str) -> None:
        where = Span(path=self._path, line=line, column=column)
        self._problems.append(Diagnostic(code=code, message=message, where=where, hint=hint))

    def _node(self, event: Any, depth: int) -> Node:
        self._count += 1
        kind = event.__class__
        if kind is AliasEvent:
            return self._alias(event)
        if event.tag is not None:
            self._tagged(event)
        if kind is ScalarEvent:
            node = _scalar(event)
            if event.tag is not None and not event.style:
                node = node._replace(value=resolve(event.value))  # the tag is refused, and is no reason to doubt the value
            weight = len(event.value) // _WEIGHT
            self._count += weight
            if event.anchor is not None:
                self._anchors[event.anchor] = (node, 1 + weight)
            return node
        if depth > MAX_DEPTH:
            mark = event.start_mark
            self._note("MTS109", _DEEP, mark.line + 1, mark.column + 1, _FLATTER)
            raise _Stop
        build = self._map if kind is MappingStartEvent else self._seq
        return build(event, depth) if event.anchor is None else self._anchored(build, event, depth)

    def _anchored(self, build: Callable[[Any, int], Node], event: Any, depth: int) -> Node:
        before = self._count + self._expanded
        # An alias inside means this node, not an earlier one of the same name: only what is complete can be repeated.
        self._open.add(event.anchor)
        node = build(event, depth)
        self._open.discard(event.anchor)
        self._anchors[event.anchor] = (node, self._count + self._expanded - before + 1)
        return node

    def _seq(self, first: Any, depth: int) -> Node:
        take, values, children = self._take, [], []
        while (event := take()).__class__ is not SequenceEndEvent:
            node = self._node(event, depth + 1)
            values.append(node.value)
            children.append(node)
        mark = first.start_mark
        return Node(values, mark.line + 1, mark.column + 1, None, children)

    def _map(self, first: Any, depth: int) -> Node:
        take = self._take
        values: dict[str, Any] = {}
        children: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        while (event := take()).__class__ is not MappingEndEvent:
            mark: Any = event.start_mark
            name = event.value if event.__class__ is ScalarEvent and event.tag is None and event.anchor is None else self._key(event, depth)
            if name == "<<" and event.__class__ is ScalarEvent and event.implicit[0]:
                self._merge(mark)
                name = None
            event = take()
            # The commonest values without a call: text that is nothing else.
            if event.__class__ is ScalarEvent and event.tag is None and event.anchor is None:
                node = _scalar(event)
                self._count += 1 + len(event.value) // _WEIGHT
            else:
                node = self._node(event, depth + 1)
            if name is None:
                continue
            if name in keys:
                self._twice(name, mark, keys[name])
                continue
            values[name] = node.value
            children[name] = node
            keys[name] = (mark.line + 1, mark.column + 1)
        mark = first.start_mark
        return Node(values, mark.line + 1, mark.column + 1, None, children, keys)

    def _key(self, event: Any, depth: int) -> str | None:
        """The key of an unusual kind; None after a problem."""
        node = self._node(event, depth + 1)
        if node.text is not None:
            return node.text
        if event.__class__ is not AliasEvent or node.children is not None:
            mark = event.start_mark
            hint = "Keys are names; remove `?`, or put braces and brackets in quotes."
            self._note("MTS112", "a list or a mapping stands where a key must be", mark.line + 1, mark.column + 1, hint)
        return None

    def _merge(self, mark: Any) -> None:
        hint = "Put shared settings into a profile and name it with `profile:`; or repeat a whole value with an alias."
        self._note("MTS113", "the merge key `<<` is not part of YAML 1.2", mark.line + 1, mark.column + 1, hint)

    def _twice(self, name: str, mark: Any, before: tuple[int, int]) -> None:
        message = f"{shown(name)} stands here for the second time; the first is on line {before[0]}"
        self._note("MTS107", message, mark.line + 1, mark.column + 1, "Keep one of the two.")

    def _secret(self, mark: Any) -> bool:
        """Does the line speak of a secret, before this place? Then nothing of it is repeated."""
        self._lines = self._lines or self._text.split("\n")
        return mark.line < len(self._lines) and SECRET.search(self._lines[mark.line][max(0, mark.column - 500) : mark.column]) is not None

    def _tagged(self, event: Any) -> None:
        mark = event.start_mark
        tag = shown(str(event.tag).replace("tag:yaml.org,2002:", "!!"))
        message = "a tag is not allowed" if self._secret(mark) else f"the tag {tag} is not allowed"
        self._note("MTS108", message, mark.line + 1, mark.column + 1, "Remove the tag; put in quotes what must be text.")

    def _alias(self, event: Any) -> Node:
        mark, name = event.start_mark, event.anchor
        line, column = mark.line + 1, mark.column + 1
        if name in self._open:
            said = "…" if self._secret(mark) else name
            self._note("MTS111", f"the alias *{said} stands inside of what it repeats", line, column, "Write the value out.")
            raise _Stop
        found = self._anchors.get(name)
        if found is None:
            said = "…" if self._secret(mark) else name
            hint = f'Write "*{said}" in quotes if it is text, or define &{said} above.'
            self._note("MTS111", f"the alias *{said} repeats nothing: there is no &{said} above it", line, column, hint)
            raise _Stop
        self._expanded += found[1]
        if self._expanded > MAX_EXPANDED:
            message = f"the aliases of this file stand for more than {MAX_EXPANDED} values"
            self._note("MTS110", message, line, column, "Put shared settings into a profile.")
            raise _Stop
        return found[0]


def _scalar(event: Any) -> Node:
    text = event.value
    mark = event.start_mark
    if event.implicit[0] and (not text or text[0] in _SUSPECTS):
        return Node(resolve(text), mark.line + 1, mark.column + 1, text)
    return Node(text, mark.line + 1, mark.column + 1, text)
