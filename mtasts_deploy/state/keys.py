"""The keys of the state: a closed set of characters, so that none of them can lead out of its place."""

from __future__ import annotations

import re
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StateError

_PART: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")  # no dot in front: no `..`, no temporary file, no .gitignore


def is_part(text: str) -> bool:
    """Can this stand between the slashes of a key?"""
    return _PART.fullmatch(text) is not None


def split(key: str) -> tuple[tuple[str, ...], str]:
    """The parts of a key but the last one, and the last one. Raises `StateError` (MTS720) if it is none."""
    *folders, name = key.split("/")
    if not all(is_part(part) for part in (*folders, name)):
        raise no_key(key)
    return tuple(folders), name


def no_key(key: str) -> StateError:
    """The error for what is no key."""
    return StateError(
        Diagnostic(
            code="MTS720",
            message=f"{key!r} cannot be the key of an object of the state.",
            hint="A key has parts of `a-z0-9._-`, none of which begins with a dot, joined by `/`. Please report this.",
        )
    )
