"""Every code that can be said has a page, and every page is about a code that can be said."""

from __future__ import annotations

import re
from pathlib import Path

import mtasts_deploy
from mtasts_deploy.catalogue import (
    CATALOGUE,
    apply,
    aws,
    declaration,
    dns,
    guards,
    mx,
    plugin,
    policy,
    records,
    seen,
    sender,
    storage,
    usage,
)

PACKAGE = Path(mtasts_deploy.__file__).parent
CODE = re.compile(r"MTS\d{3}")


def said() -> set[str]:
    """The codes in the package, outside of the catalogue."""
    files = (path for path in PACKAGE.rglob("*.py") if "catalogue" not in path.parts)
    return {code for path in files for code in CODE.findall(path.read_text(encoding="utf-8"))}


def test_every_code_has_a_page() -> None:
    assert sorted(said() - set(CATALOGUE)) == []


def test_every_page_is_used() -> None:
    assert sorted(set(CATALOGUE) - said()) == []


def test_a_code_has_one_page() -> None:
    parts = (apply, aws, declaration, dns, guards, mx, plugin, policy, records, seen, sender, storage, usage)
    codes = [entry.code for part in parts for entry in part.ENTRIES]
    assert sorted(codes) == sorted(set(codes))


def test_pages_say_something() -> None:
    for entry in CATALOGUE.values():
        assert CODE.fullmatch(entry.code)
        assert all((entry.title, entry.why, entry.fix)), entry.code
        assert not entry.title.endswith("."), entry.code
        assert entry.ref == "" or entry.ref.startswith(("RFC ", "YAML ", "octoDNS")), entry.code


def test_codes_that_a_page_names_exist() -> None:
    for entry in CATALOGUE.values():
        for text in (entry.why, entry.fix, entry.bad, entry.good):
            assert set(CODE.findall(text)) <= set(CATALOGUE), entry.code
