"""The octoDNS bridge: reads and writes zones through any octoDNS provider, and changes our TXT values and addresses of policy hosts only.

With `zone_files` (and `octodns_target`) the only code that imports octoDNS. Whole zones are planned with everything that is not ours
copied from what exists, because octoDNS's name filter empties zones on providers that write whole files; the finished plan is then checked
change by change. octoDNS's percentage limits are not asked: each change has been approved by itself, and a small zone that is mostly ours
would always break them.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from octodns.processor.base import BaseProcessor
from octodns.provider.plan import Plan
from octodns.record import Record
from octodns.zone import Zone

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns import values
from mtasts_deploy.dns.interface import Guarantee, unproved
from mtasts_deploy.dns.trouble import Kind, look, unreadable, unwritten
from mtasts_deploy.dns.zone_records import host
from mtasts_deploy.dns.zone_text import absolute, raw, relative
from mtasts_deploy.errors import MtastsError, ObservationError, ProviderError, Refused
from mtasts_deploy.facts import (
    ADDRESS_TYPES,
    Address,
    AddressChange,
    AddressSet,
    Change,
    MxSet,
    NameFacts,
    RecordChange,
    RecordKind,
    TxtSet,
    ZoneFacts,
    ZoneName,
    besides,
    is_policy_host,
)

_TXT = "TXT"
BESIDE = "Remove those records, or declare `address` with `a` and `aaaa`: no other record can stand beside a CNAME."


@functools.cache
def prepare() -> None:
    """Once per process: octoDNS's `legacy` validators on (else it warns), and its loggers silent."""
    for owner, switch in ((Record, "enable_validators"), (Zone, "enable_zone_validators")):
        if hasattr(owner, switch):
            getattr(owner, switch)(["legacy"])
    for name in ("Record", "Zone", "Plan", "Manager"):
        hush(logging.getLogger(name))


def hush(logger: logging.Logger) -> None:
    """Silent, unless somebody set its level or asked for everything (`-vv`): what fails is raised, and said once, by us."""
    if logger.level == logging.NOTSET and not logging.getLogger().isEnabledFor(logging.DEBUG):
        logger.setLevel(logging.CRITICAL + 1)


def ready(provider: Any) -> Any:
    """The provider, with its logger quiet and refused if it can never be a target."""
    prepare()
    if isinstance(getattr(provider, "log", None), logging.Logger):
        hush(provider.log)
    refuse_unusable(provider)
    return provider


def refuse_unusable(provider: Any) -> None:
    """Raise `Refused` (MTS462) for a provider that loses whole zones as a target: octodns-bind's ZoneFileProvider."""
    for kind in type(provider).__mro__:
        if kind.__name__ == "ZoneFileProvider" and kind.__module__.startswith("octodns_bind"):
            raise _refused(
                "MTS462",
                f"the provider {provider.id} (octodns_bind.ZoneFileProvider) overwrites the whole zone file with our records only",
                "Use octodns_bind.Rfc2136Provider, or keep the zone as YAML.",
            )


def _refused(code: str, message: str, hint: str | None = None) -> Refused:
    return Refused(Diagnostic(code=code, message=message, hint=hint))


def zones(provider: Any) -> frozenset[ZoneName] | None:
    """The zones that the provider lists (A-labels, root dot); None if it cannot list any."""
    if not hasattr(provider, "list_zones"):
        return None
    return frozenset(ZoneName(Zone(name, []).name) for name in provider.list_zones())


def _missing(provider: Any, zone: ZoneName, exists: object) -> bool:
    """Is the zone not there? Cloudflare says so of an empty zone, so the listing has the last word."""
    return not exists and zone not in (zones(provider) or ())


def raw_value(value: Any) -> str:
    """The text of one TXT value, without octoDNS's escaping."""
    return str(value.to_raw_text()) if hasattr(value, "to_raw_text") else raw(str(value), True)


