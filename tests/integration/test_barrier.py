"""Whole applies with `confirm: https`: zone files, and an nginx that serves `policies/`.

The records move only when every address serves the planned policy to a strict sender; else they stay, and the finding names the cause.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.report import Event, Outcome, Result
from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.facts import Address, Fetched
from mtasts_deploy.ledger.events import digits_of
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from mtasts_deploy.sender.https import StrictFetcher
from mtasts_deploy.sender.names import Addresses
from mtasts_deploy.sender.options import Detour, Endpoint, Looking
from tests.servers import HOST, Certificates, Nginx, free_port

pytestmark = [pytest.mark.integration, pytest.mark.services("nginx")]

EXAMPLE = Domain.parse("example.com")
ZONE = "'': {type: MX, value: {exchange: mx1.example.com., preference: 10}}\n"
FIRST = "max_age: 1w"
SECOND = "max_age: 2w"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@dataclass
class Site:
    """One deployment of example.com, and the addresses at which its policy is fetched."""

    directory: Path
    certificates: Certificates
    ports: dict[str, int]
    good: Path
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.directory / "zones").mkdir()
        (self.directory / "zones" / "example.com.yaml").write_text(ZONE)
        self.fetches = 0
        self.before_fetch: Callable[[int], None] = lambda _: None

    @property
    def policy(self) -> Path:
        return self.directory / "policies" / HOST / ".well-known" / "mta-sts.txt"

    def declare(self, settings: str) -> None:
        (self.directory / "mta-sts.yaml").write_text(
            f"version: 1\ndomains: {{example.com: {{tlsrpt: 'mailto:a@example.net', confirm: https, {settings}}}}}\n"
        )

    def deployment(self, *, clock: timedelta = timedelta()) -> Deployment:
        declaration = load(self.directory / "mta-sts.yaml", today=datetime.now(UTC).date())
        detours = tuple(Detour(host=name, port=443, to=Endpoint(address=name, port=port)) for name, port in self.ports.items())
        looking = Looking(ca_file=self.certificates.root, detours=detours, timeout=5)
        strict = StrictFetcher(looking, lambda name, _: Addresses(name=name, addresses=tuple(self.ports)))
        site = self

        class Counting:
            def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
                site.fetches += 1
                site.before_fetch(site.fetches)
                return strict.fetch(domain, known=known)

            def fetch_at(self, domain: Domain, address: Address) -> tuple[Fetched, ...]:
                return strict.fetch_at(domain, address)

        deployment = Deployment.of(declaration)
        deployment.fetcher = Counting
        deployment.emit = self.events.append
        deployment.clock = lambda: datetime.now(UTC).replace(microsecond=0) + clock
        return deployment

    def apply(self, settings: str, *, patience: float = 4, clock: timedelta = timedelta(), on_error: OnError = OnError.CONTINUE) -> Result:
        self.declare(settings)
        self.fetches = 0
        options = Options(barrier_timeout=timedelta(seconds=patience), on_error=on_error)
        result = self.deployment(clock=clock).apply(options=options)
        assert result is not None
        return result

    def block(self, more: str = "", *, address: str = "127.0.0.2", certificate: Path | None = None, location: str = "") -> str:
        """A server that serves `policies/` at that address."""
        chain = certificate or self.good
        return (
            f"server {{ listen {address}:{self.ports[address]} ssl; ssl_certificate {chain}; ssl_certificate_key {chain}; {more} "
            f"root {self.directory}/policies/{HOST}; location = /.well-known/mta-sts.txt {{ {location} }} }}"
        )

    @contextmanager
    def serving(self, *blocks: str, addresses: tuple[str, ...] = ("127.0.0.2",)) -> Iterator[Nginx]:
        nginx = Nginx(self.directory / f"nginx{time.monotonic_ns()}", *((address, self.ports[address]) for address in addresses))
        with nginx.serving("\n".join(blocks) if blocks else self.block()):
            yield nginx

    def record(self) -> str | None:
        """The id in the zone."""
        text = (self.directory / "zones" / "example.com.yaml").read_text()
        return text.partition("id=")[2].partition("\\;")[0] if "id=" in text else None

    def names_what_is_served(self) -> bool:
        identifier = self.record()
        return identifier is not None and PolicyId.parse(identifier).names(self.policy.read_bytes())


@pytest.fixture
def site(tmp_path: Path, certificates: Certificates) -> Site:
    return Site(tmp_path, certificates, {"127.0.0.2": free_port("127.0.0.2")}, certificates.issue(HOST))


@pytest.fixture
def live(site: Site) -> Site:
    """The same with a policy published."""
    with site.serving():
        assert site.apply(FIRST).exit_code == 0, site.events
    assert site.names_what_is_served()
    return site


def codes(result: Result) -> list[str]:
    return [finding.code for finding in result.findings]


def unmoved(site: Site, result: Result, before: str | None, *expected: str) -> None:
    assert site.record() == before
    assert result.outcomes[EXAMPLE] in (Outcome.FAILED, Outcome.UNFINISHED, Outcome.UNKNOWN, Outcome.STALE)
    assert codes(result) == list(expected)


def test_a_good_run_fetches_three_times_and_once_more_before_the_push(live: Site):
    before = live.record()
    with live.serving():
        result = live.apply(SECOND)
    assert result.exit_code == 0
    assert live.record() != before
    assert live.names_what_is_served()
    assert live.fetches == 1 + 3 + 1
    assert "policy is served" in [event.text for event in live.events]


def test_a_second_apply_changes_nothing_and_fetches_nothing(live: Site):
    with live.serving():
        result = live.apply(FIRST)
    assert (result.outcomes[EXAMPLE], live.fetches) == (Outcome.UNCHANGED, 0)


@pytest.mark.parametrize("location", ["", "add_header Cache-Control max-age=3600; add_header X-Cache $upstream_cache_status;"])
def test_a_stale_cache_keeps_the_record_unmoved(live: Site, location: str):
    """A cache of nginx in front of the files, with and without a word of it in the header fields."""
    before = live.record()
    origin = free_port()
    files = f"server {{ listen 127.0.0.1:{origin}; root {live.directory}/policies/{HOST}; }}"
    cache = f"proxy_pass http://127.0.0.1:{origin}; proxy_cache cdn; proxy_cache_valid 200 1h; {location}"
    with live.serving("proxy_cache_path cache keys_zone=cdn:1m;", files, live.block(location=cache)):
        result = live.apply(SECOND)
        unmoved(live, result, before, "MTS530")
        assert result.exit_code == 6
        assert b"1209600" in live.policy.read_bytes()
        assert any("waiting" in event.text and "MTS530" in event.text for event in live.events)
    with live.serving():
        assert live.apply(SECOND).exit_code == 0
    assert live.names_what_is_served()


def test_the_freshness_of_a_cache_is_waited_out_from_when_the_put_was_read_back_even_by_a_later_run(live: Site):
    before = live.record()
    cached = "add_header Age 0; add_header Cache-Control max-age=12;"
    with live.serving(live.block(location=cached)):
        began = time.monotonic()
        result = live.apply(SECOND, patience=5)
        unmoved(live, result, before, "MTS532")
        assert time.monotonic() - began < 9
        time.sleep(max(began + 8 - time.monotonic(), 0))
        again = time.monotonic()
        assert live.apply(SECOND, patience=10).exit_code == 0
        assert time.monotonic() - again < 10
        assert time.monotonic() - began >= 12
    assert live.names_what_is_served()


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("return 302 https://www.example.com/;", "MTS520"),
        ("default_type application/octet-stream;", "MTS523"),
        ("add_header Content-Encoding gzip;", "MTS524"),
        ("return 503;", "MTS521"),
    ],
)
def test_what_senders_refuse_keeps_the_record_unmoved_and_is_named(live: Site, location: str, expected: str):
    before = live.record()
    with live.serving(live.block(location=location)):
        unmoved(live, live.apply(SECOND), before, expected)
    assert (b"1209600" in live.policy.read_bytes()) is (expected != "MTS520")  # a redirect is found before anything is public


def test_an_expired_certificate_keeps_everything_as_it_is(live: Site):
    before, policy = live.record(), live.policy.read_bytes()
    expired = live.certificates.issue(HOST, days=(-30, -1))
    with live.serving(live.block(certificate=expired)):
        result = live.apply(SECOND)
    unmoved(live, result, before, "MTS510")
    assert result.outcomes[EXAMPLE] is Outcome.FAILED
    assert live.policy.read_bytes() == policy


def test_one_dead_address_of_two_keeps_everything_as_it_is(live: Site):
    before, policy = live.record(), live.policy.read_bytes()
    live.ports["127.0.0.3"] = free_port("127.0.0.3")
    with live.serving():
        unmoved(live, live.apply(SECOND), before, "MTS500")
    assert live.policy.read_bytes() == policy
    with live.serving(live.block(), live.block(address="127.0.0.3"), addresses=("127.0.0.2", "127.0.0.3")):
        assert live.apply(SECOND).exit_code == 0
    assert live.names_what_is_served()


def test_an_address_that_dies_after_the_put_keeps_the_record_unmoved(live: Site):
    before = live.record()
    live.ports["127.0.0.3"] = free_port("127.0.0.3")
    with live.serving():
        second = live.serving(live.block(address="127.0.0.3"), addresses=("127.0.0.3",))
        second.__enter__()
        ended = threading.Event()

        def die(number: int) -> None:
            if number == 3 and not ended.is_set():
                ended.set()
                second.__exit__(None, None, None)

        live.before_fetch = die
        result = live.apply(SECOND)
    unmoved(live, result, before, "MTS500")
    assert "127.0.0.3" in result.findings[0].message


def test_one_address_with_other_bytes_keeps_the_record_unmoved(live: Site, tmp_path: Path):
    before = live.record()
    live.ports["127.0.0.3"] = free_port("127.0.0.3")
    old = tmp_path / "old" / ".well-known"
    old.mkdir(parents=True)
    (old / "mta-sts.txt").write_bytes(live.policy.read_bytes())
    other = live.block(address="127.0.0.3").replace(f"{live.directory}/policies/{HOST}", str(tmp_path / "old"))
    with live.serving(live.block(), other, addresses=("127.0.0.2", "127.0.0.3")):
        unmoved(live, live.apply(SECOND), before, "MTS530")


def test_a_rival_upload_between_the_barrier_and_the_push_keeps_the_record_unmoved(live: Site):
    before = live.record()
    rival = b"version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmax_age: 86400\r\n"

    def upload(number: int) -> None:
        if number == 5:  # one before the put, three at the barrier
            live.policy.write_bytes(rival)

    live.before_fetch = upload
    with live.serving():
        result = live.apply(SECOND)
    unmoved(live, result, before, "MTS530")
    assert digits_of(rival) in result.findings[0].message
    live.before_fetch = lambda _: None
    with live.serving():
        assert live.apply(SECOND).exit_code == 0
    assert live.names_what_is_served()


def test_a_first_publication_needs_a_host_that_answers_but_no_file(site: Site):
    result = site.apply(FIRST)
    unmoved(site, result, None, "MTS500")
    assert not site.policy.exists()
    with site.serving():
        assert site.apply(FIRST).exit_code == 0


def test_a_repair_is_put_although_the_host_is_broken_and_its_record_stays(live: Site):
    before = live.record()
    with live.serving(live.block(location="return 302 https://www.example.com/;")):
        result = live.apply(f"{FIRST}, mx: [zone, mx2.example.com]")
    unmoved(live, result, before, "MTS520")
    assert b"mx2.example.com" in live.policy.read_bytes()


def test_a_clock_that_is_wrong_stops_the_run_before_anything_is_public(live: Site):
    before, policy = live.record(), live.policy.read_bytes()
    with live.serving():
        unmoved(live, live.apply(SECOND, clock=timedelta(minutes=10)), before, "MTS533")
    assert live.policy.read_bytes() == policy


def test_stop_changes_nothing_where_a_host_is_broken(live: Site):
    with live.serving(live.block(location="return 302 https://www.example.com/;")):
        assert live.apply(SECOND, on_error=OnError.STOP).exit_code == 1


def test_a_signal_ends_the_wait(live: Site):
    before = live.record()
    live.declare(SECOND)
    with live.serving(live.block(location="return 503;")):
        deployment = live.deployment()
        threading.Timer(2, lambda: setattr(deployment.stop, "requested", True)).start()
        began = time.monotonic()
        result = deployment.apply(options=Options(barrier_timeout=timedelta(seconds=60)))
    assert result is not None
    assert (result.exit_code, live.record()) == (130, before)
    assert time.monotonic() - began < 10


def test_the_command_line_has_what_it_takes(live: Site):
    """The program itself, with the options (and their variables) that point it at another world."""
    live.declare(SECOND)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MTASTS_")}
    environment |= {"MTASTS_CA_FILE": str(live.certificates.root), "MTASTS_BARRIER_TIMEOUT": "5s"}
    detour = f"{HOST}:443:127.0.0.2:{live.ports['127.0.0.2']}"
    command = [sys.executable, "-m", "mtasts_deploy", "apply", "--auto-approve", "--connect-to", detour, "--timeout", "5s"]
    broken = live.block(location="default_type text/html;")
    with live.serving(broken):
        done = subprocess.run(command, cwd=live.directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 6, done.stderr
    assert "MTS523" in done.stderr
    with live.serving():
        done = subprocess.run(command, cwd=live.directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "These are files until you ship them: zones/." in done.stdout  # the policies are served already
    assert live.names_what_is_served()
