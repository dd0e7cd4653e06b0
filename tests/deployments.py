"""Builds `Deployment`s on the world in memory, from declarations written as a user writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.report import Event, Result
from mtasts_deploy.declaration.load import load
from mtasts_deploy.declaration.model import Declaration
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.facts import MxSet, NameFacts, ZoneName
from mtasts_deploy.plan.model import DomainPlan, Plan
from mtasts_deploy.plan.selection import Lifted
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.sender.interface import Fetcher
from tests.worlds import Clock, Faults, MemoryHost, MemoryState, MemoryTarget

EXAMPLE = Domain.parse("example.com")


def declare(directory: Path, text: str) -> Declaration:
    """Load a declaration from text; `version: 1` and a TLSRPT default are added."""
    path = directory / "mta-sts.yaml"
    path.write_text(f"version: 1\n{text}")
    return load(path, today=date(2026, 1, 5))


def zone(name: str, *mx: str, ttl: int = 3600) -> dict[ZoneName, dict[str, NameFacts]]:
    """A zone with these MX hosts."""
    facts = NameFacts(mx=MxSet(hosts=tuple(sorted(mx)), ttl=ttl) if mx else None, others=("A", "NS"))
    return {ZoneName(name + "."): {name: facts}}


@dataclass
class Sandbox:
    """One world, one ledger, and declarations that change."""

    directory: Path
    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.target = MemoryTarget(faults=self.faults, contents=zone("example.com", "mx1.example.com", "mx2.example.com"))
        self.host = MemoryHost(faults=self.faults)
        self.hosts: dict[str, MemoryHost] = {"local": self.host}
        self.state = MemoryState(faults=self.faults)
        self.text = "domains:\n  example.com:\n"
        self.fetcher: Fetcher | None = None

    def declare(self, text: str) -> None:
        self.text = text

    @property
    def deployment(self) -> Deployment:
        declaration = declare(self.directory, self.text)
        return Deployment(
            declaration=declaration,
            targets={"local": self.target},
            hosts={name: {**self.hosts, "local": self.host}[name] for name in declaration.hosts},
            store=self.state,
            clock=self.clock,
            sleep=lambda _: None,
            emit=self.events.append,
            fetcher=self._fetching,
            pause=lambda seconds: self.clock.pass_(seconds=seconds),
            ticks=lambda: self.clock.now.timestamp(),
        )

    def _fetching(self) -> Fetcher:
        assert self.fetcher is not None, "nothing may be fetched here"
        return self.fetcher

    def plan(self, *allow: str) -> Plan:
        return self.deployment.plan(lifted=Lifted.parse(allow))

    def one(self, *allow: str) -> DomainPlan:
        return self.plan(*allow).domains[0]

    def apply(self, *allow: str, on_error: OnError = OnError.CONTINUE, parallelism: int = 1) -> Result:
        options = Options(on_error=on_error, parallelism=parallelism)
        result = self.deployment.apply(lifted=Lifted.parse(allow), options=options)
        assert result is not None
        return result

    def rollback(self, *domains: str) -> Result:
        result = self.deployment.rollback([Domain.parse(name) for name in domains], approve=lambda _: True)
        assert result is not None
        return result

    @contextmanager
    def failing(self, hook: Callable[[str], None]) -> Iterator[None]:
        self.faults.hook = hook
        try:
            yield
        finally:
            self.faults.hook = lambda _: None

    def live_id(self, domain: str = "example.com") -> str:
        values = self.target.txt(f"_mta-sts.{domain}")
        ours = [value for value in values if value.startswith("v=STSv1")]
        assert len(ours) == 1, values
        return ours[0].partition("id=")[2].rstrip(";")

    def served(self, domain: str = "example.com") -> str:
        return self.host.files[Domain.parse(domain)].decode()
