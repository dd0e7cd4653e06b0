"""A declaration's providers, hosts and state as adapters: the only code that names a concrete one. Touches nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from mtasts_deploy.declaration.model import ZONE_FILES, HostSpec, ProviderSpec, S3HostSpec, S3StateSpec, StateSpec

if TYPE_CHECKING:
    from mtasts_deploy.dns.interface import Target
    from mtasts_deploy.dns.zone_memory import ZoneMemory
    from mtasts_deploy.hosting.interface import Host
    from mtasts_deploy.sender.interface import Fetcher, NameServers
    from mtasts_deploy.sender.options import Looking
    from mtasts_deploy.served_zones import ServedZones
    from mtasts_deploy.state.interface import StateStore
    from mtasts_deploy.verify.look import Eyes


def memories(providers: Iterable[ProviderSpec], state: StateSpec | S3StateSpec, base: Path) -> dict[str, ZoneMemory]:
    """What is remembered of each provider's zone files, beside a state in a directory; nothing where the state is somewhere else."""
    if isinstance(state, S3StateSpec):
        return {}
    from mtasts_deploy.dns.zone_memory import ZoneMemory

    return {spec.name: ZoneMemory(base / state.path / "cache" / "zones", spec.name) for spec in providers if _in_files(spec)}


def _in_files(spec: ProviderSpec) -> bool:
    return spec.class_name == ZONE_FILES and spec.source is None


def target(spec: ProviderSpec, base: Path, memory: ZoneMemory | None = None) -> Target:
    """The target of a provider block: zone files by themselves, everything else through octoDNS."""
    if not _in_files(spec):
        from mtasts_deploy.dns.octodns_target import OctodnsTarget

        return OctodnsTarget(spec)
    from mtasts_deploy.dns.local import LocalTarget

    directory = str(spec.options["directory"])
    return LocalTarget(
        spec.name,
        base / directory,
        shown=directory,
        default_ttl=int(str(spec.options.get("default_ttl", 3600))),
        escaped_semicolons=bool(spec.options.get("escaped_semicolons", True)),
        memory=memory,
    )


def host(spec: HostSpec | S3HostSpec, base: Path) -> Host:
    """A policy host; paths are relative to `base`."""
    match spec:
        case HostSpec():
            from mtasts_deploy.hosting.directory import DirectoryHost

            return DirectoryHost(spec.name, base / spec.path, spec.path, edge_ttl=spec.edge_ttl)
        case S3HostSpec():
            return _s3_host(spec)
        case _:
            assert_never(spec)


def _s3_host(spec: S3HostSpec) -> Host:
    from mtasts_deploy.aws.bucket import Bucket
    from mtasts_deploy.aws.distribution import Distribution
    from mtasts_deploy.hosting.edges import Edges
    from mtasts_deploy.hosting.keys import KeyTemplate
    from mtasts_deploy.hosting.s3 import S3Host

    return S3Host(
        spec.name,
        Bucket(name=spec.bucket, region=spec.region, endpoint_url=spec.endpoint_url),
        KeyTemplate(template=spec.key, below=spec.prefix),
        cache_control=spec.cache_control,
        edge_ttl=spec.edge_ttl,
        edges=None if spec.cloudfront is None else Edges(Distribution(id=spec.cloudfront), below=spec.prefix),
    )


def state(spec: StateSpec | S3StateSpec, base: Path) -> StateStore:
    """The state store; paths are relative to `base`."""
    match spec:
        case StateSpec():
            from mtasts_deploy.state.directory import DirectoryState

            return DirectoryState(base / spec.path, spec.path)
        case S3StateSpec():
            from mtasts_deploy.aws.bucket import Bucket
            from mtasts_deploy.state.s3 import S3State

            return S3State(Bucket(name=spec.bucket, region=spec.region, endpoint_url=spec.endpoint_url), spec.prefix)
        case _:
            assert_never(spec)


def fetcher(looking: Looking) -> Fetcher:
    """What fetches policies as strict senders do. Raises `UsageError` where no root certificates can be read."""
    from mtasts_deploy.sender.https import StrictFetcher  # urllib3 and ssl: 60 ms, and only a run that fetches needs them

    return StrictFetcher(looking)


def eyes(looking: Looking, clock: Callable[[], datetime], *, smtp: bool) -> Eyes:
    """What a verification looks with; with `smtp`, also at MX hosts. Raises `UsageError` where no root certificates can be read."""
    from mtasts_deploy.sender.dns import Dns
    from mtasts_deploy.sender.https import StrictFetcher
    from mtasts_deploy.sender.smtp import SmtpProber
    from mtasts_deploy.verify.look import Eyes

    dns = Dns(looking)
    return Eyes(
        lookups=dns,
        fetcher=StrictFetcher(looking, lambda name, known: dns.addresses(name, known=known)),
        prober=SmtpProber(looking) if smtp else None,
        looking=looking,
        clock=clock,
    )


def name_servers(looking: Looking) -> NameServers:
    """What asks the servers of a zone themselves."""
    from mtasts_deploy.sender.dns import Dns

    return Dns(looking)


def served_zones(looking: Looking) -> ServedZones:
    """The zones as their name servers give them out."""
    from mtasts_deploy.served_zones import ServedZones

    return ServedZones(name_servers(looking))
