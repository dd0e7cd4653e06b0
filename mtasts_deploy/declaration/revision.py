"""The declaration as it was at a git revision (`plan --since`). Runs git; nothing in the checkout is touched."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mtasts_deploy.declaration.load import load
from mtasts_deploy.declaration.model import Declaration
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import DeclarationError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A git revision: what it was called, its commit, and the declaration there (None: there was none yet)."""

    name: str
    commit: str
    declaration: Declaration | None


def at_revision(path: Path, name: str) -> Revision:
    """The declaration at `path` as it was at the revision `name`, with its includes; all that lies below its directory is checked out
    to a temporary one.

    Raises `UsageError`: no repository, no such revision, no git (MTS916); a declaration that cannot be read (MTS917).
    """
    directory = Path(os.path.abspath(path.parent))  # noqa: PTH100 - resolve() would follow links
    commit = _git(directory, name, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    prefix = _git(directory, name, "rev-parse", "--show-prefix").rstrip("/")
    known = _git(directory, name, "ls-tree", "--name-only", commit, f"./{path.name}")
    if not known:
        return Revision(name=name, commit=commit, declaration=None)
    with tempfile.TemporaryDirectory() as holder:
        tree = Path(holder) / "tree"
        tree.mkdir()
        index = {"GIT_INDEX_FILE": str(Path(holder) / "index")}
        _git(directory, name, "read-tree", f"{commit}:{prefix}", **index)
        _git(directory, name, "--work-tree", str(tree), "checkout-index", "--all", f"--prefix={tree}/", **index)
        try:
            declaration = load(tree / path.name, today=date.min)  # what has expired since was in force then
        except DeclarationError as error:
            raise UsageError(_unreadable(path, name, error.diagnostics[0].message)) from error
    return Revision(name=name, commit=commit, declaration=declaration)


def _git(directory: Path, revision: str, *arguments: str, **more: str) -> str:
    """The output of git. Raises `UsageError` (MTS916)."""
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"} | more
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except OSError as error:
        raise UsageError(_no_revision(revision, f"git cannot be run: {error.strerror}")) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise UsageError(_no_revision(revision, said.removeprefix("fatal: ") or "there is no such commit here"))
    return done.stdout.decode("utf-8", "replace").strip()


def _no_revision(name: str, why: str) -> Diagnostic:
    hint = "Name a commit, a branch or a tag that was fetched. In a pipeline, check out with its history (`fetch-depth: 0`)."
    return Diagnostic(code="MTS916", message=f"--since {name}: {why}", hint=hint)


def _unreadable(path: Path, name: str, why: str) -> Diagnostic:
    hint = "Compare with a revision whose declaration is valid, or plan without --since."
    return Diagnostic(code="MTS917", message=f"--since {name}: {path} could not be used there: {why}", hint=hint)
