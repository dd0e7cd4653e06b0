"""A verification as JSON: the result of `verify --format json`, and the evidence that `verify --out` keeps. Times are UTC, in ISO 8601."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Fetched, Probed
from mtasts_deploy.plan.file import finding_json
from mtasts_deploy.verify.findings import reported
from mtasts_deploy.verify.model import DomainReport, HostSight, RecordSight, Report

FORMAT_VERSION: Final = 1


def render(report: Report, tool: str) -> bytes:
    """The file that `verify --out` writes."""
    return (json.dumps({"format_version": FORMAT_VERSION, **to_json(report, tool)}, indent=1, ensure_ascii=False) + "\n").encode()


def to_json(report: Report, tool: str) -> dict[str, object]:
    """The verification as data, without `format_version`."""
    return {
        "kind": "verification",
        "tool": tool,
        "at": _time(report.at),
        "exit_code": report.exit_code,
        "domains": [_domain(one) for one in report.domains],
        "findings": _findings(report.findings),
    }


def _domain(one: DomainReport) -> dict[str, object]:
    sight = one.sight
    return {
        "domain": str(one.domain),
        "at": _time(sight.at),
        "verdict": one.delivery.value,
        "why": one.why,
        "id": None if one.record is None else str(one.record.id),
        "sts_record": _record(sight.sts),
        "tlsrpt_record": _record(sight.tlsrpt),
        "policy": None
        if one.policy is None
        else {"mode": one.policy.mode.value, "max_age": one.policy.max_age, "mx": [str(pattern) for pattern in one.policy.mx]},
        "policy_host": [_fetched(answer) for answer in sight.fetched],
        "smtp": sight.smtp,
        "mx": [_host(host) for host in sight.hosts],
        "mx_not_covered": list(one.uncovered),
        "policy_host_certificate_ends": _time(one.policy_host_ends),
        "mx_certificate_ends": _time(one.mx_ends),
        "findings": _findings(one.findings),
    }


def _record(record: RecordSight) -> dict[str, object]:
    seen = record.seen
    return {
        "name": seen.name,
        "answer": seen.outcome.value,
        "values": [text.decode("utf-8", "replace") for text in seen.texts],
        "ttl": seen.ttl,
        "canonical": seen.canonical if seen.aliased else None,
        "asked": seen.server,
        "servers": [{"server": own.server, "answer": own.outcome.value} for own in record.own],
    }


def _fetched(answer: Fetched) -> dict[str, object]:
    return {
        "address": answer.address,
        "status": answer.status,
        "content_type": answer.content_type,
        "seconds": round(answer.seconds, 3),
        "certificate_ends": _time(answer.not_after),
        "problem": None if answer.problem is None else answer.problem.code,
        "looked": not answer.unreachable,
    }


def _host(host: HostSight) -> dict[str, object]:
    return {
        "host": host.host,
        "preference": host.preference,
        "addresses": list(host.addresses),
        "probes": [_probe(probe) for probe in host.probes],
    }


def _probe(probe: Probed) -> dict[str, object]:
    return {
        "address": probe.address,
        "protocol": probe.protocol or None,
        "seconds": round(probe.seconds, 3),
        "certificate_ends": _time(probe.not_after),
        "problem": None if probe.problem is None else probe.problem.code,
        "looked": not probe.unreachable,
    }


def _findings(findings: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """Each with the result type that TLS reports have for it (RFC 8460 §4.3), where there is one."""
    return [{**finding_json(finding), **({"tls_report": name} if (name := reported(finding)) else {})} for finding in findings]


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
