"""Fetches policies as a strict sender does (RFC 8461 §3.3): each address by itself, pinned, over a new connection.

GET, TLS 1.2 or newer, the certificate checked against the policy host's name, no redirect, no decompression, no cookie, no proxy, one
deadline for the whole exchange.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from functools import cached_property
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from mtasts_deploy import __version__
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import POLICY_LIMIT, Address, Fetched
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.answer import freshness, judge, minded, server_clock, shared_cache
from mtasts_deploy.sender.failures import NO_ROUTE, cause, explain
from mtasts_deploy.sender.options import Endpoint, Looking
from mtasts_deploy.sender.routes import has_route
from mtasts_deploy.sender.tls import DatedSocket, client_context, ends

if TYPE_CHECKING:
    from mtasts_deploy.sender.dns import Dns
    from mtasts_deploy.sender.names import Addresses

PORT: Final = 443
PATH: Final = "/.well-known/mta-sts.txt"
_TRIED: Final = 4  # addresses of an endpoint for reports; some have dozens
_CONNECT: Final = 15.0  # seconds for TCP, and again for TLS: real senders wait less
_AGENT: Final = f"mtasts-deploy/{__version__}"
_BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}


class StrictFetcher:
    """A `Fetcher`. Its certificates are read when it is made: raises `UsageError` (MTS921, MTS923) if there are none to trust."""

    def __init__(self, looking: Looking, addresses: Callable[[str, bool], Addresses] | None = None) -> None:
        """`addresses` gives the addresses of a name (known to exist or not); None: those of DNS."""
        self._looking = looking
        self._context = client_context(looking.ca_file)
        self._addresses = addresses

    def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        """See `Fetcher`."""
        host = domain.policy_host
        fixed = self._looking.fixed(host, PORT)
        if fixed:
            return tuple(self.fetch_from(host, end.address, end) for end in fixed)
        found = self.look_up(host, known)
        if found.problem is not None and not found.addresses:
            return (Fetched(address="", problem=found.problem),)
        return tuple(self.fetch_from(host, address, self._looking.way(address, PORT)) for address in found.addresses)

    def fetch_as_browser(self, domain: Domain, address: str) -> Fetched:
        """See `Browser`."""
        host = domain.policy_host
        end = next(iter(self._looking.fixed(host, PORT)), self._looking.way(address, PORT))
        return self.fetch_from(host, address, end, agent=_BROWSER)

    def answers(self, host: str, port: int) -> str | None:
        """See `Browser`. Certificates are checked, as a warning to people: reporters need not mind them (RFC 8460 §3)."""
        ways = self._looking.fixed(host, port) or tuple(self._looking.way(one, port) for one in self.look_up(host, True).addresses)
        why = "its name has no address"
        for end in ways[:_TRIED]:
            connection = HTTPSConnection(
                end.address,
                end.port,
                timeout=min(_CONNECT, self._looking.timeout),
                ssl_context=self._context,
                server_hostname=host,
            )
            try:
                connection.connect()
                return None
            except (OSError, EOFError, HTTPError, HTTPException, ValueError) as error:
                accepted = isinstance(error, ssl.SSLError) or _accepted(connection)
                why = explain(host, host, error, connected=accepted, timeout=_CONNECT, waited=0).message.removeprefix(f"{host}: ")
            finally:
                connection.close()
        return why

    def fetch_at(self, domain: Domain, address: Address) -> tuple[Fetched, ...]:
        """See `Fetcher`."""
        ends = (*address.a, *address.aaaa)
        if address.cname is not None:
            found = self.look_up(address.cname, known=False)
            if not found.addresses:
                return (Fetched(address="", problem=found.problem),)
            ends = (*ends, *found.addresses)
        return tuple(self.fetch_from(domain.policy_host, end, self._looking.way(end, PORT)) for end in dict.fromkeys(ends))

    def look_up(self, host: str, known: bool) -> Addresses:
        """The addresses of the policy host."""
        return self._addresses(host, known) if self._addresses is not None else self._dns.addresses(host, known=known)

    @cached_property
    def _dns(self) -> Dns:
        from mtasts_deploy.sender.dns import Dns

        return Dns(self._looking)

    def fetch_from(self, host: str, address: str, end: Endpoint, *, agent: str = _AGENT) -> Fetched:
        """What `host` answers at this one address, over a connection to `end`, to who calls himself `agent`. Never raises."""
        where = f"https://{host} at {address}"
        began = time.monotonic()
        connection = HTTPSConnection(
            end.address,
            end.port,
            timeout=min(_CONNECT, self._looking.timeout),
            ssl_context=self._context,
            server_hostname=host,
        )
        connected = False
        try:
            connection.connect()
            connected = True
            return self._exchange(connection, host, address, where, began, agent)
        except (OSError, EOFError, HTTPError, HTTPException, ValueError) as error:
            waited = time.monotonic() - began
            connected = connected or isinstance(error, ssl.SSLError) or _accepted(connection)
            if not connected and cause(error) in NO_ROUTE and not has_route(address):
                return Fetched(address=address, seconds=waited, problem=_no_family(where, address), unreachable=True)
            problem = explain(where, host, error, connected=connected, timeout=self._looking.timeout, waited=waited)
            return Fetched(address=address, seconds=waited, problem=problem)
        finally:
            connection.close()

    def _exchange(self, connection: HTTPSConnection, host: str, address: str, where: str, began: float, agent: str) -> Fetched:
        sock = connection.sock
        assert isinstance(sock, DatedSocket)
        sock.until = began + self._looking.timeout
        certificate = sock.getpeercert()
        connection.request(
            "GET", PATH, headers={"Host": host, "User-Agent": agent, **_HEADERS}, preload_content=False, decode_content=False
        )
        response = connection.getresponse()
        body = _body(response) if response.status == 200 else b""
        headers = {name.lower(): value for name, value in response.headers.items()}
        seconds = time.monotonic() - began
        problem = judge(where, response.status, headers, body)
        return Fetched(
            address=address,
            status=response.status,
            content_type=headers.get("content-type"),
            body=body if response.status == 200 and (problem is None or problem.code != "MTS524") else None,
            seconds=seconds,
            date=server_clock(headers),
            not_after=ends(certificate),
            freshness=freshness(headers),
            shared_cache=shared_cache(headers),
            problem=problem,
            warnings=tuple(minded(where, headers, seconds)) if problem is None else (),
        )


def _body(response: HTTPResponse) -> bytes:
    """At most one octet more than a policy may have. Reads to the end: only the last, empty read tells that something is missing."""
    body = b""
    while len(body) <= POLICY_LIMIT and (part := response.read(POLICY_LIMIT + 1 - len(body), decode_content=False)):
        body += part
    return body


def _accepted(connection: HTTPSConnection) -> bool:
    """Was the connection there before it failed? Then a socket is left."""
    return connection.sock is not None


def _no_family(where: str, address: str) -> Diagnostic:
    family = "IPv6" if ":" in address else "IPv4"
    return Diagnostic(
        code="MTS504",
        severity=Severity.WARN,
        message=f"{where}: this machine has no {family}, so what this address serves is not known",
        hint=f"Run where {family} works to have every address proved, or look at this one by other means.",
        ref="RFC 8461 §3.3",
    )
