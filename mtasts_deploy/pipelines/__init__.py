"""Ready pipelines, as files to be put into a repository: GitHub Actions, GitLab CI, cron or a systemd timer.

The files beside this module are what `deploy init` writes, but for the requirement to install. Tests run their steps and lint them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

from mtasts_deploy import __version__

Kind = Literal["github", "gitlab", "timer"]

_PLACES: Final[Mapping[Kind, Mapping[str, str]]] = {
    "github": {name: f".github/workflows/{name}" for name in ("mta-sts-plan.yml", "mta-sts-apply.yml", "mta-sts-nightly.yml")},
    "gitlab": {"mta-sts.gitlab-ci.yml": "mta-sts.gitlab-ci.yml"},
    "timer": {name: name for name in ("mta-sts-apply", "mta-sts.service", "mta-sts.timer")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFile:
    """One file: where it goes, relative to the root of the repository, and its text."""

    path: str
    text: str
    executable: bool = False


def pipeline(kind: Kind, extras: tuple[str, ...] = ()) -> tuple[PipelineFile, ...]:
    """The files of a pipeline that installs this version with these extras (`route53`)."""
    package = "mtasts-deploy" + (f"[{','.join(extras)}]" if extras else "") + f"=={__version__}"
    source = files(__name__) / kind
    return tuple(
        PipelineFile(
            path=path,
            text=(source / name).read_text(encoding="utf-8").replace("@PACKAGE@", package),
            executable=name == "mta-sts-apply",
        )
        for name, path in _PLACES[kind].items()
    )
