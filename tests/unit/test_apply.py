"""What an apply does when something fails, stage by stage (DESIGN section 7), on a world in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.report import Outcome, Result
from mtasts_deploy.errors import LockHeld
from mtasts_deploy.plan.file import parse, render
from mtasts_deploy.plan.model import Plan, Verdict
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import policy_id
from tests.deployments import EXAMPLE, Sandbox, zone
from tests.worlds import broken

OTHER = Domain.parse("example.net")
BOTH = "domains:\n  example.com: {max_age: 2w}\n  example.net: {max_age: 2w}\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.target.contents.update(zone("example.net", "mx.example.net"))
    sandbox.declare("domains:\n  example.com:\n  example.net:\n")
    assert sandbox.apply().exit_code == 0
    sandbox.declare(BOTH)
    return sandbox


def served(sandbox: Sandbox) -> tuple[bool, bool]:
    """Do the two domains serve the new policy?"""
    return "1209600" in sandbox.served(), "1209600" in sandbox.served("example.net")


def test_a_put_that_is_refused_leaves_the_domain_as_it_was_and_the_others_are_done(sandbox: Sandbox):
    before = sandbox.live_id()
    with sandbox.failing(broken("put example.com")):
        result = sandbox.apply()
    assert (result.outcomes[EXAMPLE], result.outcomes[OTHER]) == (Outcome.FAILED, Outcome.DONE)
    assert result.exit_code == 1
    assert sandbox.live_id() == before
    assert sandbox.apply().exit_code == 0
    assert served(sandbox) == (True, True)


def test_a_refused_put_spends_no_id(sandbox: Sandbox):
    before = sandbox.live_id()
    with sandbox.failing(broken("put example.com")):
        sandbox.apply()
    sandbox.declare("domains:\n  example.com:\n  example.net:\n")
    assert sandbox.plan().domains[0].verdict is Verdict.UNCHANGED
    assert sandbox.live_id() == before


def test_a_put_whose_answer_is_lost_is_unfinished_and_the_next_apply_goes_on(sandbox: Sandbox):
    with sandbox.failing(broken("served example.com")):
        result = sandbox.apply()
    assert result.outcomes[EXAMPLE] is Outcome.UNFINISHED
    assert result.exit_code == 6
    assert sandbox.apply().exit_code == 0
    assert sandbox.live_id() == str(policy_id(sandbox.host.files[EXAMPLE]))


def test_other_bytes_read_back_move_no_record(sandbox: Sandbox):
    before = sandbox.live_id()

    def rival(call: str) -> None:
        if call == "served example.com":
            sandbox.host.files[EXAMPLE] = b"version: STSv1\nmode: none\nmax_age: 86400\n"

    with sandbox.failing(rival):
        result = sandbox.apply()
    assert result.outcomes[EXAMPLE] is Outcome.UNFINISHED
    assert [finding.code for finding in result.findings] == ["MTS704"]
    assert sandbox.live_id() == before
    sandbox.apply("MTS425=example.com")
    assert sandbox.live_id() == str(policy_id(sandbox.host.files[EXAMPLE]))


def test_a_rival_upload_between_barrier_and_push_leaves_the_record_unmoved(sandbox: Sandbox):
    before = sandbox.live_id()
    reads = 0

    def rival(call: str) -> None:
        nonlocal reads
        reads += call == "fetch local"
        if call == "fetch local" and reads == 4:
            sandbox.host.files[EXAMPLE] = b"version: STSv1\nmode: none\nmax_age: 86400\n"

    with sandbox.failing(rival):
        result = sandbox.apply()
    assert result.outcomes[EXAMPLE] is Outcome.UNFINISHED
    assert result.outcomes[OTHER] is Outcome.DONE
    assert sandbox.live_id() == before


def test_a_push_that_fails_is_unfinished(sandbox: Sandbox):
    before = sandbox.live_id()
    with sandbox.failing(broken("write example.com.")):
        result = sandbox.apply()
    assert result.outcomes[EXAMPLE] is Outcome.UNFINISHED
    assert sandbox.live_id() == before
    assert served(sandbox)[0]
    assert sandbox.apply().exit_code == 0
    assert sandbox.live_id() != before


def test_a_push_whose_answer_is_lost_is_confirmed_by_the_fresh_read(sandbox: Sandbox):
    with sandbox.failing(broken("wrote example.com.")):
        result = sandbox.apply()
    assert result.outcomes[EXAMPLE] is Outcome.DONE


def test_a_record_that_another_changed_meanwhile_is_stale(sandbox: Sandbox):
    def rival(call: str) -> None:
        if call == "served example.com":
            sandbox.target.set_txt("_mta-sts.example.com", "v=STSv1; id=stranger;")

    with sandbox.failing(rival):
        result = sandbox.apply()
    assert result.outcomes[EXAMPLE] is Outcome.UNFINISHED
    assert "MTS702" in [finding.code for finding in result.findings]
    assert sandbox.target.txt("_mta-sts.example.com") == ("v=STSv1; id=stranger;",)
    assert sandbox.apply().exit_code == 0


def test_stop_moves_no_record_unless_every_domain_is_prepared(sandbox: Sandbox):
    before = sandbox.live_id(), sandbox.live_id("example.net")
    with sandbox.failing(broken("put example.com")):
        result = sandbox.apply(on_error=OnError.STOP)
    assert (sandbox.live_id(), sandbox.live_id("example.net")) == before
    assert result.outcomes[OTHER] is Outcome.UNFINISHED
    assert sandbox.apply(on_error=OnError.STOP).exit_code == 0


def test_stop_changes_nothing_when_a_domain_is_blocked(sandbox: Sandbox):
    sandbox.target.set_mx("example.com", ".")
    result = sandbox.apply(on_error=OnError.STOP)
    assert result.outcomes == {EXAMPLE: Outcome.BLOCKED, OTHER: Outcome.FAILED}
    assert served(sandbox) == (False, False)


@pytest.mark.parametrize("where", ["put example.net", "write example.net."])
def test_rollback_on_error_takes_back_what_the_run_changed(sandbox: Sandbox, where: str):
    with sandbox.failing(broken(where)):
        result = sandbox.apply(on_error=OnError.ROLLBACK)
    assert result.taken_back
    assert result.exit_code == 1 if where.startswith("put") else result.exit_code in (1, 6)
    assert not served(sandbox)[0]
    assert sandbox.live_id().startswith(str(policy_id(sandbox.host.files[EXAMPLE])) + "r")


def test_what_was_taken_back_is_not_published_again_until_the_declaration_changes(sandbox: Sandbox):
    sandbox.apply()
    assert sandbox.rollback("example.com").exit_code == 0
    assert served(sandbox) == (False, True)
    plan = sandbox.plan().domains[0]
    assert [finding.code for finding in plan.findings] == ["MTS701"]
    assert sandbox.apply().exit_code == 3
    assert sandbox.apply("MTS701=example.com").exit_code == 0
    assert served(sandbox) == (True, True)


def test_a_first_publication_whose_record_was_never_pushed_is_taken_back_by_removing_the_file(tmp_path: Path):
    sandbox = Sandbox(tmp_path)
    with sandbox.failing(broken("served")):
        sandbox.apply()
    assert EXAMPLE in sandbox.host.files
    assert sandbox.rollback().exit_code == 0
    assert sandbox.host.files == {}
    assert sandbox.target.txt("_mta-sts.example.com") == ()


def test_a_first_publication_that_may_have_been_pushed_is_withdrawn_by_mode_none(tmp_path: Path):
    sandbox = Sandbox(tmp_path)
    with sandbox.failing(broken("write")):
        sandbox.apply()
    assert sandbox.rollback().exit_code == 0
    assert "mode: none" in sandbox.served()


def test_a_first_publication_that_was_pushed_is_withdrawn_by_mode_none(tmp_path: Path):
    sandbox = Sandbox(tmp_path)
    sandbox.apply()
    assert sandbox.rollback().exit_code == 0
    assert "mode: none" in sandbox.served()
    assert sandbox.live_id() == str(policy_id(sandbox.host.files[EXAMPLE]))


def test_a_stricter_old_policy_is_not_taken_back(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: enforce}\n")
    sandbox.apply("MTS411=example.com")
    sandbox.declare("domains:\n  example.com: {mode: testing}\n")
    sandbox.apply()
    result = sandbox.rollback("example.com")
    assert result.exit_code == 3
    assert "mode: testing" in sandbox.served()


def test_a_held_lock_stops_the_run_and_names_its_holder(sandbox: Sandbox):
    def second(call: str) -> None:
        if call == "served example.com":
            with pytest.raises(LockHeld) as caught:
                sandbox.deployment.apply()
            assert "deploy unlock" in (caught.value.diagnostics[0].hint or "")

    with sandbox.failing(second):
        assert sandbox.apply().exit_code == 0


def test_the_first_signal_stops_at_the_next_boundary(sandbox: Sandbox):
    deployment = sandbox.deployment

    def signal(call: str) -> None:
        deployment.stop.requested = deployment.stop.requested or call.startswith("served")

    before = sandbox.live_id()
    with sandbox.failing(signal):
        result = deployment.apply()
    assert result is not None
    assert result.exit_code == 130
    assert sandbox.live_id() == before
    assert sandbox.apply().exit_code == 0


def saved(sandbox: Sandbox, *allow: str) -> Plan:
    """A plan that went through a file."""
    return parse(render(sandbox.plan(*allow), "test"), "plan.json")


def apply_saved(sandbox: Sandbox, plan: Plan) -> Result:
    result = sandbox.deployment.apply(saved=plan)
    assert result is not None
    return result


def test_a_saved_plan_is_carried_out_once(sandbox: Sandbox):
    plan = saved(sandbox)
    assert apply_saved(sandbox, plan).exit_code == 0
    assert served(sandbox) == (True, True)
    again = apply_saved(sandbox, plan)
    assert (again.exit_code, set(again.outcomes.values()), again.begun) == (0, {Outcome.UNCHANGED}, frozenset())


def test_a_saved_plan_carries_the_guards_that_were_lifted_for_it(sandbox: Sandbox):
    sandbox.target.set_txt("_smtp._tls.example.com", "v=TLSRPTv1; rua=mailto:others@example.org")
    sandbox.declare("domains:\n  example.com: {tlsrpt: false}\n  example.net:\n")
    assert apply_saved(sandbox, saved(sandbox)).exit_code == 3
    assert apply_saved(sandbox, saved(sandbox, "MTS408=example.com")).exit_code == 0
    assert sandbox.target.txt("_smtp._tls.example.com") == ()


def test_a_wait_ends_with_saved_plans_too(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com:\n  example.net:\n")
    sandbox.target.set_mx("example.com", "mx1.example.com")
    assert apply_saved(sandbox, saved(sandbox)).outcomes[EXAMPLE] is Outcome.WAITING
    sandbox.clock.pass_(hours=1)
    assert apply_saved(sandbox, saved(sandbox)).outcomes[EXAMPLE] is Outcome.DONE
    assert "mx2" not in sandbox.served()


def test_rollback_without_domains_takes_back_the_last_run_only(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {max_age: 2w}\n  example.net:\n")
    sandbox.apply()
    sandbox.clock.pass_(minutes=1)
    sandbox.declare(BOTH)
    sandbox.apply()
    result = sandbox.rollback()
    assert set(result.outcomes) == {OTHER}
    assert served(sandbox) == (True, False)


def test_an_apply_after_a_rollback_that_was_cut_short_pays_the_owed_id_and_nothing_more(sandbox: Sandbox):
    sandbox.apply()
    with sandbox.failing(broken("write example.com.")):
        assert sandbox.rollback("example.com").exit_code == 6
    assert not served(sandbox)[0]
    assert sandbox.apply().exit_code == 0
    assert sandbox.live_id().startswith(str(policy_id(sandbox.host.files[EXAMPLE])) + "r")
    assert sandbox.apply().exit_code == 3, "the declaration still asks for what was taken back"


def test_a_lost_policy_file_is_put_again_in_enforce(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: enforce}\n")
    sandbox.apply("MTS411=example.com")
    sandbox.declare("domains:\n  example.com: {mode: enforce, max_age: 4w}\n")
    sandbox.apply()
    del sandbox.host.files[EXAMPLE]
    assert sandbox.apply().exit_code == 0
    assert "mode: enforce" in sandbox.served()


def test_a_second_rollback_goes_no_further_back_by_itself(sandbox: Sandbox):
    sandbox.apply()
    sandbox.rollback()
    before = sandbox.served()
    assert sandbox.rollback().outcomes == {EXAMPLE: Outcome.UNCHANGED, OTHER: Outcome.UNCHANGED}
    assert sandbox.served() == before