def _txt(record: Any) -> TxtSet | None:
    return TxtSet(values=tuple(raw_value(value) for value in record.values), ttl=record.ttl) if record is not None else None


def read_zone(provider: Any, zone: ZoneName, names: Collection[str], *, min_ttl: int = 0) -> ZoneFacts:
    """What the provider holds at these names now. Give it a fresh provider object: some keep what they once read.

    `min_ttl` (seconds) is the shortest TTL that the provider takes, as far as is known; its own `min_ttl`, if it has one, counts too.
    Raises `ObservationError`: MTS458 no such zone, MTS463 and MTS474 to MTS478 why it cannot be read; `Refused` for an unusable provider.
    """
    existing = Zone(zone, [])
    try:
        exists = ready(provider).populate(existing, target=True, lenient=True)
        if _missing(provider, zone, exists):
            raise ObservationError(no_zone(provider, zone))
        found = _facts(existing, provider.id, zone, names)
    except MtastsError:
        raise
    except Exception as error:
        raise ObservationError(unreadable(provider.id, zone, error, _culprit(provider, zone, error))) from error
    own = getattr(provider, "min_ttl", 0)
    return replace(found, min_ttl=max(min_ttl, own if isinstance(own, int) else 0))


def no_zone(provider: Any, zone: ZoneName) -> Diagnostic:
    """What to say of a zone that is not there."""
    message = f"provider {provider.id} has no zone {zone[:-1]}; octoDNS would create it"
    return Diagnostic(code="MTS458", message=message, hint="Create the zone there, or correct `zone` or `dns` of the domain.")


def _culprit(provider: Any, zone: ZoneName, error: Exception) -> str:
    """The record that octoDNS cannot read, where the error does not name it and the provider gives its records one by one (RFC 2136)."""
    if look(error).kind is not Kind.RECORD or zone[:-1] in str(error) or not hasattr(provider, "zone_records"):
        return ""
    try:
        records = list(provider.zone_records(Zone(zone, []), True))
    except Exception:
        return ""
    for one in records:
        try:
            Record.from_rrs(Zone(zone, []), [one], lenient=True)
        except Exception:
            return f"{str(getattr(one, 'name', '')).rstrip('.')} {getattr(one, '_type', '')}"
    return ""


def by_name(existing: Any, zone: ZoneName) -> dict[str, dict[str, Any]]:
    """The records of an octoDNS zone by absolute name (no root dot) and type."""
    owners: dict[str, dict[str, Any]] = {}
    for record in existing.records:
        owners.setdefault(absolute(zone, record.name), {})[record._type] = record
    return owners


def _facts(existing: Any, provider: str, zone: ZoneName, names: Collection[str]) -> ZoneFacts:
    owners = by_name(existing, zone)
    found = {name: _name_facts(owners[name], policy_host=is_policy_host(name)) for name in names if name in owners}
    cuts: dict[str, str] = {}
    for name in names:
        cuts.update(_cuts(owners, zone, name))
    return ZoneFacts(provider=provider, zone=zone, names=found, cuts=cuts)


def _name_facts(records: Mapping[str, Any], *, policy_host: bool) -> NameFacts:
    mx = records.get("MX")
    cname = records.get("CNAME")
    return NameFacts(
        txt=_txt(records.get(_TXT)),
        mx=MxSet(hosts=tuple(sorted({host(str(value.exchange)) for value in mx.values})), ttl=mx.ttl) if mx else None,
        others=tuple(sorted(set(records) - {_TXT, "MX"})),
        cname=host(str(cname.value)) if cname else None,
        address=values.address_set(records.values()) if policy_host else None,
    )


