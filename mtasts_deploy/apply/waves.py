"""Waves: a large run changes a few domains first, then more, and stops between two waves where too many have failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

T = TypeVar("T")
_FORM: Final = re.compile(r"([0-9]{1,7})(%?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many domains, or so many in a hundred of those that the run changes."""

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """How many that are, rounded up."""
        return min(-(-self.number * total // 100) if self.percent else self.number, total)

    def __str__(self) -> str:
        return f"{self.number}{'%' * self.percent}"


NONE: Final = Share(number=0)


def parse_share(option: str, text: str) -> Share:
    """Read `3` or `10%`. Raises `UsageError` (MTS928)."""
    match = _FORM.fullmatch(text.strip())
    if match is None or (match[2] and int(match[1]) > 100):
        hint = "A number of domains (5), or a share of those that change (10%)."
        raise UsageError(Diagnostic(code="MTS928", message=f'{option}: "{text.strip()}" is neither a number nor a share', hint=hint))
    return Share(number=int(match[1]), percent=bool(match[2]))


def parse_waves(option: str, text: str) -> tuple[Share, ...]:
    """Read `1%,10%,100%` or `5,50,500`: up to how many domains each wave goes. Raises `UsageError` (MTS928)."""
    shares = tuple(parse_share(option, part) for part in text.split(","))
    for before, after in zip((NONE, *shares), shares, strict=False):
        mixed = after.percent != before.percent and before is not NONE
        if mixed or after.number <= before.number:
            message = f"{option} {text}: each wave must go further than the one before"
            raise UsageError(Diagnostic(code="MTS928", message=message, hint="For example: --wave 1%,10%,100% or --wave 5,50,500."))
    return shares


def portions(items: Sequence[T], waves: Sequence[Share]) -> list[Sequence[T]]:
    """The items wave by wave, none of them empty; what the last wave leaves is one more."""
    bounds = sorted({min(wave.of(len(items)), len(items)) for wave in waves} | {len(items)})
    return [items[start:end] for start, end in zip((0, *bounds), bounds, strict=False) if start < end]
