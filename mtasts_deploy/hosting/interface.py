"""The seam to policy hosting: where the files at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` are put."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from mtasts_deploy.facts import HostedPolicy, KnownPolicies, Unknown
from mtasts_deploy.rfc.names import Domain


class Host(Protocol):
    """One place that holds policy files."""

    name: str
    edge_ttl: int | None
    """For how many seconds caches in front of it may serve old bytes, as the declaration says; None: it does not say."""

    def location(self, domain: Domain) -> str:
        """Where that domain's file is, for people: a path or a URL. Two domains with one location share one file."""

    def read(
        self, domains: Collection[Domain], known: Mapping[Domain, KnownPolicies] | None = None
    ) -> Mapping[Domain, HostedPolicy | Unknown | None]:
        """The files as they are now; None where there is none. Never raises for one that cannot be read.

        What the host's listing shows to be among the `known` bytes need not be read. Without `known`, every file that is there is read.
        """

    def put(self, domain: Domain, body: bytes, expected: str | None) -> str:
        """Put the file whole or not at all, if what is there still has the version `expected` (None: nothing is there); the new version.

        Raises `HostError`, with `written=False` where nothing was certainly written (a conflict is one).
        """

    def remove(self, domain: Domain, expected: str) -> None:
        """Remove the file if it still has the version `expected`. Raises `HostError`."""

    def purge(self, domains: Collection[Domain], waiting: Callable[[], None]) -> bool:
        """Have the caches in front forget the files of these domains and wait until they have; False if this host knows of none.

        Calls `waiting` every few seconds meanwhile; what that raises ends the waiting. Raises `HostError` (written) if they may not have.
        """