def _cuts(by_name: Mapping[str, Mapping[str, Any]], zone: ZoneName, name: str) -> dict[str, str]:
    found = {}
    key = relative(zone, name)
    while True:
        at = by_name.get(absolute(zone, key), {})
        if "DNAME" in at or ("NS" in at and key):
            found[absolute(zone, key)] = "DNAME" if "DNAME" in at else "NS"
        if not key:
            return found
        key = key.partition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """All changes of one zone: TXT records and addresses by their names within the zone."""

    txt: Mapping[str, Sequence[RecordChange]]
    addresses: Mapping[str, AddressChange]

    @classmethod
    def of(cls, zone: ZoneName, changes: Sequence[Change]) -> _Changes:
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
        return record.name in (self.txt if record._type == _TXT else self.addresses if record._type in ADDRESS_TYPES else ())


class _Overlay(BaseProcessor):  # type: ignore[misc, unused-ignore]
    """Everything that is there and not ours goes into the desired zone, so that it cannot differ; ours is checked against the plan."""

    def __init__(self, zone: ZoneName, changes: _Changes, again: bool) -> None:
        super().__init__("mtasts-deploy")
        self.zone, self.changes, self.again = zone, changes, again
        self.existing: dict[str, TxtSet | None] = {}
        self.addresses: dict[str, Address] = {}

    def process_source_and_target_zones(  # octoDNS calls this hook, with these arguments
        self,
        desired: Any,
        existing: Any,
        target: Any,  # noqa: ARG002
        lenient: bool = True,  # noqa: ARG002
    ) -> tuple[Any, Any]:
        owners = by_name(existing, self.zone)
        for record in existing.records:
            if record not in self.changes:
                desired.add_record(record, replace=True, lenient=True)
        for key, changes in self.changes.txt.items():
            name = absolute(self.zone, key)
            refuse_if_blocked(owners, self.zone, name)
            old = owners.get(name, {}).get(_TXT)
            self.existing[key] = _txt(old) if self.again and _halfway(changes, _txt(old)) else _as_planned(name, changes, _txt(old))
            _carry_metadata(desired, key, old)
        for key, change in self.changes.addresses.items():
            records = owners.get(change.name, {})
            _refuse_address(records, self.zone, owners, change)
            found = values.address_set(records.values())
            if found != change.before and not (self.again and _between(change, found)):
                raise _changed("address", change.name, _shown(change.before), _shown(found))
            self.addresses[key] = found.address if found else Address()
            for old in records.values():
                _carry_metadata(desired, key, old)
        return desired, existing


def _carry_metadata(desired: Any, key: str, old: Any) -> None:
    new = next((record for record in desired.records if old is not None and record.name == key and record._type == old._type), None)
    if new is not None and new is not old and old.octodns:
        data = {**new.data, "type": old._type, "octodns": _metadata(old.octodns)}
        desired.add_record(Record.new(desired, key, data, lenient=True), replace=True, lenient=True)


def _refuse_address(records: Mapping[str, Any], zone: ZoneName, owners: Mapping[str, Mapping[str, Any]], change: AddressChange) -> None:
    """Raise `Refused` where the address cannot stand: other types beside a CNAME (MTS487), NS or DNAME at or above it (MTS460)."""
    beside = besides(records, change.after)
    if beside:
        raise _refused("MTS487", f"{change.name} has {' and '.join(beside)} records, beside which no {change.after} can stand", BESIDE)
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
    return _refused("MTS702", message, "Nothing was written. Plan again.")


def refuse_if_blocked(owners: Mapping[str, Mapping[str, Any]], zone: ZoneName, name: str) -> None:
    """Raise `Refused` where no TXT record can stand at `name`: a CNAME there (MTS459), NS or DNAME at or above it (MTS460)."""
    cname = owners.get(name, {}).get("CNAME")
    if cname is not None:
        message = f"{name} is a CNAME for {host(str(cname.value))}, so it can hold no TXT record (RFC 1034 §3.6.2)"
        raise _refused("MTS459", message, "Remove the CNAME, or publish the record where it points and declare `sts: elsewhere`.")
    _refuse_cuts(owners, zone, name)


