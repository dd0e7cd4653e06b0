"""No order of declarations, runs, crashes, failures, strangers and senders breaks a promise of DESIGN section 2 (`adversary`)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.adversary import Adversary
from tests.movers import Mover

QUICK = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_no_order_of_events_breaks_a_promise():
    run_state_machine_as_test(Adversary, settings=QUICK)


def test_no_order_of_events_and_moves_breaks_a_promise():
    run_state_machine_as_test(Mover, settings=QUICK)


@pytest.mark.long
def test_no_order_of_many_more_events_breaks_a_promise():
    run_state_machine_as_test(Adversary, settings=settings(QUICK, max_examples=20000, stateful_step_count=60, derandomize=False))
