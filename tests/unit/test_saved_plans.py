"""A saved plan is carried out as it was approved, or not: each reason not to has a message of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mtasts_deploy.apply.choices import OnStale
from mtasts_deploy.apply.report import Outcome, Result
from mtasts_deploy.deployment import Options
from mtasts_deploy.errors import StalePlan, UsageError
from mtasts_deploy.plan import file
from mtasts_deploy.plan.model import Plan
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from tests.deployments import Sandbox, zone
from tests.worlds import Failure

TWO = "domains:\n  example.com: {%s}\n  example.org: {%s}\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    made = Sandbox(tmp_path)
    made.target.contents |= zone("example.org", "mx1.example.org")
    made.declare(TWO % ("", ""))
    return made


def saved(sandbox: Sandbox) -> Plan:
    """A plan that went through a file."""
    return file.parse(file.render(sandbox.plan(), "test"), "plan.json")


def apply(sandbox: Sandbox, plan: Plan | None, on_stale: OnStale = OnStale.STOP, expect: str | None = None) -> Result:
    result = sandbox.deployment.apply(saved=plan, expect=expect, options=Options(on_stale=on_stale, parallelism=1))
    assert result is not None
    return result


def refused(sandbox: Sandbox, plan: Plan | None, expect: str | None = None) -> list[str]:
    before = (dict(sandbox.host.files), repr(sandbox.target.contents), {k: v for k, v in sandbox.state.objects.items() if k != "lock.json"})
    with pytest.raises(StalePlan) as error:
        apply(sandbox, plan, expect=expect)
    after = (dict(sandbox.host.files), repr(sandbox.target.contents), {k: v for k, v in sandbox.state.objects.items() if k != "lock.json"})
    assert before == after
    assert error.value.exit_code == 5
    return [finding.code for finding in error.value.diagnostics]


def test_one_stale_domain_stops_the_plan_before_anything_is_changed(sandbox: Sandbox):
    plan = saved(sandbox)
    sandbox.target.set_mx("example.org", "mx9.example.org")
    assert refused(sandbox, plan) == ["MTS702", "MTS766"]


def test_or_it_is_left_out_and_the_exit_code_says_so(sandbox: Sandbox):
    plan = saved(sandbox)
    sandbox.target.set_mx("example.org", "mx9.example.org")
    result = apply(sandbox, plan, OnStale.SKIP)
    assert {str(domain): outcome for domain, outcome in result.outcomes.items()} == {
        "example.com": Outcome.DONE,
        "example.org": Outcome.STALE,
    }
    assert result.exit_code == 5


@pytest.mark.parametrize("declared", ["domains:\n  example.com: {max_age: 2d}\n  example.org:\n", "domains:\n  example.org:\n"])
def test_a_plan_of_other_settings_is_refused(sandbox: Sandbox, declared: str):
    plan = saved(sandbox)
    sandbox.declare(declared)
    assert refused(sandbox, plan) == ["MTS765", "MTS766"]


def test_what_somebody_else_has_done_is_stale(sandbox: Sandbox):
    plan = saved(sandbox)
    sandbox.declare("domains:\n  example.org:\n")
    sandbox.apply()
    sandbox.declare(TWO % ("", ""))
    assert refused(sandbox, plan) == ["MTS702", "MTS766"]


# --- its own run -------------------------------------------------------------------------------------------------------------------------


def killed_at(sandbox: Sandbox, plan: Plan, number: int) -> bool:
    """Carry the plan out until the `number`-th external operation; did it come so far?"""
    left = number

    def hook(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Failure

    with sandbox.failing(hook):
        try:
            apply(sandbox, plan)
        except Failure:
            return True
    return False


def first(sandbox: Sandbox) -> None:
    sandbox.declare(TWO % ("tlsrpt: 'mailto:a@example.net'", ""))


def change(sandbox: Sandbox) -> None:
    first(sandbox)
    sandbox.apply()
    sandbox.clock.pass_(hours=5)
    sandbox.declare(TWO % ("max_age: 3d, tlsrpt: 'mailto:b@example.net'", "max_age: 2d"))


def withdrawn(sandbox: Sandbox) -> None:
    first(sandbox)
    sandbox.apply()
    sandbox.clock.pass_(hours=5)
    sandbox.declare(TWO % ("tlsrpt: false", "max_age: 2d"))


@pytest.mark.parametrize("start", [first, change, withdrawn])
def test_a_plan_whose_own_run_died_goes_on_from_every_point(tmp_path: Path, start: Callable[[Sandbox], None]):
    points = 0
    for number in range(1, 1000):
        directory = tmp_path / str(number)
        directory.mkdir()
        sandbox = Sandbox(directory)
        sandbox.target.contents |= zone("example.org", "mx1.example.org")
        start(sandbox)
        plan = saved(sandbox)
        if not killed_at(sandbox, plan, number):
            break
        points += 1
        sandbox.state.objects.pop("lock.json", None)
        sandbox.clock.pass_(minutes=3)
        assert apply(sandbox, plan).exit_code == 0, f"killed at {number}: {sandbox.faults.calls[-1]}"
        assert not sandbox.plan().acting
        assert all(PolicyId.parse(sandbox.live_id(str(domain))).names(body) for domain, body in sandbox.host.files.items())
    assert points > 20


def test_a_stranger_meanwhile_ends_that(sandbox: Sandbox):
    change(sandbox)
    plan = saved(sandbox)
    with sandbox.failing(_at("write example.com.")), pytest.raises(Failure):
        apply(sandbox, plan)
    sandbox.state.objects.pop("lock.json", None)
    sandbox.host.files[Domain.parse("example.com")] = b"version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmax_age: 86400\r\n"
    with pytest.raises(StalePlan) as error:
        apply(sandbox, plan)
    codes = [finding.code for finding in error.value.diagnostics]
    assert codes == ["MTS768", "MTS766"]
    assert "a run of this very plan ended half-way" in error.value.diagnostics[0].message


def _at(what: str) -> Callable[[str], None]:
    def hook(call: str) -> None:
        if call == what:
            raise Failure

    return hook


# --- --expect ----------------------------------------------------------------------------------------------------------------------------


def test_the_expected_plan_is_carried_out(sandbox: Sandbox):
    expected = file.digest(sandbox.plan())
    sandbox.clock.pass_(days=1)
    assert apply(sandbox, None, expect=expected).exit_code == 0
    assert not sandbox.plan().acting


def test_another_one_is_not(sandbox: Sandbox):
    expected = file.digest(sandbox.plan())
    sandbox.declare(TWO % ("max_age: 2d", ""))
    assert refused(sandbox, None, expect=expected) == ["MTS767"]


# --- files -------------------------------------------------------------------------------------------------------------------------------


def unusable(data: bytes) -> str:
    with pytest.raises(UsageError) as error:
        file.parse(data, "plan.json")
    return error.value.diagnostics[0].code


def test_each_kind_of_unusable_file_has_its_own_message(sandbox: Sandbox):
    good = file.render(sandbox.plan(), "test")
    data = json.loads(good)
    for cut in (2, 3, 4, 50, len(good) // 2, len(good) - 1):
        assert unusable(good[:-cut]) == "MTS764", cut
    assert unusable(b"") == "MTS764"
    assert unusable(bytes(1000)) == "MTS771"
    assert unusable(b"not a plan") == "MTS771"
    versions: tuple[object, ...] = ("2", None, True, 1.5, [], 0, -1)
    for version in versions:
        assert unusable(json.dumps(data | {"format_version": version}).encode()) == "MTS771", version
    assert unusable(json.dumps(data | {"format_version": 2}).encode()) == "MTS772"
    assert unusable(good.replace(b"max_age: 604800", b"max_age: 604801")) == "MTS773"


def test_a_plan_that_is_damaged_anywhere_is_refused_or_the_same(sandbox: Sandbox):
    """Every 20th byte becomes another one: no other steps are ever read from the file."""
    good = file.render(sandbox.plan(), "test")
    wanted = file.digest(file.parse(good, "plan.json"))
    for at in range(0, len(good), 20):
        bad = good[:at] + bytes([good[at] ^ 0x11]) + good[at + 1 :]
        try:
            read = file.digest(file.parse(bad, "plan.json"))
        except UsageError:
            continue
        assert read == wanted
