"""What `apply` and `rollback` say, and how they end."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from mtasts_deploy.apply.lock import Lease
from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, utc_now
from tests.transcripts import Transcript, asked


def test_without_a_terminal_somebody_must_have_approved(applied: Transcript) -> None:
    applied.show("apply")
    applied.show("rollback")
    with asked(applied):
        applied.show("apply", "--format", "json")
    applied.compare("unapproved")


def test_apply_then_nothing_is_left_to_do(applied: Transcript) -> None:
    applied.show("apply", "--auto-approve")
    applied.show("plan")
    applied.show("apply", "--auto-approve")
    applied.compare("apply")


def test_only_yes_is_accepted(applied: Transcript) -> None:
    with asked(applied, "y"):
        applied.show("apply", "--domain", "new.example")
    with asked(applied):
        applied.show("apply", "--domain", "new.example", "-q")
    with asked(applied, "yes"):
        applied.show("apply", "--domain", "new.example")
    with asked(applied):
        applied.show("apply", "--domain", "new.example")
    applied.compare("asked")


def test_a_saved_plan_is_its_own_approval(applied: Transcript) -> None:
    applied.show("plan", "--out", "plan.json", "-q")
    applied.show("apply", "plan.json", "--domain", "new.example", "--allow", "MTS401=new.example")
    applied.show("apply", "plan.json")
    applied.show("apply", "plan.json")
    applied.compare("saved")


def test_a_stale_plan_is_refused(applied: Transcript) -> None:
    applied.deploy("plan", "--out", "plan.json", "--domain", "changed.example")
    applied.edit("zones/changed.example.yaml", "exchange: mx2.", "exchange: mx4.")
    applied.show("apply", "plan.json")
    applied.compare("stale")


def test_a_held_lock_is_named(applied: Transcript) -> None:
    store = Deployment.of(load(applied.directory / "mta-sts.yaml", today=utc_now().date())).store
    with Lease.acquire(
        store,
        command="deploy apply",
        now=applied.clock,
        timeout=timedelta(),
        sleep=lambda _: None,
        on_message=lambda _: None,
    ):
        applied.show("apply", "--auto-approve")
        applied.show("unlock", "000000000000")
    applied.show("unlock", "000000000000")
    applied.compare("locked")


def test_records_are_left_to_octodns_sync(applied: Transcript) -> None:
    applied.edit(
        "mta-sts.yaml",
        "defaults: {",
        "defaults: {dns: [plugin, local], confirm: storage, ",
    )
    allowed = [f"--allow=MTS410={name}.example" for name in ("changed", "kept", "new")]
    applied.show("plan")
    applied.show("apply", "--auto-approve", *allowed)
    applied.show("plan", *allowed)
    applied.show("status")
    applied.show("history", "new.example")
    applied.compare("plugin")


def test_apply_as_json(applied: Transcript) -> None:
    done = applied.deploy("apply", "--auto-approve", "--format", "json")
    document = json.loads(done.out)
    assert done.code == 0
    assert document["outcomes"] == {
        "changed.example": "done",
        "kept.example": "unchanged",
        "new.example": "done",
        "parked.example": "unchanged",
    }
    assert document["exit_code"] == 0
    assert document["plan"]["summary"]["add"] == 3


def test_messages_as_json(applied: Transcript) -> None:
    done = applied.deploy("apply", "--auto-approve", "--log-format", "json")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert {line["level"] for line in lines} == {"info"}
    assert {line.get("domain") for line in lines} >= {"changed.example", "new.example"}


def test_rollback(applied: Transcript) -> None:
    applied.deploy("apply", "--auto-approve")
    applied.clock.pass_(hours=2)
    applied.show("rollback", "changed.example", "--auto-approve")
    applied.show("plan", "--domain", "changed.example", "-q")
    with asked(applied, "no"):
        applied.show("rollback")
    applied.show("rollback", "absent.example", "--auto-approve")
    applied.compare("rollback")


def test_a_failing_host_is_named_and_the_others_go_on(applied: Transcript) -> None:
    # A file where a directory must be made: this fails for root, too.
    applied.write("policies/mta-sts.new.example", "in the way")
    applied.show("apply", "--auto-approve", "--domain", "*.example")
    applied.compare("failing")


@pytest.mark.parametrize("on_error", ["stop", "rollback"])
def test_on_error_decides_about_the_others(applied: Transcript, on_error: str) -> None:
    applied.edit("zones/new.example.yaml", "mta-sts:", "_mta-sts: {type: CNAME, value: sts.mailhost.example.}\nmta-sts:")
    applied.show("apply", "--auto-approve", "--on-error", on_error)
    applied.compare(f"on-error-{on_error}")
