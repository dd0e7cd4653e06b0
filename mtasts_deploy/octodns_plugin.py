"""For those who publish with octodns-sync: a source of our records, a validator of zones, and a fence around zones that others own.

    providers:
      mtasts:
        class: mtasts_deploy.octodns_plugin.MtaStsSource
        # the declaration; relative to the current directory, as all paths of octoDNS are
        config: mta-sts.yaml
        # take the place of our records that stand in an earlier source by hand (optional, default false)
        populate_should_replace: false
        # a domain whose record the ledger does not have, though one may be live: stop (default), or skip where a fence keeps it
        unknown_domains: stop
    validators:
      mtasts-zone:
        class: mtasts_deploy.octodns_plugin.MtaStsValidator
        # with a declaration also the MX hosts are compared with the policies in its ledger (optional)
        config: mta-sts.yaml
    processors:
      mtasts-fence:
        class: mtasts_deploy.octodns_plugin.Fence
        config: mta-sts.yaml

Nothing is written here, and no id is computed: `deploy apply` stores in the ledger which record may be published (`dns: plugin`).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from octodns.context import ContextDict
from octodns.processor.base import BaseProcessor
from octodns.record import Record
from octodns.source.base import BaseSource

from mtasts_deploy import desired
from mtasts_deploy.apply.book import Book
from mtasts_deploy.declaration.load import load
from mtasts_deploy.declaration.model import DomainSettings, Sts
from mtasts_deploy.deployment import Deployment, utc_now
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.dns import fence, reading
from mtasts_deploy.dns.zone_records import host
from mtasts_deploy.errors import MtastsError
from mtasts_deploy.facts import RecordKind
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.plan.horizon import ready, strict_ready
from mtasts_deploy.plan.wording import moment
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from mtasts_deploy.rfc.records import RecordError, StsRecord, parse_sts, parse_tlsrpt

try:
    from octodns.zone.validator import ValidationReason, ZoneValidator
except ImportError:  # octoDNS before 1.18 knows no validators of zones
    ValidationReason, ZoneValidator = None, object

_TXT = "TXT"
_NAMES = {"_mta-sts.": RecordKind.STS, "_smtp._tls.": RecordKind.TLSRPT}


class PluginError(MtastsError):
    """What octodns-sync must stop for; its text has codes, places and hints, as octoDNS shows nothing but the text."""

    def __str__(self) -> str:
        return "\n".join(map(_said, self.diagnostics))


def _said(finding: Diagnostic) -> str:
    place = "" if finding.where is None else f"{finding.where}: "
    domain = "" if finding.domain is None or finding.domain in finding.message else f"{finding.domain}: "
    return f"{place}{domain}{finding.code}: {finding.message}" + (f" ({finding.hint})" if finding.hint else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ours:
    """A record of ours as octodns-sync may publish it now: absolute name with root dot, and where it is declared."""

    name: str
    kind: RecordKind
    value: str
    ttl: int
    context: str


class _Deployed:
    """A declaration and its ledger, each read once: what one run of octodns-sync works with."""

    def __init__(self, config: str) -> None:
        """Raises `PluginError` if the declaration cannot be used."""
        try:
            # An entry of `allow` that has expired stops `deploy`; it must not stop a zone.
            declaration = load(Path(config), today=date.min)
        except MtastsError as error:
            raise PluginError(*error.diagnostics) from error
        self.config = config
        self.declared: Mapping[Domain, DomainSettings] = declaration.domains
        self._store = Deployment.of(declaration).store

    @cached_property
    def entries(self) -> Mapping[Domain, Entry]:
        """What the ledger has. Raises `PluginError` if it cannot be read: without it live records would be taken for nobody's."""
        book = Book(self._store)
        try:
            return {domain: book.entry(domain) for domain in map(Domain.parse, book.domains(whole=True))}
        except MtastsError as error:
            raise PluginError(*error.diagnostics) from error

    def entry(self, domain: Domain) -> Entry:
        """What the ledger has of a domain."""
        return self.entries.get(domain, UNSEEN)

    @cached_property
    def _by_suffix(self) -> Mapping[str, list[Domain]]:
        found: defaultdict[str, list[Domain]] = defaultdict(list)
        for domain in sorted({*self.declared, *self.entries}):
            suffixes = set()
            for name in (domain.sts_record, domain.tlsrpt_record):
                while name:
                    suffixes.add(name)
                    name = name.partition(".")[2]
            for suffix in suffixes:
                found[suffix].append(domain)
        return found

    def domains(self, zone: Any) -> list[Domain]:
        """The domains, declared or in the ledger, some of whose names lie at or below the apex of the zone."""
        return list(self._by_suffix.get(zone.name[:-1], ()))

    def left_to_octodns(self, domain: Domain) -> bool:
        """Are the records of this domain written by octodns-sync? A domain that is no longer declared keeps its record."""
        settings = self.declared.get(domain)
        return settings.plugin if settings is not None else self.entry(domain).to_publish is not None

    def may_be_live(self, domain: Domain) -> str:
        """Why a `_mta-sts` record may be live that octodns-sync was not given; empty if none is."""
        entry = self.entries.get(domain)
        if entry is None:
            return "the ledger does not know the domain"
        live = sorted(known.id for known in entry.ids.values() if known.until is None)
        if not live:
            return ""
        why = f"the ledger has seen the id {live[0]} live, and has no record to publish"
        if entry.lost is None:
            return why
        return f"{why}; it was lost: `deploy apply` hands a fresh id over when the address can be in no cache any more (`plan` says when)"

    def sts(self, domain: Domain) -> _Ours | None:
        """The `_mta-sts` record whose bytes passed the barrier, as the ledger has it."""
        settings, record = self.declared.get(domain), self.entry(domain).to_publish
        if record is None or (settings is not None and settings.sts is Sts.ELSEWHERE):
            return None
        value = StsRecord(id=PolicyId.parse(record.id)).render()
        return _Ours(name=f"{domain.sts_record}.", kind=RecordKind.STS, value=value, ttl=record.ttl, context=self._place(settings))

    def tlsrpt(self, domain: Domain) -> _Ours | None:
        """The declared `_smtp._tls` record: it needs no proof."""
        settings = self.declared.get(domain)
        value = None if settings is None else desired.tlsrpt(settings)
        if settings is None or value is None:
            return None
        name = f"{domain.tlsrpt_record}."
        return _Ours(name=name, kind=RecordKind.TLSRPT, value=value, ttl=settings.ttl, context=self._place(settings))

    def _place(self, settings: DomainSettings | None) -> str:
        return f"the ledger of {self.config}" if settings is None else str(settings.where)


