"""Looks from elsewhere: the file of `verify --out`, made where port 25 is open, counts for a day where nothing has moved since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError
from mtasts_deploy.facts import Probed, SenderLook
from mtasts_deploy.verify.file import FORMAT_VERSION
from mtasts_deploy.verify.model import Sight

VALID: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """What was seen of one domain elsewhere: the addresses of each MX host, and what each answered."""

    at: datetime
    addresses: Mapping[str, frozenset[str]]
    probes: Mapping[str, tuple[Probed, ...]]


def read_evidence(path: Path) -> dict[str, Witness]:
    """The evidence in a file, by domain (A-labels). Raises `UsageError` (MTS918) for what is none."""
    try:
        document = json.loads(path.read_bytes())
        if document["format_version"] != FORMAT_VERSION or document["kind"] != "verification":
            raise ValueError(f"format {document['format_version']} is not known")
        return {one["domain"]: _witness(one) for one in document["domains"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            Diagnostic(
                code="MTS918",
                message=f"{path} is no evidence that can be read: {error.strerror if isinstance(error, OSError) else error}",
                hint="Make it with `deploy verify --out evidence.json`.",
            )
        ) from error


def sender_look(sight: Sight, witness: Witness | None) -> SenderLook:
    """What we have seen, and for MX hosts that we could not look at what the witness has, if it is of the same hosts and not too old."""
    probes = {host.host: host.probes for host in sight.hosts}
    if witness is not None and abs(sight.at - witness.at) <= VALID and _same(sight, witness):
        probes = {host.host: witness.probes[host.host] if host.unknown or not host.looked else host.probes for host in sight.hosts}
    return SenderLook(fetched=sight.fetched, probes=probes)


def _same(sight: Sight, witness: Witness) -> bool:
    return {host.host: frozenset(host.addresses) for host in sight.hosts} == dict(witness.addresses)


def _witness(one: Mapping[str, Any]) -> Witness:
    hosts = {str(host["host"]): host for host in one["mx"]}
    return Witness(
        at=datetime.fromisoformat(one["at"]),
        addresses={name: frozenset(map(str, host["addresses"])) for name, host in hosts.items()},
        probes={name: tuple(_probe(name, probe) for probe in host["probes"]) for name, host in hosts.items()},
    )


def _probe(host: str, probe: Mapping[str, Any]) -> Probed:
    code = probe["problem"]
    said = None if code is None else Diagnostic(code=str(code), message=f"{host} at {probe['address']}, as seen elsewhere")
    return Probed(host=host, address=str(probe["address"]), problem=said, unreachable=not probe["looked"])
