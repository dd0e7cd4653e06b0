"""`verify`: the world as a sending mail server sees it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.session import TOOL, Session, command, save, spare, spare_metrics
from mtasts_deploy.errors import DeclarationError

if TYPE_CHECKING:
    from mtasts_deploy.rfc.names import Domain
    from mtasts_deploy.state.interface import StateStore
    from mtasts_deploy.verify.policies import Declared


@command()
def verify(
    session: Session,
    domains: Annotated[
        list[str] | None, typer.Argument(metavar="[DOMAIN]...", help="Any domains; by default every declared one. Needs no declaration.")
    ] = None,
    smtp: options.Smtp = True,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", envvar="MTASTS_VERIFY_OUT", help="Keep what was seen as JSON: evidence for elsewhere."),
    ] = None,
    prometheus: options.Prometheus = None,
    parallelism: options.Parallelism = 20,
    timeout: options.Timeout = "1m",
    resolver: options.Resolver = None,
    ca_file: options.CaFile = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Look at domains as a sending mail server does, and say whether it would deliver.

    Both TXT records, the policy, the MX hosts and their certificates. No mail is sent. Exit code 1 if mail would be refused or something
    could not be looked at.
    """
    from mtasts_deploy import adapters
    from mtasts_deploy.deployment import utc_now
    from mtasts_deploy.output.prometheus import metrics
    from mtasts_deploy.verify.file import render
    from mtasts_deploy.verify.memory import remember
    from mtasts_deploy.verify.run import verify as look

    if out is not None:
        spare(out)
    if prometheus is not None:
        spare_metrics(prometheus)
    looking = options.looking(resolver, ca_file, connect_to, timeout)
    wanted, declared, store = _wanted(session, domains or [])
    make = partial(adapters.eyes, looking, utc_now, smtp=smtp)
    eyes = make()
    if session.err.terminal:
        session.messages.begin(len(wanted))
    report = look(
        wanted,
        eyes,
        make=make,
        declared=declared,
        parallelism=parallelism,
        seen=lambda domain: _progress(session, domain),
    )
    session.messages.end()
    session.output.verified(report)
    if store is not None:
        remember(store, (one for one in report.domains if one.domain in declared))
    if out is not None:
        save(out, render(report, TOOL))
        session.messages.say(f"Saved: {out}")
    if prometheus is not None:
        save(prometheus, metrics(report).encode())
    return report.exit_code


def _progress(session: Session, domain: Domain) -> None:
    """Only somebody at a terminal wants to know."""
    from mtasts_deploy.apply.report import Event, Stage

    if session.err.terminal:
        session.messages.event(Event(stage=Stage.COMMIT, what="looked at", domain=domain))


def _wanted(session: Session, names: list[str]) -> tuple[list[Domain], Mapping[Domain, Declared], StateStore | None]:
    """The domains, with what is declared of them, and where that is remembered; without a declaration only what is named."""
    from mtasts_deploy.rfc.names import Domain

    wanted = list(dict.fromkeys(Domain.parse(name) for name in names))
    try:
        deployment = session.deployment()
    except DeclarationError as error:
        # A declaration that is there must be right, and one that is named must be there.
        if not wanted or session.shared.config is not None or any(problem.code != "MTS100" for problem in error.diagnostics):
            raise
        return wanted, {}, None
    wanted = wanted or list(deployment.declaration.domains)
    declared, problems = deployment.declared(wanted)
    session.messages.findings(problems)
    return wanted, declared, deployment.store
