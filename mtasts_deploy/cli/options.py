"""The options of the command line, each declared once.

Every option has an `MTASTS_…` variable, except those that approve or lift something: these must be seen where the command is.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

if TYPE_CHECKING:
    from mtasts_deploy.sender.options import Looking

Format = Literal["human", "json", "ndjson", "markdown", "github", "gitlab", "gitlab-codequality", "sarif", "prometheus"]
LogFormat = Literal["text", "json"]
OnErrorName = Literal["continue", "stop", "rollback"]
OnStaleName = Literal["stop", "skip"]

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The declaration; by default mta-sts.yaml here.  [env var: MTASTS_CONFIG]"),
]
OutputFormat = Annotated[Format, typer.Option("--format", envvar="MTASTS_FORMAT", help="The form of the result on stdout.")]
JsonInto = Annotated[
    Path | None, typer.Option("--json-into", metavar="FILE", envvar="MTASTS_JSON_INTO", help="Also write the result as JSON into a file.")
]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv also what the libraries say.", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", envvar="MTASTS_QUIET", help="Say nothing on stderr but errors.")]
Colour = Annotated[
    bool | None,
    typer.Option("--color/--no-color", help="Colours; by default on a terminal. NO_COLOR and FORCE_COLOR count, too.", show_default=False),
]
Log = Annotated[LogFormat, typer.Option("--log-format", envvar="MTASTS_LOG_FORMAT", help="The form of what is said on stderr.")]

Domains = Annotated[
    list[str] | None,
    typer.Option("--domain", metavar="GLOB", envvar="MTASTS_DOMAIN", help="Only the declared domains that match; may be repeated."),
]
Excluded = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", envvar="MTASTS_EXCLUDE", help="Not the domains that match; may be repeated."),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        envvar="MTASTS_SHARD",
        help="Only the K-th of N parts of the zones: as many runs side by side.",
        show_default=False,
    ),
]
Allowed = Annotated[
    list[str] | None,
    typer.Option("--allow", metavar="CODE=DOMAIN", help="Lift a guard for one domain (MTS401=example.com); may be repeated."),
]
AutoApprove = Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")]
Parallelism = Annotated[
    int,
    typer.Option(
        "--parallelism",
        min=1,
        max=100,
        metavar="N",
        envvar="MTASTS_PARALLELISM",
        help="How many domains at a time; what a provider may take is `limits`.",
    ),
]
Wave = Annotated[
    str | None,
    typer.Option(
        "--wave",
        metavar="LIST",
        envvar="MTASTS_WAVE",
        help="In waves: 1%,10%,100%, or in domains: 5,50,500.",
        show_default=False,
    ),
]
MaxFailures = Annotated[
    str,
    typer.Option(
        "--max-failures", metavar="N|N%", envvar="MTASTS_MAX_FAILURES", help="No further wave once more domains than that have failed."
    ),
]
Prometheus = Annotated[
    Path | None,
    typer.Option("--prometheus", metavar="FILE", envvar="MTASTS_PROMETHEUS", help="Also write a text file for node_exporter, at once."),
]
Smtp = Annotated[bool, typer.Option("--smtp/--no-smtp", envvar="MTASTS_SMTP", help="Connect to the MX hosts on port 25.")]
LockTimeout = Annotated[
    str,
    typer.Option("--lock-timeout", metavar="TIME", envvar="MTASTS_LOCK_TIMEOUT", help="How long to wait for the lock: 30s, 5m, 1h."),
]

Resolver = Annotated[
    str | None,
    typer.Option(
        "--resolver",
        metavar="IP:PORT",
        envvar="MTASTS_RESOLVER",
        help="Ask this resolver; by default the system's.",
        show_default=False,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file", metavar="FILE", envvar="MTASTS_CA_FILE", help="Trust these root certificates (PEM) and no others.", show_default=False
    ),
]
ConnectTo = Annotated[
    list[str] | None,
    typer.Option(
        "--connect-to",
        metavar="HOST:PORT:ADDR:PORT",
        envvar="MTASTS_CONNECT_TO",
        help="Connect to that address instead of HOST; may be repeated.",
    ),
]
Timeout = Annotated[
    str,
    typer.Option("--timeout", metavar="TIME", envvar="MTASTS_TIMEOUT", help="How long a policy host may take for one answer: 30s, 1m."),
]
BarrierTimeout = Annotated[
    str,
    typer.Option(
        "--barrier-timeout",
        metavar="TIME",
        envvar="MTASTS_BARRIER_TIMEOUT",
        help="How long to wait until every address serves the new policy: 30s, 10m, 2h.",
    ),
]


Evidence = Annotated[
    Path | None,
    typer.Option(
        "--evidence",
        metavar="FILE",
        envvar="MTASTS_EVIDENCE",
        help="What `verify --out` wrote where port 25 is open; counts for 24 hours.",
        show_default=False,
    ),
]


def looking(resolver: str | None, ca_file: Path | None, connect_to: Iterable[str] | None, timeout: str) -> Looking:
    """How the world is looked at. Raises `UsageError` (MTS911, MTS920 to MTS922)."""
    from mtasts_deploy.sender.options import Looking

    limit = seconds("--timeout", timeout)
    if not limit:
        hint = "Real senders give up after 4 to 60 seconds."
        raise UsageError(Diagnostic(code="MTS911", message="--timeout 0 leaves no time for an answer", hint=hint))
    return Looking.parse(resolver, ca_file, connect_to or (), float(limit))


def seconds(option: str, text: str) -> int:
    """A time as the declaration writes it. Raises `UsageError` (MTS911)."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1:]) if text[-1:] in units else (text, "s")
    if not (number.isascii() and number.isdigit()) or len(number) > 6:
        hint = "Seconds, or a number with s, m or h: 30s, 5m, 1h. 0 does not wait."
        raise UsageError(Diagnostic(code="MTS911", message=f'{option} "{text}" is no time', hint=hint))
    return int(number) * units[unit]
