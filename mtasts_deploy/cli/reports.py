"""The formats for pipelines, as `--format` names them; under GitHub Actions also the summary of the job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_never

from mtasts_deploy.cli.session import unwritable
from mtasts_deploy.diagnostics import Span
from mtasts_deploy.masking import masked

if TYPE_CHECKING:
    from mtasts_deploy.output.interface import Output

Report = Literal["markdown", "github", "gitlab", "gitlab-codequality", "sarif", "prometheus"]


def report(
    form: Report, write: Callable[[str], None], config: Path | None, places: Mapping[str, Span], environ: Mapping[str, str]
) -> Output:
    """What writes this form. Paths are relative to the repository under GitHub Actions and GitLab CI, else to the working directory."""
    from mtasts_deploy.output.github import GitHub
    from mtasts_deploy.output.gitlab import CodeQuality, GitLab
    from mtasts_deploy.output.markdown import Markdown
    from mtasts_deploy.output.prometheus import Prometheus
    from mtasts_deploy.output.sarif import Sarif
    from mtasts_deploy.output.several import Several

    root = _root(environ)
    name = str(config or environ.get("MTASTS_CONFIG") or "mta-sts.yaml")
    match form:
        case "markdown":
            return Markdown(write, places=places, root=root, name=name)
        case "github":
            annotations = GitHub(write, places=places, root=root)
            summary = environ.get("GITHUB_STEP_SUMMARY")
            if environ.get("GITHUB_ACTIONS") != "true" or not summary:
                return annotations
            path = Path(summary)
            return Several(annotations, Markdown(lambda text: _append(path, text), places=places, root=root, name=name))
        case "gitlab":
            return GitLab(write, places=places, root=root)
        case "gitlab-codequality":
            return CodeQuality(write, places=places, root=root)
        case "sarif":
            return Sarif(write, places=places, root=root, declaration=name)
        case "prometheus":
            return Prometheus(write, places=places, root=root)
        case _:
            assert_never(form)


def _root(environ: Mapping[str, str]) -> Path:
    """Annotations are found by the path within the repository, also where a step works in a directory below."""
    here = Path.cwd()
    for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        workspace = environ.get(name)
        if workspace and here.is_relative_to(Path(workspace).absolute()):
            return Path(workspace).absolute()
    return here


def _append(path: Path, text: str) -> None:
    """Add to the summary of the job; several steps may share it. Raises `UsageError` (MTS908)."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(masked(text) + "\n")
    except OSError as error:
        raise unwritable(path, error.strerror) from error
