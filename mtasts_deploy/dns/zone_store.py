"""A directory of octoDNS YAML zone files: which file holds which zone, its bytes, and the replacement of a file that nobody else has
changed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mtasts_deploy import files
from mtasts_deploy.diagnostics import Diagnostic, Span
from mtasts_deploy.errors import ObservationError, ProviderError, Refused
from mtasts_deploy.facts import Unknown, ZoneName

MAX_BYTES = 16 * 1024 * 1024
_SUFFIX = ".yaml"
_PATIENCE = 30.0


def zone_of(filename: str) -> ZoneName | None:
    """The zone (A-labels, root dot) that a file of this name holds; None if it is no zone file for octoDNS (`example.com.yaml` is one)."""
    if not filename.endswith(_SUFFIX) or filename.startswith(".") or filename.count(".") < 2:
        return None
    stem = filename[: -len(_SUFFIX)]
    if stem.isascii():
        return ZoneName(stem.lower() + ".")
    import idna  # few directories need it

    try:
        labels = unicodedata.normalize("NFC", stem).lower().split(".")
        return ZoneName(".".join(label if label.isascii() else idna.encode(label).decode("ascii") for label in labels) + ".")
    except idna.IDNAError:
        return None


def _expected(zone: ZoneName) -> frozenset[str]:
    """The two file names under which octoDNS looks for a zone."""
    ascii_name = zone + _SUFFIX[1:]
    if "xn--" not in zone:
        return frozenset({ascii_name})
    import idna

    try:
        unicode = ".".join(idna.decode(label) if label.startswith("xn--") else label for label in zone.split("."))
    except idna.IDNAError:
        return frozenset({ascii_name})
    return frozenset({ascii_name, unicode + _SUFFIX[1:]})


@dataclass(slots=True, kw_only=True)
class ZoneDirectory:
    """The zone files in one directory. `shown` is how messages name the directory; `provider` is the provider's name in messages.

    The listing is taken once, with one scan; file contents are read afresh each time.
    """

    path: Path
    shown: str
    provider: str
    _files: dict[ZoneName, list[str]] | None = field(default=None)
    _links: set[str] = field(default_factory=set)

    def name_of(self, filename: str) -> str:
        """The path of a file as messages name it."""
        return f"{self.shown}/{filename}" if self.shown not in ("", ".") else filename

    def files(self) -> dict[ZoneName, list[str]]:
        """All zones with the file names that hold them. Raises `ObservationError` (MTS471) if the directory cannot be listed."""
        if self._files is None:
            found: dict[ZoneName, list[str]] = {}
            try:
                with os.scandir(self.path) as entries:
                    for entry in entries:
                        zone = zone_of(entry.name)
                        if zone is not None:
                            found.setdefault(zone, []).append(entry.name)
                            if entry.is_symlink():
                                self._links.add(entry.name)
            except OSError as error:
                raise ObservationError(
                    Diagnostic(
                        code="MTS471",
                        message=f"the zone directory {self.shown} of provider {self.provider} cannot be listed: {_said(error)}",
                        hint="Create it, or correct `directory` of the provider.",
                    )
                ) from error
            self._files = found
        return self._files

    def locate(self, zone: ZoneName) -> str | Unknown:
        """The name of the one file that holds the zone; `Unknown` (MTS457, MTS458, MTS471) if there is none, or not one."""
        try:
            names = sorted(self.files().get(zone, ()))
        except ObservationError as error:
            return Unknown(reason=error.diagnostics[0])
        if not names:
            return _unknown(
                "MTS458",
                f"provider {self.provider} has no zone {zone[:-1]}: there is no file {self.name_of(zone + _SUFFIX[1:])}",
                None,
                "Create the zone file with the zone's records, or correct `zone` or `dns` of the domain.",
            )
        if len(names) > 1:
            listed = " and ".join(self.name_of(name) for name in names)
            return _unknown(
                "MTS457", f"the zone {zone[:-1]} stands in {len(names)} files, {listed}", self.name_of(names[0]), "Keep one of them."
            )
        if unicodedata.normalize("NFC", names[0]) not in _expected(zone):
            return _unknown(
                "MTS457",
                f"octoDNS does not find {self.name_of(names[0])}: it looks for {' or '.join(sorted(_expected(zone)))}",
                self.name_of(names[0]),
                "Rename the file: lower case.",
            )
        if names[0] in self._links and (self.path / names[0]).resolve().parent != self.path.resolve():
            return Unknown(reason=_outside(self.name_of(names[0])))
        return names[0]

    def load(self, filename: str) -> bytes | Unknown:
        """The bytes of a zone file; `Unknown` (MTS450, MTS452) if it cannot be read or is larger than 16 MiB."""
        where = self.name_of(filename)
        try:
            handle = os.open(f"{self.path}/{filename}", os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
            with os.fdopen(handle, "rb", buffering=0) as file:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode):
                    kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
                    return _unknown("MTS450", f"{where} is {kind}", where, "A zone is one YAML file; move what is there.")
                if status.st_size > MAX_BYTES:
                    return _unknown(
                        "MTS452", "the file is larger than 16 MiB", where, "Split the zone, or keep it at a provider with an API."
                    )
                return file.readall()
        except IsADirectoryError:
            return _unknown("MTS450", f"{where} is a directory", where, "A zone is one YAML file; move what is there.")
        except OSError as error:
            return _unknown("MTS450", f"{where} cannot be read: {_said(error)}", where, "Make it readable for the user who runs this.")


def decode(content: bytes, where: str) -> str | Unknown:
    """The text of a zone file's bytes, without translating line ends; `Unknown` (MTS450) with the place of the first byte that is not
    UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        message = f"the byte 0x{content[error.start]:02X} is not UTF-8 text"
        span = Span(path=where, line=line, column=column)
        return Unknown(reason=Diagnostic(code="MTS450", message=message, where=span, hint="Save the file as UTF-8."))


