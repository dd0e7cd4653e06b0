"""`status` and `history`: what is live, what senders may hold, what was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.session import Session, command
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

if TYPE_CHECKING:
    from mtasts_deploy.deployment import Deployment
    from mtasts_deploy.rfc.names import Domain
    from mtasts_deploy.sender.options import Looking


@command()
def status(
    session: Session,
    domains: Annotated[list[str] | None, typer.Argument(metavar="[DOMAIN]...", help="By default every declared domain.")] = None,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age", metavar="TIME", envvar="MTASTS_MAX_AGE", help="Look as senders do if the last look is older: 0, 30m, 24h."
        ),
    ] = None,
    parallelism: options.Parallelism = 20,
    timeout: options.Timeout = "1m",
    resolver: options.Resolver = None,
    ca_file: options.CaFile = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Show what is live, what senders may hold, and what is next.

    With what the last `verify`, `drift` or `status --max-age` has seen of it.
    """
    from dataclasses import replace
    from datetime import timedelta

    from mtasts_deploy.output.standing import standing
    from mtasts_deploy.plan.selection import Selection
    from mtasts_deploy.verify.memory import recall

    limit = None if max_age is None else timedelta(seconds=options.seconds("--max-age", max_age))
    looking = options.looking(resolver, ca_file, connect_to, timeout)
    deployment = session.deployment(looking)
    survey, book = deployment.survey(Selection(domains=tuple(domains or ())))
    now = survey.plan.created
    settings = deployment.declaration.domains
    looks = recall(deployment.store)
    if limit is not None:
        old = [plan.domain for plan in survey.plan.domains if plan.domain not in looks or not looks[plan.domain].fresh(now, limit)]
        _look_again(session, deployment, old, looking, parallelism)
        looks = recall(deployment.store)
    standings = []
    for plan in survey.plan.domains:
        one = standing(settings[plan.domain], plan, survey.seen.get(plan.domain), book.readable(plan.domain), now)
        standings.append(replace(one, look=looks.get(plan.domain)))
    session.output.status(standings, survey.plan.strays)
    return 1 if survey.plan.summary().unknown else 0


def _look_again(session: Session, deployment: Deployment, domains: list[Domain], looking: Looking, parallelism: int) -> None:
    """See these domains as senders do, and remember it."""
    from mtasts_deploy import adapters
    from mtasts_deploy.verify.memory import remember
    from mtasts_deploy.verify.run import verify

    if not domains:
        return
    known, problems = deployment.declared(domains)
    session.messages.findings(problems)
    report = verify(domains, adapters.eyes(looking, deployment.clock, smtp=True), declared=known, parallelism=parallelism)
    session.messages.findings(report.findings)
    remember(deployment.store, report.domains)


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
