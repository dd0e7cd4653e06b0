"""`state show`, `state check`, `state rebuild`: the memory of the tool, looked at and mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.session import Session, command
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mtasts_deploy.apply.upkeep import Inventory

state = typer.Typer(name="state", help="Look at the state (ledger, lock, run logs), and mend it.", rich_markup_mode=None)


@command()
def show(session: Session) -> int:
    """Show what the state holds: domains, locks, runs. Writes nothing."""
    _told(session, session.deployment().inventory())
    return 0


@command()
def check(session: Session) -> int:
    """Read all of the state, and name what cannot be read. Writes nothing; exit code 1 if something is wrong."""
    found = session.deployment().inventory()
    _told(session, found)
    if session.people:
        session.messages.findings(found.findings)
    return 1 if any(finding.severity is Severity.ERROR for finding in found.findings) else 0


@command(data=False)
def rebuild(session: Session, auto_approve: options.AutoApprove = False, lock_timeout: options.LockTimeout = "0") -> int:
    """Make anew what cannot be read, from what is live.

    What is lost stays unknown: for a year senders are taken to hold the worst. What cannot be read is put aside, under broken/.
    """
    from datetime import timedelta

    from mtasts_deploy.deployment import Options

    deployment = session.deployment()
    found = deployment.inventory()
    session.messages.findings(found.findings)
    if not found.damaged:
        session.messages.say("Nothing needs to be rebuilt.")
        return 0
    names = ", ".join(domain.display for domain in found.lost) or "no declared domain"
    session.messages.say(f"To be rebuilt: {', '.join(found.damaged)} ({names}). A file from version control or a backup knows more.")
    if not auto_approve and not _agreed(session):
        session.messages.say("Not approved: nothing was changed.")
        return 1
    wait = timedelta(seconds=options.seconds("--lock-timeout", lock_timeout))
    for shard, aside in deployment.rebuild(Options(command="deploy state rebuild", lock_timeout=wait)):
        session.out.line(f"rebuilt {shard}; what was there is {aside}")
    return 0


def _agreed(session: Session) -> bool:
    import sys

    if not session.interactive:
        message = "no terminal is there to ask for approval; nothing was done"
        raise UsageError(Diagnostic(code="MTS906", message=message, hint="Approve by --auto-approve."))
    session.messages.question("\nDo this? Only 'yes' is accepted: ")
    return sys.stdin.readline().strip() == "yes"


def _told(session: Session, found: Inventory) -> None:
    if session.shared.format == "json":
        from mtasts_deploy.apply.upkeep import as_json

        session.out.write(as_json(found))
    elif session.people:
        for line in _lines(found):
            session.out.line(line)
    else:
        message = f"what `deploy state` says has no {session.shared.format} form"
        raise UsageError(Diagnostic(code="MTS915", message=message, hint="Use --format human or --format json."))


def _lines(found: Inventory) -> Iterator[str]:
    yield f"state      {found.location}"
    yield f"ledger     {found.domains} domains in {found.shards} of 256 files"
    if found.undeclared:
        yield f"           not declared: {', '.join(found.undeclared[:10])}{' …' * (len(found.undeclared) > 10)}"
    if found.unseen:
        names = ", ".join(domain.display for domain in found.unseen[:10])
        yield f"           not yet applied: {names}{' …' * (len(found.unseen) > 10)}"
    yield f"runs       {len(found.runs)}{f', the last one is {found.runs[-1]}' if found.runs else ''}"
    for owner in found.leases:
        yield f"lock       {owner.lease}: {owner.describe()}, {len(owner.buckets)} of 64 buckets"
    if not found.leases:
        yield "lock       free"


for _command in (show, check, rebuild):
    state.command(_command.__name__)(_command)
