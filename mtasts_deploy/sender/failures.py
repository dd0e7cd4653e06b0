"""Why an exchange failed, in the words of a postmaster: exceptions of sockets, TLS and HTTP in, diagnostics out."""

from __future__ import annotations

import errno
import ssl
from http.client import HTTPException, RemoteDisconnected
from typing import Final

from urllib3.exceptions import ConnectTimeoutError, HTTPError, IncompleteRead, NewConnectionError

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.sender.answer import WEBPKI, finding, shown

NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})

_CERTIFICATE: Final = "RFC 8461 §3.3"
_RENEW: Final = "Renew the certificate of this name on the server that answers here, and look why it was not renewed by itself."
_CERTIFICATES: Final = {
    9: ("MTS511", "its certificate is not valid yet", "Look at the clock of this machine, or wait until the certificate begins."),
    10: ("MTS510", "its certificate has expired", _RENEW),
    18: ("MTS513", "its certificate is self-signed", "Get a certificate from a public CA: senders trust no other."),
    19: (
        "MTS513",
        "its certificate comes from a CA that is not trusted here",
        "Get a certificate from a public CA. If this CA is meant, name it with --ca-file.",
    ),
    20: (
        "MTS514",
        "its certificate cannot be traced to a trusted CA: the intermediate certificate is not sent, or the CA is not a public one",
        "Let the server send the full chain (`fullchain.pem`): browsers fetch what is missing, senders do not.",
    ),
    21: (
        "MTS514",
        "its certificate cannot be traced to a trusted CA: the intermediate certificate is not sent",
        "Let the server send the full chain (`fullchain.pem`): browsers fetch what is missing, senders do not.",
    ),
    23: ("MTS515", "its certificate has been revoked", _RENEW),
}
_MISMATCH: Final = (62, 64)
_OLD: Final = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS", "WRONG_SSL_VERSION", "VERSION_TOO_LOW")


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
        hint = "Look at the log of the server: it accepted the connection and gave up."
        return finding("MTS503", where, "closed the connection without an answer", hint=hint)
    assert isinstance(error, HTTPException | HTTPError | ValueError)
    hint = "What answers there is no web server, or a broken one."
    return finding("MTS526", where, f"does not answer in HTTP ({shown(str(error) or type(error).__name__)})", hint=hint)


def _certificate(where: str, host: str, error: ssl.SSLCertVerificationError) -> Diagnostic:
    if error.verify_code in _MISMATCH:
        hint = f"The certificate must name {host} (subjectAltName), also behind a CNAME, and the server must choose it by SNI."
        return finding("MTS512", where, f"its certificate is not for {host}", hint=hint, reported=WEBPKI, ref=_CERTIFICATE)
    code, message, hint = _CERTIFICATES.get(
        error.verify_code, ("MTS513", f"its certificate is not accepted ({shown(error.verify_message)})", "Replace the certificate.")
    )
    return finding(code, where, message, hint=hint, reported=WEBPKI, ref=_CERTIFICATE)


def _handshake(where: str, error: ssl.SSLError) -> Diagnostic:
    reason = error.reason or str(error)
    if any(word in reason.upper() for word in _OLD):
        hint = "Switch on TLS 1.2 and 1.3 there."
        return finding("MTS516", where, "does not speak TLS 1.2 or newer", hint=hint, reported=WEBPKI, ref="RFC 8461 §7.2")
    hint = "Look whether the server knows this name (SNI) and has a certificate for it."
    return finding("MTS518", where, f"the TLS handshake failed ({shown(reason)})", hint=hint, reported=WEBPKI, ref="RFC 8461 §7.1")


def _connect(where: str, error: Exception, waited: float) -> Diagnostic:
    number = cause(error)
    if number == errno.ECONNREFUSED:
        hint = "Start the web server there, or remove this address from DNS: senders that are given it get no policy."
        return finding("MTS500", where, "refuses connections", hint=hint)
    if isinstance(error, ConnectTimeoutError) or number == errno.ETIMEDOUT:
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
