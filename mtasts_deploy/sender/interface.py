"""The seam to the world as a sender sees it: policies fetched over HTTPS from the policy host (RFC 8461 §3.3), and name servers."""

from __future__ import annotations

from typing import Protocol

from mtasts_deploy.facts import Address, Fetched
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.names import Authority, Reply


class Fetcher(Protocol):
    """Fetches policies as a strict sender does. May be called from several threads."""

    def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        """One answer for each address of the policy host; a name without any gives one answer that says so. Never raises, never empty.

        `known`: the name was there a moment ago. Else its zone's own servers are asked first, so that no resolver learns that it is
        missing and keeps saying so.
        """

    def fetch_at(self, domain: Domain, address: Address) -> tuple[Fetched, ...]:
        """The same as if the policy host led to this address, whatever DNS says of it. Never raises, never empty."""


class NameServers(Protocol):
    """Asks the servers of a zone themselves, past every cache. May be called from several threads."""

    def ask_authoritative(self, name: str, kind: str) -> tuple[Reply, ...]:
        """What each server of the zone that holds `name` says for itself; empty where none is known. Never raises."""

    def authority(self, name: str) -> Authority:
        """The zone that holds `name` with its servers, or why they could not be found. Never raises."""
