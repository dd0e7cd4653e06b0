"""The command line as a whole: all commands, and what becomes of wrong usage and of our own mistakes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Annotated

import typer

from mtasts_deploy import __version__
from mtasts_deploy.diagnostics import Diagnostic

COMMANDS = {
    "init": "init",
    "import": "importing",
    "validate": "tools",
    "render": "tools",
    "plan": "plan",
    "show": "plan",
    "apply": "apply",
    "rollback": "apply",
    "verify": "verify",
    "drift": "drift",
    "merge-reports": "merging",
    "doctor": "doctor",
    "status": "look",
    "history": "look",
    "state": "state",
    "unlock": "tools",
    "explain": "tools",
    "schema": "tools",
    "host": "host",
    "permissions": "host",
}
"""Every command, in the order of the help, and the module of this package with the function or group of that name."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mtasts-deploy {__version__}")
        raise typer.Exit


def _deploy(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")] = False,
) -> None:
    """DNS-as-code for MTA-STS (RFC 8461) and TLSRPT (RFC 8460): plan, publish the policy, prove it is served, then move the record."""
    del version


def app_with(commands: Iterable[str]) -> typer.Typer:
    """The program with these commands of `COMMANDS`: each costs its imports and some milliseconds of Typer's."""
    app = typer.Typer(
        name="deploy",
        rich_markup_mode=None,  # rich costs 50 ms at every start
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Exit codes: 0 fine, 1 error, 2 changes (with --detailed-exitcode), 3 blocked by a guard, 4 lock held, 5 stale plan, "
        "6 not finished, 130 interrupted. `deploy explain CODE` tells about every message.",
    )
    app.callback()(_deploy)
    for name in commands:
        module = importlib.import_module(f"mtasts_deploy.cli.{COMMANDS[name]}")
        made = getattr(module, f"{name}_" if iskeyword(name) else name.replace("-", "_"))
        if isinstance(made, typer.Typer):
            app.add_typer(made)
        else:
            app.command(name)(made)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Wrong usage is exit code 1: Typer's 2 would read as "changes"."""
    stdout = sys.stdout
    asked = COMMANDS.keys() & arguments[:1]
    try:
        app = app_with(asked or COMMANDS)
        code = app(args=list(arguments) or ["--help"], prog_name=_name(), standalone_mode=False)
    except typer.TyperException as error:
        return _wrong_usage(error, arguments)
    except typer.Abort:
        return 130
    except OSError as error:  # `--help` to a full disk; what commands write is guarded by their channel
        return _lost(error)
    except SystemExit as ending:
        # Typer turns a broken pipe (`deploy --help | head -1`) into exit code 1 and replaces stdout.
        return 0 if sys.stdout is not stdout else int(ending.code or 0)
    return code if isinstance(code, int) else 0


def _lost(error: OSError) -> int:
    from mtasts_deploy.cli.session import lost_output, plain_messages

    messages = plain_messages()
    messages.findings([lost_output(error)])
    messages.end()
    return 1


def _name() -> str:
    """As which of its two names the program was called: help and shell completion speak of that one."""
    called = Path(sys.argv[0]).name
    return called if called == "mtasts-deploy" else "deploy"


def _wrong_usage(error: typer.TyperException, arguments: Sequence[str]) -> int:
    from mtasts_deploy.cli.session import refused

    context = getattr(error, "ctx", None)
    command = "deploy" if context is None else context.command_path
    text = " ".join(error.format_message().split()).replace("Value error, ", "")
    refused([Diagnostic(code="MTS901", message=text, hint=f"`{command} --help` shows how it is used.")], arguments)
    return 1
