"""The files of a declaration: the main one, and those that it includes, each read once and parsed into nodes."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mtasts_deploy.declaration.nodes import MAX_BYTES, Node, parse
from mtasts_deploy.declaration.wording import shown
from mtasts_deploy.diagnostics import Diagnostic, Severity, Span

INIT_HINT = "`deploy init` writes a commented mta-sts.yaml; `--config` or MTASTS_CONFIG names another file."


class Source(NamedTuple):
    """One file: how messages name it, and its root. `whole`: its text had no problem, so that its tree lacks nothing."""

    name: str
    root: Node
    main: bool
    whole: bool


def read_sources(path: Path, instead: Mapping[str, bytes] | None = None) -> tuple[list[Source], list[Diagnostic], list[str]]:
    """The main file and everything that it includes, all that is wrong with their texts and their includes, and their names in order.

    A file of which nothing could be made has a name, but is no source. `instead` are octets to take for files (real paths) as if they had
    them.
    """
    reading = _Reading(path, instead or {})
    reading.read(str(path), os.fspath(path), (), None)
    return reading.sources, reading.problems, list(reading.seen.values())


class _Reading:
    def __init__(self, path: Path, instead: Mapping[str, bytes]) -> None:
        self._instead = instead
        self.sources: list[Source] = []
        self.problems: list[Diagnostic] = []
        self._directory = os.path.realpath(path.parent)
        self.seen: dict[str, str] = {}

    def read(self, name: str, path: str, above: tuple[str, ...], place: Span | None) -> None:
        """Read one file and what it includes. `above` are the real paths of the files that led here."""
        key = os.path.realpath(path)
        if key in above:
            chain = " → ".join([*(self.seen[one] for one in above[above.index(key) :]), name])
            self._note("MTS132", f"the files include each other: {chain}", place, "Remove one of these lines.")
            return
        if key in self.seen:
            self._note("MTS133", f"{name} is included for the second time", place, "Remove this line, or make the pattern narrower.")
            return
        self.seen[key] = name
        data = self._bytes(name, path, place)
        if data is None:
            return
        root, problems = parse(data, name)
        self.problems += problems
        if root is None:
            return
        self.sources.append(Source(name, root, place is None, not problems))
        include = root.children.get("include") if isinstance(root.children, dict) else None
        if include is not None:
            for node in include.children if isinstance(include.value, list) else [include]:
                if isinstance(node.value, str) and node.value:
                    self._include(name, path, node, (*above, key))

    def _bytes(self, name: str, path: str, place: Span | None) -> bytes | None:
        if (given := self._instead.get(os.path.realpath(path))) is not None:
            return given
        try:
            kind = os.stat(path)  # noqa: PTH116
            if not stat.S_ISREG(kind.st_mode):
                what = "is a directory" if stat.S_ISDIR(kind.st_mode) else "is no regular file"
                self._note("MTS101", f"{name} {what}", place, "Name a YAML file.")
                return None
            with open(path, "rb") as file:  # noqa: PTH123
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            self._note("MTS100", f"there is no file {name}", place, INIT_HINT)
        except (OSError, ValueError) as error:
            said = (error.strerror if isinstance(error, OSError) else None) or "the name is not usable"
            self._note("MTS101", f"{name} cannot be read: {said}", place, "Make it readable for the user who runs this.")
        return None

    def _include(self, name: str, path: str, node: Node, above: tuple[str, ...]) -> None:
        pattern, place = node.value, Span(path=name, line=node.line, column=node.column)
        folder = os.path.dirname(path)  # noqa: PTH120
        target = os.path.normpath(os.path.join(os.path.realpath(folder or "."), pattern))  # noqa: PTH118
        if not self._inside(target):
            self._outside(pattern, place)
            return
        magic = re.search(r"[*?\[]", pattern) is not None
        found = _matches(pattern, folder) if magic else [pattern]
        if not found:
            hint = "Nothing is included; correct the pattern if files should be there."
            self._note("MTS131", f"no file matches {shown(pattern)}", place, hint, Severity.WARN)
        for one in found:
            file = os.path.join(folder, one)  # noqa: PTH118
            if not magic and ("\0" in one or not os.path.lexists(file)):
                hint = "Correct the name, which counts from the directory of this file; or remove the line."
                self._note("MTS130", f"there is no file {shown(pattern)} to include", place, hint)
            elif not self._inside(os.path.realpath(file)):
                self._outside(one, place)
            else:
                self.read(os.path.normpath(os.path.join(os.path.dirname(name), one)), file, above, place)  # noqa: PTH118, PTH120

    def _inside(self, path: str) -> bool:
        try:
            return os.path.commonpath([self._directory, path.replace("\0", "")]) == self._directory
        except ValueError:  # another drive
            return False

    def _outside(self, pattern: str, place: Span) -> None:
        hint = "Move the file below the directory of the main file; links that lead out are not followed."
        self._note("MTS134", f"{shown(pattern)} lies outside of the declaration's directory", place, hint)

    def _note(self, code: str, message: str, place: Span | None, hint: str, severity: Severity = Severity.ERROR) -> None:
        self.problems.append(Diagnostic(code=code, message=message, severity=severity, where=place, hint=hint))


def _matches(pattern: str, folder: str) -> list[str]:
    found = glob.glob(pattern, root_dir=folder or None, recursive=True) if "\0" not in pattern else []  # noqa: PTH207
    return sorted(one for one in found if not os.path.isdir(os.path.join(folder, one)))  # noqa: PTH112, PTH118
