"""What every command has: the shared options, its output and messages, the declaration; and what becomes of its errors."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, cast

from mtasts_deploy import __version__
from mtasts_deploy.cli import options
from mtasts_deploy.diagnostics import Diagnostic, Span
from mtasts_deploy.errors import MtastsError, UsageError
from mtasts_deploy.output.channel import Channel, wants_colour

if TYPE_CHECKING:
    from mtasts_deploy.apply.report import Event
    from mtasts_deploy.declaration.model import Declaration
    from mtasts_deploy.deployment import Deployment
    from mtasts_deploy.output.interface import Messages, Output
    from mtasts_deploy.sender.options import Looking

TOOL = f"mtasts-deploy {__version__}"
P = ParamSpec("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The values of the shared options."""

    config: Path | None = None
    format: options.Format = "human"
    json_into: Path | None = None
    verbose: int = 0
    quiet: bool = False
    colour: bool | None = None
    log_format: options.LogFormat = "text"


_SHARED: Mapping[str, object] = {
    "config": options.Config,
    "format": options.OutputFormat,
    "json_into": options.JsonInto,
    "verbose": options.Verbose,
    "quiet": options.Quiet,
    "colour": options.Colour,
    "log_format": options.Log,
}
_OF_DATA = ("format", "json_into")
_MEASURED = ("verify", "drift")
"""The commands whose results have metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One command on its way. `places` says where each domain (A-labels) is declared, once the declaration was read."""

    shared: Shared
    out: Channel
    err: Channel
    output: Output
    messages: Messages
    environ: Mapping[str, str]
    places: dict[str, Span]

    @property
    def stream(self) -> Callable[[Event], None] | None:
        """Where events go as they happen, if the form of the result is a stream of them."""
        from mtasts_deploy.output.several import Several
        from mtasts_deploy.output.stream import Stream

        outputs = self.output.outputs if isinstance(self.output, Several) else (self.output,)
        return next((one.event for one in outputs if isinstance(one, Stream)), None)

    @property
    def people(self) -> bool:
        """Is stdout for people?"""
        return self.shared.format == "human"

    @property
    def interactive(self) -> bool:
        """Is somebody there who can be asked?"""
        return sys.stdin is not None and sys.stdin.isatty() and self.err.terminal

    @property
    def automated(self) -> bool:
        """Are advices to people out of place?"""
        return bool(self.environ.get("CI") or self.environ.get("MTASTS_IN_AUTOMATION"))

    def declaration(self) -> Declaration:
        """The declaration. Raises `DeclarationError`."""
        from mtasts_deploy.declaration.load import find, load
        from mtasts_deploy.deployment import utc_now

        declaration = load(find(self.shared.config, self.environ), today=utc_now().date())
        self.places.update((str(domain), one.where) for domain, one in declaration.domains.items() if one.where is not None)
        return declaration

    def deployment(self, looking: Looking | None = None) -> Deployment:
        """The deployment that is declared; its events become messages. Raises `DeclarationError`."""
        from mtasts_deploy.declaration.model import ZONE_FILES
        from mtasts_deploy.deployment import Deployment
        from mtasts_deploy.output.text import counted

        declaration = self.declaration()
        if declaration.warnings:
            self.messages.say(f"{counted(len(declaration.warnings), 'warning')} about the declaration: see `deploy validate`.")
        if any(spec.class_name != ZONE_FILES for spec in declaration.providers.values()):
            self.log()  # else what a library logs as an error reaches stderr by itself
        deployment = Deployment.of(declaration, looking)
        deployment.emit = self.messages.event
        return deployment

    def log(self) -> None:
        """Let the libraries log as the options say."""
        from mtasts_deploy.cli.logs import configure

        configure(self.err, verbose=self.shared.verbose, json_lines=self.shared.log_format == "json")


