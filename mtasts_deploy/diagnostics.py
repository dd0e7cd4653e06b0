"""What we say to people about a problem: where, what, why, and what to do.

A `Diagnostic` is a value. Stages collect them and return them all; only `output/` turns them into text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import total_ordering


@total_ordering
class Severity(Enum):
    """How bad a finding is; ordered, so that `max()` gives the worst."""

    NOTE = "note"
    WARN = "warn"
    ERROR = "error"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Severity):
            return NotImplemented
        order = list(Severity)
        return order.index(self) < order.index(other)

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A place in a text file: `line` and `column` count from 1, columns in code points."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One finding.

    `code` is stable and has a page (`deploy explain CODE`). `message` is one sentence that says what is wrong, with the values; `hint` says
    what to do; `ref` names the RFC section (`RFC 8461 §3.2`). `where` is the place in a file, `domain` the mail domain concerned as
    A-labels.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    where: Span | None = None
    domain: str | None = None
    hint: str | None = None
    ref: str | None = None

    def at(self, where: Span) -> Diagnostic:
        """The same finding, with its place."""
        return replace(self, where=where)

    def of(self, domain: str) -> Diagnostic:
        """The same finding, about that domain."""
        return replace(self, domain=domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A finding inside one text that the RFCs define (a policy, a record, a name), before anybody knows where the text came from.

    `line` and `column` count from 1 within that text; `section` cites the rule (`RFC 8461 §3.2`).
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    line: int = 1
    column: int = 1
    section: str | None = None
    hint: str | None = None

    def diagnostic(self, where: Span | None = None, domain: str | None = None) -> Diagnostic:
        """The same problem as a `Diagnostic`."""
        return Diagnostic(
            code=self.code,
            message=self.message,
            severity=self.severity,
            where=where,
            domain=domain,
            hint=self.hint,
            ref=self.section,
        )
