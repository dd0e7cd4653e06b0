"""Results for people, on stdout. The symbols and the closing line of a plan are API (DESIGN section 6); golden tests hold them still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.output.channel import Channel
from mtasts_deploy.output.ending import afterwards, closing_line, verdict_line
from mtasts_deploy.output.interface import Check, Checked, Past, RunReport
from mtasts_deploy.output.text import counted, further, plain, tally
from mtasts_deploy.plan.model import Action, DomainPlan, Plan, Verdict, Wait
from mtasts_deploy.plan.wording import moment

if TYPE_CHECKING:
    from mtasts_deploy.catalogue.entry import Entry as Page
    from mtasts_deploy.output.standing import Standing
    from mtasts_deploy.permissions import Permissions
    from mtasts_deploy.verify.drift import DriftReport
    from mtasts_deploy.verify.model import Report

_COLOURS = {Action.ADD: "green", Action.CHANGE: "yellow", Action.REMOVE: "red", Action.KEEP: "dim"}
_WHAT = 13


class Human:
    """Text on stdout. `verbose`: also what stays as it is."""

    def __init__(self, out: Channel, *, verbose: bool = False) -> None:
        self._out = out
        self._verbose = verbose

    def plan(self, plan: Plan) -> None:
        """A domain after the other, then the closing line."""
        if plan.partial:
            self._out.line(self._out.style("PARTIAL: only some of the declared domains were looked at.", "bold"))
            self._out.line()
        if plan.heading:
            self._out.line(plan.heading)
            self._out.line()
        silent = 0
        for domain in plan.domains:
            if domain.verdict is Verdict.UNCHANGED and not domain.findings:
                silent += 1
                if self._verbose:
                    self._out.line(f"= {plain(domain.domain.display)}")
            else:
                self._domain(domain)
        for finding in plan.strays:
            self._finding(finding, "!" if finding.severity is Severity.ERROR else "warning", indent="")
            self._out.line()
        if silent:
            self._out.line(f"{counted(silent, 'domain')} unchanged.")
            self._out.line()
        self._out.line(self._out.style(str(plan.summary()), "bold"))
        self._out.flush()

    def proposed(self, plan: Plan) -> None:
        """As a plan that is the result."""
        self.plan(plan)

    def ran(self, report: RunReport) -> None:
        """How many domains ended how, and what is left to do by hand."""
        self._out.line()
        self._out.line(self._out.style(closing_line(report), "bold"))
        for text in afterwards(report):
            for line in self._out.folded(text, 5):
                self._out.line(line)
        self._out.flush()

    def checked(self, report: Checked) -> None:
        """One line if all is well; what is not is said on stderr."""
        if not any(finding.severity is Severity.ERROR for finding in report.findings):
            self._out.line(verdict_line(report))
        self._out.flush()

    def status(self, standings: Sequence[Standing], strays: Sequence[Diagnostic]) -> None:
        """A table."""
        from mtasts_deploy.output.tables import status_lines

        for line in status_lines(standings, self._out.width):
            for one in self._out.folded(line, 4):
                self._out.line(one)
        for finding in strays:
            self._out.line()
            self._finding(finding, "warning", indent="")
        self._out.flush()

    def verified(self, report: Report) -> None:
        """The verdict on each domain, and what is behind it."""
        from mtasts_deploy.output.verification import verification_lines

        for line in verification_lines(report, self._out, verbose=self._verbose):
            self._out.line(line)
        self._out.flush()

    def drifted(self, report: DriftReport) -> None:
        """What has drifted, and how many domains that is."""
        from mtasts_deploy.output.drifting import drift_lines

        for line in drift_lines(report, self._out, verbose=self._verbose):
            self._out.line(line)
        self._out.flush()

    def examined(self, checks: Sequence[Check]) -> None:
        """A line a check, and what to mend."""
        width = max((len(check.what) for check in checks), default=0)
        for check in checks:
            if not check.findings:
                self._out.line(f"{self._out.style('=', 'green')} {plain(check.what):<{width}}  {plain(check.text)}".rstrip())
            for finding in check.findings:
                self._finding(finding, "!" if finding.severity is Severity.ERROR else "warning", indent="", about=f"{check.what}: ")
        self._out.line()
        said = tally(finding for check in checks for finding in check.findings) or "nothing to mend"
        self._out.line(self._out.style(f"Doctor: {said}.", "bold"))
        self._out.flush()

    def history(self, past: Past) -> None:
        """Policies, ids and MX hosts with their times."""
        from mtasts_deploy.output.tables import history_lines

        for line in history_lines(past):
            self._out.line(line)
        self._out.flush()

    def permissions(self, permissions: Permissions) -> None:
        """The IAM policies as they are pasted, and the rest in words."""
        from mtasts_deploy.output.granting import permission_lines

        for line in permission_lines(permissions):
            self._out.line(line)
        self._out.flush()

    def pages(self, pages: Sequence[Page]) -> None:
        """One page whole, several as a list."""
        if len(pages) > 1:
            for page in pages:
                self._out.line(f"{page.code}  {page.title}")
        else:
            for page in pages:
                self._page(page)
        self._out.flush()

    def failed(self, findings: Sequence[Diagnostic], exit_code: int) -> None:
        """Nothing: `Messages` tells people."""
        del findings, exit_code
        self._out.flush()

    def _domain(self, domain: DomainPlan) -> None:
        self._heading(domain)
        blocked = domain.verdict is Verdict.BLOCKED
        if not blocked:
            for line in domain.lines:
                self._line(line.action, line.what, line.text)
        for finding in domain.findings:
            self._finding(finding, _mark(finding, domain.verdict))
        if blocked:
            self._not_done(domain)
        else:
            self._waits(domain)
            if domain.unexplained:
                what = ", ".join(f"{line.action.value} {line.what}" for line in domain.unexplained)
                self._out.line(f"    {'also before':<{_WHAT}}{what}: the world has drifted, or it was never applied")
            for note in domain.notes:
                for text in self._out.folded(f"  {plain(note)}", 2):
                    self._out.line(self._out.style(text, "dim"))
        self._out.line()

    def _heading(self, domain: DomainPlan) -> None:
        name, where = plain(domain.domain.display), plain(domain.where)
        room = min(self._out.width, 120) - len(name) - len(where)
        bold = self._out.style(name, "bold")
        if not where:
            self._out.line(bold)
        elif room >= 2 or not self._out.terminal:
            self._out.line(f"{bold}{' ' * max(room, 2)}{self._out.style(where, 'dim')}")
        else:
            self._out.line(bold)
            for text in self._out.folded(f"  {where}", 4):
                self._out.line(self._out.style(text, "dim"))

    def _line(self, action: Action, what: str, text: str) -> None:
        symbol = self._out.style(action.value, _COLOURS[action])
        first, *rest = self._out.folded(f"  {action.value} {what:<{_WHAT}}{plain(text)}".rstrip(), 4 + _WHAT)
        for one in (first.replace(f"  {action.value}", f"  {symbol}", 1), *rest):
            self._out.line(one)

    def _not_done(self, domain: DomainPlan) -> None:
        """What a blocked domain would change: not counted, and not to be taken for something that happens."""
        for line in domain.lines:
            if line.action is not Action.KEEP:
                text = f"    {'not done':<{_WHAT}}{line.action.value} {line.what} {plain(line.text)}".rstrip()
                for one in self._out.folded(text, 6 + _WHAT):
                    self._out.line(one)

    def _waits(self, domain: DomainPlan) -> None:
        for step in domain.steps:
            if isinstance(step, Wait):
                until = f" until {moment(step.until)}" if step.until is not None else ""
                for text in self._out.folded(f"    wait         {step.what}{until}: {plain(step.text)}", 4 + _WHAT):
                    self._out.line(text)
                if step.code:
                    self._out.line(f"    {'':<{_WHAT}}lifted by --allow {step.code}={domain.domain}")

    def _finding(self, finding: Diagnostic, mark: str, indent: str = "  ", about: str = "") -> None:
        colour = "red" if mark in "!?" else "yellow"
        place = "" if finding.where is None else f"{finding.where}: "
        head = f"{mark} {finding.code}"
        first, *rest = self._out.folded(f"{indent}{head} {plain(about + place + finding.message)}", len(indent) + 4)
        for line in (first.replace(head, self._out.style(head, colour), 1), *rest):
            self._out.line(line)
        for text in further(finding):
            for line in self._out.folded(f"{indent}    {text}", len(indent) + 6):
                self._out.line(line)

    def _page(self, page: Page) -> None:
        self._out.line(self._out.style(f"{page.code}: {page.title}", "bold"))
        for label, text in (("Why it matters", page.why), ("What to do", page.fix)):
            self._out.line()
            self._out.line(f"{label}:")
            for line in _wrapped(text, min(self._out.width, 100)):
                self._out.line(line)
        for label, text in (("Bad", page.bad), ("Good", page.good)):
            if text:
                self._out.line()
                self._out.line(f"{label}:")
                for line in text.strip("\n").splitlines():
                    self._out.line(f"    {line}")
        if page.ref:
            self._out.line()
            self._out.line(f"See {page.ref}.")


def _mark(finding: Diagnostic, verdict: Verdict) -> str:
    if finding.severity is Severity.ERROR:
        return "?" if verdict is Verdict.UNKNOWN else "!"
    return "warning" if finding.severity is Severity.WARN else "note"


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width=width, initial_indent="  ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
