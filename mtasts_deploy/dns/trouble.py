"""What an exception of octoDNS, a provider or the network means: who refuses, who is not there, what to do. No library is imported for it.

Exceptions are told by their names, an HTTP status, a code of AWS or a response code of DNS, looking through all that they were raised from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.masking import masked


class Kind(Enum):
    """Kinds of trouble, by their codes."""

    OTHER = "MTS463"
    DENIED = "MTS474"
    UNREACHABLE = "MTS475"
    THROTTLED = "MTS476"
    BROKEN = "MTS477"
    RECORD = "MTS478"
    NO_ZONE = "MTS458"


WORTH_RETRYING: Final = frozenset({Kind.UNREACHABLE.value, Kind.THROTTLED.value})
"""The codes of what may pass by itself: the network, throttling. A refusal does not."""

_DENIED: Final = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "NoCredentialsError",
        "PartialCredentialsError",
        "NoAuthTokenError",
        "PeerBadKey",
        "PeerBadSignature",
        "PeerBadTime",
        "BadSignature",
        "BadKey",
        "BadTime",
        "PeerError",
        "UnknownTSIGKey",
    ]
)
_THROTTLED: Final = frozenset(
    [
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "PriorRequestNotComplete",
        "SlowDown",
        "ServiceUnavailable",
    ]
)
_NETWORK: Final = frozenset(
    [
        "ConnectionError",
        "ConnectTimeout",
        "ReadTimeout",
        "Timeout",
        "TimeoutError",
        "gaierror",
        "EOFError",
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "NewConnectionError",
        "ProtocolError",
        "SSLError",
        "ChunkedEncodingError",
        "NoNameservers",
    ]
)
_HINTS: Final = {
    Kind.OTHER: "octoDNS reads whole zones: correct what it names.",
    Kind.DENIED: "Check the key or token and its rights on this zone: reading needs the zone, its records and (RFC 2136) transfers.",
    Kind.UNREACHABLE: "Check address and port of the provider and the network from here, then run the command again.",
    Kind.THROTTLED: "Run the command again later, or give the provider `limits:` (max_in_flight, per_second).",
    Kind.BROKEN: "The fault is at the provider: run the command again later, and look at its status page or its log.",
    Kind.RECORD: "Correct that record at the provider: octoDNS reads whole zones, so one that it cannot read hides all of them.",
    Kind.NO_ZONE: "Create the zone there, or correct `zone` or `dns` of the domain.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What is wrong, in the words of whoever found it; `retry_after` is in seconds where the provider says it."""

    kind: Kind
    text: str
    retry_after: float = 0


def said(error: BaseException) -> str:
    """An exception as one line of text, without secrets."""
    return masked(" ".join(str(error).split())) or type(error).__name__


def look(error: BaseException) -> Trouble:
    """What an exception means."""
    chain = list(_chain(error))
    response: Any = next((found for one in chain if (found := getattr(one, "response", None)) is not None), None)
    status, codes = _answer(response)
    names = {kind.__name__ for one in chain for kind in type(one).__mro__} | codes
    text = said(error)
    kind = _kind(status, names, chain, text)
    return Trouble(kind=kind, text=_with_answer(text, response), retry_after=_retry_after(response))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__, *(arg for arg in one.args if isinstance(arg, BaseException))]


def _answer(response: Any) -> tuple[int, set[str]]:
    """The HTTP status, and the codes that AWS gives."""
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return int(status or 0), {str(response.get("Error", {}).get("Code", ""))}
    status = getattr(response, "status_code", 0)
    return (status if isinstance(status, int) else 0), set()


