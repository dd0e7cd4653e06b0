"""`plan` and `show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.session import TOOL, Session, command, save, spare
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mtasts_deploy.deployment import Deployment
    from mtasts_deploy.plan.model import Plan
    from mtasts_deploy.plan.selection import Lifted, Selection
    from mtasts_deploy.verify.evidence import Witness


def selection(domain: list[str] | None, exclude: list[str] | None, shard: str | None = None) -> Selection:
    """What `--domain`, `--exclude` and `--shard` select. Raises `UsageError` (MTS935)."""
    from mtasts_deploy.plan.selection import Selection
    from mtasts_deploy.plan.shards import Shard

    part = None if shard is None else Shard.parse(shard)
    return Selection(domains=tuple(domain or ()), exclude=tuple(exclude or ()), shard=part)


def lifted(allow: list[str] | None) -> Lifted:
    """What `--allow` lifts. Raises `UsageError`."""
    from mtasts_deploy.plan.selection import Lifted

    return Lifted.parse(allow or ())


def read_plan(path: Path) -> Plan:
    """A saved plan. Raises `UsageError` (MTS771 to MTS773; MTS907: the file cannot be read)."""
    from mtasts_deploy.plan.file import parse

    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"the plan file {path} cannot be read: {error.strerror}"
        raise UsageError(Diagnostic(code="MTS907", message=message, hint="Make one: deploy plan --out plan.json")) from error
    return parse(data, str(path))


def read_witness(path: Path | None) -> Mapping[str, Witness]:
    """The evidence of `--evidence`; none without it. Raises `UsageError` (MTS918)."""
    if path is None:
        return {}
    from mtasts_deploy.verify.evidence import read_evidence

    return read_evidence(path)


@command()
def plan(
    session: Session,
    domain: options.Domains = None,
    exclude: options.Excluded = None,
    shard: options.ShardOf = None,
    allow: options.Allowed = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", envvar="MTASTS_OUT", help="Save the plan, for `deploy apply FILE`.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="REV", envvar="MTASTS_SINCE", help="Only domains that are declared otherwise than in this git revision."
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="With --since: all domains; what the revision does not explain is marked apart.")
    ] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", envvar="MTASTS_DETAILED_EXITCODE", help="Exit with 2 if there are changes.")
    ] = False,
    evidence: options.Evidence = None,
    timeout: options.Timeout = "1m",
    resolver: options.Resolver = None,
    ca_file: options.CaFile = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Show what would change. Writes nothing, takes no lock.

    Before a policy becomes stricter, its policy host and its MX hosts are looked at as senders do.
    """
    from mtasts_deploy.plan.file import render

    if out is not None:
        spare(out)
    deployment = session.deployment(options.looking(resolver, ca_file, connect_to, timeout))
    deployment.evidence = read_witness(evidence)
    made = _made(deployment, selection(domain, exclude, shard), lifted(allow), since, everything=everything)
    session.output.plan(made)
    if out is not None:
        save(out, render(made, TOOL))
        session.messages.say(f"Saved: deploy apply {out}")
    elif made.acting and session.people and not session.automated:
        session.messages.say("The plan was not saved, so `deploy apply` may find another one. `deploy plan --out plan.json` saves it.")
    return exit_code(made, detailed=detailed_exitcode)


def _made(deployment: Deployment, chosen: Selection, allowed: Lifted, since: str | None, *, everything: bool) -> Plan:
    if since is None:
        if everything:
            raise UsageError(Diagnostic(code="MTS901", message="--all goes with --since", hint="Without --since a plan is of all domains."))
        return deployment.plan(chosen, allowed)
    from dataclasses import replace

    from mtasts_deploy.declaration.revision import at_revision
    from mtasts_deploy.output.text import counted, listed
    from mtasts_deploy.plan.since import differing, dropped

    now = deployment.declaration
    then = at_revision(now.path, since)
    changed = differing(now, then.declaration)
    if not everything:
        chosen = replace(chosen, only=changed)
    what = "All domains, compared with" if everything else "Only what is declared otherwise than in"
    heading = f"{what} {since} ({then.commit[:9]}): {len(changed)} of {counted(len(now.domains), 'domain')} differ."
    if gone := dropped(now, then.declaration):
        heading += f" No longer declared, and left as they are: {listed([domain.display for domain in gone])}."
    return replace(deployment.plan(chosen, allowed, then.declaration), heading=heading)


@command()
def show(session: Session, file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `deploy plan --out` wrote.")]) -> int:
    """Show a saved plan. Looks at nothing else."""
    session.output.plan(read_plan(file))
    return 0


def exit_code(made: Plan, *, detailed: bool) -> int:
    """The exit code of a plan (DESIGN section 10): what could not be observed, then what is blocked, then changes if asked for."""
    summary = made.summary()
    if summary.unknown:
        return 1
    if summary.blocked:
        return 3
    return 2 if detailed and made.acting else 0
