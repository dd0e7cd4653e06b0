"""What an octoDNS provider holds, as facts: its zones, and the records at our names; and the refusal of providers that lose zones.

Nothing here writes. octoDNS's loggers are silenced here too, because what fails is raised, and said once, by us.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from octodns.record import Record
from octodns.zone import Zone

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns import values
from mtasts_deploy.dns.trouble import Kind, look, unreadable
from mtasts_deploy.dns.zone_records import host
from mtasts_deploy.dns.zone_text import absolute, raw, relative
from mtasts_deploy.errors import MtastsError, ObservationError, Refused
from mtasts_deploy.facts import MxSet, NameFacts, TxtSet, ZoneFacts, ZoneName, is_policy_host

TXT = "TXT"


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
            message = f"the provider {provider.id} (octodns_bind.ZoneFileProvider) overwrites the whole zone file with our records only"
            hint = "Use octodns_bind.Rfc2136Provider, or keep the zone as YAML."
            raise Refused(Diagnostic(code="MTS462", message=message, hint=hint))


def zones(provider: Any) -> frozenset[ZoneName] | None:
    """The zones that the provider lists (A-labels, root dot); None if it cannot list any."""
    if not hasattr(provider, "list_zones"):
        return None
    return frozenset(ZoneName(Zone(name, []).name) for name in provider.list_zones())


def is_missing(provider: Any, zone: ZoneName, exists: object) -> bool:
    """Is the zone not there? Cloudflare says so of an empty zone, so the listing has the last word."""
    return not exists and zone not in (zones(provider) or ())


def raw_value(value: Any) -> str:
    """The text of one TXT value, without octoDNS's escaping."""
    return str(value.to_raw_text()) if hasattr(value, "to_raw_text") else raw(str(value), True)


def txt_set(record: Any) -> TxtSet | None:
    """The values and TTL of an octoDNS TXT record; None if there is none."""
    return TxtSet(values=tuple(raw_value(value) for value in record.values), ttl=record.ttl) if record is not None else None


def read_zone(provider: Any, zone: ZoneName, names: Collection[str], *, min_ttl: int = 0) -> ZoneFacts:
    """What the provider holds at these names now. Give it a fresh provider object: some keep what they once read.

    `min_ttl` (seconds) is the shortest TTL that the provider takes, as far as is known; its own `min_ttl`, if it has one, counts too.
    Raises `ObservationError`: MTS458 no such zone, MTS463 and MTS474 to MTS478 why it cannot be read; `Refused` for an unusable provider.
    """
    existing = Zone(zone, [])
    try:
        exists = ready(provider).populate(existing, target=True, lenient=True)
        if is_missing(provider, zone, exists):
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
        cuts.update(cuts_above(owners, zone, name))
    return ZoneFacts(provider=provider, zone=zone, names=found, cuts=cuts)


def _name_facts(records: Mapping[str, Any], *, policy_host: bool) -> NameFacts:
    mx = records.get("MX")
    cname = records.get("CNAME")
    return NameFacts(
        txt=txt_set(records.get(TXT)),
        mx=MxSet(hosts=tuple(sorted({host(str(value.exchange)) for value in mx.values})), ttl=mx.ttl) if mx else None,
        others=tuple(sorted(set(records) - {TXT, "MX"})),
        cname=host(str(cname.value)) if cname else None,
        address=values.address_set(records.values()) if policy_host else None,
    )


def cuts_above(by_name: Mapping[str, Mapping[str, Any]], zone: ZoneName, name: str) -> dict[str, str]:
    """Where the zone stops answering for `name`: the names at or above it that have NS (not the apex) or DNAME records, with the type."""
    found = {}
    key = relative(zone, name)
    while True:
        at = by_name.get(absolute(zone, key), {})
        if "DNAME" in at or ("NS" in at and key):
            found[absolute(zone, key)] = "DNAME" if "DNAME" in at else "NS"
        if not key:
            return found
        key = key.partition(".")[2]


def root_ns(provider: Any, zone: ZoneName) -> Any:
    """The root NS record that a provider which writes whole files would lose unless the desired zone has it; None where none is lost."""
    if not hasattr(provider, "directory") or getattr(provider, "splices", False):
        return None
    probe = Zone(zone, [])
    provider.populate(probe, target=True, lenient=True)
    return probe.root_ns