def _refuse_cuts(owners: Mapping[str, Mapping[str, Any]], zone: ZoneName, name: str) -> None:
    for cut, type_ in _cuts(owners, zone, name).items():
        if type_ == "DNAME" and cut == name:
            continue
        message = f"{name} lies at or below {cut}, which has {type_} records: this zone does not answer for it"
        raise _refused("MTS460", message, "Name the zone that holds the name (`zone`), at the provider that serves it.")


def _wanted(changes: Sequence[RecordChange]) -> TxtSet | None:
    """What one name is to hold: our value, with the TTL of ours, or what others have there, with the TTL that it has."""
    before = changes[0].before
    now = values.after(before.values if before else (), changes)
    ttls = [change.ttl for change in changes if change.value is not None]
    if not now:
        return None
    return TxtSet(values=now, ttl=ttls[0] if ttls else before.ttl if before else changes[0].ttl)


def _desired(zone: ZoneName, wanted: Mapping[str, TxtSet | None], addresses: Mapping[str, AddressChange]) -> Any:
    desired = Zone(zone, [])
    for key, txt in wanted.items():
        if txt is not None:
            data = {"type": _TXT, "ttl": txt.ttl, "values": [value.replace(";", "\\;") for value in txt.values]}
            desired.add_record(Record.new(desired, key, data, lenient=True), lenient=True)
    for key, change in addresses.items():
        for kind, targets in change.after.records():
            said = {"value": f"{targets[0]}."} if kind == "CNAME" else {"values": list(targets)}
            desired.add_record(Record.new(desired, key, {"type": kind, "ttl": change.ttl, **said}, lenient=True), lenient=True)
    return desired


def write_zone(
    provider: Any,
    zone: ZoneName,
    changes: Sequence[Change],
    *,
    prove: Callable[[], None] = unproved,
    guarantee: Guarantee = Guarantee.RECORD_BY_RECORD,
    again: bool = False,
) -> None:
    """Make these changes of one zone at an octoDNS provider, and no others. A return proves nothing: `read_zone` with a fresh provider.

    On a provider that writes record by record, TLSRPT records go first and `_mta-sts` records last. `again`: an earlier try of the same
    changes may have written some of them, so what it may have left behind is no stranger's. `prove` is called before each stage is written,
    after all that is read, and raises if it must not be. Raises `Refused` while nothing has been
    written: MTS458 no such zone, MTS459 CNAME, MTS460 NS or DNAME, MTS461 zone-level changes, MTS462 unusable provider, MTS463 and MTS474
    to MTS478 unreadable zone, MTS464 octoDNS leaves the record alone, MTS702 the record changed since it was planned. Raises
    `ProviderError` (MTS468, MTS474 to MTS477) after that.
    """
    ready(provider)
    if getattr(provider, "apply_disabled", False):
        raise _refused("MTS464", f"provider {provider.id} has `apply_disabled`, so octoDNS writes nothing there", "Remove the option.")
    grouped = _Changes.of(zone, changes)
    plan = _checked_plan(provider, zone, grouped, again)
    if plan is None:
        return
    stages = [plan.changes]
    if guarantee is Guarantee.RECORD_BY_RECORD and not hasattr(provider, "directory"):  # a file's second write would undo its first
        last = {key for key, group in grouped.txt.items() if any(change.kind is RecordKind.STS for change in group)}
        stages = [[c for c in plan.changes if (c.record.name in last) is late] for late in (False, True)]
    written = False
    for stage in filter(None, stages):
        _still(prove, written)
        written = _apply(provider, zone, Plan(plan.existing, plan.desired, stage, plan.exists), written)


def _still(prove: Callable[[], None], written: bool) -> None:
    """May we write? If not, and something was written already, it is not known how far the zone has come."""
    try:
        prove()
    except MtastsError as error:
        if written:
            raise ProviderError(*error.diagnostics) from error
        raise


def _apply(provider: Any, zone: ZoneName, plan: Any, written: bool) -> bool:
    try:
        provider.apply(plan)
    except MtastsError as error:
        if written and isinstance(error, Refused):
            raise ProviderError(*error.diagnostics) from error
        raise
    except Exception as error:
        raise ProviderError(unwritten(provider.id, zone, error)) from error
    return True


