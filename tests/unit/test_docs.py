"""What the documents show is right: declarations can be loaded, links lead somewhere, every page is in the navigation."""

from __future__ import annotations

import re
import textwrap
from datetime import date
from pathlib import Path

import pytest
import yaml

from mtasts_deploy.cli.app import COMMANDS
from mtasts_deploy.declaration.load import load

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```$", flags=re.DOTALL | re.MULTILINE)


def declarations() -> list[tuple[str, str]]:
    """Every YAML block that is a whole declaration; `include` needs files that are not there."""
    found = []
    for page in PAGES:
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
            text = textwrap.dedent(block[1])
            if text.startswith("version: 1") and "include:" not in text:
                found.append((f"{page.relative_to(ROOT)} {number}", text))
    return found


@pytest.mark.parametrize(("place", "text"), declarations())
def test_a_declaration_that_is_shown_can_be_used(place: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "mta-sts.yaml"
    path.write_text(text)
    assert load(path, today=date(2026, 1, 5)).domains, place


def test_there_are_such_declarations() -> None:
    pages = {place.split()[0] for place, _ in declarations()}
    assert {"README.md"} | {f"docs/howto/{path.name}" for path in (ROOT / "docs/howto").iterdir()} <= pages


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])  # mkdocs looks at the others
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Commands")[2].partition("## The declaration")[0]
    named = set(re.findall(r"^\| `deploy ([a-z-]+)", text, flags=re.MULTILINE)) | set(re.findall(r", `([a-z-]+)`", text))
    assert set(COMMANDS) <= named


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text().partition("nav:")[2].join(["nav:", ""]))
    known = set(re.findall(r"[\w/-]+\.md", str(navigation)))
    assert known == {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")}


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "mkdocs.yml", "docs/reference/declaration.md"])
def test_merges_have_left_nothing_twice(name: str) -> None:
    lines = [line.strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines() if len(line) > 40 and "Plan: " not in line]
    assert sorted({line for line in lines if lines.count(line) > 1}) == []
