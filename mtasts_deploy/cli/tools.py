"""`validate`, `render`, `unlock`, `explain`, `schema`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mtasts_deploy.cli import options
from mtasts_deploy.cli.plan import selection
from mtasts_deploy.cli.session import Session, command, save
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import DeclarationError, UsageError

if TYPE_CHECKING:
    from mtasts_deploy.declaration.model import Declaration
    from mtasts_deploy.output.publishing import Publication
    from mtasts_deploy.plan.model import Plan
    from mtasts_deploy.plan.selection import Selection
    from mtasts_deploy.sender.options import Looking

RenderFormat = Literal["files", "zone", "octodns", "json"]
SchemaName = Literal["declaration", "plan", "run", "validate", "failure", "events", "verify", "drift"]


@command()
def validate(session: Session) -> int:
    """Find every problem of the declaration, and of the zones where all providers and hosts are directories. Works offline."""
    from mtasts_deploy.deployment import Deployment
    from mtasts_deploy.output.interface import Checked

    try:
        declaration = session.declaration()
    except DeclarationError as error:
        name, domains, found = str(session.shared.config or "mta-sts.yaml"), 0, error.diagnostics
    else:
        name, domains = str(declaration.path), len(declaration.domains)
        found = declaration.warnings
        if declaration.local:
            found = (*found, *_offline(Deployment.of(declaration).plan()))
    session.output.checked(Checked(name=name, domains=domains, findings=found))
    if session.people:
        session.messages.findings(found)
    return 1 if any(finding.severity is Severity.ERROR for finding in found) else 0


def _offline(plan: Plan) -> Iterator[Diagnostic]:
    """What can be known without the world: everything but what concerns a run (MTS7xx)."""
    return (finding for finding in plan.findings() if not finding.code.startswith("MTS7") or finding.severity is Severity.ERROR)


@command(data=False)
def render(
    session: Session,
    domain: options.Domains = None,
    exclude: options.Excluded = None,
    form: Annotated[
        RenderFormat, typer.Option("--format", help="Policy files with records, zone file lines, octoDNS YAML, or JSON.")
    ] = "files",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", envvar="MTASTS_OUTPUT", help="Write files there instead of to stdout.")
    ] = None,
    resolver: options.Resolver = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Write policies and records for those who publish by hand. Changes nothing else; ids come from the ledger."""
    if output is not None:
        _refuse_live(session.declaration(), output)
    looking = options.looking(resolver, None, connect_to, "60s")
    publications, blocked = _publications(session, looking, selection(domain, exclude))
    strangers = [one.domain.display for one in publications if one.policy is not None and not one.remembered]
    if strangers:
        from mtasts_deploy.output.text import listed

        session.messages.say(
            f"The ledger knows nothing of {listed(strangers)}: these ids are made without history. If other policies were ever published\n"
            "under the same id, senders that hold one will not look again."
        )
    files = _rendered(publications, form)
    if output is None:
        session.out.write(_on_stdout(files, form))
    else:
        _write_all(session, output, files)
    return blocked


def _publications(session: Session, looking: Looking, wanted: Selection) -> tuple[list[Publication], int]:
    """What can be published, and the exit code for what cannot."""
    from mtasts_deploy.output.publishing import publication

    deployment = session.deployment(looking)
    survey, book = deployment.survey(wanted)
    found: list[Publication] = []
    refused: list[Diagnostic] = []
    for plan in survey.plan.domains:
        seen = survey.seen.get(plan.domain)
        if seen is None:
            continue
        # MTS404, no zone holds the domain: whoever publishes by hand may have no zone file here.
        errors = [one for one in plan.findings if one.severity is Severity.ERROR and one.code != "MTS404"]
        if errors:
            refused += errors
        else:
            settings = deployment.declaration.domains[plan.domain]
            found.append(publication(settings, plan, seen, book.readable(plan.domain), survey.plan.created))
    if not refused:
        return found, 0
    session.messages.findings(refused)
    return found, 1 if survey.plan.summary().unknown else 3


