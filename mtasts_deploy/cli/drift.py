"""`drift`: Git against the world."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.session import Session, command, save, spare_metrics


@command()
def drift(
    session: Session,
    domains: Annotated[list[str] | None, typer.Argument(metavar="[DOMAIN]...", help="By default every declared domain.")] = None,
    smtp: options.Smtp = True,
    prometheus: options.Prometheus = None,
    parallelism: options.Parallelism = 20,
    timeout: options.Timeout = "1m",
    resolver: options.Resolver = None,
    ca_file: options.CaFile = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Compare Git with the world: declaration and ledger with records, served policies, addresses and MX hosts. Writes nothing there.

    Exit code 2 if they differ, 1 if something could not be looked at.
    """
    from mtasts_deploy import adapters
    from mtasts_deploy.output.prometheus import metrics
    from mtasts_deploy.plan.selection import Selection
    from mtasts_deploy.verify.drift import drift as compare
    from mtasts_deploy.verify.memory import remember
    from mtasts_deploy.verify.run import verify

    if prometheus is not None:
        spare_metrics(prometheus)
    looking = options.looking(resolver, ca_file, connect_to, timeout)
    deployment = session.deployment(looking)
    survey, _ = deployment.survey(Selection(domains=tuple(domains or ())))
    wanted = [plan.domain for plan in survey.plan.domains]
    known, problems = deployment.declared(wanted)
    session.messages.findings(problems)
    make = partial(adapters.eyes, looking, deployment.clock, smtp=smtp)
    seen = verify(wanted, make(), make=make, declared=known, parallelism=parallelism)
    report = compare(seen, survey.plan.domains, known)
    session.output.drifted(report)
    remember(deployment.store, seen.domains)
    if prometheus is not None:
        save(prometheus, metrics(report).encode())
    return report.exit_code
