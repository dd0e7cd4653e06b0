"""What octoDNS is told to make of a zone: everything that exists and is not ours, copied, and our changes, checked against the plan.

octoDNS's name filter empties zones on providers that write whole files, so nothing is filtered: what is not ours cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from octodns.processor.base import BaseProcessor
from octodns.record import Record
from octodns.zone import Zone

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns import reading, values
from mtasts_deploy.dns.reading import TXT
from mtasts_deploy.dns.zone_records import host
from mtasts_deploy.dns.zone_text import absolute, relative
from mtasts_deploy.errors import Refused
from mtasts_deploy.facts import (
    ADDRESS_TYPES,
    Address,
    AddressChange,
    AddressSet,
    Change,
    RecordChange,
    TxtSet,
    ZoneName,
    besides,
)

BESIDE = "Remove those records, or declare `address` with `a` and `aaaa`: no other record can stand beside a CNAME."


def refused(code: str, message: str, hint: str | None = None) -> Refused:
    """A refusal with one finding, to be raised before anything is written."""
    return Refused(Diagnostic(code=code, message=message, hint=hint))


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All changes of one zone: TXT records and addresses by their names within the zone."""

    txt: Mapping[str, Sequence[RecordChange]]
    addresses: Mapping[str, AddressChange]

    @classmethod
    def of(cls, zone: ZoneName, changes: Sequence[Change]) -> Changes:
        """The changes, sorted by kind and name."""
        txt: dict[str, list[RecordChange]] = {}
        addresses: dict[str, AddressChange] = {}
        for change in changes:
            key = relative(zone, change.name)
            if isinstance(change, AddressChange):
                addresses[key] = change
            else:
                txt.setdefault(key, []).append(change)
        return cls(txt=txt, addresses=addresses)

    def __contains__(self, record: Any) -> bool:
        """Is this record, by name and type, one that we may change?"""
        return record.name in (self.txt if record._type == TXT else self.addresses if record._type in ADDRESS_TYPES else ())


class Overlay(BaseProcessor):  # type: ignore[misc, unused-ignore]
    """Everything that is there and not ours goes into the desired zone, so that it cannot differ; ours is checked against the plan."""

    def __init__(self, zone: ZoneName, changes: Changes, again: bool) -> None:
        super().__init__("mtasts-deploy")
        self.zone, self.changes, self.again = zone, changes, again
        self.existing: dict[str, TxtSet | None] = {}
        self.addresses: dict[str, Address] = {}

    def process_source_and_target_zones(self, desired: Any, existing: Any, target: Any, lenient: bool = True) -> tuple[Any, Any]:  # noqa: ARG002
        """The hook that octoDNS calls. Raises `Refused`: MTS459, MTS460, MTS487 ours cannot stand there, MTS702 it is not as planned."""
        owners = reading.by_name(existing, self.zone)
        for record in existing.records:
            if record not in self.changes:
                desired.add_record(record, replace=True, lenient=True)
        for key, changes in self.changes.txt.items():
            self._check_txt(absolute(self.zone, key), changes, owners)
            _carry_metadata(desired, key, owners.get(absolute(self.zone, key), {}).get(TXT))
        for key, change in self.changes.addresses.items():
            self._check_address(key, change, owners)
            for old in owners.get(change.name, {}).values():
                _carry_metadata(desired, key, old)
        return desired, existing

    def _check_txt(self, name: str, changes: Sequence[RecordChange], owners: Mapping[str, Mapping[str, Any]]) -> None:
        refuse_if_blocked(owners, self.zone, name)
        found = reading.txt_set(owners.get(name, {}).get(TXT))
        self.existing[relative(self.zone, name)] = found if self.again and _halfway(changes, found) else _as_planned(name, changes, found)

    def _check_address(self, key: str, change: AddressChange, owners: Mapping[str, Mapping[str, Any]]) -> None:
        records = owners.get(change.name, {})
        _refuse_address(records, self.zone, owners, change)
        found = values.address_set(records.values())
        if found != change.before and not (self.again and _between(change, found)):
            raise _changed("address", change.name, _shown(change.before), _shown(found))
        self.addresses[key] = found.address if found else Address()


def _carry_metadata(desired: Any, key: str, old: Any) -> None:
    new = next((record for record in desired.records if old is not None and record.name == key and record._type == old._type), None)
    if new is not None and new is not old and old.octodns:
        data = {**new.data, "type": old._type, "octodns": _metadata(old.octodns)}
        desired.add_record(Record.new(desired, key, data, lenient=True), replace=True, lenient=True)


def _refuse_address(records: Mapping[str, Any], zone: ZoneName, owners: Mapping[str, Mapping[str, Any]], change: AddressChange) -> None:
    """Raise `Refused` where the address cannot stand: other types beside a CNAME (MTS487), NS or DNAME at or above it (MTS460)."""
    beside = besides(records, change.after)
    if beside:
        raise refused("MTS487", f"{change.name} has {' and '.join(beside)} records, beside which no {change.after} can stand", BESIDE)
    _refuse_cuts(owners, zone, change.name)


