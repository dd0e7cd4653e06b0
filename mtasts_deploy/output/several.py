"""The same results in several formats at once (`--json-into`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.output.interface import Check, Checked, Output, Past, RunReport
from mtasts_deploy.plan.model import Plan

if TYPE_CHECKING:
    from mtasts_deploy.catalogue.entry import Entry as Page
    from mtasts_deploy.output.standing import Standing
    from mtasts_deploy.permissions import Permissions
    from mtasts_deploy.verify.drift import DriftReport
    from mtasts_deploy.verify.model import Report


class Several:
    """Hands everything to each of its outputs."""

    def __init__(self, *outputs: Output) -> None:
        self.outputs = outputs

    def plan(self, plan: Plan) -> None:
        """To each."""
        for output in self.outputs:
            output.plan(plan)

    def proposed(self, plan: Plan) -> None:
        """To each."""
        for output in self.outputs:
            output.proposed(plan)

    def ran(self, report: RunReport) -> None:
        """To each."""
        for output in self.outputs:
            output.ran(report)

    def checked(self, report: Checked) -> None:
        """To each."""
        for output in self.outputs:
            output.checked(report)

    def status(self, standings: Sequence[Standing], strays: Sequence[Diagnostic]) -> None:
        """To each."""
        for output in self.outputs:
            output.status(standings, strays)

    def verified(self, report: Report) -> None:
        """To each."""
        for output in self.outputs:
            output.verified(report)

    def drifted(self, report: DriftReport) -> None:
        """To each."""
        for output in self.outputs:
            output.drifted(report)

    def examined(self, checks: Sequence[Check]) -> None:
        """To each."""
        for output in self.outputs:
            output.examined(checks)

    def history(self, past: Past) -> None:
        """To each."""
        for output in self.outputs:
            output.history(past)

    def permissions(self, permissions: Permissions) -> None:
        """To each."""
        for output in self.outputs:
            output.permissions(permissions)

    def pages(self, pages: Sequence[Page]) -> None:
        """To each."""
        for output in self.outputs:
            output.pages(pages)

    def failed(self, findings: Sequence[Diagnostic], exit_code: int) -> None:
        """To each."""
        for output in self.outputs:
            output.failed(findings, exit_code)
