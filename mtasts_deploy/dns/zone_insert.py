"""Where a new key goes in a zone file, and what is spliced in there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from mtasts_deploy.dns import zone_layout as layouts
from mtasts_deploy.dns.zone_layout import Layout
from mtasts_deploy.dns.zone_nodes import Document, Map, Node, place
from mtasts_deploy.dns.zone_scalars import end_of, scalar

_Entry = tuple[Node, Node]


class NewKey(NamedTuple):
    """A name that the file does not have yet: how it is written, its record in flow style, and its record as lines at an indentation."""

    key: str
    flow: str
    block: Callable[[int], list[str]]


def insertions(text: str, document: Document, layout: Layout, new: Sequence[NewKey], going: Collection[int]) -> list[tuple[int, int, str]]:
    """The splices that add the new keys. `going` are the indices of the top-level entries that are removed by other splices."""
    if not new:
        return []
    root = document.root
    if not isinstance(root, Map) or not root.entries:
        return [_into_nothing(text, document, layout, new)]
    staying = [entry for index, entry in enumerate(root.entries) if index not in going]
    keys = layouts.key_texts(Map(root.first, root.last, staying))
    splices = []
    for item in sorted(new, key=lambda item: layouts.rank(keys, item.key)):
        at = layouts.position(keys, item.key)
        if root.flow:
            splices.append(_into_flow(text, root, staying, at, item))
        else:
            splices.append(_into_block(text, root, staying, at, layout, item))
    return splices


def _into_flow(text: str, root: Map, staying: list[_Entry], at: int, item: NewKey) -> tuple[int, int, str]:
    written = f"{scalar(item.key, flow=True)}: {item.flow}"
    if at > 0:
        index = end_of(text, staying[at - 1][1])
        return index, index, f", {written}"
    index = root.first.end_mark.index
    return index, index, f"{written}, " if staying else written


def _lines(layout: Layout, item: NewKey, column: int) -> list[str]:
    return [f"{' ' * column}{scalar(item.key)}:", *item.block(column + layout.step)]


def _into_block(text: str, root: Map, staying: list[_Entry], at: int, layout: Layout, item: NewKey) -> tuple[int, int, str]:
    column = place(root).start_mark.column
    lines = _lines(layout, item, column)
    if at > 0:
        index = layouts.after_own_comments(text, end_of(text, staying[at - 1][1]), column)
        blank = [""] if layout.spaced else []
        return index, index, "".join(layout.newline + line for line in [*blank, *lines])
    first = place(staying[0][0] if staying else root).start_mark.index
    index = layouts.before_own_comments(text, first)
    return index, index, "".join(line + layout.newline for line in [*lines, *([""] if layout.spaced else [])])


def _into_nothing(text: str, document: Document, layout: Layout, new: Sequence[NewKey]) -> tuple[int, int, str]:
    order = sorted(new, key=lambda item: layouts.rank([], item.key))
    lines = [line for item in order for line in _lines(layout, item, 0)]
    root = document.root
    newline = layout.newline
    if root is not None and place(root).start_mark.index != end_of(text, root):  # `{}`, `~`, `null`
        start, end = place(root).start_mark.index, end_of(text, root)
        line = layouts.line_start(text, start)
        lead = newline if text[line:start].strip() else ""
        return len(text[:start].rstrip(" \t")) if lead else line, end, lead + newline.join(lines)
    at = len(text) if document.end is None else document.end
    before = "" if at == layouts.line_start(text, at) else newline
    after = newline if document.end is not None or not text or before == "" else ""
    return at, at, before + newline.join(lines) + after
