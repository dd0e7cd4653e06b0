"""Everything that the Internet may have seen of a domain: which id could be read when, which bytes could be fetched meanwhile at which
address, which hosts were promised delivery. What no sender may ever be left with is asked of this history.

Written from RFC 8461 §3.1, §5.1 and §8.1: an id may be read until its TTL has passed after it was replaced; a sender stores what it
fetches under the id that it read, or holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from mtasts_deploy.facts import Address
from tests.senders import World, reading, the_id
from tests.worlds import START

T = TypeVar("T")


def digits(body: bytes) -> str:
    """The digits that an id of ours for these bytes begins with."""
    return hashlib.sha256(body).hexdigest()[:24]


@dataclass(eq=False)
class Stay(Generic[T]):
    """Something was there for a time. `first` and `last` count the moments; `tool`: the tool put it there. `seen`: when the tool had
    looked at it and had written that down, so that it could know from then on. `expired`: when the last cache was seen to have lost it.
    """

    what: T
    tool: bool
    first: int
    since: datetime
    ttl: int = 0
    last: int | None = None
    until: datetime | None = None
    seen: int | None = None
    expired: int | None = None

    @property
    def known(self) -> bool:
        """Could the tool know of it? What strangers put and take back between two looks, it cannot (DESIGN section 8, limits)."""
        return self.tool or self.seen is not None

    def known_at(self, moment: int) -> bool:
        """Could it be known then, by the ledger or by looking?"""
        there = self.first <= moment and (self.last is None or self.last > moment)
        return self.tool or there or (self.seen is not None and self.seen <= moment)

    def visible(self, now: datetime) -> bool:
        """May it be in somebody's cache?"""
        return self.until is None or now < self.until + timedelta(seconds=self.ttl)

    def gone(self, now: datetime) -> datetime:
        """When it leaves the last cache; `now` if it has not yet."""
        return now if self.until is None else min(now, self.until + timedelta(seconds=self.ttl))


@dataclass
class Promised:
    """An MX host whose mail must not be refused: there from the start, or added when it was ready. `until`: it may be cached so long."""

    host: str
    first: int
    seen: int | None = None
    until: datetime | None = None


