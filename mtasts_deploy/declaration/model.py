"""What a declaration says, with every default filled in: frozen types, made by `load`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal

from mtasts_deploy.diagnostics import Diagnostic, Span
from mtasts_deploy.facts import Address, ZoneName
from mtasts_deploy.rfc.names import Domain, MxPattern
from mtasts_deploy.rfc.policy import Mode

ZONE_FILES: Final = "mtasts_deploy.dns.zone_files.ZoneFilesProvider"
"""The class of the embedded default: octoDNS's zone files, edited in place."""
LIFTABLE: Final = frozenset(
    {
        "MTS257",
        "MTS401",
        "MTS405",
        "MTS407",
        "MTS408",
        "MTS410",
        "MTS411",
        "MTS422",
        "MTS423",
        "MTS424",
        "MTS425",
        "MTS430",
        "MTS431",
        "MTS701",
    }
)
"""The codes that `--allow` and `allow:` can lift for a domain."""


PLUGIN: Final = "plugin"
"""The value of `dns` that leaves the records to octodns-sync; no provider can have this name."""
POLICY_KEY: Final = "{policy_host}/.well-known/mta-sts.txt"
"""Where in a bucket a domain's policy is, unless the host says otherwise."""


class Sts(Enum):
    """Who publishes the MTA-STS policy of a domain."""

    PUBLISH = "true"
    TLSRPT_ONLY = "false"
    ELSEWHERE = "elsewhere"


class Confirm(Enum):
    """How a published policy is confirmed: fetched as a sender does, or read back from its host."""

    HTTPS = "https"
    STORAGE = "storage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A guard that is lifted for one domain, in the open: `code` until the end of the day `until`."""

    code: str
    until: date
    why: str
    where: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How hard a provider may be worked: calls under way at a time, requests that begin in a second; None: no limit of the user's."""

    max_in_flight: int | None = None
    per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """A DNS provider: `options` are the block without `class`, as written.

    `handlers` are the blocks of the secret handlers that its options may name. `claimed` are the zones (as octoDNS writes them, perhaps
    with `*`) that the octoDNS configuration of the declaration writes to this provider; `source` is that configuration where the
    provider comes from it.
    """

    name: str
    class_name: str
    options: Mapping[str, object]
    where: Span | None = None
    limit: Limit = field(default=Limit())
    handlers: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    claimed: tuple[str, ...] = ()
    source: str | None = None

    @property
    def local(self) -> bool:
        """Is it nothing but files in a directory?"""
        return self.class_name == ZONE_FILES


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSpec:
    """A directory where policy files are put; `path` is relative to the declaration's directory, or absolute, `edge_ttl` in seconds."""

    name: str
    type: Literal["directory"] = "directory"
    path: str
    edge_ttl: int | None = None
    where: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class S3HostSpec:
    """A bucket where policy files are put.

    `key` is a template with `{domain}` and `{policy_host}`, `prefix` stands before every key and is empty or ends with a slash; `edge_ttl`
    is in seconds, `cloudfront` the id of a distribution; region and endpoint are None where boto3's configuration has them.
    """

    name: str
    type: Literal["s3"] = "s3"
    bucket: str
    key: str = POLICY_KEY
    prefix: str = ""
    region: str | None = None
    endpoint_url: str | None = None
    cache_control: str = "max-age=60"
    edge_ttl: int | None = None
    cloudfront: str | None = None
    where: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSpec:
    """The directory of the ledger, the lock and the run logs; `path` is relative to the declaration's directory, or absolute."""

    type: Literal["directory"] = "directory"
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class S3StateSpec:
    """A bucket that holds the ledger, the lock and the run logs below `prefix`, which is empty or ends with a slash."""

    type: Literal["s3"] = "s3"
    bucket: str
    prefix: str = ""
    region: str | None = None
    endpoint_url: str | None = None


class Places(Mapping[str, Span]):
    """The places of the values in one block of settings, made when they are asked for."""

    __slots__ = ("_children", "_path")

    def __init__(self, path: str, children: Mapping[str, Any] | None) -> None:
        self._path = path
        self._children: Mapping[str, Any] = children or {}

    def __getitem__(self, setting: str) -> Span:
        node = self._children[setting]
        return Span(path=self._path, line=node.line, column=node.column)

    def __iter__(self) -> Iterator[str]:
        return iter(self._children)

    def __len__(self) -> int:
        return len(self._children)

    def __repr__(self) -> str:
        return f"Places({list(self._children)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSettings:
    """The effective settings of one domain: its own over its profile over `defaults` over the built-in ones.

    `max_age` and `ttl` are seconds. `address` is where the policy host is to lead; None where its address records are not managed.
    `mx_zone`: follow the MX records of the zone, beside the patterns in `mx`. `tlsrpt` is None where the record is not managed (what is
    there stays), empty where the one that we published is to go, else the normalised URIs in their order. `dns` are the providers that
    hold the records; with `plugin`, octodns-sync writes them and these providers are only looked at, or, without
    any, the name servers themselves. `zone` is one zone for all records, or zones by `sts`, `tlsrpt`, `mx` and `address`, or None: found
    by the longest match. `by_hand`: all its providers are zone files that `deploy` writes and somebody ships to the name servers.
    `where` is the place of the domain's name, `at` has those of its own settings; neither counts in `==`.
    """

    domain: Domain
    where: Span | None = field(default=None, compare=False)
    sts: Sts = Sts.PUBLISH
    mode: Mode = Mode.TESTING
    max_age: int = 604_800
    mx_zone: bool = True
    mx: tuple[MxPattern, ...] = ()
    tlsrpt: tuple[str, ...] | None = None
    dns: tuple[str, ...] = ("local",)
    plugin: bool = False
    host: str = "local"
    zone: ZoneName | Mapping[str, ZoneName] | None = None
    ttl: int = 3600
    address: Address | None = None
    confirm: Confirm = Confirm.STORAGE
    by_hand: bool = True
    allow: tuple[Allowance, ...] = ()
    profile: str | None = None
    at: Mapping[str, Span] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One declaration with its includes. `path` is as it was given, `directory` absolute; paths in it are relative to that directory.

    `domains` are in the order of the files. `warnings` are all findings that do not forbid its use.
    """

    path: Path
    directory: Path
    providers: Mapping[str, ProviderSpec]
    hosts: Mapping[str, HostSpec | S3HostSpec]
    state: StateSpec | S3StateSpec
    domains: Mapping[Domain, DomainSettings]
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def local(self) -> bool:
        """Can everything that it names be looked at without a network?"""
        return (
            all(provider.local for provider in self.providers.values())
            and all(isinstance(host, HostSpec) for host in self.hosts.values())
            and isinstance(self.state, StateSpec)
            and all(settings.dns for settings in self.domains.values())
        )
