"""Editing one octoDNS YAML zone file's text in place: the values that are to change are spliced in, every other byte survives.

Each edit says what the whole TXT record, or all address records, at one name are to hold. The smallest splice that does it is looked for;
the new text is then read again and compared with the old one, node by node, before anybody gets to see it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from mtasts_deploy.diagnostics import Diagnostic, Span
from mtasts_deploy.dns import zone_layout as layouts
from mtasts_deploy.dns.zone_insert import NewKey, insertions
from mtasts_deploy.dns.zone_layout import Layout, layout_of
from mtasts_deploy.dns.zone_nodes import BOM, Alias, Document, Map, Node, Seq, ZoneProblem, name_of, parse, place, trouble
from mtasts_deploy.dns.zone_proof import Wanted, meant, prove, said
from mtasts_deploy.dns.zone_records import Owner, Record, Slot, owners, refusal, slots, ttl_of, values_of
from mtasts_deploy.dns.zone_scalars import end_of, header_comment, scalar
from mtasts_deploy.dns.zone_text import relative
from mtasts_deploy.errors import Refused
from mtasts_deploy.facts import ADDRESS_TYPES, Address, ZoneName

_LAYOUT_HINT = "Write this record in the usual way, one key a line, and run again."


@dataclass(frozen=True, slots=True, kw_only=True)
class TxtEdit:
    """The TXT record at `name` (A-labels, no root dot) is to hold exactly these raw values with this TTL; without values it goes."""

    name: str
    values: tuple[str, ...]
    ttl: int

    types: ClassVar[tuple[str, ...]] = ("TXT",)

    @property
    def records(self) -> dict[str, tuple[str, ...]]:
        """The values by type."""
        return {"TXT": self.values} if self.values else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressEdit:
    """The address records at `name` are to lead to `address`, with this TTL; records of other types there stay."""

    name: str
    address: Address
    ttl: int
    types: ClassVar[tuple[str, ...]] = ADDRESS_TYPES

    @property
    def records(self) -> dict[str, tuple[str, ...]]:
        """The values by type."""
        return dict(self.address.records())


Edit = TxtEdit | AddressEdit


def edit(text: str, zone: ZoneName, edits: Sequence[Edit], *, shown: str, default_ttl: int = 3600, escaped_semicolons: bool = True) -> str:
    """The zone file's text with these edits. Values that stay are not touched; an edit that changes nothing leaves the text as it is.

    Raises `Refused` with MTS455 (the record depends on an alias, a merge, an include), MTS465 (a layout that cannot be edited without
    touching something else), or with the problem that makes the file unreadable (MTS451 to MTS456).
    """
    mark, body = (BOM, text[len(BOM) :]) if text.startswith(BOM) else ("", text)
    try:
        document = parse(body, None)
        splicer = _Splicer(body, document, default_ttl, escaped_semicolons)
        wanted = {relative(zone, change.name): change for change in edits}
        found = owners(document, wanted)
        for key, change in wanted.items():
            splicer.put(key, found.get(key), change)
        new = _with_content(splicer.result(), "\r\n" if "\r\n" in body else "\n")
        if new != body:
            prove(body, new, {key: _wanted(change) for key, change in wanted.items()}, default_ttl, escaped_semicolons)
    except ZoneProblem as problem:
        raise Refused(problem.diagnostic(shown)) from problem
    except RecursionError:
        where = Span(path=shown, line=1, column=1)
        raise Refused(Diagnostic(code="MTS452", message="the aliases and merges nest too deeply", where=where)) from None
    return mark + new


def _wanted(change: Edit) -> Wanted:
    return Wanted(change.types, {type_: Counter(values) for type_, values in change.records.items()}, change.ttl)


def _with_content(text: str, break_: str) -> str:
    """A zone that has lost its last record is written as `{}`: a file without content is taken for a failed write."""
    if not parse(text, None).void:
        return text
    return text + ("" if not text or text.endswith(("\n", "\r")) else break_) + "{}" + break_


class _Splicer:
    """Collects splices `(start, end, replacement)` against one text."""

    def __init__(self, text: str, document: Document, default_ttl: int, escaped: bool) -> None:
        self.text, self.document, self.default_ttl, self.escaped = text, document, default_ttl, escaped
        self.layout: Layout = layout_of(text, document)
        self.splices: list[tuple[int, int, str]] = []
        self.going: list[int] = []
        self.new_keys: list[tuple[str, Edit]] = []

    def result(self) -> str:
        self._remove_keys()
        self._insert_keys()
        parts: list[str] = []
        cursor = 0
        for start, end, replacement in self._settled():
            if start < cursor:
                raise ZoneProblem("MTS465", "two edits meet in one place of the file", 1, 1, _LAYOUT_HINT)
            parts += [self.text[cursor:start], replacement]
            cursor = end
        return "".join([*parts, self.text[cursor:]])

    def _settled(self) -> list[tuple[int, int, str]]:
        """The splices in order, cuts that meet as one.

        Where something is inserted at the end of the last line that goes, the line break before the cut goes instead of the one behind it.
        """
        cuts: list[tuple[int, int]] = []
        for start, end in sorted(splice[:2] for splice in self.splices if not splice[2]):
            if cuts and start <= cuts[-1][1]:
                cuts[-1] = (cuts[-1][0], max(cuts[-1][1], end))
            else:
                cuts.append((start, end))
        rest = [splice for splice in self.splices if splice[2]]
        points = {start for start, end, _ in rest if start == end}
        moved = [self._before(cut, next((at for at in points if cut[0] < at < cut[1]), None)) for cut in cuts]
        return sorted([*rest, *((start, end, "") for start, end in moved)], key=lambda splice: splice[:2])

    def _before(self, cut: tuple[int, int], point: int | None) -> tuple[int, int]:
        start, end = cut
        if point is None or self.text[point:end] not in ("\n", "\r\n", "\r"):
            return cut
        before = next((line for line in ("\r\n", "\n", "\r") if self.text.endswith(line, 0, start)), "")
        return (start - len(before), point) if before else cut

    def put(self, key: str, owner: Owner | None, change: Edit) -> None:
        wanted = change.records
        if owner is None:
            if wanted:
                self.new_keys.append((self._written_key(key), change))
            return
        have = {type_: record for type_ in change.types if (record := owner.of(type_))}
        going = [record for type_, record in have.items() if type_ not in wanted]
        if not going and all(type_ in have and self._says(have[type_], values, change.ttl) for type_, values in wanted.items()):
            return
        blocked = refusal(owner, self.document, change.types)
        if blocked:
            raise blocked
        coming = [type_ for type_ in wanted if type_ not in have]
        if len(coming) > len(going) and have and isinstance(owner.value, Map):
            self._rewrite(owner, change)
            return
        while going and coming:
            self._retype(going.pop(0), type_ := coming.pop(0), wanted[type_], change.ttl)
        if going:
            self._remove_records(owner, going)
        if coming:
            self._add_records(owner, {type_: wanted[type_] for type_ in coming}, change.ttl)
        for type_, record in have.items():
            if type_ in wanted:
                self._change_values(record, wanted[type_])
                self._change_ttl(record, change.ttl)

    def _rewrite(self, owner: Owner, change: Edit) -> None:
        """One record alone at its name becomes several: they are written anew, as a list."""
        first = place(owner.value).start_mark
        start, end = first.index, end_of(self.text, owner.value)
        lines = [self._flow_owner(change)] if owner.value.flow else self._block_owner(change, first.column)
        self.splices.append((start, end, self.layout.newline.join(lines).lstrip(" ")))

    def _says(self, record: Record, values: tuple[str, ...], ttl: int) -> bool:
        have = said(record, self.escaped)
        return have == Counter(values) and (not have or ttl_of(record, self.default_ttl) == ttl)

    # --- values and TTL of a record that is there

    def _change_values(self, record: Record, wanted: tuple[str, ...]) -> None:
        missing = Counter(wanted)
        have = slots(record)
        going = []
        for slot in have:
            value = meant(record.type, slot, self.escaped)
            if missing[value] > 0:
                missing[value] -= 1
            else:
                going.append(slot)
        coming = [self._file_text(record.type, value) for value in missing.elements()]
        field = values_of(record)[0]
        if not isinstance(field.node, Seq) and len(wanted) > 1:
            self._make_list(field, coming.pop(0) if going else None, coming, self._in_flow(record))
            return
        for slot, value in zip(going, coming, strict=False):
            self._replace(slot.node, value, flow=self._in_flow(record))
        if len(going) > len(coming):
            leaving = {id(slot.node) for slot in going[len(coming) :]}
            self._remove_items(field.node, [index for index, item in enumerate(field.node.items) if id(item) in leaving])
        elif len(coming) > len(going):
            self._append_values(record, have, coming[len(going) :])

    def _file_text(self, type_: str, value: str) -> str:
        if type_ == "CNAME":
            return value + "."
        return value.replace(";", "\\;") if self.escaped and type_ == "TXT" else value

    def _retype(self, record: Record, type_: str, values: tuple[str, ...], ttl: int) -> None:
        """The record becomes one of another type, in its place."""
        kind, field = record.fields["type"].node, values_of(record)[0]
        self.splices.append((kind.start_mark.index, end_of(self.text, kind), type_))
        texts = [scalar(self._file_text(type_, value), flow=True) for value in values]
        written = f"value: {texts[0]}" if len(texts) == 1 else f"values: [{', '.join(texts)}]"
        self.splices.append((field.key.start_mark.index, end_of(self.text, field.node), written))
        self._change_ttl(record, ttl)

    def _in_flow(self, record: Record) -> bool:
        root, field = self.document.root, values_of(record)[0]
        containers = (root, record.node, field.node)
        return any(isinstance(node, Map | Seq) and node.flow for node in containers)

    def _replace(self, node: Node, value: str, *, flow: bool) -> None:
        start, end = node.start_mark.index, end_of(self.text, node)
        comment = header_comment(self.text[start:end]) if node.style in ("|", ">") else ""
        self.splices.append((start, end, scalar(value, style=node.style, flow=flow) + comment))

    def _append_values(self, record: Record, have: list[Slot], values: list[str]) -> None:
        field, flow = values_of(record)[0], self._in_flow(record)
        style = have[0].node.style if have else None
        written = [scalar(value, style=style, flow=flow) for value in values]
        last = end_of(self.text, field.node.items[-1]) if field.node.items else field.node.first.end_mark.index
        if field.node.flow:
            joined = ", ".join(written)
            self.splices.append((last, last, f", {joined}" if field.node.items else joined))
            return
        column = place(field.node).start_mark.column
        gap = place(field.node.items[-1]).start_mark.column - column - 1
        at = layouts.line_end(self.text, last)
        self.splices.append((at, at, "".join(f"{self.layout.newline}{' ' * column}-{' ' * max(gap, 1)}{value}" for value in written)))

    def _make_list(self, field: Node, instead: str | None, added: list[str], flow: bool) -> None:
        """`value: one` becomes a list of that value (or of the one in its place) and the added ones."""
        key, node = field.key, field.node
        start, end = node.start_mark.index, end_of(self.text, node)
        own, style = self.text[start:end], node.style
        written = [scalar(value, style=style, flow=flow) for value in added]
        if instead is not None or "\n" in own or "\r" in own:
            comment = header_comment(own) if style in ("|", ">") else ""
            own = scalar(node.value if instead is None else instead, style=style, flow=flow) + comment
        if key.value == "value":
            self.splices.append((key.start_mark.index, key.end_mark.index, "values"))
        if flow:
            self.splices.append((start, end, f"[{', '.join([own, *written])}]"))
            return
        lead = f"{self.layout.newline}{' ' * (key.start_mark.column + self.layout.dash)}-{' ' * self.layout.gap}"
        colon = len(self.text[:start].rstrip())
        at = layouts.line_end(self.text, end)
        tail = self.text[end:at]
        self.splices.append((colon, at, lead + own + tail + "".join(lead + value for value in written)))

    def _change_ttl(self, record: Record, ttl: int) -> None:
        if ttl_of(record, self.default_ttl) == ttl:
            return
        field = record.fields.get("ttl")
        if field is not None:
            quote = field.node.style if field.node.style in ("'", '"') else ""
            self.splices.append((field.node.start_mark.index, end_of(self.text, field.node), f"{quote}{ttl}{quote}"))
            return
        entries = record.node.entries
        keys = [(key.target if isinstance(key, Alias) else key).value for key, _ in entries]
        index = next((i for i, key in enumerate(keys) if key > "ttl"), None) if keys == sorted(keys) else keys.index("type")
        key = entries[keys.index("type") if index is None else index][0]
        at = key.start_mark.index
        tail = ", " if record.node.flow else self.layout.newline + " " * key.start_mark.column
        self.splices.append((at, at, f"ttl: {ttl}{tail}"))

    # --- whole records and keys

    def _remove_items(self, collection: Seq, indices: list[int]) -> None:
        items = collection.items
        if len(indices) == len(items):
            raise AssertionError("the whole collection goes, so its owner must go")
        if collection.flow:
            spans = [(place(item).start_mark.index, end_of(self.text, item)) for item in items]
            self._remove_spans(spans, indices)
            return
        for index in indices:
            self._remove_lines(place(items[index]), end_of(self.text, items[index]), dash=True)

    def _remove_spans(self, spans: list[tuple[int, int]], indices: list[int]) -> None:
        staying = [index for index in range(len(spans)) if index not in indices]
        for index in indices:
            if any(other > index for other in staying):
                self.splices.append((spans[index][0], spans[index + 1][0], ""))
            else:
                self.splices.append((spans[index - 1][1] if index else spans[index][0], spans[index][1], ""))

    def _remove_lines(self, first: Node, end: int, *, dash: bool) -> None:
        at = first.start_mark.index
        start = layouts.line_start(self.text, at)
        lead = self.text[start:at]
        if lead.strip(" \t") != ("-" if dash else ""):
            raise trouble("MTS465", "this record shares its line with something else", first, _LAYOUT_HINT)
        stop = layouts.next_line(self.text, end)
        if stop == len(self.text) and layouts.line_end(self.text, end) == stop and start > 0:
            start -= 2 if self.text[start - 2 : start] == "\r\n" else 1  # the file had no final newline, and keeps none
        self.splices.append((start, stop, ""))

    def _remove_records(self, owner: Owner, records: list[Record]) -> None:
        if len(owner.records) > len(records):
            nodes = {id(record.node) for record in records}
            self._remove_items(owner.value, [index for index, item in enumerate(owner.value.items) if id(item) in nodes])
            return
        root: Map = self.document.root
        self.going.append(next(index for index, (key, _) in enumerate(root.entries) if key is owner.key))

    def _remove_keys(self) -> None:
        root = self.document.root
        if not self.going:
            return
        if root.flow:
            self._remove_spans([(place(key).start_mark.index, end_of(self.text, value)) for key, value in root.entries], self.going)
            return
        for index in self.going:
            key, value = root.entries[index]
            self._remove_lines(place(key), end_of(self.text, value), dash=False)
        if len(self.going) == len(root.entries) and not self.new_keys and self.document.end is not None:
            at = layouts.line_start(self.text, place(root).start_mark.index)
            self.splices.append((at, at, "{}" + self.layout.newline))  # `...` alone is no document

    def _flow_record(self, type_: str, wanted: tuple[str, ...], ttl: int) -> str:
        values = [scalar(self._file_text(type_, value), flow=True) for value in wanted]
        head = "" if ttl == self.default_ttl else f"ttl: {ttl}, "
        return f"{{{head}type: {type_}, " + (f"value: {values[0]}}}" if len(values) == 1 else f"values: [{', '.join(values)}]}}")

    def _flow_owner(self, change: Edit) -> str:
        written = [self._flow_record(type_, values, change.ttl) for type_, values in change.records.items()]
        return written[0] if len(written) == 1 else f"[{', '.join(written)}]"

    def _block_record(self, type_: str, wanted: tuple[str, ...], ttl: int, column: int) -> list[str]:
        lines = [] if ttl == self.default_ttl else [f"ttl: {ttl}"]
        values = [scalar(self._file_text(type_, value)) for value in wanted]
        if len(values) == 1:
            lines += [f"type: {type_}", f"value: {values[0]}"]
        else:
            lead = " " * self.layout.dash + "-" + " " * self.layout.gap
            lines += [f"type: {type_}", "values:", *(lead + value for value in values)]
        return [" " * column + line for line in lines]

    def _block_owner(self, change: Edit, column: int) -> list[str]:
        records = change.records
        if len(records) == 1:
            return [line for type_, values in records.items() for line in self._block_record(type_, values, change.ttl, column)]
        return [line for type_, values in records.items() for line in self._item(column, type_, values, change.ttl)]

    def _item(self, column: int, type_: str, values: tuple[str, ...], ttl: int) -> list[str]:
        """The lines of a record as an item of a list."""
        lines = self._block_record(type_, values, ttl, column + 1 + self.layout.gap)
        return [" " * column + "-" + " " * self.layout.gap + lines[0].lstrip(" "), *lines[1:]]

    def _add_records(self, owner: Owner, wanted: Mapping[str, tuple[str, ...]], ttl: int) -> None:
        value = owner.value
        end = end_of(self.text, value)
        flow = ", ".join(self._flow_record(type_, values, ttl) for type_, values in wanted.items())
        if isinstance(value, Seq) and (value.flow or not value.items):
            last = end_of(self.text, value.items[-1]) if value.items else value.first.end_mark.index
            self.splices.append((last, last, (", " if value.items else "") + flow))
        elif isinstance(value, Map) and value.flow:
            start = value.first.start_mark.index
            self.splices += [(start, start, "["), (end, end, f", {flow}]")]
        elif isinstance(value, Seq):
            self._append_items(place(value).start_mark.column, end, wanted, ttl)
        else:
            self._indent_into_list(owner, wanted, ttl)

    def _append_items(self, column: int, end: int, wanted: Mapping[str, tuple[str, ...]], ttl: int) -> None:
        lines = [line for type_, values in wanted.items() for line in self._item(column, type_, values, ttl)]
        at = layouts.line_end(self.text, end)
        self.splices.append((at, at, "".join(self.layout.newline + line for line in lines)))

    def _indent_into_list(self, owner: Owner, wanted: Mapping[str, tuple[str, ...]], ttl: int) -> None:
        value = owner.value
        first = place(value).start_mark
        start, end = layouts.line_start(self.text, first.index), end_of(self.text, value)
        if self.text[start : first.index].strip(" \t"):
            raise trouble("MTS465", "this record shares its line with something else", value, _LAYOUT_HINT)
        deeper = " " * (1 + self.layout.gap)
        self.splices.append((first.index, first.index, "-" + " " * self.layout.gap))
        at = layouts.next_line(self.text, first.index)
        while at < end:
            if self.text[at : layouts.line_end(self.text, at)].strip(" \t"):
                self.splices.append((at, at, deeper))
            at = layouts.next_line(self.text, at)
        self._append_items(first.column, end, wanted, ttl)

    def _written_key(self, key: str) -> str:
        root = self.document.root
        if "xn--" in key and isinstance(root, Map) and any(not text.isascii() for text in layouts.key_texts(root)):
            import idna

            unicode = ".".join(idna.decode(label) if label.startswith("xn--") else label for label in key.split("."))
            if name_of(_plain(unicode)) == key:
                return unicode
        return key

    def _insert_keys(self) -> None:
        new = [NewKey(key, self._flow_owner(change), partial(self._block_owner, change)) for key, change in self.new_keys]
        self.splices += insertions(self.text, self.document, self.layout, new, self.going)


def _plain(text: str) -> Node:
    from yaml.events import ScalarEvent

    return ScalarEvent(None, None, (True, False), text)
