"""Every external call of a run in turn goes wrong, in every way that calls go wrong; the next apply finishes, and no sender saw anything.

The world is in memory; a watching sender looks at each operation. The kinds: the call fails and did nothing (timeout, reset, 5xx, 403); it
was done and its answer was lost; it takes effect only after the run has ended; what is read back are other bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mtasts_deploy.deployment import Deployment
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError, MtastsError, ProviderError, StateError
from mtasts_deploy.facts import HostedPolicy, Unknown
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.names import Domain
from tests.deployments import EXAMPLE, Sandbox
from tests.watcher import Watcher

FIRST = "domains:\n  example.com: {tlsrpt: 'mailto:a@example.org'}\n"
SECOND = "domains:\n  example.com: {max_age: 2w, tlsrpt: 'mailto:b@example.org'}\n"
WHY = Diagnostic(code="MTS999", message="injected: no answer")
WRITES = {"write": ProviderError(WHY), "put": HostError(WHY), "remove": HostError(WHY), "purge": HostError(WHY)}


@dataclass
class Fault:
    """The `left`-th call goes wrong in this way; `late` is what takes effect after the run."""

    kind: str
    left: int
    hit: str = ""
    late: list[Callable[[], object]] = field(default_factory=list)

    def around(self, name: str, state: bool, call: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left != 0:
            return call()
        self.hit = name
        if state:
            return self._state(name, call)
        if name == "read":
            return self._read(call)
        if name not in WRITES:
            return call()
        match self.kind:
            case "nothing":
                raise HostError(WHY, written=False) if isinstance(WRITES[name], HostError) else WRITES[name]
            case "lost":
                call()
                raise WRITES[name]
            case "late":
                self.late.append(call)
                raise WRITES[name]
        return call()

    def _state(self, name: str, call: Callable[[], Any]) -> Any:
        if self.kind == "lost" and name == "write":
            call()
        if self.kind == "other":
            return call()
        raise StateError(WHY)

    def _read(self, call: Callable[[], Any]) -> Any:
        found = call()
        if self.kind == "other":
            other = HostedPolicy(body=b"version: STSv1\r\nmode: none\r\nmax_age: 1\r\n", version="other")
            return dict.fromkeys(found, other) if isinstance(found, dict) else found
        return {domain: Unknown(reason=WHY) for domain in found} if isinstance(found, dict) else Unknown(reason=WHY)


class Faulty:
    """An adapter whose calls go through a fault."""

    def __init__(self, inner: Any, fault: Fault, *, state: bool = False) -> None:
        self._inner, self._fault, self._state = inner, fault, state

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name not in ("read", "write", "put", "remove", "purge"):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return self._fault.around(name, self._state, lambda: found(*arguments, **options))

        return call


def faulty(sandbox: Sandbox, fault: Fault) -> Deployment:
    made = sandbox.deployment
    made.targets = {name: Faulty(target, fault) for name, target in made.targets.items()}
    made.hosts = {name: Faulty(host, fault) for name, host in made.hosts.items()}
    made.store = Faulty(made.store, fault, state=True)
    return made


def story(directory: Path, kind: str, number: int, change: bool) -> str | None:
    """One run with one fault, then an apply without; the call that was hit, None if the run made fewer calls."""
    directory.mkdir()
    sandbox = Sandbox(directory)
    watcher = Watcher(EXAMPLE, sandbox.target, sandbox.host)
    sandbox.declare(FIRST)
    if change:
        sandbox.apply()
        sandbox.clock.pass_(hours=3)
        watcher("before")
        sandbox.declare(SECOND)
    fault = Fault(kind, number)
    with sandbox.failing(watcher):
        try:
            faulty(sandbox, fault).apply()
        except MtastsError:
            sandbox.state.objects.pop("lock.json", None)  # runs out
        if not fault.hit:
            return None
        for late in fault.late:
            try:
                late()
            except MtastsError:
                continue
        watcher("after the run")
        sandbox.clock.pass_(minutes=3)
        assert sandbox.apply().exit_code == 0, f"{kind} at {number} ({fault.hit})"
        watcher("at the end")
    assert watcher.problems == [], f"{kind} at {number} ({fault.hit})"
    assert watcher.wrong() == set(), f"{kind} at {number} ({fault.hit})"
    assert sandbox.one().verdict is Verdict.UNCHANGED
    assert (b"1209600" in sandbox.host.files[Domain.parse("example.com")]) is change
    return fault.hit


@pytest.mark.parametrize("change", [False, True], ids=["first", "change"])
@pytest.mark.parametrize("kind", ["nothing", "lost", "late", "other"])
def test_every_call_goes_wrong_once(tmp_path: Path, kind: str, change: bool, capsys: pytest.CaptureFixture[str]):
    hits = []
    for number in range(1, 1000):
        hit = story(tmp_path / str(number), kind, number, change)
        if hit is None:
            break
        hits.append(hit)
    with capsys.disabled():
        print(f"\nfault '{kind}': {len(hits)} calls, each once")
    assert {"read", "write", "put"} <= set(hits)
    assert len(hits) >= 15
