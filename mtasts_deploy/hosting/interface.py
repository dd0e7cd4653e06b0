"""The seam to policy hosting: where the files at `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` are put."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from mtasts_deploy.facts import HostedPolicy, Unknown
from mtasts_deploy.rfc.names import Domain


class Host(Protocol):
    """One place that holds policy files."""

    name: str

    def location(self, domain: Domain) -> str:
        """Where that domain's file is, for people: a path or a URL. Two domains with one location share one file."""

    def read(self, domains: Collection[Domain]) -> Mapping[Domain, HostedPolicy | Unknown | None]:
        """The files as they are now; None where there is none. Never raises for one that cannot be read."""

    def put(self, domain: Domain, body: bytes, expected: str | None) -> str:
        """Put the file whole or not at all, if what is there still has the version `expected` (None: nothing is there); the new version.

        Raises `HostError`, with `written=False` where nothing was certainly written (a conflict is one).
        """

    def remove(self, domain: Domain, expected: str) -> None:
        """Remove the file if it still has the version `expected`. Raises `HostError`."""
