"""A run while it goes on: the plan and the question, the signals, and the report at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self

from mtasts_deploy.apply.report import Event, Result, Stage
from mtasts_deploy.declaration.model import ZONE_FILES, Confirm, HostSpec
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.output.interface import RunReport, Shipment
from mtasts_deploy.output.text import listed
from mtasts_deploy.plan.model import Barrier, DomainPlan, Plan, PutPolicy, RemovePolicy

if TYPE_CHECKING:
    from mtasts_deploy.cli.session import Session
    from mtasts_deploy.deployment import Deployment

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Running:
    """One run of `deployment`.

    As a context manager it handles signals: the first one stops at the next step boundary, the second at once.
    """

    def __init__(self, session: Session, deployment: Deployment, what: str) -> None:
        self.deployment = deployment
        self._session = session
        self._what = what
        self._plan: Plan | None = None
        self._open: set[str] = set()
        self._left_out: list[Diagnostic] = []
        self._interruptible = False
        self._before: list[tuple[int, object]] = []
        session.log()
        deployment.emit = self._event
        deployment.sleep = self._sleep

    def proposed(self, plan: Plan) -> None:
        """Show the plan that is about to be carried out."""
        self._plan = plan
        self._open = {domain.domain.display for domain in plan.acting}
        self._session.output.proposed(plan)
        self._session.messages.begin(len(plan.acting))

    def agree(self, plan: Plan) -> bool:
        """Show the plan; it was approved on the command line."""
        self.proposed(plan)
        return True

    def ask(self, plan: Plan) -> bool:
        """Show the plan and ask, if it changes anything."""
        self.proposed(plan)
        if not plan.acting:
            return True
        self._session.out.flush()
        self._session.messages.question("\nDo this? Only 'yes' is accepted: ")
        with self._interrupting():
            answer = sys.stdin.readline()
        if not answer.endswith("\n"):
            self._session.err.line()
        return answer.strip() == "yes"

    def finish(self, result: Result | None) -> int:
        """Report the end; the exit code. None: the answer was no."""
        self._session.messages.end()
        if result is None or self._plan is None:
            self._session.messages.say("Not approved: nothing was changed.")
            return 1
        ship = _shipment(self.deployment, self._plan, result)
        report = RunReport(what=self._what, plan=self._plan, result=result, ship=ship, left_out=tuple(self._left_out))
        self._session.output.ran(report)
        if report.findings:
            self._session.messages.findings(report.findings)
        return result.exit_code

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # `nohup` means it
            self._before = [(number, signal.signal(number, self._signalled)) for number in heard]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = []

    def _event(self, event: Event) -> None:
        if self._session.stream is not None:
            self._session.stream(event)
        if event.step and not event.text:
            self._session.messages.event(event)
            return
        if event.domain is not None and event.stage is not Stage.LOOK and not event.text:
            self._open.discard(event.domain.display)
        elif event.domain is not None and event.finding is not None:
            self._left_out.append(event.finding)
        self._session.messages.event(event)

    def _sleep(self, seconds: float) -> None:
        """Sleeping is only waiting for the lock: a signal ends it."""
        with self._interrupting():
            time.sleep(seconds)

    @contextlib.contextmanager
    def _interrupting(self) -> Iterator[None]:
        """Here nothing is under way: a signal may end the command at once."""
        self._interruptible = True
        try:
            if self.deployment.stop.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._interruptible = False

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        stop = self.deployment.stop
        if self._interruptible:
            stop.requested = True
            raise KeyboardInterrupt
        if not stop.requested:
            stop.requested = True
            _shout("Stopping at the next step boundary; what is under way is finished first. A second signal stops at once.")
            return
        unknown = listed(sorted(self._open), 20) or "no domain"
        _shout(
            f"Stopped at once. It is not known how far the run has come with: {unknown}.\n"
            "Every file is whole, the old one or the new one, and no record names a policy that is not there.\n"
            "Run `deploy apply`: it takes the lock over, looks at what is there, and goes on."
        )
        os._exit(130)  # threads may be writing: they must not go on after the lock is given back, so it is not given back


def _shout(text: str) -> None:
    """Write to stderr from a signal handler: past all buffers and locks."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}\n".encode())


def _shipment(deployment: Deployment, plan: Plan, result: Result) -> Shipment:
    """What is left to do by hand: files in directories are not yet where senders look. A provider with an API leaves nothing to ship."""
    if result.taken_back:
        return Shipment()
    changed = [domain for domain in plan.acting if domain.domain in result.begun]
    declaration = deployment.declaration
    # What was fetched from its policy host is there already.
    policies = [domain for domain in changed if _puts(domain) and declaration.domains[domain.domain].confirm is Confirm.STORAGE]
    hosts = (declaration.hosts[name] for domain in policies for name in _at(domain, declaration.domains[domain.domain].host))
    folders = {host.path for host in hosts if isinstance(host, HostSpec)}
    moved = [domain.put_address for domain in changed if domain.put_address is not None]
    providers = {change.provider for domain in changed for change in domain.records}
    providers |= {change.provider for put in moved for change in put.changes}
    zones = {str(spec.options["directory"]) for name in providers if (spec := declaration.providers[name]).class_name == ZONE_FILES}
    return Shipment(
        policies=tuple(sorted(_folder(path) for path in folders)),
        zones=tuple(sorted(_folder(path) for path in zones)),
        domains=tuple(domain.domain for domain in policies) if folders else (),
        addresses=tuple(dict.fromkeys(str(put.address) for put in moved)),
        octodns=any(domain.hand_over is not None for domain in changed),
    )


def _puts(domain: DomainPlan) -> bool:
    """Must its policy be shipped before its record? A barrier without a put: an earlier run put it, and may not have been shipped."""
    return any(isinstance(step, PutPolicy | Barrier | RemovePolicy) for step in domain.steps)


def _at(domain: DomainPlan, declared: str) -> set[str]:
    """The hosts to which its policy goes: several while its policy host moves."""
    return {step.host for step in domain.steps if isinstance(step, PutPolicy | RemovePolicy)} or {declared}


def _folder(path: str) -> str:
    return path.rstrip("/") + "/"
