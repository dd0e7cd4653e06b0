"""Waves: a few domains first, then more, and no further wave once too many have failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.report import Outcome, Result
from mtasts_deploy.apply.waves import Share, parse_share, parse_waves, portions
from mtasts_deploy.deployment import Options
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError, UsageError
from tests.deployments import Sandbox, zone

NAMES = [f"d{number:02}.example" for number in range(20)]


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    made = Sandbox(tmp_path)
    for name in NAMES:
        made.target.contents |= zone(name, f"mx1.{name}")
    made.declare("domains:\n" + "".join(f"  {name}:\n" for name in NAMES))
    return made


def apply(sandbox: Sandbox, waves: str, max_failures: str = "0", on_error: OnError = OnError.CONTINUE) -> Result:
    options = Options(
        parallelism=1, waves=parse_waves("--wave", waves), max_failures=parse_share("--max-failures", max_failures), on_error=on_error
    )
    result = sandbox.deployment.apply(options=options)
    assert result is not None
    return result


def failing(count: int) -> Callable[[str], None]:
    """The first `count` puts fail."""
    left = count

    def hook(call: str) -> None:
        nonlocal left
        if call.startswith("put ") and left:
            left -= 1
            raise HostError(Diagnostic(code="MTS741", message="injected"), written=False)

    return hook


def ended(result: Result) -> dict[Outcome, int]:
    return {outcome: count for outcome in Outcome if (count := result.count(outcome))}


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1%,10%,100%", [1, 1, 18]),
        ("1%", [1, 19]),
        ("5,10", [5, 5, 10]),
        ("5,500", [5, 15]),
        ("100%", [20]),
    ],
)
def test_each_wave_goes_up_to_its_share(text, sizes):
    parts = portions(NAMES, parse_waves("--wave", text))
    assert [len(part) for part in parts] == sizes
    assert [name for part in parts for name in part] == NAMES


def test_without_domains_there_is_no_wave():
    assert portions([], (Share(number=1),)) == []


@pytest.mark.parametrize("text", ["", "x", "0,5", "10%,1%", "5,5", "5,10%", "101%", "-1", "1 %", "1%,,2%"])
def test_what_is_no_wave_is_said(text):
    with pytest.raises(UsageError) as error:
        parse_waves("--wave", text)
    assert error.value.diagnostics[0].code == "MTS928"


def test_all_is_done_wave_by_wave(sandbox: Sandbox):
    result = apply(sandbox, "5%,25%,100%")
    assert ended(result) == {Outcome.DONE: 20}
    waves = [event.text for event in sandbox.events if event.what == "wave"]
    assert waves == ["wave 1 of 3: 1 domains", "wave 2 of 3: 4 domains", "wave 3 of 3: 15 domains"]
    first = next(index for index, call in enumerate(sandbox.faults.calls) if call.startswith("wrote"))
    assert sum(call.startswith("put ") for call in sandbox.faults.calls[:first]) == 1  # the second wave begins when the first has ended


def test_one_failure_stops_before_the_next_wave(sandbox: Sandbox):
    with sandbox.failing(failing(1)):
        result = apply(sandbox, "5%,25%,100%")
    assert ended(result) == {Outcome.FAILED: 1, Outcome.HELD: 19}
    assert {finding.code for finding in result.findings} == {"MTS741", "MTS709"}
    assert result.exit_code == 1
    assert len(sandbox.host.files) == 0
    assert ended(apply(sandbox, "5%,25%,100%")) == {Outcome.DONE: 20}


def test_as_many_may_fail_as_is_said(sandbox: Sandbox):
    with sandbox.failing(failing(2)):
        result = apply(sandbox, "25%,100%", "10%")
    assert ended(result) == {Outcome.DONE: 18, Outcome.FAILED: 2}
    again = apply(sandbox, "25%,100%")
    assert ended(again) == {Outcome.DONE: 2, Outcome.UNCHANGED: 18}


def test_with_rollback_the_waves_before_are_taken_back(sandbox: Sandbox):
    sandbox.apply()
    before = dict(sandbox.host.files)
    sandbox.clock.pass_(hours=3)
    sandbox.declare("domains:\n" + "".join(f"  {name}: {{max_age: 2d}}\n" for name in NAMES))
    puts = 0

    def seventh(call: str) -> None:
        nonlocal puts
        puts += call.startswith("put ")
        if call.startswith("put ") and puts == 7:
            raise HostError(Diagnostic(code="MTS741", message="injected"), written=False)

    with sandbox.failing(seventh):
        result = apply(sandbox, "5,10,20", on_error=OnError.ROLLBACK)
    assert result.taken_back
    assert sandbox.host.files == before
    assert result.exit_code == 1
