"""How messages about a declaration are worded: values in quotation marks, close names, hints for the usual YAML mistakes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

SECRET: Final = re.compile(r"secret|token|password|api[-_]?key", re.IGNORECASE)
"""Keys whose values are never shown, and must not stand in a file."""
CREDENTIAL: Final = re.compile(SECRET.pattern + "|access[-_]?key|credential|^(?:aws_)?profile$|^role_arn$", re.IGNORECASE)
"""Keys with which people give credentials to a bucket."""


def shown(text: str, limit: int = 60) -> str:
    """The text in quotation marks, fit for one line of a terminal."""
    cut = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:limit])
    return f'"{cut}…"' if len(text) > limit else f'"{cut}"'


def described(value: Any, text: str | None) -> str:
    """A value of the file as a message names it; collections only by their kind, which may hold anything."""
    match value:
        case None:
            return "empty"
        case dict():
            return "a mapping"
        case list():
            return "a list" if value else "an empty list"
        case str():
            return shown(value)
        case _:
            return text if text is not None and len(text) <= 40 else "a number"


def listed(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def close(name: str, known: Iterable[str]) -> str | None:
    """The one known name that this may be a slip of."""
    names = list(known)
    folded = {other.lower().replace("-", "_"): other for other in names}
    wanted = name.strip().lower().replace("-", "_")
    if wanted in folded:
        return folded[wanted]
    found = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.65)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """A hint for an unknown name: the close one, else all of them, else what to do."""
    names = list(known)
    if found := close(name, names):
        return f"Did you mean `{found}`?"
    return f"Known here: {', '.join(names)}." if names else otherwise


def syntax_hint(said: str, before: str, rest: str) -> tuple[str, str]:
    """Message and hint for a syntax error, from what libyaml says and the line before and after the place."""
    if rest.startswith("\t") or "\t" in before[: len(before) - len(before.lstrip())]:
        return "a tab stands where YAML wants spaces", "Indent with spaces only."
    if "alias" in said:
        word = _word("*" + rest if not rest.startswith("*") and before.endswith("*") else rest)
        star = word if word.startswith("*") else "*"
        if star == "*" and "mx" in before:
            return (
                "`*` is not valid as an mx, with or without quotes",
                "Name the MX hosts, or write `mx: zone`; see `deploy explain MTS210`.",
            )
        return f"{shown(star)} without quotes begins an alias in YAML, and this is none", f'Put it in quotes: "{star}".'
    if "cannot start any token" in said and rest:
        return f"a value cannot begin with `{rest[0]}` without quotes", f'Put the value in quotes: "{_word(rest)}".'
    if "mapping values are not allowed" in said:
        return "a `: ` stands where YAML allows none", "Put a value with a colon in quotes; end the key on the line above with a colon."
    if "found unexpected end of stream" in said or "found end of stream" in said:
        return "the file ends inside of a quoted text or a bracket", "Close the quote or the bracket."
    if "expected ',' or" in said:
        return "a bracket or brace is not closed, or a comma is missing", "Write [a, b] or {key: value, other: value}."
    if "expected node content" in said:
        return "a value is missing here, or a bracket is not closed", "Write [a, b] or {key: value, other: value}."
    if "could not find expected ':'" in said:
        return "a key has no colon after it", "Write `key: value`; a space follows the colon."
    if "did not find expected key" in said or "did not find expected '-'" in said or "block" in said:
        return (
            "the indentation does not fit the lines above",
            "Give all keys of one mapping (or all items of one list) the same indentation.",
        )
    return f"not YAML: {said}", "Correct the syntax at this place."


def _word(text: str) -> str:
    found = re.match(r"[^\s,\]}]*", text)
    return found[0] if found else ""
