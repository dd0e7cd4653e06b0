"""Fixtures of the transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.transcripts import Transcript, deployment


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transcript:
    """A deployment that was never applied."""
    deployment(tmp_path)
    return Transcript(tmp_path, monkeypatch)


@pytest.fixture
def applied(cli: Transcript) -> Transcript:
    """A deployment that was applied an hour ago, with one new domain, one that is changed, one that stays, and one without a policy."""
    assert cli.deploy("apply", "--auto-approve").code == 0
    cli.clock.pass_(hours=1)
    cli.edit("mta-sts.yaml", "  changed.example:\n", "  changed.example: {max_age: 2w, mx: [zone, mx3.changed.example]}\n")
    cli.edit("mta-sts.yaml", "  parked", "  new.example:\n  parked")
    from tests.transcripts import ZONE

    cli.write("zones/new.example.yaml", ZONE.format(domain="new.example"))
    return cli
