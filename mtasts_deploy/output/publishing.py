"""For those who publish by hand (`render`): the policy files and the records of domains, in several formats. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from mtasts_deploy import desired
from mtasts_deploy.declaration.model import DomainSettings, Sts
from mtasts_deploy.facts import HostedPolicy
from mtasts_deploy.ledger.events import saw
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.observed import Observed, RecordSite
from mtasts_deploy.plan.handover import held
from mtasts_deploy.plan.ids import pick_id
from mtasts_deploy.plan.model import Barrier, DomainPlan, PutPolicy
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.records import StsRecord

RECORDS = "records.zone"
"""The file of all records beside the policy files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TxtRecord:
    """A TXT record to publish: its owner name (A-labels, no root dot), and the zone that holds it where one is known."""

    name: str
    ttl: int
    value: str
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What a domain publishes. `remembered`: the ledger knew it, so that the id is certain never to have named other bytes."""

    domain: Domain
    policy: bytes | None
    records: tuple[TxtRecord, ...]
    remembered: bool


def publication(settings: DomainSettings, plan: DomainPlan, seen: Observed, stored: Entry | None, now: datetime) -> Publication:
    """The policy and the records that this plan leads to."""
    records = []
    body = _body(plan, seen) if settings.sts is Sts.PUBLISH else None
    if body is not None:
        entry = saw(stored or UNSEEN, seen.look(), now)
        live = [text for text, _ in seen.ids]
        id_ = pick_id(entry, held(entry, live) if settings.plugin else live, body, now)
        name = settings.domain.sts_record
        records.append(TxtRecord(name=name, ttl=settings.ttl, value=StsRecord(id=id_).render(), zone=_zone(seen.sts)))
    rua = desired.tlsrpt(settings)
    if rua is not None:
        records.append(TxtRecord(name=settings.domain.tlsrpt_record, ttl=settings.ttl, value=rua, zone=_zone(seen.tlsrpt)))
    return Publication(domain=settings.domain, policy=body, records=tuple(records), remembered=stored is not None)


def _body(plan: DomainPlan, seen: Observed) -> bytes | None:
    planned = next((step.body for step in plan.steps if isinstance(step, PutPolicy | Barrier)), None)
    return planned if planned is not None else seen.hosted.body if isinstance(seen.hosted, HostedPolicy) else None


def _zone(sites: tuple[RecordSite, ...]) -> str | None:
    return sites[0].zone if sites else None


def path(domain: Domain) -> str:
    """Where a web server expects the policy, below its directory."""
    return f"{domain.policy_host}/.well-known/mta-sts.txt"


def as_files(publications: Iterable[Publication]) -> dict[str, bytes]:
    """Policy files by path, and one file with all records."""
    several = list(publications)
    files = {path(one.domain): one.policy for one in several if one.policy is not None}
    return {**files, RECORDS: as_zone(several).encode()}


def as_zone(publications: Iterable[Publication]) -> str:
    """Lines of a zone file (RFC 1035 §5.1), with full names."""
    return "".join(
        f"{record.name}. {record.ttl} IN TXT {' '.join(_strings(record.value))}\n" for one in publications for record in one.records
    )


def _strings(value: str) -> Iterator[str]:
    """The value as character-strings of at most 255 octets (RFC 1035 §3.3.14), quoted."""
    octets = value.encode()
    for start in range(0, len(octets), 255):
        text = octets[start : start + 255].decode("ascii")
        yield '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_octodns(publications: Iterable[Publication]) -> dict[str, str]:
    """YAML for octoDNS zone files, by zone: the records at their names within the zone, with `;` escaped as octoDNS wants it."""
    records = [(record.zone or _parent(record.name), record) for one in publications for record in one.records]
    records.sort(key=lambda item: (item[0], item[1].name))
    return {zone: "".join(_yaml(zone, record) for _, record in items) for zone, items in groupby(records, key=lambda item: item[0])}


def _parent(name: str) -> str:
    """Without a known zone: the domain itself, the name below its underscore labels."""
    labels = name.split(".")
    while labels[0].startswith("_"):
        labels.pop(0)
    return ".".join(labels) + "."


def _yaml(zone: str, record: TxtRecord) -> str:
    name = record.name.removesuffix(zone.rstrip(".")).rstrip(".")
    value = json.dumps(record.value.replace(";", "\\;"))
    return f"{name}:\n  ttl: {record.ttl}\n  type: TXT\n  value: {value}\n"


def as_data(publications: Iterable[Publication]) -> Mapping[str, object]:
    """The same as JSON data."""
    return {
        "format_version": 1,
        "domains": [
            {
                "domain": str(one.domain),
                "policy": None
                if one.policy is None
                else {"url": one.domain.policy_url, "path": path(one.domain), "text": one.policy.decode("utf-8", "replace")},
                "records": [
                    {"zone": record.zone, "name": record.name, "ttl": record.ttl, "type": "TXT", "value": record.value}
                    for record in one.records
                ],
                "history_known": one.remembered,
            }
            for one in publications
        ],
    }
