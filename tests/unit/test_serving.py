"""What fetching as a sender does means in a run, on a world in memory: the ledger, the outcomes, the guard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.report import Outcome
from mtasts_deploy.declaration.model import Confirm, DomainSettings
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Address, Fetched
from mtasts_deploy.ledger.events import digits_of
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.plan.guards import storage_guard
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import policy_id
from tests.deployments import EXAMPLE, Sandbox, declare

OLD = "domains:\n  example.com: {confirm: https}\n"
NEW = "domains:\n  example.com: {confirm: https, max_age: 2w}\n"


@dataclass
class Edge:
    """Senders get what the host of the sandbox holds, unless `stale` has something else; `more` is what the answers say besides."""

    sandbox: Sandbox
    stale: bytes | None = None
    problem: str = ""
    more: dict[str, object] = field(default_factory=dict)
    count: int = 0
    hook: Callable[[int], None] = lambda _: None

    def fetch_at(self, domain: Domain, address: Address) -> tuple[Fetched, ...]:
        raise NotImplementedError

    def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        self.count += 1
        self.hook(self.count)
        body = self.stale or self.sandbox.host.files.get(domain)
        if self.problem:
            return (Fetched(address="192.0.2.1", problem=Diagnostic(code=self.problem, message=self.problem)),)
        if body is None:
            return (Fetched(address="192.0.2.1", status=404, problem=Diagnostic(code="MTS521", message="404")),)
        return (replace(Fetched(address="192.0.2.1", status=200, body=body), **self.more),)  # type: ignore[arg-type]


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    sandbox = Sandbox(tmp_path)
    sandbox.fetcher = Edge(sandbox)
    sandbox.declare(OLD)
    assert sandbox.apply().exit_code == 0
    sandbox.fetcher = Edge(sandbox)
    sandbox.declare(NEW)
    return sandbox


def edge(sandbox: Sandbox) -> Edge:
    assert isinstance(sandbox.fetcher, Edge)
    return sandbox.fetcher


def entry(sandbox: Sandbox) -> Entry:
    return Book(sandbox.state).entry(EXAMPLE)


def test_old_bytes_count_as_fetchable_until_the_barrier_has_opened(sandbox: Sandbox):
    old = sandbox.host.files[EXAMPLE]
    edge(sandbox).stale = old
    assert sandbox.apply().outcomes[EXAMPLE] is Outcome.UNFINISHED
    new = sandbox.host.files[EXAMPLE]
    assert entry(sandbox).fetchable() == {digits_of(old), digits_of(new)}
    assert entry(sandbox).policies[digits_of(new)].read_back is not None
    edge(sandbox).stale = None
    assert sandbox.apply().exit_code == 0
    assert entry(sandbox).fetchable() == {digits_of(new)}
    assert sandbox.live_id() == str(policy_id(new))


def test_bytes_that_only_a_fetch_shows_spend_the_id_that_is_visible(sandbox: Sandbox):
    edge(sandbox).stale = b"version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"
    before = sandbox.live_id()
    sandbox.apply()
    assert entry(sandbox).ids[before].spent


def test_the_wait_for_a_cache_is_counted_from_the_put_by_a_later_run(sandbox: Sandbox):
    before = sandbox.live_id()
    edge(sandbox).more = {"shared_cache": ("age: 1",), "freshness": 3600}
    result = sandbox.apply()
    assert [finding.code for finding in result.findings] == ["MTS532"]
    assert sandbox.live_id() == before
    sandbox.clock.pass_(minutes=58)
    assert sandbox.apply().exit_code == 0
    assert sandbox.live_id() != before


def test_a_confirmed_purge_spares_the_wait_for_a_cache(sandbox: Sandbox):
    edge(sandbox).more = {"shared_cache": ("age: 1",), "freshness": 3600}
    sandbox.host.empties = True
    assert sandbox.apply().exit_code == 0
    assert sandbox.host.purges == [(EXAMPLE,)] * 2


def test_a_declared_edge_ttl_is_waited_out_although_nothing_shows_a_cache(sandbox: Sandbox):
    before = sandbox.live_id()
    sandbox.host.edge_ttl = 1800
    assert [finding.code for finding in sandbox.apply().findings] == ["MTS532"]
    assert sandbox.live_id() == before
    sandbox.clock.pass_(minutes=25)
    began = sandbox.clock.now
    assert sandbox.apply().exit_code == 0  # five minutes are left, counted from the put of the first run
    assert timedelta(minutes=4) < sandbox.clock.now - began < timedelta(minutes=6)
    assert sandbox.live_id() != before


def test_a_declared_edge_ttl_is_not_waited_out_after_a_confirmed_purge(sandbox: Sandbox):
    sandbox.host.edge_ttl, sandbox.host.empties = 1800, True
    assert sandbox.apply().exit_code == 0


def test_a_signal_ends_the_wait_for_a_purge_and_the_next_apply_purges_again(sandbox: Sandbox):
    before = sandbox.live_id()
    deployment = sandbox.deployment

    def signal(call: str) -> None:
        deployment.stop.requested = deployment.stop.requested or call == "purge"

    with sandbox.failing(signal):
        result = deployment.apply()
    assert result is not None
    assert (result.exit_code, sandbox.live_id()) == (130, before)
    done = len(sandbox.host.purges)
    assert sandbox.apply().exit_code == 0
    assert len(sandbox.host.purges) == done + 1
    assert sandbox.live_id() != before


def test_a_put_of_bytes_that_were_there_before_is_counted_anew(sandbox: Sandbox):
    """A, then B that never opened the barrier, then A again: what was noted about the first A says nothing about the third put."""
    edge(sandbox).more = {"shared_cache": ("age: 1",), "freshness": 3600}
    assert sandbox.apply().outcomes[EXAMPLE] is Outcome.UNFINISHED
    sandbox.clock.pass_(minutes=30)
    sandbox.declare(OLD)
    result = sandbox.apply()
    assert [finding.code for finding in result.findings] == ["MTS532"]
    put = entry(sandbox).policies[digits_of(sandbox.host.files[EXAMPLE])]
    assert put.read_back is not None
    assert sandbox.clock.now - put.read_back < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("problem", "outcome"),
    [("MTS510", Outcome.FAILED), ("MTS520", Outcome.FAILED), ("MTS550", Outcome.FAILED), ("MTS501", Outcome.UNKNOWN)],
)
def test_a_host_that_the_put_does_not_mend_leaves_the_domain_out(sandbox: Sandbox, problem: str, outcome: Outcome):
    files = dict(sandbox.host.files)
    edge(sandbox).problem = problem
    assert sandbox.apply().outcomes[EXAMPLE] is outcome
    assert sandbox.host.files == files


def test_the_barrier_proves_the_lock_while_it_waits(sandbox: Sandbox):
    edge(sandbox).stale = sandbox.host.files[EXAMPLE]
    sandbox.faults.calls.clear()
    sandbox.apply()
    assert sandbox.faults.calls.count("save lock.json") >= 6  # ten minutes of waiting, renewed each minute


def test_a_rollback_goes_through_the_barrier(sandbox: Sandbox):
    assert sandbox.apply().exit_code == 0
    edge(sandbox).count = 0
    assert sandbox.rollback("example.com").exit_code == 0
    assert edge(sandbox).count == 5


def test_nothing_is_fetched_for_a_tlsrpt_record(sandbox: Sandbox):
    sandbox.declare("domains:\n  example.com: {confirm: https, tlsrpt: 'mailto:a@example.net'}\n")
    assert sandbox.apply().exit_code == 0
    assert edge(sandbox).count == 0


def test_https_is_the_default_beside_a_provider_that_is_no_zone_file(tmp_path: Path):
    settings = declare(tmp_path, "domains: {example.com: , example.net: {confirm: https}}").domains
    assert [one.confirm for one in settings.values()] == [Confirm.STORAGE, Confirm.HTTPS]


def test_storage_beside_a_real_provider_is_a_guard():
    settings = DomainSettings(domain=EXAMPLE, confirm=Confirm.STORAGE, by_hand=False, dns=("route53",))
    assert [finding.code for finding in storage_guard(settings)] == ["MTS410"]
    assert list(storage_guard(replace(settings, confirm=Confirm.HTTPS))) == []
    assert list(storage_guard(replace(settings, by_hand=True))) == []
