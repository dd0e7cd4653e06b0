"""From the nodes of a zone file to the records at the names that were asked for, with YAML's aliases and merges resolved as octoDNS does.

octoDNS (1.16 to 1.22) splices merged entries in at the place of `<<` and lets the last entry of a name win; in a list of merges the first
wins.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import NamedTuple

import yaml
from yaml.events import ScalarEvent

from mtasts_deploy.dns.zone_nodes import Alias, Document, Map, Node, Seq, ZoneProblem, is_merge, name_of, place, tag_of, text_of, trouble
from mtasts_deploy.facts import ADDRESS_TYPES, Address

MAX_VISITS = 10_000
_NULL = "tag:yaml.org,2002:null"
_STR = "tag:yaml.org,2002:str"
_KNOWN = frozenset({"TXT", "MX", "A", "AAAA", "CNAME", "NS", "DNAME"})


class Field(NamedTuple):
    """One entry of a record: its key, its value, and the alias or merge that it came through, if any."""

    key: Node
    node: Node
    via: Node


class Slot(NamedTuple):
    """One value of a TXT record: its scalar, the text as octoDNS reads it, and the alias that it came through, if any."""

    node: ScalarEvent
    text: str
    via: Node


class Record(NamedTuple):
    """One record as it stands in the file; `node` is what stands there (an alias stays one)."""

    node: Node
    type: str
    fields: dict[str, Field]
    via: Node


class Owner(NamedTuple):
    """All that stands at one name: its key and value in the file, its records, and the alias or merge that the whole came through."""

    key: Node
    value: Node
    records: tuple[Record, ...]
    via: Node

    def of(self, type_: str) -> Record | None:
        """The record of that type, if there is one."""
        for record in self.records:
            if record.type == type_:
                return record
        return None


class Budget:
    """Bounds what aliases may expand to (a "billion laughs" file is a few hundred bytes)."""

    def __init__(self) -> None:
        self.left = MAX_VISITS

    def spend(self, node: Node) -> None:
        """One entry visited. Raises `ZoneProblem` (MTS452) when there were too many."""
        self.left -= 1
        if self.left < 0:
            raise trouble("MTS452", f"the aliases expand to more than {MAX_VISITS} entries", node, "Write the records out.")


def owners(document: Document, wanted: Container[str]) -> dict[str, Owner]:
    """What stands at the wanted names (relative to the zone). Raises `ZoneProblem`."""
    root = document.root
    if isinstance(root, ScalarEvent):
        _refuse_include(root, "the whole zone file")
        if tag_of(root) == _NULL:
            return {}
    if root is None:
        return {}
    if root.__class__ is not Map or root.first.tag not in (None, "tag:yaml.org,2002:map"):
        raise trouble(
            "MTS456",
            "a zone file is a mapping of names to records, and this one is not",
            root,
            "Write `name: {type: …, value: …}` entries.",
        )
    found: dict[str, Owner] = {}
    budget = Budget()
    if document.asked is not None:
        return {name: _owner(key, value, None, budget) for name, (key, value) in document.asked.items()}
    for key, value, via in _entries(root, None, budget, None):
        scalar = key.target if key.__class__ is Alias else key
        name = name_of(scalar)
        if name in wanted:
            found[name] = _owner(key, value, via or (key if key.__class__ is Alias else None), budget)
    return found


def _entries(node: Map, via: Node, budget: Budget, merged: Node) -> list[tuple[Node, Node, Node]]:
    found: list[tuple[Node, Node, Node]] = []
    for key, value in node.entries:
        if merged is not None:
            budget.spend(merged)
        if is_merge(key):
            for target in _merged(value, budget):
                found += _entries(target, via or key, budget, key)
        else:
            found.append((key, value, via))
    return found


def _merged(value: Node, budget: Budget) -> Iterator[Map]:
    budget.spend(value)
    node = value.target if value.__class__ is Alias else value
    if node.__class__ is Map:
        yield node
    elif node.__class__ is Seq:
        for item in reversed(node.items):
            yield from _merged(item, budget)
    else:
        if isinstance(node, ScalarEvent):
            _refuse_include(node, "a merge key")
        raise trouble(
            "MTS456", "a merge key (`<<`) takes a mapping or a list of mappings", value, "Merge an anchored mapping: `<<: *name`."
        )


def _refuse_include(node: ScalarEvent, what: str) -> None:
    if node.tag is not None and "include" in node.tag:
        raise trouble(
            "MTS454",
            f"{what} comes from `!include {node.value}`, so the records in it cannot be seen here",
            node,
            "Write the names that mtasts-deploy manages, and their parents, in the zone file itself.",
        )


def _owner(key: Node, value: Node, via: Node, budget: Budget) -> Owner:
    node = value
    if node.__class__ is Alias:
        via, node = via or node, node.target
    items = node.items if node.__class__ is Seq else [node]
    records = tuple([_record(item, via, budget) for item in items])
    if len(records) > 1 and len({record.type for record in records}) < len(records):
        types = [record.type for record in records]
        for record in records:
            if types.count(record.type) > 1:
                raise trouble(
                    "MTS456",
                    f"two {record.type} records stand at one name; octoDNS refuses that",
                    record.node,
                    "Put all values in one record's `values`.",
                )
    return Owner(key, value, records, via)


def _record(item: Node, via: Node, budget: Budget) -> Record:
    node = item
    if node.__class__ is Alias:
        via, node = via or node, node.target
        budget.spend(item)
    if node.__class__ is not Map:
        if isinstance(node, ScalarEvent):
            _refuse_include(node, "a record")
        raise trouble("MTS456", "a record is a mapping with `type` and `value`, and this is not one", item, "Write `{type: …, value: …}`.")
    fields: dict[str, Field] = {}
    for key, value, through in _entries(node, None, budget, item if node is not item else None):
        scalar = key.target if key.__class__ is Alias else key
        if scalar.__class__ is not ScalarEvent:
            raise trouble(
                "MTS456", "a key of a record is a word, and this one is a collection", key, "Write `type`, `ttl`, `value` or `values`."
            )
        old = fields.get(scalar.value)
        if old is not None and old.via is None and through is None:
            raise trouble("MTS453", f"`{scalar.value}` stands twice in one record; octoDNS would use the last", key, "Keep one of them.")
        if value.__class__ is Alias:
            through, value = through or value, value.target
        fields[scalar.value] = Field(key, value, through)
    return Record(item, _type(fields, item), fields, via)


def _type(fields: dict[str, Field], item: Node) -> str:
    field = fields.get("type")
    if field is None:
        raise trouble("MTS456", "a record has no `type`", item, "Give it one: `type: TXT`.")
    type_ = _scalar(field.node, "`type`").value
    if type_ not in _KNOWN and type_.upper() in _KNOWN:
        raise trouble(
            "MTS456",
            f"`type: {type_}` is not a type for octoDNS, which is strict about case",
            field.node,
            f"Write `type: {type_.upper()}`.",
        )
    return str(type_)


def _scalar(node: Node, what: str) -> ScalarEvent:
    if node.__class__ is not ScalarEvent:
        raise trouble("MTS456", f"{what} is one value, and this is a collection", node, "Write a single value.")
    if node.tag is not None:
        _refuse_include(node, what)
    return node


def text(node: Node, what: str) -> str:
    """The text of a scalar that must be text (not a number, a date, nothing). Raises `ZoneProblem` (MTS456)."""
    scalar = _scalar(node, what)
    tag = tag_of(scalar)
    if tag == _NULL:
        raise trouble("MTS456", f"{what} is empty", node, "Give it a value, or remove it.")
    if tag != _STR:
        raise trouble(
            "MTS456", f"{what} `{scalar.value}` is not text for YAML, and octoDNS fails on it", node, f"Put it in quotes: '{scalar.value}'."
        )
    return str(scalar.value)


def values_of(record: Record) -> tuple[Node, list[tuple[Node, Node]]]:
    """The field that holds the record's values (`values` wins over `value`), and each value with the alias it came through.

    Raises `ZoneProblem` (MTS456) if there is none.
    """
    field = record.fields.get("values") or record.fields.get("value")
    if field is None:
        raise trouble("MTS456", f"a {record.type} record has no `value`", record.node, "Give it one, or remove the record.")
    if field.node.__class__ is not Seq:
        return field, [(field.node, field.via)]
    return field, [(item.target, field.via or item) if item.__class__ is Alias else (item, field.via) for item in field.node.items]


def slots(record: Record) -> list[Slot]:
    """The values of a TXT record, each as octoDNS reads it: one pair of outer quotes off, the chunks joined, `;` still escaped."""
    found = []
    for node, via in values_of(record)[1]:
        value = text(node, f"a {record.type} value")
        if value.startswith('"'):
            value = value[1:-1]
        found.append(Slot(node, value.replace('" "', ""), via))
    return found


def ttl_of(record: Record, default: int) -> int:
    """The record's TTL in seconds. Raises `ZoneProblem` (MTS456) if it is not a number from 0 to 2147483647 (RFC 2181 §8)."""
    field = record.fields.get("ttl")
    if field is None:
        return default
    scalar = _scalar(field.node, "`ttl`")
    try:
        ttl = int(scalar.value if scalar.value.isdecimal() and scalar.value[0] != "0" else text_of(scalar))
    except ValueError:
        ttl = -1
    if not 0 <= ttl <= 0x7FFFFFFF:
        raise trouble("MTS456", f"`ttl: {scalar.value}` is not a number of seconds", field.node, "Write whole seconds, such as 3600.")
    return ttl


