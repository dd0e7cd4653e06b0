"""State in a bucket: each key is an object, compare-and-swap by the conditions of S3 (`If-None-Match`, `If-Match`).

A server that does not keep to conditions cannot hold the state: two runs would both take the lock. Before its first write a process asks
the server, with an object that is there for that. Nothing is ever deleted: what is removed becomes an empty object, by compare-and-swap
like every write, so that a lock that was taken over meanwhile stays.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from mtasts_deploy.aws.bucket import ABSENT, Bucket, Headers, Object
from mtasts_deploy.aws.trouble import ADVICE, AwsError, Trouble
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StateConflict, StateError
from mtasts_deploy.state.interface import Stored
from mtasts_deploy.state.keys import is_part, split

PROBE: Final = "conditions"
_PROBE_TEXT: Final = b"mtasts-deploy writes this object to see whether the server keeps to conditions. It may be deleted.\n"
_NO_ETAG: Final = "0" * 32
_JSON: Final = Headers(content_type="application/json")
_TEXT: Final = Headers(content_type="text/plain")
_LINES: Final = Headers(content_type="application/x-ndjson")
_REFUSED: Final = (Trouble.CONFLICT, Trouble.MISSING)
_KEPT: Final = 65536  # bytes of a run log, or
_SMALL: Final = 262144  # bytes of logs that are written with every other write
_SECONDS: Final = 5.0  # of age, after which it is written

_CODES: Final = {
    Trouble.NO_BUCKET: "MTS794",
    Trouble.FORBIDDEN: "MTS795",
    Trouble.REJECTED: "MTS796",
    Trouble.NO_CREDENTIALS: "MTS796",
    Trouble.UNREACHABLE: "MTS797",
    Trouble.BUSY: "MTS797",
    Trouble.WRONG_REGION: "MTS798",
    Trouble.CLOCK: "MTS798",
}


class S3State:
    """A `StateStore` in a bucket, below `prefix` (which ends with a slash or is empty). The version of an object is its ETag.

    Each write has a mark of its own beside the object, so that a write whose answer was lost is known again: it is not a conflict.
    Run logs are kept back and written whole, again and again: with the next write, when 64 KiB or five seconds have come together, and
    at the end of a run.
    """

    def __init__(self, bucket: Bucket, prefix: str = "") -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._proven = False
        self._turn = threading.RLock()
        self._logs: dict[str, bytearray] = {}
        self._unwritten: set[str] = set()
        self._new = 0
        self._written = time.monotonic()

    def read(self, key: str) -> Stored | None:
        """The object, or None. Raises `StateError`."""
        split(key)
        with self._explained("read", key):
            there = self._bucket.get(self._prefix + key)
        return None if there is None or not there.data else Stored(data=there.data, version=there.etag)

    def keys(self, prefix: str) -> Iterable[str]:
        """The keys that begin with `prefix`, sorted; objects that no key can name are passed over. Raises `StateError`."""
        with self._explained("list", prefix):
            items = [item for page in self._bucket.pages(self._prefix + prefix) for item in page if item.size]
        found = (item.key.removeprefix(self._prefix) for item in items)
        return sorted(key for key in found if all(is_part(part) for part in key.split("/")))

    def write(self, key: str, data: bytes, expected: str | None) -> str:
        """Replace the object if it still has the version `expected` (None: there is none); the new version.

        Raises `StateConflict` if it has another one, `StateError` else: then it may have been written where the message says so. Raises
        `StateError` (MTS792), before anything is written, for a server that does not keep to conditions.
        """
        split(key)
        self._prove()
        self._write_logs()
        with self._explained("write", key):
            return self._swap(key, data, expected)

    def remove(self, key: str, expected: str) -> None:
        """Empty the object if it still has the version `expected`. Raises `StateConflict` if not, else `StateError`."""
        self.write(key, b"", expected)

    def append(self, key: str, data: bytes) -> None:
        """Add to the end of an object that only this run writes; written later, see above. Raises `StateError`."""
        split(key)
        with self._turn:
            self._logs.setdefault(key, bytearray()).extend(data)
            self._unwritten.add(key)
            self._new += len(data)
            if self._new < max(_KEPT, len(self._logs[key]) // 4) and time.monotonic() - self._written < _SECONDS:
                return
        self.flush()

    def flush(self) -> None:
        """Write the run logs that were kept back. Raises `StateError`."""
        with self._turn:
            for key in sorted(self._unwritten):
                with self._explained("write", key):
                    self._bucket.put(self._prefix + key, bytes(self._logs[key]), _LINES)
                self._unwritten.discard(key)
            self._new, self._written = 0, time.monotonic()

    def location(self, key: str) -> str:
        """Where that object is, for people."""
        return self._bucket.location(self._prefix + key)

    def _write_logs(self) -> None:
        """With other writes, logs are written as well as it goes: what fails is told by the next `append` or `flush`."""
        if self._unwritten and sum(len(self._logs[key]) for key in self._unwritten) < _SMALL:
            try:
                self.flush()
            except StateError:
                return

    def _swap(self, key: str, data: bytes, expected: str | None) -> str:
        mark = secrets.token_hex(8)
        try:
            return self._put(key, data, ABSENT if expected is None else expected, mark)
        except AwsError as error:
            there = self._outcome(key, mark, error)
            if isinstance(there, str):
                return there
            if expected is not None or there is None or there.data:
                raise self._conflict(key, there, expected) from error
        try:  # it was removed, so it is empty, and still there
            return self._put(key, data, there.etag, mark)
        except AwsError as error:
            there = self._outcome(key, mark, error)
            if isinstance(there, str):
                return there
            raise self._conflict(key, there, expected) from error

    def _outcome(self, key: str, mark: str, error: AwsError) -> str | Object | None:
        """After a write that failed: its version if it was done all the same, else what is there. Raises `error` if it is no conflict."""
        try:
            there = self._bucket.get(self._prefix + key)
        except AwsError:
            raise error from None
        if there is not None and there.mark == mark:
            return there.etag  # the answer to our own first attempt was lost
        if error.trouble not in _REFUSED:
            raise error
        return there

    def _put(self, key: str, data: bytes, condition: str, mark: str) -> str:
        etag = self._bucket.put(self._prefix + key, data, _JSON, expected=condition, mark=mark)
        if etag:
            return etag
        there = self._bucket.get(self._prefix + key)
        return "" if there is None else there.etag

    def _prove(self) -> None:
        """Once a process: does the server refuse what it is told to refuse?"""
        with self._turn:
            if self._proven:
                return
            with self._explained("write", PROBE):
                if not (self._refuses(ABSENT) or self._refuses(ABSENT)):  # the first one may have made it
                    raise self._unfit("it has ignored If-None-Match")
                if not self._refuses(_NO_ETAG):
                    raise self._unfit("it has ignored If-Match")
            self._proven = True

    def _refuses(self, condition: str) -> bool:
        """Was the probe not written?"""
        try:
            self._bucket.put(self._prefix + PROBE, _PROBE_TEXT, _TEXT, expected=condition)
        except AwsError as error:
            if error.trouble is Trouble.UNSUPPORTED:
                raise self._unfit("it answers that it knows no conditions") from error
            if error.trouble not in _REFUSED:
                raise
            return True
        return False

    def _unfit(self, why: str) -> StateError:
        message = f"{self._bucket.location(self._prefix)} cannot hold the state: its server does not keep to conditional writes ({why})."
        hint = "Two runs could both take the lock. Put the state into a bucket of AWS S3, or of another server that keeps to them, "
        return StateError(Diagnostic(code="MTS792", message=message, hint=hint + "or into a directory that all runs share."))

    def _conflict(self, key: str, there: Object | None, expected: str | None) -> StateConflict:
        what = "is gone" if there is None or not there.data else "is there already" if expected is None else "has changed"
        message = f"{self.location(key)} {what} since it was read; nothing was written."
        hint = "Another run wrote the state at the same time. Run the same command again: it reads anew."
        return StateConflict(Diagnostic(code="MTS793", message=message, hint=hint))

    @contextmanager
    def _explained(self, doing: str, key: str) -> Iterator[None]:
        try:
            yield
        except AwsError as error:
            code, hint = _CODES.get(error.trouble, "MTS799"), ADVICE.get(error.trouble, ADVICE[Trouble.OTHER])
            unsure = " Whether it was written is unknown." if doing == "write" and error.done else ""
            message = f"Cannot {doing} {self.location(key)}: {error.said}.{unsure}"
            raise StateError(Diagnostic(code=code, message=message, hint=hint)) from error
