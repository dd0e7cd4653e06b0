"""The seam to people and programs: `Output` gives results (stdout), `Messages` says what happens meanwhile and what is wrong (stderr)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mtasts_deploy.apply.report import Event, Result
    from mtasts_deploy.catalogue.entry import Entry as Page
    from mtasts_deploy.diagnostics import Diagnostic
    from mtasts_deploy.ledger.model import Entry
    from mtasts_deploy.output.standing import Standing
    from mtasts_deploy.permissions import Permissions
    from mtasts_deploy.plan.model import Plan
    from mtasts_deploy.rfc.names import Domain
    from mtasts_deploy.verify.drift import DriftReport
    from mtasts_deploy.verify.model import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What is left to do by hand after a run on files: directories of policies and of zones, and the domains whose policy changed.

    `addresses`: where policy hosts are to lead, which others see when the zones were shipped. `octodns`: records were left to octodns-sync.
    """

    policies: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    domains: tuple[Domain, ...] = ()
    addresses: tuple[str, ...] = ()
    octodns: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """A finished run: `what` is `Apply` or `Rollback`, `plan` what was to be done, `left_out` why domains of it were left out."""

    what: str
    plan: Plan
    result: Result
    ship: Shipment
    left_out: tuple[Diagnostic, ...] = ()

    @property
    def findings(self) -> list[Diagnostic]:
        """What was found in the run, beyond the plan."""
        known = set(self.plan.findings())
        return [*(finding for finding in self.left_out if finding not in known), *self.result.findings]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `validate` found in a declaration (`name`) with so many domains."""

    name: str
    domains: int
    findings: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the ledger remembers of a domain at a moment; no entry: nothing."""

    domain: Domain
    entry: Entry | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of `doctor`: what was looked at, what was found, and what is wrong with it."""

    what: str
    text: str = ""
    findings: tuple[Diagnostic, ...] = ()


class Output(Protocol):
    """Shows results. One call a command, except that an apply first shows what it proposes."""

    def plan(self, plan: Plan) -> None:
        """A plan that is the result."""

    def proposed(self, plan: Plan) -> None:
        """A plan that is about to be carried out."""

    def ran(self, report: RunReport) -> None:
        """How a run ended."""

    def checked(self, report: Checked) -> None:
        """What `validate` found."""

    def status(self, standings: Sequence[Standing], strays: Sequence[Diagnostic]) -> None:
        """How domains stand."""

    def verified(self, report: Report) -> None:
        """What senders would do, and why."""

    def drifted(self, report: DriftReport) -> None:
        """Where the world differs from Git."""

    def examined(self, checks: Sequence[Check]) -> None:
        """What `doctor` found."""

    def history(self, past: Past) -> None:
        """What is remembered of a domain."""

    def permissions(self, permissions: Permissions) -> None:
        """What credentials must allow."""

    def pages(self, pages: Sequence[Page]) -> None:
        """Pages of the catalogue of codes."""

    def failed(self, findings: Sequence[Diagnostic], exit_code: int) -> None:
        """The command could not do what it was asked to; `Messages` has told people why."""


class Messages(Protocol):
    """Says things while a command goes on. May be called from several threads."""

    def begin(self, domains: int) -> None:
        """A run begins that will change so many domains."""

    def event(self, event: Event) -> None:
        """Something happened in a run."""

    def findings(self, findings: Iterable[Diagnostic]) -> None:
        """What is wrong, or worth knowing."""

    def say(self, text: str) -> None:
        """A sentence; not said with `--quiet`."""

    def question(self, text: str) -> None:
        """A question; the answer is read by the caller."""

    def end(self) -> None:
        """Nothing more comes."""
