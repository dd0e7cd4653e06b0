"""Policy ids (RFC 8461 §3.1): of any form when read, named after the served bytes when ours."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from mtasts_deploy.diagnostics import Problem
from mtasts_deploy.rfc._text import TextError, shown

DIGITS = 24
"""Hex digits of the SHA-256 in an id of ours: 96 bits, and room for a counter within 32 characters."""
MAX_RETURNED = 9_999_999
"""The largest counter that still fits an id of 32 characters."""

_ID = re.compile(r"[A-Za-z0-9]{1,32}")  # RFC 8461 §3.1: 1*32(ALPHA / DIGIT); `isalnum` knows Unicode
_OURS = re.compile(r"([0-9a-f]{24})(?:r([1-9][0-9]{0,6}))?")


class PolicyIdError(TextError):
    """The text is not a policy id."""


def id_problem(text: str) -> Problem | None:
    """Why this is no policy id, or None if it is one (RFC 8461 §3.1)."""
    if _ID.fullmatch(text):
        return None
    other = re.search(r"[^A-Za-z0-9]", text)
    if not text:
        message, hint = "the id is empty", None
    elif other:
        message = f"the id {shown(text)} has {shown(other[0])} in it; an id has only ASCII letters and digits"
        hint = "Let the id be the first 24 hex digits of the SHA-256 of the policy, or a time stamp such as 20270131T080000Z."
    else:
        message = f"the id {shown(text)} has {len(text)} characters; 32 are the most"
        hint = "Cut the digest to 24 hex digits." if re.fullmatch(r"[0-9A-Fa-f]+", text) else None
    return Problem(code="MTS310", message=message, column=other.start() + 1 if other else 1, section="RFC 8461 §3.1", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyId:
    """The id of one instance of a policy (RFC 8461 §3.1). Equal or not; ids have no order."""

    text: str

    @classmethod
    def parse(cls, text: str) -> PolicyId:
        """An id of any form: 1 to 32 ASCII letters and digits. Raises `PolicyIdError` (RFC 8461 §3.1)."""
        if problem := id_problem(text):
            raise PolicyIdError(problem)
        return cls(text=text)

    def __str__(self) -> str:
        return self.text

    @property
    def digits(self) -> str | None:
        """The 24 hex digits of an id of our own form (`digits`, or `digits` + `r` + counter); None for a foreign id."""
        match = _OURS.fullmatch(self.text)
        return match[1] if match else None

    @property
    def returned(self) -> int:
        """The counter of an id of our own form; 0 without one and for a foreign id."""
        match = _OURS.fullmatch(self.text)
        return int(match[2]) if match and match[2] else 0

    def names(self, body: bytes) -> bool:
        """Is this id of our form, and named after these bytes? A foreign id names nothing that can be checked."""
        digits = self.digits
        return digits is not None and digits == _digest(body)


def policy_id(body: bytes, *, returned: int = 0) -> PolicyId:
    """The id of ours for these policy bytes: 24 hex digits of their SHA-256, and `r1`, `r2`, … where they come back under a fresh id.

    RFC 8461 §3.1, §8.1. Raises `ValueError` for a counter below 0 or above `MAX_RETURNED`.
    """
    if not 0 <= returned <= MAX_RETURNED:
        raise ValueError(f"the counter of an id must be 0 to {MAX_RETURNED}, not {returned}")
    return PolicyId(text=f"{_digest(body)}r{returned}" if returned else _digest(body))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:DIGITS]
