"""Results as JSON: one document a command, each with `format_version`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.output.interface import Check, Checked, Past, RunReport
from mtasts_deploy.output.text import in_order
from mtasts_deploy.plan.file import finding_json, to_json
from mtasts_deploy.plan.horizon import horizon, read_policy
from mtasts_deploy.plan.model import Plan

if TYPE_CHECKING:
    from mtasts_deploy.catalogue.entry import Entry as Page
    from mtasts_deploy.output.standing import Standing
    from mtasts_deploy.permissions import Permissions
    from mtasts_deploy.verify.drift import DomainDrift, DriftReport
    from mtasts_deploy.verify.memory import LastLook
    from mtasts_deploy.verify.model import Report

FORMAT_VERSION: Final = 1


class Machine:
    """Documents for programs; `write` takes the text of each."""

    def __init__(self, write: Callable[[str], None], tool: str) -> None:
        self._write = write
        self._tool = tool

    def plan(self, plan: Plan) -> None:
        """The plan, in the format of a plan file."""
        self._document(to_json(plan, self._tool))

    def proposed(self, plan: Plan) -> None:
        """Nothing: it comes with the result."""

    def ran(self, report: RunReport) -> None:
        """Outcomes, findings, and the plan that was carried out."""
        result = report.result
        self._document(
            {
                "run": result.run,
                "what": report.what.lower(),
                "exit_code": result.exit_code,
                "taken_back": result.taken_back,
                "outcomes": {str(domain): outcome.value for domain, outcome in sorted(result.outcomes.items())},
                "findings": _findings(report.findings),
                "plan": to_json(report.plan, self._tool),
            }
        )

    def checked(self, report: Checked) -> None:
        """The findings."""
        severities = [finding.severity for finding in report.findings]
        self._document(
            {
                "declaration": report.name,
                "domains": report.domains,
                "errors": severities.count(Severity.ERROR),
                "warnings": severities.count(Severity.WARN),
                "findings": _findings(report.findings),
            }
        )

    def status(self, standings: Sequence[Standing], strays: Sequence[Diagnostic]) -> None:
        """One object a domain."""
        self._document({"domains": [_standing(one) for one in standings], "findings": _findings(strays)})

    def verified(self, report: Report) -> None:
        """All that was seen, as in the file of `verify --out`."""
        from mtasts_deploy.verify.file import to_json as verification

        self._document(verification(report, self._tool))

    def drifted(self, report: DriftReport) -> None:
        """One object a domain."""
        self._document({"at": _time(report.at), "exit_code": report.exit_code, "domains": [_drift(one) for one in report.domains]})

    def examined(self, checks: Sequence[Check]) -> None:
        """One object a check."""
        self._document({"checks": [{"what": one.what, "text": one.text, "findings": _findings(one.findings)} for one in checks]})

    def history(self, past: Past) -> None:
        """The ledger's entry."""
        entry = None if past.entry is None else _entry(past.entry, past.now)
        self._document({"domain": str(past.domain), "known": past.entry is not None, "history": entry})

    def permissions(self, permissions: Permissions) -> None:
        """Two IAM policies, and the scopes of what has none."""
        scopes = [{"of": one.of, "read": one.read, "write": one.write} for one in permissions.scopes]
        from mtasts_deploy.permissions import policy

        policies = {"read": policy(permissions.read), "write": policy(permissions.write)}
        self._document({"iam": policies, "scopes": scopes, "notes": list(permissions.notes)})

    def pages(self, pages: Sequence[Page]) -> None:
        """The pages of the catalogue."""
        names = ("code", "title", "why", "fix", "bad", "good", "ref")
        self._document({"codes": [{name: getattr(page, name) for name in names if getattr(page, name)} for page in pages]})

    def failed(self, findings: Sequence[Diagnostic], exit_code: int) -> None:
        """Why there is no result."""
        self._document({"exit_code": exit_code, "findings": _findings(findings)})

    def _document(self, data: Mapping[str, object]) -> None:
        self._write(json.dumps({"format_version": FORMAT_VERSION, **data}, indent=1, ensure_ascii=False) + "\n")


