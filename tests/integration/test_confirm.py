"""After a push: every name server of the zone is asked, and what lags is waited for, told and never undone (DESIGN section 7, stage 4)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mtasts_deploy.adapters import name_servers
from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.confirm import PATIENCE
from mtasts_deploy.apply.report import Event, Outcome, Result
from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.plan.selection import Lifted
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.options import Detour, Endpoint, Looking
from tests.estates import codes, deploy
from tests.nameservers import Bind, Knot, PowerDns, Rrset, Server, running
from tests.servers import free_port, listening
from tests.servers import running as program

pytestmark = [pytest.mark.integration, pytest.mark.services("named")]

EXAMPLE = Domain.parse("example.com")
KINDS = [pytest.param(kind, marks=pytest.mark.services(kind.program), id=kind.__name__) for kind in (PowerDns, Bind, Knot)]
ZONE = [
    Rrset("@", "NS", 3600, ("ns1.example.com.", "ns2.example.com.")),
    Rrset("ns1", "A", 3600, ("127.0.0.1",)),
    Rrset("ns2", "A", 3600, ("127.0.0.2",)),
    Rrset("@", "MX", 600, ("10 mx.example.com.",)),
    Rrset("mx", "A", 300, ("192.0.2.25",)),
]


@dataclass
class Secondary:
    """A BIND that takes the zone over from a primary with a transfer when it starts, and not again while it runs."""

    directory: Path
    primary: Server
    port: int = field(default_factory=free_port)

    @contextmanager
    def serving(self) -> Iterator[None]:
        here = self.directory
        here.mkdir(exist_ok=True)
        key = getattr(self.primary, "key", "")
        signed = not isinstance(self.primary, PowerDns)
        (here / "named.conf").write_text(
            (f'key k {{ algorithm hmac-sha256; secret "{key}"; }};\n' if signed else "")
            + f'options {{ directory "{here}"; pid-file "{here}/named.pid"; session-keyfile "{here}/session.key"; '
            f'managed-keys-directory "{here}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; '
            "dnssec-validation no; notify no; };\ncontrols { };\n"
            f'zone "example.com" {{ type secondary; file "example.com.zone"; masterfile-format text; '
            f"primaries {{ 127.0.0.1 port {self.primary.port}{' key k' if signed else ''}; }}; }};\n"
        )
        (here / "example.com.zone").unlink(missing_ok=True)
        command = ["named", "-g", "-n", "1", "-c", str(here / "named.conf")]
        with program(command, lambda: listening("127.0.0.1", self.port) and self._has_it(), here / "log"):
            yield

    def _has_it(self) -> bool:
        replies = name_servers(_looking(self.primary, self.port)).ask_authoritative("mx.example.com", "A")
        return [reply.answered for reply in replies] == [True, True]


def _looking(primary: Server, second: int) -> Looking:
    """The resolver is the primary; DNS calls the two servers 127.0.0.1 and 127.0.0.2."""
    detours = {"127.0.0.1": primary.port, "127.0.0.2": second}
    return Looking(
        resolver=Endpoint(address="127.0.0.1", port=primary.port),
        detours=tuple(Detour(host=name, port=53, to=Endpoint(address="127.0.0.1", port=port)) for name, port in detours.items()),
    )


@dataclass
class Estate:
    """One domain at a real server, and a second one that may lag."""

    directory: Path
    primary: Server
    second: Secondary
    events: list[Event] = field(default_factory=list)

    def deployment(self, settings: str) -> Deployment:
        made = deploy(self.directory, {"dns": self.primary.block()}, f"  example.com: {settings}\n")
        domains = {domain: replace(one, by_hand=False, allow=()) for domain, one in made.declaration.domains.items()}
        made.declaration = replace(made.declaration, domains=domains)
        made.name_servers = lambda: name_servers(_looking(self.primary, self.second.port))
        made.emit = self.events.append
        made.clock = lambda: datetime.now(UTC).replace(microsecond=0)
        return made

    def apply(self, settings: str = "{max_age: 1w}") -> Result:
        """Without a wait."""
        return applied(self.deployment(settings), timedelta())

    @property
    def entry(self) -> Entry:
        return Book(self.deployment("{}").store).entry(EXAMPLE)

    def still_visible(self) -> int:
        return sum(one.until is None for one in self.entry.ids.values())


def applied(deployment: Deployment, patience: timedelta = PATIENCE) -> Result:
    """Nothing serves the policy here, so the guard against `confirm: storage` is lifted."""
    result = deployment.apply(options=Options(barrier_timeout=patience), lifted=Lifted.parse(["MTS410=example.com"]))
    assert result is not None
    return result


@pytest.fixture(params=KINDS)
def estate(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Estate]:
    with running(request.param, tmp_path / "server", {"example.com": ZONE}) as primary:
        for name, value in primary.environment.items():
            monkeypatch.setenv(name, value)
        yield Estate(tmp_path / "d", primary, Secondary(tmp_path / "second", primary))


def test_a_secondary_that_lags_leaves_the_change_unconfirmed_and_the_next_apply_closes(estate: Estate):
    with estate.second.serving():
        result = estate.apply()
        assert (result.outcomes[EXAMPLE], result.exit_code, codes(result)) == (Outcome.UNCONFIRMED, 6, ["MTS707"])
        assert "127.0.0.2" in result.findings[0].message
        assert len(estate.primary.txt("example.com", "_mta-sts.example.com")) == 1  # nothing is undone
        assert [one.confirmed for one in estate.entry.ids.values()] == [None]
        again = estate.apply()
        assert (again.outcomes[EXAMPLE], again.exit_code, codes(again)) == (Outcome.UNCONFIRMED, 6, ["MTS707"])
    with estate.second.serving():
        last = estate.apply()
    assert (last.outcomes[EXAMPLE], last.exit_code, last.findings) == (Outcome.UNCHANGED, 0, ())
    assert [one.confirmed is not None for one in estate.entry.ids.values()] == [True]


def test_the_old_id_is_visible_until_the_last_server_has_the_new_one(estate: Estate):
    with estate.second.serving():
        estate.apply()
    with estate.second.serving():
        assert estate.apply().exit_code == 0
        assert estate.apply("{max_age: 2w}").exit_code == 6
        assert estate.still_visible() == 2
    with estate.second.serving():
        assert estate.apply("{max_age: 2w}").exit_code == 0
        assert estate.still_visible() == 1
        assert estate.apply("{max_age: 2w}").exit_code == 0


def test_an_old_address_counts_until_the_last_server_has_the_new_one(estate: Estate):
    estate.primary.add("example.com", Rrset("mta-sts", "CNAME", 1, ("old.example.net.",)))
    old, new = (f"{{ttl: 1, address: {{cname: {name}.example.net}}}}" for name in ("old", "new"))

    def open_ways() -> dict[str | None, bool]:
        return {way.address.cname: way.until is None for way in estate.entry.ways}

    with estate.second.serving():
        estate.apply(old)
    with estate.second.serving():
        assert estate.apply(old).exit_code == 0
        assert open_ways() == {"old.example.net": True}
        assert estate.apply(new).exit_code == 0
        for _ in range(2):
            time.sleep(2)
            assert estate.apply(new).exit_code == 0
            assert open_ways() == {"old.example.net": True, "new.example.net": True}
    with estate.second.serving():
        estate.apply(new)
        assert open_ways() == {"old.example.net": False, "new.example.net": True}
        time.sleep(2)
        estate.apply(new)
        assert open_ways() == {"new.example.net": True}


def test_a_lag_is_waited_for(estate: Estate):
    def transfer(event: Event) -> None:
        estate.events.append(event)
        if event.what == "waiting":
            running_second.__exit__(None, None, None)
            fresh.__enter__()

    running_second, fresh = estate.second.serving(), estate.second.serving()
    running_second.__enter__()
    made = estate.deployment("{max_age: 1w}")
    made.emit = transfer
    began = time.monotonic()
    try:
        result = applied(made)
    finally:
        fresh.__exit__(None, None, None)
    assert (result.outcomes[EXAMPLE], result.exit_code) == (Outcome.DONE, 0)
    assert time.monotonic() - began < 30
    said = next(event.text for event in estate.events if event.what == "waiting")
    assert said == "waiting for its name servers: 127.0.0.2 has no such record at _mta-sts.example.com"
    assert [one.confirmed is not None for one in estate.entry.ids.values()] == [True]


def test_a_dead_secondary_is_named_and_fails_nothing(estate: Estate):
    result = estate.apply()
    assert (result.outcomes[EXAMPLE], result.exit_code, codes(result)) == (Outcome.DONE, 0, ["MTS708"])
    assert "127.0.0.2" in result.findings[0].message
    assert [one.confirmed is not None for one in estate.entry.ids.values()] == [True]
    assert estate.apply().findings == ()  # nothing is open, so nobody is asked


def test_where_no_server_is_known_the_word_of_the_provider_has_to_do(estate: Estate):
    made = estate.deployment("{max_age: 1w}")
    dead = Looking(resolver=Endpoint(address="127.0.0.1", port=free_port()))
    made.name_servers = lambda: name_servers(dead)
    result = applied(made)
    assert (result.exit_code, codes(result)) == (0, ["MTS708"])
    assert "name servers of _mta-sts.example.com could not be found" in result.findings[0].message
    assert [one.confirmed is not None for one in estate.entry.ids.values()] == [True]


def test_a_signal_ends_the_wait_for_a_server_that_lags(estate: Estate):
    made = estate.deployment("{max_age: 1w}")

    def stop(event: Event) -> None:
        made.stop.requested = made.stop.requested or event.what == "waiting"

    made.emit = stop
    began = time.monotonic()
    with estate.second.serving():
        result = applied(made)
    assert (result.outcomes[EXAMPLE], result.exit_code) == (Outcome.INTERRUPTED, 130)
    assert time.monotonic() - began < 15


def plugin_alone(estate: Estate, settings: str = "") -> Deployment:
    estate.directory.mkdir(exist_ok=True)
    path = estate.directory / "mta-sts.yaml"
    path.write_text(f"version: 1\ndomains:\n  example.com: {{dns: plugin, confirm: storage{settings}}}\n")
    return Deployment.of(load(path, today=date(2026, 1, 5)), _looking(estate.primary, estate.second.port))


def test_with_plugin_alone_the_name_servers_are_looked_at_and_nothing_is_written(estate: Estate):
    before = estate.primary.dump("example.com")
    with estate.second.serving():
        [plan] = plugin_alone(estate).plan(lifted=Lifted.parse(["MTS410=example.com"])).domains
        assert "mx.example.com" in next(line.text for line in plan.lines if line.what == "policy")
        assert "zone example.com. at plugin" in plan.where
        result = applied(plugin_alone(estate))
        assert (result.outcomes[EXAMPLE], result.exit_code) == (Outcome.WAITING, 0)
        assert estate.primary.dump("example.com") == before
        ours = Book(plugin_alone(estate).store).entry(EXAMPLE).to_publish
        assert ours is not None
        estate.primary.add("example.com", Rrset("_mta-sts", "TXT", 60, (f'"v=STSv1; id={ours.id};"',)))
        assert applied(plugin_alone(estate)).outcomes[EXAMPLE] is Outcome.UNCONFIRMED, "one of two servers shows it"
    with estate.second.serving():
        result = applied(plugin_alone(estate))
        assert (result.outcomes[EXAMPLE], result.exit_code, codes(result)) == (Outcome.UNCHANGED, 0, [])
        assert [one.confirmed is not None for one in estate.entry.ids.values()] == [True]


def test_with_plugin_alone_a_storage_proof_is_not_enough(estate: Estate):
    with estate.second.serving():
        result = plugin_alone(estate).apply()
    assert result is not None
    assert result.exit_code == 3


def test_with_plugin_alone_an_unreachable_zone_is_not_guessed_about(estate: Estate):
    made = plugin_alone(estate)
    made = Deployment.of(made.declaration, Looking(resolver=Endpoint(address="127.0.0.1", port=free_port())))
    [plan] = made.plan().domains
    assert (plan.verdict, [finding.code for finding in plan.findings]) == (Verdict.UNKNOWN, ["MTS554"] * len(plan.findings))