def command(*, data: bool = True) -> Callable[[Callable[Concatenate[Session, P], int]], Callable[..., int]]:
    """Make a function with a `Session` a command with the shared options; `data`: its result has the formats of `options.Format`."""
    shared = {name: kind for name, kind in _SHARED.items() if data or name not in _OF_DATA}

    def decorate(function: Callable[Concatenate[Session, P], int]) -> Callable[..., int]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        defaults = Shared()
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(defaults, name), annotation=kind)
            for name, kind in shared.items()
        ]

        @wraps(function)
        def run(**given: object) -> int:
            values = {name: given.pop(name) for name in shared}
            return _run(cast("Callable[..., int]", function), Shared(**values), given)  # type: ignore[arg-type]

        parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own] + added
        setattr(run, "__signature__", inspect.Signature(parameters, return_annotation=int))  # noqa: B010 - mypy knows no such attribute
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        del run.__dict__["__wrapped__"]
        return run

    return decorate


def _run(function: Callable[..., int], shared: Shared, given: Mapping[str, object]) -> int:
    """The command in its session: errors of ours become diagnostics and an exit code, other errors a request to report them."""
    out = Channel(sys.stdout, colour=wants_colour(sys.stdout, shared.colour, os.environ))
    err = Channel(sys.stderr, colour=wants_colour(sys.stderr, shared.colour, os.environ))
    messages = _messages(shared, err)
    session: Session | None = None
    try:
        places: dict[str, Span] = {}
        output = _output(shared, out, places)
        if shared.format == "prometheus" and function.__name__ not in _MEASURED:  # said before anything is done
            raise no_metrics(function.__name__)
        session = Session(shared=shared, out=out, err=err, output=output, messages=messages, environ=os.environ, places=places)
        if shared.verbose:
            session.log()
        code = function(session, **given)
    except MtastsError as error:
        code = error.exit_code
        messages.findings(error.diagnostics)
        if session is not None:
            with contextlib.suppress(MtastsError):  # it may be the very file of --json-into that cannot be written
                session.output.failed(error.diagnostics, code)
    except KeyboardInterrupt:
        messages.end()
        messages.say("Interrupted.")
        code = 130
    except Exception as error:
        messages.findings([_bug(error)])
        if shared.verbose > 1:
            import traceback

            err.write(traceback.format_exc())
        code = 1
    return _end(code, messages, out)


def _end(code: int, messages: Messages, out: Channel) -> int:
    out.flush()
    if out.failure is not None:
        messages.findings([lost_output(out.failure)])
        code = code or 1
    messages.end()
    return code


def no_metrics(command: str) -> UsageError:
    """What is said where metrics are asked for of what has none (MTS915)."""
    hint = "Use --format human or --format json; look whether MTASTS_FORMAT is set."
    return UsageError(Diagnostic(code="MTS915", message=f"what `deploy {command}` says has no prometheus form", hint=hint))


def lost_output(error: OSError) -> Diagnostic:
    """What is said where stdout could not be written (MTS909)."""
    message = f"the result could not be written to stdout: {error.strerror}"
    return Diagnostic(code="MTS909", message=message, hint="Free some space there, or let stdout go elsewhere.")


def _bug(error: Exception) -> Diagnostic:
    return Diagnostic(
        code="MTS999",
        message=f"this is a bug in mtasts-deploy, not a mistake of yours: {type(error).__name__}: {error}",
        hint=f"Please report it with the version ({TOOL}) and what the same command prints with -vv. What is published stays valid; "
        "`deploy apply` goes on from there.",
    )


def _messages(shared: Shared, err: Channel) -> Messages:
    from mtasts_deploy.output.messages import JsonMessages, TextMessages

    if shared.log_format == "json":
        from mtasts_deploy.deployment import utc_now

        return JsonMessages(err, clock=utc_now, quiet=shared.quiet)
    live = err.terminal and not shared.quiet and os.environ.get("TERM") != "dumb"
    return TextMessages(err, live=live, quiet=shared.quiet)


