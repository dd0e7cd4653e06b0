"""The seam to the world as a sender sees it: DNS, policies over HTTPS (RFC 8461 §3.3), and the MX hosts on port 25 (RFC 8461 §4)."""

from __future__ import annotations

from typing import Protocol

from mtasts_deploy.facts import Address, Fetched, Probed
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.names import Authority, Reply
from mtasts_deploy.sender.options import Endpoint


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

    def ask_authoritative(self, name: str, kind: str, *, exists: bool = False) -> tuple[Reply, ...]:
        """What each server of the zone that holds `name` says for itself; empty where none is known. Never raises."""

    def authority(self, name: str, *, exists: bool = False) -> Authority:
        """The zone that holds `name` with its servers, or why they could not be found. Never raises.

        Unless the name certainly `exists`, no caching resolver is asked about it: only about the name above.
        """


class Browser(Fetcher, Protocol):
    """A `Fetcher` that can also look as others do, to find out who is let in."""

    def fetch_as_browser(self, domain: Domain, address: str) -> Fetched:
        """The same request at one address, under the name of a browser. Never raises."""

    def answers(self, host: str, port: int) -> str | None:
        """Why this HTTPS server does not answer at any address; None if it does. Never raises."""


class Lookups(NameServers, Protocol):
    """Asks DNS: also the resolver. Names are A-labels without the root dot."""

    def ask(self, name: str, kind: str) -> Reply:
        """What the resolver says."""


class Prober(Protocol):
    """Asks MX hosts for TLS. May be called from several threads."""

    @property
    def answered(self) -> bool:
        """Has any host answered on port 25? Without one, silence may mean that this machine cannot reach that port anywhere."""

    def probe(self, host: str, address: str, end: Endpoint) -> Probed:
        """What this MX host answers at one of its addresses, over a connection to `end`. Sends no mail. Never raises."""