def _checked_plan(provider: Any, zone: ZoneName, changes: _Changes, again: bool) -> Any:
    overlay = _Overlay(zone, changes, again)
    try:
        wanted = {key: _wanted(group) for key, group in changes.txt.items()}
        desired = _desired(zone, wanted, changes.addresses)
        if (root := root_ns(provider, zone)) is not None:
            desired.add_record(root, lenient=True)
        plan = provider.plan(desired, processors=[overlay], lenient=True)
        if (plan is None or not plan.exists) and _missing(provider, zone, plan.exists if plan else _exists(provider, zone)):
            raise Refused(no_zone(provider, zone))
    except MtastsError:
        raise
    except Exception as error:
        raise Refused(unreadable(provider.id, zone, error)) from error
    if plan is not None and plan.meta:
        raise Refused(zone_level(provider, zone, plan.meta))
    mine = [change for change in (plan.changes if plan else []) if change.record in changes]
    _assert_exact(provider, zone, [change for change in mine if change.record._type == _TXT], wanted, overlay.existing)
    _assert_leads(provider, zone, mine, changes.addresses, overlay.addresses)
    if not mine:
        return None
    return Plan(plan.existing, plan.desired, mine, plan.exists)


def zone_level(provider: Any, zone: ZoneName, meta: object) -> Diagnostic:
    """What to say of a plan that would change more than records."""
    message = f"provider {provider.id} would also change the zone {zone[:-1]} itself: {meta}"
    return Diagnostic(code="MTS461", message=message, hint="Make that change yourself, or correct the provider's options.")


def _exists(provider: Any, zone: ZoneName) -> bool:
    return bool(provider.populate(Zone(zone, []), target=True, lenient=True))


def root_ns(provider: Any, zone: ZoneName) -> Any:
    """The root NS record that a provider which writes whole files would lose unless the desired zone has it; None where none is lost."""
    if not hasattr(provider, "directory") or getattr(provider, "splices", False):
        return None
    probe = Zone(zone, [])
    provider.populate(probe, target=True, lenient=True)
    return probe.root_ns


def _assert_exact(
    provider: Any, zone: ZoneName, mine: Sequence[Any], wanted: Mapping[str, TxtSet | None], existing: Mapping[str, TxtSet | None]
) -> None:
    """Each of our changes is in the plan and says what we want; one that is not needed is already true (but for a TTL the provider
    overrides).
    """
    planned = {change.record.name: change for change in mine}
    for key, want in wanted.items():
        change = planned.get(key)
        after = _txt(change.new) if change is not None else existing.get(key)
        if sorted(after.values if after else ()) != sorted(want.values if want else ()):
            name = absolute(zone, key)
            raise _refused(
                "MTS464",
                f"octoDNS leaves {name} at provider {provider.id} as it is: {values.shown(after)} instead of {values.shown(want)}",
                "Look for `octodns: {ignored, included, excluded}` at the record; remove it, or publish this domain elsewhere.",
            )


def _assert_leads(
    provider: Any, zone: ZoneName, mine: Sequence[Any], wanted: Mapping[str, AddressChange], existing: Mapping[str, Address]
) -> None:
    """After our changes each address is the wanted one."""
    for key, change in wanted.items():
        after = {kind: list(found) for kind, found in existing.get(key, Address()).records()}
        for one in mine:
            if one.record.name == key and one.record._type in ADDRESS_TYPES:
                new = {} if one.new is None else dict(values.address_of([one.new]).records())
                after[one.record._type] = list(new.get(one.record._type, ()))
        if Address.of(after) != change.after:
            raise _refused(
                "MTS464",
                f"octoDNS leaves {absolute(zone, key)} at provider {provider.id} as it is: "
                f"{Address.of(after) or 'nothing'} instead of {change.after}",
                "Look for `octodns: {ignored, included, excluded}` at the record; remove it, or set the address elsewhere.",
            )
