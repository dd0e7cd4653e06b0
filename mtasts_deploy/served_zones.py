"""Zones as their name servers give them out, as a target that is only read: for `dns: plugin` without a provider beside it.

A name holds whatever any of its servers shows, so that nothing some sender may see is missed; an order of values says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from mtasts_deploy.declaration.model import PLUGIN
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns.interface import Guarantee
from mtasts_deploy.errors import ObservationError, Refused
from mtasts_deploy.facts import (
    ADDRESS_TYPES,
    Address,
    AddressChange,
    AddressSet,
    MxSet,
    NameFacts,
    RecordChange,
    TxtSet,
    Unknown,
    ZoneFacts,
    ZoneName,
    is_policy_host,
)
from mtasts_deploy.sender.interface import NameServers
from mtasts_deploy.sender.names import Outcome, Reply, failed

_AT_ONCE: Final = 10


class ServedZones:
    """A `Target` that cannot be written. Its zones are found name by name, and asked at all of their servers."""

    name = PLUGIN
    guarantee = Guarantee.RECORD_BY_RECORD
    parallel = _AT_ONCE

    def __init__(self, servers: NameServers) -> None:
        self._servers = servers

    def ready(self) -> None:
        """Nothing is needed to ask."""

    def zones(self) -> None:
        """They cannot be listed."""

    def zone_of(self, name: str) -> ZoneName | None:
        """The zone that serves this name. Raises `ObservationError` (MTS554) where none can be found."""
        authority = self._servers.authority(name, exists=_exists(name))
        if authority.problem is not None:
            raise ObservationError(authority.problem)
        return ZoneName(f"{authority.zone}.")

    def read(self, zone: ZoneName, names: Collection[str]) -> ZoneFacts | Unknown:
        """What the servers show at these names; Unknown if for one of them none answers."""
        facts: dict[str, NameFacts] = {}
        negative: list[int] = []
        for name in names:
            found = self._txt(name) if name.startswith("_") else self._address(name) if is_policy_host(name) else self._mx(name)
            if isinstance(found, Unknown):
                return found
            facts[name], ttls = found
            negative += ttls
        return ZoneFacts(provider=self.name, zone=zone, names=facts, negative_ttl=max(negative, default=None))

    def write(self, zone: ZoneName, changes: Sequence[RecordChange | AddressChange], prove: Callable[[], None] = lambda: None) -> None:
        """Never: octodns-sync writes. Raises `Refused`."""
        del changes, prove
        raise Refused(Diagnostic(code="MTS480", message=f"the records of zone {zone} are written by octodns-sync"))

    def _txt(self, name: str) -> tuple[NameFacts, list[int]] | Unknown:
        replies = self._ask(name, "TXT")
        if isinstance(replies, Unknown):
            return replies
        values = {text.decode("utf-8", "surrogateescape") for reply in replies for text in reply.texts}
        txt = TxtSet(values=tuple(sorted(values)), ttl=_ttl(replies)) if values else None
        return NameFacts(txt=txt, cname=_alias(replies)), _negative(replies)

    def _mx(self, name: str) -> tuple[NameFacts, list[int]] | Unknown:
        replies = self._ask(name, "MX")
        if isinstance(replies, Unknown):
            return replies
        hosts = {value.split(" ", 1)[-1].rstrip(".").lower() or "." for reply in replies for value in reply.values}
        if hosts:
            return NameFacts(mx=MxSet(hosts=tuple(sorted(hosts)), ttl=_ttl(replies)), cname=_alias(replies)), _negative(replies)
        addressed = [kind for kind in ("A", "AAAA") if not isinstance(found := self._ask(name, kind), Unknown) and _shown(found)]
        return NameFacts(others=tuple(addressed), cname=_alias(replies)), _negative(replies)

    def _address(self, name: str) -> tuple[NameFacts, list[int]] | Unknown:
        found: dict[str, list[str]] = {}
        ttls, negative = [0], [0]
        for kind in ADDRESS_TYPES:
            replies = self._ask(name, kind)
            if isinstance(replies, Unknown):
                return replies
            own = [reply for reply in replies if reply.outcome is Outcome.FOUND and not reply.aliased]
            found[kind] = sorted({value for reply in own for value in reply.values})
            ttls += [reply.ttl for reply in own if reply.ttl is not None]
            negative += _negative(replies)
        address = Address.of(found)
        return NameFacts(address=AddressSet(address=address, ttl=max(ttls)) if address else None, cname=address.cname), [max(negative)]

    def _ask(self, name: str, kind: str) -> list[Reply] | Unknown:
        """The answers of the servers that answer."""
        exists = _exists(name)
        replies = self._servers.ask_authoritative(name, kind, exists=exists)
        answered = [reply for reply in replies if reply.answered]
        if answered:
            return answered
        problem = failed(name, replies[0]) if replies else self._servers.authority(name, exists=exists).problem
        assert problem is not None, "a zone without a problem has servers"
        return Unknown(reason=problem)


def _exists(name: str) -> bool:
    """Mail domains are there; our names may not be yet, and a resolver that is asked too soon remembers that (RFC 2308)."""
    return not name.startswith("_") and not is_policy_host(name)


def _ttl(replies: Sequence[Reply]) -> int:
    return max((reply.ttl for reply in replies if reply.ttl is not None), default=0)


def _negative(replies: Sequence[Reply]) -> list[int]:
    return [reply.negative_ttl for reply in replies if reply.negative_ttl is not None]


def _alias(replies: Sequence[Reply]) -> str | None:
    return next((reply.canonical for reply in replies if reply.aliased), None)


def _shown(replies: Sequence[Reply]) -> bool:
    return any(reply.outcome is Outcome.FOUND for reply in replies)
