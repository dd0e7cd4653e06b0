"""The screens as a terminal shows them: at 80 and at 200 columns, with colours and without, and what a pipe gets.

Colours are written as marks (`‹red›…‹›`), so that the files can be read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest

from mtasts_deploy.cli.app import run
from tests.transcripts import ZONE, Transcript

WIDTHS = (80, 200)
NAMES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan", "0": ""}
BLOCKED = "_mta-sts: {type: CNAME, value: sts.mailhost.example.}\nmta-sts:"


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def marked(text: str) -> str:
    """Escape sequences as words; the line of progress begins anew where it says so."""
    text = re.sub(r"\x1b\[([\d;]+)m", lambda found: f"‹{'+'.join(NAMES[code] for code in found[1].split(';'))}›", text)
    text = text.replace("\r\x1b[K", "‹anew›\n")
    assert "\x1b" not in text
    assert "\r" not in text
    return text


@contextmanager
def columns(cli: Transcript, width: int, **variables: str) -> Iterator[None]:
    with cli.monkeypatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        patch.setenv("TERM", "xterm")
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def screen(cli: Transcript, width: int, *arguments: str, **variables: str) -> str:
    """What a terminal shows of a command, both streams together."""
    shown = Terminal()
    with columns(cli, width, **variables), redirect_stdout(shown), redirect_stderr(shown):
        code = run(arguments)
    text = marked(shown.getvalue())
    cli.text += f"$ deploy {' '.join(arguments)}\n{text}--- exit {code}\n\n"
    return text


def plain(text: str) -> list[str]:
    return re.sub(r"‹[^›]*›", "", text).splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_an_error_a_guard_and_progress(applied: Transcript, width: int) -> None:
    texts = [screen(applied, width, "plan")]
    applied.edit("mta-sts.yaml", "new.example:", "new.example: {mode: enforce}")
    applied.edit("zones/new.example.yaml", "mta-sts:", BLOCKED)
    texts += [screen(applied, width, "plan", "--domain", "new.example"), screen(applied, width, "explain", "MTS402")]
    texts += [screen(applied, width, "apply", "--auto-approve", "--parallelism", "1"), screen(applied, width, "status")]
    texts += [screen(applied, width, "doctor"), screen(applied, width, "plan", "--domain", "absent.example")]
    applied.edit("mta-sts.yaml", "{max_age: 1d}", "{max_age: 1d, mod: enforce}")
    texts += [screen(applied, width, "validate")]
    long = [line for text in texts for line in plain(text) if len(line) > width and " " in line.strip()]
    assert [line for line in long if len(max(line.split(), key=len)) < width // 2] == []
    applied.compare(f"terminal-{width}")


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_without_colour_the_same_words(applied: Transcript, variable: dict[str, str]) -> None:
    coloured = screen(applied, 80, "plan")
    bare = screen(applied, 80, "plan", **variable)
    assert "‹" in coloured
    assert "‹" not in bare
    assert plain(coloured) == bare.splitlines()


def test_a_pipe_gets_whole_lines_without_colour(applied: Transcript) -> None:
    with columns(applied, 80):
        done = applied.deploy("plan")
    assert "‹" not in marked(done.out)
    assert any(len(line) > 80 for line in done.out.splitlines())


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_of_500_domains(cli: Transcript, width: int) -> None:
    names = [f"d{number:03}.example" for number in range(500)]
    domains = "".join(f"  {name}:\n" for name in names)
    cli.write("mta-sts.yaml", f'version: 1\ndefaults: {{tlsrpt: "mailto:tls@reports.example"}}\ndomains:\n{domains}')
    for name in names:
        cli.write(f"zones/{name}.yaml", ZONE.format(domain=name))
    cli.edit("zones/d250.example.yaml", "mta-sts:", BLOCKED)
    lines = screen(cli, width, "plan").splitlines()
    assert len(plain("\n".join(lines))) < 500 * 10
    cli.text = "\n".join([*lines[:14], f"… {len(lines) - 30} more lines", *lines[-16:], ""])
    cli.compare(f"terminal-500-{width}")
