"""The ways to a policy, as they come and go: which addresses the policy host may have for some sender, and which hosts serve there. Pure.

A way is open until its address has been gone for its TTL; a prepared one, until it is no longer asked for. RFC 8461 §3.3, DESIGN section 8.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from mtasts_deploy.facts import Address
from mtasts_deploy.ledger.model import Entry, Way

NOWHERE = Address()
UNKNOWN_HOST: Final = ""


def saw_addresses(
    entry: Entry, seen: Mapping[Address, int], declared: Address | None, host: str, now: datetime, *, closes: bool, unsure: bool = False
) -> Entry:
    """A look at the address records of the policy host: `seen` with their TTLs. `unsure`: nobody knows what serves there.

    One that nobody expected opens a way to the host that serves now. One that is not there any more is gone when its TTL has passed,
    if `closes`: what was looked at is what senders see. What is `declared` for `host` stays: it is about to be put there.
    """
    ways = [_again(way, seen, declared, now) if way.address in seen else way for way in entry.ways]
    known = {way.address for way in ways}
    for address, ttl in seen.items():
        if address not in known:
            ways.append(
                Way(
                    host=UNKNOWN_HOST if unsure else entry.host or host,
                    address=address,
                    ttl=ttl,
                    since=now,
                    seen=now,
                    ours=address == declared,
                )
            )
    if closes:
        ways = [way if way.address in seen or _awaited(way, declared, host) else gone(way, now) for way in ways]
    return _with(entry, ways, now)


def _again(way: Way, seen: Mapping[Address, int], declared: Address | None, now: datetime) -> Way:
    return replace(
        way,
        ttl=max(way.ttl, seen[way.address]),
        seen=way.seen or now,
        until=None,
        ours=way.ours or (bool(declared) and way.address == declared),
    )


def _awaited(way: Way, declared: Address | None, host: str) -> bool:
    return way.seen is None and way.host == host and way.address == declared


def gone(way: Way, now: datetime) -> Way:
    """The address is not there any more; whoever has it cached loses it one TTL later."""
    return way if way.until is not None else replace(way, until=now + timedelta(seconds=way.ttl))


def _with(entry: Entry, ways: Collection[Way], now: datetime) -> Entry:
    """Ways that nobody can take any more are forgotten; the last one stays."""
    left = tuple(way for way in ways if way.until is None or now < way.until) or tuple(ways)[-1:]
    return entry if left == entry.ways else replace(entry, ways=left)


def preparing(entry: Entry, host: str, address: Address, ttl: int, now: datetime, *, put: bool) -> Entry:
    """Before the first byte goes to this host, or this address is written: some sender may be led there from now on."""
    new = Way(host=host, address=address, ttl=ttl, since=now, ours=put, put=put)
    ways = []
    for way in entry.ways:
        if (way.host, way.address) == (host, address):
            new = replace(way, ttl=max(ttl, way.ttl), until=None, ours=way.ours or put, put=way.put or put)
        else:
            ways.append(way)
    after = (*ways, new)
    return entry if set(after) == set(entry.ways) else replace(entry, ways=after)


def served_by(entry: Entry, host: str, also: Collection[str] = ()) -> Entry:
    """Every way leads to this host: nothing was ever published, or the hosts `also` are the same under another name."""
    ways: dict[tuple[str, Address], Way] = {}
    for way in entry.ways:
        moved = replace(way, host=host) if not entry.published or way.host in also else way
        ways.setdefault((moved.host, moved.address), moved)
    name = host if not entry.published or entry.host in also else entry.host
    left = tuple(ways.values())
    return entry if (left, name) == (entry.ways, entry.host) else replace(entry, ways=left, host=name)


def found_again(entry: Entry, addresses: Collection[Address], host: str) -> Entry:
    """Nothing speaks against the declared host any more: it serves at these addresses. What serves at others stays unknown while they may
    be cached.
    """
    ways = tuple(replace(way, host=host) if not way.host and way.address in addresses else way for way in entry.ways)
    return entry if ways == entry.ways else replace(entry, ways=ways)


def vouched(entry: Entry, host: str) -> Entry:
    """The operator vouches that this host serves wherever nobody knows what does."""
    ways = tuple(way if way.host else replace(way, host=host) for way in entry.ways)
    return entry if ways == entry.ways else replace(entry, ways=ways, host=entry.host or host)


def given_up(entry: Entry, lost: Collection[str], host: str) -> Entry:
    """The operator vouches that nobody is led to these hosts any more."""
    ways = tuple(way for way in entry.ways if way.host not in lost)
    return replace(entry, ways=ways, host=host if entry.host in lost else entry.host)


def closed(entry: Entry, addresses: Collection[Address], declared: Address | None, now: datetime) -> Entry:
    """No name server gives these addresses any more; a prepared one that is still asked for stays."""
    stays = {declared} if declared is not None else set()
    ways = [gone(way, now) if way.address in addresses and not (way.seen is None and way.address in stays) else way for way in entry.ways]
    return _with(entry, ways, now)


def open_addresses(entry: Entry, now: datetime) -> tuple[Address, ...]:
    """The addresses that some sender may have for the policy host, as far as they are known."""
    return tuple(dict.fromkeys(way.address for way in entry.ways if way.address and (way.until is None or now < way.until)))
