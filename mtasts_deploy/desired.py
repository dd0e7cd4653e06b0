"""What the declaration asks for, as bytes and values. Pure; yields bytes, never ids (an id depends on what was public before).

In: effective settings and the live MX hosts. Out: mx patterns, a policy, the TLSRPT value.
"""

from __future__ import annotations

from functools import lru_cache

from mtasts_deploy.declaration.model import DomainSettings
from mtasts_deploy.facts import LiveMx
from mtasts_deploy.rfc.names import MxPattern
from mtasts_deploy.rfc.policy import Mode, Policy
from mtasts_deploy.rfc.records import TlsrptRecord

NONE_MAX_AGE = 86400
"""max_age of a policy in mode none, seconds: small, as RFC 8461 §8.3 asks."""


@lru_cache(maxsize=65536)
def pattern_for(host: str) -> MxPattern:
    """The pattern that names exactly this MX host. Raises `MxPatternError` where no pattern can (an underscore: ruling A14)."""
    return MxPattern.parse(host)


def declared_mx(settings: DomainSettings, live: LiveMx) -> tuple[MxPattern, ...]:
    """The declared patterns, with `zone` replaced by the live MX hosts (the domain itself without MX records, RFC 5321 §5.1).

    Raises `MxPatternError` for an MX host that no pattern can name.
    """
    if not settings.mx_zone:
        return settings.mx
    hosts = () if live.null else tuple(pattern_for(host) for host in live.hosts)
    return tuple(dict.fromkeys((*hosts, *settings.mx)))


def policy(settings: DomainSettings, mx: tuple[MxPattern, ...], mode: Mode) -> Policy:
    """The policy for these patterns in this mode; `none` is short-lived whatever is declared."""
    max_age = NONE_MAX_AGE if mode is Mode.NONE else settings.max_age
    return Policy(version="STSv1", mode=mode, max_age=max_age, mx=mx)


def tlsrpt(settings: DomainSettings) -> str | None:
    """The value of the `_smtp._tls` record (RFC 8460 §3), or None where none is declared."""
    return TlsrptRecord(rua=settings.tlsrpt).render() if settings.tlsrpt else None
