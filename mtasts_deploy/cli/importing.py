"""`import`: declarations for what is live today."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.session import Session, command, save
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import DeclarationError, MtastsError, UsageError

if TYPE_CHECKING:
    from mtasts_deploy.declaration.model import Declaration
    from mtasts_deploy.declaration.writing import Written
    from mtasts_deploy.rfc.names import Domain
    from mtasts_deploy.verify.importing import LeftOut, Live
    from mtasts_deploy.verify.look import Eyes
    from mtasts_deploy.verify.model import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the lines go. `path` None: stdout, and nothing is written. `main` is the declaration that the lines belong to, `before` what
    the file has now (None: there is none), `declared` what is declared already. `dns`: the provider in whose zones a domain was found.
    """

    path: Path | None
    main: Path
    before: bytes | None
    declared: Declaration | None
    dns: Mapping[Domain, str] = field(default_factory=dict)


@command(data=False)
def import_(
    session: Session,
    domains: Annotated[list[str] | None, typer.Argument(metavar="[DOMAIN]...", help="Domains whose policy or TLSRPT is live.")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from-file", metavar="FILE", help="Also the domains in this file, one a line; - is stdin.", show_default=False),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            metavar="NAME",
            help="Also the zones of this declared provider, where something is live. Domains inside of zones must be named.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Put the lines into this file; - prints them and writes nothing.  [default: the declaration]",
            show_default=False,
        ),
    ] = None,
    parallelism: options.Parallelism = 20,
    timeout: options.Timeout = "1m",
    lock_timeout: options.LockTimeout = "0",
    resolver: options.Resolver = None,
    ca_file: options.CaFile = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Declare what is live today: look at domains as senders do, and write the lines that describe them.

    The lines go to the end of `domains:` in the declaration, of which every other byte stays; without one, mta-sts.yaml is made. What
    senders may have stored is noted in the ledger, also of domains that are declared already. Nothing is published: the next `deploy plan`
    shows what is to come. Exit code 1 if a domain could not be described.
    """
    from mtasts_deploy import adapters
    from mtasts_deploy.deployment import utc_now
    from mtasts_deploy.verify.run import verify

    wait = options.seconds("--lock-timeout", lock_timeout)
    target = _target(session, out)
    asked = _named(domains or [], from_file)
    offered = [] if provider is None else _zones(target, provider)
    names = list(dict.fromkeys([*asked, *offered]))
    if not names:
        hint = "Name domains, or a file of them, or a provider: deploy import example.com --from-file domains.txt"
        raise UsageError(Diagnostic(code="MTS941", message="there is no domain to look at", hint=hint))
    eyes = adapters.eyes(options.looking(resolver, ca_file, connect_to, timeout), utc_now, smtp=False)
    if session.err.terminal:
        session.messages.begin(len(names))
    report = verify(names, eyes, parallelism=parallelism)
    session.messages.end()
    target = replace(target, dns={one: provider for one in offered if provider is not None})
    return _imported(session, target, eyes, report, asked=asked, wait=wait)


def _imported(session: Session, target: Target, eyes: Eyes, report: Report, *, asked: Sequence[Domain], wait: int) -> int:
    """Write what was seen, and say what was not: the exit code. A domain that nobody `asked` for by name may have nothing live."""
    from mtasts_deploy.declaration.writing import fragment
    from mtasts_deploy.verify.importing import LeftOut, Live, described

    known = () if target.declared is None else target.declared.domains
    found = [described(one) for one in report.domains]
    lives = [one for one in found if isinstance(one, Live)]
    new = [one for one in lives if one.domain not in known]
    passed = {one.domain for one in found if isinstance(one, LeftOut) and one.nothing} - {*asked, *known}
    left = [one for one in found if isinstance(one, LeftOut) and one.domain not in {*known, *passed}]
    already = [one.domain for one in report.domains if one.domain in known]
    why = [finding for one in left for finding in _of_left(one)]
    told = [_known(one, target) for one in already]
    told += [finding for one in lives for finding in (*one.findings, *_alias(eyes, one))]
    session.messages.findings([*told, *why])
    if target.path is None:
        session.out.write(fragment([_lines(live) for live in new]) if new else "")
    else:
        _write(session, target, target.path, new, lives, wait)
    session.messages.say(_closing(len(new), len(already), len(left), len(passed), target))
    if new and target.path is not None and not session.automated:
        session.messages.say("Next: deploy plan.")
    return 1 if any(finding.severity is Severity.ERROR for finding in why) else 0


def _named(names: Sequence[str], file: Path | None) -> list[Domain]:
    """The domains that are asked for, each once. Raises `UsageError` where a name is none or the file cannot be read."""
    from mtasts_deploy.rfc.names import Domain

    if file is not None:
        try:
            text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            message = f"--from-file {file}: it cannot be read: {why}"
            raise UsageError(Diagnostic(code="MTS907", message=message, hint="Name a text file with one domain a line.")) from error
        names = [*names, *(word for line in text.splitlines() if (word := line.partition("#")[0].strip()))]
    found: dict[Domain, None] = {}
    problems: list[Diagnostic] = []
    for name in names:
        try:
            found[Domain.parse(name)] = None
        except MtastsError as error:
            problems += error.diagnostics
    if problems:
        raise UsageError(*problems)
    return list(found)


def _zones(target: Target, provider: str) -> list[Domain]:
    """The zones of a provider that may be mail domains. Raises `UsageError`, `ObservationError`, `Refused`."""
    from mtasts_deploy.deployment import Deployment
    from mtasts_deploy.rfc.names import Domain

    declared = () if target.declared is None else target.declared.providers
    if target.declared is None or provider not in declared:
        hint = f"Declared are: {', '.join(sorted(declared)) or 'none'}."
        raise UsageError(Diagnostic(code="MTS941", message=f"--provider {provider}: there is no such provider", hint=hint))
    adapter = Deployment.of(target.declared).targets[provider]
    adapter.ready()
    zones = adapter.zones()
    if zones is None:
        hint = "Name the domains, or a file of them with --from-file."
        raise UsageError(Diagnostic(code="MTS941", message=f"--provider {provider}: it cannot list its zones", hint=hint))
    found = []
    for zone in sorted(zones):
        with contextlib.suppress(MtastsError):  # reverse zones and the like
            found.append(Domain.parse(zone.removesuffix(".")))
    return [one for one in found if not str(one).endswith(".arpa")]


def _target(session: Session, out: Path | None) -> Target:
    """Where the lines are to go. Raises `DeclarationError` for a declaration that is there and wrong."""
    declared: Declaration | None = None
    main = session.shared.config or Path(session.environ.get("MTASTS_CONFIG") or "mta-sts.yaml")
    try:
        declared = session.declaration()
    except DeclarationError as error:
        if session.shared.config is not None or any(problem.code != "MTS100" for problem in error.diagnostics) or os.path.lexists(main):
            raise
    path = main if out is None else None if str(out) == "-" else out
    before: bytes | None = None
    if path is not None and os.path.lexists(path):
        try:
            before = path.read_bytes()
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            raise UsageError(Diagnostic(code="MTS907", message=message, hint="Name a declaration, or a new file.")) from error
    return Target(path=path, main=main, before=before, declared=declared)


def _write(session: Session, target: Target, path: Path, new: Sequence[Live], lives: Sequence[Live], wait: int) -> None:
    """Put the lines of the new ones where they belong, after the ledger was told of all."""
    declaration, made = target.declared, None
    if new:
        made = _content(target, new, {})
        declaration = _declared(target, path, made)
        explicit = {live.domain: _differing(live, declaration, target.dns.get(live.domain)) for live in new}
        if any(explicit.values()):
            made = _content(target, new, explicit)
            declaration = _declared(target, path, made)
        session.messages.findings(_by_defaults(new, declaration))
    if declaration is not None:
        _remember(session, declaration, lives, wait)
    if made is not None and target.before is not None:
        save(path, made)


def _lines(live: Live, explicit: Mapping[str, object] | None = None) -> Written:
    from mtasts_deploy.declaration.model import Sts
    from mtasts_deploy.declaration.writing import Written

    said = f"the record is at {live.alias}" if live.alias else ""
    written = Written(
        domain=live.domain,
        sts=None if live.sts is Sts.PUBLISH else live.sts,
        mode=live.mode,
        max_age=live.max_age,
        mx=live.mx,
        tlsrpt=live.tlsrpt,
        said=said,
    )
    return replace(written, **explicit) if explicit else written  # type: ignore[arg-type]


def _content(target: Target, lives: Sequence[Live], explicit: Mapping[Domain, Mapping[str, object]]) -> bytes:
    from mtasts_deploy.declaration.writing import NEW, NoPlace, appended, fragment

    lines = [_lines(live, explicit.get(live.domain)) for live in lives]
    if target.before is None:
        return ((NEW if target.declared is None else "") + fragment(lines)).encode()
    try:
        return appended(target.before, lines)
    except NoPlace as error:
        message = f"{target.path} was not changed: {error}"
        hint = "Write the domains to a file of their own and include it: --out domains/imported.yaml, `include: [domains/imported.yaml]`."
        raise UsageError(Diagnostic(code="MTS942", message=message, hint=hint)) from error


def _declared(target: Target, path: Path, made: bytes) -> Declaration:
    """The declaration as it will be. A new file is written for that, and removed again if it is none."""
    from mtasts_deploy.declaration.load import load
    from mtasts_deploy.deployment import utc_now

    new = target.before is None
    if new:
        save(path, made)
    main = path if target.declared is None else target.main
    try:
        return load(main, today=utc_now().date(), instead={} if new else {os.path.realpath(path): made})
    except DeclarationError:
        if new:
            path.unlink(missing_ok=True)
        raise


def _differing(live: Live, declaration: Declaration, dns: str | None) -> dict[str, object]:
    """What must be written because the defaults, or our own ones, are different."""
    settings = declaration.domains.get(live.domain)
    if settings is None:
        return {}
    found: dict[str, object] = {} if settings.sts is live.sts else {"sts": live.sts}
    if live.ttl is not None and settings.ttl != live.ttl:
        found["ttl"] = live.ttl
    if dns is not None and settings.dns != (dns,):
        found["dns"] = dns
    return found


def _by_defaults(lives: Sequence[Live], declaration: Declaration) -> Iterator[Diagnostic]:
    for live in lives:
        settings = declaration.domains.get(live.domain)
        if settings is None:
            yield Diagnostic(
                code="MTS943",
                severity=Severity.WARN,
                message=f"{live.domain.display} is in a file that the declaration does not include",
                domain=str(live.domain),
                hint="Add the file under `include:`, then import these domains again: the ledger was not told of them.",
            )
        elif live.tlsrpt is None and settings.tlsrpt:
            yield Diagnostic(
                code="MTS940",
                severity=Severity.WARN,
                message=f"{live.domain.display} has no TLSRPT record to go on with, but `defaults` declare one: the plan adds it",
                domain=str(live.domain),
                hint="Move `tlsrpt` from `defaults` into a profile if it is not for all domains.",
            )


def _remember(session: Session, declaration: Declaration, lives: Sequence[Live], wait: int) -> None:
    """Tell the ledger which policies senders may have stored under which ids."""
    from datetime import timedelta

    from mtasts_deploy.deployment import Deployment, Options
    from mtasts_deploy.ledger.events import Look

    seen = {
        live.domain: Look(ids=(live.id,), bodies=live.bodies)
        for live in lives
        if live.id is not None and live.domain in declaration.domains
    }
    if seen:
        deployment = Deployment.of(declaration)
        deployment.emit = session.messages.event
        deployment.adopt(seen, Options(command="deploy import", lock_timeout=timedelta(seconds=wait)))


def _alias(eyes: Eyes, live: Live) -> Iterator[Diagnostic]:
    """A policy host that is an alias may be somebody else's."""
    if live.id is None:
        return
    reply = eyes.lookups.ask(live.domain.policy_host, "A")
    if reply.aliased:
        yield Diagnostic(
            code="MTS944",
            severity=Severity.NOTE,
            message=f"{live.domain.policy_host} is a CNAME to {reply.canonical}",
            domain=str(live.domain),
            hint="If others put the policy there, declare `sts: elsewhere`; if it is a web server or CDN of yours, name it under `hosts:`.",
            ref="RFC 8461 §8.2",
        )


