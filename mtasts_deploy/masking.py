"""Secrets that this process has resolved, and the text without them: nothing of them may reach output, logs, errors or state.

Values are added where they are resolved (`hide`) and taken out where text is made or leaves (`masked`). May be called from several threads.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
SHORTEST: Final = 4
UNCERTAIN: Final = 8
"""Shorter values are not masked: they would blot out half of every text, and protect nobody. More is asked of what may be no secret."""

_KEYS: Final = (
    "(?:proxy-)?authorization|x-amz-security-token|x-api-key|x-auth-[a-z-]+|api[_-]?key|set-cookie|cookie"
    "|secret_?access_?key|session_?token|security_?token|access_?token|refresh_?token|id_?token|client_?secret|token|password"
)
_LEAKS: Final = re.compile(
    rf"""((?<![\w-])['"]?(?:{_KEYS})['"]?\s*[:=]\s*(?:b?['"])?|<(?:{_KEYS})>|\b(?:Bearer|Basic)\s+|\bSignature[:=]\s*)([^'"\n<]+)""",
    re.IGNORECASE,
)
"""What libraries log of requests and answers: header fields and members whose values are credentials, up to the end of the value."""

_forms: set[str] = set()
_pattern: re.Pattern[str] | None = None


def hide(value: object, *, certain: bool = True) -> None:
    """Mask this value from now on, also as JSON, `repr` and URLs spell it. Only texts and numbers of at least four characters, or eight
    where it is not `certain` that it is a secret.
    """
    global _pattern
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(text) < (SHORTEST if certain else UNCERTAIN):
        return
    spelled = {text, json.dumps(text)[1:-1], repr(text)[1:-1], quote(text, safe=""), quote_plus(text)}
    if not spelled <= _forms:
        _forms.update(spelled)
        _pattern = re.compile("|".join(re.escape(form) for form in sorted(_forms, key=len, reverse=True)))


def masked(text: str) -> str:
    """The text with every hidden value replaced by `***`."""
    return text if _pattern is None else _pattern.sub(MASK, text)


def scrubbed(text: str) -> str:
    """A text of a library without what looks like a credential: nobody may have told `hide` of a token that was fetched on the way."""
    return _LEAKS.sub(rf"\1{MASK}", text)
