"""What a stricter policy needs (DESIGN section 6, `rfc.md` STG-5): gates in the plan, on a world in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import UsageError
from mtasts_deploy.facts import Fetched
from mtasts_deploy.plan.model import DomainPlan, Plan, Verdict
from mtasts_deploy.plan.selection import Lifted
from mtasts_deploy.sender.options import Looking
from mtasts_deploy.verify.evidence import read_evidence
from mtasts_deploy.verify.file import render
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.run import verify
from tests.deployments import Sandbox
from tests.net import DOMAIN, ENFORCE, TESTING, Net

REAL = """\
providers: {local: {class: octodns_bind.Rfc2136Provider, host: 192.0.2.53}}
state: {type: directory, path: state}
domains:
  example.com: {SETTINGS, confirm: storage, allow: [{code: MTS410, until: 2027-01-31, why: a test}]}
"""
BAD = Diagnostic(code="MTS620", message="mx2.example.com at 192.0.2.2: its certificate has expired", hint="Renew it.")


class Gate:
    """A deployment whose eyes see `net`; the policy in testing is live."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.net = Net(fetched=(Fetched(address="192.0.2.80", status=200, body=TESTING),))
        self.looked = 0
        self.evidence: Path | None = None
        assert sandbox.apply().exit_code == 0
        sandbox.clock.pass_(hours=2)

    def eyes(self) -> Eyes:
        self.looked += 1
        return Eyes(lookups=self.net, fetcher=self.net, prober=self.net, looking=Looking(), clock=self.sandbox.clock)

    def plans(self, settings: str, *allow: str, saved: Plan | None = None) -> DomainPlan:
        self.sandbox.declare(REAL.replace("SETTINGS", settings))
        deployment = self.sandbox.deployment
        deployment.eyes = self.eyes
        if self.evidence is not None:
            deployment.evidence = read_evidence(self.evidence)
        return deployment.plan(lifted=Lifted.parse(allow)).domains[0]

    def verified(self) -> Path:
        """What `verify --out` keeps of this world."""
        self.evidence = self.sandbox.directory / "evidence.json"
        self.evidence.write_bytes(render(verify([DOMAIN], self.eyes()), "test"))
        return self.evidence


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(Sandbox(tmp_path))


def codes(plan: DomainPlan, severity: Severity = Severity.ERROR) -> list[str]:
    return [finding.code for finding in plan.findings if finding.severity is severity and finding.code.startswith("MTS43")]


def test_enforce_passes_where_every_host_passes(gate: Gate):
    plan = gate.plans("mode: enforce")
    assert (plan.verdict, codes(plan), gate.looked) == (Verdict.CHANGED, [], 1)


def test_enforce_is_stopped_by_one_host_of_two(gate: Gate):
    gate.net.probes = {"mx2.example.com": BAD}
    plan = gate.plans("mode: enforce")
    assert (plan.verdict, codes(plan)) == (Verdict.BLOCKED, ["MTS430"])
    (finding,) = [finding for finding in plan.findings if finding.code == "MTS430"]
    assert "goes to enforce, but senders would not deliver: mx2.example.com at 192.0.2.2: its certificate has expired" in finding.message
    lifted = gate.plans("mode: enforce", "MTS430=example.com")
    assert (lifted.verdict, codes(lifted), codes(lifted, Severity.WARN)) == (Verdict.CHANGED, [], ["MTS430"])


def test_enforce_is_stopped_by_a_policy_host_that_fails(gate: Gate):
    gate.net.fetched = (Fetched(address="192.0.2.80", problem=Diagnostic(code="MTS510", message="its certificate has expired")),)
    assert codes(gate.plans("mode: enforce")) == ["MTS430"]


def test_missing_evidence_is_not_evidence(gate: Gate):
    gate.net.probes = dict.fromkeys(["mx1.example.com", "mx2.example.com"], "silent")
    gate.net.answered = False
    plan = gate.plans("mode: enforce")
    assert (plan.verdict, codes(plan)) == (Verdict.BLOCKED, ["MTS431", "MTS431"])


def test_evidence_from_elsewhere_counts_for_a_day_and_for_the_same_addresses(gate: Gate):
    gate.verified()
    gate.net.probes = dict.fromkeys(["mx1.example.com", "mx2.example.com"], "silent")
    gate.net.answered = False
    assert codes(gate.plans("mode: enforce")) == []
    gate.net.dns["mx2.example.com", "A"] = ["192.0.2.222"]
    assert codes(gate.plans("mode: enforce")) == ["MTS431", "MTS431"]
    gate.net.dns["mx2.example.com", "A"] = ["192.0.2.2"]
    gate.sandbox.clock.pass_(hours=25)
    assert codes(gate.plans("mode: enforce")) == ["MTS431", "MTS431"]


def test_evidence_of_a_failure_counts_as_one(gate: Gate):
    gate.net.probes = {"mx2.example.com": BAD}
    gate.verified()
    gate.net.probes = dict.fromkeys(["mx1.example.com", "mx2.example.com"], "silent")
    gate.net.answered = False
    assert codes(gate.plans("mode: enforce")) == ["MTS430"]


def test_what_is_no_evidence_is_refused(gate: Gate):
    path = gate.verified()
    document = json.loads(path.read_text())
    for data in (b"", b"[]", b"{}", json.dumps({**document, "format_version": 99}).encode()):
        path.write_bytes(data)
        with pytest.raises(UsageError, match="no evidence"):
            read_evidence(path)


@pytest.mark.parametrize("settings", ["max_age: 2d", "mode: testing, mx: [zone, mx3.example.com]", "mode: none"])
def test_what_is_not_stricter_is_not_looked_at(gate: Gate, settings: str):
    gate.net.probes = {"mx2.example.com": BAD}
    plan = gate.plans(settings)
    assert (plan.verdict, codes(plan), gate.looked) == (Verdict.CHANGED, [], 0)


def enforcing(gate: Gate) -> None:
    gate.sandbox.host.files[DOMAIN] = ENFORCE
    gate.net.fetched = (Fetched(address="192.0.2.80", status=200, body=ENFORCE),)


def test_under_enforce_a_longer_max_age_is_gated_and_milder_and_wider_ones_are_not(gate: Gate):
    enforcing(gate)
    gate.net.probes = {"mx2.example.com": BAD}
    assert codes(gate.plans("mode: enforce, max_age: 2w")) == ["MTS430"]
    looked = gate.looked
    for settings in ("mode: testing", "mode: none", "mode: enforce, max_age: 1w, mx: [zone, mx3.example.com]"):
        assert codes(gate.plans(settings)) == []
    assert gate.looked == looked


def test_for_zone_files_nothing_is_opened_and_that_is_said(gate: Gate):
    gate.sandbox.declare("domains:\n  example.com: {mode: enforce}\n")
    deployment = gate.sandbox.deployment
    deployment.eyes = gate.eyes
    plan = deployment.plan().domains[0]
    assert (plan.verdict, codes(plan, Severity.WARN), gate.looked) == (Verdict.CHANGED, ["MTS432"], 0)


def test_a_saved_plan_is_stopped_by_what_has_failed_since(gate: Gate):
    gate.sandbox.declare(REAL.replace("SETTINGS", "mode: enforce"))
    deployment = replace(gate.sandbox.deployment, eyes=gate.eyes)
    saved = deployment.plan()
    assert saved.domains[0].verdict is Verdict.CHANGED
    gate.net.probes = {"mx2.example.com": BAD}
    result = deployment.apply(saved=saved)
    assert result is not None
    assert result.exit_code == 3
    assert "mode: testing" in gate.sandbox.served()
