"""`status` and `history`: what is live, what senders may hold, what was."""

from __future__ import annotations

from typing import Annotated

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.session import Session, command
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError


@command()
def status(
    session: Session,
    domains: Annotated[list[str] | None, typer.Argument(metavar="[DOMAIN]...", help="By default every declared domain.")] = None,
    resolver: options.Resolver = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Show what is live, what senders may hold, and what is next."""
    from mtasts_deploy.output.standing import standing
    from mtasts_deploy.plan.selection import Selection
    from mtasts_deploy.sender.options import Looking

    deployment = session.deployment(Looking.parse(resolver, None, connect_to or ()))
    survey, book = deployment.survey(Selection(domains=tuple(domains or ())))
    now = survey.plan.created
    settings = deployment.declaration.domains
    standings = [
        standing(settings[plan.domain], plan, survey.seen.get(plan.domain), book.readable(plan.domain), now) for plan in survey.plan.domains
    ]
    session.output.status(standings, survey.plan.strays)
    return 1 if survey.plan.summary().unknown else 0


@command()
def history(session: Session, domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="Declared, or known to the ledger.")]) -> int:
    """Show what the ledger remembers of a domain.

    Its policies, its ids with the policies that could be fetched under them, and its MX hosts, with times.
    """
    from mtasts_deploy.apply.book import Book
    from mtasts_deploy.output.interface import Past
    from mtasts_deploy.rfc.names import Domain

    wanted = Domain.parse(domain)
    deployment = session.deployment()
    entry = Book(deployment.store).get(wanted)
    if entry is None and wanted not in deployment.declaration.domains:
        message = f"{wanted.display} is neither declared nor known to the ledger"
        raise UsageError(Diagnostic(code="MTS903", message=message, hint="`deploy status` lists the declared domains."))
    session.output.history(Past(domain=wanted, entry=entry, now=deployment.clock()))
    return 0
