"""The `local` provider: octoDNS YAML zone files in a directory. Reading never imports octoDNS; writing goes through the bridge like every
provider.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from mtasts_deploy.dns.interface import Guarantee, unproved
from mtasts_deploy.dns.zone_memory import ZoneMemory, digest_of
from mtasts_deploy.dns.zone_store import ZoneDirectory, decode, remove_leftovers
from mtasts_deploy.facts import Change, Unknown, ZoneFacts, ZoneName


class LocalTarget:
    """Zone files in one directory, as a `Target`. One zone is written at once or not at all (its file is replaced)."""

    guarantee = Guarantee.ZONE_ATOMIC
    parallel = 1

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        shown: str | None = None,
        default_ttl: int = 3600,
        escaped_semicolons: bool = True,
        memory: ZoneMemory | None = None,
    ) -> None:
        """`directory` is absolute; `shown` is how messages name it (relative to the declaration). The options are the provider's own.

        `memory` saves parsing files that have not changed.
        """
        self.name = name
        self.directory = directory
        self.default_ttl = default_ttl
        self.escaped_semicolons = escaped_semicolons
        self._store = ZoneDirectory(path=directory, shown=directory.name if shown is None else shown, provider=name)
        self._memory = memory
        self._tidy = False

    def ready(self) -> None:
        """Files need no preparation."""

    def zone_of(self, name: str) -> ZoneName | None:
        """Not asked: the directory lists its zones."""
        raise NotImplementedError(name)

    def zones(self) -> frozenset[ZoneName]:
        """The zones that have a file, from one scan of the directory per `LocalTarget`. Raises `ObservationError` (MTS471)."""
        return frozenset(self._store.files())

    def read(self, zone: ZoneName, names: Collection[str]) -> ZoneFacts | Unknown:
        """What the zone's file holds at these names (A-labels without root dot). Never raises for a file that cannot be read: `Unknown`."""
        filename = self._store.locate(zone)
        if isinstance(filename, Unknown):
            return filename
        content = self._store.load(filename)
        if isinstance(content, Unknown):
            return content
        if self._memory is None:
            return self._parse(content, filename, zone, names)
        digest = digest_of(content, names, self.default_ttl, self.escaped_semicolons)
        if (known := self._memory.recall(zone, digest)) is not None:
            return known
        facts = self._parse(content, filename, zone, names)
        if isinstance(facts, ZoneFacts):
            self._memory.note(digest, facts)
        return facts

    def _parse(self, content: bytes, filename: str, zone: ZoneName, names: Collection[str]) -> ZoneFacts | Unknown:
        from mtasts_deploy.dns import zone_text  # the YAML of 10,000 zones; the memory may spare it

        shown = self._store.name_of(filename)
        text = decode(content, shown)
        if isinstance(text, Unknown):
            return text
        return zone_text.read(
            text,
            zone,
            names,
            provider=self.name,
            shown=shown,
            default_ttl=self.default_ttl,
            escaped_semicolons=self.escaped_semicolons,
        )

    def write(self, zone: ZoneName, changes: Sequence[Change], prove: Callable[[], None] = unproved) -> None:
        """Splice these changes into the zone's file, which is replaced at once.

        Raises `Refused` before anything is written (the record is not what the plan saw, MTS702; it cannot be edited in place, MTS455,
        MTS465; somebody else changed the file, MTS466; …), `ProviderError` (MTS468) when it is not known whether the file was replaced.
        """
        from mtasts_deploy.dns import bridge, zone_files  # octoDNS: 60 ms, and only a write needs it

        if not self._tidy:
            remove_leftovers(self.directory)
            self._tidy = True
        provider = zone_files.ZoneFilesProvider(
            self.name,
            str(self.directory),
            default_ttl=self.default_ttl,
            escaped_semicolons=self.escaped_semicolons,
            root_ns_warnings=False,
            shown=self._store.shown,
        )
        bridge.write_zone(provider, zone, changes, prove=prove, guarantee=self.guarantee)
