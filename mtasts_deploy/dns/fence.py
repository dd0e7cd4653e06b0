"""The fence around a zone that octodns-sync writes and others own: of the whole zone only our TXT records may change.

The same overlay as in `overlay`, for a desired zone that octoDNS's sources made: everything that exists is copied into it, everything that
does not exist and is not ours is taken out of it, and the finished plan is checked change by change.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from octodns.provider.plan import Plan
from octodns.record import Record

from mtasts_deploy.dns import overlay, reading
from mtasts_deploy.dns.zone_text import absolute
from mtasts_deploy.errors import Refused
from mtasts_deploy.facts import RecordKind, ZoneName

_TXT = "TXT"


@dataclass(frozen=True, slots=True, kw_only=True)
class OurName:
    """A name within the zone (`_mta-sts.mail`) whose TXT record may change; without one in the sources it goes only if `removable`."""

    key: str
    kind: RecordKind
    removable: bool = False


def keep_others(desired: Any, existing: Any, target: Any, ours: Collection[OurName]) -> None:
    """Make `desired` differ from `existing` (both copies that octoDNS lets processors change) in our TXT records only.

    Values of others at our names, and the metadata of the records there, stay. Raises `Refused`: MTS459 CNAME at our name, MTS460 NS or
    DNAME above it, MTS462 a target that loses whole zones.
    """
    reading.refuse_unusable(target)
    _bring_back_root_ns(existing, target)
    keys = {name.key for name in ours}
    wanted = {record.name: record for record in desired.records if _at(record, keys)}
    for record in desired.records:
        desired.remove_record(record)
    found: dict[str, Any] = {}
    for record in existing.records:
        if _at(record, keys):
            found[record.name] = record
        else:
            desired.add_record(record, replace=True, lenient=True)
    by_name = reading.by_name(existing, existing.name)
    for name in ours:
        new, old = wanted.get(name.key), found.get(name.key)
        if new is not None:
            overlay.refuse_if_blocked(by_name, ZoneName(existing.name), absolute(ZoneName(existing.name), name.key))
        record = _merged(desired, name, new, old)
        if record is not None:
            desired.add_record(record, replace=True, lenient=True)


def _at(record: Any, keys: Collection[str]) -> bool:
    return record._type == _TXT and record.name in keys


def _bring_back_root_ns(existing: Any, target: Any) -> None:
    """Where no source has a root NS record, octoDNS takes it out of `existing`; a target that writes whole files would then lose it."""
    if existing.root_ns is None and (root := reading.root_ns(target, ZoneName(existing.name))) is not None:
        existing.add_record(root, lenient=True)


def _merged(zone: Any, name: OurName, new: Any, old: Any) -> Any:
    """The record to be at our name: the sources' values, and those of others that are there."""
    if old is None:
        return new
    if new is None and not name.removable:
        return old
    values = [value for value in old.values if not name.kind.owns(reading.raw_value(value))]
    values += [value for value in (new.values if new is not None else ()) if value not in values]
    if not values:
        return None
    data = {"type": _TXT, "ttl": (new or old).ttl, "values": values, "octodns": dict(old.octodns or {})}
    return Record.new(zone, name.key, data, lenient=True)


def _listed(target: Any, zone: ZoneName) -> bool:
    """Does the target list the zone? Some say of an empty zone that it does not exist; one that cannot be asked has none."""
    try:
        return zone in (reading.zones(target) or ())
    except Exception:
        return False


def checked(plan: Any, target: Any, ours: Collection[OurName]) -> Any:
    """The plan with the changes of our TXT records only, or None if there are none.

    Raises `Refused`: MTS458 the zone does not exist at the target (octoDNS would create it), MTS461 more than records would change.
    """
    if plan is None:
        return None
    zone = ZoneName(plan.desired.name)
    if not plan.exists and not _listed(target, zone):
        raise Refused(reading.no_zone(target, zone))
    if plan.meta:
        raise Refused(overlay.zone_level(target, zone, plan.meta))
    keys = {name.key for name in ours}
    mine = [change for change in plan.changes if _at(change.record, keys)]
    if not mine:
        return None
    return Plan(
        plan.existing,
        plan.desired,
        mine,
        plan.exists,
        update_pcent_threshold=plan.update_pcent_threshold,
        delete_pcent_threshold=plan.delete_pcent_threshold,
    )
