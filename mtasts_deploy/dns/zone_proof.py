"""The proof that an edit of a zone file did what it should and nothing else: both texts are read again and compared node by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from mtasts_deploy.dns.zone_nodes import Alias, Document, Map, Node, Seq, ZoneProblem, is_merge, name_of, parse, place, tag_of
from mtasts_deploy.dns.zone_records import Owner, Record, Slot, host, owners, slots, ttl_of
from mtasts_deploy.dns.zone_text import raw
from mtasts_deploy.facts import Address

_OURS = ("ttl", "value", "values")


class Wanted(NamedTuple):
    """What the records of `types` at a name are to hold, by type, with their TTL; those without values are to be gone."""

    types: tuple[str, ...]
    values: Mapping[str, Counter[str]]
    ttl: int


def meant(type_: str, slot: Slot, escaped: bool) -> str:
    """A value as DNS has it: a TXT value unescaped, a target's name or an address in its usual form."""
    if type_ == "TXT":
        return raw(slot.text, escaped)
    return host(slot.text) if type_ == "CNAME" else next(iter(dict(Address.of({type_: [slot.text]}).records()).values()))[0]


def said(record: Record, escaped: bool) -> Counter[str]:
    """The values of a record."""
    return Counter(meant(record.type, slot, escaped) for slot in slots(record))


def prove(old: str, new: str, wanted: Mapping[str, Wanted], default_ttl: int, escaped: bool) -> None:
    """Every other key of `new` says what it said in `old`, and the wanted names hold exactly these values with this TTL.

    `wanted` is keyed by names relative to the zone. Raises `ZoneProblem` (MTS465) where that is not so: nothing may be written then.
    """
    before = parse(old, None)
    try:
        after = parse(new, None)
        found = owners(after, wanted)
    except ZoneProblem as problem:
        raise _failed(f"the edited text cannot be read ({problem.message})") from problem
    if _others(before, wanted) != _others(after, wanted):
        raise _failed("another record would change")
    had = owners(before, wanted)
    for key, want in wanted.items():
        owner = found.get(key)
        if _beside(had.get(key), want.types) != _beside(owner, want.types):
            raise _failed(f"another record or setting at `{key}` would change")
        for type_ in want.types:
            values = want.values.get(type_, Counter())
            if values and _settings(had.get(key), type_) not in ([], _settings(owner, type_)):
                raise _failed(f"another record or setting at `{key}` would change")
            record = owner.of(type_) if owner else None
            got = said(record, escaped) if record else Counter()
            if got != values or (record is not None and values and ttl_of(record, default_ttl) != want.ttl):
                raise _failed(f"the record at `{key}` would not get the values that it should")


def _failed(what: str) -> ZoneProblem:
    return ZoneProblem(
        "MTS465",
        f"this file cannot be edited in place without touching something else: {what}",
        1,
        1,
        "Write the record in the usual way, one key a line, and run again.",
    )


def _others(document: Document, wanted: Mapping[str, object]) -> list[tuple[object, object]]:
    if not isinstance(document.root, Map):
        return []
    kept = []
    for key, value in document.root.entries:
        scalar = key.target if isinstance(key, Alias) else key
        if is_merge(scalar) or name_of(scalar) not in wanted:
            kept.append((_signature(key), _signature(value)))
    return kept


def _beside(owner: Owner | None, types: tuple[str, ...]) -> list[object]:
    """The other records at a name."""
    return [_signature(record.node) for record in owner.records if record.type not in types] if owner else []


def _settings(owner: Owner | None, type_: str) -> list[object]:
    """All that the record of a type at a name has besides its values and TTL (`type`, `octodns`)."""
    record = owner.of(type_) if owner else None
    return [(key, _signature(field.node)) for key, field in record.fields.items() if key not in _OURS] if record else []


def _signature(node: Node) -> object:
    if isinstance(node, Alias):
        return ("*", node.event.anchor)
    anchor = place(node).anchor
    if isinstance(node, Seq):
        return ("seq", anchor, node.first.tag, tuple(_signature(item) for item in node.items))
    if isinstance(node, Map):
        return ("map", anchor, node.first.tag, tuple((_signature(key), _signature(value)) for key, value in node.entries))
    return ("scalar", anchor, tag_of(node), node.value)
