"""How we look at the world: which resolver, which roots, which addresses, how long. Texts of the command line in, values out."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

TIMEOUT: Final = 60.0
"""Seconds for a whole exchange: RFC 8461 §3.3 suggests one minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address (IPv4 or IPv6, as text) and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detour:
    """`--connect-to`: whoever wants to reach `host` (a name or an address; empty: any) at `port` (None: any) connects to `to`.

    What is asked for, the name in the handshake and the name in the certificate stay as they are.
    """

    host: str
    port: int | None
    to: Endpoint

    def covers(self, host: str, port: int) -> bool:
        """Is this the way to that host?"""
        return self.host in ("", host) and self.port in (None, port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """How the world is looked at. `timeout`: seconds for one whole exchange. `ca_file`: the only roots; None: those of this machine."""

    resolver: Endpoint | None = None
    ca_file: Path | None = None
    detours: tuple[Detour, ...] = ()
    timeout: float = TIMEOUT

    @classmethod
    def parse(cls, resolver: str | None, ca_file: Path | None, connect_to: Iterable[str], timeout: float = TIMEOUT) -> Looking:
        """Read the options. Raises `UsageError` (MTS920 to MTS922)."""
        if ca_file is not None and not ca_file.is_file():
            message = f"--ca-file {ca_file}: there is no such file"
            raise UsageError(Diagnostic(code="MTS921", message=message, hint="Name a file with root certificates in PEM form."))
        return cls(
            resolver=None if resolver is None else _resolver(resolver),
            ca_file=ca_file,
            detours=tuple(_detour(text) for text in connect_to),
            timeout=timeout,
        )

    def fixed(self, host: str, port: int) -> tuple[Endpoint, ...]:
        """Where detours lead whoever wants to reach that name, whatever its addresses are."""
        return tuple(detour.to for detour in self.detours if detour.covers(host, port))

    def way(self, address: str, port: int) -> Endpoint:
        """Where to connect for that address."""
        for detour in self.detours:
            if detour.host and detour.covers(address, port):
                return detour.to
        return Endpoint(address=address, port=port)


def _resolver(text: str) -> Endpoint:
    address, port = _take(text if text.startswith("[") or text.count(":") < 2 else f"[{text}]")
    found = _endpoint(address, port or "53")
    if found is None:
        hint = "Write an address, with a port if it is not 53: 192.0.2.53 or 127.0.0.1:5300 or [2001:db8::53]:53."
        raise UsageError(Diagnostic(code="MTS920", message=f"--resolver {text} is no IP address with a port", hint=hint))
    return found


def _detour(text: str) -> Detour:
    host, rest = _take(text)
    port, _, target = rest.partition(":")
    to = _endpoint(*_take(target))
    if to is None or not (port == "" or _is_port(port)):
        raise UsageError(
            Diagnostic(
                code="MTS922",
                message=f"--connect-to {text}: expected HOST:PORT:ADDR:PORT",
                hint="For example mta-sts.example.com:443:127.0.0.1:8443; an empty HOST or PORT stands for any; IPv6 goes in [ ].",
            )
        )
    return Detour(host=host.lower().rstrip("."), port=int(port) if port else None, to=to)


def _take(text: str) -> tuple[str, str]:
    """The first part, without brackets, and what follows its colon."""
    if text.startswith("["):
        part, end, rest = text[1:].partition("]")
        return (part, rest[1:]) if end else ("", "")
    part, _, rest = text.partition(":")
    return part, rest


def _endpoint(address: str, port: str) -> Endpoint | None:
    try:
        return Endpoint(address=str(ipaddress.ip_address(address)), port=int(port)) if _is_port(port) else None
    except ValueError:
        return None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536