def _known(domain: Domain, target: Target) -> Diagnostic:
    settings = None if target.declared is None else target.declared.domains[domain]
    return Diagnostic(
        code="MTS945",
        severity=Severity.NOTE,
        message=f"{domain.display} is declared already, and stays as it is declared",
        domain=str(domain),
        where=None if settings is None else settings.where,
        hint="What is live was noted in the ledger. `deploy drift` compares it with what is declared.",
    )


def _of_left(one: LeftOut) -> Iterator[Diagnostic]:
    yield from (finding for finding in one.findings if not one.nothing or finding.severity is Severity.ERROR)
    if one.nothing:
        message = f"{one.domain.display} is not written: nothing of MTA-STS or TLSRPT is live there"
        severity, hint = Severity.WARN, "Declare it by hand: `deploy init` shows how."
    else:
        message = f"{one.domain.display} is not written: what is live could not be read as senders read it"
        severity, hint = Severity.ERROR, "Mend what was found, then import it again; or declare by hand what you want."
    yield Diagnostic(code="MTS946", severity=severity, message=message, domain=str(one.domain), hint=hint)


def _closing(new: int, known: int, left: int, passed: int, target: Target) -> str:
    parts = [f"{new} described" if target.path is None else f"{new} written to {target.path}"]
    parts += [f"{known} declared already"] * bool(known) + [f"{left} left out"] * bool(left)
    parts += [f"{passed} zones without anything live"] * bool(passed)
    return f"Import: {', '.join(parts)}."
