"""What we know of octoDNS's providers: data. Which package has them, what they promise, and which options we set for them.

Imports no octoDNS. `docs/reference/providers.md` is generated from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from mtasts_deploy.dns.interface import Guarantee


class Reuse(Enum):
    """How one built provider may serve several calls without remembering what it once read.

    A provider is copied before each call, with the containers in it that are its caches, and the original never reads anything.
    """

    NEVER = "build anew each time"
    WORKER = "one for each worker, copied for each call"
    ALL = "one for all workers, copied for each call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One class. `options` are those that we set where the block does not; `min_ttl` is in seconds, 0 where the provider takes any.

    `extra` is the name of our extra that installs it, empty where none is needed. `faults_pass`: an HTTP 5xx or SERVFAIL of it may be a
    busy moment and is tried again like throttling. `in_flight` calls go on at a time and `per_second` requests begin in a second (None:
    any number) where the user sets no limits; the rates are those that the vendors publish.
    """

    extra: str = ""
    guarantee: Guarantee = Guarantee.RECORD_BY_RECORD
    min_ttl: int = 0
    options: Mapping[str, object] = field(default_factory=dict)
    reuse: Reuse = Reuse.NEVER
    in_flight: int = 16
    per_second: float | None = None
    faults_pass: bool = False
    notes: str = ""


_ATOMIC: Final = Guarantee.ZONE_ATOMIC
_RFC2136: Final = Known(
    extra="bind",
    guarantee=_ATOMIC,
    reuse=Reuse.WORKER,
    faults_pass=True,
    notes="One UPDATE a zone, all or nothing. Reads by zone transfer, so the key needs that right too; BIND answers SERVFAIL to more than "
    "`transfers-out` of them at a time, and that is tried again. It cannot list zones: the zone of a name is asked for by its SOA record.",
)

PROVIDERS: Final[Mapping[str, Known]] = MappingProxyType(
    {
        "mtasts_deploy.dns.zone_files.ZoneFilesProvider": Known(
            guarantee=_ATOMIC, notes="Zone files of octoDNS, edited in place: the file is replaced at once. The embedded default."
        ),
        "octodns.provider.yaml.YamlProvider": Known(
            options={"escaped_semicolons": True},
            notes="Rewrites whole files without a temporary one; comments are lost. Use ZoneFilesProvider.",
        ),
        "octodns_azure.AzureProvider": Known(extra="azure", notes="One call for each record set; the last writer wins."),
        "octodns_bind.Rfc2136Provider": _RFC2136,
        "octodns_bind.BindProvider": _RFC2136,
        "octodns_bind.ZoneFileProvider": Known(extra="bind", notes="Refused (MTS462): it overwrites the whole zone file with our records."),
        "octodns_cloudflare.CloudflareProvider": Known(
            extra="cloudflare",
            min_ttl=120,
            per_second=4,
            options={"retry_count": 0, "retry_period": 1, "pagerules": False},
            reuse=Reuse.WORKER,
            notes="One call for each value: new ones first, then the old ones go. Its own sleep of 300 s on throttling is off, "
            "as ours retry. Page rules are not read. A shorter TTL becomes 120.",
        ),
        "octodns_digitalocean.DigitalOceanProvider": Known(
            extra="digitalocean", min_ttl=30, notes="An update deletes and then creates: for a moment there is no record."
        ),
        "octodns_googlecloud.GoogleCloudProvider": Known(
            extra="googlecloud", guarantee=_ATOMIC, notes="One change a zone, rejected if a record is no longer what was read."
        ),
        "octodns_ns1.Ns1Provider": Known(extra="ns1", notes="One call for each record set; the last writer wins."),
        "octodns_powerdns.PowerDnsProvider": Known(
            extra="powerdns",
            guarantee=_ATOMIC,
            reuse=Reuse.WORKER,
            options={"enable_dynamic": True},
            in_flight=32,
            faults_pass=True,
            notes="One PATCH a zone, all or nothing; comments of other record sets stay. With its SQLite backend it answers 500 while "
            "another write has the database locked: that is tried again. `enable_dynamic` saves a request for each "
            "zone; no dynamic record is ever written.",
        ),
        "octodns_route53.Route53Provider": Known(
            extra="route53",
            per_second=5,
            guarantee=_ATOMIC,
            options={"get_zones_by_name": True},
            reuse=Reuse.ALL,
            notes="One batch a zone, all or nothing. A zone is looked up by its name, not by listing all of them; "
            "two zones of one name (public and private) need `private:`.",
        ),
    }
)
"""By class. What is not here counts as record by record, is built anew for each call, and may have any TTL."""

UNKNOWN: Final = Known(notes="Any other provider.")
ALWAYS: Final[Mapping[str, object]] = MappingProxyType({"root_ns_warnings": False})
"""Options that we set for every provider where the block does not."""


def known(class_name: str) -> Known:
    """What we know of a class."""
    return PROVIDERS.get(class_name, UNKNOWN)


def install_hint(class_name: str) -> str:
    """How to install the package that has this class."""
    extra = known(class_name).extra
    if extra:
        return f"pip install 'mtasts-deploy[{extra}]'"
    package = class_name.partition(".")[0].replace("_", "-")
    return f"pip install {package}, if that is the package that has it"
