"""Shards: the declared domains divided among several runs that go on side by side. Pure.

Domains that share a zone, or the file of their policy, are never in two shards. Apart from that a zone's bucket of the lock decides, so
that shards hold different parts of the lock: the number of shards is at most that of the buckets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError
from mtasts_deploy.facts import ZoneName
from mtasts_deploy.rfc.names import Domain

MOST: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The `number`-th of `of` shards; numbers begin at 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `3/8`. Raises `UsageError` (MTS935)."""
        found = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", text)
        number, of = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= number <= of <= MOST:
            message = f'--shard "{text}" is none of 1/1 to {MOST}/{MOST}'
            raise UsageError(Diagnostic(code="MTS935", message=message, hint="Write which one, and how many there are: 3/8."))
        return cls(number=number, of=of)

    def pick(
        self,
        zones: Mapping[Domain, Collection[ZoneName]],
        sharing: Iterable[Collection[Domain]],
        bucket_of: Callable[[ZoneName], int],
    ) -> frozenset[Domain]:
        """The domains of this shard, from all declared ones with their zones; `sharing` are those whose policies are one file."""
        groups = _groups(zones, sharing)
        return frozenset(domain for domain, first in groups.items() if bucket_of(first) % self.of == self.number - 1)


def _groups(zones: Mapping[Domain, Collection[ZoneName]], sharing: Iterable[Collection[Domain]]) -> dict[Domain, ZoneName]:
    """The first zone, by name, of everything that a domain hangs together with. A domain without a zone counts as one."""
    above: dict[str, str] = {}

    def top(node: str) -> str:
        while above.setdefault(node, node) != node:
            above[node] = above[above[node]]
            node = above[node]
        return node

    def join(nodes: Iterable[str]) -> None:
        tops = sorted({top(node) for node in nodes})
        above.update(dict.fromkeys(tops[1:], next(iter(tops), "")))

    held = {domain: sorted(found) or [ZoneName(f"{domain}.")] for domain, found in zones.items()}
    for found in held.values():
        join(found)
    for domains in sharing:
        join(held[domain][0] for domain in domains if domain in held)
    return {domain: ZoneName(top(found[0])) for domain, found in held.items()}
