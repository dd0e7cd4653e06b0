"""What a record holds: a TXT record after one of our changes (ours exactly once, the values of others as they were), and addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mtasts_deploy.dns.zone_records import host
from mtasts_deploy.facts import ADDRESS_TYPES, Address, AddressSet, RecordChange, TxtSet


def after(values: Sequence[str], changes: Iterable[RecordChange]) -> tuple[str, ...]:
    """The raw values after these changes of one name, in the order of before: several of ours become one, at the place of the first."""
    now = list(values)
    for change in changes:
        ours = [index for index, value in enumerate(now) if change.kind.owns(value)]
        kept = [value for value in now if not change.kind.owns(value)]
        if change.value is not None:
            kept.insert(ours[0] if ours else len(kept), change.value)
        now = kept
    return tuple(now)


def same(one: TxtSet | None, other: TxtSet | None) -> bool:
    """Are these the same values with the same TTL? Order says nothing in DNS (RFC 2181 §5)."""
    if one is None or other is None:
        return one is other
    return one.ttl == other.ttl and sorted(one.values) == sorted(other.values)


def shown(txt: TxtSet | None) -> str:
    """A TXT set as messages name it."""
    if txt is None:
        return "nothing"
    return f"{', '.join(repr(value) for value in txt.values) or 'no value'} with TTL {txt.ttl}"


def address_of(records: Iterable[Any]) -> Address:
    """Where octoDNS records lead; those of other types do not count."""
    found: dict[str, list[str]] = {}
    for record in records:
        if record._type == "CNAME":
            found["CNAME"] = [host(str(record.value))]
        elif record._type in ADDRESS_TYPES:
            found[record._type] = [str(value) for value in record.values]
    return Address.of(found)


def address_set(records: Iterable[Any]) -> AddressSet | None:
    """The same with the largest TTL; None where no record leads anywhere."""
    several = [record for record in records if record._type in ADDRESS_TYPES]
    found = address_of(several)
    return AddressSet(address=found, ttl=max(record.ttl for record in several)) if found else None