def _shown(found: AddressSet | None) -> str:
    return "nothing" if found is None else f"{found.address} with TTL {found.ttl}"


def _between(change: AddressChange, found: AddressSet | None) -> bool:
    """Could an interrupted try of this change have left this: of each type nothing, the old values or the new ones?"""
    old = dict(change.before.address.records()) if change.before else {}
    new = dict(change.after.records())
    now = dict(found.address.records()) if found else {}
    return all(values in (old.get(kind), new.get(kind)) for kind, values in now.items())


def _metadata(octodns: Mapping[str, Any]) -> dict[str, Any]:
    """What stays of a record's metadata: all but Cloudflare's automatic TTL, with which the TTL that we set would never be true."""
    return {
        key: {name: one for name, one in value.items() if name != "auto-ttl"} if key == "cloudflare" and isinstance(value, dict) else value
        for key, value in octodns.items()
    }


def _halfway(changes: Sequence[RecordChange], found: TxtSet | None) -> bool:
    """Could an interrupted try of these changes have left this? The values of others as planned; of ours, old and new ones only."""
    now = set(found.values if found else ())
    before = set(changes[0].before.values if changes[0].before else ())
    owned = {value for value in now | before if any(change.kind.owns(value) for change in changes)}
    return now - owned == before - owned and now & owned <= before | {change.value for change in changes}


def _as_planned(name: str, changes: Sequence[RecordChange], found: TxtSet | None) -> TxtSet | None:
    for change in changes:
        if not values.same(change.before, found):
            raise _changed("TXT record", name, values.shown(change.before), values.shown(found))
    return found


def _changed(what: str, name: str, planned: str, found: str) -> Refused:
    message = f"the {what} at {name} changed since it was planned: it held {planned}, now it holds {found}"
    return refused("MTS702", message, "Nothing was written. Plan again.")


def zone_level(provider: Any, zone: ZoneName, meta: object) -> Diagnostic:
    """What to say of a plan that would change more than records."""
    message = f"provider {provider.id} would also change the zone {zone[:-1]} itself: {meta}"
    return Diagnostic(code="MTS461", message=message, hint="Make that change yourself, or correct the provider's options.")


def refuse_if_blocked(owners: Mapping[str, Mapping[str, Any]], zone: ZoneName, name: str) -> None:
    """Raise `Refused` where no TXT record can stand at `name`: a CNAME there (MTS459), NS or DNAME at or above it (MTS460)."""
    cname = owners.get(name, {}).get("CNAME")
    if cname is not None:
        message = f"{name} is a CNAME for {host(str(cname.value))}, so it can hold no TXT record (RFC 1034 §3.6.2)"
        raise refused("MTS459", message, "Remove the CNAME, or publish the record where it points and declare `sts: elsewhere`.")
    _refuse_cuts(owners, zone, name)


def _refuse_cuts(owners: Mapping[str, Mapping[str, Any]], zone: ZoneName, name: str) -> None:
    for cut, type_ in reading.cuts_above(owners, zone, name).items():
        if type_ == "DNAME" and cut == name:
            continue
        message = f"{name} lies at or below {cut}, which has {type_} records: this zone does not answer for it"
        raise refused("MTS460", message, "Name the zone that holds the name (`zone`), at the provider that serves it.")


def wanted_set(changes: Sequence[RecordChange]) -> TxtSet | None:
    """What one name is to hold: our value, with the TTL of ours, or what others have there, with the TTL that it has."""
    before = changes[0].before
    now = values.after(before.values if before else (), changes)
    ttls = [change.ttl for change in changes if change.value is not None]
    if not now:
        return None
    return TxtSet(values=now, ttl=ttls[0] if ttls else before.ttl if before else changes[0].ttl)


def desired_zone(zone: ZoneName, wanted: Mapping[str, TxtSet | None], addresses: Mapping[str, AddressChange]) -> Any:
    """The octoDNS zone with our records only, as they are to be; `Overlay` brings in all others."""
    desired = Zone(zone, [])
    for key, txt in wanted.items():
        if txt is not None:
            data = {"type": TXT, "ttl": txt.ttl, "values": [value.replace(";", "\\;") for value in txt.values]}
            desired.add_record(Record.new(desired, key, data, lenient=True), lenient=True)
    for key, change in addresses.items():
        for kind, targets in change.after.records():
            said = {"value": f"{targets[0]}."} if kind == "CNAME" else {"values": list(targets)}
            desired.add_record(Record.new(desired, key, {"type": kind, "ttl": change.ttl, **said}, lenient=True), lenient=True)
    return desired
