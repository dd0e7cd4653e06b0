"""The bridge writes to a zone through any octoDNS provider, and changes our TXT values and addresses of policy hosts only.

With its neighbours `reading`, `overlay`, `build`, `zone_files` and `octodns_target`, the only code that imports octoDNS. Whole zones are
planned, with all that is not ours laid over them (`overlay`); the finished plan is then checked change by change. octoDNS's percentage
limits are not asked: each change has been approved by itself, and a small zone that is mostly ours would always break them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from octodns.provider.plan import Plan
from octodns.zone import Zone

from mtasts_deploy.dns import reading, values
from mtasts_deploy.dns.interface import Guarantee, unproved
from mtasts_deploy.dns.overlay import Changes, Overlay, desired_zone, refused, wanted_set, zone_level
from mtasts_deploy.dns.reading import TXT
from mtasts_deploy.dns.trouble import unreadable, unwritten
from mtasts_deploy.dns.zone_text import absolute
from mtasts_deploy.errors import MtastsError, ProviderError, Refused
from mtasts_deploy.facts import ADDRESS_TYPES, Address, AddressChange, Change, RecordKind, TxtSet, ZoneName


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
    reading.ready(provider)
    if getattr(provider, "apply_disabled", False):
        raise refused("MTS464", f"provider {provider.id} has `apply_disabled`, so octoDNS writes nothing there", "Remove the option.")
    grouped = Changes.of(zone, changes)
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


def _checked_plan(provider: Any, zone: ZoneName, changes: Changes, again: bool) -> Any:
    overlay = Overlay(zone, changes, again)
    try:
        wanted = {key: wanted_set(group) for key, group in changes.txt.items()}
        desired = desired_zone(zone, wanted, changes.addresses)
        if (root := reading.root_ns(provider, zone)) is not None:
            desired.add_record(root, lenient=True)
        plan = provider.plan(desired, processors=[overlay], lenient=True)
        if (plan is None or not plan.exists) and reading.is_missing(provider, zone, plan.exists if plan else _exists(provider, zone)):
            raise Refused(reading.no_zone(provider, zone))
    except MtastsError:
        raise
    except Exception as error:
        raise Refused(unreadable(provider.id, zone, error)) from error
    if plan is not None and plan.meta:
        raise Refused(zone_level(provider, zone, plan.meta))
    mine = [change for change in (plan.changes if plan else []) if change.record in changes]
    _assert_exact(provider, zone, [change for change in mine if change.record._type == TXT], wanted, overlay.existing)
    _assert_leads(provider, zone, mine, changes.addresses, overlay.addresses)
    if not mine:
        return None
    return Plan(plan.existing, plan.desired, mine, plan.exists)


def _exists(provider: Any, zone: ZoneName) -> bool:
    return bool(provider.populate(Zone(zone, []), target=True, lenient=True))


def _assert_exact(
    provider: Any, zone: ZoneName, mine: Sequence[Any], wanted: Mapping[str, TxtSet | None], existing: Mapping[str, TxtSet | None]
) -> None:
    """Each of our changes is in the plan and says what we want; one that is not needed is already true (but for a TTL the provider
    overrides).
    """
    planned = {change.record.name: change for change in mine}
    for key, want in wanted.items():
        change = planned.get(key)
        after = reading.txt_set(change.new) if change is not None else existing.get(key)
        if sorted(after.values if after else ()) != sorted(want.values if want else ()):
            name = absolute(zone, key)
            raise refused(
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
            raise refused(
                "MTS464",
                f"octoDNS leaves {absolute(zone, key)} at provider {provider.id} as it is: "
                f"{Address.of(after) or 'nothing'} instead of {change.after}",
                "Look for `octodns: {ignored, included, excluded}` at the record; remove it, or set the address elsewhere.",
            )
