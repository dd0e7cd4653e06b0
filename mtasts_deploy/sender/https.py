"""Fetches policies as a strict sender does (RFC 8461 §3.3): each address by itself, pinned, over a new connection.

GET, TLS 1.2 or newer, the certificate checked against the policy host's name, no redirect, no decompression, no cookie, no proxy, one
deadline for the whole exchange. The environment does not count: not for proxies, not for roots (SSL_CERT_FILE), not for key logs.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Final

from urllib3.connection import HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from mtasts_deploy import __version__
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import UsageError
from mtasts_deploy.facts import POLICY_LIMIT, Address, Fetched
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.answer import freshness, judge, minded, server_clock, shared_cache
from mtasts_deploy.sender.failures import NO_ROUTE, cause, explain
from mtasts_deploy.sender.options import Endpoint, Looking
from mtasts_deploy.sender.routes import has_route

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from mtasts_deploy.sender.dns import Dns
    from mtasts_deploy.sender.names import Addresses

PORT: Final = 443
PATH: Final = "/.well-known/mta-sts.txt"
_CONNECT: Final = 15.0  # seconds for TCP, and again for TLS: real senders wait less
_HEADERS: Final = {"User-Agent": f"mtasts-deploy/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}


class DatedSocket(ssl.SSLSocket):
    """A TLS socket whose reads all end at one moment, `until` (monotonic seconds): a slow drip gets no new patience with each octet."""

    until: float | None = None

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """As the base class. Raises `TimeoutError` when time is up."""
        if self.until is not None:
            left = self.until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the time for the whole exchange is up")
            self.settimeout(left)
        return super().recv_into(buffer, nbytes, flags)


class StrictFetcher:
    """A `Fetcher`. Its certificates are read when it is made: raises `UsageError` (MTS921, MTS923) if there are none to trust."""

    def __init__(self, looking: Looking, addresses: Callable[[str, bool], Addresses] | None = None) -> None:
        """`addresses` gives the addresses of a name (known to exist or not); None: those of DNS."""
        self._looking = looking
        self._context = _context(looking.ca_file)
        self._addresses = addresses

    def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        """See `Fetcher`."""
        host = domain.policy_host
        fixed = [detour.to for detour in self._looking.detours if detour.covers(host, PORT)]
        if fixed:
            return tuple(self.fetch_from(host, end.address, end) for end in fixed)
        found = self.look_up(host, known)
        if found.problem is not None and not found.addresses:
            return (Fetched(address="", problem=found.problem),)
        return tuple(self.fetch_from(host, address, self._way(address)) for address in found.addresses)

    def fetch_at(self, domain: Domain, address: Address) -> tuple[Fetched, ...]:
        """See `Fetcher`."""
        ends = (*address.a, *address.aaaa)
        if address.cname is not None:
            found = self.look_up(address.cname, known=False)
            if not found.addresses:
                return (Fetched(address="", problem=found.problem),)
            ends = (*ends, *found.addresses)
        return tuple(self.fetch_from(domain.policy_host, end, self._way(end)) for end in dict.fromkeys(ends))

    def look_up(self, host: str, known: bool) -> Addresses:
        """The addresses of the policy host."""
        return self._addresses(host, known) if self._addresses is not None else self._dns.addresses(host, known=known)

    @cached_property
    def _dns(self) -> Dns:
        from mtasts_deploy.sender.dns import Dns

        return Dns(self._looking)

    def _way(self, address: str) -> Endpoint:
        for detour in self._looking.detours:
            if detour.host and detour.covers(address, PORT):
                return detour.to
        return Endpoint(address=address, port=PORT)

    def fetch_from(self, host: str, address: str, end: Endpoint) -> Fetched:
        """What `host` answers at this one address, over a connection to `end`. Never raises."""
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
            return self._exchange(connection, host, address, where, began)
        except (OSError, EOFError, HTTPError, HTTPException, ValueError) as error:
            waited = time.monotonic() - began
            connected = connected or isinstance(error, ssl.SSLError) or _accepted(connection)
            if not connected and cause(error) in NO_ROUTE and not has_route(address):
                return Fetched(address=address, seconds=waited, problem=_no_family(where, address), unreachable=True)
            problem = explain(where, host, error, connected=connected, timeout=self._looking.timeout, waited=waited)
            return Fetched(address=address, seconds=waited, problem=problem)
        finally:
            connection.close()

    def _exchange(self, connection: HTTPSConnection, host: str, address: str, where: str, began: float) -> Fetched:
        sock = connection.sock
        assert isinstance(sock, DatedSocket)
        sock.until = began + self._looking.timeout
        certificate = sock.getpeercert() or {}
        connection.request("GET", PATH, headers={"Host": host, **_HEADERS}, preload_content=False, decode_content=False)
        response = connection.getresponse()
        body = _body(response) if response.status == 200 else b""
        headers = {name.lower(): value for name, value in response.headers.items()}
        seconds = time.monotonic() - began
        problem = judge(where, response.status, headers, body)
        ends = certificate.get("notAfter")
        return Fetched(
            address=address,
            status=response.status,
            content_type=headers.get("content-type"),
            body=body if response.status == 200 and (problem is None or problem.code != "MTS524") else None,
            seconds=seconds,
            date=server_clock(headers),
            not_after=datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None,
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


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the chain and the name
    context.sslsocket_class = DatedSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8461 §7.2
    context.hostname_checks_common_name = False  # RFC 8461 §3.3: only DNS-IDs count
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(ca_file))
        except OSError as error:
            message = f"--ca-file {ca_file} cannot be used: {error.strerror or error}"
            hint = "Name a file with root certificates in PEM form."
            raise UsageError(Diagnostic(code="MTS921", message=message, hint=hint)) from error
        return context
    # Not `load_default_certs`: it follows SSL_CERT_FILE, and a private CA that is trusted on this machine is trusted by no sender.
    paths = ssl.get_default_verify_paths()
    cafile = paths.openssl_cafile if Path(paths.openssl_cafile).is_file() else None
    capath = paths.openssl_capath if Path(paths.openssl_capath).is_dir() and any(Path(paths.openssl_capath).iterdir()) else None
    if cafile is None and capath is None:
        message = f"this machine has no root certificates at {paths.openssl_cafile} or in {paths.openssl_capath}"
        hint = "Install them (Debian: ca-certificates), or name a file of them with --ca-file."
        raise UsageError(Diagnostic(code="MTS923", message=message, hint=hint))
    context.load_verify_locations(cafile=cafile, capath=capath)
    return context


def _no_family(where: str, address: str) -> Diagnostic:
    family = "IPv6" if ":" in address else "IPv4"
    return Diagnostic(
        code="MTS504",
        severity=Severity.WARN,
        message=f"{where}: this machine has no {family}, so what this address serves is not known",
        hint=f"Run where {family} works to have every address proved, or look at this one by other means.",
        ref="RFC 8461 §3.3",
    )
