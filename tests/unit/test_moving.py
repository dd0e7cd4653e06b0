"""A policy host gets its address, and moves, while senders that cache look on; the world is in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.facts import Address
from mtasts_deploy.ledger import ways
from mtasts_deploy.ledger.events import digits_of
from mtasts_deploy.plan import planner
from mtasts_deploy.plan.model import Action, PutPolicy, PutRecords, Verdict
from tests.deployments import EXAMPLE, Sandbox
from tests.worlds import Failure, MemoryHost

NAME = "mta-sts.example.com"
OLD, NEW = Address(cname="old.example.net"), Address(cname="new.example.net")
HOSTS = "hosts: {web: {type: directory, path: web}, cdn: {type: directory, path: cdn}}\n"
TTL = 3600


class Moving(Sandbox):
    """A sandbox with two hosts: `web` serves at OLD, `cdn` at NEW. Looks as a sender does at each external operation."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("web", "cdn"):
            self.hosts[name] = MemoryHost(name=name, faults=self.faults)
        self.problems: list[str] = []
        self.order: list[str] = []
        self.was_there: list[tuple[Address, float]] = []
        self.faults.hook = self.watch

    def declared(self, host: str = "web", address: str = "old.example.net", more: str = "", hosts: str = HOSTS) -> None:
        where = f"address: {{cname: {address}}}, " if address else ""
        self.declare(f"{hosts}domains:\n  example.com: {{{where}host: {host}, tlsrpt: mailto:t@example.net{more}}}\n")

    def watch(self, what: str) -> None:
        """A sender with any address that may be cached never meets an id without its bytes."""
        now = self.clock().timestamp()
        there = self.target.address(NAME)
        if there and (not self.was_there or self.was_there[-1][0] != there):
            self.was_there.append((there, now))
        else:
            self.was_there[-1:] = [(there, now)] if there else []
        values = self.target.txt("_mta-sts.example.com")
        if not values:
            return
        digits = values[0].partition("id=")[2][:24]
        served = self.hosts["web"].files, self.hosts["cdn"].files
        for address, last in self.was_there:
            if now < last + TTL:
                body = served[address == NEW].get(EXAMPLE)
                self.check(what, address, digits, body)

    def check(self, what: str, address: Address, digits: str, body: bytes | None) -> None:
        """What the id names is served there, or what came after it."""
        for host in ("web", "cdn"):
            if (file := self.hosts[host].files.get(EXAMPLE)) is not None and digits_of(file) not in self.order:
                self.order.append(digits_of(file))
        if body is None:
            self.problems.append(f"{what}: no policy at {address}")
        elif digits not in self.order or self.order.index(digits_of(body)) < self.order.index(digits):
            self.problems.append(f"{what}: id {digits} is seen, and {address} has {body!r}")

    def settle(self) -> None:
        self.clock.pass_(seconds=TTL)
        self.apply()


@pytest.fixture
def moving(tmp_path: Path) -> Moving:
    return Moving(tmp_path)


@pytest.fixture
def live(moving: Moving) -> Moving:
    """Published at web by OLD, and everybody knows."""
    moving.declared()
    moving.apply()
    moving.settle()
    assert moving.live_id()
    assert moving.one().verdict is Verdict.UNCHANGED
    return moving


def test_a_first_address_comes_first_and_the_record_waits_until_everybody_knows_it(moving: Moving):
    moving.declared()
    plan = moving.one()
    assert [type(step).__name__ for step in plan.steps] == ["PutAddress", "PutPolicy", "Barrier", "PutRecords", "Wait"]
    assert [step.id for step in plan.steps if isinstance(step, PutRecords)] == [None]
    assert moving.plan().summary().add == 3
    result = moving.apply()
    assert result.outcomes[EXAMPLE] is Outcome.WAITING
    assert result.exit_code == 0
    calls = [call for call in moving.faults.calls if call.startswith(("wrote", "put "))]
    assert calls[:2] == ["wrote example.com.", "put example.com"]
    assert moving.target.address(NAME) == OLD
    assert not moving.target.txt("_mta-sts.example.com")
    moving.clock.pass_(seconds=TTL - 60)
    assert moving.one().verdict is Verdict.WAITING
    assert moving.apply().exit_code == 0
    moving.clock.pass_(seconds=60)
    assert moving.apply().outcomes[EXAMPLE] is Outcome.DONE
    assert moving.live_id()


