"""The words of a plan: durations, ids, differences of policies and records. Golden tests hold them still."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from mtasts_deploy.rfc.policy import Mode, Policy
from mtasts_deploy.rfc.records import RecordError, parse_rua, parse_tlsrpt

SAME: Final = "same policy, our form"
_UNITS = ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m"))


def duration(seconds: int) -> str:
    """`604800` → `1w`; seconds where no larger unit divides it."""
    for size, unit in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(time: datetime) -> str:
    """`2026-12-07 17:00 UTC`, rounded up to the minute."""
    time = time.astimezone(UTC)
    if time.second or time.microsecond:
        time = datetime.fromtimestamp((int(time.timestamp()) // 60 + 1) * 60, UTC)
    return time.strftime("%Y-%m-%d %H:%M UTC")


def short_id(text: str) -> str:
    """An id for a line: `9c0f2b…`, with the counter if there is one; a short foreign id whole."""
    if len(text) <= 12:
        return text
    counter = f"r{text.partition('r')[2]}" if "r" in text[24:] else ""
    return f"{text[:6]}…{counter}"


def policy_text(policy: Policy) -> str:
    """A new policy in one line."""
    mx = ", ".join(map(str, policy.mx))
    return f"mode {policy.mode.value} · max_age {duration(policy.max_age)}" + (f" · mx {mx}" if mx else " · no mx")


def policy_change(old: Policy, new: Policy) -> str:
    """What differs between two policies; "same policy, our form" where only the bytes do, or only what means nothing in mode none."""
    parts = [SAME] if old.mode is new.mode is Mode.NONE else []
    if old.mode is not new.mode:
        parts.append(f"mode {old.mode.value} → {new.mode.value}")
    if old.max_age != new.max_age:
        parts.append(f"max_age {duration(old.max_age)} → {duration(new.max_age)}")
    parts += [f"mx + {pattern}" for pattern in _missing(new.mx, old.mx)]
    parts += [f"mx - {pattern}" for pattern in _missing(old.mx, new.mx)]
    return " · ".join(parts) or SAME


def rua_change(old: tuple[str, ...], new: str) -> str:
    """What differs between the TLSRPT values that are live and the one to come."""
    if not old:
        return f"rua {shown_rua((new,))}"
    with contextlib.suppress(RecordError):
        if len(old) == 1 and _targets(old[0]) == _targets(new):
            return "same record, our form"
    return f"rua {shown_rua(old)} → {shown_rua((new,))}"


def _targets(value: str) -> tuple[str, ...]:
    """The URIs of a value, as they are declared."""
    return tuple(parse_rua(uri)[0] for uri in parse_tlsrpt([value]).rua)


def shown_rua(values: tuple[str, ...]) -> str:
    """The URIs of TLSRPT values, for a line."""
    return " and ".join(value.partition("rua=")[2].rstrip("; ") or value for value in values)


def _missing(these: Iterable[object], those: Iterable[object]) -> list[str]:
    return sorted({str(one) for one in these} - {str(one) for one in those})


def consequence(old: Policy | None, new: Policy) -> str | None:
    """What a change means for mail, in one sentence, or None where nothing changes for it."""
    before = Mode.NONE if old is None else old.mode
    if new.mode is before and old is not None:
        return None
    match new.mode:
        case Mode.ENFORCE:
            return "From then on enforcing senders refuse to deliver unless an MX host of the policy passes TLS."
        case Mode.TESTING if before is Mode.ENFORCE:
            return "Senders deliver again whatever TLS says, as soon as they have looked; failures are only reported."
        case Mode.TESTING:
            return "Senders deliver as before and report TLS failures."
        case Mode.NONE if before is not Mode.NONE:
            return "Senders drop the policy as soon as they have looked."
        case _:
            return None
