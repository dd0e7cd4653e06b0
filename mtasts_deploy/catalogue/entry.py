"""The shape of one entry of the catalogue of codes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One code: `title` names the situation without user values, `why` says what happens to mail, `fix` what to do.

    `bad` and `good` are short examples (YAML, a record, a policy or a command); `ref` cites the RFC section or is empty. `reported` is the
    result type under which senders tell of it in TLS reports (RFC 8460 §4.3), if they do.
    """

    code: str
    title: str
    why: str
    fix: str
    bad: str = ""
    good: str = ""
    ref: str = ""
    reported: str = ""