def test_an_address_that_is_there_is_adopted_without_waiting(moving: Moving):
    moving.target.set_address(NAME, OLD)
    moving.declared()
    assert moving.apply().outcomes[EXAMPLE] is Outcome.DONE
    assert moving.live_id()
    assert not any(finding.severity is Severity.ERROR for finding in moving.one().findings)


def test_an_address_of_somebody_else_is_not_replaced(moving: Moving):
    moving.target.set_address(NAME, Address(a=("192.0.2.7",)))
    moving.declared()
    assert "MTS422" in {finding.code for finding in moving.one().findings}
    assert moving.apply().exit_code == 3
    assert moving.target.address(NAME) == Address(a=("192.0.2.7",))
    assert moving.apply("MTS422=example.com").outcomes[EXAMPLE] is Outcome.WAITING
    assert moving.target.address(NAME) == OLD
    moving.settle()
    assert moving.live_id()


def test_host_address_and_bytes_change_in_one_commit(live: Moving):
    before, id_ = live.hosts["web"].files[EXAMPLE], live.live_id()
    live.declared("cdn", "new.example.net", ", max_age: 2w")
    plan = live.one()
    assert [type(step).__name__ for step in plan.steps] == ["PutPolicy", "Barrier", "PutAddress", "Wait"]
    assert [line.action for line in plan.lines if line.what == "address"] == [Action.CHANGE]
    assert live.apply().outcomes[EXAMPLE] is Outcome.WAITING
    assert live.target.address(NAME) == NEW
    assert live.hosts["cdn"].files[EXAMPLE] == live.hosts["web"].files[EXAMPLE] == before, "that run brings no new bytes"
    assert live.live_id() == id_

    puts = [step.host for step in live.one().steps if isinstance(step, PutPolicy)]
    assert sorted(puts) == ["cdn", "web"]
    assert live.apply().outcomes[EXAMPLE] is Outcome.WAITING
    assert live.live_id() != id_
    assert live.hosts["cdn"].files[EXAMPLE] == live.hosts["web"].files[EXAMPLE] != before

    live.clock.pass_(seconds=TTL)
    live.apply()
    live.declared("cdn", "new.example.net", ", max_age: 3w")
    assert [step.host for step in live.one().steps if isinstance(step, PutPolicy)] == ["cdn"], "the move is over"
    assert live.apply().outcomes[EXAMPLE] is Outcome.DONE
    assert not live.problems


def test_the_address_moves_alone(live: Moving):
    live.declared("web", "new.example.net", ", max_age: 2w")
    assert [type(step).__name__ for step in live.one().steps] == ["Barrier", "PutAddress", "Wait"]
    live.apply()
    assert live.target.address(NAME) == NEW


def test_a_host_that_already_has_the_served_bytes_is_moved_to_once(live: Moving):
    live.hosts["cdn"].files[EXAMPLE] = live.hosts["web"].files[EXAMPLE]
    live.declared("cdn", "old.example.net")
    assert [type(step).__name__ for step in live.one().steps] == ["Barrier"]
    assert live.apply().outcomes[EXAMPLE] in (Outcome.DONE, Outcome.WAITING)
    assert not live.one().acts, "the next apply has nothing to do"
    live.declared("cdn", "old.example.net", ", max_age: 2w")
    assert sorted(step.host for step in live.one().steps if isinstance(step, PutPolicy)) == ["cdn", "web"]


