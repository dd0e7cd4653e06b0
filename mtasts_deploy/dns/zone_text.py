"""Reading one octoDNS YAML zone file's text: the facts at the names that were asked for, without octoDNS, in well under 0.1 ms for a usual
zone.

Never a guess: what cannot be read exactly as octoDNS would read it makes the whole zone `Unknown`, with its place. Editing is `zone_edit`.
"""

from __future__ import annotations

from collections.abc import Collection

from mtasts_deploy.diagnostics import Diagnostic, Span
from mtasts_deploy.dns.zone_nodes import BOM, Document, ZoneProblem, parse
from mtasts_deploy.dns.zone_records import Owner, address_of, cname_of, mx_hosts, owners, refusal, slots, ttl_of
from mtasts_deploy.facts import ADDRESS_TYPES, AddressSet, MxSet, NameFacts, TxtSet, Unknown, ZoneFacts, ZoneName, is_policy_host


def relative(zone: ZoneName, name: str) -> str:
    """The name relative to the zone (`''` is the apex). Raises `ValueError` if it does not lie in it."""
    apex = zone[:-1]
    if name == apex:
        return ""
    if name.endswith("." + apex):
        return name[: -len(apex) - 1]
    raise ValueError(f"{name} does not lie in the zone {zone}")


def absolute(zone: ZoneName, key: str) -> str:
    """The inverse of `relative`."""
    return f"{key}.{zone[:-1]}" if key else zone[:-1]


_EMPTY = "An empty file is more often a failed write than a wish: restore it. `{}` is a zone without records."


def read(
    text: str,
    zone: ZoneName,
    names: Collection[str],
    *,
    provider: str,
    shown: str,
    default_ttl: int = 3600,
    escaped_semicolons: bool = True,
) -> ZoneFacts | Unknown:
    """What the zone file's text holds at `names` (A-labels without root dot, in the zone), and the cuts at or above them.

    `shown` is the path that messages name. `default_ttl` and `escaped_semicolons` are the provider's. TXT values are raw text, sorted as
    octoDNS sorts them. `Unknown` (MTS451 to MTS456) for a text that octoDNS would refuse or read otherwise than is visible here; never
    raises for it.
    """
    asked = {relative(zone, name): name for name in names}
    above = {"", *asked}
    for key in asked:
        while "." in key:
            key = key.partition(".")[2]
            above.add(key)
    try:
        document = parse(text.removeprefix(BOM), above)
        found = owners(document, above)
        if document.void:
            raise ZoneProblem("MTS456", "the zone file holds no record at all", 1, 1, _EMPTY)
        facts, cuts = {}, {}
        for key, owner in found.items():
            if key in asked:
                facts[asked[key]] = _facts(owner, document, shown, default_ttl, escaped_semicolons, policy_host=is_policy_host(asked[key]))
            for record in owner.records:
                if record.type == "DNAME" or (record.type == "NS" and key):
                    cuts[absolute(zone, key)] = record.type
    except ZoneProblem as problem:
        return Unknown(reason=problem.diagnostic(shown))
    except RecursionError:
        reason = Diagnostic(code="MTS452", message="the aliases and merges nest too deeply", where=Span(path=shown, line=1, column=1))
        return Unknown(reason=reason)
    return ZoneFacts(provider=provider, zone=zone, names=facts, cuts=cuts)


def _facts(owner: Owner, document: Document, shown: str, default_ttl: int, escaped: bool, *, policy_host: bool) -> NameFacts:
    txt = mx = cname = address = None
    blocked = refusal(owner, document, ADDRESS_TYPES if policy_host else ("TXT",))
    others = []
    for record in owner.records:
        if record.type == "TXT":
            values = sorted(slot.text for slot in slots(record))
            txt = TxtSet(values=tuple(raw(value, escaped) for value in values), ttl=ttl_of(record, default_ttl))
        elif record.type == "MX":
            mx = MxSet(hosts=mx_hosts(record), ttl=ttl_of(record, default_ttl))
        else:
            others.append(record.type)
            if record.type == "CNAME":
                cname = cname_of(record)
    if policy_host and (found := address_of(owner.records)):
        ttls = [ttl_of(record, default_ttl) for record in owner.records if record.type in ADDRESS_TYPES]
        address = AddressSet(address=found, ttl=max(ttls))
    refused = blocked.diagnostic(shown) if blocked else None
    return NameFacts(txt=txt, mx=mx, others=tuple(sorted(others)), cname=cname, address=address, refusal=refused)


def raw(text: str, escaped: bool) -> str:
    r"""A TXT value as DNS has it, from the text in the file: `\;` stands for `;` where the provider escapes semicolons."""
    return text.replace("\\;", ";") if escaped else text
