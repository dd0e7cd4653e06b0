"""Domains as lines of a declaration file, put into its text so that every other byte of it stays.

In: settings, and the octets of a file. Out: its octets with the domains at the end of `domains:`. Nothing is written here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from mtasts_deploy.declaration.model import Sts
from mtasts_deploy.declaration.nodes import parse, resolve
from mtasts_deploy.rfc.names import Domain, MxPattern
from mtasts_deploy.rfc.policy import Mode

NEW: Final = """\
version: 1

# Where the records and the policies are kept. Without these lines: in zones/ and policies/ beside this file.
# providers:
#   route53: {class: octodns_route53.Route53Provider}
# hosts:
#   web: {type: directory, path: /srv/mta-sts}      # or type: s3
# state: {type: directory, path: state}
# defaults: {dns: route53, host: web}

"""
"""How a declaration begins that has only domains yet."""
_UNITS: Final = ((604_800, "w"), (86_400, "d"))
_PLAIN: Final = re.compile(r"[^\W_][\w.-]*")
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A domain to be declared: what its lines say. `max_age` and `ttl` are seconds; None: the line is left out. `said`: a comment."""

    domain: Domain
    sts: Sts | None = None
    mode: Mode | None = None
    max_age: int | None = None
    mx: tuple[MxPattern, ...] | None = None
    tlsrpt: tuple[str, ...] | None = None
    ttl: int | None = None
    dns: str | None = None
    said: str = ""

    def lines(self) -> list[str]:
        """The lines, indented as under `domains:` at the left edge with two spaces a level."""
        made = []
        if self.sts is not None:
            made.append(f"sts: {_STS[self.sts]}")
        if self.mode is not None:
            made.append(f"mode: {self.mode.value}")
        if self.max_age is not None:
            made.append(f"max_age: {_duration(self.max_age)}")
        if self.mx is not None:
            made.append(f"mx: [{', '.join(_text(str(pattern)) for pattern in self.mx)}]")
        if self.tlsrpt:
            texts = [json.dumps(uri, ensure_ascii=False) for uri in self.tlsrpt]
            made.append(f"tlsrpt: {texts[0] if len(texts) == 1 else '[' + ', '.join(texts) + ']'}")
        if self.ttl is not None:
            made.append(f"ttl: {self.ttl}")
        if self.dns is not None:
            made.append(f"dns: {_text(self.dns)}")
        comment = f"    # {self.said}" if self.said else ""
        return [f"  {_text(self.domain.unicode)}:{comment}", *(f"    {line}" for line in made)]


_STS: Final = {Sts.PUBLISH: "true", Sts.TLSRPT_ONLY: "false", Sts.ELSEWHERE: "elsewhere"}


def _duration(seconds: int) -> str:
    """As people write it: `1w`, `30d`, or the number."""
    return next((f"{seconds // size}{unit}" for size, unit in _UNITS if seconds and seconds % size == 0), str(seconds))


def _text(text: str) -> str:
    """A name as a scalar of block and flow style: in quotes where it could be read as anything else."""
    return text if _PLAIN.fullmatch(text) and isinstance(resolve(text), str) else json.dumps(text, ensure_ascii=False)


class NoPlace(Exception):
    """Lines cannot be put into this file so that all else stays; the text says why."""


def fragment(domains: Sequence[Written]) -> str:
    """The lines by themselves, with their key."""
    return "".join(f"{line}\n" for line in ["domains:", *(line for one in domains for line in one.lines())])


def appended(data: bytes, domains: Sequence[Written]) -> bytes:
    """The file with these domains after the last one that it declares. Raises `NoPlace` for a file where that cannot be done in lines,
    and for one that is no declaration without faults.
    """
    before, problems = parse(data, "")
    if before is None or problems or not isinstance(before.value, dict):
        raise NoPlace("it is not a declaration that can be read")
    text = data.decode("utf-8")
    made = _spliced(text, domains).encode("utf-8")
    after, problems = parse(made, "")
    wanted = {**before.value, "domains": _with(before.value.get("domains"), domains)}
    if problems or after is None or after.value != wanted:  # proved, whatever the marks of PyYAML were
        raise NoPlace("its `domains:` is not written in lines of its own (a flow mapping, an alias, a document end)")
    return made


def _with(declared: Any, domains: Sequence[Written]) -> dict[str, Any]:
    found, problems = parse(fragment(domains).encode(), "")
    if found is None or problems:
        raise NoPlace("its lines would not be YAML")
    return {**(declared if isinstance(declared, dict) else {}), **found.value["domains"]}


def _spliced(text: str, domains: Sequence[Written]) -> str:
    """The text with the lines; what it means now is for the caller to prove."""
    mark = _BOM if text.startswith(_BOM) else ""
    text = text.removeprefix(_BOM)
    end = "\r\n" if "\r\n" in text else "\n"
    root: Any = yaml.compose(text, Loader=_LOADER)
    found = next(((key, value) for key, value in root.value if key.value == "domains"), None)
    rows = text.splitlines(keepends=True)  # PyYAML's marks count the same line ends, or the proof fails
    if found is None:
        lines, at, level = fragment(domains).splitlines(), len(rows), 0
        lines = ["", *lines] if rows and rows[-1].strip() else lines
    else:
        key, value = found
        level = 0
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            level = value.value[0][0].start_mark.column - 2
            at = _after(rows, _last_line(value), level)
        else:
            at = key.start_mark.line + 1
            _empty(rows, key.start_mark.line, value)
        lines = [line for one in domains for line in one.lines()]
    if level > 0:
        lines = [" " * level + line for line in lines]
    elif level == -1:
        lines = [line[1:] for line in lines]
    if at and rows and not rows[at - 1].endswith(("\n", "\r")):
        rows[at - 1] += end
    return mark + "".join([*rows[:at], *(line + end for line in lines), *rows[at:]])


def _last_line(node: yaml.Node) -> int:
    """The number (from 0) of the line in which the last leaf of a node ends; the end mark of a block collection swallows what follows."""
    while isinstance(node, yaml.MappingNode | yaml.SequenceNode) and node.value and not node.flow_style:
        last = node.value[-1]
        key, node = last if isinstance(last, tuple) else (None, last)
        if key is not None and isinstance(node, yaml.ScalarNode) and not node.value and not node.style:
            return int(key.end_mark.line)
    mark: Any = node.end_mark
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    return int(mark.line) - (1 if block and mark.column == 0 else 0)


def _after(rows: Sequence[str], last: int, level: int) -> int:
    """The number of the first line after the last domain and the comments that belong to it."""
    at = last + 1
    for number in range(at, len(rows)):
        row = rows[number]
        if row.strip() and not row.lstrip(" ").startswith("#"):
            break
        if row.strip():
            if len(row) - len(row.lstrip(" ")) < max(level + 2, 1):
                break
            at = number + 1
    return at


def _empty(rows: list[str], line: int, value: yaml.Node) -> None:
    """Make `domains: {}` and `domains: null` a key without a value, whatever comment follows."""
    start, end = value.start_mark, value.end_mark
    if value.value in ([], "", "null", "~") and start.line == end.line == line and end.column > start.column:
        rest = rows[line][end.column :]
        rows[line] = rows[line][: start.column].rstrip() + (rest if not rest.strip() else "  " + rest.lstrip())
