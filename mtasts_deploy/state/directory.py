"""State in a directory: each key is a file, compare-and-swap under a lock file of the operating system, taken for each write."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StateConflict, StateError
from mtasts_deploy.files import (
    Trouble,
    append,
    directory_below,
    lock_file,
    open_directory,
    open_to_append,
    read_file,
    refuse_links,
    remove_file,
    remove_leftovers,
    replace_file,
    trouble_of,
)
from mtasts_deploy.state.interface import Stored
from mtasts_deploy.state.keys import is_part, no_key, split

_GUARD: Final = "lock.flock"
_PATIENCE: Final = 30.0  # seconds; a write takes milliseconds

_SAYS: Final = {
    Trouble.NO_SPACE: ("MTS722", "Free some space (or quota) there, then run the same command again: nothing was half written."),
    Trouble.FORBIDDEN: ("MTS723", "Run as a user who may write there, or mount the file system writable."),
    Trouble.WRONG_KIND: ("MTS724", "Something that is not a plain file or directory is in the way; look at it and move it."),
    Trouble.LINK: ("MTS725", "Replace the symbolic link by what it points to; only the state directory itself may be one."),
    Trouble.BUSY: ("MTS726", "Look for a hanging deploy process (`ps`), end it, then run the same command again."),
    Trouble.MISSING: ("MTS727", "Make the directory that should hold the state directory, or mount it, or correct `state:`."),
    Trouble.OTHER: ("MTS728", "Look at the system's log for errors of this disk before anything else is written to it."),
    Trouble.UNSUPPORTED: ("MTS729", "Run commands that write on Linux or macOS."),
    Trouble.UNSETTLED: ("MTS730", "Look at the system's log for errors of this disk, then run the same command again: it reads anew."),
}


class DirectoryState:
    """A `StateStore` in the directory `root` (absolute; it may be a symbolic link), made at the first write if its parent exists.

    `shown` is how people see that directory (`.mtasts`). Keys are parts of `[a-z0-9._-]`, none of which begins with a dot, joined by `/`.
    Below the root no symbolic link is followed. The version of an object is the SHA-256 of its bytes in hex.
    """

    def __init__(self, root: Path, shown: str) -> None:
        self._root = str(root)
        self._shown = shown
        self._tidied: set[tuple[str, ...]] = set()
        self._logs: dict[str, int] = {}
        self._turn = threading.Lock()

    def read(self, key: str) -> Stored | None:
        """The object, or None. Raises `StateError`."""
        folders, _ = _split(key)
        with self._explained("read", key):
            data = read_file(f"{self._root}/{key}") if refuse_links(self._root, folders) else None
        return None if data is None else Stored(data=data, version=_version(data))

    def keys(self, prefix: str) -> Iterable[str]:
        """The keys that begin with `prefix`, sorted; files that no key can name are passed over. Raises `StateError`."""
        folders = tuple(prefix.split("/")[:-1])
        if folders:
            _split("/".join(folders))
        with self._explained("list", prefix):
            found = list(_names(self._root, folders)) if refuse_links(self._root, folders) else []
        return sorted(key for key in found if key.startswith(prefix))

    def write(self, key: str, data: bytes, expected: str | None) -> str:
        """Durably replace the object, whole or not at all, if it still has the version `expected` (None: there is none); the new version.

        Raises `StateConflict` if it has another one, else `StateError`: nothing was written, except under MTS730 (durability unknown).
        """
        folders, name = _split(key)
        with self._explained("write", key), self._alone() as root, directory_below(root, folders, create=True) as folder:
            self._tidy(folders, folder)
            self._compare(key, read_file(name, dir_fd=folder), expected)
            replace_file(name, data, dir_fd=folder)
        return _version(data)

    def remove(self, key: str, expected: str) -> None:
        """Remove the object if it still has the version `expected`. Raises `StateConflict` if not, else `StateError`."""
        folders, name = _split(key)
        if self.read(key) is None:  # so that nothing is made by removing what is not there
            self._compare(key, None, expected)
        with self._explained("remove", key), self._alone() as root, directory_below(root, folders, create=True) as folder:
            self._tidy(folders, folder)
            self._compare(key, read_file(name, dir_fd=folder), expected)
            remove_file(name, dir_fd=folder)

    def append(self, key: str, data: bytes) -> None:
        """Add to the end of an object that only this run writes. Not flushed to the disk: it is an audit trail. Raises `StateError`."""
        folders, name = _split(key)
        with self._explained("write", key), self._turn:
            if key not in self._logs:
                with self._opened() as root, directory_below(root, folders, create=True) as folder:
                    self._logs[key] = open_to_append(name, dir_fd=folder)
            append(self._logs[key], data)

    def flush(self) -> None:
        """Close what was appended to: nothing is kept back, but the files stay open from line to line."""
        with self._turn:
            while self._logs:
                os.close(self._logs.popitem()[1])

    def location(self, key: str) -> str:
        """Where that object is, for people: its path as they see it."""
        return f"{self._shown}/{key}"

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        root = open_directory(self._root, create=True)
        try:
            yield root
        finally:
            os.close(root)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int]:
        with self._opened() as root, lock_file(_GUARD, dir_fd=root, seconds=_PATIENCE):
            yield root

    def _tidy(self, folders: tuple[str, ...], folder: int) -> None:
        """Remove what killed runs have left, once for each directory. Under the lock: whoever writes there holds it."""
        if folders not in self._tidied:
            remove_leftovers(folder)
            self._tidied.add(folders)

    def _compare(self, key: str, data: bytes | None, expected: str | None) -> None:
        found = None if data is None else _version(data)
        if found != expected:
            what = "is gone" if found is None else "is there already" if expected is None else "has changed"
            raise StateConflict(
                Diagnostic(
                    code="MTS721",
                    message=f"{self.location(key)} {what} since it was read; nothing was written.",
                    hint="Another run wrote the state at the same time. Run the same command again: it reads anew.",
                )
            )

    @contextlib.contextmanager
    def _explained(self, doing: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            code, hint = _SAYS[trouble_of(error)]
            raise StateError(Diagnostic(code=code, message=f"Cannot {doing} {self.location(key)}: {error.strerror}.", hint=hint)) from error


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _split(key: str) -> tuple[tuple[str, ...], str]:
    """The directories and the file name of a key. Raises `StateError` (MTS720) if it is none."""
    if key == _GUARD:
        raise no_key(key)
    return split(key)


def _names(root: str, folders: tuple[str, ...]) -> Iterator[str]:
    """The keys of all files in that directory and below. A link is an error: to pass it over would hide what it stands for."""
    try:
        listing = sorted(os.scandir("/".join((root, *folders))), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in listing:
        key = "/".join((*folders, entry.name))
        if not is_part(entry.name) or key == _GUARD:
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            refuse_links(root, key.split("/"))
        elif stat.S_ISDIR(mode):
            yield from _names(root, (*folders, entry.name))
        elif stat.S_ISREG(mode):
            yield key