def _kind(status: int, names: set[str], chain: list[BaseException], text: str) -> Kind:
    rcode = next((str(getattr(one, "rcode", "")) for one in chain if type(one).__name__ == "TransferError"), "")
    if status in (429, 503) or names & _THROTTLED or any("RateLimit" in name for name in names) or "Cloudflare5xxError" in names:
        return Kind.THROTTLED
    if status in (401, 403) or names & _DENIED or any("Authentication" in name or "Unauthorized" in name for name in names):
        return Kind.DENIED
    if status >= 500:
        return Kind.BROKEN
    if rcode or "update" in text:
        return _by_rcode(text)
    if status == 0 and names & _NETWORK:
        return Kind.UNREACHABLE
    if names & {"ValidationError", "RecordException", "RdataParseError", "DuplicateRecordException", "InvalidNodeException"}:
        return Kind.RECORD
    return Kind.OTHER


def _by_rcode(text: str) -> Kind:
    """What a DNS server says to a transfer or an update."""
    if "NOTAUTH" in text or "NOTZONE" in text or "NXDOMAIN" in text:
        return Kind.NO_ZONE
    if "REFUSED" in text:
        return Kind.DENIED
    return Kind.BROKEN if "SERVFAIL" in text else Kind.OTHER


def _with_answer(text: str, response: Any) -> str:
    """With what a server says in the body of its answer: `422 …` alone tells nobody what is wrong."""
    body = getattr(response, "text", "")
    found = re.search(r'"(?:error|message)"\s*:\s*"((?:[^"\\]|\\.)*)"', body) if isinstance(body, str) else None
    more = " ".join(found[1].split())[:200] if found else ""
    return f"{text}: {masked(more)}" if more and more not in text else text


def _retry_after(response: Any) -> float:
    headers = getattr(response, "headers", None) or {}
    try:
        return max(0.0, float(headers.get("Retry-After", 0)))
    except (TypeError, ValueError, AttributeError):
        return 0


_READING: Final = {
    Kind.OTHER: "the zone {zone} cannot be read through octoDNS",
    Kind.DENIED: "access to the zone {zone} is denied",
    Kind.UNREACHABLE: "it does not answer about the zone {zone}",
    Kind.THROTTLED: "it does not take more requests for now, so the zone {zone} was not read",
    Kind.BROKEN: "it failed while the zone {zone} was read",
    Kind.RECORD: "the zone {zone} holds a record that octoDNS cannot read",
    Kind.NO_ZONE: "it does not serve the zone {zone}",
}


def unreadable(provider: str, zone: str, error: BaseException, culprit: str = "") -> Diagnostic:
    """Why a zone could not be read (MTS458, MTS463, MTS474 to MTS478); `culprit` names the record, where the error does not."""
    found = look(error)
    named = f"{culprit}: " if culprit else ""
    message = f"provider {provider}: {_READING[found.kind].format(zone=zone.rstrip('.'))}: {named}{found.text}"
    return Diagnostic(code=found.kind.value, message=message, hint=_HINTS[found.kind])


def unlisted(provider: str, error: BaseException) -> Diagnostic:
    """Why the zones of a provider could not be listed (MTS471, MTS474 to MTS477)."""
    found = look(error)
    code = found.kind.value if found.kind in (Kind.DENIED, Kind.UNREACHABLE, Kind.THROTTLED, Kind.BROKEN) else "MTS471"
    hint = _HINTS[found.kind] if code != "MTS471" else "Correct the access, or name the zone of each domain (`zone`)."
    return Diagnostic(code=code, message=f"provider {provider}: its zones cannot be listed: {found.text}", hint=hint)


def unwritten(provider: str, zone: str, error: BaseException) -> Diagnostic:
    """Why writing a zone failed (MTS468, MTS474 to MTS477): what was written is unknown."""
    found = look(error)
    code = found.kind.value if found.kind in (Kind.DENIED, Kind.UNREACHABLE, Kind.THROTTLED, Kind.BROKEN) else "MTS468"
    hint = "What was written is unknown until the zone is read again; the next apply goes on from what is there."
    if code != "MTS468":
        hint = f"{_HINTS[found.kind]} {hint}"
    return Diagnostic(code=code, message=f"provider {provider} failed while it wrote the zone {zone.rstrip('.')}: {found.text}", hint=hint)
