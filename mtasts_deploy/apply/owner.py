"""Who holds the lock: what identifies a process, on this machine and for people."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StateError


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A run with its lease. `created` and `expires` are aware UTC times; `lease` is its id, 12 hex digits; `buckets` is what it holds.

    `machine` names this boot of this machine (and the container in it), `started` the start of the process `pid`; each is None where the
    system does not tell, and then nobody concludes that the process is dead. `run` is the address of the CI run.
    """

    lease: str
    user: str
    host: str
    machine: str | None
    pid: int
    started: str | None
    command: str
    run: str | None
    created: datetime
    expires: datetime
    buckets: tuple[int, ...] = ()

    def fields(self) -> dict[str, object]:
        """The owner as JSON data."""
        return {
            "lease": self.lease,
            "user": self.user,
            "host": self.host,
            "machine": self.machine,
            "pid": self.pid,
            "started": self.started,
            "command": self.command,
            "run": self.run,
            "created": self.created.isoformat(),
            "expires": self.expires.isoformat(),
            "buckets": list(self.buckets),
        }

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> Owner:
        """Read JSON data. Raises `KeyError`, `TypeError`, `ValueError`."""
        pid = fields["pid"]
        if type(pid) is not int:
            raise TypeError
        return cls(
            lease=_text(fields["lease"]),
            user=_text(fields["user"]),
            host=_text(fields["host"]),
            machine=_maybe_text(fields["machine"]),
            pid=pid,
            started=_maybe_text(fields["started"]),
            command=_text(fields["command"]),
            run=_maybe_text(fields["run"]),
            created=_utc(fields["created"]),
            expires=_utc(fields["expires"]),
            buckets=_numbers(fields["buckets"]),
        )

    def describe(self) -> str:
        """For people: user@host, process, since when, command, and the CI run if it is one."""
        run = f", {self.run}" if self.run else ""
        return f"{self.user}@{self.host}, process {self.pid}, `{self.command}`{run}, since {self.created:%Y-%m-%d %H:%M:%S} UTC"


def this_process(command: str) -> Owner:
    """An owner with a fresh id for this process, which holds nothing yet: its times are the beginning of time."""
    epoch = datetime.fromtimestamp(0, tz=UTC)
    return Owner(
        lease=secrets.token_hex(6),
        user=_user(),
        host=socket.gethostname(),
        machine=_machine(),
        pid=os.getpid(),
        started=_life(os.getpid()),
        command=command,
        run=_ci_run(os.environ),
        created=epoch,
        expires=epoch,
    )


def is_dead(holder: Owner, mine: Owner) -> bool:
    """Is it certain that the holder's process is dead? Only for one on this machine, this boot and this container; in doubt it lives."""
    if holder.machine is None or holder.machine != mine.machine or holder.pid <= 0:
        return False
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        pass  # somebody else's process, but it exists
    life = _life(holder.pid)
    return life is not None and (life == _ZOMBIE or (holder.started is not None and life != holder.started))


def unreadable(location: str) -> StateError:
    """The error for a lock object that is none."""
    return StateError(
        Diagnostic(
            code="MTS712",
            message=f"The lock {location} is not a lock object, so nobody knows who holds it.",
            hint=f"If it is certain that no run is going on, remove {location} by hand, then run the same command again.",
        )
    )


_ZOMBIE: Final = "zombie"


def _life(pid: int) -> str | None:
    """The start of a process in the system's own words, `_ZOMBIE` for one that has ended and waits for its parent, None if unknown."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  a file of the kernel
            fields = file.read().rpartition(b")")[2].split()  # the name before may hold anything, also spaces and brackets
    except OSError:
        return None if sys.platform == "linux" else _life_by_ps(pid)
    if len(fields) < 20:
        return None
    return _ZOMBIE if fields[0] in (b"Z", b"X") else fields[19].decode("ascii", "replace")  # field 22 of proc(5): ticks since boot


def _life_by_ps(pid: int) -> str | None:
    words = _said("ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)).split()
    if len(words) < 2:
        return None
    return _ZOMBIE if words[0].startswith("Z") else " ".join(words[1:])


def _machine(proc: str = "/proc") -> str | None:
    try:
        with open(f"{proc}/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123  a file of the kernel
            boot = file.read().strip()
        container = os.readlink(f"{proc}/self/ns/pid")  # noqa: PTH115  no path, a name
    except (OSError, ValueError):
        boot, container = _said("sysctl", "-n", "kern.bootsessionuuid").strip(), ""  # macOS
    return f"{socket.gethostname()} {boot} {container}".strip() if boot else None


def _said(*command: str) -> str:
    import subprocess  # where there is no /proc

    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=5).stdout
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container without an entry for its user
        return f"uid {os.getuid()}" if sys.platform != "win32" else "unknown"


def _ci_run(environment: Mapping[str, str]) -> str | None:
    """The address of the CI run: GitHub, GitLab, Jenkins. Without user and password, should somebody have put them there."""
    server, repository, run = (environment.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID"))
    address = f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""
    address = address or environment.get("CI_JOB_URL", "") or environment.get("BUILD_URL", "")
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _maybe_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(one) is int for one in value):
        raise TypeError
    return tuple(value)


def _utc(value: object) -> datetime:
    when = datetime.fromisoformat(_text(value))
    if when.tzinfo is None:
        raise ValueError
    return when.astimezone(UTC)
