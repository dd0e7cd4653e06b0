"""What others do while an apply is under way: an operator edits zone, policy and declaration; octodns-sync runs with the plugin."""

from __future__ import annotations

import contextlib
import functools
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mtasts_deploy.errors import MtastsError
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.policy import PolicyId
from tests.acceptance.test_kill import DOMAINS, FIRST, SECOND, THIRD, ZONE, declare, deployment, make, pairs
from tests.integration.test_plugin import DECLARATION, OCTODNS, Place, sts
from tests.integration.test_plugin import ZONE as PLUGIN_ZONE
from tests.killing import apply
from tests.watching import in_zone_file, policy_file, watched
from tests.wrapping import Before, wrap_adapters

pytestmark = [pytest.mark.acceptance, pytest.mark.skipif(sys.platform == "win32", reason="no locks of the system")]

ONE, TWO = DOMAINS[:2]
ADDED = "added: {type: A, value: 192.0.2.9}   # by the operator\n"
OTHER = b"version: STSv1\r\nmode: testing\r\nmx: mx1.one.example\r\nmax_age: 86400\r\n"


def zone_file(directory: Path) -> Path:
    return directory / "zones" / f"{ONE}.yaml"


def a_record_more(directory: Path) -> None:
    zone_file(directory).write_text(zone_file(directory).read_text() + ADDED)


def another_mx_host(directory: Path) -> None:
    text = zone_file(directory).read_text()
    zone_file(directory).write_text(text.replace("mx2.", "mx3."))


def our_record_is_gone(directory: Path) -> None:
    """The operator also takes what others have written for a while."""
    zone_file(directory).write_text(ZONE.format(domain=ONE))


def other_bytes(directory: Path) -> None:
    policy_file(directory, ONE).write_bytes(OTHER)


def no_policy(directory: Path) -> None:
    policy_file(directory, ONE).unlink(missing_ok=True)


def another_declaration(directory: Path) -> None:
    declare(directory, THIRD)


def all_of_it(directory: Path) -> None:
    a_record_more(directory)
    another_mx_host(directory)
    other_bytes(directory)
    another_declaration(directory)


EDITS: list[Callable[[Path], None]] = [
    a_record_more,
    another_mx_host,
    our_record_is_gone,
    other_bytes,
    no_policy,
    another_declaration,
    all_of_it,
]
HARMFUL = (our_record_is_gone, other_bytes, no_policy, all_of_it)
"""What senders see of these at once is the operator's; what is left in the end is ours."""


@pytest.mark.parametrize("step", [pytest.param(17, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)])
@pytest.mark.parametrize("edit", EDITS)
def test_an_operator_edits_at_every_call_of_a_run(tmp_path: Path, step: int, edit: Callable[[Path], None], capsys):
    looks: list[int] = []
    edits = 0
    for number in count(1 + EDITS.index(edit), step):
        directory = tmp_path / str(number)
        make(directory)
        declare(directory, FIRST)
        assert apply(deployment(directory)) == 0
        declare(directory, SECOND)
        editing = Before(number, functools.partial(edit, directory))
        places = {one: in_zone_file(directory, one, f"zones/{one}.yaml", "_mta-sts") for one in DOMAINS}
        with watched(places, looks, wrongs=edit not in HARMFUL):
            with contextlib.suppress(MtastsError):
                wrap_adapters(deployment(directory), editing).apply()
            if editing.left > 0:
                break
            edits += 1
            for _ in range(2):  # an MX host that the policy lacks, or a stranger's policy, may take one run more
                deployment(directory).apply()
            plan = deployment(directory).plan()
            assert not plan.acting
            assert {one.verdict for one in plan.domains} <= {Verdict.UNCHANGED, Verdict.WAITING}  # an MX host that left stays for its TTL
        settled(directory, edit)
    with capsys.disabled():
        print(f"\n{edit.__name__}: {edits} times in a run, {sum(looks)} looks of a sender")
    assert edits >= 3


def settled(directory: Path, edit: Callable[[Path], None]) -> None:
    """All is as it is declared now, and what the operator has written is there."""
    age = b"259200" if edit in (another_declaration, all_of_it) else b"172800"
    for domain, id_, body in pairs(directory):
        assert body is not None
        assert age in body
        assert PolicyId.parse(id_ or "").names(body), domain
    text = zone_file(directory).read_text()
    assert (ADDED in text) is (edit in (a_record_more, all_of_it))
    assert ("mx3." in text) is (edit in (another_mx_host, all_of_it))


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.long)])
def test_deploy_and_octodns_sync_run_at_once(tmp_path: Path, rounds: int, capsys: pytest.CaptureFixture[str]):
    """Both are real programs; only the file of the zone is not written by both."""
    place = Place(tmp_path)
    place.write("mta-sts.yaml", DECLARATION)
    place.write("octodns.yaml", OCTODNS)
    place.write("config/example.com.yaml", PLUGIN_ZONE)
    (tmp_path / "policies").mkdir()
    place.first()
    place.applied()
    place.synced()
    place.applied()
    looks: list[int] = []
    chance = random.Random(4)
    names = {"example.com": "_mta-sts", "mail.example.com": "_mta-sts.mail"}
    with watched({name: in_zone_file(tmp_path, name, "published/example.com.yaml", key) for name, key in names.items()}, looks, gap=3):
        for days in range(8, 8 + rounds):  # never the default again, the bytes of which would need another id
            place.write("mta-sts.yaml", DECLARATION.replace("example.com:\n", f"example.com: {{max_age: {days}d}}\n"))
            both = [
                subprocess.Popen(
                    ["sh", "-c", f"sleep {chance.uniform(0, 0.7):.2f}; exec {sys.executable} -m {command}"],
                    cwd=tmp_path,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                for command in (
                    "mtasts_deploy apply --auto-approve --allow MTS410=example.com --allow MTS410=mail.example.com",
                    "octodns.cmds.sync --config-file octodns.yaml --doit",
                )
            ]
            assert [one.wait(120) for one in both][1] == 0
            place.applied()
            place.synced()
            place.applied()
            for name, key in names.items():
                assert str(place.txt(key)) == sts(place, name)
                assert f"max_age: {days * 86400}".encode() in place.served(name)
    assert {"www", "mta-sts", "mail", ""} <= set(place.published())
    with capsys.disabled():
        print(f"\ndeploy apply and octodns-sync at once: {rounds} times, {sum(looks)} looks of a sender")
