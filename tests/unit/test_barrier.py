"""The barrier, as a decision and as a loop: no record names a policy that senders do not get."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from mtasts_deploy.apply.barrier import ROUNDING, Again, Aim, Closed, Decision, Passed, Progress, Watch, decide, watch
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Address, Fetched
from mtasts_deploy.rfc.names import Domain
from tests.worlds import START, Clock

NEW, OLD = b"new", b"old"
AIM = Aim(wanted=NEW, began=START, until=START + timedelta(minutes=10))


def answer(body: bytes = NEW, address: str = "192.0.2.1", **more: Any) -> Fetched:
    return replace(Fetched(address=address, status=200, body=body), **more)


def broken(code: str, address: str = "192.0.2.1", *, unreachable: bool = False) -> Fetched:
    return Fetched(address=address, problem=Diagnostic(code=code, message=code), unreachable=unreachable)


def after(rounds: list[tuple[Fetched, ...]], aim: Aim = AIM, seconds: float = 1) -> Decision:
    """The decision after these rounds, so many seconds apart."""
    progress, decision = Progress(), None
    for number, answers in enumerate(rounds):
        progress, decision = decide(aim, progress, answers, START + timedelta(seconds=number * seconds))
    assert decision is not None
    return decision


def codes(decision: Decision) -> list[str]:
    assert isinstance(decision, Closed), decision
    return [one.code for one in decision.findings]


def test_three_right_answers_in_a_row_open_it():
    assert after([(answer(),)] * 2) == Again(after=1.0)
    assert after([(answer(),)] * 3) == Passed()


def test_a_wrong_answer_begins_the_row_anew():
    assert isinstance(after([(answer(),), (answer(),), (answer(OLD),), (answer(),), (answer(),)]), Again)


def test_every_address_must_be_right():
    both = (answer(), answer(OLD, "192.0.2.2"))
    decision = after([both])
    assert isinstance(decision, Again)
    assert decision.why is not None
    assert "192.0.2.2" in decision.why.message
    assert codes(after([both], replace(AIM, until=START))) == ["MTS530"]


def test_a_dead_address_of_two_keeps_it_closed():
    assert codes(after([(answer(), broken("MTS500", "192.0.2.2"))] * 99, replace(AIM, until=START + timedelta(seconds=98)))) == ["MTS500"]


def test_an_address_of_a_family_that_we_lack_is_not_counted():
    beyond = broken("MTS504", "2001:db8::1", unreachable=True)
    assert after([(answer(), beyond)] * 3) == Passed()
    assert codes(after([(beyond,)], replace(AIM, until=START))) == ["MTS504"]


def test_the_wait_between_wrong_answers_grows_to_ten_seconds():
    waits = []
    progress = Progress()
    for _ in range(6):
        progress, decision = decide(AIM, progress, (answer(OLD),), START)
        assert isinstance(decision, Again)
        waits.append(decision.after)
    assert waits == [1, 2, 4, 8, 10, 10]


def test_what_waiting_does_not_mend_closes_it_soon():
    assert isinstance(after([(broken("MTS523"),)] * 2), Again)
    assert codes(after([(broken("MTS523"),)] * 3)) == ["MTS523"]


def test_behind_a_cache_even_that_may_pass():
    wrong = replace(broken("MTS523"), shared_cache=("age: 1",))
    assert isinstance(after([(wrong,)] * 3), Again)


CACHED: dict[str, Any] = {"shared_cache": ("age: 1",)}


@pytest.mark.parametrize(
    ("more", "aim", "seconds"),
    [
        ({"freshness": 60}, {}, 60),
        ({}, {}, 3600),
        ({"freshness": 60}, {"edge_ttl": 120}, 120),
        ({"freshness": 60}, {"read_back": START - timedelta(seconds=40)}, 20),
        ({"freshness": 0}, {}, 0),
        ({"freshness": 60}, {"purged": True}, 0),
    ],
    ids=str,
)
def test_the_freshness_of_a_shared_cache_is_waited_out(more: dict[str, Any], aim: dict[str, Any], seconds: int):
    wanted = replace(AIM, **aim, until=START + timedelta(hours=2))
    right = (answer(**CACHED, **more),)
    progress = Progress(right=2)
    late = START + timedelta(seconds=seconds) + (ROUNDING if seconds else timedelta())
    if seconds:
        _, early = decide(wanted, progress, right, late - timedelta(seconds=1))
        assert isinstance(early, Again)
        assert early.why is not None
        assert early.why.code == "MTS532"
    assert decide(wanted, progress, right, late)[1] == Passed()


def test_edges_of_the_host_are_waited_for_though_no_answer_shows_them():
    assert isinstance(decide(replace(AIM, edge_ttl=60), Progress(right=2), (answer(),), START)[1], Again)


def test_without_a_cache_nothing_is_waited_for():
    assert decide(AIM, Progress(right=2), (answer(freshness=3600),), START)[1] == Passed()


def test_a_wait_that_is_longer_than_the_patience_ends_at_once_with_its_time():
    decision = decide(AIM, Progress(right=2), (answer(**CACHED, freshness=3600),), START)[1]
    assert codes(decision) == ["MTS532"]
    assert isinstance(decision, Closed)
    assert "13:00:02 UTC" in decision.findings[0].message


def test_the_largest_freshness_of_all_answers_counts():
    progress = Progress().seeing((answer(OLD, **CACHED, freshness=300),)).seeing((answer(freshness=60),))
    assert (progress.freshness, bool(progress.cached)) == (300, True)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_wrong_stops_all_but_repairs(minutes: int):
    right = (answer(date=START + timedelta(minutes=minutes)),)
    assert codes(after([right])) == ["MTS533"]
    assert after([right] * 3, replace(AIM, repair=True)) == Passed()
    assert after([(answer(date=START + timedelta(minutes=4)),)] * 3) == Passed()


@dataclass
class Script:
    """A fetcher that answers from a list, the last answer for ever."""

    answers: Mapping[Domain, list[tuple[Fetched, ...]]]
    known: list[bool] = field(default_factory=list)
    hook: Callable[[Domain], None] = lambda _: None

    def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        self.known.append(known)
        self.hook(domain)
        left = self.answers[domain]
        return left.pop(0) if len(left) > 1 else left[0]

    def fetch_at(self, domain: Domain, address: Address) -> tuple[Fetched, ...]:
        raise NotImplementedError


A, B = Domain.parse("a.example"), Domain.parse("b.example")


def run(
    script: Script, *domains: Domain, going: Callable[[], bool] = lambda: True, parallelism: int = 4
) -> tuple[dict[Domain, Watch], Clock]:
    clock = Clock()
    watches = [Watch(domain=domain, aim=AIM) for domain in domains]
    watch(
        watches,
        script,
        clock=clock,
        ticks=lambda: clock.now.timestamp(),
        pause=lambda seconds: clock.pass_(seconds=seconds),
        going=going,
        say=lambda _one, _why: None,
        parallelism=4,
    )
    return {one.domain: one for one in watches}, clock


def test_the_loop_takes_two_seconds_where_all_is_right():
    found, clock = run(Script({A: [(answer(),)]}), A)
    assert found[A].end == Passed()
    assert (clock.now - START).total_seconds() == pytest.approx(2, abs=0.1)


def test_the_loop_waits_until_the_new_policy_is_there_and_tells_all_that_it_saw():
    found, _ = run(Script({A: [*[(answer(OLD),)] * 4, (answer(),)]}), A)
    assert found[A].end == Passed()
    assert list(found[A].bodies) == [OLD, NEW]


def test_the_loop_gives_up_when_time_is_up():
    found, clock = run(Script({A: [(answer(OLD),)], B: [(answer(),)]}), A, B)
    assert codes(found[A].end or Passed()) == ["MTS530"]
    assert found[B].end == Passed()
    assert timedelta(minutes=9, seconds=45) < clock.now - START <= timedelta(minutes=10)


def test_a_name_is_asked_at_its_own_servers_until_it_is_there():
    missing = (Fetched(address="", problem=Diagnostic(code="MTS550", message="x")),)
    script = Script({A: [missing, missing, (answer(),)]})
    found, _ = run(script, A)
    assert found[A].end == Passed()
    assert script.known == [False, False, False, True, True]


def test_the_loop_stops_when_it_is_told_to():
    turns = iter([True, True, False])
    found, _ = run(Script({A: [(answer(OLD),)]}), A, going=lambda: next(turns))
    assert found[A].end is None


def test_a_slow_host_delays_only_itself():
    others_done = threading.Event()

    def hook(domain: Domain) -> None:
        if domain == A:
            assert others_done.wait(10)

    def going() -> bool:
        clock.pass_(seconds=0.5)
        if watches and watches[B].end is not None:
            others_done.set()
        return True

    watches: dict[Domain, Watch] = {}
    script = Script({A: [(answer(),)], B: [(answer(),)]}, hook=hook)
    clock = Clock()
    watches.update({domain: Watch(domain=domain, aim=AIM) for domain in (A, B)})
    watch(
        list(watches.values()),
        script,
        clock=clock,
        ticks=lambda: clock.now.timestamp(),
        pause=lambda seconds: clock.pass_(seconds=seconds),
        going=going,
        say=lambda _one, _why: None,
        parallelism=2,
    )
    assert watches[A].end == watches[B].end == Passed()
