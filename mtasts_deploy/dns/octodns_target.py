"""Any octoDNS provider as a `Target`, built from its configuration block by octoDNS itself."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from octodns.manager import Manager

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns import bridge
from mtasts_deploy.dns.interface import Guarantee
from mtasts_deploy.errors import MtastsError, ObservationError, Refused
from mtasts_deploy.facts import RecordChange, Unknown, ZoneFacts, ZoneName


class OctodnsTarget:
    """A provider block of the declaration (`class` and options, `env/NAME` for secrets). Every call builds a fresh provider: some cache
    what they read.
    """

    def __init__(self, name: str, spec: Mapping[str, object], *, guarantee: Guarantee = Guarantee.RECORD_BY_RECORD) -> None:
        """`spec` is the block as it stands in the declaration; secrets in it are resolved by octoDNS only when a provider is built."""
        self.name = name
        self.guarantee = guarantee
        self._spec = dict(spec)

    def zones(self) -> frozenset[ZoneName]:
        """The zones that the provider lists. Raises `ObservationError` (MTS471) if it cannot list them, `Refused` (MTS469) if it cannot
        be built.
        """
        try:
            listed = bridge.zones(self._build())
        except MtastsError:
            raise
        except Exception as error:
            raise ObservationError(self._unlisted(type(error).__name__)) from error
        if listed is None:
            raise ObservationError(self._unlisted("it cannot list zones"))
        return listed

    def _unlisted(self, why: str) -> Diagnostic:
        message = f"the zones of provider {self.name} cannot be listed: {why}"
        return Diagnostic(code="MTS471", message=message, hint="Name the zone of each domain (`zone`), or correct the access.")

    def read(self, zone: ZoneName, names: Collection[str]) -> ZoneFacts | Unknown:
        """What the zone holds at these names, read with a fresh provider. Never raises for a zone or provider that cannot be read."""
        try:
            return bridge.read_zone(self._build(), zone, names)
        except MtastsError as error:
            return Unknown(reason=error.diagnostics[0])

    def write(self, zone: ZoneName, changes: Sequence[RecordChange]) -> None:
        """Make these changes; see `bridge.write_zone` for what it raises."""
        bridge.write_zone(self._build(), zone, changes, guarantee=self.guarantee)

    def _build(self) -> Any:
        bridge.prepare()
        config = {"providers": {self.name: {"root_ns_warnings": False, **self._spec}}, "zones": {}}
        handle, path = tempfile.mkstemp(prefix="mtasts-", suffix=".yaml")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                yaml.safe_dump(config, file)
            return bridge.ready(Manager(path).providers[self.name])
        except MtastsError:
            raise
        except Exception as error:
            message = f"the provider {self.name} ({self._spec.get('class')}) cannot be built: {bridge.said(error)}"
            hint = "Install its package (`pip install 'mtasts-deploy[…]'`) and set the variables that its `env/` options name."
            raise Refused(Diagnostic(code="MTS469", message=message, hint=hint)) from error
        finally:
            Path(path).unlink(missing_ok=True)