def mx_hosts(record: Record) -> tuple[str, ...]:
    """The exchange hosts of an MX record as A-labels without root dot, sorted; a null MX (RFC 7505) is `.`."""
    hosts = []
    for node, _ in values_of(record)[1]:
        if isinstance(node, ScalarEvent):
            _refuse_include(node, "an MX value")
        if node.__class__ is not Map:
            raise trouble(
                "MTS456",
                "an MX value is a mapping with `preference` and `exchange`",
                node,
                "Write `{preference: 10, exchange: mx.example.com.}`.",
            )
        fields = {key.value: value for key, value, _ in _entries(node, None, Budget(), node) if isinstance(key, ScalarEvent)}
        target = fields.get("exchange") or fields.get("value")
        if target is None:
            raise trouble("MTS456", "an MX value has no `exchange`", node, "Name the mail host: `exchange: mx.example.com.`.")
        hosts.append(host(text(target.target if target.__class__ is Alias else target, "`exchange`")))
    return tuple(sorted(set(hosts)))


def host(name: str) -> str:
    """A host name as A-labels in lower case without root dot; `.` stays."""
    if not name.isascii():
        name = name_of(yaml.ScalarEvent(None, None, (False, True), name))
    return name.lower().rstrip(".") or "."


def cname_of(record: Record) -> str | None:
    """The target of a CNAME, as `host` writes it."""
    field = record.fields.get("value")
    return None if field is None else host(text(field.node, "a CNAME value"))