def _records(zone: Any) -> dict[tuple[str, str], Any]:
    return {(record.name, record._type): record for record in zone.records}


class MtaStsSource(BaseSource):  # type: ignore[misc, unused-ignore]
    """An octoDNS source: the records of the domains with `dns: plugin`, in the zones that own their names. Lists no zones."""

    SUPPORTS_GEO = False
    SUPPORTS = frozenset({_TXT})

    def __init__(self, id: str, config: str, populate_should_replace: bool = False, unknown_domains: str = "stop") -> None:
        """Raises `PluginError` if the declaration or an option cannot be used. `config` is relative to the current directory."""
        self.log = logging.getLogger(f"{type(self).__name__}[{id}]")
        self.log.debug("__init__: id=%s, config=%s, populate_should_replace=%s", id, config, populate_should_replace)
        super().__init__(id)
        self.populate_should_replace = populate_should_replace
        if unknown_domains not in ("stop", "skip"):
            message = f"`unknown_domains` of {id} is {unknown_domains!r}"
            raise PluginError(Diagnostic(code="MTS488", message=message, hint="Write stop or skip."))
        self._skips = unknown_domains == "skip"
        self._deployed = _Deployed(config)

    def list_zones(self) -> list[str]:
        """None: a `*` in the octoDNS config must not make zones of mail domains."""
        return []

    def populate(self, zone: Any, target: bool = False, lenient: bool = False) -> bool:  # noqa: ARG002
        """Add our records; values of others that an earlier source has at their names stay.

        Raises `PluginError`: the ledger cannot be read, an earlier source has a record of ours (MTS483), or a live record might be removed
        because the ledger has none (MTS488).
        """
        before = len(zone.records)
        for ours in self._ours(zone):
            self._add(zone, ours, lenient)
        self.log.info("populate:   found %s records", len(zone.records) - before)
        return True

    def _ours(self, zone: Any) -> Iterator[_Ours]:
        for domain in self._deployed.domains(zone):
            if not self._deployed.left_to_octodns(domain):
                continue
            sts = self._deployed.sts(domain)
            self._warn(zone, domain, sts)
            for ours in (sts, self._deployed.tlsrpt(domain)):
                if ours is not None and zone.owns(_TXT, ours.name):
                    yield ours

    def _warn(self, zone: Any, domain: Domain, sts: _Ours | None) -> None:
        settings = self._deployed.declared.get(domain)
        if not zone.owns(_TXT, f"{domain.sts_record}."):
            return
        if settings is None:
            self.log.warning("populate: %s is no longer declared; its _mta-sts record stays as it is (MTS415)", domain)
        elif sts is None and settings.sts is Sts.PUBLISH:
            if not self._skips and self._by_others(zone, domain) is None and (why := self._deployed.may_be_live(domain)):
                raise PluginError(_would_remove(domain, why))
            self.log.warning("populate: %s has no _mta-sts record to publish yet: run `deploy apply`", domain)

    def _by_others(self, zone: Any, domain: Domain) -> Any:
        """The record set of an earlier source at the `_mta-sts` name, if a value of ours is in it."""
        there = _records(zone).get((zone.hostname_from_fqdn(f"{domain.sts_record}."), _TXT))
        return there if there is not None and any(RecordKind.STS.owns(reading.raw_value(value)) for value in there.values) else None

    def _add(self, zone: Any, ours: _Ours, lenient: bool) -> None:
        name = zone.hostname_from_fqdn(ours.name)
        there = _records(zone).get((name, _TXT))
        values = [] if there is None else [value for value in there.values if not ours.kind.owns(reading.raw_value(value))]
        if there is not None and len(values) < len(there.values) and not self.populate_should_replace:
            raise PluginError(self._by_hand(ours, there))
        data = {"type": _TXT, "ttl": ours.ttl, "values": [*values, ours.value.replace(";", "\\;")]}
        if there is not None and there.octodns:
            data["octodns"] = dict(there.octodns)
        record = Record.new(zone, name, ContextDict(data, context=ours.context), source=self, lenient=lenient)
        zone.add_record(record, replace=there is not None, lenient=lenient)

    def _by_hand(self, ours: _Ours, there: Any) -> Diagnostic:
        place = f" ({there.context})" if getattr(there, "context", None) else ""
        message = f"another source of the zone has a {ours.kind.value} value at {ours.name[:-1]}{place}, which {self.id} publishes"
        hint = f"Remove it there, or set `populate_should_replace: true` at {self.id}."
        return Diagnostic(code="MTS483", message=message, hint=hint)


