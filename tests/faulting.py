"""Runs in a child process in which the n-th HTTP request goes wrong, and every later one like it. Nothing shipped knows of this.

It goes wrong where octoDNS (requests) and boto3 (botocore) hand it over to the network, so all of their own care comes on top.
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from mtasts_deploy.deployment import Deployment
from mtasts_deploy.errors import MtastsError
from tests.killing import Act, Make, apply, in_a_child

KINDS: Final = ("timeout", "reset", "503", "403", "other bytes", "answer lost", "late")
NOT_REACHED: Final = 75


@dataclass
class Fault:
    """The request that is the `left`-th goes wrong, and all others of its method at its address; except for `other bytes` and `answer
    lost`, which happen twice, so that it is not enough to ask again once. What is `late` is carried out when the run is over.
    """

    kind: str
    left: int
    where: tuple[str, str] | None = None
    times: int = 0
    late: list[Callable[[], object]] = field(default_factory=list)

    def hits(self, method: str, url: str) -> bool:
        """Does this one go wrong?"""
        self.left -= 1
        here = (method, url.partition("?")[0])
        if self.left == 0:
            self.where = here
        if here != self.where or (self.kind in ("other bytes", "answer lost") and self.times == 2):
            return False
        self.times += 1
        return True

    def around(self, method: str, url: str, call: Callable[[], Any], library: Library) -> Any:
        """Carry the request out, as well as it goes."""
        if not self.hits(method, url):
            return call()
        match self.kind:
            case "timeout":
                raise library.timeout()
            case "reset":
                raise library.reset()
            case "503" | "403":
                return library.answer(int(self.kind))
            case "answer lost":
                call()
                raise library.timeout()
            case "late":
                if method not in ("GET", "HEAD") and not self.late:
                    self.late.append(call)
                raise library.timeout()
        found = call()
        return library.spoiled(found) if method == "GET" else found


class Library(ABC):
    """How a library says that something went wrong."""

    @abstractmethod
    def timeout(self) -> Exception:
        """No answer in time."""

    @abstractmethod
    def reset(self) -> Exception:
        """The connection is gone."""

    @abstractmethod
    def answer(self, status: int) -> Any:
        """An answer with this status."""

    @abstractmethod
    def spoiled(self, found: Any) -> Any:
        """The same answer with other bytes in its body."""


def _other(body: bytes) -> bytes:
    """What else might be there: another id, a policy for another time. (Other MX hosts are a matter of their own: they count as live.)"""
    return re.sub(rb"(id=|max_age: ?)([0-9a-f])", lambda found: found[1] + (b"1" if found[2] != b"1" else b"2"), body)


class Requests(Library):
    def timeout(self) -> Exception:
        from requests.exceptions import ReadTimeout

        made: Exception = ReadTimeout("injected: no answer")
        return made

    def reset(self) -> Exception:
        from requests.exceptions import ConnectionError as Gone

        made: Exception = Gone("injected: connection reset by peer")
        return made

    def answer(self, status: int) -> Any:
        import requests

        made = requests.models.Response()
        made.status_code = status
        made.raw = io.BytesIO(b'{"error": "injected"}')
        made.url = "http://injected/"
        made.headers["Content-Type"] = "application/json"
        return made

    def spoiled(self, found: Any) -> Any:
        found._content = _other(found.content)
        return found


class Botocore(Library):
    def timeout(self) -> Exception:
        from botocore.exceptions import ReadTimeoutError

        made: Exception = ReadTimeoutError(endpoint_url="http://injected/")
        return made

    def reset(self) -> Exception:
        from botocore.exceptions import ConnectionClosedError

        made: Exception = ConnectionClosedError(endpoint_url="http://injected/")
        return made

    def answer(self, status: int) -> Any:
        from botocore.awsrequest import AWSResponse

        code = b"SlowDown" if status == 503 else b"AccessDenied"
        body = b"<Error><Code>" + code + b"</Code><Message>injected</Message></Error>"
        return AWSResponse("http://injected/", status, {"content-type": "application/xml"}, _Raw(body))

    def spoiled(self, found: Any) -> Any:
        body = _other(found.raw.read())
        found.raw = _Raw(body)
        found._content = None
        return found


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: Any) -> Any:
        yield self.read()

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _install(fault: Fault) -> None:
    import botocore.httpsession
    import requests.adapters

    send, send_boto = requests.adapters.HTTPAdapter.send, botocore.httpsession.URLLib3Session.send

    def sending(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        return fault.around(request.method, request.url, lambda: send(self, request, *args, **options), Requests())

    def sending_boto(self: Any, request: Any) -> Any:
        return fault.around(request.method, request.url, lambda: send_boto(self, request), Botocore())

    requests.adapters.HTTPAdapter.send = sending  # type: ignore[method-assign]
    botocore.httpsession.URLLib3Session.send = sending_boto


def faulty(make: Make, kind: str, number: int, act: Act = apply) -> bool:
    """Act in a child in which the `number`-th request goes wrong like this; was there such a request?"""

    def acting(made: Deployment) -> int:
        fault = Fault(kind, number)
        _install(fault)
        sleep = time.sleep
        time.sleep = lambda seconds: sleep(min(float(seconds), 0.005))  # nobody waits for back-offs
        with contextlib.suppress(MtastsError):
            act(made)
        for late in fault.late:
            with contextlib.suppress(Exception):
                late()
        return 0 if fault.where is not None else NOT_REACHED

    code = in_a_child(make, acting)
    assert code in (0, NOT_REACHED)
    return code == 0
