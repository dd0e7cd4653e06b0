r"""`ZoneFilesProvider`: octoDNS's YamlProvider, except that writing splices the records in and leaves every other byte alone.

    providers:
      local:
        class: mtasts_deploy.dns.zone_files.ZoneFilesProvider
        directory: zones
        # the TTL of records that do not say one (optional, default 3600)
        default_ttl: 3600
        # whether `;` is written `\;` in the files (optional, default true)
        escaped_semicolons: true
        # whether the keys must be sorted (optional, default false)
        enforce_order: false

It changes TXT records and the address records of policy hosts (`mta-sts`) only, and never creates a zone file. The options of YamlProvider
that spread one zone over several files are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from octodns.provider.yaml import YamlProvider

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns.values import address_of
from mtasts_deploy.dns.zone_edit import AddressEdit, Edit, TxtEdit, edit
from mtasts_deploy.dns.zone_store import ZoneDirectory, decode, replace_file
from mtasts_deploy.dns.zone_text import absolute, raw
from mtasts_deploy.errors import Refused
from mtasts_deploy.facts import ADDRESS_TYPES, Unknown, ZoneName, is_policy_host

_SPREADING = ("split_extension", "shared_filename", "disable_zonefile", "populate_should_replace")


class ZoneFilesProvider(YamlProvider):  # type: ignore[misc, unused-ignore]
    """A YamlProvider that edits records in place. A zone is written at once or not at all."""

    splices = True
    """The bridge need not seed what a whole-file writer would lose."""

    def __init__(
        self,
        id: str,
        directory: str,
        *args: Any,
        default_ttl: int = 3600,
        escaped_semicolons: bool = True,
        enforce_order: bool = False,
        shown: str | None = None,
        **options: Any,
    ) -> None:
        """Raises `Refused` (MTS469) for an option that this provider cannot honour. `shown` is how messages name the directory."""
        refused = [name for name in _SPREADING if options.get(name)]
        if refused or args:
            named = ", ".join(f"`{name}`" for name in refused) or "options without a name"
            raise Refused(
                Diagnostic(
                    code="MTS469",
                    message=f"the provider {id} cannot work with {named}: it edits one file per zone in place",
                    hint="Remove the option, or use octodns.provider.yaml.YamlProvider, which rewrites its files.",
                )
            )
        self._seen: dict[str, tuple[str, bytes]] = {}
        self._store = ZoneDirectory(path=Path(directory), shown=directory if shown is None else shown, provider=id)
        super().__init__(
            id, directory, default_ttl=default_ttl, enforce_order=enforce_order, escaped_semicolons=escaped_semicolons, **options
        )

    def copy(self) -> ZoneFilesProvider:
        """A second provider of the same directory, as octoDNS asks for when it dumps zones."""
        return ZoneFilesProvider(
            f"{self.id}-copy",
            self.directory,
            default_ttl=self.default_ttl,
            escaped_semicolons=self.escaped_semicolons,
            enforce_order=self.enforce_order,
            shown=self._store.shown,
        )

    def populate(self, zone: Any, target: bool = False, lenient: bool = False) -> bool:
        """As YamlProvider; also remembers the bytes that were read, so that a write can prove that the file is still the same.

        Raises `Refused` (MTS450, MTS457, MTS466) if the file cannot be read, stands there twice, or changes while it is read.
        """
        filename = self._locate(zone.name)
        if filename is None:
            self._seen.pop(zone.name, None)
            return bool(super().populate(zone, target=target, lenient=lenient))
        before = self._bytes(filename)
        exists = bool(super().populate(zone, target=target, lenient=lenient))
        if self._bytes(filename) != before:
            message = f"{self._store.name_of(filename)} was changed by somebody else while it was read"
            raise Refused(Diagnostic(code="MTS466", message=message, hint="Nothing was written to it. Run the command again."))
        self._seen[zone.name] = (filename, before)
        return exists

    def _locate(self, zone: str) -> str | None:
        self._store = ZoneDirectory(path=self._store.path, shown=self._store.shown, provider=self._store.provider)
        filename = self._store.locate(ZoneName(zone))
        if isinstance(filename, Unknown):
            if filename.reason.code == "MTS458":
                return None
            raise Refused(filename.reason)
        return filename

    def _bytes(self, filename: str) -> bytes:
        content = self._store.load(filename)
        if isinstance(content, Unknown):
            raise Refused(content.reason)
        return content

    def _apply(self, plan: Any) -> None:
        zone = ZoneName(plan.desired.name)
        foreign = sorted({f"{change.record.fqdn} {change.record._type}" for change in plan.changes if not _editable(zone, change.record)})
        if foreign:
            raise Refused(
                Diagnostic(
                    code="MTS470",
                    message=f"the provider {self.id} edits TXT records and the addresses of policy hosts only, and was asked to change "
                    + ", ".join(foreign),
                    hint="Change other records in the zone file itself.",
                )
            )
        if zone not in self._seen:
            raise Refused(
                Diagnostic(
                    code="MTS458",
                    message=f"provider {self.id} has no file for the zone {zone[:-1]}, and creates none",
                    hint="Create the zone file (an empty one will do).",
                )
            )
        filename, before = self._seen[zone]
        where = self._store.name_of(filename)
        text = decode(before, where)
        if isinstance(text, Unknown):
            raise Refused(text.reason)
        new = edit(
            text,
            zone,
            _edits(zone, plan),
            shown=where,
            default_ttl=self.default_ttl,
            escaped_semicolons=self.escaped_semicolons,
        )
        if new != text:
            replace_file(self._store.path, filename, before, new.encode("utf-8"), where)
        self._seen.pop(zone, None)


def _editable(zone: ZoneName, record: Any) -> bool:
    return record._type == "TXT" or (record._type in ADDRESS_TYPES and is_policy_host(absolute(zone, record.name)))


def _edits(zone: ZoneName, plan: Any) -> list[Edit]:
    """One edit for each TXT record that changes, one for all address records of a name of which any does."""
    found: list[Edit] = []
    moved = dict.fromkeys(change.record.name for change in plan.changes if change.record._type != "TXT")
    for change in plan.changes:
        if change.record._type == "TXT":
            values = () if change.new is None else tuple(raw(str(value), True) for value in change.new.values)
            found.append(TxtEdit(name=absolute(zone, change.record.name), values=values, ttl=(change.new or change.existing).ttl))
    for key in moved:
        records = [record for record in plan.desired.records if record.name == key and record._type in ADDRESS_TYPES]
        ttl = max((record.ttl for record in records), default=0)
        found.append(AddressEdit(name=absolute(zone, key), address=address_of(records), ttl=ttl))
    return found
