"""What an HTTP answer means to a sender: pure. Status, header fields and octets in; problems, freshness and caches out (RFC 8461 §3.3).

Header field names are in lower case here. Texts from the other side are shortened and made printable before people see them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import POLICY_LIMIT

FETCH_ERROR: Final = "sts-policy-fetch-error"
WEBPKI: Final = "sts-webpki-invalid"
"""Result types of TLS reports, RFC 8460 §4.3.2.2."""

UNSAID: Final = 3600
"""Seconds for which a shared cache may serve an answer that does not say it."""
_SLOW: Final = 3.0  # seconds; some senders give up after 4
_RULE: Final = "RFC 8461 §3.3"
_CACHES: Final = ("age", "via", "x-cache", "x-cache-hits", "x-cache-status", "x-proxy-cache", "x-varnish", "x-served-by", "cf-cache-status")
_UNCACHED: Final = ("dynamic", "bypass", "none")
_CHARSETS: Final = ("utf-8", "us-ascii")


def finding(code: str, where: str, message: str, *, hint: str, reported: str = FETCH_ERROR, ref: str = _RULE) -> Diagnostic:
    """A problem of one address of a policy host, with what senders would report about it."""
    return Diagnostic(code=code, message=f"{where}: {message}", hint=f"{hint} TLS reports call it {reported}.", ref=ref)


def judge(where: str, status: int, headers: Mapping[str, str], body: bytes) -> Diagnostic | None:
    """Why a strict sender takes no policy from this answer, if so. `where` names the host and the address."""
    if 300 <= status < 400 and status != 304:
        to = shown(headers["location"], 200) if "location" in headers else "nowhere"
        hint = "Serve the policy at this very URL with status 200: senders must not follow redirects."
        return finding("MTS520", where, f"redirects (status {status}) to {to}", hint=hint)
    if status != 200:
        hint = "Only status 200 counts. 403 often means that the file is missing in a bucket, 404 that it is not where it should be."
        return finding("MTS521", where, f"answers with status {status}", hint=hint)
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        hint = "Store the file without Content-Encoding, and compress only for clients that ask for it."
        return finding("MTS524", where, f"sends the policy as {shown(coding)}, which was not asked for", hint=hint)
    if len(body) > POLICY_LIMIT:
        hint = "A policy has a few hundred octets: something else answers here."
        return finding("MTS525", where, f"sends more than {POLICY_LIMIT} octets", hint=hint)
    given = headers.get("content-type")
    if given is None:
        hint = "Let the server send `Content-Type: text/plain` for this file."
        return finding("MTS522", where, "sends no Content-Type", hint=hint, ref="RFC 8461 §3.2")
    if media_type(given) != "text/plain":
        hint = "Let the server send `Content-Type: text/plain` for this file; many senders refuse anything else."
        return finding("MTS523", where, f"sends Content-Type {shown(given)} instead of text/plain", hint=hint, ref="RFC 8461 §3.2")
    return None


def minded(where: str, headers: Mapping[str, str], seconds: float) -> Iterator[Diagnostic]:
    """What some senders mind in an answer that is right."""
    if seconds > _SLOW:
        yield Diagnostic(
            code="MTS506",
            severity=Severity.WARN,
            message=f"{where}: the whole answer took {seconds:.1f} s; some senders give up after 4 s",
            hint="Serve the file from something that is always awake.",
            ref=_RULE,
        )
    given = headers.get("content-type", "")
    charset = _charset(given)
    if (charset and charset not in _CHARSETS) or given.partition(";")[0].strip(" \t") != "text/plain":
        yield Diagnostic(
            code="MTS528",
            severity=Severity.WARN,
            message=f"{where}: Content-Type {shown(given)} is right, but not all senders read it",
            hint="Send plain `text/plain` in lower case.",
            ref="RFC 8461 §3.2",
        )


def media_type(value: str) -> str:
    """The media type in a Content-Type, in lower case, without its parameters."""
    return value.partition(";")[0].strip(" \t").lower()


def _charset(value: str) -> str:
    for part in value.split(";")[1:]:
        name, _, text = part.partition("=")
        if name.strip(" \t").lower() == "charset":
            return text.strip(' \t"').lower()
    return ""


def when(value: str | None) -> datetime | None:
    """A date of HTTP (RFC 9110 §5.6.7); None for what is none."""
    if value is None:
        return None
    try:
        found = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def server_clock(headers: Mapping[str, str]) -> datetime | None:
    """What the server's clock says: its Date, unless a cache may have kept the answer for a while."""
    return when(headers.get("date")) if not shared_cache(headers) else None


def shared_cache(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The header fields that show a shared cache on the way. A cache that says that it does not keep this answer is none."""
    if headers.get("cf-cache-status", "").strip().lower() in _UNCACHED:
        return tuple(f"{name}: {shown(headers[name], 60)}" for name in ("age",) if name in headers)
    return tuple(
        f"{name}: {shown(headers[name], 60)}" for name in _CACHES if name in headers and headers[name].strip().lower() not in _UNCACHED
    )


def freshness(headers: Mapping[str, str]) -> int | None:
    """The seconds for which a shared cache that fetches this answer now may serve it (RFC 9111 §4.2.1, RFC 5861 §3).

    None where it does not say. Where its Age shows that somebody keeps it for longer than it says, at least an hour.
    """
    said = _lifetime(headers)
    age = _seconds(headers.get("age"))
    return said if said is None or age is None or age <= said else max(age, UNSAID)


def _lifetime(headers: Mapping[str, str]) -> int | None:
    directives = _directives(headers.get("cache-control", ""))
    if not {"no-store", "no-cache", "private"}.isdisjoint(directives):
        return 0
    longer = _seconds(directives.get("stale-while-revalidate")) or 0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            seconds = _seconds(directives[name])
            return None if seconds is None else seconds + longer
    if "expires" in headers:
        expires, date = when(headers["expires"]), when(headers.get("date"))
        if expires is None:
            return 0  # RFC 9111 §5.3: an invalid date, above all "0", is in the past
        return None if date is None else max(int((expires - date).total_seconds()), 0)
    return None


def _directives(value: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in value.split(","):
        name, _, argument = part.partition("=")
        found.setdefault(name.strip(" \t").lower(), argument.strip(' \t"'))
    return found


def _seconds(value: str | None) -> int | None:
    text = (value or "").strip(" \t")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def shown(text: str, limit: int = 80) -> str:
    """A text of the other side for people: printable ASCII, not too long."""
    clean = "".join(character if " " <= character <= "~" else "?" for character in text[:limit])
    return clean + ("…" if len(text) > limit else "")