def _refuse_live(declaration: Declaration, output: Path) -> None:
    """Raises `UsageError` (MTS908) for a directory that `apply` looks after: whole zone files would be lost, policies go live untold."""
    from mtasts_deploy.declaration.model import HostSpec

    base = declaration.directory
    live = [str(spec.options["directory"]) for spec in declaration.providers.values() if spec.local]
    live += [host.path for host in declaration.hosts.values() if isinstance(host, HostSpec)]
    if output.resolve() in {(base / path).resolve() for path in live}:
        message = f"{output} is not written to: it holds the zones or policies that `deploy apply` changes"
        raise UsageError(Diagnostic(code="MTS908", message=message, hint="Name a directory of its own: --output rendered"))


def _rendered(publications: Sequence[Publication], form: RenderFormat) -> dict[str, bytes]:
    from mtasts_deploy.output import publishing

    match form:
        case "files":
            return publishing.as_files(publications)
        case "zone":
            return {publishing.RECORDS: publishing.as_zone(publications).encode()}
        case "octodns":
            return {f"{zone}yaml": text.encode() for zone, text in publishing.as_octodns(publications).items()}
        case "json":
            return {"publications.json": (json.dumps(publishing.as_data(publications), indent=1, ensure_ascii=False) + "\n").encode()}


def _on_stdout(files: dict[str, bytes], form: RenderFormat) -> str:
    """One text: as it is where there is one file, else each under its name."""
    texts = {name: data.decode("utf-8", "replace").replace("\r\n", "\n") for name, data in files.items()}
    if form in ("zone", "json"):
        return "".join(texts.values())
    mark = "# " if form == "octodns" else "==> "
    end = "" if form == "octodns" else " <=="
    return "\n".join(f"{mark}{name}{end}\n{text}" for name, text in texts.items())


def _write_all(session: Session, directory: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"the directory {path.parent} cannot be made: {error.strerror}"
            raise UsageError(Diagnostic(code="MTS908", message=message, hint="Name a directory where you may write.")) from error
        save(path, data)
        session.messages.say(f"wrote {path}")


@command(data=False)
def unlock(
    session: Session, lease: Annotated[str, typer.Argument(metavar="ID", help="The id of the lock, as the message about it says.")]
) -> int:
    """Remove the lock of a run that is certainly dead. A dead run on this machine needs no unlocking."""
    from mtasts_deploy.apply.lock import unlock as remove

    deployment = session.deployment()
    session.messages.findings([remove(deployment.store, lease, now=deployment.clock)])
    return 0


@command()
def explain(
    session: Session, code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="A code such as MTS401; without one: all.")] = None
) -> int:
    """Tell what a code means and what to do."""
    from mtasts_deploy.catalogue import CATALOGUE

    if code is None:
        session.output.pages([CATALOGUE[name] for name in sorted(CATALOGUE)])
        return 0
    wanted = code.upper() if not code.isdigit() else f"MTS{code}"
    page = CATALOGUE.get(wanted)
    if page is None:
        raise UsageError(Diagnostic(code="MTS912", message=f'there is no code "{code}"', hint=_near(wanted, list(CATALOGUE))))
    session.output.pages([page])
    return 0


def _near(wanted: str, known: list[str]) -> str:
    import difflib

    close = sorted(difflib.get_close_matches(wanted, known, n=3))
    return f"Did you mean {' or '.join(close)}? " * bool(close) + "`deploy explain` lists all codes."


@command(data=False)
def schema(
    session: Session,
    name: Annotated[
        SchemaName, typer.Argument(metavar="[NAME]", help="declaration, or a result: plan, run, validate, failure, events, verify, drift.")
    ] = "declaration",
) -> int:
    """Print the JSON Schema (draft-07) of the declaration, for editors; or of what --format json writes."""
    from mtasts_deploy.declaration.schema import json_schema
    from mtasts_deploy.output.schemas import SCHEMAS

    made = json_schema() if name == "declaration" else SCHEMAS[name]()
    session.out.write(json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    return 0
