"""Domains whose policy is one file change together or not at all (UPD-16)."""

from __future__ import annotations

from pathlib import Path

from mtasts_deploy.plan.model import Plan, Verdict
from mtasts_deploy.plan.selection import Selection
from mtasts_deploy.plan.sharing import shared
from mtasts_deploy.rfc.names import Domain
from tests.deployments import Sandbox, zone
from tests.worlds import MemoryHost

SAME = "domains:\n  example.com: {mx: [mx.example.net]}\n  example.org: {mx: [mx.example.net]}\n"
DIFFERENT = "domains:\n  example.com: {mx: [mx.example.net]}\n  example.org: {mx: [mx.example.net], max_age: 2w}\n"


class OneFile(MemoryHost):
    """A host with one file for all domains."""

    def location(self, domain: Domain) -> str:
        return "s3://bucket/mta-sts.txt"


def sandbox(directory: Path, text: str) -> Sandbox:
    found = Sandbox(directory)
    found.host = OneFile(faults=found.faults)
    found.target.contents |= zone("example.org", "mx.example.net")
    found.target.set_mx("example.com", "mx.example.net")
    found.declare(text)
    return found


def codes(plan: Plan) -> list[list[str]]:
    return [[finding.code for finding in domain.findings if finding.code == "MTS409"] for domain in plan.domains]


def test_different_bytes_for_one_file_block_both(tmp_path: Path) -> None:
    plan = sandbox(tmp_path, DIFFERENT).plan()
    assert [domain.verdict for domain in plan.domains] == [Verdict.BLOCKED, Verdict.BLOCKED]
    assert codes(plan) == [["MTS409"], ["MTS409"]]


def test_the_same_bytes_pass(tmp_path: Path) -> None:
    plan = sandbox(tmp_path, SAME).plan()
    assert [domain.verdict for domain in plan.domains] == [Verdict.CHANGED, Verdict.CHANGED]


def test_one_of_them_alone_is_blocked(tmp_path: Path) -> None:
    plan = sandbox(tmp_path, SAME).deployment.plan(Selection(domains=("example.com",)))
    assert codes(plan) == [["MTS409"]]
    assert "example.org" in next(finding.message for finding in plan.findings() if finding.code == "MTS409")


def test_a_domain_that_publishes_nothing_shares_nothing(tmp_path: Path) -> None:
    plan = sandbox(tmp_path, SAME.replace("example.org: {", "example.org: {sts: false, tlsrpt: 'mailto:a@example.net', ")).plan()
    assert codes(plan) == [[], []]


def test_only_locations_of_several_domains_are_shared() -> None:
    one, two, three = (Domain.parse(f"{name}.example") for name in ("one", "two", "three"))
    assert shared([("a", one), ("b", two), ("a", three)]) == {"a": [one, three]}
