"""Many domains, looked at by several processes: nothing is lost, whatever becomes of a process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.verify import crew
from mtasts_deploy.verify.crew import crew_size, crewed_sights
from mtasts_deploy.verify.look import Eyes
from mtasts_deploy.verify.run import verify
from mtasts_deploy.verify.sights import sights
from tests.net import NOW, Net, eyes_without_smtp

ROOT = Path(__file__).parents[2]
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


@pytest.mark.skipif(sys.platform == "win32", reason="has no process groups")
def test_an_interrupted_crew_ends_at_once():
    program = """
import signal
from tests.net import DOMAIN, slow_eyes_without_smtp
from mtasts_deploy.verify.crew import crewed_sights
signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts us in the background has it ignored
print("begun", flush=True)
try:
    crewed_sights([DOMAIN], slow_eyes_without_smtp, size=1, parallelism=1, seen=print)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        said, errors = process.communicate(timeout=10)  # both ends are closed only when the crew is gone, too
        assert (said, errors) == ("interrupted\n", "")
