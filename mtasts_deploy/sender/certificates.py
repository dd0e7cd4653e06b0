"""What is wrong with a certificate, in the words of a postmaster; the same for policy hosts and MX hosts (RFC 8461 §3.3, §4.2)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import Enum
from typing import Final

from mtasts_deploy.sender.answer import shown


class Fault(Enum):
    """The kinds of faults that the library tells apart."""

    EXPIRED = "expired"
    NOT_YET = "not yet valid"
    OTHER_NAME = "for another name"
    UNTRUSTED = "untrusted"
    INCOMPLETE = "incomplete chain"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFault:
    """A fault, with a message that goes on after "mx1.example.com: " and with what to do."""

    fault: Fault
    message: str
    hint: str


_RENEW: Final = "Renew the certificate of this name on the server that answers here, and look why it was not renewed by itself."
_FULL: Final = "Let the server send the full chain (`fullchain.pem`): browsers fetch what is missing, senders do not."
_PUBLIC: Final = "Get a certificate from a public CA"
_FAULTS: Final = {
    9: (Fault.NOT_YET, "its certificate is not valid yet", "Look at the clock of this machine, or wait until the certificate begins."),
    10: (Fault.EXPIRED, "its certificate has expired", _RENEW),
    18: (Fault.UNTRUSTED, "its certificate is self-signed", f"{_PUBLIC}: senders trust no other."),
    19: (
        Fault.UNTRUSTED,
        "its certificate comes from a CA that is not trusted here",
        f"{_PUBLIC}. If this CA is meant, name it with --ca-file.",
    ),
    20: (
        Fault.INCOMPLETE,
        "its certificate cannot be traced to a trusted CA: the intermediate certificate is not sent, or the CA is not a public one",
        _FULL,
    ),
    21: (Fault.INCOMPLETE, "its certificate cannot be traced to a trusted CA: the intermediate certificate is not sent", _FULL),
    23: (Fault.REVOKED, "its certificate has been revoked", _RENEW),
}
_MISMATCH: Final = (62, 64)


def certificate_fault(host: str, error: ssl.SSLCertVerificationError) -> CertificateFault:
    """What the error says about the certificate that was shown for `host`."""
    if error.verify_code in _MISMATCH:
        hint = f"The certificate must name {host} (subjectAltName), also behind a CNAME, and the server must choose it by SNI."
        return CertificateFault(fault=Fault.OTHER_NAME, message=f"its certificate is not for {host}", hint=hint)
    fault, message, hint = _FAULTS.get(
        error.verify_code, (Fault.UNTRUSTED, f"its certificate is not accepted ({shown(error.verify_message)})", "Replace the certificate.")
    )
    return CertificateFault(fault=fault, message=message, hint=hint)


_OLD: Final = ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS", "WRONG_SSL_VERSION", "VERSION_TOO_LOW")


def too_old(error: ssl.SSLError) -> bool:
    """Did the handshake fail because the other side speaks nothing newer than TLS 1.1 (RFC 8461 §7.2)?"""
    reason = (error.reason or str(error)).upper()
    return any(word in reason for word in _OLD)
