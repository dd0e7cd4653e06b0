"""What credentials must allow for one declaration, and no more: to look (plan) and to write (apply). Pure.

AWS: statements of an IAM policy. Other providers: the scopes of their tokens, in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mtasts_deploy.declaration.model import Declaration, DomainSettings, ProviderSpec, S3HostSpec, S3StateSpec
from mtasts_deploy.rfc.names import Domain

Statement = Mapping[str, object]
ROUTE53: Final = "octodns_route53.Route53Provider"
_MANY: Final = 20  # names beyond these are a pattern: a policy has room for 6144 characters
_POLICY: Final = "2012-10-17"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What one provider or server needs that has no IAM policy: to look, and to write."""

    of: str
    read: str
    write: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """`read` is enough for plan; apply needs both. `notes` are sentences for people."""

    read: tuple[Statement, ...]
    write: tuple[Statement, ...]
    scopes: tuple[Scope, ...]
    notes: tuple[str, ...]


def policy(statements: Sequence[Statement]) -> Mapping[str, object]:
    """An IAM policy document."""
    return {"Version": _POLICY, "Statement": list(statements)}


def needed(declaration: Declaration) -> Permissions:
    """What this declaration needs: of the hosts and providers that its domains use, and the state."""
    domains = declaration.domains.values()
    used_hosts = dict.fromkeys(settings.host for settings in domains)
    used_providers = dict.fromkeys(provider for settings in domains for provider in settings.dns if provider in declaration.providers)
    read: list[Statement] = []
    write: list[Statement] = []
    scopes: list[Scope] = []
    buckets = [host for name in used_hosts if isinstance(host := declaration.hosts[name], S3HostSpec)]
    for host in buckets:
        _bucket(host, read, write, scopes)
        _distribution(host, write)
    if isinstance(declaration.state, S3StateSpec):
        _state(declaration.state, read, write, scopes)
    for name in used_providers:
        spec = declaration.providers[name]
        if spec.class_name == ROUTE53:
            read.append(_LOOK_ROUTE53)
            write.append(_write_route53(spec, [settings for settings in domains if name in settings.dns]))
        elif not spec.local:
            scopes.append(_scope(spec))
    return Permissions(read=_once(read), write=_once(write), scopes=tuple(scopes), notes=tuple(_notes(read, bool(buckets))))


def _bucket(host: S3HostSpec, read: list[Statement], write: list[Statement], scopes: list[Scope]) -> None:
    key = host.prefix + host.key.replace("{policy_host}", "mta-sts.*").replace("{domain}", "*")
    if _elsewhere(host):
        scopes.append(_server(f"host {host.name} ({host.endpoint_url})", host.bucket, key, delete=True))
        return
    read.append(_allow("ListPolicies", ["s3:ListBucket"], f"arn:aws:s3:::{host.bucket}"))
    read.append(_allow("ReadPolicies", ["s3:GetObject"], f"arn:aws:s3:::{host.bucket}/{key}"))
    write.append(_allow("WritePolicies", ["s3:PutObject", "s3:DeleteObject"], f"arn:aws:s3:::{host.bucket}/{key}"))


def _distribution(host: S3HostSpec, write: list[Statement]) -> None:
    if host.cloudfront is not None:
        actions = ["cloudfront:CreateInvalidation", "cloudfront:GetInvalidation"]
        write.append(_allow("PurgeCaches", actions, f"arn:aws:cloudfront::*:distribution/{host.cloudfront}"))


def _state(state: S3StateSpec, read: list[Statement], write: list[Statement], scopes: list[Scope]) -> None:
    if _elsewhere(state):
        scopes.append(_server(f"state ({state.endpoint_url})", state.bucket, f"{state.prefix}*", delete=False))
        return
    # Without a condition about s3:prefix: with it, S3 would answer 403 when an object is read that is not there.
    read.append(_allow("ListState", ["s3:ListBucket"], f"arn:aws:s3:::{state.bucket}"))
    read.append(_allow("ReadState", ["s3:GetObject"], f"arn:aws:s3:::{state.bucket}/{state.prefix}*"))
    write.append(_allow("WriteState", ["s3:PutObject"], f"arn:aws:s3:::{state.bucket}/{state.prefix}*"))


