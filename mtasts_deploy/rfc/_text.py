"""What the texts of both RFCs have in common: the error with its problems, field names, and how we quote."""

from __future__ import annotations

import re
from dataclasses import replace

from mtasts_deploy.diagnostics import Problem, Severity
from mtasts_deploy.errors import MtastsError

WSP = " \t"
"""RFC 5234 App. B.1: what *WSP stands for; never `str.strip()` without it."""

# RFC 8461 §3.1, §3.2 and RFC 8460 §3 define the name of an extension field in the same way.
FIELD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


class TextError(MtastsError):
    """A text breaks its grammar; `problems` has every one found, in the order of the text."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*(problem.diagnostic() for problem in problems))
        self.problems = problems


def printable(text: str, limit: int = 80) -> str:
    """The text, fit for one line of a terminal: control characters escaped, cut after `limit` characters."""
    cut = text[:limit]
    if not cut.isprintable():
        cut = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
    return f"{cut}…" if len(text) > limit else cut


def shown(text: str) -> str:
    """The text as it is quoted in a message."""
    return f'"{printable(text)}"'


def at(problem: Problem, line: int, column: int) -> Problem:
    """A problem found inside a value, placed in the text around it: the value starts at `line` and `column`."""
    return replace(problem, line=line, column=column + problem.column - 1)


def as_error(problem: Problem) -> Problem:
    """The same problem where it makes the text unusable."""
    return replace(problem, severity=Severity.ERROR)


def errors(problems: list[Problem]) -> list[Problem]:
    """Those that make the text invalid."""
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def name_problem(name: str) -> str | None:
    """Why this is no name of an extension field, or None if it is one (RFC 8461 §3.1, §3.2; RFC 8460 §3)."""
    if FIELD_NAME.fullmatch(name):
        return None
    if not name:
        return "a field without a name"
    if len(name) > 32:
        return f"the field name {shown(name)} has {len(name)} characters; 32 are the most"
    if FIELD_NAME.fullmatch(name.rstrip(WSP)):
        return f"white space after the field name {shown(name.rstrip(WSP))}"
    if FIELD_NAME.match(name) is None:
        return f"the field name {shown(name)} begins with {shown(name[0])}; it must begin with an ASCII letter or digit"
    return f"the field name {shown(name)} has other characters than ASCII letters, digits, _ - and ."