def address_of(records: Iterable[Record]) -> Address:
    """Where these records lead; those of other types do not count."""
    found: dict[str, list[str]] = {}
    for record in records:
        if record.type == "CNAME":
            found["CNAME"] = [target] if (target := cname_of(record)) else []
        elif record.type in ADDRESS_TYPES:
            found[record.type] = [text(node, f"an {record.type} value") for node, _ in values_of(record)[1]]
    return Address.of(found)


def inside(node: Node) -> Iterator[Node]:
    """The node and all that stands in it in the file; aliases are not followed."""
    yield node
    if node.__class__ is Seq:
        for item in node.items:
            yield from inside(item)
    elif node.__class__ is Map:
        for key, value in node.entries:
            yield from inside(key)
            yield from inside(value)


def refusal(owner: Owner, document: Document, types: Sequence[str] = ("TXT",)) -> ZoneProblem | None:
    """Why the records of these types at this name cannot be edited in place (MTS455), if so."""
    if document.asked is not None:
        return None
    found = _obstacle(owner, document.shared, [record for type_ in types if (record := owner.of(type_))])
    if found is None:
        return None
    node, what = found
    kind = "TXT record" if tuple(types) == ("TXT",) else "address record"
    message = f"the {kind} here depends on {what}, so it cannot be changed without changing what is not ours"
    return trouble("MTS455", message, node, "Write this record out in full under its own key.")


def _obstacle(owner: Owner, shared: frozenset[int], records: Sequence[Record]) -> tuple[Node, str] | None:
    for via in [owner.via, *(via for record in records for via in _vias(record))]:
        if via is not None:
            return via, f"the alias *{via.event.anchor}" if isinstance(via, Alias) else "a merge key (`<<`)"
    own = [owner.value, owner.key, *(node for record in records for node in inside(record.node))]
    for node in own if shared else ():
        if not isinstance(node, Alias) and place(node).anchor is not None and place(node).start_mark.index in shared:
            return node, f"the anchor &{place(node).anchor}, which other records use"
    return None


def _vias(record: Record) -> list[Node]:
    relevant = [field.via for name, field in record.fields.items() if name in ("type", "ttl", "value", "values")]
    return [record.via, *relevant, *(via for _, via in values_of(record)[1])]
