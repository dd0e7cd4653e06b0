"""TLS as senders do it, over HTTPS and SMTP alike: which roots count, which versions, and sockets that cannot keep us for ever.

The environment does not count: not for roots (SSL_CERT_FILE), not for key logs.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SOON: Final = 14
"""Days before its end from which a certificate is spoken of."""


class TooMuch(OSError):
    """The other side sent more octets than such a dialogue ever has."""


def left(until: float | None) -> float | None:
    """The seconds until that moment (monotonic). Raises `TimeoutError` when it has come."""
    if until is None:
        return None
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the time for the whole exchange is up")
    return seconds


class DatedSocket(ssl.SSLSocket):
    """A TLS socket whose reads all end at one moment, `until` (monotonic seconds): a slow drip gets no new patience with each octet."""

    until: float | None = None

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """As the base class. Raises `TimeoutError` when time is up."""
        if self.until is not None:
            self.settimeout(left(self.until))
        return super().recv_into(buffer, nbytes, flags)


class PlainSocket(socket.socket):
    """A socket without TLS whose reads all end at `until`, and that takes `budget` octets in all."""

    until: float | None = None
    budget: int = 65536

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """As the base class. Raises `TimeoutError` when time is up, `TooMuch` when the budget is spent."""
        if self.until is not None:
            self.settimeout(left(self.until))
        size = super().recv_into(buffer, nbytes, flags)
        self.budget -= size
        if self.budget < 0:
            raise TooMuch("it sends without end")
        return size


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Checks the chain and the name; TLS 1.2 or newer (RFC 8461 §7.2). Raises `UsageError` (MTS921, MTS923) without roots to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = DatedSocket
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # nothing that a sender needs, and work without end for who is asked for it
    context.hostname_checks_common_name = False  # RFC 8461 §3.3, §4.2: only DNS-IDs count
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


def ends(certificate: Mapping[str, object] | None) -> datetime | None:
    """When a certificate, as `getpeercert` gives it, ends; UTC."""
    text = (certificate or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC) if isinstance(text, str) else None
