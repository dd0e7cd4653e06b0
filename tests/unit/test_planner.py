"""What a plan says and asks for (DESIGN sections 6 and 8), on a world in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.facts import NameFacts, ZoneName
from mtasts_deploy.plan.model import Action, Barrier, DomainPlan, PutPolicy, PutRecords, RemoveRecords, Verdict, Wait
from mtasts_deploy.rfc.policy import policy_id
from tests.deployments import EXAMPLE, Sandbox, zone

FOREIGN = b"version: STSv1\nmode: enforce\nmx: mx1.example.com\nmx: mx2.example.com\nmax_age: 604800\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def codes(plan: DomainPlan, severity: Severity = Severity.ERROR) -> list[str]:
    return [finding.code for finding in plan.findings if finding.severity is severity]


def kinds(plan: DomainPlan) -> list[type]:
    return [type(step) for step in plan.steps]


def test_a_first_publication_puts_proves_and_then_pushes(sandbox: Sandbox):
    plan = sandbox.one()
    assert plan.verdict is Verdict.CHANGED
    assert kinds(plan) == [PutPolicy, Barrier, PutRecords]
    assert [(line.action, line.what) for line in plan.lines] == [(Action.ADD, "policy"), (Action.ADD, "_mta-sts")]
    put = plan.step(PutPolicy)
    assert put is not None
    assert put.body == b"version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmx: mx2.example.com\r\nmax_age: 604800\r\n"


def test_plan_after_apply_is_empty_and_changes_nothing(sandbox: Sandbox):
    assert sandbox.apply().exit_code == 0
    state = dict(sandbox.state.objects)
    plan = sandbox.plan()
    assert str(plan.summary()) == "Plan: 0 to add, 0 to change, 0 to remove. 0 wait, 0 blocked."
    assert sandbox.state.objects == state
    ledger = {key: value for key, value in state.items() if key.startswith("ledger/")}
    assert sandbox.apply().exit_code == 0
    assert {key: value for key, value in sandbox.state.objects.items() if key.startswith("ledger/")} == ledger


def test_enforce_is_published_as_testing_until_the_mx_set_was_watched_for_one_ttl(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: enforce, tlsrpt: 'mailto:a@example.org'}\n")
    sandbox.apply()
    assert "mode: testing" in sandbox.served()
    sandbox.clock.pass_(minutes=59)
    plan = sandbox.one()
    assert plan.verdict is Verdict.WAITING
    assert [step.code for step in plan.steps if isinstance(step, Wait)] == ["MTS411"]
    sandbox.clock.pass_(minutes=1)
    assert sandbox.one().verdict is Verdict.CHANGED
    sandbox.apply()
    assert "mode: enforce" in sandbox.served()
    assert sandbox.one().verdict is Verdict.UNCHANGED


def test_the_watch_can_be_lifted(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: enforce}\n")
    assert sandbox.apply("MTS411=example.com").exit_code == 0
    assert "mode: enforce" in sandbox.served()


def test_an_adopted_enforce_policy_stays_enforce_and_gets_our_form_and_id(sandbox: Sandbox):
    sandbox.host.files[EXAMPLE] = FOREIGN
    sandbox.target.set_txt("_mta-sts.example.com", "v=STSv1; id=20250101T000000Z")
    sandbox.declare("domains:\n  example.com: {mode: enforce}\n")
    plan = sandbox.one()
    assert plan.lines[0].text == "same policy, our form"
    sandbox.apply()
    assert "mode: enforce" in sandbox.served()
    assert sandbox.live_id() == str(policy_id(sandbox.host.files[EXAMPLE]))


def test_a_first_enforce_policy_above_a_week_is_stopped_and_can_be_lifted(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: enforce, max_age: 26w}\n")
    assert codes(sandbox.one(), Severity.WARN) == ["MTS405"]
    sandbox.apply()
    sandbox.clock.pass_(hours=2)
    assert codes(sandbox.one()) == ["MTS405"]
    assert sandbox.apply().exit_code == 3
    assert "mode: testing" in sandbox.served()
    assert sandbox.apply("MTS405=example.com").exit_code == 0
    assert "max_age: 15724800" in sandbox.served()


def test_an_uncovered_mx_host_stops_enforce_and_warns_in_testing(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: testing, mx: [mx1.example.com]}\n")
    assert codes(sandbox.one(), Severity.WARN) == ["MTS401"]
    assert sandbox.apply().exit_code == 0
    sandbox.clock.pass_(hours=2)
    sandbox.declare("domains:\n  example.com: {mode: enforce, mx: [mx1.example.com]}\n")
    plan = sandbox.one()
    assert codes(plan) == ["MTS401"]
    assert "mx2.example.com" in plan.findings[0].message


def test_a_repair_is_never_stopped_by_mx(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: enforce}\n")
    sandbox.apply("MTS411=example.com")
    sandbox.target.set_mx("example.com", "mx1.example.com", "mx2.example.com", "mx9.example.com")
    sandbox.declare("domains:\n  example.com: {mode: testing, mx: [mx1.example.com, mx2.example.com]}\n")
    assert codes(sandbox.one()) == []
    assert sandbox.one().repair
    assert sandbox.apply().exit_code == 0
    assert "mode: testing" in sandbox.served()


def test_a_pattern_leaves_one_mx_ttl_after_its_host_was_first_missed(sandbox: Sandbox):
    sandbox.apply()
    sandbox.target.set_mx("example.com", "mx1.example.com")
    plan = sandbox.one()
    assert plan.verdict is Verdict.WAITING
    sandbox.apply()
    sandbox.clock.pass_(minutes=59)
    assert sandbox.one().verdict is Verdict.WAITING
    sandbox.clock.pass_(minutes=1)
    assert sandbox.one().lines[0].text == "mx - mx2.example.com"
    sandbox.apply()
    assert "mx2" not in sandbox.served()


def test_a_pattern_whose_host_is_still_an_mx_is_kept_against_the_declaration(sandbox: Sandbox):
    sandbox.apply()
    sandbox.declare("domains:\n  example.com: {mx: [mx1.example.com]}\n")
    plan = sandbox.one()
    assert plan.verdict is Verdict.UNCHANGED
    assert codes(plan, Severity.WARN) == ["MTS416"]


def test_widening_is_not_held_up_by_a_narrowing(sandbox: Sandbox):
    sandbox.apply()
    sandbox.target.set_mx("example.com", "mx1.example.com", "mx3.example.com")
    sandbox.apply()
    assert "mx2.example.com" in sandbox.served()
    assert "mx3.example.com" in sandbox.served()


def test_a_foreign_value_stays_and_two_of_ours_become_one(sandbox: Sandbox):
    sandbox.target.set_txt("_mta-sts.example.com", "google-site-verification=abc", "v=STSv1; id=1;", "v=STSv1; id=2;")
    assert "2 values → 1" in sandbox.one().lines[1].text
    assert codes(sandbox.one(), Severity.WARN) == ["MTS417"]
    sandbox.apply()
    values = sandbox.target.txt("_mta-sts.example.com")
    assert values[0] == "google-site-verification=abc"
    assert len(values) == 2


def test_a_cname_at_our_name_stops_the_domain(sandbox: Sandbox):
    sandbox.target.contents[ZoneName("example.com.")]["_mta-sts.example.com"] = NameFacts(
        others=("CNAME",), cname="_mta-sts.provider.example"
    )
    plan = sandbox.one()
    assert codes(plan) == ["MTS402"]
    assert plan.verdict is Verdict.BLOCKED
    assert sandbox.apply().exit_code == 3
    assert sandbox.host.files == {}


def test_a_delegation_above_our_name_stops_the_domain(sandbox: Sandbox):
    sandbox.target.cuts = {"_tls.example.com": "NS"}
    sandbox.declare("domains:\n  example.com: {tlsrpt: 'mailto:a@example.org'}\n")
    assert codes(sandbox.one()) == ["MTS403"]


def test_a_null_mx_stops_testing_and_enforce_but_not_none(sandbox: Sandbox):
    sandbox.target.set_mx("example.com", ".")
    assert codes(sandbox.one()) == ["MTS407"]
    sandbox.declare("domains:\n  example.com: {mode: none}\n")
    assert codes(sandbox.one()) == []


def test_mode_none_keeps_the_mx_lines_and_is_short_lived(sandbox: Sandbox):
    sandbox.apply()
    sandbox.declare("domains:\n  example.com: {mode: none, mx: [other.example]}\n")
    sandbox.apply()
    assert sandbox.served() == "version: STSv1\r\nmode: none\r\nmx: mx1.example.com\r\nmx: mx2.example.com\r\nmax_age: 86400\r\n"


def test_without_mx_records_the_domain_itself_is_named(sandbox: Sandbox):
    sandbox.target.set_mx("example.com")
    put = sandbox.one().step(PutPolicy)
    assert put is not None
    assert b"mx: example.com\r\n" in put.body


def test_tlsrpt_absent_leaves_what_is_there(sandbox: Sandbox):
    sandbox.target.set_txt("_smtp._tls.example.com", "v=TLSRPTv1; rua=mailto:others@example.net")
    sandbox.apply()
    assert sandbox.target.txt("_smtp._tls.example.com") == ("v=TLSRPTv1; rua=mailto:others@example.net",)


def test_tlsrpt_false_removes_only_what_we_published(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {tlsrpt: 'mailto:a@example.org'}\n")
    sandbox.apply()
    sandbox.declare("domains:\n  example.com: {tlsrpt: false}\n")
    assert kinds(sandbox.one()) == [RemoveRecords]
    assert sandbox.apply().exit_code == 0
    assert sandbox.target.txt("_smtp._tls.example.com") == ()
    sandbox.target.set_txt("_smtp._tls.example.com", "v=TLSRPTv1; rua=mailto:others@example.net")
    assert codes(sandbox.one()) == ["MTS408"]
    assert sandbox.apply("MTS408=example.com").exit_code == 0
    assert sandbox.target.txt("_smtp._tls.example.com") == ()


def test_tlsrpt_only_and_elsewhere_publish_no_policy(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {sts: false, tlsrpt: 'mailto:a@example.org'}\n")
    assert [line.what for line in sandbox.one().lines] == ["_smtp._tls"]
    sandbox.target.set_txt("_mta-sts.example.com", "v=STSv1; id=1;")
    assert codes(sandbox.one(), Severity.WARN) == ["MTS414"]
    sandbox.declare("domains:\n  example.com: {sts: elsewhere}\n")
    assert sandbox.one().verdict is Verdict.UNCHANGED


def test_a_domain_that_is_live_but_no_longer_declared_is_reported_and_stops_nobody(sandbox: Sandbox):
    sandbox.target.contents.update(zone("example.net", "mx.example.net"))
    sandbox.declare("domains:\n  example.com:\n  example.net:\n")
    sandbox.apply()
    sandbox.declare("domains:\n  example.net: {max_age: 2w}\n")
    plan = sandbox.plan()
    assert [(finding.code, finding.domain) for finding in plan.strays] == [("MTS415", "example.com")]
    assert "example.com: {mode: none}" in (plan.strays[0].hint or "")
    assert sandbox.apply().exit_code == 0
    assert "max_age: 1209600" in sandbox.served("example.net")
    assert sandbox.live_id("example.com")


def test_a_domain_in_no_zone_is_stopped(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.org:\n")
    assert codes(sandbox.one()) == ["MTS404"]


def test_a_lost_ledger_gives_an_id_with_the_minutes_and_says_so(sandbox: Sandbox):
    sandbox.apply()
    old = sandbox.live_id()
    sandbox.state.objects.clear()
    plan = sandbox.one()
    assert codes(plan, Severity.WARN) == ["MTS418"]
    sandbox.apply()
    assert sandbox.live_id().startswith(f"{old}r3")
    assert sandbox.one().verdict is Verdict.UNCHANGED


def test_a_ttl_that_differs_is_changed_without_a_new_id(sandbox: Sandbox):
    sandbox.apply()
    before = sandbox.live_id()
    sandbox.declare("domains:\n  example.com: {ttl: 600}\n")
    plan = sandbox.one()
    assert [(line.action, line.text) for line in plan.lines] == [(Action.KEEP, ""), (Action.CHANGE, "ttl 1h → 10m")]
    sandbox.apply()
    assert sandbox.live_id() == before
    assert sandbox.one().verdict is Verdict.UNCHANGED


def test_a_host_that_is_no_mx_yet_is_shown_with_both_dates(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: enforce}\n")
    sandbox.apply("MTS411=example.com")
    sandbox.clock.pass_(days=1)
    sandbox.declare("domains:\n  example.com: {mode: enforce, mx: [zone, mx3.example.com]}\n")
    notes = [note for note in sandbox.one().notes if note.startswith("mx3")]
    assert len(notes) == 1
    assert "2026-01-13 13:10 UTC" in notes[0]


def test_the_repair_of_a_strangers_enforce_policy_names_a_host_that_senders_may_still_know(sandbox: Sandbox):
    """Found by the adversary: mx3 came and left while a guard held the policy up, and then a stranger enforced without it."""
    sandbox.apply()
    sandbox.clock.pass_(days=1)
    sandbox.declare("domains:\n  example.com: {mode: enforce, max_age: 4w}\n")
    sandbox.target.set_mx("example.com", "mx1.example.com", "mx2.example.com", "mx3.example.com")
    assert sandbox.apply().exit_code == 3
    sandbox.target.set_mx("example.com", "mx1.example.com", "mx2.example.com")
    sandbox.host.files[EXAMPLE] = FOREIGN.replace(b"mx: mx2.example.com\n", b"")
    plan = sandbox.one()
    assert [step.what for step in plan.steps if isinstance(step, Wait)] == ["mx"]
    sandbox.apply()
    assert "mode: enforce" in sandbox.served()
    assert "mx: mx3.example.com" in sandbox.served()
    sandbox.clock.pass_(days=2)
    sandbox.apply()
    assert "mx3" not in sandbox.served()
