"""The address of a policy host, in two places of a run: a first one before anything is public, and a change of it after the bytes that are
served now have been proved at the new place (DESIGN sections 7 and 8). Never undone: without a record it invites nobody, and a move back is
another move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mtasts_deploy.apply.prepare import stale
from mtasts_deploy.apply.report import Event, Outcome, Stage
from mtasts_deploy.apply.work import Tools, Work, chunks, in_parallel, look_again, report, started
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import LeaseLost, MtastsError, Refused
from mtasts_deploy.facts import Address, ZoneName
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.ledger.ways import closed, preparing
from mtasts_deploy.observed import Observed, RecordSite
from mtasts_deploy.plan.model import AddressSite
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.interface import NameServers


@dataclass(slots=True, kw_only=True)
class _Push:
    """The addresses of one zone at one provider, with the domains they belong to."""

    provider: str
    zone: ZoneName
    changes: list[tuple[Work, AddressSite]] = field(default_factory=list)
    error: MtastsError | None = None


def put_addresses(tools: Tools, works: Sequence[Work], *, moves: bool) -> None:
    """Change the addresses: first ones, or (`moves`) those of live policies, which have passed the barrier at the new address."""
    going = [work for work in works if work.open and work.plan.put_address is not None and work.plan.put_address.moves is moves]
    for chunk in chunks(going):
        if tools.stop.requested:
            for work in chunk:
                work.end(tools, Stage.ADDRESS, Outcome.INTERRUPTED)
            continue
        _put(tools, chunk)


def _put(tools: Tools, works: Sequence[Work]) -> None:
    seen = look_again(tools, works)
    for work in works:
        _compare(tools, work, seen[work.plan.domain])
    going = [work for work in works if work.open]
    earlier = {work.plan.domain: tools.book.entry(work.plan.domain) for work in going}
    for work in going:
        _note(tools, work)
    tools.book.save(tools.lease.prove)
    pushes: dict[tuple[str, ZoneName], _Push] = {}
    for work in going:
        for site in _sites(work):
            push = pushes.setdefault((site.provider, site.zone), _Push(provider=site.provider, zone=site.zone))
            push.changes.append((work, site))
    in_parallel(tools, lambda push: _push(tools, push), pushes.values())
    for push in pushes.values():
        if isinstance(push.error, LeaseLost):
            raise push.error
    for work in going:
        if all(isinstance(push.error, Refused) for push in pushes.values() if any(one is work for one, _ in push.changes)):
            tools.book.set(work.plan.domain, earlier[work.plan.domain])  # certainly nobody was ever led there
        else:
            work.begun = work.led = True
    _confirm(tools, list(pushes.values()), going)
    tools.book.save(tools.lease.prove)


def _sites(work: Work) -> tuple[AddressSite, ...]:
    step = work.plan.put_address
    return () if step is None else step.changes


def _compare(tools: Tools, work: Work, seen: Observed) -> None:
    if seen.unknown:
        work.end(tools, Stage.ADDRESS, Outcome.UNKNOWN, *seen.unknown)
    elif any((at := _at(seen, site)) is None or at.facts.address != site.change.before for site in _sites(work)):
        work.end(tools, Stage.ADDRESS, Outcome.STALE, stale(work.plan.domain, ["address"]))


def _at(seen: Observed, site: AddressSite) -> RecordSite | None:
    return next((one for one in seen.address if (one.provider, one.zone) == (site.provider, site.zone)), None)


def _note(tools: Tools, work: Work) -> None:
    """Senders may be led there from now on: the ledger knows before the zone does."""
    step = work.plan.put_address
    assert step is not None
    entry = tools.book.entry(work.plan.domain)
    ttl = max(site.change.ttl for site in step.changes)
    tools.book.set(work.plan.domain, preparing(entry, work.place.host, step.address, ttl, tools.clock(), put=True))


def _push(tools: Tools, push: _Push) -> None:
    domains = list(dict.fromkeys(work.plan.domain for work, _ in push.changes))
    ended = started(tools, Stage.ADDRESS, "put-address", domains)
    try:
        tools.lease.prove()
        tools.world.targets[push.provider].write(push.zone, [site.change for _, site in push.changes], tools.lease.prove)
    except MtastsError as error:
        push.error = error
    finding = None if push.error is None else push.error.diagnostics[0]
    for domain in domains:
        ended(domain, "done" if finding is None else "failed", finding=finding)


def _confirm(tools: Tools, pushes: Sequence[_Push], works: Sequence[Work]) -> None:
    seen = look_again(tools, works)
    for push in pushes:
        for work, site in push.changes:
            at = _at(seen[work.plan.domain], site)
            if not work.open or (at is not None and at.facts.address is not None and at.facts.address.address == site.change.after):
                continue
            unseen = seen[work.plan.domain].unknown
            findings = push.error.diagnostics if push.error is not None else unseen or (_unconfirmed(site),)
            work.end(tools, Stage.ADDRESS, Outcome.FAILED, *findings)
    for work in works:
        if work.open:
            text = f"the policy host leads to {work.plan.put_address.address}" if work.plan.put_address else ""
            report(tools, Event(stage=Stage.ADDRESS, what="done", domain=work.plan.domain, text=text))


def _unconfirmed(site: AddressSite) -> Diagnostic:
    return Diagnostic(
        code="MTS705",
        message=f"{site.provider} accepted the change of {site.change.name} in zone {site.zone}, but a fresh read does not show it",
        hint="Run `deploy apply` again; if it stays so, look at the zone with the provider's own tools.",
    )


def close_ways(tools: Tools, domains: Mapping[Domain, Observed]) -> None:
    """Where name servers give out what a provider holds: an address that none of them gives any more is gone after its TTL.

    Called with looks that are noted already. Servers that cannot be asked keep a way open.
    """
    if tools.name_servers is None:
        return
    servers = tools.name_servers
    for domain, seen in domains.items():
        if seen.place is None or not seen.place.public or seen.unknown:
            continue
        entry = tools.book.entry(domain)
        missing = [way.address for way in entry.ways if way.until is None and way.address not in seen.leads]
        if missing and entry.published:
            tools.book.set(domain, _closed(entry, seen, missing, servers, tools.clock()))


def _closed(entry: Entry, seen: Observed, missing: Sequence[Address], servers: NameServers, now: datetime) -> Entry:
    name = seen.domain.policy_host
    replies = [reply for kind in ("A", "AAAA", "CNAME") for reply in servers.ask_authoritative(name, kind)]
    if not replies or not all(reply.answered for reply in replies):
        return entry
    given: set[str] = {value for reply in replies for value in (*reply.values, reply.canonical)}
    gone = [address for address in missing if not given.intersection(value for _, values in address.records() for value in values)]
    declared = seen.place.address if seen.place is not None else None
    return closed(entry, gone, declared, now)