def replace_file(directory: Path, filename: str, before: bytes, after: bytes, where: str) -> None:
    """Put `after` in the place of `before`, at once or not at all, on disk when this returns. Mode bits stay.

    Raises `Refused` if the file is no longer `before` (MTS466) or lies outside the directory through a symbolic link (MTS467), nothing
    written; `Refused` (MTS468) too if the temporary file cannot be written; `ProviderError` (MTS468) if it is not known whether the file
    was replaced.
    """
    target = (directory / filename).resolve()
    if target.parent != directory.resolve():
        raise Refused(_outside(where))

    def check() -> None:
        if target.read_bytes() != before:
            message = f"{where} was changed by somebody else while this run was about to write it"
            raise Refused(Diagnostic(code="MTS466", message=message, hint="Nothing was written to it. Run the command again."))

    try:
        with _alone(target.parent):
            files.replace_file(target, after, before_rename=check)
    except files.Unsettled as error:
        raise ProviderError(_failure(where, error, "it is not known whether it was written")) from error
    except OSError as error:
        raise Refused(_failure(where, error, "nothing was written to it")) from error


def _outside(where: str) -> Diagnostic:
    message = f"{where} is a symbolic link to a file outside its directory"
    return Diagnostic(code="MTS467", message=message, hint="Put the file itself there, or set `directory` to where it lies.")


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[int]:
    """The open directory, locked against other writers of ours. Raises `OSError` when it stays locked."""
    fd = files.open_directory(str(directory))
    try:
        with files.exclusively(fd, seconds=_PATIENCE):
            yield fd
    finally:
        os.close(fd)


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that killed runs left there; what cannot be removed stays, it does no harm."""
    with contextlib.suppress(OSError), _alone(directory) as fd:
        files.remove_leftovers(fd)


def _said(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _failure(where: str, error: OSError, outcome: str) -> Diagnostic:
    match files.trouble_of(error):
        case files.Trouble.NO_SPACE:
            hint = "Free some space and run again."
        case files.Trouble.FORBIDDEN:
            hint = "Run as a user who may write there, or mount the file system writable, and run again."
        case _:
            hint = "Correct that and run again."
    return Diagnostic(code="MTS468", message=f"{where} cannot be written: {_said(error)}; {outcome}", hint=hint)


def _unknown(code: str, message: str, where: str | None, hint: str) -> Unknown:
    span = Span(path=where, line=1, column=1) if where else None
    return Unknown(reason=Diagnostic(code=code, message=message, where=span, hint=hint))
