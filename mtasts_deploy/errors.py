"""The error tree. Whatever leaves the package on purpose is a `MtastsError`; the command line turns it into text and an exit code.

MtastsError                exit 1
├── rfc: DomainError, MxPatternError, PolicyError, PolicyIdError, RecordError (texts that the RFCs define)
├── DeclarationError       the declaration cannot be used
├── UsageError             the command line cannot be used
├── ObservationError       something that must be known could not be looked at
├── Refused                nothing was written, on purpose
├── ProviderError          a DNS provider failed after the first byte may have been written
├── HostError              a policy host failed
├── StateError             the state cannot be read or written
│   └── StateConflict      somebody else wrote it first
├── LockHeld               exit 4
├── LeaseLost              exit 4: the lock was taken over while we ran
└── StalePlan              exit 5
"""

from __future__ import annotations

from typing import ClassVar

from mtasts_deploy.diagnostics import Diagnostic


class MtastsError(Exception):
    """Base of all errors; carries every diagnostic at once."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(d.message for d in diagnostics))
        self.diagnostics = diagnostics


class DeclarationError(MtastsError):
    """The declaration cannot be used; every problem of every file is in `diagnostics`."""


class UsageError(MtastsError):
    """The command line asks for something that cannot be."""


class ObservationError(MtastsError):
    """Something that must be known before going on could not be looked at."""


class Refused(MtastsError):
    """Nothing was written, on purpose: the write would touch what is not ours."""


class ProviderError(MtastsError):
    """A DNS provider failed; whether it has written is unknown until it is read again."""


class HostError(MtastsError):
    """A policy host failed. `written` is False only where the write certainly did not happen."""

    def __init__(self, *diagnostics: Diagnostic, written: bool = True) -> None:
        super().__init__(*diagnostics)
        self.written = written


class StateError(MtastsError):
    """The state (ledger, lock, run log) cannot be read or written."""


class StateConflict(StateError):
    """Somebody else wrote the object since it was read; nothing was written."""


class LockHeld(MtastsError):
    """Another run holds the lock."""

    exit_code = 4


class LeaseLost(MtastsError):
    """The lock was taken over while this run went on; it must not write any more."""

    exit_code = 4


class StalePlan(MtastsError):
    """The world is not the one that the plan was made for."""

    exit_code = 5
