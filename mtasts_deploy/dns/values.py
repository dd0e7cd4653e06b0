"""What a TXT record holds after one of our changes: ours exactly once, the values of others as they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mtasts_deploy.facts import RecordChange, TxtSet


def after(values: Sequence[str], changes: Iterable[RecordChange]) -> tuple[str, ...]:
    """The raw values after these changes of one name, in the order of before: several of ours become one, at the place of the first."""
    now = list(values)
    for change in changes:
        ours = [index for index, value in enumerate(now) if change.kind.owns(value)]
        kept = [value for value in now if not change.kind.owns(value)]
        if change.value is not None:
            kept.insert(ours[0] if ours else len(kept), change.value)
        now = kept
    return tuple(now)


def same(one: TxtSet | None, other: TxtSet | None) -> bool:
    """Are these the same values with the same TTL? Order says nothing in DNS (RFC 2181 §5)."""
    if one is None or other is None:
        return one is other
    return one.ttl == other.ttl and sorted(one.values) == sorted(other.values)


def shown(txt: TxtSet | None) -> str:
    """A TXT set as messages name it."""
    if txt is None:
        return "nothing"
    return f"{', '.join(repr(value) for value in txt.values) or 'no value'} with TTL {txt.ttl}"
