"""What others made milder than the declaration is not undone unasked (MTS425); what we published, or adopted, is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtasts_deploy.apply.book import Book
from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.ledger.codec import shard_of
from mtasts_deploy.plan.model import Verdict
from tests.deployments import EXAMPLE, Sandbox

STS = "_mta-sts.example.com"
ENFORCE = "domains:\n  example.com: {mode: enforce}\n"
TESTING = ENFORCE.replace("enforce", "testing")


def guarded(sandbox: Sandbox) -> bool:
    plan = sandbox.one()
    stopped = [finding for finding in plan.findings if finding.code == "MTS425" and finding.severity is Severity.ERROR]
    assert not stopped or plan.verdict is Verdict.BLOCKED
    return bool(stopped)


def policy(mode: str, *hosts: str, max_age: int = 604800) -> bytes:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), f"max_age: {max_age}"]
    return "".join(f"{line}\r\n" for line in lines).encode()


OURS = ("mx1.example.com", "mx2.example.com")


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """Published in enforce, by commits, over testing."""
    made = Sandbox(tmp_path)
    made.declare(TESTING)
    made.apply()
    made.clock.pass_(days=1)
    made.declare(ENFORCE)
    assert not guarded(made)
    made.apply()
    assert "mode: enforce" in made.served()
    made.clock.pass_(days=1)
    return made


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (policy("testing", *OURS, max_age=3600), "mode testing instead of enforce"),
        (policy("none", max_age=86400), "mode none instead of enforce"),
        (policy("enforce", *OURS, "mx9.example.net"), "mx mx9.example.net besides the declared hosts"),
        (policy("enforce", "*.example.com"), "mx *.example.com besides the declared hosts"),
        (policy("testing", *OURS, "mx9.example.net"), "mode testing instead of enforce and mx mx9.example.net besides the declared hosts"),
    ],
)
def test_a_milder_policy_by_others_stops_the_domain_and_changes_nothing(sandbox: Sandbox, body: bytes, said: str):
    sandbox.host.files[EXAMPLE] = body
    assert guarded(sandbox)
    (finding,) = (finding for finding in sandbox.one().findings if finding.code == "MTS425")
    assert said in finding.message
    id_ = sandbox.live_id()
    assert sandbox.apply().exit_code == 3
    assert sandbox.host.files[EXAMPLE] == body
    assert sandbox.live_id() == id_
    assert guarded(sandbox), "a run that was stopped must not make it ours"
    assert sandbox.apply("MTS425=example.com").exit_code == 0
    assert "mode: enforce" in sandbox.served()
    assert "mx9" not in sandbox.served()
    assert sandbox.one().verdict is Verdict.UNCHANGED


def test_our_own_old_policy_that_others_put_back_is_theirs(sandbox: Sandbox):
    sandbox.host.files[EXAMPLE] = policy("testing", *OURS)
    assert guarded(sandbox)


def test_a_commit_of_what_is_live_lifts_it_and_the_way_back_is_a_commit_too(sandbox: Sandbox):
    sandbox.host.files[EXAMPLE] = policy("testing", *OURS)
    sandbox.declare(TESTING)
    assert not guarded(sandbox)
    assert sandbox.apply().exit_code == 0
    sandbox.clock.pass_(days=1)
    sandbox.declare(ENFORCE)
    assert not guarded(sandbox)
    assert sandbox.apply().exit_code == 0
    assert "mode: enforce" in sandbox.served()


@pytest.mark.parametrize(
    "body",
    [
        policy("enforce", OURS[0]),
        policy("enforce", *OURS, max_age=86400),
        policy("enforce", *OURS).replace(b"\r\n", b"\n"),
        b"<html>nothing</html>",
        None,
    ],
)
def test_a_policy_by_others_that_is_not_milder_is_mended(sandbox: Sandbox, body: bytes | None):
    if body is None:
        del sandbox.host.files[EXAMPLE]
    else:
        sandbox.host.files[EXAMPLE] = body
    assert not guarded(sandbox)
    assert sandbox.apply().exit_code == 0
    assert sandbox.host.files[EXAMPLE] == policy("enforce", *OURS)


def test_a_stricter_policy_by_others_is_mended(sandbox: Sandbox):
    sandbox.declare(TESTING)
    sandbox.apply()
    sandbox.host.files[EXAMPLE] = policy("enforce", *OURS, "mx9.example.net")
    assert not guarded(sandbox)


def test_it_is_stopped_also_while_the_mx_set_is_watched(tmp_path: Path):
    """Then the plan is in testing itself, and would take the milder policy for its own."""
    sandbox = Sandbox(tmp_path)
    sandbox.declare(ENFORCE)
    assert sandbox.apply("MTS411=example.com").exit_code == 0
    sandbox.host.files[EXAMPLE] = policy("testing", *OURS)
    assert guarded(sandbox)


def test_a_host_leaves_by_a_commit(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {mode: enforce, mx: [zone, mx9.example.net]}\n")
    assert sandbox.apply().exit_code == 0
    sandbox.declare(ENFORCE)
    assert not guarded(sandbox)


def test_what_was_live_before_the_first_publication_is_adopted(tmp_path: Path):
    sandbox = Sandbox(tmp_path)
    sandbox.host.files[EXAMPLE] = policy("testing", *OURS, "mx9.example.net")
    sandbox.target.set_txt(STS, "v=STSv1; id=20250101T000000Z;")
    sandbox.declare(ENFORCE)
    assert not guarded(sandbox)


def test_a_live_host_that_senders_may_refuse_is_named_whatever_others_did(sandbox: Sandbox):
    sandbox.host.files[EXAMPLE] = policy("testing", *OURS)
    assert guarded(sandbox)
    sandbox.target.set_mx("example.com", *OURS, "mx3.example.com")
    assert not guarded(sandbox)
    assert sandbox.apply().exit_code == 0
    assert "mx3.example.com" in sandbox.served()


def test_a_ledger_of_the_former_format_knows_what_is_ours_by_the_ids(sandbox: Sandbox):
    key = shard_of("example.com")
    document = json.loads(sandbox.state.objects[key])
    document["format_version"] = 2
    for one in document["domains"]["example.com"]["policies"].values():
        del one["ours"]
    sandbox.state.objects[key] = json.dumps(document).encode()
    entry = Book(sandbox.state).get(EXAMPLE)
    assert entry is not None
    assert {one.ours for one in entry.policies.values()} == {True}
    sandbox.declare("domains:\n  example.com: {mode: enforce, max_age: 2w}\n")
    assert not guarded(sandbox)
    sandbox.host.files[EXAMPLE] = policy("testing", *OURS)
    assert guarded(sandbox)
