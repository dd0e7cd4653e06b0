"""Policy files in a directory: `<root>/mta-sts.<domain>/.well-known/mta-sts.txt`, so that one line of a web server serves every domain."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError
from mtasts_deploy.facts import HostedPolicy, KnownPolicies, Unknown
from mtasts_deploy.files import (
    Trouble,
    directory_below,
    exclusively,
    open_directory,
    read_file,
    refuse_links,
    remove_file,
    remove_leftovers,
    replace_file,
    trouble_of,
)
from mtasts_deploy.rfc.names import Domain

_FOLDER: Final = ".well-known"
_NAME: Final = "mta-sts.txt"
_LIMIT: Final = 65536  # RFC 8461 §3.3: senders may stop reading there
_PATIENCE: Final = 30.0  # seconds; a put takes milliseconds

_SAYS: Final = {
    Trouble.OTHER: ("MTS740", "Look at the system's log for errors of this disk before anything else is written to it."),
    Trouble.NO_SPACE: ("MTS742", "Free some space (or quota) there, then run the same command again: the old file is untouched."),
    Trouble.FORBIDDEN: ("MTS743", "Run as a user who may do that there, or mount the file system writable."),
    Trouble.WRONG_KIND: ("MTS744", "Something that is not a plain file or directory is in the way; look at it and move it."),
    Trouble.LINK: ("MTS745", "Replace the symbolic link by what it points to; only the directory of the host itself may be one."),
    Trouble.BUSY: ("MTS746", "Look for a hanging deploy process (`ps`), end it, then run the same command again."),
    Trouble.MISSING: ("MTS747", "Make the directory that should hold it, or mount it, or correct `path` of this host."),
    Trouble.UNSUPPORTED: ("MTS749", "Run commands that write on Linux or macOS."),
    Trouble.UNSETTLED: ("MTS751", "Look at the system's log for errors of this disk, then run the same command again: it reads anew."),
}


class DirectoryHost:
    """A `Host` in the directory `root` (absolute; it may be a symbolic link), made at the first put if its parent exists.

    `shown` is how people see that directory (`policies`). Below it no symbolic link is followed. Files get mode 0644 and new directories
    0755, whatever the umask: a web server must read them. The version of a file is the SHA-256 of its bytes in hex.
    """

    def __init__(self, name: str, root: Path, shown: str, *, edge_ttl: int | None = None) -> None:
        self.name = name
        self.edge_ttl = edge_ttl
        self._root = str(root)
        self._shown = shown

    def location(self, domain: Domain) -> str:
        """The path of that domain's file, as people see it."""
        return f"{self._shown}/{domain.policy_host}/{_FOLDER}/{_NAME}"

    def read(
        self, domains: Collection[Domain], known: Mapping[Domain, KnownPolicies] | None = None
    ) -> Mapping[Domain, HostedPolicy | Unknown | None]:
        """The files as they are now; None where there is none, Unknown where one is unreadable, no plain file or over 65536 bytes."""
        del known  # looking at a file costs as much as reading it
        return {domain: self._read(domain) for domain in domains}

    def put(self, domain: Domain, body: bytes, expected: str | None) -> str:
        """Durably put the file, whole or not at all, if it still has the version `expected` (None: nothing is there); the new version.

        Raises `HostError`, with `written=False` except under MTS751 (replaced, but the disk has not confirmed it).
        """
        with self._changing("write", domain, expected) as folder:
            replace_file(_NAME, body, dir_fd=folder, mode=0o644)
        return _version(body)

    def remove(self, domain: Domain, expected: str) -> None:
        """Durably remove the file if it still has the version `expected`, and its directories if nothing else is in them.

        Raises `HostError`, with `written=False` except under MTS751 (removed, but the disk has not confirmed it).
        """
        if self._read(domain) is None:  # so that nothing is made by removing what is not there
            self._compare(domain, None, expected)
        with self._changing("remove", domain, expected) as folder:
            remove_file(_NAME, dir_fd=folder)

    def purge(self, domains: Collection[Domain], waiting: Callable[[], None]) -> bool:
        """Nothing: no cache in front of a directory is known here."""
        del domains, waiting
        return False

    def _read(self, domain: Domain) -> HostedPolicy | Unknown | None:
        try:
            folders = self._folders(domain)
            if not refuse_links(self._root, folders):
                return None
            body = read_file(f"{self._root}/{folders[0]}/{_FOLDER}/{_NAME}", limit=_LIMIT)
        except OSError as error:
            return Unknown(reason=self._diagnostic("read", domain, error))
        except HostError as error:
            return Unknown(reason=error.diagnostics[0])
        if body is None:
            return None
        if len(body) > _LIMIT:
            return Unknown(reason=self._too_long(domain))
        return HostedPolicy(body=body, version=_version(body))

    def _folders(self, domain: Domain) -> tuple[str, str]:
        """The directories of a domain; MTS750 for one that is more than a name, whoever made it."""
        host = domain.policy_host
        if "/" in host or "\0" in host or os.sep in host:
            message = f"{host!r} cannot be the name of a directory."
            raise HostError(Diagnostic(code="MTS750", message=message, hint="Please report this."), written=False)
        return host, _FOLDER

    @contextlib.contextmanager
    def _changing(self, doing: str, domain: Domain, expected: str | None) -> Iterator[int]:
        """The directory of a domain's file, made if missing, under the lock, with the expected file in it; afterwards gone if it is empty.

        The lock is on the directory of the host itself: a lock file would be served to the world, and be committed with `policies/`.
        """
        folders = self._folders(domain)
        with self._explained(doing, domain), self._opened() as root, exclusively(root, seconds=_PATIENCE):
            try:
                with directory_below(root, folders, create=True, mode=0o755) as folder:
                    remove_leftovers(folder)
                    self._compare(domain, read_file(_NAME, dir_fd=folder, limit=_LIMIT), expected)
                    yield folder
            finally:
                _prune(root, domain.policy_host)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        root = open_directory(self._root, create=True, mode=0o755)
        try:
            yield root
        finally:
            os.close(root)

    def _compare(self, domain: Domain, body: bytes | None, expected: str | None) -> None:
        found = None if body is None else _version(body)
        if found != expected:
            what = "is gone" if found is None else "is there already" if expected is None else "has changed"
            raise HostError(
                Diagnostic(
                    code="MTS741",
                    message=f"{self.location(domain)} {what} since it was read; nothing was written.",
                    domain=str(domain),
                    hint="Somebody else works on this host. Run the same command again: it reads anew and plans on what is there.",
                ),
                written=False,
            )

    @contextlib.contextmanager
    def _explained(self, doing: str, domain: Domain) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HostError(self._diagnostic(doing, domain, error), written=trouble_of(error) is Trouble.UNSETTLED) from error

    def _diagnostic(self, doing: str, domain: Domain, error: OSError) -> Diagnostic:
        code, hint = _SAYS[trouble_of(error)]
        return Diagnostic(code=code, message=f"Cannot {doing} {self.location(domain)}: {error.strerror}.", domain=str(domain), hint=hint)

    def _too_long(self, domain: Domain) -> Diagnostic:
        return Diagnostic(
            code="MTS748",
            message=f"{self.location(domain)} is longer than {_LIMIT} bytes.",
            domain=str(domain),
            hint="This is no policy that senders would read to its end. Look at the file; if it is not needed, remove it.",
            ref="RFC 8461 §3.3",
        )


def _version(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _prune(root: int, host: str) -> None:
    """Remove the directories of a domain if they are empty; tidiness only, so a failure is nobody's concern."""
    with contextlib.suppress(OSError), directory_below(root, [host]) as folder:
        os.rmdir(_FOLDER, dir_fd=folder)
    with contextlib.suppress(OSError):
        os.rmdir(host, dir_fd=root)
