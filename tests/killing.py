"""Runs in a child process that is killed before or after its n-th external call. Nothing shipped knows of this.

Calls are counted at the adapters (`fatal_adapters`) or, finer, at each HTTP request of octoDNS and boto3 (`fatal_requests`).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from mtasts_deploy.deployment import Deployment
from tests.wrapping import Wrapped, wrap_adapters

Make = Callable[[], Deployment]
Act = Callable[[Deployment], int]

_WRITES = frozenset({"write", "put", "remove", "purge"})


class Death:
    """Comes at the `left`-th moment. Moments are before and after each call; with `writes` only before the first call that writes and after
    each: between two writes the world does not change (a run log is not counted as the world).
    """

    left = 0
    writes = False
    _turn = threading.Lock()
    _first = True

    @classmethod
    def around(cls, write: bool, call: Callable[[], Any]) -> Any:
        """Carry the call out, or die."""
        if not cls.writes or (write and cls._first):
            cls._first = not write
            cls._nearer()
        result = call()
        if write or not cls.writes:
            cls._nearer()
        return result

    @classmethod
    def _nearer(cls) -> None:
        with cls._turn:
            cls.left -= 1
            if cls.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def fatal_adapters(made: Deployment) -> None:
    """Count the calls of targets, hosts and state."""
    wrap_adapters(made, _fatal)


def _fatal(name: str, call: Callable[[], Any]) -> Any:
    """Each call may be the last."""
    return Death.around(name in _WRITES, call)


def fatal_requests(made: Deployment) -> None:
    """Count HTTP requests of octoDNS and boto3, fetches of policies and questions to name servers; for good: only in a child."""
    import botocore.httpsession
    import requests.adapters

    def counted(owner: Any) -> None:
        send = owner.send

        def sending(self: Any, request: Any, *args: Any, **options: Any) -> Any:
            return Death.around(request.method not in ("GET", "HEAD"), lambda: send(self, request, *args, **options))

        owner.send = sending

    counted(requests.adapters.HTTPAdapter)
    counted(botocore.httpsession.URLLib3Session)
    fetcher, name_servers = made.fetcher, made.name_servers
    if fetcher is not None:
        made.fetcher = lambda: Wrapped(fetcher(), _fatal)
    if name_servers is not None:
        made.name_servers = lambda: Wrapped(name_servers(), _fatal)


def fatal_requests_and_files(made: Deployment) -> None:
    """Count HTTP requests, and the calls of hosts and state that are files."""
    fatal_requests(made)
    made.hosts = {name: Wrapped(host, _fatal) for name, host in made.hosts.items()}
    made.store = Wrapped(made.store, _fatal)


def in_a_child(make: Make, act: Act, *, number: int = 0, writes: bool = False, count: Callable[[Deployment], None] = fatal_adapters) -> int:
    """The exit code of the act in a child, or minus SIGKILL if it died at the `number`-th moment (0: none)."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            made = make()
            made.beat = None  # a thread would not survive the next fork
            if number:
                count(made)
                Death.left, Death.writes = number, writes
            code = act(made)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code != -signal.SIGKILL or number, "killed by somebody else"
    return code


def killed(make: Make, number: int, act: Act, *, writes: bool = False, count: Callable[[Deployment], None] = fatal_adapters) -> bool:
    """Did the act die at its `number`-th moment? Else it came to a good end."""
    code = in_a_child(make, act, number=number, writes=writes, count=count)
    assert code in (0, -signal.SIGKILL), code
    return code == -signal.SIGKILL


def apply(made: Deployment) -> int:
    """Apply; the exit code, with the findings on stderr if it is not 0."""
    result = made.apply()
    assert result is not None
    if result.exit_code:
        print(*result.findings, sep="\n", file=sys.__stderr__)
    return result.exit_code


def rollback(made: Deployment) -> int:
    """Take the last run back; the exit code."""
    result = made.rollback([], approve=lambda _: True)
    assert result is not None
    if result.exit_code:
        print(*result.findings, sep="\n", file=sys.__stderr__)
    return result.exit_code
