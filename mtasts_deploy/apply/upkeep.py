"""The state as it is: what it holds, what in it cannot be read, and how that is made anew from what is live.

What was lost stays unknown, so a rebuilt domain is taken for the worst: its history is incomplete from now on, its next ids carry a counter
that no lost one can have reached, and what cannot be read is put aside, never thrown away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from mtasts_deploy.apply.leases import Leases
from mtasts_deploy.apply.lock import KEY
from mtasts_deploy.apply.owner import Owner
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import StateError
from mtasts_deploy.ledger.codec import CORRUPT, Shard, is_shard, shard_of
from mtasts_deploy.ledger.events import saw
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.observed import Observed
from mtasts_deploy.rfc.names import Domain, DomainError
from mtasts_deploy.state.interface import StateStore, Stored

_HOW: Final = "Run `deploy state rebuild`, or restore the file from version control or a backup."


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a state holds. `damaged` are the shards (keys) with something that cannot be read, `lost` the declared domains in them."""

    location: str
    shards: int
    domains: int
    runs: tuple[str, ...]
    leases: tuple[Owner, ...]
    undeclared: tuple[str, ...]
    unseen: tuple[Domain, ...]
    damaged: tuple[str, ...]
    lost: tuple[Domain, ...]
    findings: tuple[Diagnostic, ...]


def inventory(store: StateStore, declared: Iterable[Domain]) -> Inventory:
    """Read everything. Raises `StateError` only where the state cannot be read at all."""
    declared = sorted(declared, key=str)
    known, damaged, findings = _ledger(store)
    leases, trouble = _leases(store)
    names = {str(domain) for domain in declared}
    lost = tuple(domain for domain in declared if shard_of(str(domain)) in damaged and not known.get(str(domain), False))
    return Inventory(
        location=store.location(""),
        shards=sum(is_shard(key) for key in store.keys("ledger/")),
        domains=sum(known.values()),
        runs=tuple(store.keys("runs/")),
        leases=leases,
        undeclared=tuple(sorted(name for name, good in known.items() if good and name not in names)),
        unseen=tuple(domain for domain in declared if domain not in lost and str(domain) not in known),
        damaged=tuple(sorted(damaged)),
        lost=lost,
        findings=(*findings, *trouble),
    )


def _ledger(store: StateStore) -> tuple[dict[str, bool], set[str], list[Diagnostic]]:
    """The domains that the ledger names, and whether their entries can be read; the damaged shards; what is wrong."""
    known: dict[str, bool] = {}
    damaged: set[str] = set()
    findings: list[Diagnostic] = []
    for key in store.keys("ledger/"):
        stored = store.read(key)
        if not is_shard(key):
            findings.append(_no_shard(store.location(key)))
            continue
        if stored is None:
            continue
        try:
            shard = Shard.parse(stored.data, store.location(key))
        except StateError as error:
            findings += error.diagnostics
            damaged.update([key] if error.diagnostics[0].code == CORRUPT else [])
            continue
        for name in shard:
            problem = _wrong_entry(shard, name, key, store.location(key))
            known[name] = problem is None
            if problem is not None:
                findings.append(problem)
                damaged.add(key)
    return known, damaged, findings


def _wrong_entry(shard: Shard, name: str, key: str, location: str) -> Diagnostic | None:
    try:
        Domain.parse(name)
        shard.get(name)
    except DomainError:
        return Diagnostic(code=CORRUPT, message=f"{location}: {name!r} is no domain", hint=_HOW)
    except StateError as error:
        return error.diagnostics[0]
    if shard_of(name) == key:
        return None
    return Diagnostic(code="MTS769", message=f"{location}: {name} does not belong there but into {shard_of(name)}", hint=_HOW)


def _leases(store: StateStore) -> tuple[tuple[Owner, ...], tuple[Diagnostic, ...]]:
    stored = store.read(KEY)
    if stored is None:
        return (), ()
    try:
        return Leases.parse(stored.data, store.location(KEY)).owners, ()
    except StateError as error:
        return (), error.diagnostics


def _no_shard(location: str) -> Diagnostic:
    return Diagnostic(
        code="MTS770",
        severity=Severity.WARN,
        message=f"{location} is no part of the ledger, and is not read",
        hint="A merge or an editor may have left it; look at it, then remove it.",
    )


def rebuild(
    store: StateStore, found: Inventory, seen: Mapping[Domain, Observed], now: datetime, prove: Callable[[], None]
) -> list[tuple[str, str]]:
    """Put the damaged shards aside and write them anew: what can be read stays, the lost domains (`seen`) begin with what is live.

    The shards with the keys under which they were put aside. Raises `StateError`, `LeaseLost`.
    """
    done = []
    for key in found.damaged:
        stored = store.read(key)
        if stored is None:
            continue
        aside = f"broken/{key.partition('/')[2].removesuffix('.json')}-{now:%Y%m%dt%H%M%Sz}.json"
        prove()
        store.write(aside, stored.data, None)
        shard = _salvaged(stored, key, store.location(key))
        for domain in found.lost:
            if shard_of(str(domain)) == key and not seen[domain].unknown:
                shard.set(str(domain), forgotten(seen[domain], now))
        prove()
        store.write(key, shard.render(), stored.version)
        done.append((store.location(key), store.location(aside)))
    return done


def forgotten(seen: Observed, now: datetime) -> Entry:
    """What is known of a domain whose past is lost: what is live, and that senders may hold anything. Also where nothing is live."""
    return replace(saw(UNSEEN, seen.look(), now), incomplete=now, lost=now)


def _salvaged(stored: Stored, key: str, location: str) -> Shard:
    """The entries of a damaged shard that can be read."""
    try:
        shard = Shard.parse(stored.data, location)
    except StateError:
        return Shard({}, location)
    good = {name: entry for name in shard if _wrong_entry(shard, name, key, location) is None and (entry := shard.get(name))}
    clean = Shard({}, location)
    for name, entry in good.items():
        clean.set(name, entry)
    return clean


def as_json(found: Inventory) -> str:
    """The inventory for programs."""
    from mtasts_deploy.plan.file import finding_json

    data = {
        "format_version": 1,
        "state": found.location,
        "shards": found.shards,
        "domains": found.domains,
        "runs": len(found.runs),
        "last_run": found.runs[-1] if found.runs else None,
        "leases": [{**owner.fields(), "buckets": len(owner.buckets)} for owner in found.leases],
        "undeclared": list(found.undeclared),
        "unseen": [str(domain) for domain in found.unseen],
        "lost": [str(domain) for domain in found.lost],
        "findings": [finding_json(finding) for finding in found.findings],
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
