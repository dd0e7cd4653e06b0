"""A stream that we write to: colour or not, and what happens when its reader has gone or its disk is full."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from typing import Final, TextIO

from mtasts_deploy.masking import masked

_STYLES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
WIDTH: Final = 120
"""The width of lines where there is no terminal that says otherwise."""


def wants_colour(stream: TextIO, flag: bool | None, environ: Mapping[str, str]) -> bool:
    """The flag decides, then NO_COLOR, then FORCE_COLOR, then whether a terminal that is not dumb is there."""
    if flag is not None:
        return flag
    if environ.get("NO_COLOR"):
        return False
    force = environ.get("FORCE_COLOR")
    if force:
        return force.lower() not in ("0", "false")
    return stream.isatty() and environ.get("TERM") != "dumb"


class Channel:
    """Lines to one stream.

    A reader that has gone (`deploy plan | head`) ends the output, not the run. Another failure is kept in `failure` for the end of the
    command: an apply must not stop half-way because its terminal or log file did.
    """

    def __init__(self, stream: TextIO, *, colour: bool = False) -> None:
        self._stream = stream
        self.colour = colour
        self.failure: OSError | None = None
        self._open = True
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

    @property
    def terminal(self) -> bool:
        """Is it a terminal?"""
        return self._stream.isatty()

    @property
    def width(self) -> int:
        """How many columns a line may have."""
        return shutil.get_terminal_size((WIDTH, 24)).columns if self.terminal else WIDTH

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.write(text + "\n")

    def folded(self, text: str, hang: int) -> list[str]:
        """The text as lines that fit a terminal, those after the first indented by `hang`. Without a terminal one line: what reads a pipe
        looks for whole lines. Words are not broken.
        """
        if not self.terminal or len(text) <= self.width:
            return [text]
        import textwrap

        indent = text[: len(text) - len(text.lstrip())]
        return textwrap.wrap(
            text.lstrip(), self.width, initial_indent=indent, subsequent_indent=" " * hang, break_long_words=False, break_on_hyphens=False
        )

    def headed(self, text: str, head: str, hang: int, *styles: str) -> Iterator[str]:
        """The text folded, with its `head` (which is in the first line) in these styles."""
        first, *rest = self.folded(text, hang)
        yield first.replace(head, self.style(head, *styles), 1)
        yield from rest

    def write(self, text: str) -> None:
        """Write text as it is, but for secrets."""
        if self._open:
            self._guarded(masked(text))

    def flush(self) -> None:
        """Let everything out."""
        if self._open:
            self._guarded("")

    def style(self, text: str, *styles: str) -> str:
        """The text in these styles, where the channel has colour."""
        if not self.colour or not styles:
            return text
        return f"\x1b[{';'.join(_STYLES[one] for one in styles)}m{text}\x1b[0m"

    def _guarded(self, text: str) -> None:
        try:
            if text:
                self._stream.write(text)
            if not text or self.terminal:
                self._stream.flush()
        except BrokenPipeError:
            self._close()
        except OSError as error:
            self.failure = error
            self._close()

    def _close(self) -> None:
        """Send the rest nowhere, so that the interpreter does not fail on it at its end."""
        self._open = False
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