def _findings(findings: Sequence[Diagnostic]) -> list[dict[str, object]]:
    return [finding_json(finding) for finding in in_order(findings)]


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).isoformat()


def _drift(one: DomainDrift) -> dict[str, object]:
    report = one.report
    return {
        "domain": str(one.domain),
        "drift": one.drifted,
        "unknown": one.unknown,
        "pending": [{"action": line.action.value, "what": line.what, "text": line.text} for line in one.pending],
        "declared_mode": None if one.declared_mode is None else one.declared_mode.value,
        "served_mode": None if report.policy is None else report.policy.mode.value,
        "id_matches": report.id_matches,
        "policy_since": _time(one.since),
        "verdict": report.delivery.value,
        "why": report.why,
        "policy_host_certificate_ends": _time(report.policy_host_ends),
        "mx_certificate_ends": _time(report.mx_ends),
        "findings": _findings(one.findings),
    }


def _standing(one: Standing) -> dict[str, object]:
    return {
        "domain": str(one.plan.domain),
        "sts": one.sts.value,
        "verdict": one.plan.verdict.value,
        "declared_mode": None if one.declared is None else one.declared.value,
        "live_mode": None if one.live is None else one.live.value,
        "ids": list(one.ids),
        "id_state": one.id_state.value,
        "mx": list(one.mx),
        "mx_not_covered": list(one.uncovered),
        "old_policy_held_until": _time(one.held_until),
        "tlsrpt": one.tlsrpt,
        "last_look": None if one.look is None else _look(one.look),
        "next": [{"text": coming.text, "not_before": _time(coming.when)} for coming in one.next],
        "findings": _findings(one.unknown or one.plan.findings),
    }


def _look(look: LastLook) -> dict[str, object]:
    return {
        "at": _time(look.at),
        "verdict": look.delivery.value,
        "why": look.why,
        "smtp": look.smtp,
        "policy_host_certificate_ends": _time(look.policy_host_ends),
        "mx_certificate_ends": _time(look.mx_ends),
    }


def _entry(entry: Entry, now: datetime) -> dict[str, object]:
    return {
        "policies": [_policy(entry, digits, now) for digits in sorted(entry.policies, key=lambda name: entry.policies[name].since)],
        "ids": [
            {
                "id": known.id,
                "since": _time(known.since),
                "until": _time(known.until),
                "ttl": known.ttl,
                "exposed": sorted(known.bytes),
                "spent": known.spent,
                "written_by_us": known.ours,
            }
            for known in sorted(entry.ids.values(), key=lambda one: one.since)
        ],
        "mx": [{"host": host, "since": _time(seen.since), "missed_since": _time(seen.missed)} for host, seen in sorted(entry.mx.items())],
        "mx_ttl": entry.mx_ttl,
        "incomplete_before": _time(entry.incomplete),
        "state_lost_at": _time(entry.lost),
        "last_run": None
        if entry.before is None
        else {"run": entry.before.run, "at": _time(entry.before.at), "finished": entry.before.done},
        "taken_back": sorted(entry.taken_back),
        "left_to_octodns_sync": None if entry.to_publish is None else {"id": entry.to_publish.id, "ttl": entry.to_publish.ttl},
    }


def _policy(entry: Entry, digits: str, now: datetime) -> dict[str, object]:
    public = entry.policies[digits]
    policy = read_policy(public.body)
    return {
        "digits": digits,
        "mode": None if policy is None else policy.mode.value,
        "max_age": None if policy is None else policy.max_age,
        "mx": [] if policy is None else [str(pattern) for pattern in policy.mx],
        "since": _time(public.since),
        "until": _time(public.until),
        "may_be_held_until": _time(horizon(entry, digits, now)),
    }