class MtaStsValidator(ZoneValidator):  # type: ignore[misc, unused-ignore]
    """An octoDNS validator of zones (octoDNS 1.18 or newer): anyone's `_mta-sts` and `_smtp._tls` records, and new MX hosts.

    A host that is no MX host yet fails the zone while some sender may hold a policy in mode enforce that does not name it. What the ledger
    has seen as an MX host never fails it: to stop the zone would stop the very record that mends this.
    """

    def __init__(self, id: str, config: str | None = None, clock: Callable[[], datetime] = utc_now) -> None:
        """`config` is the declaration, relative to the current directory; without it MX hosts are not looked at."""
        if ValidationReason is None:
            raise PluginError(
                Diagnostic(code="MTS485", message="this octoDNS knows no validators of zones", hint="Install octoDNS 1.18 or newer.")
            )
        super().__init__(id)
        self.log = logging.getLogger(f"{type(self).__name__}[{id}]")
        self._deployed = None if config is None else _Deployed(config)
        self._clock = clock

    def validate(self, zone: Any) -> list[Any]:
        """What is wrong with the zone, each with the records that it is about."""
        records = _records(zone)
        found = [self._reason(text, record) for record in records.values() for text in self._txt(record)]
        return found + [self._reason(_said(finding), record) for finding, record in self._mx(zone, records)]

    def _reason(self, text: str, record: Any) -> Any:
        try:
            return ValidationReason(text, records=[record], validator_id=self.id)
        except TypeError:  # octoDNS before 1.21
            return ValidationReason(text, [record])

    def _txt(self, record: Any) -> Iterator[str]:
        kind = next((kind for start, kind in _NAMES.items() if record.fqdn.startswith(start)), None)
        if record._type != _TXT or kind is None:
            return
        values = [reading.raw_value(value) for value in record.values]
        ours = [value for value in values if kind.owns(value)]
        parse: Callable[[list[str]], Any] = parse_sts if kind is RecordKind.STS else parse_tlsrpt
        try:
            problems = parse(values).warnings
        except RecordError as error:
            problems = error.problems
        for problem in problems:
            finding = problem.diagnostic(domain=record.fqdn[:-1])
            if finding.severity is Severity.ERROR:
                yield _said(finding)
            else:
                self.log.warning("validate: %s", _said(finding))
        if len(ours) > 1 and all(problem.code != "MTS301" for problem in problems):
            yield f"{record.fqdn[:-1]}: MTS301: {len(ours)} TXT values begin with `{kind.value}` (Leave exactly one.)"

    def _mx(self, zone: Any, records: Mapping[tuple[str, str], Any]) -> Iterator[tuple[Diagnostic, Any]]:
        if self._deployed is None:
            return
        now = self._clock()
        for domain in self._deployed.domains(zone):
            entry = self._deployed.entry(domain)
            if not entry.ids or not zone.owns("MX", f"{domain}."):
                continue
            for name, record in self._hosts(zone, domain, records):
                if name in entry.live_hosts(now):
                    if not ready(entry, name, now):
                        self.log.warning("validate: %s is an MX host of %s already, and %s", name, domain, _LACKING)
                elif not ready(entry, name, now):
                    yield _not_ready(domain, name, entry, now), record

    @staticmethod
    def _hosts(zone: Any, domain: Domain, records: Mapping[tuple[str, str], Any]) -> Iterator[tuple[str, Any]]:
        """The MX hosts with the record that names them; without MX records the domain itself, if it has addresses (RFC 5321 §5.1)."""
        key = zone.hostname_from_fqdn(f"{domain}.")
        record = records.get((key, "MX"))
        if record is not None:
            yield from ((name, record) for value in record.values if (name := host(str(value.exchange))) != ".")
        elif address := records.get((key, "A")) or records.get((key, "AAAA")):
            yield str(domain), address


