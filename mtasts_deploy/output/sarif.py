"""Findings as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from mtasts_deploy import __version__
from mtasts_deploy.catalogue import CATALOGUE
from mtasts_deploy.diagnostics import Diagnostic, Severity, Span
from mtasts_deploy.output.pipeline import Pipeline

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARN: "warning", Severity.NOTE: "note"}
Json = Mapping[str, object]


class Sarif(Pipeline):
    """One SARIF log with one run. `declaration` is where a finding is put that has no place of its own: code scanning wants one."""

    form = "sarif"

    def __init__(self, write: Callable[[str], None], *, places: Mapping[str, Span], root: Path, declaration: str) -> None:
        super().__init__(write, places=places, root=root)
        self._declaration = declaration

    def found(self, closing: str, findings: Sequence[Diagnostic]) -> None:
        """The rules that were broken, and where."""
        del closing
        codes = sorted({finding.code for finding in findings})
        run = {
            "tool": {"driver": {"name": "mtasts-deploy", "version": __version__, "rules": [_rule(code) for code in codes]}},
            "columnKind": "unicodeCodePoints",
            "results": [self._result(finding, codes.index(finding.code)) for finding in findings],
        }
        self._write(json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n")

    def _result(self, finding: Diagnostic, rule: int) -> Json:
        known = "\x1f".join([finding.code, finding.domain or "", finding.message])
        named = f"{finding.domain}: " if finding.domain and finding.domain not in finding.message else ""
        return {
            "ruleId": finding.code,
            "ruleIndex": rule,
            "level": _LEVELS[finding.severity],
            "message": {"text": f"{named}{finding.message}" + (f". {finding.hint}" if finding.hint else "")},
            "locations": [self._location(finding)],
            "partialFingerprints": {"finding/v1": hashlib.sha256(known.encode()).hexdigest()},
        }

    def _location(self, finding: Diagnostic) -> Json:
        where = finding.where or Span(path=self._relative(self._declaration), line=1, column=1)
        inside = not where.path.startswith(("/", "../"))
        artifact = {"uri": quote(where.path), "uriBaseId": "%SRCROOT%"} if inside else {"uri": Path(where.path).absolute().as_uri()}
        return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": where.line, "startColumn": where.column}}}


def _rule(code: str) -> Json:
    page = CATALOGUE[code]
    rule = {
        "id": code,
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.why},
        "help": {"text": f"{page.why}\n\n{page.fix}", "markdown": f"{page.why}\n\n**Fix.** {page.fix}"},
    }
    section = re.match(r"RFC (\d+)(?: §([\dA-Z.]*\d))?", page.ref or "")
    if section is None:
        return rule
    anchor = f"#section-{section[2]}" if section[2] else ""
    return {**rule, "helpUri": f"https://www.rfc-editor.org/rfc/rfc{section[1]}{anchor}"}
