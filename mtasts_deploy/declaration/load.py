"""`mta-sts.yaml` and its includes → `Declaration`, or every problem of every file at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from mtasts_deploy.declaration.model import Declaration
from mtasts_deploy.declaration.sources import INIT_HINT, read_sources
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import DeclarationError

FILE_NAME: Final = "mta-sts.yaml"
VARIABLE: Final = "MTASTS_CONFIG"


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """The declaration's file: `explicit` (`--config`), else what MTASTS_CONFIG names, else `./mta-sts.yaml`.

    Raises `DeclarationError` (MTS100) if there is no such file.
    """
    named = environ.get(VARIABLE)
    path, source = (explicit, " (from --config)") if explicit else (Path(named), f" (from {VARIABLE})") if named else (Path(FILE_NAME), "")
    if not os.path.lexists(path):
        raise DeclarationError(Diagnostic(code="MTS100", message=f"there is no file {path}{source}", hint=INIT_HINT))
    return path


def load(path: Path, *, today: date, instead: Mapping[str, bytes] | None = None) -> Declaration:
    """Read a declaration with its includes. `today` decides which entries of `allow` have expired; `instead` are octets to take for files
    (by their real paths) as if they had them.

    Raises `DeclarationError` with all problems of all files, warnings included, in the order of files and lines.
    """
    sources, problems, names = read_sources(path, instead)
    if not sources or not sources[0].main:
        raise DeclarationError(*_ordered(problems, names))
    from mtasts_deploy.declaration.assembly import Assembly  # here, because it imports pydantic

    directory = Path(os.path.abspath(path.parent))  # noqa: PTH100 - resolve() would follow links
    assembly = Assembly(sources, today, directory)
    declaration = assembly.declaration(path, directory)
    ordered = _ordered([*problems, *assembly.problems], names)
    if any(problem.severity is Severity.ERROR for problem in ordered):
        raise DeclarationError(*ordered)
    return replace(declaration, warnings=tuple(ordered))


def _ordered(problems: Iterable[Diagnostic], names: list[str]) -> list[Diagnostic]:
    """Each once; by file, line and column."""
    order = {name: index for index, name in enumerate(names)}

    def key(problem: Diagnostic) -> tuple[int, int, int]:
        where = problem.where
        return (order.get(where.path, len(order)), where.line, where.column) if where else (-1, 0, 0)

    return sorted(dict.fromkeys(problems), key=key)
