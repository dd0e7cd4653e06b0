"""The one table of codes: it feeds `deploy explain`, the pages of the documentation, and reports for machines."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mtasts_deploy.catalogue import apply, aws, declaration, dns, guards, mx, plugin, policy, records, seen, sender, storage, usage
from mtasts_deploy.catalogue.entry import Entry

__all__ = ["CATALOGUE", "Entry", "explain"]

_PARTS = (declaration, policy, records, guards, dns, plugin, sender, seen, mx, apply, storage, aws, usage)

CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.code: entry for part in _PARTS for entry in part.ENTRIES})
"""Every code, with what it means."""


def explain(code: str) -> Entry | None:
    """The entry of a code, written in either case; None for a code that does not exist."""
    return CATALOGUE.get(code.strip().upper())
