"""What was seen as metrics for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/): of `verify` and `drift`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.output.pipeline import Pipeline
from mtasts_deploy.verify.drift import DomainDrift, DriftReport
from mtasts_deploy.verify.model import Delivery, DomainReport, Report

FIRST: Final = "# HELP mtasts_"
"""How each of these files begins."""
_DAY: Final = 86400
_HELP: Final = {
    "mtasts_looked_timestamp_seconds": "When the domains were looked at, in Unix time.",
    "mtasts_drift": "1 if the world is not as declared, or has changed since the last apply.",
    "mtasts_verdict": "What a sender that honours MTA-STS would do: 1 for the verdict that holds.",
    "mtasts_mode": "Mode of the policy: 1 for the one that is served or declared.",
    "mtasts_id_match": "1 if the id in the record names the served policy.",
    "mtasts_policy_age_days": "Days since the served policy was first public.",
    "mtasts_policy_host_certificate_days": "Days until the certificate of the policy host ends.",
    "mtasts_mx_certificate_days": "Days until the certificate of an MX host ends.",
}


Sample = tuple[str, Mapping[str, str], str]


class Prometheus(Pipeline):
    """Writes metrics of `verify` and `drift`; other results have no such form."""

    form = "prometheus"

    def verified(self, report: Report) -> None:
        """What senders see."""
        self._write(metrics(report))

    def drifted(self, report: DriftReport) -> None:
        """What senders see, and whether it is as declared."""
        self._write(metrics(report))

    def failed(self, findings: Sequence[Diagnostic], exit_code: int) -> None:
        """Nothing: no sample is how metrics say that there is none."""
        del findings, exit_code

    def found(self, closing: str, findings: Sequence[Diagnostic]) -> None:
        """Raises `UsageError` (MTS915)."""
        del closing, findings
        raise self._no_form("this command")


def metrics(report: DriftReport | Report) -> str:
    """The whole file. What could not be looked at has no sample."""
    samples: dict[str, list[str]] = {name: [] for name in _HELP}
    samples["mtasts_looked_timestamp_seconds"].append(f"mtasts_looked_timestamp_seconds {int(report.at.timestamp())}")
    for one in report.domains:
        for name, labels, value in _compared(one) if isinstance(one, DomainDrift) else _seen(one):
            samples[name].append(f"{name}{{{_labels({'domain': str(one.domain), **labels})}}} {value}")
    return "".join(
        f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n" + "".join(f"{line}\n" for line in lines) for name, lines in samples.items()
    )


def _compared(one: DomainDrift) -> Iterator[Sample]:
    """With what only declaration and ledger know."""
    if not one.unknown:
        yield "mtasts_drift", {}, str(int(one.drifted))
    if one.declared_mode is not None:
        yield "mtasts_mode", {"of": "declared", "mode": one.declared_mode.value}, "1"
    if one.since is not None:
        yield "mtasts_policy_age_days", {}, _days(one.report.sight.at, one.since)
    yield from _seen(one.report)


def _seen(report: DomainReport) -> Iterator[Sample]:
    at = report.sight.at
    for delivery in Delivery:
        yield "mtasts_verdict", {"verdict": delivery.value}, str(int(report.delivery is delivery))
    if report.policy is not None:
        yield "mtasts_mode", {"of": "served", "mode": report.policy.mode.value}, "1"
    if report.id_matches is not None:
        yield "mtasts_id_match", {}, str(int(report.id_matches))
    if report.policy_host_ends is not None:
        yield "mtasts_policy_host_certificate_days", {}, _days(report.policy_host_ends, at)
    for host in report.sight.hosts:
        ends = min((probe.not_after for probe in host.probes if probe.not_after is not None), default=None)
        if ends is not None:
            yield "mtasts_mx_certificate_days", {"mx": host.host}, _days(ends, at)


def _days(later: datetime, earlier: datetime) -> str:
    return f"{(later - earlier).total_seconds() / _DAY:.2f}"


def _labels(labels: Mapping[str, str]) -> str:
    """Escaped as the format wants it: names of MX hosts are what others have put into DNS."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
