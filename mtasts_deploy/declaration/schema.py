"""The shape of `mta-sts.yaml`: which keys exist and what kind of value each has. Checked by pydantic, exported as JSON Schema draft-07.

Only what a schema can say: names that must exist, ranges of durations with a unit and rules between settings are checked elsewhere.
Importing this module imports pydantic: `load` does so when a file is read.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, StrictBool, Tag, TypeAdapter, WithJsonSchema

from mtasts_deploy.declaration.model import ZONE_FILES

MAX_MAX_AGE: Final = 31_557_600
MAX_TTL: Final = 604_800
CLASS: Final = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$"


def _only_false(value: bool) -> bool:
    if value:
        raise ValueError("only false")
    return value


Text = Annotated[str, Field(min_length=1)]
Path = Annotated[str, Field(min_length=1, pattern=r"^[^\x00]+$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
Duration = Annotated[int, Field(ge=1, le=MAX_MAX_AGE)] | Annotated[str, Field(pattern=r"^[0-9]{1,9}[smhdw]$")]
Ttl = Annotated[int, Field(ge=1, le=MAX_TTL)]
Texts = Text | list[Text]
False_ = Annotated[StrictBool, AfterValidator(_only_false), WithJsonSchema({"const": False})]  # Literal[False] would take 0 as well


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Zones(_Shape):
    """Zones by record name, for records that do not lie in one zone."""

    sts: Text = Field(default="", alias="_mta-sts")
    """The zone that holds `_mta-sts`."""
    tlsrpt: Text = Field(default="", alias="_smtp._tls")
    """The zone that holds `_smtp._tls`."""
    mx: Text = ""
    """The zone that holds the MX records."""
    address: Text = Field(default="", alias="mta-sts")
    """The zone that holds the address records of `mta-sts`."""


class Addresses(_Shape):
    """Where the policy host leads: `cname`, or `a` and `aaaa`."""

    cname: Text = ""
    """The name that the policy host is an alias of."""
    a: Texts = ""
    """IPv4 addresses."""
    aaaa: Texts = ""
    """IPv6 addresses."""


class Allow(_Shape):
    """A guard that is lifted for this domain, in the open."""

    code: Text
    """The code of the guard, such as MTS401."""
    until: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    """The last day on which it is lifted, as 2027-01-31; after it the entry is an error."""
    why: Text
    """The reason, for those who read the declaration."""


class Settings(_Shape):
    """Settings for several domains. A domain's own settings win over its profile, the profile over `defaults`."""

    sts: StrictBool | Literal["elsewhere"] = True
    """`true`: publish the MTA-STS policy. `false`: TLSRPT only. `elsewhere`: others publish it. Default: true."""
    mode: Literal["none", "testing", "enforce"] = "testing"
    """What senders do when a host fails: nothing, report it, or refuse to deliver. Default: testing."""
    max_age: Duration = 604_800
    """How long senders may keep the policy: seconds, or 90s, 15m, 12h, 7d, 26w; 1 to 31557600 seconds. Default: 1w."""
    mx: Texts = "zone"
    """`zone` (follow the MX records of the zone), host names or `*.` and a name, or a list of these. Default: zone."""
    tlsrpt: False_ | Text | Annotated[list[Text], Field(min_length=1)] = ""
    """Where reports go: a URI (mailto: or https:) or a list; `false` removes the record that we published. Default: not managed."""
    dns: Text | Annotated[list[Text], Field(min_length=1)] = "local"
    """The provider that holds the records, or a list of providers. With `plugin` in the list octodns-sync writes. Default: local."""
    host: Text = "local"
    """The host that serves the policy. Default: local."""
    zone: Text | Zones = ""
    """The zone of the records, or zones by record name. Default: the longest match among the provider's zones."""
    ttl: Ttl = 3600
    """Time to live of the records in seconds, 1 to 604800. Default: 3600."""
    address: Addresses | None = None
    """Where the policy host leads: `{cname: …}`, or `{a: […], aaaa: […]}`. Default: its address records are not managed."""
    confirm: Literal["https", "storage"] = "https"
    """How a published policy is confirmed: `https` fetches it as a sender does, `storage` reads it back from the host. Default: https; \
storage if all providers are zone files."""


class Domain(Settings):
    """The settings of one mail domain; empty: all defaults."""

    profile: Text = ""
    """The name of a profile."""
    allow: list[Allow] = Field(default_factory=list)
    """Guards that are lifted for this domain."""


