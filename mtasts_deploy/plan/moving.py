"""Where the policy host leads: its first address, a change of address or host under a live policy, and what is held up meanwhile (DESIGN
section 8, Moving). Pure.

A move brings no new bytes: those that are served are copied to where senders will be led, proved there, and only then the address changes.
New bytes follow at the next apply, at every host that senders may still be led to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mtasts_deploy.declaration.model import DomainSettings
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import Address, AddressChange, HostedPolicy, Unknown, besides
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.observed import Copy, Observed
from mtasts_deploy.plan.model import Action, AddressSite, Barrier, Line, PutAddress, PutPolicy, Step, Wait
from mtasts_deploy.plan.wording import moment

WAIT: Final = "address"
"""What a plan waits for while a move is open, or a new address is not known everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is to be done for the address of a domain, and what that means for its policy.

    `put` is the change of address. `copy`: the served bytes go to this host first. `hold` is why no record moves yet.
    """

    put: PutAddress | None = None
    copy: Copy | None = None
    hold: Wait | None = None
    live: bool = False

    @property
    def due(self) -> bool:
        """Is there a move of a live policy to be made?"""
        return self.copy is not None or (self.put is not None and self.put.moves)


def move_of(settings: DomainSettings, seen: Observed, entry: Entry, now: datetime) -> Move:
    """What the declaration asks for that is not so yet."""
    live = entry.published
    changes = _changes(settings, seen)
    moves = live and any(one.change.before is not None or len(changes) == len(seen.address) for one in changes)
    put = PutAddress(changes=changes, moves=moves) if changes else None
    copy = next((copy for copy in seen.copies if copy.host == settings.host), None) if live and settings.host != seen.host else None
    if copy is not None and copy.led and copy.hosted is not None and _same(copy.hosted, seen.hosted):
        copy = None  # prepared by an earlier run
    return Move(put=put, copy=copy, hold=_hold(settings, seen, entry, put, now), live=live)


def _same(one: HostedPolicy | Unknown, other: HostedPolicy | Unknown | None) -> bool:
    return isinstance(one, HostedPolicy) and isinstance(other, HostedPolicy) and one.body == other.body


def _changes(settings: DomainSettings, seen: Observed) -> tuple[AddressSite, ...]:
    wanted = settings.address
    if wanted is None:
        return ()
    changes = []
    for site in seen.address:
        found = site.facts.address
        if found is None or found.address != wanted:
            change = AddressChange(name=site.name, before=found, after=wanted, ttl=max(settings.ttl, site.min_ttl))
            changes.append(AddressSite(provider=site.provider, zone=site.zone, change=change))
    return tuple(changes)


def _hold(settings: DomainSettings, seen: Observed, entry: Entry, put: PutAddress | None, now: datetime) -> Wait | None:
    """Why the `_mta-sts` record may not move yet, although its policy is served."""
    if entry.published:
        known = [way.ttl for way in entry.ways if way.address and way.seen is not None]
        due = entry.lost + timedelta(seconds=max(known, default=0)) if entry.lost is not None else now
        text = "what the address was before is not known (the state was lost, or is new here): no record moves before its TTL has passed"
        return Wait(what=WAIT, until=due, text=text) if now < due else None
    if settings.address is None:
        return None
    text = "the record follows when the address of the policy host is known to every resolver"
    if put is not None:
        return Wait(what=WAIT, until=None, text=text)
    unseen = max((site.negative_ttl for site in seen.address), default=0)
    dues = [now]
    for way in entry.ways:
        if way.address == settings.address and way.put:
            dues.append((way.seen or now) + timedelta(seconds=max(way.ttl, unseen)))
        elif way.until is not None and way.address:
            dues.append(way.until)
    return Wait(what=WAIT, until=max(dues), text=text) if max(dues) > now else None


def steps(move: Move, settings: DomainSettings, seen: Observed) -> tuple[tuple[Step, ...], tuple[Line, ...], tuple[str, ...]]:
    """The steps, lines and notes of a move of a live policy; the served file is there."""
    assert isinstance(seen.hosted, HostedPolicy)
    body = seen.hosted.body
    found: list[Step] = []
    lines = []
    if move.copy is not None and not (isinstance(move.copy.hosted, HostedPolicy) and move.copy.hosted.body == body):
        before = move.copy.hosted.version if isinstance(move.copy.hosted, HostedPolicy) else None
        found.append(PutPolicy(host=move.copy.host, location=move.copy.location, before=before, body=body, copy=True))
        action = Action.ADD if before is None else Action.CHANGE
        lines.append(Line(action=action, what="policy", text=f"as it is served now, copied to {move.copy.location}"))
    else:
        lines.append(Line(action=Action.KEEP, what="policy", text=""))
    found.append(Barrier(body=body, at=settings.address))
    if move.put is not None:
        found.append(move.put)
    lines.append(Line(action=Action.KEEP, what="_mta-sts", text=""))
    note = "The policy host moves with the policy that is served now; nothing else changes for senders."
    return tuple(found), tuple(lines), (note,)


def address_lines(settings: DomainSettings, put: PutAddress | None) -> tuple[Line, ...]:
    """The line of the address."""
    if settings.address is None:
        return ()
    if put is None:
        return (Line(action=Action.KEEP, what="address", text=""),)
    before = next((one.change.before for one in put.changes if one.change.before is not None), None)
    if before is None:
        return (Line(action=Action.ADD, what="address", text=str(settings.address)),)
    return (Line(action=Action.CHANGE, what="address", text=f"{before.address} → {settings.address}"),)


def open_wait(settings: DomainSettings, seen: Observed, entry: Entry) -> Wait | None:
    """While senders may be led to more than one place: until when what was there before must stay."""
    others = [way for way in entry.ways if way.host != settings.host or way.address not in seen.leads]
    if not entry.published or not others or entry.astray:
        return None
    untils = [way.until for way in others]
    until = None if None in untils else max(one for one in untils if one is not None)
    hosts = [way.host for way in others if way.host != settings.host]
    where = " and ".join(dict.fromkeys([*(f"at {host}" for host in hosts), *(f"at {way.address}" for way in others if way.address)]))
    when = f"until {moment(until)}" if until is not None else "as long as the policy host may still lead there"
    return Wait(what=WAIT, until=until, text=f"the policy stays {where} {when}: senders may have the old address in their caches")


def address_guards(settings: DomainSettings, seen: Observed, entry: Entry, put: PutAddress | None, acts: bool) -> Iterator[Diagnostic]:
    """What speaks against the change of address, and against a move from a host that is not declared any more."""
    if seen.lost:
        names = " and ".join(seen.lost)
        yield Diagnostic(
            code="MTS423",
            severity=Severity.ERROR if acts else Severity.WARN,
            message=f"senders may still be led to the host {names}, which is not declared any more, and would get an old policy there",
            hint=f"Declare it under `hosts:` until the address has left it. If nobody is led there, lift this with "
            f"`--allow MTS423={settings.domain}`.",
            ref="RFC 8461 §8.1",
        )
    if entry.astray:
        yield _astray(settings, seen, acts)
    if put is None:
        return
    for site in (one for one in seen.address if any((one.provider, one.zone) == (c.provider, c.zone) for c in put.changes)):
        if site.facts.refusal is not None:
            yield site.facts.refusal
        if beside := besides([*site.facts.others, *(["TXT"] if site.facts.txt else []), *(["MX"] if site.facts.mx else [])], put.address):
            yield Diagnostic(
                code="MTS487",
                message=f"{site.name} has {' and '.join(beside)} records in zone {site.zone} at {site.provider}, beside which no "
                f"{put.address} can stand",
                hint="Remove those records, or declare `address` with `a` and `aaaa`: no other record can stand beside a CNAME.",
                ref="RFC 1034 §3.6.2",
            )
        if site.cut is not None:
            yield Diagnostic(
                code="MTS403",
                message=f"zone {site.zone} at {site.provider} does not answer for {site.name}: {site.cut[1]} at {site.cut[0]}",
                hint="Name the zone that holds the record with `zone:` and its provider with `dns:`.",
            )
    for address in {one.change.before.address: None for one in put.changes if one.change.before is not None}:
        if not _ours(entry, address):
            yield Diagnostic(
                code="MTS422",
                message=f"`address` would replace one that this tool did not put there: {address}",
                hint=f"Declare that address first and apply, then change it; or lift this with `--allow MTS422={settings.domain}`.",
            )


def _astray(settings: DomainSettings, seen: Observed, acts: bool) -> Diagnostic:
    """What a lost ledger would have told: which host serves where senders are led."""
    leads = " and ".join(str(address) for address in seen.leads if address) or "nowhere"
    if settings.address is not None:
        why = f"the policy host leads to {leads}, declared is {settings.address}: nothing tells that {settings.host} serves there"
        how = "Declare `host` and `address` as they are now and apply, then change them"
    else:
        others = " and ".join(seen.holders) or "another host"
        why = f"{others} may have a policy of this domain as well as {settings.host}: nothing tells which of them serves"
        how = "Declare the host that serves now and remove the policy from the others"
    return Diagnostic(
        code="MTS424",
        severity=Severity.ERROR if acts else Severity.WARN,
        message=f"the state was lost, and {why}",
        hint=f"{how}. If {settings.host} serves there already, lift this with `--allow MTS424={settings.domain}`.",
        ref="RFC 8461 §8.1",
    )


def _ours(entry: Entry, address: Address) -> bool:
    return any(way.address == address and way.ours for way in entry.ways)
