"""What all tests share: signals as usual, and the rule for tests that need programs which may not be installed."""

from __future__ import annotations

import os
import shutil
import signal

import pytest


def pytest_configure() -> None:
    """What the tests were started under (`nohup`, a background job) may have switched signals off, for all their children, too."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.services("unshare")` skips without the program, or fails if MTASTS_REQUIRE_SERVICES=1: CI must not skip by accident."""
    for marker in item.iter_markers("services"):
        absent = [program for program in marker.args if shutil.which(program) is None]
        if absent and os.environ.get("MTASTS_REQUIRE_SERVICES") == "1":
            pytest.fail(f"not installed: {', '.join(absent)}", pytrace=False)
        if absent:
            pytest.skip(f"not installed: {', '.join(absent)}")
