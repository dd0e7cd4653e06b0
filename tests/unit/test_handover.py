"""`dns: plugin`: what `deploy apply` leaves to octodns-sync, and what the ledger makes of it. octodns-sync is a line of the test here."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.ledger.codec import Shard, shard_of
from mtasts_deploy.ledger.model import Entry, ToPublish
from mtasts_deploy.plan import file as plan_file
from mtasts_deploy.plan.model import Action, Barrier, HandOver, PutPolicy, Verdict, Wait
from tests.deployments import EXAMPLE, Sandbox, zone
from tests.worlds import Failure, broken

BY_HAND = 'dns: [plugin, local], confirm: storage, allow: [{code: MTS410, until: "2099-01-01", why: test}]'
A = f"domains:\n  example.com: {{{BY_HAND}}}\n"
B = f"domains:\n  example.com: {{{BY_HAND}, max_age: 2w}}\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.declare(A)
    return sandbox


def entry(sandbox: Sandbox) -> Entry:
    return Book(sandbox.state).entry(EXAMPLE)


def handed(sandbox: Sandbox) -> ToPublish:
    found = entry(sandbox).to_publish
    assert found is not None
    return found


def sync(sandbox: Sandbox, record: ToPublish | None = None) -> None:
    """What octodns-sync does, with what it has read: now, or some time ago."""
    record = record or handed(sandbox)
    sandbox.target.set_txt("_mta-sts.example.com", f"v=STSv1; id={record.id};", ttl=record.ttl)


def live(sandbox: Sandbox, text: str = A) -> str:
    """Published by octodns-sync and seen by an apply."""
    sandbox.declare(text)
    sandbox.apply()
    sync(sandbox)
    assert sandbox.apply().exit_code == 0
    return handed(sandbox).id


def test_the_record_is_stored_once_the_policy_is_proved_and_no_zone_is_written(sandbox: Sandbox):
    plan = sandbox.one()
    assert [type(step) for step in plan.steps] == [PutPolicy, Barrier, HandOver, Wait]
    assert [(line.action, line.what) for line in plan.lines] == [(Action.ADD, "policy"), (Action.ADD, "_mta-sts")]
    result = sandbox.apply()
    assert (result.outcomes[EXAMPLE], result.exit_code) == (Outcome.WAITING, 0)
    assert not [call for call in sandbox.faults.calls if call.startswith("write ")]
    known = entry(sandbox).ids[handed(sandbox).id]
    assert (known.ours, known.counted, known.until) == (True, True, None)
    assert known.bytes == {handed(sandbox).id}
    assert handed(sandbox).ttl == 3600


def test_until_octodns_sync_has_run_the_domain_waits_and_nothing_is_handed_over_again(sandbox: Sandbox):
    sandbox.apply()
    before = handed(sandbox)
    plan = sandbox.one()
    assert plan.verdict is Verdict.WAITING
    assert [(step.what, step.until) for step in plan.steps if isinstance(step, Wait)] == [("record", None)]
    assert sandbox.apply().exit_code == 0
    assert handed(sandbox) == before
    sync(sandbox)
    assert sandbox.one().verdict is Verdict.UNCHANGED


def test_nothing_is_stored_before_the_barrier_has_passed(sandbox: Sandbox):
    with sandbox.failing(broken("put")):
        assert sandbox.apply().exit_code == 1
    assert entry(sandbox).to_publish is None

    def other_bytes(call: str) -> None:
        if call.startswith("served"):
            sandbox.host.files[EXAMPLE] = b"version: STSv1\nmode: none\nmax_age: 1\n"

    with sandbox.failing(other_bytes):
        assert sandbox.apply().outcomes[EXAMPLE] is Outcome.UNFINISHED
    assert entry(sandbox).to_publish is None
    assert sandbox.apply().exit_code == 0
    assert sandbox.served() in {body.body.decode() for body in entry(sandbox).policies.values()}
    assert handed(sandbox).id in entry(sandbox).ids


def test_a_kill_between_policy_and_hand_over_is_finished_by_the_next_apply(sandbox: Sandbox):
    first = live(sandbox)
    sandbox.declare(B)

    def die(call: str) -> None:
        if call.startswith("served"):
            raise Failure(call)

    with sandbox.failing(die), pytest.raises(Failure):
        sandbox.apply()
    sandbox.state.objects.pop("lock.json", None)
    assert handed(sandbox).id == first, "octodns-sync goes on publishing the old id, whose bytes are served, or newer ones"
    assert entry(sandbox).ids[first].spent
    assert sandbox.apply().exit_code == 0
    second = handed(sandbox).id
    assert second != first
    sandbox.declare(A)
    sandbox.apply()
    assert handed(sandbox).id == f"{first}r1"


def test_the_old_id_stays_open_until_the_new_one_is_seen_live(sandbox: Sandbox):
    first = live(sandbox)
    sandbox.declare(B)
    sandbox.apply()
    sandbox.clock.pass_(days=3)
    sandbox.apply()
    assert entry(sandbox).ids[first].until is None, "octodns-sync has not published the new one"
    sync(sandbox)
    sandbox.apply()
    known = entry(sandbox).ids[first]
    assert known.until is not None
    assert (known.until - sandbox.clock()).total_seconds() == 3600
    assert entry(sandbox).ids[handed(sandbox).id].confirmed == sandbox.clock()


def test_a_slow_octodns_sync_that_publishes_an_earlier_id_is_counted(sandbox: Sandbox):
    live(sandbox)
    sandbox.declare(B)
    sandbox.apply()
    late = handed(sandbox)
    sandbox.declare(f"domains:\n  example.com: {{{BY_HAND}, max_age: 3w}}\n")
    sandbox.apply()
    sandbox.clock.pass_(days=2)
    sandbox.apply()
    sync(sandbox, late)
    assert sandbox.apply().exit_code == 0
    assert entry(sandbox).ids[late.id].counted
    assert len(entry(sandbox).ids[late.id].bytes) == 2
    assert sandbox.one().verdict is Verdict.WAITING
    assert handed(sandbox).id != late.id


def test_a_strangers_record_changes_nothing_of_what_is_handed_over(sandbox: Sandbox):
    first = live(sandbox)
    sandbox.target.set_txt("_mta-sts.example.com", "v=STSv1; id=stranger;")
    assert sandbox.apply().exit_code == 0
    assert handed(sandbox).id == first
    assert entry(sandbox).ids[first].until is None


def test_a_live_id_of_ours_is_kept_when_octodns_sync_takes_over_and_back(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com:\n")
    sandbox.apply()
    first = sandbox.live_id()
    sandbox.declare(A)
    assert [type(step) for step in sandbox.one().steps] == [Barrier, HandOver]
    assert sandbox.apply().exit_code == 0
    assert handed(sandbox).id == first
    assert sandbox.one().verdict is Verdict.UNCHANGED
    sandbox.declare("domains:\n  example.com:\n")
    assert sandbox.one().verdict is Verdict.UNCHANGED
    sandbox.apply()
    assert entry(sandbox).to_publish is None


def test_another_ttl_is_handed_over_with_the_same_id_and_what_the_provider_makes_of_it_is_no_wait(sandbox: Sandbox):
    first = live(sandbox)
    sandbox.declare(f"domains:\n  example.com: {{{BY_HAND}, ttl: 600}}\n")
    assert [type(step) for step in sandbox.one().steps] == [Barrier, HandOver]
    sandbox.apply()
    assert handed(sandbox) == ToPublish(id=first, ttl=600)
    assert sandbox.one().verdict is Verdict.UNCHANGED


def test_rollback_hands_the_old_policy_over_under_a_fresh_id(sandbox: Sandbox):
    sandbox.apply()
    first = handed(sandbox).id
    sandbox.declare(B)
    sandbox.apply()
    assert sandbox.rollback().exit_code == 0
    assert handed(sandbox).id == f"{first}r1"
    assert "max_age: 604800" in sandbox.served()


def test_a_first_publication_that_was_handed_over_is_withdrawn_by_mode_none(sandbox: Sandbox):
    sandbox.apply()
    sandbox.rollback()
    assert "mode: none" in sandbox.served()
    assert handed(sandbox).id[:24] == hashlib.sha256(sandbox.host.files[EXAMPLE]).hexdigest()[:24]


def test_the_tlsrpt_record_is_waited_for_only(sandbox: Sandbox):
    live(sandbox)
    sandbox.declare(f"domains:\n  example.com: {{{BY_HAND}, tlsrpt: 'mailto:a@example.org'}}\n")
    plan = sandbox.one()
    assert (plan.verdict, [type(step) for step in plan.steps]) == (Verdict.WAITING, [Wait])
    sandbox.target.set_txt("_smtp._tls.example.com", "v=TLSRPTv1; rua=mailto:a@example.org", ttl=60)
    assert sandbox.one().verdict is Verdict.UNCHANGED
    sandbox.declare(f"domains:\n  example.com: {{{BY_HAND}, tlsrpt: false}}\n")
    assert [step.text for step in sandbox.one().steps if isinstance(step, Wait)] == [
        "octodns-sync removes the _smtp._tls record when it runs next"
    ]
    assert sandbox.apply().exit_code == 0
    assert not [call for call in sandbox.faults.calls if call.startswith("write ")]


def test_a_zone_with_two_writers_is_refused_for_all_its_domains_whichever_are_asked_for(sandbox: Sandbox):
    sandbox.target.contents |= zone("example.net", "mx.example.net")
    sandbox.declare(f"domains:\n  example.com: {{{BY_HAND}}}\n  sub.example.com:\n  example.net:\n")
    plans = {str(plan.domain): plan for plan in sandbox.plan().domains}
    assert plans["example.net"].acts
    for name in ("example.com", "sub.example.com"):
        assert plans[name].verdict is Verdict.BLOCKED
        assert "MTS482" in [finding.code for finding in plans[name].findings]
    assert "by octodns-sync for example.com and by `deploy apply` for sub.example.com" in plans["example.com"].findings[-1].message
    result = sandbox.apply()
    assert result.exit_code == 3
    assert EXAMPLE not in sandbox.host.files
    sandbox.declare(f"domains:\n  example.com: {{{BY_HAND}}}\n  sub.example.com: {{sts: elsewhere}}\n")
    assert sandbox.plan().domains[0].acts, "a domain of which nothing is written is no writer"


def test_a_saved_plan_with_a_hand_over_can_be_read_back(sandbox: Sandbox):
    plan = sandbox.plan()
    assert plan_file.parse(plan_file.render(plan, "test"), "plan.json").domains == plan.domains


def test_the_ledger_keeps_what_was_handed_over_in_one_readable_line(sandbox: Sandbox):
    sandbox.apply()
    key = shard_of("example.com")
    data = sandbox.state.objects[key]
    assert f'"to_publish": {{"id": "{handed(sandbox).id}", "ttl": 3600}}' in data.decode()
    assert Shard.parse(data, key).render() == data
