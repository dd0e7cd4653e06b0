"""Shared wording of everything that people read: one diagnostic, counts, lists. No control character of others reaches a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.rfc.names import Domain

WORDS: Final = {Severity.ERROR: "error", Severity.WARN: "warning", Severity.NOTE: "note"}


def plain(text: str) -> str:
    """The text on one line of a terminal: what is not printable (also ESC and marks of direction) is escaped."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 domain`, `2 domains`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str], limit: int = 10) -> str:
    """`a, b and c`; after `limit` names only how many more there are."""
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def in_order(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each finding once; errors first, then warnings, then notes; by file and line within each."""

    def place(finding: Diagnostic) -> tuple[int, str, int, int, str]:
        where = finding.where
        spot = ("", 0, 0) if where is None else (where.path, where.line, where.column)
        return (-list(Severity).index(finding.severity), *spot, finding.domain or "")

    return sorted(dict.fromkeys(findings), key=place)


def subject(finding: Diagnostic) -> str:
    """What a finding is about: its place in a file, else its domain; empty if it has neither."""
    if finding.where is not None:
        return f"{finding.where}: "
    if not finding.domain or finding.domain in finding.message:
        return ""
    return f"{Domain(text=finding.domain).unicode}: "


def further(finding: Diagnostic) -> Iterator[str]:
    """The lines below a finding: what to do, and where to read more."""
    if finding.hint:
        yield f"hint: {plain(finding.hint)}"
    page = f"deploy explain {finding.code}"
    yield f"see: {finding.ref}, {page}" if finding.ref else f"see: {page}"


def tally(findings: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`; empty without either."""
    severities = [finding.severity for finding in findings]
    counts = [
        counted(severities.count(severity), WORDS[severity]) for severity in (Severity.ERROR, Severity.WARN) if severity in severities
    ]
    return ", ".join(counts)
