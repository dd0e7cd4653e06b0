"""Files that are old or new, never half: reading, replacing and locking below a directory. The standard library only.

Everything raises `OSError`; `trouble_of` says what kind. Below a root no symbolic link is followed: names are opened one by one, each
relative to the directory before it, so that nothing outside can be reached, also not by swapping a directory while we work.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

_NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: Final[int] = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
# Non-blocking: a FIFO must not hang us.
_READ: Final[int] = os.O_RDONLY | _NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NEW: Final[int] = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_TEMPORARY: Final = re.compile(r"\.mtasts-[0-9a-f]{16}\.tmp")


class Unsettled(OSError):
    """It is unknown whether the file was replaced (or removed), or whether that survives a power failure. It is whole in any case."""


class Trouble(Enum):
    """What kind of thing went wrong with a file."""

    NO_SPACE = "no space"
    FORBIDDEN = "forbidden"
    WRONG_KIND = "wrong kind"
    LINK = "link"
    MISSING = "missing"
    BUSY = "busy"
    UNSUPPORTED = "unsupported"
    UNSETTLED = "unsettled"
    OTHER = "other"


_TROUBLES: Final = {
    errno.ENOSPC: Trouble.NO_SPACE,
    errno.EDQUOT: Trouble.NO_SPACE,
    errno.EROFS: Trouble.FORBIDDEN,
    errno.EACCES: Trouble.FORBIDDEN,
    errno.EPERM: Trouble.FORBIDDEN,
    errno.ENOTDIR: Trouble.WRONG_KIND,
    errno.EISDIR: Trouble.WRONG_KIND,
    errno.ELOOP: Trouble.LINK,
    errno.ENOENT: Trouble.MISSING,
    errno.EAGAIN: Trouble.BUSY,
    errno.ENOSYS: Trouble.UNSUPPORTED,
}


def trouble_of(error: OSError) -> Trouble:
    """The kind of an error that a function of this module raised."""
    if isinstance(error, Unsettled):
        return Trouble.UNSETTLED
    return _TROUBLES.get(error.errno or 0, Trouble.OTHER)


def read_file(path: str, *, limit: int = sys.maxsize, dir_fd: int | None = None) -> bytes | None:
    """The bytes of a regular file, None if there is none. More than `limit` bytes are returned only if the file is longer than that.

    A symbolic link at `path` is refused (`Trouble.LINK`), as is what is not a regular file (`Trouble.WRONG_KIND`).
    """
    try:
        fd = os.open(path, _READ, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EISDIR, "Not a regular file")
        size = min(found.st_size, limit) + 1
        data = os.read(fd, size)
        while len(data) <= limit and (more := os.read(fd, size)):
            data += more
    finally:
        os.close(fd)
    return data


def refuse_links(root: str, parts: Sequence[str]) -> bool:
    """Do the directories `parts` (each in the one before, the first in `root`) exist? Raises `OSError` (`Trouble.LINK`) if one is a link.

    For reading by path, which must be cheap and must also work where directories cannot be opened (Windows).
    """
    path = root
    for part in parts:
        path = f"{path}/{part}"
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(mode):
            raise _link()
    return True


def open_directory(path: str, *, dir_fd: int | None = None, create: bool = False, mode: int | None = None) -> int:
    """A descriptor of a directory, which the caller closes. With `dir_fd`, `path` is one name in it and must not be a symbolic link.

    `create` makes it durably if it is missing (never its parents), with exactly `mode`, or with what the umask leaves if that is None.
    """
    flags = _DIRECTORY if dir_fd is None else _DIRECTORY | _NOFOLLOW
    try:
        return os.open(path, flags, dir_fd=dir_fd)
    except FileNotFoundError:
        if not create:
            raise
    except NotADirectoryError:  # what Linux says of a link here
        if dir_fd is not None and stat.S_ISLNK(os.lstat(path, dir_fd=dir_fd).st_mode):
            raise _link() from None
        raise
    with contextlib.suppress(FileExistsError):  # somebody was faster, or a dangling link, which the next line refuses
        os.mkdir(path, 0o777 if mode is None else mode, dir_fd=dir_fd)
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        if mode is not None:
            os.fchmod(fd, mode)
        _flush_parent(path, dir_fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def directory_below(root_fd: int, parts: Sequence[str], *, create: bool = False, mode: int | None = None) -> Iterator[int]:
    """A descriptor of the directory that `parts` leads to from `root_fd`, for the time of the block. No link on the way is followed."""
    fd = os.dup(root_fd)
    try:
        for part in parts:
            below = open_directory(part, dir_fd=fd, create=create, mode=mode)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def replace_file(
    path: str | Path, data: bytes, *, dir_fd: int | None = None, mode: int | None = None, before_rename: Callable[[], None] | None = None
) -> None:
    """Durably replace or make a file: afterwards, also after a crash at any moment, it holds the old bytes or the new ones.

    The bytes go to a temporary file in the same directory, which is flushed and renamed; then the directory is flushed. `mode` is set
    exactly; None keeps mode and owner of the file that is replaced, or leaves it to the umask. `before_rename` is called when everything
    but the rename is done, and refuses by raising. On any error but `Unsettled` the old file is untouched and the temporary file is gone.
    A symbolic link at `path` is replaced, not followed.
    """
    temporary = Path(path).parent / f".mtasts-{secrets.token_hex(8)}.tmp"
    old = _replaced(path, dir_fd) if mode is None else None
    plain = mode is None and old is None
    fd = os.open(temporary, _NEW, 0o666 if plain else 0o600, dir_fd=dir_fd)
    try:
        try:
            _write_all(fd, data)
            _take_on(fd, mode, old)
            _flush(fd)
        finally:
            os.close(fd)
        if before_rename is not None:
            before_rename()
        with _certainly():
            os.replace(temporary, path, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=dir_fd)
        raise
    _settle(path, dir_fd)


def open_to_append(path: str, *, dir_fd: int | None = None) -> int:
    """A descriptor for `append`, of a file that is made if missing; the caller closes it."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOFOLLOW, 0o666, dir_fd=dir_fd)


