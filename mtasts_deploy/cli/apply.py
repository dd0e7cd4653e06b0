"""`apply` and `rollback`: the two commands that change the world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.plan import lifted, read_plan, read_witness, selection
from mtasts_deploy.cli.session import Session, command
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mtasts_deploy.deployment import Options


@command()
def apply(
    session: Session,
    plan_file: Annotated[Path | None, typer.Argument(metavar="[PLANFILE]", help="A saved plan: that one and no other.")] = None,
    domain: options.Domains = None,
    exclude: options.Excluded = None,
    shard: options.ShardOf = None,
    allow: options.Allowed = None,
    auto_approve: options.AutoApprove = False,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect", metavar="DIGEST", help="Plan again, and go on without asking if the plan has this digest.", show_default=False
        ),
    ] = None,
    on_stale: Annotated[
        options.OnStaleName,
        typer.Option("--on-stale", envvar="MTASTS_ON_STALE", help="What stale domains of an approved plan mean for the others."),
    ] = "stop",
    on_error: Annotated[
        options.OnErrorName,
        typer.Option("--on-error", envvar="MTASTS_ON_ERROR", help="What a failing domain means for the others."),
    ] = "continue",
    wave: options.Wave = None,
    max_failures: options.MaxFailures = "0",
    parallelism: options.Parallelism = 32,
    lock_timeout: options.LockTimeout = "0",
    barrier_timeout: options.BarrierTimeout = "10m",
    evidence: options.Evidence = None,
    timeout: options.Timeout = "1m",
    resolver: options.Resolver = None,
    ca_file: options.CaFile = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Do what the plan says, after asking.

    Policies first, then the proof that they are served, then the records. It may be stopped at any moment; the next one goes on.
    """
    from mtasts_deploy.apply.waves import parse_share, parse_waves
    from mtasts_deploy.cli.running import Running

    if plan_file is not None:
        _refuse_with_plan({"--domain": domain, "--exclude": exclude, "--shard": shard, "--allow": allow, "--expect": expect})
    if expect is not None:
        _digest(expect)
    asks = plan_file is None and not auto_approve and expect is None
    if asks:
        _somebody_to_ask(session, "a saved plan (`deploy plan --out plan.json`, then `deploy apply plan.json`) or --auto-approve")
    run = _options("deploy apply", on_error, on_stale, parallelism, lock_timeout, barrier_timeout)
    run = replace(run, waves=parse_waves("--wave", wave) if wave else (), max_failures=parse_share("--max-failures", max_failures))
    if run.max_failures.number and not run.waves:
        raise UsageError(
            Diagnostic(code="MTS901", message="--max-failures counts between waves", hint="Name them too: --wave 1%,10%,100%.")
        )
    looking = options.looking(resolver, ca_file, connect_to, timeout)
    saved = None if plan_file is None else read_plan(plan_file)
    deployment = session.deployment(looking)
    deployment.evidence = read_witness(evidence)
    running = Running(session, deployment, "Apply")
    if saved is not None:
        running.proposed(saved)
    with running:
        result = running.deployment.apply(
            selection=selection(domain, exclude, shard),
            lifted=lifted(allow),
            options=run,
            approve=running.ask if asks else None,
            saved=saved,
            expect=expect,
            on_plan=running.proposed,
        )
    return running.finish(result)


@command()
def rollback(
    session: Session,
    domains: Annotated[
        list[str] | None, typer.Argument(metavar="[DOMAIN]...", help="Names or globs; by default what the last run changed.")
    ] = None,
    auto_approve: options.AutoApprove = False,
    parallelism: options.Parallelism = 32,
    lock_timeout: options.LockTimeout = "0",
    barrier_timeout: options.BarrierTimeout = "10m",
    timeout: options.Timeout = "1m",
    resolver: options.Resolver = None,
    ca_file: options.CaFile = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Go back to before the last change, after asking.

    The policies from before are published again, under fresh ids, through the same steps as any change.
    """
    from mtasts_deploy.cli.running import Running

    if not auto_approve:
        _somebody_to_ask(session, "--auto-approve")
    run = _options("deploy rollback", "continue", "stop", parallelism, lock_timeout, barrier_timeout)
    looking = options.looking(resolver, ca_file, connect_to, timeout)
    running = Running(session, session.deployment(looking), "Rollback")
    chosen = list(selection(domains, None).pick(running.deployment.declaration.domains)) if domains else []
    with running:
        result = running.deployment.rollback(chosen, options=run, approve=running.agree if auto_approve else running.ask)
    return running.finish(result)


def _options(
    command_line: str,
    on_error: options.OnErrorName,
    on_stale: options.OnStaleName,
    parallelism: int,
    lock_timeout: str,
    barrier_timeout: str,
) -> Options:
    from mtasts_deploy.apply.choices import OnError, OnStale
    from mtasts_deploy.deployment import Options

    return Options(
        on_error=OnError(on_error),
        on_stale=OnStale(on_stale),
        parallelism=parallelism,
        lock_timeout=timedelta(seconds=options.seconds("--lock-timeout", lock_timeout)),
        barrier_timeout=timedelta(seconds=options.seconds("--barrier-timeout", barrier_timeout)),
        command=command_line,
    )


def _digest(text: str) -> None:
    """Raises `UsageError` (MTS929) for what is no digest."""
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        hint = "It is the `digest` of `deploy plan --format json`, or of a saved plan: 64 hexadecimal digits."
        raise UsageError(Diagnostic(code="MTS929", message=f'--expect "{text}" is no digest of a plan', hint=hint))


def _refuse_with_plan(given: dict[str, Iterable[str] | None]) -> None:
    names = [name for name, values in given.items() if values]
    if names:
        raise UsageError(
            Diagnostic(
                code="MTS910",
                message=f"{' and '.join(names)} would change the plan, but a saved plan is applied as it is",
                hint="Give these options to `deploy plan --out FILE`, look at that plan, and apply it without them.",
            )
        )


def _somebody_to_ask(session: Session, instead: str) -> None:
    """Raises `UsageError` (MTS906) where the question could not be asked."""
    if session.interactive and session.people:
        return
    why = (
        "no terminal is there to ask for approval"
        if session.people
        else f"with --format {session.shared.format} nobody is asked for approval"
    )
    raise UsageError(Diagnostic(code="MTS906", message=f"{why}; nothing was done", hint=f"Approve by {instead}."))
