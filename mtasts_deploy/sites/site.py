"""What is to be served: the policy hosts of declared domains, and where their files are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from mtasts_deploy.declaration.model import POLICY_KEY, Declaration, HostSpec, S3HostSpec, Sts
from mtasts_deploy.declaration.wording import did_you_mean
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError
from mtasts_deploy.rfc.names import Domain

ROOT: Final = "/srv/mta-sts"
"""Where a web server is taken to have the files of a directory host whose path is relative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The domains of one host. `root` is the directory of a directory host on the web server; the others are those of a bucket.

    `made` is the directory that `deploy apply` writes, as the declaration names it.
    """

    domains: tuple[Domain, ...]
    root: str = ROOT
    made: str = "policies"
    bucket: str = ""
    key: str = POLICY_KEY
    prefix: str = ""


def site(declaration: Declaration, kind: type[HostSpec | S3HostSpec], name: str | None, root: str | None = None) -> Site:
    """The site of the host `name`; by default of the host of that kind that domains use, and where none does, of all domains.

    Raises `UsageError` (MTS930) for a name that is no such host, several hosts to choose from, or a declaration without such domains.
    """
    publishing = [settings for settings in declaration.domains.values() if settings.sts is Sts.PUBLISH]
    used = dict.fromkeys(settings.host for settings in publishing if isinstance(declaration.hosts[settings.host], kind))
    if name is None and len(used) > 1:
        raise _usage(f"several hosts are meant: {', '.join(used)}", "Name one with `--host`.")
    chosen = name or next(iter(used), None)
    spec = None if chosen is None else declaration.hosts.get(chosen)
    if name is not None and not isinstance(spec, kind):
        known = [one.name for one in declaration.hosts.values() if isinstance(one, kind)]
        raise _usage(f"{name} is no host of that kind", did_you_mean(name, known, "Declare it under `hosts:` first."))
    domains = tuple(settings.domain for settings in publishing if spec is None or settings.host == chosen)
    if not domains:
        raise _usage("no domain is declared whose policy would be served there", "Declare one, with `host:` where it is not the default.")
    if isinstance(spec, S3HostSpec):
        return Site(domains=domains, bucket=spec.bucket, key=spec.key, prefix=spec.prefix)
    made = spec.path if isinstance(spec, HostSpec) else "policies"
    return Site(domains=domains, root=root or (made if PurePosixPath(made).is_absolute() else ROOT), made=made)


def portions(domains: Sequence[Domain], size: int) -> list[tuple[Domain, ...]]:
    """The domains in portions, for what takes only so many names."""
    return [tuple(domains[start : start + size]) for start in range(0, len(domains), size)]


def _usage(message: str, hint: str) -> UsageError:
    return UsageError(Diagnostic(code="MTS930", message=message, hint=hint))
