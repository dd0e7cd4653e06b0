"""`init`: a first declaration with comments, and the directories around it."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mtasts_deploy.cli.session import Session, command, save
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import MtastsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mtasts_deploy.pipelines import Kind
    from mtasts_deploy.rfc.names import Domain

T = TypeVar("T")
IGNORED = (".mtasts/lock*", ".mtasts/runs/", ".mtasts/cache/")
SCHEMA = "mta-sts.schema.json"

TEMPLATE = """\
# yaml-language-server: $schema={schema}
# The mail domains of one team: what senders are told about TLS, and where they report failures.
#   deploy validate    finds every problem of this file and of the zones, without a network
#   deploy plan        shows what would change
#   deploy apply       does it: policies first, then records
# The line at the top is for editors; `deploy schema > {schema}` renews that file.
version: 1

# No providers and no hosts: the records go to zones/ (octoDNS zone files), the policies to policies/. Ship policies/ first, then zones/.

defaults:                           # for every domain; a domain's own settings win
{tlsrpt}

# profiles:                         # named sets of settings, for `{domain}: {{profile: strict}}`
#   strict: {{mode: enforce, max_age: 1w}}

domains:
  {domain}:
    # testing: senders deliver as before and report failures. enforce: senders that know the policy deliver only over verified TLS;
    # go there when the reports have been clean for a while.
    mode: testing
    # `zone`: the MX hosts of the zone. Or host names, or both: [zone, mx3.{domain}]
    mx: {mx}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a first declaration says."""

    domain: Domain
    mx: tuple[str, ...]
    tlsrpt: str | None


@command(data=False)
def init(
    session: Session,
    domain: Annotated[str | None, typer.Option("--domain", metavar="NAME", help="The mail domain.")] = None,
    mx: Annotated[list[str] | None, typer.Option("--mx", metavar="HOST", help="`zone`, or an MX host; may be repeated.")] = None,
    tlsrpt: Annotated[
        str | None, typer.Option("--tlsrpt", metavar="URI", help="Where reports go: an address, mailto: or https: URI.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take the defaults, do not ask.")] = False,
    github: Annotated[bool, typer.Option("--github", help="Also workflows for GitHub Actions.")] = False,
    gitlab: Annotated[bool, typer.Option("--gitlab", help="Also jobs for GitLab CI.")] = False,
    timer: Annotated[bool, typer.Option("--timer", help="Also a script and units for cron or systemd.")] = False,
) -> int:
    """Write a commented mta-sts.yaml, and directories around it; or pipelines beside one that is there. Never overwrites anything."""
    path = session.shared.config or Path(session.environ.get("MTASTS_CONFIG") or "mta-sts.yaml")
    chosen: dict[Kind, bool] = {"github": github, "gitlab": gitlab, "timer": timer}
    kinds = [kind for kind, wanted in chosen.items() if wanted]
    if not kinds or not path.exists():
        _declare(session, path, domain, mx or [], tlsrpt, yes=yes)
    if kinds:
        from mtasts_deploy.cli.pipelines import write_pipelines

        write_pipelines(session, kinds, path)
    return 0


def _declare(session: Session, path: Path, domain: str | None, mx: list[str], tlsrpt: str | None, *, yes: bool) -> None:
    """Write a first declaration. Raises `UsageError` (MTS913) where one is there."""
    if path.exists():
        raise UsageError(
            Diagnostic(
                code="MTS913", message=f"{path} exists already; nothing was written", hint="Edit it, or name another file with --config."
            )
        )
    _write(session, path, _answers(session, domain, mx, tlsrpt, yes=yes))


def _answers(session: Session, domain: str | None, mx: list[str], tlsrpt: str | None, *, yes: bool) -> Answers:
    from mtasts_deploy.rfc.names import Domain

    asks = session.interactive and not yes
    if domain is None and not asks:
        hint = "deploy init --domain example.com --tlsrpt mailto:tls-reports@example.net"
        raise UsageError(Diagnostic(code="MTS914", message="which mail domain? No terminal is there to ask", hint=hint))
    name = Domain.parse(domain) if domain is not None else _ask(session, "Mail domain: ", Domain.parse)
    hosts = (
        _hosts(mx)
        if mx or not asks
        else _ask(session, "MX hosts [zone: those of the zone]: ", lambda text: _hosts(text.split() or ["zone"]))
    )
    if tlsrpt is not None or not asks:
        return Answers(domain=name, mx=hosts, tlsrpt=None if tlsrpt is None else _rua(tlsrpt))
    prompt = "Address for TLS reports, best in another domain [none]: "
    return Answers(domain=name, mx=hosts, tlsrpt=_ask(session, prompt, lambda text: _rua(text) if text else None))


def _ask(session: Session, prompt: str, read: Callable[[str], T]) -> T:
    """Ask until the answer can be read. Raises `UsageError` (MTS914) where no answer comes."""
    while True:
        session.messages.question(prompt)
        line = sys.stdin.readline()
        if not line:
            raise UsageError(
                Diagnostic(code="MTS914", message="no answer came; nothing was written", hint="`deploy init --help` names the flags.")
            )
        try:
            return read(line.strip())
        except MtastsError as error:
            session.messages.findings(error.diagnostics)


def _hosts(texts: list[str]) -> tuple[str, ...]:
    from mtasts_deploy.rfc.names import MxPattern

    names = [name for text in texts for name in text.replace(",", " ").split()]
    return tuple(name if name == "zone" else str(MxPattern.parse(name)) for name in names) or ("zone",)


def _rua(text: str) -> str:
    """A URI; a bare address becomes one."""
    from mtasts_deploy.rfc.records import RecordError, parse_rua

    uri = f"mailto:{text}" if "@" in text and ":" not in text else text
    normal, problems = parse_rua(uri)
    errors = [problem for problem in problems if problem.severity.value == "error"]
    if errors:
        raise RecordError(*errors)
    return normal


def _write(session: Session, path: Path, answers: Answers) -> None:
    from mtasts_deploy.declaration.schema import json_schema

    directory = path.parent
    for folder in (directory, directory / "zones", directory / "policies"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"the directory {folder} cannot be made: {error.strerror}"
            raise UsageError(Diagnostic(code="MTS908", message=message, hint="Go to a directory where you may write.")) from error
    save(path, _declaration(answers).encode())
    say = session.messages.say
    say(f"wrote {path}")
    if not (directory / SCHEMA).exists():
        save(directory / SCHEMA, (json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n").encode())
        say(f"wrote {directory / SCHEMA}")
    if _ignore(directory / ".gitignore"):
        say(f"wrote {directory / '.gitignore'}: lock and run logs are not committed, the ledger in .mtasts/ledger/ is")
    zone = _zone_file(directory / "zones", answers.domain)
    if zone is None:
        say(f"The zone of {answers.domain.display} is expected in {directory / 'zones' / f'{answers.domain}.yaml'}, in octoDNS's format,")
        say("with its MX records and the address of the policy host. `octodns-dump` writes it from a provider.")
    else:
        say(f"The zone is {zone}.")
    say("Next: deploy validate, deploy plan, deploy apply.")


def _declaration(answers: Answers) -> str:
    if answers.tlsrpt is None:
        tlsrpt = "  # tlsrpt: mailto:tls-reports@example.net    # without it nobody tells you of failures; best in another domain"
        tlsrpt += "\n  max_age: 1w"
    else:
        tlsrpt = f"  tlsrpt: {json.dumps(answers.tlsrpt)}"
    mx = "zone" if answers.mx == ("zone",) else "[" + ", ".join(json.dumps(name) if "*" in name else name for name in answers.mx) + "]"
    return TEMPLATE.format(schema=SCHEMA, tlsrpt=tlsrpt, domain=answers.domain.unicode, mx=mx)


def _ignore(path: Path) -> bool:
    """Add what git should not see; True if something was added."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        hint = f"Add these lines yourself: {', '.join(IGNORED)}"
        raise UsageError(Diagnostic(code="MTS907", message=f"{path} cannot be read: {error}", hint=hint)) from error
    missing = [line for line in IGNORED if line not in text.splitlines()]
    if not missing:
        return False
    gap = "" if not text or text.endswith("\n") else "\n"
    save(path, (text + gap + "# lock and run logs of mtasts-deploy; its ledger is committed\n" + "\n".join(missing) + "\n").encode())
    return True


def _zone_file(zones: Path, domain: Domain) -> Path | None:
    """The zone file that holds the domain, if there is one: its own, or that of a domain above."""
    for name in (str(domain), domain.unicode):
        rest = name
        while "." in rest:
            path = zones / f"{rest}.yaml"
            if path.exists():
                return path
            rest = rest.partition(".")[2]
    return None
