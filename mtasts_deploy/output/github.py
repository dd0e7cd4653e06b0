"""Annotations of GitHub Actions: workflow commands on stdout, one a finding."""

from __future__ import annotations

from collections.abc import Sequence

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.output.pipeline import Pipeline
from mtasts_deploy.output.text import WORDS, counted

LIMIT = 10
"""GitHub shows no more annotations of one kind for a step."""
_LEVELS = {Severity.ERROR: "error", Severity.WARN: "warning", Severity.NOTE: "notice"}


class GitHub(Pipeline):
    """`::error file=…,line=…,col=…,title=CODE::message`, at most `LIMIT` of them; the worst first. The closing line is plain text."""

    form = "github"

    def found(self, closing: str, findings: Sequence[Diagnostic]) -> None:
        """The annotations, then the result in one line."""
        shown = findings if len(findings) <= LIMIT else findings[: LIMIT - 1]
        lines = [annotation(finding) for finding in shown]
        rest = findings[len(shown) :]
        if rest:
            level = _LEVELS[max(finding.severity for finding in rest)]
            kinds = [severity for severity in reversed(Severity) if any(one.severity is severity for one in rest)]
            counts = ", ".join(counted(sum(one.severity is kind for one in rest), WORDS[kind]) for kind in kinds)
            lines.append(f"::{level} title=mtasts-deploy::and {counts} more; the whole list is in the report")
        self._write("".join(f"{line}\n" for line in [*lines, _data(closing)]))


def annotation(finding: Diagnostic) -> str:
    """One workflow command; the properties in this order: file, line, col, title."""
    properties = [("title", finding.code)]
    where = finding.where
    if where is not None:
        properties = [("file", where.path), ("line", str(where.line)), ("col", str(where.column)), *properties]
    named = f"{finding.domain}: " if finding.domain and finding.domain not in finding.message else ""
    text = f"{named}{finding.message}" + (f"\nhint: {finding.hint}" if finding.hint else "")
    return f"::{_LEVELS[finding.severity]} {','.join(f'{name}={_property(value)}' for name, value in properties)}::{_data(text)}"


def _data(text: str) -> str:
    """Escaped as the runner unescapes it: without this, a value could begin another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