def append(fd: int, data: bytes) -> None:
    """Add to the end of a file that nobody else writes. On an error nothing of `data` stays. Not flushed to the disk."""
    size = os.fstat(fd).st_size
    try:
        _write_all(fd, data)
    except BaseException:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, size)
        raise


def remove_file(path: str, *, dir_fd: int | None = None) -> None:
    """Durably remove a file."""
    with _certainly():
        os.unlink(path, dir_fd=dir_fd)
    _settle(path, dir_fd)


def remove_leftovers(dir_fd: int) -> None:
    """Remove the temporary files of killed runs. Only under a lock that everybody holds who calls `replace_file` in that directory."""
    for name in os.listdir(dir_fd):
        if _TEMPORARY.fullmatch(name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=dir_fd)


@contextlib.contextmanager
def exclusively(fd: int, *, seconds: float) -> Iterator[None]:
    """Hold the lock of the open file or directory against other processes and threads for the time of the block; waits up to `seconds`.

    Raises `OSError`: `Trouble.BUSY` when time is up, `Trouble.UNSUPPORTED` where the system has no `flock`. The system lets go of it when
    the process dies.
    """
    try:
        import fcntl  # Windows has none, and runs what does not write
    except ImportError:
        raise OSError(errno.ENOSYS, "This system has no flock") from None
    until = time.monotonic() + seconds
    pause = 0.0005
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                raise OSError(errno.EAGAIN, f"Another process has kept it locked for {seconds:g} s") from None
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


@contextlib.contextmanager
def lock_file(name: str, *, dir_fd: int, seconds: float) -> Iterator[None]:
    """As `exclusively`, on a file that is made if missing and stays. One that is deleted while we wait protects nothing: start again."""
    while True:
        fd = os.open(name, os.O_RDWR | os.O_CREAT | _NOFOLLOW, 0o666, dir_fd=dir_fd)  # NFS wants it writable for an exclusive lock
        try:
            with exclusively(fd, seconds=seconds):
                if _same(fd, name, dir_fd):
                    yield
                    return
        finally:
            os.close(fd)


def _same(fd: int, name: str, dir_fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=dir_fd, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _link() -> OSError:
    return OSError(errno.ELOOP, "A symbolic link, which is not followed")


def _replaced(path: str | Path, dir_fd: int | None) -> os.stat_result | None:
    try:
        found = os.lstat(path, dir_fd=dir_fd)
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _take_on(fd: int, mode: int | None, old: os.stat_result | None) -> None:
    if sys.platform == "win32":
        return
    if old is not None:
        with contextlib.suppress(PermissionError):  # only root can give files away
            os.fchown(fd, old.st_uid, old.st_gid)
        mode = stat.S_IMODE(old.st_mode)
    if mode is not None:
        os.fchmod(fd, mode)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _flush(fd: int) -> None:
    if sys.platform == "darwin":  # fsync stops at the cache of the drive there
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


@contextlib.contextmanager
def _certainly() -> Iterator[None]:
    """An error that leaves open whether the directory was changed (a network file system that gave up waiting) becomes `Unsettled`."""
    try:
        yield
    except OSError as error:
        if trouble_of(error) is Trouble.OTHER:
            raise Unsettled(error.errno, error.strerror) from error
        raise


def _settle(path: str | Path, dir_fd: int | None) -> None:
    try:
        _flush_parent(path, dir_fd)
    except OSError as error:
        raise Unsettled(error.errno, error.strerror) from error


def _flush_parent(path: str | Path, dir_fd: int | None) -> None:
    if sys.platform == "win32":
        return
    fd = os.open(Path(path).parent, _DIRECTORY, dir_fd=dir_fd)
    try:
        _flush(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that does not flush directories
            raise
    finally:
        os.close(fd)
