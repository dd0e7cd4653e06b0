"""Transcripts of the command line: commands on a small deployment, in this process, while time stands still, compared with a file.

`MTASTS_UPDATE_GOLDEN=1 pytest tests/golden` writes the files anew; read what changed before you keep it.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mtasts_deploy.cli.app import run
from mtasts_deploy.declaration.model import Declaration
from mtasts_deploy.deployment import Deployment
from tests.worlds import Clock

GOLDEN = Path(__file__).parent / "golden" / "cli"
UPDATE = os.environ.get("MTASTS_UPDATE_GOLDEN") == "1"
VARIABLES = ("CI", "NO_COLOR", "FORCE_COLOR", "MTASTS_", "GITHUB_", "GITLAB_")

DECLARATION = """\
version: 1
defaults: {tlsrpt: "mailto:tls@reports.example"}
domains:
  changed.example:
  kept.example: {max_age: 1d}
  parked.example: {sts: false}
"""

ZONE = """\
# the zone of {domain}
'':
  - type: MX
    values:
      - {{exchange: mx1.{domain}., preference: 10}}
      - {{exchange: mx2.{domain}., preference: 20}}
mta-sts:
  type: A
  value: 192.0.2.1
"""
PARKED = "'':\n  type: MX\n  value: {exchange: ., preference: 0}\n"

# What differs from run to run; times do not, as the clock stands still.
NORMAL = (
    (re.compile(r'("run": ")[^"]+'), r"\1RUN"),
    (re.compile(r"(The last run that changed it: )\S+"), r"\1RUN"),
    (re.compile(r"(Takes back run )[0-9a-f]{8}"), r"\1RUN"),
    (re.compile(r"\S+@\S+, process \d+"), "USER@HOST, process PID"),
    (re.compile(r"(deploy unlock )(?!000000000000)[0-9a-f]{12}"), r"\1LEASE"),
    (re.compile(r'("(?:_mta-sts|_smtp._tls|mx|policy|settings|ledger)": ")[0-9a-f]{16}"'), r'\1FINGERPRINT"'),
)


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass
class Transcript:
    """Commands and what they said, in a directory with a deployment."""

    directory: Path
    monkeypatch: pytest.MonkeyPatch
    clock: Clock = field(default_factory=Clock)
    text: str = ""

    def __post_init__(self) -> None:
        for name in list(os.environ):
            if name.startswith(VARIABLES):
                self.monkeypatch.delenv(name)
        self.monkeypatch.chdir(self.directory)
        self.monkeypatch.setattr(sys, "stdin", io.StringIO())
        of = Deployment.of

        def timed(declaration: Declaration) -> Deployment:
            deployment = of(declaration)
            deployment.clock = self.clock
            return deployment

        self.monkeypatch.setattr(Deployment, "of", timed)

    def deploy(self, *arguments: str) -> Done:
        """Run a command; nothing is written down."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
        return Done(code, out.getvalue(), err.getvalue())

    def show(self, *arguments: str) -> Done:
        """Run a command and write down what it said."""
        done = self.deploy(*arguments)
        self.text += f"$ deploy {' '.join(arguments)}\n{done.out}"
        if done.err:
            self.text += f"--- stderr\n{done.err}"
        self.text += f"--- exit {done.code}\n\n"
        return done

    def note(self, text: str) -> None:
        """Write down what happens between two commands."""
        self.text += f"# {text}\n\n"

    def write(self, name: str, text: str) -> None:
        """Write a file of the deployment."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        path = self.directory / name
        text = path.read_text()
        assert old in text, text
        path.write_text(text.replace(old, new))

    def compare(self, name: str) -> None:
        """What was written down must be what the file says."""
        for pattern, replacement in NORMAL:
            self.text = pattern.sub(replacement, self.text)
        assert str(self.directory) not in self.text
        path = GOLDEN / f"{name}.txt"
        if UPDATE:
            path.parent.mkdir(exist_ok=True)
            path.write_text(self.text)
        assert self.text == path.read_text()


@contextmanager
def asked(transcript: Transcript, *answers: str) -> Iterator[None]:
    """A person is there, who answers so."""
    from mtasts_deploy.cli.session import Session

    with transcript.monkeypatch.context() as patch:
        patch.setattr(Session, "interactive", True)
        patch.setattr(sys, "stdin", io.StringIO("".join(f"{answer}\n" for answer in answers)))
        yield


def deployment(directory: Path) -> None:
    """Write a deployment of three domains that was never applied."""
    (directory / "zones").mkdir()
    (directory / "mta-sts.yaml").write_text(DECLARATION)
    for domain in ("changed.example", "kept.example"):
        (directory / "zones" / f"{domain}.yaml").write_text(ZONE.format(domain=domain))
    (directory / "zones" / "parked.example.yaml").write_text(PARKED)


Begin = Callable[[], Transcript]
