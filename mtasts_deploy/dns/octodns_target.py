"""Any octoDNS provider as a `Target`, built from its configuration block. octoDNS is imported when the provider is first needed."""

from __future__ import annotations

import fnmatch
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from mtasts_deploy.declaration.model import ProviderSpec
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns.interface import Guarantee, unproved
from mtasts_deploy.dns.providers import Reuse, known
from mtasts_deploy.errors import MtastsError, ObservationError, ProviderError, Refused
from mtasts_deploy.facts import Change, NameFacts, Unknown, ZoneFacts, ZoneName

if TYPE_CHECKING:
    from mtasts_deploy.dns.pace import Pace

T = TypeVar("T")


class OctodnsTarget:
    """A provider block of the declaration. Every call works with a provider that remembers nothing of the calls before it; several calls
    may be under way at a time, each with a provider of its own.
    """

    def __init__(self, spec: ProviderSpec, *, pace: Pace | None = None) -> None:
        """Secrets in `spec` are resolved only when a provider is built. `pace` is made from the limits of the declaration by default."""
        self.name = spec.name
        self._spec = spec
        self._known = known(spec.class_name)
        self._pace_given = pace
        self._idle: list[Any] = []
        self._turn = threading.Lock()
        self._paced: Pace | None = None
        self._per_request = False

    @property
    def guarantee(self) -> Guarantee:
        """What the provider promises about one zone."""
        return self._known.guarantee

    @property
    def parallel(self) -> int:
        """How many calls may be under way at a time."""
        return self._pace().in_flight

    def ready(self) -> None:
        """Build a provider. Raises `Refused` (MTS462, MTS469, MTS472, MTS473) if that cannot be done as it is configured."""
        with self._provider():
            pass

    def zones(self) -> frozenset[ZoneName] | None:
        """The zones that the provider lists; None if it cannot list any. Raises `ObservationError` (MTS471, MTS474 to MTS477), `Refused`
        if it cannot be built.
        """
        from mtasts_deploy.dns import reading, trouble

        def listed(_: int) -> frozenset[ZoneName] | None:
            with self._provider() as provider:
                try:
                    return reading.zones(provider)
                except MtastsError:
                    raise
                except Exception as error:
                    raise ObservationError(trouble.unlisted(self.name, error)) from error

        return self._called(listed)

    def zone_of(self, name: str) -> ZoneName | None:
        """The zone that holds a name, for providers that list none: what their server says. Raises `ObservationError`."""
        from mtasts_deploy.dns import authority, trouble

        def asked(_: int) -> ZoneName | None:
            with self._provider() as provider:
                if not authority.can_ask(provider):
                    message = f"provider {self.name} cannot list its zones"
                    hint = "Name the zone of each of its domains with `zone:`."
                    raise ObservationError(Diagnostic(code="MTS471", message=message, hint=hint))
                try:
                    return authority.zone_of(provider, name)
                except Exception as error:
                    raise ObservationError(trouble.unlisted(self.name, error)) from error

        return self._called(asked)

    def read(self, zone: ZoneName, names: Collection[str]) -> ZoneFacts | Unknown:
        """What the zone holds at these names. Never raises for a zone or provider that cannot be read."""
        from mtasts_deploy.dns import reading

        def read(_: int) -> ZoneFacts:
            with self._provider() as provider:
                return reading.read_zone(provider, zone, names, min_ttl=self._known.min_ttl)

        try:
            found = self._called(read)
        except MtastsError as error:
            return Unknown(reason=error.diagnostics[0])
        claim = self._claim(zone)
        return found if claim is None else _refusing(found, names, claim)

    def write(self, zone: ZoneName, changes: Sequence[Change], prove: Callable[[], None] = unproved) -> None:
        """Make these changes; see `bridge.write_zone` for what it raises, and MTS479 for a zone that octoDNS itself writes there.

        What throttling or the network stopped is tried again, from a new look at the zone.
        """
        from mtasts_deploy.dns import bridge

        claim = self._claim(zone)
        if claim is not None:
            raise Refused(claim)
        uncertain: list[ProviderError] = []

        def write(_: int) -> None:
            with self._provider() as provider:
                try:
                    bridge.write_zone(provider, zone, changes, prove=prove, guarantee=self.guarantee, again=bool(uncertain))
                except ProviderError as error:
                    uncertain.append(error)
                    raise

        try:
            self._called(write)
        except Refused as error:
            if uncertain:  # an earlier attempt may have written
                raise ProviderError(*uncertain[-1].diagnostics, *error.diagnostics) from error
            raise

    def _claim(self, zone: ZoneName) -> Diagnostic | None:
        """The refusal of a zone that the octoDNS configuration writes to this provider: octodns-sync would delete our records."""
        found = next((one for one in self._spec.claimed if fnmatch.fnmatchcase(zone, one)), None)
        if found is None:
            return None
        by = f" (by `{found}`)" if "*" in found else ""
        return Diagnostic(
            code="MTS479",
            message=f"octodns-sync writes the zone {zone[:-1]} to provider {self.name} as well{by}: each would undo what the other wrote",
            hint="Let one of them own the zone: write the records into octoDNS's source, or take the zone out of its configuration.",
        )

    def _pace(self) -> Pace:
        if self._paced is None:
            from mtasts_deploy.dns.pace import Pace

            limit = replace(self._spec.limit, per_second=self._spec.limit.per_second or self._known.per_second)
            self._paced = self._pace_given or Pace(limit, in_flight=self._known.in_flight, faults_pass=self._known.faults_pass)
        return self._paced

    def _called(self, call: Callable[[int], T]) -> T:
        pace = self._pace()

        def one(number: int) -> T:
            with pace.slot():
                if not self._per_request:
                    pace.turn()
                return call(number)

        return pace.patiently(one)

    @contextmanager
    def _provider(self) -> Iterator[Any]:
        """A provider for one call. What failed is not used again: its connections may be broken."""
        from mtasts_deploy.dns import build

        reuse = self._known.reuse
        with self._turn:
            kept = self._idle[-1] if self._idle and reuse is Reuse.ALL else self._idle.pop() if self._idle else None
            if kept is None and reuse is Reuse.ALL:
                kept = self._built()
                self._idle.append(kept)
        if kept is None:
            kept = self._built()
        yield build.fresh(kept, reuse)
        if reuse is Reuse.WORKER:
            with self._turn:
                self._idle.append(kept)

    def _built(self) -> Any:
        from mtasts_deploy.dns import build, pace

        made = build.build(self._spec)
        self._per_request = pace.fit(made, self._pace())
        return made


def _refusing(found: ZoneFacts, names: Collection[str], claim: Diagnostic) -> ZoneFacts:
    """The facts, with our names refused."""
    refused: dict[str, NameFacts] = {name: replace(found.at(name), refusal=claim) for name in names}
    return replace(found, names={**found.names, **refused})
