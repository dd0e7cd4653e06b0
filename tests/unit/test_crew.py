"""Many domains, looked at by several processes: nothing is lost, whatever becomes of a process."""

from __future__ import annotations

import multiprocessing
import os
from functools import partial

import pytest

from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.verify import crew
from mtasts_deploy.verify.crew import crew_size, crewed_sights
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.run import verify
from mtasts_deploy.verify.sights import sights
from tests.net import NOW, Net, eyes_without_smtp

DOMAINS = [Domain.parse("example.com"), *(Domain.parse(f"d{number}.example.com") for number in range(40))]


def test_a_crew_sees_what_one_process_sees_and_tells_of_each():
    told: list[Domain] = []
    found = crewed_sights(DOMAINS, eyes_without_smtp, size=2, parallelism=4, seen=told.append)
    assert found == sights(DOMAINS, eyes_without_smtp())
    assert sorted(told) == sorted(DOMAINS)
    assert multiprocessing.active_children() == []


def test_what_a_killed_process_did_not_come_to_is_looked_at_here():
    told: list[Domain] = []
    make = partial(eyes_without_smtp, os.getpid())
    found = crewed_sights(DOMAINS, make, size=2, parallelism=2, seen=told.append)
    assert found == sights(DOMAINS, eyes_without_smtp())
    assert sorted(told) == sorted(DOMAINS)


def test_few_domains_and_every_look_at_port_25_stay_in_one_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crew, "_cores", lambda: 8)
    eyes = eyes_without_smtp()
    net = Net()
    with_smtp = Eyes(lookups=net, fetcher=net, prober=net, looking=eyes.looking, clock=lambda: NOW)
    assert [crew_size(count, eyes, 20) for count in (1, 199, 200, 1000, 5000)] == [1, 1, 2, 8, 8]
    assert (crew_size(5000, eyes, 3), crew_size(5000, with_smtp, 20)) == (3, 1)


def test_verify_judges_what_the_crew_has_seen_in_the_order_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crew, "_cores", lambda: 2)
    monkeypatch.setattr(crew, "_WORTH", 20)
    report = verify(DOMAINS, eyes_without_smtp(), make=eyes_without_smtp)
    assert report.domains == verify(DOMAINS, eyes_without_smtp()).domains
