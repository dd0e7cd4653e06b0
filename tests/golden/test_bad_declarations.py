"""Broken declarations, each with the exact messages that it gets: `declarations/<case>/expected` beside `mta-sts.yaml`.

MTASTS_REWRITE_GOLDEN=1 writes the `expected` files anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from mtasts_deploy.catalogue import CATALOGUE
from mtasts_deploy.declaration.load import load
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import DeclarationError

CASES = Path(__file__).parent / "declarations"
REWRITE = os.environ.get("MTASTS_REWRITE_GOLDEN") == "1"
TODAY = date(2026, 1, 5)

NESTED = {
    "flow": b"version: 1\ndefaults: {mx: " + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
    "unclosed": b"[" * 50_000,
    "mappings": b"version: 1\ndefaults: " + b"{a: " * 50_000,
    "block": b"".join(b" " * level + b"a:\n" for level in range(500)),
    "dashes": b"version: 1\ninclude:\n  " + b"- " * 50_000,
}


def problems(path: Path) -> tuple[Diagnostic, ...]:
    try:
        return load(path, today=TODAY).warnings
    except DeclarationError as error:
        return error.diagnostics


def text(found: tuple[Diagnostic, ...]) -> str:
    lines = []
    for one in found:
        domain = f" [{one.domain}]" if one.domain else ""
        lines.append(f"{one.where or '-'}: {one.severity} {one.code}{domain}: {one.message}")
        lines += [f"    hint: {one.hint}"] if one.hint else []
        lines += [f"    ref: {one.ref}"] if one.ref else []
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_messages_are_exact(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CASES / case)
    found = problems(Path("mta-sts.yaml"))
    expected = Path("expected")
    if REWRITE:
        expected.write_text(text(found), encoding="utf-8")
    assert text(found) == expected.read_text(encoding="utf-8")
    assert found
    assert "hunter2" not in text(found)
    for one in found:
        assert one.code in CATALOGUE
        assert one.hint or one.severity is not Severity.ERROR, f"{one.code} does not say what to do"
        assert "\n" not in one.message
        assert one.message.isprintable()


def test_there_are_enough_cases() -> None:
    assert len(list(CASES.iterdir())) >= 45


@pytest.mark.parametrize("kind", NESTED)
def test_deep_nesting_is_refused_before_it_hurts(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mta-sts.yaml"
    path.write_bytes(NESTED[kind])
    (found,) = problems(path)
    assert found.code == "MTS109"
    assert found.where is not None


def test_a_file_over_16_mib_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mta-sts.yaml"
    path.write_bytes(b"version: 1\n" + b"#" * (16 * 1024 * 1024))
    (found,) = problems(path)
    assert found.code == "MTS102"


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links and FIFOs")
def test_what_is_no_file_below_the_declaration(tmp_path: Path) -> None:
    inside = tmp_path / "deploy"
    inside.mkdir()
    (tmp_path / "other.yaml").write_text("domains: {b.example: }\n", encoding="utf-8")
    (inside / "link.yaml").symlink_to(tmp_path / "other.yaml")
    (inside / "dangling.yaml").symlink_to(inside / "nothing")
    os.mkfifo(inside / "pipe.yaml")
    main = inside / "mta-sts.yaml"
    main.write_text("version: 1\ninclude: [link.yaml, dangling.yaml, pipe.yaml]\ndomains: {a.example: }\n", encoding="utf-8")
    assert [one.code for one in problems(main) if one.severity is Severity.ERROR] == ["MTS134", "MTS100", "MTS101"]


def test_every_code_is_in_the_golden_files_or_here() -> None:
    """A code without an example of its message is a code that nobody has read."""
    said = "".join((CASES / case.name / "expected").read_text(encoding="utf-8") for case in CASES.iterdir())
    from mtasts_deploy.catalogue.declaration import ENTRIES

    missing = {entry.code for entry in ENTRIES if f" {entry.code}" not in said}
    assert missing <= {"MTS100", "MTS102", "MTS109"}


def test_the_same_messages_without_the_c_loader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import yaml

    from mtasts_deploy.declaration import nodes

    monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)
    for case in ("duplicate-keys", "unknown-keys", "yaml-1-1-traps", "alias-bomb", "recursion", "tabs", "unquoted-star", "nul-byte"):
        shutil.copytree(CASES / case, tmp_path / case)
        monkeypatch.chdir(tmp_path / case)
        assert text(problems(Path("mta-sts.yaml"))) == Path("expected").read_text(encoding="utf-8"), case
