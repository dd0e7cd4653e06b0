"""Markdown for the comment of a pull request: what a plan means for mail, in a line a domain; what it changes, folded below.

The first line is a hidden mark by which a pipeline finds its comment again and updates it. A comment stays below `LIMIT` characters; what
does not fit is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.diagnostics import Diagnostic, Span
from mtasts_deploy.output.ending import ENDINGS, afterwards, closing_line
from mtasts_deploy.output.interface import RunReport
from mtasts_deploy.output.pipeline import Pipeline
from mtasts_deploy.output.text import WORDS, counted, listed, plain
from mtasts_deploy.output.tidings import HEADINGS, Tidings, tidings
from mtasts_deploy.plan.file import digest
from mtasts_deploy.plan.model import Action, DomainPlan, Plan, Verdict, Wait
from mtasts_deploy.plan.wording import moment

LIMIT: Final = 65_000
"""GitHub takes comments of 65,536 characters."""
_SHARE: Final = 40_000
"""Up to here the lines of domains may fill it: findings and details need some, too."""
_FINDINGS: Final = 50_000
"""Up to here findings may fill it."""
_SIGNS: Final = {Action.ADD: "+", Action.CHANGE: "!", Action.REMOVE: "-", Action.KEEP: " "}
"""The signs in column 0 that a `diff` block colours."""


class Markdown(Pipeline):
    """Comments. `name` tells the comments of several declarations in one repository apart."""

    form = "markdown"

    def __init__(self, write: Callable[[str], None], *, places: Mapping[str, Span], root: Path, name: str) -> None:
        super().__init__(write, places=places, root=root)
        self._name = name

    def plan(self, plan: Plan) -> None:
        """What the plan means, and what it changes."""
        page = self._page("plan", f"MTA-STS plan{str(plan.summary()).removeprefix('Plan')}")
        if plan.partial:
            page.add("**PARTIAL**: only some of the declared domains were looked at.")
        if plan.heading:
            page.add(_prose(plan.heading))
        page.add_lines(plan)
        page.add_unexplained(plan)
        page.add_findings(self._in_order(plan.findings()))
        page.add_details(
            "What changes, line by line", [one for one in plan.domains if one.verdict is not Verdict.UNCHANGED or one.findings]
        )
        if plan.acting:
            page.add(f"Digest of the steps: `{digest(plan)}`")
        self._write(page.text)

    def ran(self, report: RunReport) -> None:
        """How the domains ended, and what is left to do."""
        result = report.result
        page = self._page(report.what.lower(), f"MTA-STS {closing_line(report)}")
        for outcome in ENDINGS:
            names = [domain.display for domain, end in result.outcomes.items() if end is outcome]
            if names and outcome is not Outcome.UNCHANGED:
                page.add(f"- {outcome.value}: {_prose(listed(sorted(names), 50))}")
        left = "\n".join(_prose(line.strip()) for line in afterwards(report) if line).strip()
        if left:
            page.add(left)
        page.add_findings(self._in_order([*report.plan.findings(), *report.findings]))
        page.add_details("What was changed, line by line", [plan for plan in report.plan.acting if plan.domain in result.begun])
        self._write(page.text)

    def found(self, closing: str, findings: Sequence[Diagnostic]) -> None:
        """A list."""
        page = self._page("findings", f"MTA-STS: {closing}")
        page.add_findings(findings)
        self._write(page.text)

    def _page(self, what: str, title: str) -> Page:
        name = self._relative(self._name).replace("--", "- -").replace(">", "")
        page = Page()
        page.add(f"<!-- mtasts-deploy: {what} of {name} -->\n### {_prose(title)}")
        return page


class Page:
    """Text that does not outgrow `LIMIT`."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, block: str) -> None:
        """A paragraph, a list item, a heading."""
        glue = "" if not self.text else "\n" if block.startswith("- ") and self._last.startswith("- ") else "\n\n"
        self.text = self.text.rstrip("\n") + glue + block + "\n"

    @property
    def _last(self) -> str:
        return self.text.rstrip("\n").rpartition("\n")[2]

    def add_lines(self, plan: Plan) -> None:
        """One line a domain, in words: those first of which mail may be refused."""
        told: dict[Tidings, list[tuple[DomainPlan, str]]] = {kind: [] for kind in Tidings}
        for domain in plan.domains:
            kind, text = tidings(domain)
            told[kind].append((domain, text))
        unchanged = len(told.pop(Tidings.NOTHING))
        for kind, domains in told.items():
            if domains:
                self.add(f"**{HEADINGS[kind]}** ({counted(len(domains), 'domain')})")
                self._fill([f"- **{_prose(domain.domain.display)}**: {_prose(text)}" for domain, text in domains], _SHARE, HEADINGS[kind])
        if unchanged:
            self.add(f"{counted(unchanged, 'domain')} unchanged.")

    def add_unexplained(self, plan: Plan) -> None:
        """What would happen without the change of this pull request, too."""
        items = [
            f"- **{_prose(one.domain.display)}**: {', '.join(f'{line.action.value} {_prose(line.what)}' for line in one.unexplained)}"
            for one in plan.domains
            if one.acts and one.unexplained
        ]
        if items:
            self.add("**Not by this change**: the world has drifted, or what was declared before was never applied. An apply mends it.")
            self._fill(items, _FINDINGS, "Not by this change")

    def add_findings(self, findings: Sequence[Diagnostic]) -> None:
        """What is wrong, or worth knowing, with what to do."""
        self._fill([_finding(finding) for finding in findings], _FINDINGS, "findings")

    def add_details(self, title: str, domains: Sequence[DomainPlan]) -> None:
        """Domains line by line, folded."""
        blocks = ["\n".join(_difference(domain)) for domain in domains]
        if not blocks:
            return
        longest = max((len(run) for block in blocks for run in re.findall("`+", block)), default=0)
        fence = "`" * max(3, longest + 1)
        head = f"\n<details><summary>{title}</summary>\n\n{fence}diff\n"
        room = LIMIT - 500 - len(self.text) - len(head)
        shown: list[str] = []
        for block in blocks:
            room -= len(block) + 2
            if room < 0:
                break
            shown.append(block)
        rest = len(blocks) - len(shown)
        note = f"\n{counted(rest, 'domain')} more: too many for one comment. `deploy show` shows the saved plan whole.\n" if rest else ""
        self.text += head + "\n\n".join(shown) + f"\n{fence}\n{note}</details>\n"

    def _fill(self, items: Sequence[str], share: int, what: str) -> None:
        """List items while there is room; then how many there are no more room for. Linear: a plan may have many thousands."""
        room = share - len(self.text)
        shown = []
        for item in items:
            room -= len(item) + 1
            if room < 0:
                break
            shown.append(item)
        if shown:
            self.add("\n".join(shown))
        if rest := len(items) - len(shown):
            self.add(f"- … and {rest} more under “{what}”: too many for one comment.")