def _would_remove(domain: Domain, why: str) -> Diagnostic:
    return Diagnostic(
        code="MTS488",
        message=f"{domain} has no _mta-sts record to publish, and one may be live: {why}",
        hint="Run `deploy apply` first, with the ledger that earlier runs have written. Where a fence keeps what is live, or nothing can "
        "be, set `unknown_domains: skip` at this source.",
    )


_LACKING = "a policy in mode enforce that some sender may hold does not name it"


def _not_ready(domain: Domain, name: str, entry: Entry, now: datetime) -> Diagnostic:
    known = all(one.counted for one in entry.ids.values() if one.visible(now))
    why = _LACKING if known else "an id of unknown history may be visible, under which a sender may hold any policy"
    after = strict_ready(entry, name, now)
    last = f" No policy that the ledger knows can be held without it after {moment(after)}." if after > now else ""
    return Diagnostic(
        code="MTS484",
        message=f"{name} would become an MX host of {domain}, but {why}",
        hint=f"Add it to `mx:` of {domain} first, run `deploy apply`, then octodns-sync, then `deploy apply` again; one TTL after that the "
        f"host may be added.{last}",
    )


class Fence(BaseProcessor):  # type: ignore[misc, unused-ignore]
    """An octoDNS processor for zones that others own: only the TXT records at our names may change, and only our values there.

    Whatever else the sources have or lack, the target keeps what it has. A live `_mta-sts` record stays as long as the ledger has none to
    publish; a `_smtp._tls` record is removed only where `tlsrpt: false` is declared.
    """

    def __init__(self, name: str, config: str, lenient: bool = False) -> None:
        """Raises `PluginError` if the declaration cannot be used. `config` is relative to the current directory."""
        super().__init__(name)
        self.lenient = lenient
        self._deployed = _Deployed(config)

    def process_source_and_target_zones(self, desired: Any, existing: Any, target: Any, lenient: bool = False) -> tuple[Any, Any]:  # noqa: ARG002
        """Copy what is not ours from the target. Raises `PluginError` where our record cannot stand (MTS459, MTS460, MTS462)."""
        try:
            fence.keep_others(desired, existing, target, self._names(desired))
        except MtastsError as error:
            raise PluginError(*error.diagnostics) from error
        return desired, existing

    def process_plan(self, plan: Any, sources: Any, target: Any, lenient: bool = False) -> Any:  # noqa: ARG002
        """Let our changes through and no others. Raises `PluginError` for a zone that is not there (MTS458) or would change (MTS461)."""
        try:
            return None if plan is None else fence.checked(plan, target, self._names(plan.desired))
        except MtastsError as error:
            raise PluginError(*error.diagnostics) from error

    def _names(self, zone: Any) -> list[fence.OurName]:
        names = []
        for domain in self._deployed.domains(zone):
            if not self._deployed.left_to_octodns(domain):
                continue
            settings = self._deployed.declared.get(domain)
            removable = settings is not None and settings.tlsrpt == ()
            for name, kind in ((f"{domain.sts_record}.", RecordKind.STS), (f"{domain.tlsrpt_record}.", RecordKind.TLSRPT)):
                if zone.owns(_TXT, name):
                    key = zone.hostname_from_fqdn(name)
                    names.append(fence.OurName(key=key, kind=kind, removable=removable and kind is RecordKind.TLSRPT))
        return names
