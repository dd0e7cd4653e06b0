"""What `doctor` finds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from mtasts_deploy.deployment import Deployment
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.doctor import Surroundings, examine
from mtasts_deploy.errors import MtastsError, UsageError
from mtasts_deploy.facts import Fetched, Probed
from mtasts_deploy.output.interface import Check
from mtasts_deploy.sender.names import Authority, Outcome, Reply
from mtasts_deploy.sender.options import Endpoint, Looking
from mtasts_deploy.verify.look import Eyes
from tests.deployments import declare
from tests.worlds import Clock, MemoryHost, MemoryState, MemoryTarget

CLOUD = """\
providers: {cloud: {class: octodns_cloudflare.CloudflareProvider, token: env/CLOUD_TOKEN, retry: env/CLOUD_RETRY/4}}
hosts: {cdn: {type: s3, bucket: policies.example.com}}
state: {type: s3, bucket: state.example.com}
defaults: {dns: cloud, host: cdn, tlsrpt: "mailto:tls@reports.example"}
domains: {example.com: }
"""


class Names:
    """A resolver that knows one MX host."""

    def ask(self, name: str, kind: str) -> Reply:
        known = {("example.com", "MX"): ("10 mx1.example.com",), ("mx1.example.com", "A"): ("192.0.2.1",)}
        values = known.get((name, kind), ())
        return Reply(name=name, kind=kind, server="here", outcome=Outcome.FOUND if values else Outcome.NO_NAME, values=values)

    def ask_authoritative(self, name: str, kind: str, *, exists: bool = False) -> tuple[Reply, ...]:
        return ()

    def authority(self, name: str, *, exists: bool = False) -> Authority:
        return Authority()


class Web:
    """A policy host whose clock is so far behind ours."""

    def __init__(self, clock: Clock, behind: timedelta | None) -> None:
        self._clock, self._behind = clock, behind

    def fetch(self, domain, *, known):
        date = None if self._behind is None else self._clock() - self._behind
        return (Fetched(address="192.0.2.2", date=date),)

    def fetch_at(self, domain, address):
        return self.fetch(domain, known=True)

    def fetch_as_browser(self, domain, address):
        return self.fetch(domain, known=True)[0]

    def answers(self, host: str, port: int) -> str | None:
        return None


class Mail:
    """MX hosts that answer, or do not."""

    def __init__(self, *, open_: bool) -> None:
        self.answered = False
        self._open = open_

    def probe(self, host: str, address: str, end: Endpoint) -> Probed:
        assert end == Endpoint(address="192.0.2.1", port=25)
        self.answered = self._open
        return Probed(host=host, address=address, silent=not self._open)


class Careless(MemoryState):
    """A state that overwrites what should only be made."""

    def write(self, key, data, expected):
        return super().write(key, data, expected if (found := self.read(key)) is None or expected else found.version)


def examined(
    directory: Path,
    text: str = CLOUD,
    *,
    environ: Mapping[str, str] | None = None,
    way: str | None = "env",
    behind: timedelta | None = timedelta(seconds=2),
    open_: bool = True,
    state: MemoryState | None = None,
    roots: bool = True,
) -> dict[str, Check]:
    clock = Clock()
    declaration = declare(directory, text)
    deployment = Deployment(
        declaration=declaration,
        targets={name: MemoryTarget() for name in declaration.providers},
        hosts={name: MemoryHost() for name in declaration.hosts},
        store=state or MemoryState(),
        clock=clock,
    )

    def eyes() -> Eyes:
        if not roots:
            raise UsageError(Diagnostic(code="MTS923", message="no roots"))
        return Eyes(lookups=Names(), fetcher=Web(clock, behind), prober=Mail(open_=open_), looking=Looking(), clock=clock)

    around = Surroundings(
        environ={"CLOUD_TOKEN": "very-secret"} if environ is None else environ, signed_in=lambda: way, eyes=eyes, clock=clock
    )
    checks = list(examine(deployment, around))
    assert "very-secret" not in repr(checks)
    return {check.what: check for check in checks}


def codes(check: Check) -> list[str]:
    return [finding.code for finding in check.findings]


def test_all_is_well(tmp_path: Path) -> None:
    checks = examined(tmp_path)
    assert list(checks) == [
        "declaration", "credentials of cloud", "credentials of AWS", "provider cloud", "host cdn", "state", "roots", "clock", "port 25"
    ]  # fmt: skip
    assert not any(check.findings for check in checks.values())
    assert checks["credentials of cloud"].text == "CLOUD_TOKEN and CLOUD_RETRY: set"
    assert checks["port 25"].text == "can be reached: mx1.example.com answers"
    assert "keeps to conditions" in checks["state"].text


def test_what_is_missing_is_named_not_shown(tmp_path: Path) -> None:
    checks = examined(tmp_path, environ={"OTHER": "x"}, way=None)
    assert codes(checks["credentials of cloud"]) == codes(checks["credentials of AWS"]) == ["MTS931"]
    assert "CLOUD_TOKEN" in checks["credentials of cloud"].findings[0].message
    assert "CLOUD_RETRY" not in checks["credentials of cloud"].findings[0].message


@pytest.mark.parametrize(("minutes", "words"), [(6, "360 s ahead of"), (-6, "360 s behind")])
def test_a_wrong_clock(tmp_path: Path, minutes: int, words: str) -> None:
    check = examined(tmp_path, behind=timedelta(minutes=minutes))["clock"]
    assert codes(check) == ["MTS933"]
    assert words in check.findings[0].message
    assert not examined(tmp_path, behind=timedelta(minutes=4))["clock"].findings
    assert "not compared" in examined(tmp_path, behind=None)["clock"].text


def test_a_closed_port_25_is_a_warning(tmp_path: Path) -> None:
    (finding,) = examined(tmp_path, open_=False)["port 25"].findings
    assert (finding.code, finding.severity.value) == ("MTS934", "warn")


def test_a_state_that_overwrites_is_no_state(tmp_path: Path) -> None:
    assert codes(examined(tmp_path, state=Careless())["state"]) == ["MTS932"]


def test_the_state_is_left_as_it_was_and_asked_again(tmp_path: Path) -> None:
    state = MemoryState()
    for _ in range(2):
        assert not examined(tmp_path, state=state)["state"].findings
    assert state.read("doctor.json") is None


def test_a_state_that_fails_says_why(tmp_path: Path) -> None:
    class Failing(MemoryState):
        def read(self, key):
            raise MtastsError(Diagnostic(code="MTS797", message="away"))

    assert codes(examined(tmp_path, state=Failing())["state"]) == ["MTS797"]


def test_without_roots_nothing_is_fetched(tmp_path: Path) -> None:
    checks = examined(tmp_path, roots=False)
    assert codes(checks["roots"]) == ["MTS923"]
    assert "clock" not in checks


def test_files_need_no_network(tmp_path: Path) -> None:
    checks = examined(tmp_path, 'defaults: {tlsrpt: "mailto:tls@reports.example"}\ndomains: {example.com: }\n', roots=False)
    assert list(checks) == ["declaration", "provider local", "host local", "state", "network"]