class Provider(_Shape):
    """Zone files of octoDNS, edited in place."""

    class_: Literal["mtasts_deploy.dns.zone_files.ZoneFilesProvider"] = Field(alias="class")
    """The octoDNS class of zone files that are edited in place."""
    directory: Path
    """The directory of the zone files, relative to the declaration."""
    default_ttl: Ttl = 3600
    """Seconds, for records that do not say a TTL. Default: 3600."""
    escaped_semicolons: StrictBool = True
    r"""Whether a semicolon is written `\;` in the zone files. Default: true."""


class Octodns(BaseModel):
    """A block of octoDNS's own: a class, and the options of that class as octoDNS has them; `env/NAME` stands for a variable."""

    model_config = ConfigDict(extra="allow", strict=True)

    class_: Annotated[str, Field(pattern=CLASS), WithJsonSchema({"type": "string", "pattern": CLASS, "not": {"const": ZONE_FILES}})] = (
        Field(alias="class")
    )
    """The octoDNS class, such as octodns_route53.Route53Provider."""


def _kind(value: Any) -> str:
    """Which of the two shapes a provider is meant to have."""
    chosen = value.get("class", ZONE_FILES) if isinstance(value, dict) else ZONE_FILES
    return "zone files" if chosen == ZONE_FILES else "octodns"


AnyProvider = Annotated[Annotated[Provider, Tag("zone files")] | Annotated[Octodns, Tag("octodns")], Discriminator(_kind)]


class Limit(_Shape):
    """How hard one provider may be worked."""

    max_in_flight: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many calls may be under way at a time. Default: 16."""
    per_second: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """How many requests may begin in a second. Default: no limit."""


class Directory(_Shape):
    """A directory of this machine."""

    type: Literal["directory"]
    """What kind it is."""
    path: Path
    """The directory, relative to the declaration."""


class DirectoryHost(_Shape):
    """A directory of this machine, from which something serves the policies."""

    type: Literal["directory"]
    """What kind it is."""
    path: Path
    """The directory, relative to the declaration."""
    edge_ttl: Duration = 60
    """For how long caches in front may serve an old policy: seconds, or 90s, 15m, 12h. Default: found out."""


Bucket = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$")]
Prefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9!_.*'()-][A-Za-z0-9!_.*'()/-]*$")]
Region = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
Endpoint = Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$")]


class S3State(_Shape):
    """A private bucket of S3, or of a server that keeps to its conditional writes."""

    type: Literal["s3"]
    """What kind it is."""
    bucket: Bucket
    """The name of the bucket, which holds no policies."""
    prefix: Prefix = ""
    """What stands before the keys of all objects, as a directory. Default: nothing."""
    region: Region = ""
    """The region of the bucket. Default: as boto3 is configured."""
    endpoint_url: Endpoint = ""
    """The address of a server that is not AWS. Default: as boto3 is configured."""


class S3Host(_Shape):
    """A bucket of S3, or of a server that speaks its protocol; boto3 finds the credentials."""

    type: Literal["s3"]
    """What kind it is."""
    bucket: Bucket
    """The name of the bucket."""
    key: Text = "{policy_host}/.well-known/mta-sts.txt"
    """The key of a domain's policy, with {domain} and {policy_host}. Default: {policy_host}/.well-known/mta-sts.txt."""
    prefix: Prefix = ""
    """What stands before every key, as a directory. Default: nothing."""
    region: Region = ""
    """The region of the bucket. Default: as boto3 is configured."""
    endpoint_url: Endpoint = ""
    """The address of a server that is not AWS. Default: as boto3 is configured."""
    cache_control: Annotated[str, Field(pattern=r"^[\x20-\x7e]+$")] = "max-age=60"
    """The Cache-Control of the policies. Default: max-age=60."""
    edge_ttl: Duration = 60
    """For how long caches in front may serve an old policy: seconds, or 90s, 15m, 12h. Default: found out."""
    cloudfront: Annotated[str, Field(pattern=r"^[A-Z0-9]{6,32}$")] = ""
    """The id of the CloudFront distribution in front, whose caches are invalidated after each put. Default: none."""


def _store(value: Any) -> str:
    """Which of the two shapes a host or the state is meant to have; the names cannot be keys in the file."""
    return "an S3 bucket" if isinstance(value, dict) and value.get("type") == "s3" else "a directory"


