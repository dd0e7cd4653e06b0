"""Fingerprints of facts are stored in plans: they must be the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from datetime import UTC, datetime
from mtasts_deploy.facts import TxtSet, fingerprint
from mtasts_deploy.ledger.model import Entry, Exposure
many = frozenset("abcdefgh")
ids = {"1": Exposure(id="1", since=datetime(2026, 1, 5, tzinfo=UTC), ttl=1, bytes=many, ours=True, counted=True)}
entry = Entry(ids=ids, taken_back=many)
plain = (TxtSet(values=("x",), ttl=1), None, {"a": (1, 2)})
from mtasts_deploy.facts import _text
print(fingerprint(entry), _text(plain) == repr(plain))
"""


def test_a_fingerprint_does_not_depend_on_the_order_of_sets():
    found = set()
    for seed in range(6):
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout)
    assert len(found) == 1
    assert found.pop().endswith(" True\n")
