"""A world in a table, for what looks at domains as a sender does: no network."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Address, Fetched, Probed
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import policy_id
from mtasts_deploy.sender.names import Authority, Outcome, Reply
from mtasts_deploy.sender.options import Endpoint, Looking
from mtasts_deploy.verify.look import Eyes

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
DOMAIN = Domain.parse("example.com")
ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: mx2.example.com\r\nmax_age: 604800\r\n"
TESTING = ENFORCE.replace(b"enforce", b"testing")
STS = f"v=STSv1; id={policy_id(ENFORCE)};".encode()
Key = tuple[str, str]


class Net:
    """A world in a table: what DNS, the policy host and the MX hosts answer. What is not in it does not exist."""

    def __init__(self, **changes: Any) -> None:
        self.dns: dict[Key, Any] = {
            ("_mta-sts.example.com", "TXT"): [STS],
            ("_smtp._tls.example.com", "TXT"): [b"v=TLSRPTv1; rua=mailto:tls@reports.example"],
            ("example.com", "MX"): ["10 mx1.example.com", "20 mx2.example.com"],
            ("mx1.example.com", "A"): ["192.0.2.1"],
            ("mx2.example.com", "A"): ["192.0.2.2"],
            ("reports.example", "MX"): ["10 mx.reports.example"],
        }
        self.own: Mapping[str, Sequence[bytes]] = {}
        self.fetched: tuple[Fetched, ...] = (Fetched(address="192.0.2.80", status=200, body=ENFORCE, not_after=NOW + timedelta(days=60)),)
        self.browser = Fetched(address="192.0.2.80", problem=Diagnostic(code="MTS521", message="no"))
        self.probes: dict[str, Diagnostic | str] = {}
        self.answered = True
        self.asked: list[Key] = []
        self.probed: list[str] = []
        for name, value in changes.items():
            setattr(self, name, value)

    def with_dns(self, changes: Mapping[Key, Any]) -> Net:
        self.dns |= changes
        return self

    # Lookups

    def ask(self, name: str, kind: str) -> Reply:
        self.asked.append((name, kind))
        found = self.dns.get((name, kind))
        if isinstance(found, Reply):
            return found
        return self._reply(name, kind, found, "resolver")

    def ask_authoritative(self, name: str, kind: str, *, exists: bool = False) -> tuple[Reply, ...]:
        return tuple(self._reply(name, kind, found, server) for server, found in self.own.items())

    def authority(self, name: str, *, exists: bool = False) -> Authority:
        return Authority(zone="example.com", servers=tuple(self.own))

    def _reply(self, name: str, kind: str, found: Any, server: str) -> Reply:
        if isinstance(found, Outcome):
            return Reply(name=name, kind=kind, server=server, outcome=found)
        if not found:
            known = any(owner == name or owner.endswith(f".{name}") for owner, _ in self.dns)
            return Reply(name=name, kind=kind, server=server, outcome=Outcome.NO_DATA if known else Outcome.NO_NAME)
        texts = tuple(found) if kind == "TXT" else ()
        return Reply(
            name=name, kind=kind, server=server, outcome=Outcome.FOUND, texts=texts, values=() if texts else tuple(found), ttl=3600
        )

    # Browser

    def fetch_at(self, domain: Domain, address: Address) -> tuple[Fetched, ...]:
        raise NotImplementedError

    def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        return self.fetched

    def fetch_as_browser(self, domain: Domain, address: str) -> Fetched:
        return self.browser

    def answers(self, host: str, port: int) -> str | None:
        return None if host == "reports.example" else "refuses connections"

    # Prober

    def probe(self, host: str, address: str, end: Endpoint) -> Probed:
        self.probed.append(f"{host} {address}")
        problem = self.probes.get(host)
        if isinstance(problem, str):
            silent = Diagnostic(code="MTS601", message=f"{host} at {address}: does not answer")
            return Probed(host=host, address=address, problem=silent, silent=True)
        ends = None if problem else NOW + timedelta(days=90)
        return Probed(host=host, address=address, protocol="TLSv1.3", problem=problem, not_after=ends)


def eyes_without_smtp(here: int = 0) -> Eyes:
    """Eyes that another process can make. A process that is not `here` is killed when it looks at d7.example.com."""
    return Eyes(lookups=_Fatal(here) if here else Net(), fetcher=Net(), prober=None, looking=Looking(), clock=_now)


def slow_eyes_without_smtp() -> Eyes:
    """Eyes for which every answer takes a minute."""
    return Eyes(lookups=_Slow(), fetcher=Net(), prober=None, looking=Looking(), clock=_now)


def _now() -> datetime:
    return NOW


class _Fatal(Net):
    def __init__(self, here: int) -> None:
        super().__init__()
        self.here = here

    def ask(self, name: str, kind: str) -> Reply:
        if name == "d7.example.com" and os.getpid() != self.here:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().ask(name, kind)


class _Slow(Net):
    def ask(self, name: str, kind: str) -> Reply:
        time.sleep(60)
        return super().ask(name, kind)