def _elsewhere(spec: S3HostSpec | S3StateSpec) -> bool:
    return spec.endpoint_url is not None and not spec.endpoint_url.rstrip("/").endswith(".amazonaws.com")


def _server(of: str, bucket: str, key: str, *, delete: bool) -> Scope:
    more = " and delete" if delete else ""
    return Scope(of=of, read=f"list bucket {bucket}, read its objects {key}", write=f"write{more} objects {key} of bucket {bucket}")


_LOOK_ROUTE53: Final = {
    "Sid": "ReadZones",
    "Effect": "Allow",
    "Action": ["route53:ListHostedZones", "route53:ListHostedZonesByName", "route53:ListResourceRecordSets", "route53:ListHealthChecks"],
    "Resource": "*",
}


def _write_route53(spec: ProviderSpec, settings: Sequence[DomainSettings]) -> Statement:
    """Only TXT records at our own names; zones are never made, so route53:CreateHostedZone is not there on purpose."""
    context = "route53:ChangeResourceRecordSets"
    return {
        "Sid": "WriteRecords" + "".join(char for char in spec.name.title() if char.isascii() and char.isalnum()),
        "Effect": "Allow",
        "Action": [context],
        "Resource": "arn:aws:route53:::hostedzone/*",
        "Condition": {
            "ForAllValues:StringLike": {f"{context}NormalizedRecordNames": _names([one.domain for one in settings])},
            "ForAllValues:StringEquals": {f"{context}RecordTypes": ["TXT"]},
        },
    }


def _names(domains: Sequence[Domain]) -> list[str]:
    if len(domains) > _MANY:
        return ["_mta-sts.*", "_smtp._tls.*"]
    return [name for domain in domains for name in (domain.sts_record, domain.tlsrpt_record)]


_WORDS: Final = {
    "octodns_azure": ("role Reader on the DNS zones", "role DNS Zone Contributor on the DNS zones"),
    "octodns_bind": (
        "a TSIG key that may transfer the zones (BIND: allow-transfer { key NAME; })",
        "the key may also update TXT at _mta-sts and _smtp._tls (BIND: update-policy { grant NAME name _mta-sts.DOMAIN TXT; … })",
    ),
    "octodns_cloudflare": (
        "an API token with Zone / Zone / Read and Zone / DNS / Read, for these zones only",
        "the same with Zone / DNS / Edit",
    ),
    "octodns_digitalocean": ("a token with domain:read", "also domain:create, domain:update and domain:delete"),
    "octodns_googlecloud": ("role roles/dns.reader", "role roles/dns.admin, best on the zones only"),
    "octodns_ns1": ("an API key that may view DNS zones", "and manage DNS zones, for these zones only"),
    "octodns_powerdns": (
        "the API key of the server; it knows no scopes, so put a proxy in front that lets only GET of these zones through",
        "the same, with PATCH of these zones",
    ),
}


def _scope(spec: ProviderSpec) -> Scope:
    package = spec.class_name.partition(".")[0]  # a package of octoDNS's has one kind of provider, and gives it several names
    read, write = _WORDS.get(package) or (
        "list the zones of the domains, and read all their records",
        "change TXT records at _mta-sts and _smtp._tls in these zones; not: make or delete zones",
    )
    return Scope(of=f"provider {spec.name} ({spec.class_name})", read=read, write=write)


def _allow(sid: str, actions: list[str], resource: str) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def _once(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Each statement once, and with a Sid of its own."""
    found: list[Statement] = []
    seen: dict[str, int] = {}
    for statement in statements:
        if statement in found:
            continue
        sid = str(statement["Sid"])
        seen[sid] = seen.get(sid, 0) + 1
        found.append({**statement, "Sid": f"{sid}{seen[sid]}"} if seen[sid] > 1 else statement)
    return tuple(found)


def _notes(read: Sequence[Statement], buckets: bool) -> Iterable[str]:
    if any(statement["Sid"] == "ReadZones" for statement in read):
        yield "Route 53: put the ids of your zones in place of hostedzone/*; the records are limited by their names already."
    if buckets or any(statement["Sid"] == "ReadState" for statement in read):
        yield "A bucket that is encrypted with a KMS key of yours needs kms:Decrypt (plan) and kms:GenerateDataKey (apply) on it."
