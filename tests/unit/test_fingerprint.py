"""Fingerprints are compared across processes: a plan is saved by one and applied by another."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from mtasts_deploy.facts import fingerprint
from mtasts_deploy.ledger.model import Entry, Exposure

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
EXPOSURE = Exposure(id="a", since=NOW, ttl=3600, bytes=frozenset({"one", "two", "three"}), ours=True, counted=True)
ENTRY = Entry(ids={"a": EXPOSURE}, taken_back=frozenset({"one", "two", "three"}))
PROGRAM = "from tests.unit.test_fingerprint import ENTRY; from mtasts_deploy.facts import fingerprint; print(fingerprint(ENTRY))"


def test_equal_facts_have_one_fingerprint_in_every_process() -> None:
    found = set()
    for seed in range(4):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())
    assert found == {fingerprint(ENTRY)}


def test_other_facts_have_another_fingerprint() -> None:
    others = [
        replace(ENTRY, ids={"a": replace(EXPOSURE, bytes=frozenset({"one", "two"}))}),
        replace(ENTRY, ids={"b": EXPOSURE}),
        replace(ENTRY, taken_back=frozenset()),
        replace(ENTRY, mx_ttl=1),
        None,
    ]
    assert len({fingerprint(one) for one in [ENTRY, *others]}) == 6
