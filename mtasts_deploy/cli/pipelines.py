"""`init --github`, `--gitlab`, `--timer`: the ready pipelines, written into a repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mtasts_deploy.cli.session import Session, save, unwritable
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

if TYPE_CHECKING:
    from mtasts_deploy.pipelines import Kind

_NEXT = {
    "github": "Next: give the environment `mta-sts` reviewers, and protect the branch `main` so that the workflow may push to it.",
    "gitlab": "Next: include mta-sts.gitlab-ci.yml, set MTA_STS_PUSH_TOKEN, and add a schedule for the night.",
    "timer": "Next: copy the units to /etc/systemd/system, and `systemctl enable --now mta-sts.timer`.",
}


def write_pipelines(session: Session, kinds: list[Kind], declaration: Path) -> None:
    """Write the files of these pipelines beside the declaration. Raises `UsageError` (MTS913) before the first where one is there."""
    from mtasts_deploy.pipelines import pipeline

    directory = declaration.parent
    files = [file for kind in kinds for file in pipeline(kind, _extras(session))]
    there = [directory / file.path for file in files if (directory / file.path).exists()]
    if there:
        message = f"{there[0]} exists already; no pipeline was written"
        raise UsageError(Diagnostic(code="MTS913", message=message, hint="Move it away, and compare the two afterwards."))
    for file in files:
        path = directory / file.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error.strerror) from error
        save(path, file.text.encode())
        if file.executable:
            path.chmod(0o755)
        session.messages.say(f"wrote {path}")
    if not (directory / ".git").exists():
        session.messages.say(f"{directory} is not the root of a git repository, where pipelines look for the declaration.")
    for kind in kinds:
        session.messages.say(_NEXT[kind])


def _extras(session: Session) -> tuple[str, ...]:
    """What the providers of the declaration need."""
    from mtasts_deploy.dns.providers import PROVIDERS

    providers = session.declaration().providers.values()
    known = (PROVIDERS.get(provider.class_name) for provider in providers)
    return tuple(sorted({one.extra for one in known if one is not None and one.extra}))
