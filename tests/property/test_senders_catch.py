"""The adversary of `test_senders` can win: each bug that is planted here breaks a promise, and is found.

Each has a story, the shortest that shows the bug, which goes well without it; bugs that any story shows are also found at random.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from mtasts_deploy import observe, observed
from mtasts_deploy.apply import prepare, run, work
from mtasts_deploy.ledger import events, ways
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.plan import planner, publication
from mtasts_deploy.plan.ids import pick_id
from mtasts_deploy.rfc.policy import PolicyId, policy_id
from tests.adversary import FILES, Adversary
from tests.movers import PLACES, Mover

MX2 = "mx2.example.com"
HUNT = settings(
    max_examples=500,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
Plant = Callable[[pytest.MonkeyPatch], None]


def an_id_has_no_counter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planner, "pick_id", lambda entry, live, body, now: policy_id(body))


def a_put_is_not_noted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(prepare, "putting", lambda entry, body, now: entry)


def the_record_moves_before_the_policy(patch: pytest.MonkeyPatch) -> None:
    def push_first(tools, works) -> None:
        for one in works:
            for change in one.plan.records:
                tools.world.targets[change.provider].write(change.zone, [change.change])
        prepare.prepare(tools, works)

    patch.setattr(run, "prepare", push_first)


def an_old_id_is_gone_at_once(patch: pytest.MonkeyPatch) -> None:
    def confirmed(entry, id_, now):
        after = events.confirmed(entry, id_, now)
        ids = {text: replace(known, until=known.until and min(known.until, now)) for text, known in after.ids.items()}
        return after if ids == after.ids else replace(after, ids=ids)

    patch.setattr(work, "confirmed", confirmed)


def a_foreign_id_stays(patch: pytest.MonkeyPatch) -> None:
    def keep(entry, live, body, now):
        foreign = [PolicyId.parse(text) for text in live if PolicyId.parse(text).digits is None]
        return foreign[0] if foreign else pick_id(entry, live, body, now)

    patch.setattr(planner, "pick_id", keep)


def a_pattern_leaves_with_its_mx_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Entry, "live_hosts", lambda self, now: frozenset(host for host, seen in self.mx.items() if seen.missed is None))


def a_look_exposes_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(events, "_expose", lambda entry, digits, now: entry)


def a_lost_ledger_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Entry, "state_was_lost", lambda self, now: False)


def mx_records_are_not_read_after_the_note(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(prepare, "_watch_mx", lambda tools, works, earlier: None)


def the_mx_set_is_not_watched(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publication, "_mode", lambda goal, live, entry, now, allowed: (goal, None))


def a_missing_record_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Entry, "may_be_blind", lambda self, now: False)


def a_fetched_policy_is_forgotten_early(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mtasts_deploy.plan.horizon.lifetime", lambda policy: timedelta(days=1))


def a_strangers_file_makes_us_forget_hosts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publication, "_readable", lambda served, entry, now: () if served is None else served.mx)
    patch.setattr(publication, "_left_lately", lambda kept, uncovered, entry, now: ())  # which alone keeps what `mx: zone` named


def hosts_that_left_while_nothing_was_published_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(publication, "_left_lately", lambda kept, uncovered, entry, now: ())


def ids_from_before_the_first_look_are_not_thought_of(patch: pytest.MonkeyPatch) -> None:
    def seen_only(self, now):
        return any(known.visible(now) and not known.counted for known in self.ids.values())

    patch.setattr(Entry, "unknown_id_may_be_visible", seen_only)


def back_and_forth(it: Adversary) -> None:
    it.start(3600, "nothing is live", "testing", "1w")
    for max_age in ("1w", "1d", "1w"):
        it.declare(("max_age", max_age))
        it.apply()


def an_mx_host_is_added_before_the_put(it: Adversary) -> None:
    it.start(3600, "testing is live", "enforce", "1w")
    it.an_mx_is_added_during_an_apply("put", 0, 0)


def an_mx_host_is_added_before_the_note(it: Adversary) -> None:
    it.start(3600, "testing is live", "enforce", "1w")
    it.an_mx_is_added_during_an_apply("save ledger", 0, 0)


def an_mx_host_is_added_while_the_old_id_is_cached(it: Adversary) -> None:
    it.start(3600, "enforce is live", "enforce", "1w")
    it.declare(("mode", "testing"))
    it.apply()
    it.add_mx(0)


def an_mx_host_is_added_while_the_record_is_missing(it: Adversary) -> None:
    it.start(3600, "enforce was live", "enforce", "1w")
    it.stranger(("removes_the_record", ()))
    it.add_mx(0)


def an_mx_host_is_added_after_a_longer_ttl_and_a_lost_ledger(it: Adversary) -> None:
    it.start(3600, "enforce is live", "enforce", "1w")
    it.declare(("ttl", 300))
    it.apply()
    it.declare(("mode", "testing"))
    it.lose_the_ledger(1)
    it.all_settles(300)
    it.add_mx(0)


def an_mx_host_leaves(it: Adversary) -> None:
    it.start(3600, "enforce is live", "enforce", "1w")
    it.remove_mx(MX2)
    it.apply()


def an_mx_host_leaves_before_the_first_look(it: Adversary) -> None:
    it.start(3600, "nothing is live", "enforce", "1w")
    it.remove_mx(MX2)
    it.apply()


def an_mx_host_comes_and_leaves_while_a_guard_holds(it: Adversary) -> None:
    it.start(3600, "testing is live", "testing", "4w")
    it.add_mx(0)
    it.apply()
    it.remove_mx("mx3.example.com")
    it.stranger(("replaces_the_file", (FILES[0],)))
    it.apply()


def an_mx_host_leaves_and_a_stranger_enforces_without_it(it: Adversary) -> None:
    it.start(3600, "nothing is live", "testing", "1w")
    it.apply()
    it.declare(("mode", "enforce"))
    it.remove_mx(MX2)
    it.stranger(("replaces_the_file", (FILES[0],)))
    it.apply()


def a_stranger_takes_the_record(it: Adversary) -> None:
    it.start(3600, "testing is live", "enforce", "1w")
    it.stranger(("takes_the_record", ("deadbeef",)))
    it.apply()


def a_stranger_replaces_the_file(it: Adversary) -> None:
    it.start(3600, "enforce is live", "enforce", "1w")
    it.stranger(("replaces_the_file", (FILES[0],)))
    it.apply()


def the_ledger_is_lost_before_old_bytes_come_back(it: Adversary) -> None:
    it.start(3600, "nothing is live", "testing", "1w")
    it.apply()
    it.declare(("max_age", "1d"))
    it.apply()
    it.lose_the_ledger(1)
    it.declare(("max_age", "1w"))
    it.apply()


def a_sender_keeps_what_it_fetched(it: Adversary) -> None:
    it.start(3600, "enforce is live", "enforce", "1w")
    it.sender_looks(0, 0, "works", False)
    it.declare(("mode", "testing"))
    it.apply()
    it.time_passes(3 * 86400)


CASES = [
    (an_id_has_no_counter, back_and_forth),
    (a_put_is_not_noted, an_mx_host_is_added_before_the_put),
    (the_record_moves_before_the_policy, back_and_forth),
    (an_old_id_is_gone_at_once, an_mx_host_is_added_while_the_old_id_is_cached),
    (a_foreign_id_stays, a_stranger_takes_the_record),
    (a_pattern_leaves_with_its_mx_record, an_mx_host_leaves),
    (a_look_exposes_nothing, a_stranger_replaces_the_file),
    (a_lost_ledger_is_not_noticed, the_ledger_is_lost_before_old_bytes_come_back),
    (mx_records_are_not_read_after_the_note, an_mx_host_is_added_before_the_note),
    (the_mx_set_is_not_watched, an_mx_host_leaves_before_the_first_look),
    (a_missing_record_is_not_noticed, an_mx_host_is_added_while_the_record_is_missing),
    (a_fetched_policy_is_forgotten_early, a_sender_keeps_what_it_fetched),
    (a_strangers_file_makes_us_forget_hosts, an_mx_host_leaves_and_a_stranger_enforces_without_it),
    (hosts_that_left_while_nothing_was_published_are_forgotten, an_mx_host_comes_and_leaves_while_a_guard_holds),
    (ids_from_before_the_first_look_are_not_thought_of, an_mx_host_is_added_after_a_longer_ttl_and_a_lost_ledger),
]


def new_bytes_go_only_to_the_declared_host(patch: pytest.MonkeyPatch) -> None:
    of = observe._Files.of
    patch.setattr(observe._Files, "of", staticmethod(lambda place, entry, hosts: of(place, None, hosts)))
    patch.setattr(prepare, "hosts_of", lambda tools, one: (one.place.host,))  # which alone would stop it


def an_old_address_is_gone_at_once(patch: pytest.MonkeyPatch) -> None:
    gone = ways.gone
    patch.setattr(ways, "gone", lambda way, now: replace(gone(way, now), until=now))


def bytes_change_with_the_address(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planner, "_can_move", lambda seen, plan, part: False)
    led = planner._led

    def at_once(settings, seen, entry, move, part):
        return led(settings, seen, entry, replace(move, put=move.put and replace(move.put, moves=False), copy=None), part)

    patch.setattr(planner, "_led", at_once)


def the_policy_host_moves(it: Mover) -> None:
    it.start(3600, "nothing is live", "testing", "1w")
    it.apply()
    it.moves_with_other_bytes(PLACES[1], ("max_age", "2w"), [])
    for _ in range(2):
        it.apply()
        it.time_passes(1)


def the_declared_host_is_taken_for_the_serving_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(observed.Observed, "_unsure", False)


def the_state_is_lost_before_a_move(it: Mover) -> None:
    it.start(3600, "testing is live", "testing", "1w")
    it.apply()
    it.lose_the_ledger(1)
    it.moves_with_other_bytes(PLACES[1], ("max_age", "1w"), [])
    it.lose_the_ledger(1)
    it.is_to_move(PLACES[0])
    it.all_settles(3600)


MOVES = [new_bytes_go_only_to_the_declared_host, an_old_address_is_gone_at_once, bytes_change_with_the_address]

MOVE_CASES = [
    (new_bytes_go_only_to_the_declared_host, the_policy_host_moves),
    (an_old_address_is_gone_at_once, the_policy_host_moves),
    (the_declared_host_is_taken_for_the_serving_one, the_state_is_lost_before_a_move),
]


def name(value: Callable[..., None]) -> str:
    return value.__name__


def tell(story: Callable[[Adversary], None]) -> None:
    it = Adversary()
    story(it)
    it.all_is_well()


@pytest.mark.parametrize(("plant", "story"), CASES, ids=name)
def test_a_planted_bug_spoils_its_story(plant: Plant, story: Callable[[Adversary], None], monkeypatch: pytest.MonkeyPatch):
    tell(story)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        tell(story)


@pytest.mark.parametrize(
    "plant",
    [
        an_id_has_no_counter,
        the_record_moves_before_the_policy,
        a_foreign_id_stays,
        a_pattern_leaves_with_its_mx_record,
        a_look_exposes_nothing,
    ],
    ids=name,
)
def test_a_planted_bug_is_found_at_random(plant: Plant, monkeypatch: pytest.MonkeyPatch):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Adversary, settings=HUNT)


@pytest.mark.parametrize(("plant", "story"), MOVE_CASES, ids=name)
def test_a_planted_bug_spoils_a_move(plant: Plant, story: Callable[[Mover], None], monkeypatch: pytest.MonkeyPatch):
    def tell_the_move() -> None:
        it = Mover()
        story(it)
        it.all_is_well()

    tell_the_move()
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        tell_the_move()


@pytest.mark.parametrize("plant", MOVES, ids=name)
def test_a_planted_bug_in_moving_is_found_at_random(plant: Plant, monkeypatch: pytest.MonkeyPatch):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Mover, settings=HUNT)
