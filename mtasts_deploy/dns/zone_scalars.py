"""How one value is written in YAML, so that it reads back as the same text and looks like its neighbours."""

from __future__ import annotations

import re

from yaml.events import ScalarEvent

from mtasts_deploy.dns.zone_nodes import Node, tag_of

_PLAIN = re.compile(r"[\w./+][!-~ \w]*").fullmatch
_FLOW_CHARACTERS = re.compile(r"[,\[\]{}?]")
_BLOCK_HEADER = re.compile(r"[|>][0-9+-]*[ \t]*(#[^\r\n]*)?")


def plain_is_safe(value: str, *, flow: bool) -> bool:
    """Can the value stand without quotes and still read back as this very text?"""
    if not _PLAIN(value) or value.endswith((" ", ":")) or ": " in value or " #" in value:
        return False
    if flow and _FLOW_CHARACTERS.search(value):
        return False
    return tag_of(ScalarEvent(None, None, (True, False), value)) == "tag:yaml.org,2002:str"


def scalar(value: str, *, style: str | None = None, flow: bool = False) -> str:
    """The value as a YAML scalar on one line, in `style` (None plain, `'`, `"`) if it is safe there, else in the next one that is."""
    printable = all(" " <= character < "\x7f" or character > "\xa0" for character in value)
    if style != "'" and style != '"' and plain_is_safe(value, flow=flow):
        return value
    if style != '"' and printable and not any(character in value for character in "\ufeff\u2028\u2029"):
        return "'" + value.replace("'", "''") + "'"
    return '"' + "".join(_double_quoted(character) for character in value) + '"'


def _double_quoted(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character < "\x7f":
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def header_comment(source: str) -> str:
    """The comment in the header line of a block scalar (`value: | # why`), with a space before it; empty if there is none."""
    found = _BLOCK_HEADER.match(source)
    return f" {found[1]}" if found and found[1] else ""


def end_of(text: str, node: Node) -> int:
    """Where the last character of the node stands, plus one.

    The end mark of a collection in block style lies after what follows it, comments included, so the last leaf counts; that of a block
    scalar lies at the next line with text.
    """
    kind = node.__class__.__name__
    if kind == "Alias":
        return int(node.event.end_mark.index)
    if kind in ("Seq", "Map"):
        if node.flow:
            return int(node.last.end_mark.index)
        return end_of(text, node.items[-1] if kind == "Seq" else node.entries[-1][1])
    end = int(node.end_mark.index)
    if node.style not in ("|", ">"):
        return end
    return _end_of_block_scalar(text, int(node.start_mark.index), end)


def _end_of_block_scalar(text: str, start: int, end: int) -> int:
    header = _BLOCK_HEADER.match(text, start)
    if header and "+" in header[0].partition("#")[0]:
        return start + len(text[start:end].removesuffix("\n").removesuffix("\r"))
    return start + len(text[start:end].rstrip())