AnyHost = Annotated[Annotated[DirectoryHost, Tag("a directory")] | Annotated[S3Host, Tag("an S3 bucket")], Discriminator(_store)]
AnyState = Annotated[Annotated[Directory, Tag("a directory")] | Annotated[S3State, Tag("an S3 bucket")], Discriminator(_store)]


class Included(_Shape):
    """A file that is included: domains, and further files."""

    domains: dict[str, Domain | None] | None = None
    """Mail domains with their settings."""
    include: Text | list[Text] = Field(default_factory=list)
    """Files with more domains, relative to this file; `*` and `**` as in a shell."""


class Root(Included):
    """Mail domains with what senders are told about TLS (MTA-STS, RFC 8461) and where they report (TLSRPT, RFC 8460)."""

    version: Annotated[int, Field(ge=1, le=1)]
    """The format of this file."""
    providers: dict[Name, AnyProvider] | None = None
    """DNS providers by name, as octoDNS has them. `local` (zone files in zones/) exists without being declared."""
    octodns: Path | None = None
    """An octoDNS configuration, relative to this file: `dns` may name its providers."""
    secret_handlers: dict[Name, Octodns] | None = None
    """Secret handlers by name, as octoDNS has them; `env` exists without being declared."""
    limits: dict[Name, Limit] | None = None
    """Limits by the name of the provider."""
    hosts: dict[Name, AnyHost] | None = None
    """Policy hosts by name. `local` (the directory policies/) exists without being declared."""
    state: AnyState | None = None
    """Where the ledger, the lock and the run logs are. Default: the directory .mtasts, while all providers and hosts are directories."""
    defaults: Settings | None = None
    """Settings for every domain."""
    profiles: dict[Name, Settings | None] | None = None
    """Named settings, which a domain takes with `profile`."""


@cache
def adapter(shape: Any) -> TypeAdapter[Any]:
    """What checks plain data against a shape; made once."""
    return TypeAdapter(shape)


def keys_of(shape: type[BaseModel]) -> list[str]:
    """The keys of a shape as they are written: its own before those that it shares with others."""
    own = list(shape.__annotations__)
    names = own + [name for name in shape.model_fields if name not in own]
    return [shape.model_fields[name].alias or name for name in names]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) of the main file, for editors; descriptions are the docstrings of the shapes."""
    schema = adapter(Root).json_schema(by_alias=True)
    shapes = {
        shape.__name__: shape
        for shape in (Zones, Addresses, Allow, Settings, Domain, Provider, Octodns, Limit, Directory, DirectoryHost, S3Host, S3State)
    }
    definitions = schema.pop("$defs", {})
    converted: dict[str, Any] = _draft7(_documented(schema, Root))
    converted["definitions"] = {name: _draft7(_documented(definitions[name], shapes[name])) for name in sorted(definitions)}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **converted}


def _documented(schema: dict[str, Any], shape: type[BaseModel]) -> dict[str, Any]:
    """With the docstrings of the fields. Not by pydantic, which would read the source whenever a declaration is loaded."""
    for ancestor in reversed(shape.__mro__):
        if not issubclass(ancestor, BaseModel) or ancestor in (BaseModel, _Shape):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(ancestor))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                name = shape.model_fields[field.target.id].alias or field.target.id
                schema["properties"][name]["description"] = ast.literal_eval(text.value)
    return schema


def _draft7(node: Any) -> Any:
    """The same schema for draft-07, which knows `definitions` only and ignores whatever stands beside a `$ref`."""
    if isinstance(node, list):
        return [_draft7(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key != "default" and not (key == "title" and isinstance(value, str))}
    if "$ref" in kept:
        reference = {"$ref": kept.pop("$ref").replace("#/$defs/", "#/definitions/")}
        return {**_draft7(kept), "allOf": [reference]} if kept else reference
    for section in ("properties", "patternProperties"):
        if section in kept:
            kept[section] = {name: _draft7(value) for name, value in kept[section].items()}
    if "patternProperties" in kept:
        kept["additionalProperties"] = False  # the pattern is the rule for names, not one kind of them
    fixed = ("properties", "patternProperties", "enum", "const", "required")
    return {key: value if key in fixed else _draft7(value) for key, value in kept.items()}