def plain_messages(log_format: options.LogFormat = "text") -> Messages:
    """Messages for when no options are known, or only this one."""
    return _messages(Shared(log_format=log_format), Channel(sys.stderr, colour=wants_colour(sys.stderr, None, os.environ)))


def refused(findings: Sequence[Diagnostic], arguments: Sequence[str]) -> None:
    """Say that the command line cannot be used, in the forms that it asks for as far as it can be read."""
    messages = plain_messages("json" if _asked(arguments, "--log-format", "MTASTS_LOG_FORMAT") == "json" else "text")
    messages.findings(findings)
    messages.end()
    if _asked(arguments, "--format", "MTASTS_FORMAT") == "json":
        from mtasts_deploy.output.machine import Machine

        out = Channel(sys.stdout)
        Machine(out.write, TOOL).failed(findings, 1)
        out.flush()


def _asked(arguments: Sequence[str], option: str, variable: str) -> str:
    """The value of an option, from arguments that could not be parsed as a whole."""
    value = os.environ.get(variable, "")
    for index, argument in enumerate(arguments):
        if argument == option:
            value = next(iter(arguments[index + 1 : index + 2]), "")
        elif argument.startswith(f"{option}="):
            value = argument.partition("=")[2]
    return value


def _output(shared: Shared, out: Channel, places: Mapping[str, Span]) -> Output:
    first = _form(shared, out, places)
    into = shared.json_into
    if into is None:
        return first
    if not into.parent.is_dir():  # found out before anything is done, not at its end
        raise unwritable(into, "there is no such directory")
    spare(into)
    from mtasts_deploy.output.machine import Machine
    from mtasts_deploy.output.several import Several

    return Several(first, Machine(lambda text: save(into, text.encode()), TOOL))


def _form(shared: Shared, out: Channel, places: Mapping[str, Span]) -> Output:
    """What `--format` asks for."""
    match shared.format:
        case "human":
            from mtasts_deploy.output.human import Human

            return Human(out, verbose=shared.verbose > 0)
        case "json":
            from mtasts_deploy.output.machine import Machine

            return Machine(out.write, TOOL)
        case "ndjson":
            from mtasts_deploy.output.stream import Stream

            return Stream(out.write, out.flush)
        case other:
            from mtasts_deploy.cli.reports import report

            return report(other, out.write, shared.config, places, os.environ)


def save(path: Path, data: bytes) -> None:
    """Write a file of the user's, whole or not at all; what is no plain file is written through. Raises `UsageError` (MTS908)."""
    from mtasts_deploy.files import replace_file

    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            replace_file(path.resolve(), data)
    except OSError as error:
        raise unwritable(path, error.strerror) from error


def spare(path: Path) -> None:
    """Raise `UsageError` (MTS908) where JSON would take the place of another kind of file: a declaration, a zone file, a policy."""
    with contextlib.suppress(OSError):
        if not path.is_file():
            return
        with path.open("rb") as file:
            begin = file.read(64).lstrip()
        if begin and not begin.startswith(b"{"):
            message = f"{path} is not overwritten: what is there is no JSON file"
            raise UsageError(Diagnostic(code="MTS908", message=message, hint="Name another file, such as plan.json."))


def spare_metrics(path: Path) -> None:
    """Raise `UsageError` (MTS908) where the metrics would take the place of something else, or cannot be written."""
    from mtasts_deploy.output.prometheus import FIRST

    if not path.parent.is_dir():
        raise unwritable(path, "there is no such directory")
    if path.is_file() and (begin := path.read_bytes()[: len(FIRST)]) and begin != FIRST.encode():
        raise unwritable(path, "what is there is no file of metrics of ours")


def unwritable(path: Path, why: str | None) -> UsageError:
    """What is said of a file that should be written and cannot (MTS908)."""
    return UsageError(
        Diagnostic(code="MTS908", message=f"{path} cannot be written: {why}", hint="Name a file in a directory where you may write.")
    )
