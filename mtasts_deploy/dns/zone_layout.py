"""The layout of a zone file: its line ends, its indentation, the order of its keys, and the extents of what stands in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mtasts_deploy.dns.zone_nodes import Alias, Document, Map, Node, Seq, place, text_of
from mtasts_deploy.dns.zone_scalars import end_of

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How this file is written: `newline`, the indentation of nested mappings (`step`), of list dashes below their key (`dash`), and
    between a dash and its item (`gap`); `spaced` when blank lines stand between the records.
    """

    newline: str = "\n"
    step: int = 2
    dash: int = 2
    gap: int = 1
    spaced: bool = False


def layout_of(text: str, document: Document) -> Layout:
    """Looks at the file; what it does not show gets octoDNS's usual form."""
    found = _LINE_END.search(text)
    newline = found[0] if found else "\n"
    root = document.root
    if not isinstance(root, Map) or root.flow:
        return Layout(newline=newline)
    step, dash, gap = _indents(root)
    return Layout(newline=newline, step=step, dash=dash, gap=gap, spaced=_spaced(text, root))


def _indents(root: Map) -> tuple[int, int, int]:
    step = dash = gap = 0
    seen = False
    for key, value in root.entries:
        column = place(key).start_mark.column
        if isinstance(value, Map) and not value.flow and not step:
            step = place(value).start_mark.column - column
        for parent, sequence in _block_sequences(column, value):
            if not seen:
                seen, dash = True, place(sequence).start_mark.column - parent
                gap = place(sequence.items[0]).start_mark.column - place(sequence).start_mark.column - 1
    return max(step, 1) if step else 2, dash if seen else 2, gap if 0 < gap < 8 else 1


def _block_sequences(column: int, value: Node) -> list[tuple[int, Seq]]:
    if isinstance(value, Seq):
        own = [] if value.flow else [(column, value)]
        return own + [
            found for item in value.items for found in _block_sequences(place(item).start_mark.column, item) if isinstance(item, Map)
        ]
    if isinstance(value, Map) and not value.flow:
        return [
            found for key, item in value.entries for found in _block_sequences(place(key).start_mark.column, item) if isinstance(item, Seq)
        ]
    return []


def _spaced(text: str, root: Map) -> bool:
    gaps = [
        text[end_of(text, one) : place(key).start_mark.index] for (_, one), (key, _) in zip(root.entries, root.entries[1:], strict=False)
    ]
    return len(gaps) >= 2 and all(re.search(r"(\r\n|\n|\r(?!\n))[ \t]*(\r\n|\n|\r)", gap) for gap in gaps)


def line_start(text: str, index: int) -> int:
    """Where the line that holds `index` begins."""
    return max(text.rfind("\n", 0, index), text.rfind("\r", 0, index)) + 1


def line_end(text: str, index: int) -> int:
    """Where the line that holds `index` ends, before its line break."""
    found = _LINE_END.search(text, index)
    return found.start() if found else len(text)


def next_line(text: str, index: int) -> int:
    """Where the line after that of `index` begins; the end of the text if there is none."""
    found = _LINE_END.search(text, index)
    return found.end() if found else len(text)


def after_own_comments(text: str, index: int, column: int) -> int:
    """The end (before the line break) of the last comment line right after `index`'s line that is indented deeper than `column`."""
    end = line_end(text, index)
    while end < len(text):
        start = next_line(text, end)
        line = text[start : line_end(text, start)]
        bare = line.lstrip(" \t")
        if not bare.startswith("#") or len(line) - len(bare) <= column:
            break
        end = start + len(line)
    return end


def before_own_comments(text: str, index: int) -> int:
    """Where the block of comment lines right above the line of `index` begins; that line itself if the block opens the file (a file
    header).
    """
    start = top = line_start(text, index)
    while start > 0:
        above = line_start(text, start - (2 if text[start - 2 : start] == "\r\n" else 1))
        if not text[above:start].lstrip(" \t").startswith("#"):
            return start
        start = above
    return top


def _natural() -> Callable[[str], Any]:
    from natsort import natsort_keygen  # only an edit needs it

    return natsort_keygen()  # type: ignore[no-any-return, unused-ignore]


def _order(keys: list[str]) -> Callable[[str], Any] | None:
    natural = _natural()
    for order in (natural, str):
        ranks = [order(key) for key in keys]
        if ranks == sorted(ranks):
            return order
    return None


def position(keys: list[str], new: str) -> int:
    """Before which of the keys the new one goes: its sorted place if they are in octoDNS's natural order (or in plain order), else the
    end.
    """
    order = _order(keys)
    if order is None:
        return len(keys)
    rank = order(new)
    return sum(1 for key in keys if order(key) < rank)


def rank(keys: list[str], new: str) -> Any:
    """What new keys among `keys` are sorted by."""
    return (_order(keys) or _natural())(new)


def key_texts(root: Map) -> list[str]:
    """The top-level keys as octoDNS sorts them."""
    return [text_of(key.target if isinstance(key, Alias) else key) for key, _ in root.entries]
