"""The two reports that GitLab shows in a merge request: counts of a plan (`artifacts:reports:terraform`), and findings
(`artifacts:reports:codequality`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.output.interface import RunReport
from mtasts_deploy.output.pipeline import Pipeline
from mtasts_deploy.plan.model import Plan

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARN: "minor", Severity.NOTE: "info"}
NOWHERE = "mta-sts.yaml"
"""GitLab wants a file for each finding."""


class CodeQuality(Pipeline):
    """Findings as a list of Code Climate issues."""

    form = "gitlab-codequality"

    def found(self, closing: str, findings: Sequence[Diagnostic]) -> None:
        """One issue a finding."""
        del closing
        seen: Counter[str] = Counter()
        issues = []
        for finding in findings:
            known = "\x1f".join([finding.code, finding.domain or "", finding.message])
            seen[known] += 1
            where = finding.where
            issues.append(
                {
                    "description": f"{finding.code}: {finding.message}",
                    "check_name": finding.code,
                    # The place is no part of it: a finding that moves down a line is the same finding.
                    "fingerprint": hashlib.sha256(f"{known}\x1f{seen[known]}".encode()).hexdigest(),
                    "severity": _SEVERITIES[finding.severity],
                    "location": {"path": NOWHERE if where is None else where.path, "lines": {"begin": 1 if where is None else where.line}},
                }
            )
        self._write(json.dumps(issues, indent=1, ensure_ascii=False) + "\n")


class GitLab(CodeQuality):
    """Plans and runs as counts, all else as code quality. A plan that could not be made leaves no counts: GitLab shows a failure."""

    form = "gitlab"

    def plan(self, plan: Plan) -> None:
        """The counts of a plan."""
        summary = plan.summary()
        self._write(json.dumps({"create": summary.add, "update": summary.change, "delete": summary.remove}) + "\n")

    def ran(self, report: RunReport) -> None:
        """The counts of the plan that was carried out."""
        self.plan(report.plan)

    def failed(self, findings: Sequence[Diagnostic], exit_code: int) -> None:
        """Nothing: `Messages` tells people."""