@dataclass
class History:
    """Looks at the world after each change; `problems` are the promises that are broken."""

    world: World
    moment: int = 0
    ids: list[Stay[str | None]] = field(default_factory=list)
    leads: list[Stay[Address]] = field(default_factory=list)
    files: dict[str, list[Stay[bytes | None]]] = field(default_factory=dict)
    promised: list[Promised] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    fetched: dict[str, Stay[bytes | None]] = field(default_factory=dict)
    read: list[Stay[str | None] | Stay[bytes | None] | Promised] = field(default_factory=list)
    now: datetime = START

    def look(self, now: datetime, *, tool: bool) -> None:
        """What changed since the last call was changed by the tool, or by others."""
        self.moment += 1
        self.now = now
        (address,), kept = self.world.address()
        self._changed(self.leads, address, now, tool, kept)
        for lead in self.leads:
            if lead.expired is None and not lead.visible(now):
                lead.expired = self.moment
        for host in self.world.hosts.values():
            body = host.files.get(self.world.domain)
            if self._changed(self.files.setdefault(host.name, []), body, now, tool, 0) and tool and body is None:
                self._check_removal(host.name)
        values, ttl = self.world.txt()
        id_ = the_id(values)
        if self._changed(self.ids, id_, now, tool, ttl) and tool and id_ is not None:
            self._check_push(id_)
        self._check_order()

    @property
    def reached(self) -> list[str]:
        """The hosts that some sender may be led to now."""
        return list(dict.fromkeys(self.world.hosts[stay.what].name for stay in self.leads if stay.visible(self.now)))

    @property
    def served(self) -> list[Stay[bytes | None]]:
        """What some sender may fetch now."""
        return [self.files[host][-1] for host in self.reached]

    def fetchable(self) -> list[Stay[bytes | None]]:
        """Everything that some sender could fetch ever: the time that each file was there and an address led to it."""
        found = []
        for lead in self.leads:
            for file in self.files[self.world.hosts[lead.what].name]:
                if (file.last is not None and file.last <= lead.first) or (lead.expired is not None and file.first >= lead.expired):
                    continue
                gone = None if lead.until is None else lead.until + timedelta(seconds=lead.ttl)
                until = min((one for one in (file.until, gone) if one is not None), default=None)
                last = min((one for one in (file.last, lead.expired) if one is not None), default=None)
                first, since = max(file.first, lead.first), max(file.since, lead.since)
                found.append(replace(file, first=first, since=since, until=until, last=last))
        return found

    def _changed(self, stays: list[Stay[T]], what: T, now: datetime, tool: bool, ttl: int) -> bool:
        if stays and stays[-1].what == what:
            stays[-1].ttl = max(stays[-1].ttl, ttl)
            return False
        if stays:
            stays[-1].until, stays[-1].last = now, self.moment
        stays.append(Stay(what=what, tool=tool, first=self.moment, since=now, ttl=ttl))
        return True

    # What the tool can know.

    def reading_zone(self) -> None:
        self.read += [self.ids[-1], *(one for one in self.promised if one.until is None)]

    def fetching(self, host: str) -> None:
        if host in self.files:
            self.fetched[host] = self.files[host][-1]
            self.read.append(self.files[host][-1])

    def written_down(self) -> None:
        """All that was looked at until now is in the ledger."""
        for one in self.read:
            one.seen = one.seen or self.moment
        self.read.clear()

    def forgotten(self) -> None:
        """The looks since the last write were lost with their run."""
        self.read.clear()

    def unseen(self, id_: str, body: bytes) -> bool:
        """Has a stranger shown this id, or served these bytes, without a look of the tool?"""
        shown = any(stay.what == id_ and not stay.known for stay in self.ids)
        return shown or any(stay.what == body and not stay.known for stay in self.fetchable())

    # Promises 1 and 2.

    def other_bytes(self, id_: str) -> Iterator[bytes | None]:
        """Bytes other than its own that some sender may hold under this id, as far as the tool could know."""
        for stay in self.ids:
            if stay.what == id_ and stay.known:
                for file in self.fetchable():
                    if file.what is not None and digits(file.what) != id_[:24] and file.known and _met(stay, file):
                        yield file.what

    def _check_push(self, id_: str) -> None:
        others = list(self.other_bytes(id_))
        if others:
            self.problems.append(f"promise 1: id {id_} was written, and senders may hold under it {others}")
        for host in self.reached:
            file = self.files[host][-1]
            late = not file.tool and file is not self.fetched.get(host)
            if not late and (file.what is None or digits(file.what) != id_[:24]):
                self.problems.append(f"promise 2: id {id_} was written while {file.what!r} was served at {host}")

    def _check_removal(self, host: str) -> None:
        if host in self.reached and any(stay.what is not None and stay.visible(self.now) and stay.known for stay in self.ids):
            self.problems.append(f"promise 2: the file at {host} was removed while an id may be visible")

    def _check_order(self) -> None:
        """What is served is what the id names, or newer, or a stranger's."""
        id_ = self.ids[-1]
        for file in self.served:
            if not id_.tool or not file.tool or id_.what is None or file.first >= id_.first:
                continue
            if file.what is None or digits(file.what) != id_.what[:24]:
                self.problems.append(f"promise 2: {file.what!r} is served, older than the id {id_.what}")

    # Promise 4.

    def promise(self, host: str) -> None:
        self.promised.append(Promised(host=host, first=self.moment))

    def release(self, host: str, until: datetime) -> None:
        """The host is no MX any more; it may be cached until then.

        What was added and removed between two looks, nobody can know. What was there before the first look may still be cached, too.
        """
        self.promised = [one for one in self.promised if one.host != host or one.until or one.seen or one.first == 0]
        for one in self.promised:
            if one.host == host and one.until is None:
                one.until = until

    def unprotect(self, declared: Collection[str]) -> None:
        """Forget the hosts that neither the declaration nor the enforce policy that a stranger serves names."""
        for file in self.served:
            policy = None if file.tool or file.what is None else reading(file.what)
            self.promised = [one for one in self.promised if policy is None or one.host in declared or not policy.refuses(one.host)]

    def refused(self, now: datetime) -> Iterator[str]:
        """Which promised hosts some sender may refuse now, also after it has looked again."""
        for one in self.promised:
            if (one.until is None or now < one.until) and not self._adopted(one):
                yield from (f"promise 4: {one.host} may be refused: {why}" for why in self._why(one, now))

    def _adopted(self, host: Promised) -> bool:
        """Was it gone before the first look, and what was live then was a stranger's? An adopted enforce policy stays enforce."""
        return host.until is not None and host.seen is None and any(file.what is not None and not file.tool for file in self.fetchable())

    def _why(self, host: Promised, now: datetime) -> Iterator[str]:
        yield from (f"what is served lacks it: {file.what!r}" for file in self.served if _lacks(file, host))
        for stay in self.ids:
            if not stay.visible(now) or not stay.known_at(host.first):
                continue
            if stay.what is None:
                yield from self._blind(host, now)
            else:
                yield from (f"under the visible id {stay.what} may be held {body!r}" for body in self._lacking(stay.what, host))

    def _lacking(self, id_: str, host: Promised) -> Iterator[bytes | None]:
        for stay in self.ids:
            if stay.what == id_ and stay.known_at(host.first):
                yield from (file.what for file in self.fetchable() if _lacks(file, host) and _met(stay, file))

    def _blind(self, host: Promised, now: datetime) -> Iterator[str]:
        """No record can be read: senders keep what they have."""
        for file in self.fetchable():
            policy = None if file.what is None else reading(file.what)
            fetched = any(stay.what is not None and (file.last is None or stay.first < file.last) for stay in self.ids)
            if policy is not None and fetched and _lacks(file, host) and now < self._expires(file, policy.lifetime(), host, now):
                yield f"no record can be read, and {file.what!r} may be held"

    def _expires(self, file: Stay[bytes | None], lifetime: timedelta, host: Promised, now: datetime) -> datetime:
        """When the last copy of these bytes expires: a copy that is still held lives on while its id is seen again."""
        expires = (file.until or now) + lifetime
        held_under = {stay.what for stay in self.ids if stay.what is not None and _met(stay, file)}
        for stay in self.ids:
            if stay.what in held_under and stay.known_at(host.first) and stay.since < expires:
                expires = max(expires, stay.gone(now) + lifetime)
        return expires


def _lacks(file: Stay[bytes | None], host: Promised) -> bool:
    """Do these bytes refuse the host? Those that a stranger put after the host was promised, or unseen, are a stranger's fault."""
    policy = None if file.what is None else reading(file.what)
    return policy is not None and policy.refuses(host.host) and file.known_at(host.first)


def _met(id_: Stay[str | None], file: Stay[bytes | None]) -> bool:
    """Could the bytes be fetched by somebody who reads the id?"""
    began = file.last is None or file.last > id_.first
    return began and (id_.until is None or id_.visible(file.since))
