"""Why an exchange failed, in the words of a postmaster: exceptions of sockets, TLS and HTTP in, diagnostics out."""

from __future__ import annotations

import errno
import ssl
from http.client import HTTPException, RemoteDisconnected
from typing import Final

from urllib3.exceptions import ConnectTimeoutError, HTTPError, IncompleteRead, NewConnectionError

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.sender.answer import WEBPKI, finding, shown
from mtasts_deploy.sender.certificates import Fault, certificate_fault, too_old

NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

_GAVE_UP: Final = "Look at the log of the server: it accepted the connection and gave up."
_CERTIFICATE: Final = "RFC 8461 §3.3"
_CODES: Final = {
    Fault.EXPIRED: "MTS510",
    Fault.NOT_YET: "MTS511",
    Fault.OTHER_NAME: "MTS512",
    Fault.UNTRUSTED: "MTS513",
    Fault.INCOMPLETE: "MTS514",
    Fault.REVOKED: "MTS515",
}


def explain(where: str, host: str, error: Exception, *, connected: bool, timeout: float, waited: float) -> Diagnostic:
    """The problem that this exception is. `connected`: the server had accepted the connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(where, host, error)
    if not connected:
        return _connect(where, error, waited)
    if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError) or waited >= timeout:
        hint = "Look at the load of the server, and at whatever stands before it (a bot check, a rate limit)."
        return finding("MTS505", where, f"gave no whole answer within {waited:.0f} s", hint=hint)
    if isinstance(error, ssl.SSLError):
        return _handshake(where, error)
    if isinstance(error, IncompleteRead) or isinstance(error.__cause__, IncompleteRead):
        hint = "The length that it announces is not what it sends; look at the proxy or cache that stands there."
        return finding("MTS527", where, "ended its answer before it was complete", hint=hint)
    if isinstance(error, OSError | RemoteDisconnected | EOFError):
        return finding("MTS503", where, "closed the connection without an answer", hint=_GAVE_UP)
    assert isinstance(error, HTTPException | HTTPError | ValueError)
    hint = "What answers there is no web server, or a broken one."
    return finding("MTS526", where, f"does not answer in HTTP ({shown(str(error) or type(error).__name__)})", hint=hint)


def _certificate(where: str, host: str, error: ssl.SSLCertVerificationError) -> Diagnostic:
    found = certificate_fault(host, error)
    return finding(_CODES[found.fault], where, found.message, hint=found.hint, reported=WEBPKI, ref=_CERTIFICATE)


def _handshake(where: str, error: ssl.SSLError) -> Diagnostic:
    if too_old(error):
        hint = "Switch on TLS 1.2 and 1.3 there."
        return finding("MTS516", where, "does not speak TLS 1.2 or newer", hint=hint, reported=WEBPKI, ref="RFC 8461 §7.2")
    reason = error.reason or str(error)
    hint = "Look whether the server knows this name (SNI) and has a certificate for it."
    return finding("MTS518", where, f"the TLS handshake failed ({shown(reason)})", hint=hint, reported=WEBPKI, ref="RFC 8461 §7.1")


def _connect(where: str, error: Exception, waited: float) -> Diagnostic:
    number = cause(error)
    if number == errno.ECONNREFUSED:
        hint = "Start the web server there, or remove this address from DNS: senders that are given it get no policy."
        return finding("MTS500", where, "refuses connections", hint=hint)
    if number in (errno.ECONNRESET, errno.EPIPE):
        return finding("MTS503", where, "closed the connection without an answer", hint=_GAVE_UP)
    timed_out = isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError)  # which urllib3 derives from it
    if timed_out or number == errno.ETIMEDOUT:
        hint = "Look at the firewall and whether the address is still right; remove it from DNS if nothing is there."
        return finding("MTS501", where, f"does not answer (waited {waited:.0f} s)", hint=hint)
    if number in NO_ROUTE:
        hint = "Look whether the address is still right; remove it from DNS if nothing is there."
        return finding("MTS502", where, "cannot be reached: no route leads there", hint=hint)
    hint = "Look at the firewall and whether the address is still right."
    return finding("MTS502", where, f"cannot be connected to ({shown(str(error.__cause__ or error))})", hint=hint)


def cause(error: Exception) -> int | None:
    """The error number of the system behind an exception of urllib3."""
    inner = error.__cause__ if isinstance(error, NewConnectionError) else error
    return inner.errno if isinstance(inner, OSError) else None
