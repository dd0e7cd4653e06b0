"""What the formats for pipelines have in common: what counts are the findings, each at its place in a file of the repository."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mtasts_deploy.diagnostics import Diagnostic, Span
from mtasts_deploy.errors import UsageError
from mtasts_deploy.output.drifting import drift_line
from mtasts_deploy.output.ending import closing_line, verdict_line
from mtasts_deploy.output.interface import Check, Checked, Past, RunReport
from mtasts_deploy.output.text import counted, in_order, tally
from mtasts_deploy.output.verification import tally_line
from mtasts_deploy.plan.model import Plan

if TYPE_CHECKING:
    from mtasts_deploy.catalogue.entry import Entry as Page
    from mtasts_deploy.output.standing import Standing
    from mtasts_deploy.permissions import Permissions
    from mtasts_deploy.verify.drift import DriftReport
    from mtasts_deploy.verify.model import Report


class Pipeline(ABC):
    """Hands findings to `found`; formats that show more than findings say so by a method of their own.

    `write` takes the text of the result. `places` says where each domain (A-labels) is declared, as soon as the declaration was read.
    `root` is the directory that paths are relative to.
    """

    form = ""

    def __init__(self, write: Callable[[str], None], *, places: Mapping[str, Span], root: Path) -> None:
        self._write = write
        self._places = places
        self._root = root

    @abstractmethod
    def found(self, closing: str, findings: Sequence[Diagnostic]) -> None:
        """All findings, in order and at their places; `closing` is the result in one line."""

    def plan(self, plan: Plan) -> None:
        """The findings of a plan."""
        self._found(str(plan.summary()), plan.findings())

    def proposed(self, plan: Plan) -> None:
        """Nothing: it comes with the result."""
        del plan

    def ran(self, report: RunReport) -> None:
        """The findings of a run and of its plan."""
        self._found(closing_line(report), [*report.plan.findings(), *report.findings])

    def checked(self, report: Checked) -> None:
        """What `validate` found."""
        self._found(verdict_line(report), report.findings)

    def status(self, standings: Sequence[Standing], strays: Sequence[Diagnostic]) -> None:
        """What is wrong with domains."""
        findings = [finding for one in standings for finding in one.unknown or one.plan.findings]
        self._found(counted(len(standings), "domain"), [*findings, *strays])

    def verified(self, report: Report) -> None:
        """What is wrong with domains as senders see them."""
        self._found(tally_line(report), [*report.findings, *(finding for one in report.domains for finding in one.findings)])

    def drifted(self, report: DriftReport) -> None:
        """What is not as it should be, and why something could not be looked at."""
        findings = [finding for one in report.domains for finding in (*one.findings, *(one.report.findings if one.unknown else ()))]
        self._found(drift_line(report), findings)

    def examined(self, checks: Sequence[Check]) -> None:
        """What is wrong with the environment."""
        findings = [finding for check in checks for finding in check.findings]
        self._found(f"Doctor: {counted(len(checks), 'check')}, {tally(findings) or 'nothing to mend'}.", findings)

    def history(self, past: Past) -> None:
        """Has no such form."""
        del past
        raise self._no_form("history")

    def permissions(self, permissions: Permissions) -> None:
        """Have no such form."""
        del permissions
        raise self._no_form("permissions")

    def pages(self, pages: Sequence[Page]) -> None:
        """Have no such form."""
        del pages
        raise self._no_form("explain")

    def failed(self, findings: Sequence[Diagnostic], exit_code: int) -> None:
        """Why there is no result."""
        self._found(f"Failed with exit code {exit_code}.", findings)

    def _found(self, closing: str, findings: Iterable[Diagnostic]) -> None:
        self.found(closing, self._in_order(findings))

    def _in_order(self, findings: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The findings, the worst first, each at its place."""
        return [self._placed(finding) for finding in in_order(findings)]

    def _placed(self, finding: Diagnostic) -> Diagnostic:
        """The finding with its place: its own, else where its domain is declared; the path is relative to the root if it lies there."""
        where = finding.where or self._places.get(finding.domain or "")
        return finding if where is None else finding.at(replace(where, path=self._relative(where.path)))

    def _relative(self, path: str) -> str:
        whole = Path(path).absolute()
        return Path(os.path.relpath(whole, self._root)).as_posix() if whole.is_relative_to(self._root) else Path(path).as_posix()

    def _no_form(self, command: str) -> UsageError:
        message = f"what `deploy {command}` says has no {self.form} form"
        return UsageError(Diagnostic(code="MTS915", message=message, hint="Use --format human or --format json."))