def test_the_old_host_must_stay_declared_while_senders_may_be_led_there(live: Moving):
    live.declared("cdn", "new.example.net")
    live.apply()
    cdn = "hosts: {cdn: {type: directory, path: cdn}}\n"
    live.declared("cdn", "new.example.net", ", max_age: 2w", hosts=cdn)
    assert "MTS423" in {finding.code for finding in live.one().findings}
    assert live.apply().exit_code == 3
    live.declared("cdn", "new.example.net", hosts=cdn)
    live.settle()
    live.declared("cdn", "new.example.net", ", max_age: 2w", hosts=cdn)
    assert live.apply().outcomes[EXAMPLE] is Outcome.DONE


def test_an_address_that_nobody_expected_opens_a_move(live: Moving):
    live.declared("web", "")
    live.apply()
    live.target.set_address(NAME, NEW)
    live.apply()
    assert live.one().verdict is Verdict.WAITING
    live.settle()
    assert live.one().verdict is Verdict.UNCHANGED


def test_a_repair_comes_before_the_move(live: Moving):
    live.target.set_mx("example.com", "mx1.example.com", "mx2.example.com", "mx3.example.com")
    live.declared("cdn", "new.example.net")
    assert [step.host for step in live.one().steps if isinstance(step, PutPolicy)] == ["web"]
    assert live.apply().outcomes[EXAMPLE] is Outcome.WAITING
    assert live.target.address(NAME) == OLD
    live.apply()
    assert live.target.address(NAME) == NEW


def test_after_the_state_is_lost_no_record_moves_for_one_ttl_of_the_address(live: Moving):
    id_ = live.live_id()
    live.state.objects.clear()
    live.declared("web", "old.example.net", ", max_age: 2w")
    assert live.apply().outcomes[EXAMPLE] is Outcome.WAITING
    assert live.live_id() == id_
    live.settle()
    assert live.live_id() != id_


def test_a_state_that_is_lost_before_a_move_does_not_make_the_new_host_the_one_that_serves(live: Moving):
    id_ = live.live_id()
    live.state.objects.clear()
    live.declared("cdn", "new.example.net", ", max_age: 2w")
    for _ in range(3):
        assert "MTS424" in {finding.code for finding in live.one().findings}
        assert live.apply().exit_code == 3
        live.clock.pass_(seconds=2 * TTL)
    assert live.live_id() == id_
    assert live.target.address(NAME) == OLD
    assert EXAMPLE not in live.hosts["cdn"].files

    live.declared()
    live.apply()
    live.settle()
    live.declared("cdn", "new.example.net", ", max_age: 2w")
    for _ in range(3):
        live.settle()
    assert live.target.address(NAME) == NEW
    assert b"max_age: 1209600" in live.hosts["cdn"].files[EXAMPLE]
    assert live.live_id() != id_
    assert not live.problems


def test_after_the_state_is_lost_the_operator_may_vouch_for_the_declared_host(live: Moving):
    live.state.objects.clear()
    live.hosts["web"], live.hosts["cdn"] = live.hosts["cdn"], live.hosts["web"]
    live.hosts["web"].name, live.hosts["cdn"].name = "web", "cdn"
    live.faults.hook = lambda _: None  # what is called `cdn` now serves at the old address
    live.declared("cdn", "new.example.net", ", max_age: 2w")
    assert live.apply().exit_code == 3
    assert live.apply("MTS422=example.com", "MTS424=example.com").exit_code == 0
    assert live.target.address(NAME) == NEW
    assert "MTS424" not in {finding.code for finding in live.one().findings}


def test_after_the_state_is_lost_a_second_copy_of_the_policy_is_asked_about(live: Moving):
    live.hosts["cdn"].files[EXAMPLE] = live.hosts["web"].files[EXAMPLE]
    live.declared("cdn", "", ", max_age: 2w")
    live.state.objects.clear()
    id_ = live.live_id()
    finding = next(finding for finding in live.one().findings if finding.code == "MTS424")
    assert "web may have a policy" in finding.message
    assert live.apply().exit_code == 3
    assert live.apply().exit_code == 3
    assert live.live_id() == id_
    del live.hosts["web"].files[EXAMPLE]
    live.faults.hook = lambda _: None
    live.target.set_address(NAME, NEW)
    live.apply()
    live.settle()
    assert live.live_id() != id_


