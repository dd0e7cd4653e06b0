"""State for life: whatever is damaged in it is named, stops only its domains, and can be made anew from what is live, for the worst."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.deployment import Options
from mtasts_deploy.errors import StateError
from mtasts_deploy.ledger.codec import Shard, shard_of
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from tests.deployments import Sandbox, zone

COM, ORG = "example.com", "example.org"
TEXT = "domains:\n  example.com: {max_age: %s}\n  example.org: {max_age: %s}\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    made = Sandbox(tmp_path)
    made.target.contents |= zone(ORG, "mx1.example.org")
    made.declare(TEXT % ("1d", "1d"))
    made.apply()
    made.clock.pass_(days=1)
    made.declare(TEXT % ("2d", "2d"))
    return made


def damages(good: bytes) -> dict[str, bytes]:
    newer = json.loads(good) | {"format_version": 99}
    return {
        "zeroed": bytes(len(good)),
        "truncated": good[: len(good) // 2],
        "empty": b"",
        "another file": b"not JSON at all\n",
        "merge conflict": b"<<<<<<< ours\n" + good + b"=======\n" + good + b">>>>>>> theirs\n",
        "newer": json.dumps(newer).encode(),
        "an entry that is none": good.replace(b'"policies"', b'"policies": 7, "p"'),
    }


@pytest.mark.parametrize("damage", damages(b'{"format_version": 1, "domains": {}}'))
def test_a_damaged_shard_stops_its_domains_and_no_others(sandbox: Sandbox, damage: str):
    key = shard_of(COM)
    bad = sandbox.state.objects[key] = damages(sandbox.state.objects[key])[damage]
    plan = sandbox.plan()
    assert [domain.verdict for domain in plan.domains] == [Verdict.UNKNOWN, Verdict.CHANGED]
    assert plan.domains[0].findings[0].code == ("MTS762" if damage == "newer" else "MTS761")
    before = sandbox.live_id(), sandbox.served()
    result = sandbox.apply()
    assert {str(domain): outcome for domain, outcome in result.outcomes.items()} == {COM: Outcome.UNKNOWN, ORG: Outcome.DONE}
    assert result.exit_code == 1
    assert (sandbox.live_id(), sandbox.served()) == before
    assert sandbox.state.objects[key] == bad
    assert sandbox.rollback().exit_code == 0
    assert "86400" in sandbox.served(ORG)


@pytest.mark.parametrize("damage", [name for name in damages(b'{"format_version": 1, "domains": {}}') if name != "newer"])
def test_it_is_rebuilt_from_what_is_live_for_the_worst(sandbox: Sandbox, damage: str):
    key = shard_of(COM)
    bad = sandbox.state.objects[key] = damages(sandbox.state.objects[key])[damage]
    found = sandbox.deployment.inventory()
    assert (found.damaged, [str(domain) for domain in found.lost]) == ((key,), [COM])
    (rebuilt,) = sandbox.deployment.rebuild(Options())
    assert sandbox.state.objects[rebuilt[1].removeprefix(".mtasts/")] == bad
    assert not sandbox.deployment.inventory().findings
    entry = Shard.parse(sandbox.state.objects[key], key).get(COM)
    assert entry is not None
    now = sandbox.clock()
    assert (entry.incomplete, entry.lost) == (now, now)
    old = sandbox.live_id()
    assert entry.ids[old].spent  # nobody knows with which bytes it was seen
    assert sandbox.apply().exit_code == 0
    new = PolicyId.parse(sandbox.live_id())
    assert new.returned > 1_000_000  # a counter that no lost one can have reached
    assert new.names(sandbox.served().encode())
    assert not sandbox.plan().acting


def test_also_where_nothing_is_live_the_past_stays_unknown(sandbox: Sandbox):
    key = shard_of(COM)
    sandbox.target.set_txt(f"_mta-sts.{COM}")
    del sandbox.host.files[Domain.parse(COM)]
    sandbox.state.objects[key] = b"\0" * 100
    sandbox.deployment.rebuild(Options())
    entry = Shard.parse(sandbox.state.objects[key], key).get(COM)
    assert entry is not None
    assert entry.history_incomplete(sandbox.clock() + timedelta(days=364))


def test_what_can_still_be_read_in_a_damaged_shard_stays(sandbox: Sandbox):
    key = shard_of(COM)
    document = json.loads(sandbox.state.objects[key])
    mate = next(name for number in range(9999) if shard_of(name := f"d{number}.example") == key)
    document["domains"][mate] = document["domains"][COM]
    document["domains"][COM] = {"policies": 7}
    document["domains"]["elsewhere.example"] = document["domains"][mate]
    sandbox.state.objects[key] = json.dumps(document).encode()
    codes = sorted(finding.code for finding in sandbox.deployment.inventory().findings)
    assert codes == ["MTS761", "MTS769"]
    sandbox.deployment.rebuild(Options())
    shard = Shard.parse(sandbox.state.objects[key], key)
    assert set(shard) == {COM, mate}
    assert shard.get(mate) is not None


def test_a_newer_format_is_never_rebuilt(sandbox: Sandbox):
    key = shard_of(COM)
    bad = sandbox.state.objects[key] = damages(sandbox.state.objects[key])["newer"]
    assert sandbox.deployment.rebuild(Options()) == []
    assert sandbox.state.objects[key] == bad


def test_a_lost_shard_is_an_unknown_past(sandbox: Sandbox):
    del sandbox.state.objects[shard_of(COM)]
    assert [str(domain) for domain in sandbox.deployment.inventory().unseen] == [COM]
    assert sandbox.apply().exit_code == 0
    assert PolicyId.parse(sandbox.live_id()).returned > 1_000_000


def test_what_is_no_part_of_the_ledger_is_named(sandbox: Sandbox):
    sandbox.state.objects["ledger/3f.json.orig"] = b"x"
    found = sandbox.deployment.inventory()
    assert [finding.code for finding in found.findings] == ["MTS770"]
    assert sandbox.apply().exit_code == 0


def test_a_damaged_lock_is_named_and_stops_what_writes(sandbox: Sandbox):
    sandbox.state.objects["lock.json"] = b"\0\0"
    assert [finding.code for finding in sandbox.deployment.inventory().findings] == ["MTS712"]
    assert len(sandbox.plan().acting) == 2
    with pytest.raises(StateError):
        sandbox.apply()


def test_every_100th_byte_of_every_object(sandbox: Sandbox):
    """One damaged byte: the apply is right, or the domain is named and left alone; no id is ever used for other bytes, nothing crashes."""
    objects = {key: data for key, data in sandbox.state.objects.items() if key.startswith("ledger/")}
    contents, files = dict(sandbox.target.contents), dict(sandbox.host.files)
    damaged = refused = 0
    for key, good in objects.items():
        for at in range(0, len(good), 100):
            sandbox.state.objects.clear()
            sandbox.state.objects.update(objects)
            sandbox.state.objects[key] = good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :]
            sandbox.target.contents = {name: dict(held) for name, held in contents.items()}
            sandbox.host.files = dict(files)
            damaged += 1
            result = sandbox.apply()
            refused += Outcome.UNKNOWN in result.outcomes.values()
            for name in (COM, ORG):
                assert PolicyId.parse(sandbox.live_id(name)).names(sandbox.host.files[Domain.parse(name)])
            sandbox.deployment.rebuild(Options())
            assert sandbox.apply().exit_code == 0
            assert not sandbox.plan().acting
    assert damaged == refused  # a byte that is no UTF-8 any more
