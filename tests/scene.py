"""A sandbox in which anything can fail: adapters that cannot look, operations that fail or lose their answer, runs that die."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mtasts_deploy.declaration.model import Declaration
from mtasts_deploy.deployment import Deployment
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError, ObservationError, ProviderError, Refused, StateError
from mtasts_deploy.facts import Unknown
from tests.deployments import Sandbox, declare, zone
from tests.worlds import MemoryHost, MemoryTarget

FAULTS: dict[str, tuple[str, Callable[[Diagnostic], Exception]]] = {
    "put refused": ("put example.com", lambda why: HostError(why, written=False)),
    "put answer lost": ("served example.com", HostError),
    "removal answer lost": ("removed example.com", HostError),
    "push refused": ("write", Refused),
    "push fails": ("write", ProviderError),
    "push answer lost": ("wrote", ProviderError),
    "zone unreadable": ("read", ObservationError),
    "file unreadable": ("fetch", ObservationError),
    "state fails": ("save ledger", StateError),
    "state answer lost": ("saved ledger", StateError),
}


class DimTarget(MemoryTarget):
    """A provider that cannot be read when the hook says so."""

    def read(self, zone, names):
        try:
            return super().read(zone, names)
        except ObservationError as error:
            return Unknown(reason=error.diagnostics[0])


class DimHost(MemoryHost):
    """A host that cannot be read when the hook says so."""

    def read(self, domains, known=None):
        try:
            return super().read(domains, known)
        except ObservationError as error:
            return dict.fromkeys(domains, Unknown(reason=error.diagnostics[0]))


@lru_cache(maxsize=4096)
def declaration(text: str) -> Declaration:
    with tempfile.TemporaryDirectory() as directory:
        return declare(Path(directory), text)


class Scene(Sandbox):
    """A sandbox whose adapters can fail to look, and whose declarations are read once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        contents = self.target.contents | zone("bad.example", "mx.bad.example")
        self.target = DimTarget(faults=self.faults, contents=contents)
        self.host = DimHost(faults=self.faults)
        self.hosts = {"local": self.host}

    @property
    def deployment(self) -> Deployment:
        return Deployment(
            declaration=declaration(self.text),
            targets={"local": self.target},
            hosts=dict(self.hosts),
            store=self.state,
            clock=self.clock,
            sleep=lambda _: None,
        )


@dataclass
class Trouble:
    """What goes wrong in one run: it dies at the n-th external operation, an operation fails, others act meanwhile, time passes."""

    kill: int = 0
    fault: str = ""
    skip: int = 0
    during: Sequence[tuple[int | str, Callable[[], None]]] = ()
    tick: int = 0
