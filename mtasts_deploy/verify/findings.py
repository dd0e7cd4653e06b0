"""What senders call a finding in their TLS reports (RFC 8460 §4.3)."""

from __future__ import annotations

from mtasts_deploy.catalogue import CATALOGUE
from mtasts_deploy.diagnostics import Diagnostic, Severity


def reported(finding: Diagnostic) -> str:
    """The result type; empty where senders would not report it. Whatever makes a policy unreadable is `sts-policy-invalid`."""
    if finding.code.startswith("MTS2"):
        return "sts-policy-invalid" if finding.severity is Severity.ERROR else ""
    entry = CATALOGUE.get(finding.code)
    return "" if entry is None else entry.reported
