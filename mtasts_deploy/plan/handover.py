"""What differs where octodns-sync writes the records (`dns: plugin`): an apply leaves the record to it in the state, then waits to see it.

Also the guard against two writers: octodns-sync removes from its zones whatever its sources do not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from mtasts_deploy.declaration.model import DomainSettings, Sts
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import RecordKind, ZoneName
from mtasts_deploy.ledger.model import Entry, ToPublish
from mtasts_deploy.observed import Observed
from mtasts_deploy.plan.model import Action, DomainPlan, HandOver, Line, SiteChange, Verdict, Wait
from mtasts_deploy.plan.wording import short_id
from mtasts_deploy.rfc.names import Domain

WAIT: Final = "record"
"""What a plan waits for between the hand-over and the sight of the record."""


def held(entry: Entry, live: list[str]) -> list[str]:
    """The ids that a new publication may keep: the one that octodns-sync may publish at any time, else those that are live."""
    return live if entry.to_publish is None else [entry.to_publish.id]


def hand_over(entry: Entry, id_: str, ttl: int) -> HandOver | None:
    """The step that leaves this record to octodns-sync; None where it has been."""
    if entry.to_publish == ToPublish(id=id_, ttl=ttl):
        return None
    return HandOver(id=id_, ttl=ttl, before=None if entry.to_publish is None else entry.to_publish.id)


def published(seen: Observed, record: str) -> bool:
    """Is this record, and no other of ours, live wherever we can look? Its TTL does not count: what the provider makes of it does."""
    return bool(seen.sts) and all(site.ours(RecordKind.STS) == (record,) for site in seen.sts)


def wait_for_sts(id_: str) -> Wait:
    """Until octodns-sync has run."""
    return Wait(what=WAIT, until=None, text=f"octodns-sync publishes the _mta-sts record with id {short_id(id_)} when it runs next")


def wait_for_tlsrpt(wanted: str | None) -> Wait:
    """The TLSRPT record needs no proof, so octodns-sync takes it from the declaration."""
    verb = "removes" if wanted is None else "publishes"
    return Wait(what=WAIT, until=None, text=f"octodns-sync {verb} the _smtp._tls record when it runs next")


def record_line(seen: Observed, step: HandOver | None, text: str) -> Line:
    """The line of the `_mta-sts` record."""
    if step is None:
        return Line(action=Action.KEEP, what="_mta-sts", text="")
    return Line(action=Action.CHANGE if seen.ids else Action.ADD, what="_mta-sts", text=f"{text} · by octodns-sync")


def written(changes: Iterable[SiteChange]) -> bool:
    """Would these changes, but for their TTL, change a value?"""
    return any(_ours(change) != (() if change.change.value is None else (change.change.value,)) for change in changes)


def _ours(site: SiteChange) -> tuple[str, ...]:
    before = site.change.before
    return () if before is None else tuple(value for value in before.values if site.change.kind.owns(value))


def two_writers(domains: Iterable[DomainSettings], zones: Callable[[DomainSettings], Iterable[ZoneName]]) -> Mapping[Domain, Diagnostic]:
    """A finding for each domain in whose zone both octodns-sync and `deploy apply` would write. `zones`: where a domain's records go."""
    by_zone: dict[ZoneName, dict[bool, list[Domain]]] = {}
    for settings in domains:
        if settings.sts is Sts.PUBLISH or settings.tlsrpt is not None:
            for zone in zones(settings):
                by_zone.setdefault(zone, {}).setdefault(settings.plugin, []).append(settings.domain)
    found: dict[Domain, Diagnostic] = {}
    for zone, writers in by_zone.items():
        if len(writers) == 2:
            both = _two_writers(zone, writers[True][0], writers[False][0])
            found |= {domain: both.of(str(domain)) for group in writers.values() for domain in group}
    return found


def _two_writers(zone: ZoneName, plugin: Domain, direct: Domain) -> Diagnostic:
    return Diagnostic(
        code="MTS482",
        message=f"the zone {zone} would be written by octodns-sync for {plugin.display} and by `deploy apply` for {direct.display}; "
        "octodns-sync removes what its sources do not have",
        hint="Give all domains of the zone the same writer: `plugin` in the `dns` of each of them, or of none.",
    )


def blocked(plan: DomainPlan, finding: Diagnostic | None) -> DomainPlan:
    """The plan with this finding, which stops the domain."""
    if finding is None or plan.verdict is Verdict.UNKNOWN:
        return plan
    return replace(plan, verdict=Verdict.BLOCKED, findings=(*plan.findings, finding))
