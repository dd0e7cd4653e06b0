"""The screens as a terminal shows them: at 80 and at 200 columns, with colours and without, and what a pipe gets.

Colours are written as marks (`‹red›…‹›`), so that the files can be read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import datetime

import pytest

from mtasts_deploy import adapters
from mtasts_deploy.cli.app import run
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import Fetched
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import policy_id
from mtasts_deploy.sender.names import Outcome
from mtasts_deploy.sender.options import Looking
from mtasts_deploy.verify.look import Eyes
from tests.net import Key, Net
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
    fits(texts, width)
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


def seen_in(cli: Transcript, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """What verify and drift look at from now on."""

    def eyes(looking: Looking, clock: Callable[[], datetime], *, smtp: bool) -> Eyes:
        return Eyes(lookups=net, fetcher=net, prober=net if smtp else None, looking=looking, clock=cli.clock)

    monkeypatch.setattr(adapters, "eyes", eyes)


def served(cli: Transcript, domain: str) -> tuple[bytes, dict[Key, list[object]]]:
    """The policy of a domain as its file is, and its names in DNS as its zone has them."""
    body = (cli.directory / f"policies/mta-sts.{domain}/.well-known/mta-sts.txt").read_bytes()
    return body, {
        (f"_mta-sts.{domain}", "TXT"): [f"v=STSv1; id={policy_id(body)};".encode()],
        (f"_smtp._tls.{domain}", "TXT"): [b"v=TLSRPTv1; rua=mailto:tls@reports.example"],
        (domain, "MX"): [f"10 mx1.{domain}", f"20 mx2.{domain}"],
        (f"mx1.{domain}", "A"): ["192.0.2.1"],
        (f"mx2.{domain}", "A"): ["192.0.2.2"],
    }


class Served(Net):
    """A world in which every domain serves its own policy."""

    bodies: dict[str, bytes]

    def fetch(self, domain: Domain, *, known: bool) -> tuple[Fetched, ...]:
        return tuple(replace(one, body=self.bodies.get(str(domain), one.body)) for one in self.fetched)


@pytest.mark.parametrize("width", WIDTHS)
def test_verify_and_drift(cli: Transcript, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.deploy("apply", "--auto-approve").code == 0
    net = Served()
    net.bodies = {}
    net.fetched = tuple(replace(one, address="192.0.2.1") for one in net.fetched)
    for domain in ("changed.example", "kept.example"):
        net.bodies[domain], names = served(cli, domain)
        net.with_dns(names)
    net.with_dns({("parked.example", "MX"): ["0 ."]})
    seen_in(cli, net, monkeypatch)
    cli.note("all is well")
    texts = [screen(cli, width, "verify", "kept.example"), screen(cli, width, "verify", "--parallelism", "1"), screen(cli, width, "drift")]
    cli.note("a wrong certificate, a host that is silent, a host that no policy names, a record that somebody has changed")
    net.probes = {
        "mx1.kept.example": Diagnostic(
            code="MTS622",
            message="mx1.kept.example at 192.0.2.1: its certificate is for mail.hoster.example, www.hoster.example",
            hint="Have the host show a certificate for its own name.",
            ref="RFC 8461 §4.2",
        ),
        "mx2.kept.example": "silent",
    }
    net.with_dns({("kept.example", "MX"): ["10 mx1.kept.example", "20 mx2.kept.example", "30 mx3.kept.example"]})
    net.with_dns({("mx3.kept.example", "A"): ["192.0.2.3"], ("_mta-sts.changed.example", "TXT"): [b"v=STSv1; id=20260101T000000Z;"]})
    cli.edit("mta-sts.yaml", "{max_age: 1d}", "{max_age: 2w}")
    texts += [screen(cli, width, "verify", "kept.example"), screen(cli, width, "verify", "--parallelism", "1"), screen(cli, width, "drift")]
    cli.note("nothing answers")
    for name in ("_mta-sts.kept.example", "_smtp._tls.kept.example"):
        net.with_dns({(name, "TXT"): Outcome.TIMEOUT})
    texts += [screen(cli, width, "verify", "kept.example"), screen(cli, width, "drift", "kept.example"), screen(cli, width, "status")]
    fits(texts, width)
    bare = screen(cli, width, "verify", "--parallelism", "1", NO_COLOR="1")
    assert "‹" not in bare.replace("‹anew›", "")
    cli.compare(f"terminal-looks-{width}")


def fits(texts: list[str], width: int) -> None:
    """Only a line with a word that is longer than half of it may be longer than the terminal is wide."""
    long = [line for text in texts for line in plain(text) if len(line) > width and " " in line.strip()]
    assert [line for line in long if len(max(line.split(), key=len)) < width // 2] == []