def test_what_the_live_id_does_not_name_is_published_before_the_move(live: Moving):
    id_ = live.live_id()
    live.hosts["web"].files[EXAMPLE] = live.hosts["web"].files[EXAMPLE].replace(b"mx1.", b"mx9.")
    live.declared("cdn", "new.example.net")
    assert [step.host for step in live.one("MTS425=example.com").steps if isinstance(step, PutPolicy)] == ["web"]
    live.apply("MTS425=example.com")
    assert live.target.address(NAME) == OLD
    assert live.live_id() != id_
    assert EXAMPLE not in live.hosts["cdn"].files
    live.apply()
    assert live.target.address(NAME) == NEW
    assert b"mx9." not in live.hosts["cdn"].files[EXAMPLE]


def test_a_ledger_of_format_1_gets_its_first_way_at_the_next_look_and_is_rewritten(live: Moving):
    [key] = [key for key in live.state.objects if key.startswith("ledger/")]
    old = json.loads(live.state.objects[key])
    assert old["format_version"] == 3
    id_, ways_there = live.live_id(), old["domains"]["example.com"].pop("ways")
    old["format_version"] = 1
    live.state.objects[key] = json.dumps(old).encode()
    plan = live.one()
    assert (plan.verdict, plan.findings) == (Verdict.UNCHANGED, ())
    assert live.apply().exit_code == 0
    new = json.loads(live.state.objects[key])
    assert new["format_version"] == 3
    [way] = new["domains"]["example.com"].pop("ways")
    assert {name: way[name] for name in ("host", "address")} == {name: ways_there[0][name] for name in ("host", "address")}
    assert new["domains"] == old["domains"], "nothing else is touched"
    assert live.live_id() == id_
    live.declared("cdn", "new.example.net", ", max_age: 2w")
    live.apply()
    assert live.target.address(NAME) == NEW
    live.apply()
    assert sorted(name for name in ("web", "cdn") if b"1209600" in live.hosts[name].files[EXAMPLE]) == ["cdn", "web"]
    assert not live.problems


@pytest.mark.parametrize("at", range(1, 40))
def test_a_run_that_dies_anywhere_leaves_every_way_right_and_the_next_ones_finish(live: Moving, at: int):
    live.declared("cdn", "new.example.net", ", max_age: 2w")
    count = 0

    def hook(what: str) -> None:
        nonlocal count
        live.watch(what)
        count += 1
        if count == at:
            raise Failure

    for _ in range(3):
        live.faults.hook = hook
        try:
            assert live.apply().exit_code == 0, "nobody else has changed anything"
        except Failure:
            live.state.objects.pop("lock.json", None)
        live.faults.hook = live.watch
        live.clock.pass_(seconds=1)
    live.settle()
    assert live.target.address(NAME) == NEW
    assert b"max_age: 1209600" in live.hosts["cdn"].files[EXAMPLE]
    assert live.live_id()
    assert not live.problems


def ways_close_at_once(patch: pytest.MonkeyPatch) -> None:
    gone = ways.gone
    patch.setattr(ways, "gone", lambda way, now: replace(gone(way, now), until=now))


def bytes_change_with_the_address(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planner, "_can_move", lambda seen, plan, part: False)
    led = planner._led
    patch.setattr(
        planner,
        "_led",
        lambda settings, seen, entry, move, part: led(
            settings, seen, entry, replace(move, put=move.put and replace(move.put, moves=False), copy=None), part
        ),
    )


@pytest.mark.parametrize("plant", [ways_close_at_once, bytes_change_with_the_address])
def test_a_planted_bug_is_seen_by_the_sender(live: Moving, plant, monkeypatch: pytest.MonkeyPatch):
    plant(monkeypatch)
    live.declared("cdn", "new.example.net", ", max_age: 2w")
    for _ in range(3):
        live.apply()
        live.clock.pass_(seconds=1)
    assert live.problems