def _difference(plan: DomainPlan) -> Iterator[str]:
    """A domain for a `diff` block: `+`, `!`, `-` in column 0; what does not happen has none."""
    yield f"  {plain(plan.domain.display)}" + (f"  ({plain(plan.where)})" if plan.where else "")
    done = plan.verdict is not Verdict.BLOCKED
    for line in plan.lines:
        if done or line.action is not Action.KEEP:
            sign = _SIGNS[line.action] if done else " "
            yield f"{sign} {'' if done else 'not done: '}{line.what:<12} {plain(line.text)}".rstrip()
    for finding in plan.findings:
        yield f"# {WORDS[finding.severity]} {finding.code}: {plain(finding.message)}"
    if not done:
        return
    for step in plan.steps:
        if isinstance(step, Wait):
            yield f"# waits for {step.what}{'' if step.until is None else f' until {moment(step.until)}'}: {plain(step.text)}"
    yield from (f"# not by this change: {line.action.value} {line.what} {plain(line.text)}".rstrip() for line in plan.unexplained)
    yield from (f"# {plain(note)}" for note in plan.notes)


def _finding(finding: Diagnostic) -> str:
    where = "" if finding.where is None else f"{finding.where}: "
    about = f"{finding.domain}: " if finding.domain and finding.domain not in finding.message else ""
    hint = f"\n  {_prose(finding.hint)}" if finding.hint else ""
    return f"- {WORDS[finding.severity]} **{finding.code}** {_prose(where + about + finding.message)}{hint}"


_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "#": "&#35;"} | {char: f"\\{char}" for char in "\\*_[]|~"})


def _prose(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, nobody is mentioned; `code` stays code."""
    pieces = plain(text).split("`")
    if len(pieces) % 2 == 0:
        return plain(text).translate(_SPECIAL).replace("`", "\\`")
    return "`".join(piece if index % 2 else piece.translate(_SPECIAL) for index, piece in enumerate(pieces))
