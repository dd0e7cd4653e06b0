"""Which id names the planned bytes (DESIGN section 6; RFC 8461 §3.1, §8.1; `rfc.md` ID-7, UPD-11)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.rfc.policy import PolicyId, policy_id

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def pick_id(entry: Entry, live: Sequence[str], body: bytes, now: datetime) -> PolicyId:
    """The id to publish for `body`: the live one if it may stay, else one that was never used.

    `live` are the ids that are in DNS now. An id stays only if it names these bytes, was written by this ledger, has been counted as
    visible without a gap and is not spent; it may stand beside others (one of two providers failed): those go. Else: the digits of the
    bytes with the highest known counter plus one (none for unknown digits); where the state was lost, with at least the minutes since
    2020-01-01 UTC, which no lost counter can have reached.
    """
    for text in live:
        known = entry.ids.get(text)
        if known is not None and known.ours and not known.spent and PolicyId.parse(text).names(body):
            return PolicyId.parse(text)
    digits = policy_id(body).digits
    used = [parsed.returned for parsed in map(PolicyId.parse, entry.ids) if parsed.digits == digits]
    counter = max(used) + 1 if used else 0
    if entry.state_was_lost(now):
        counter = max(counter, int((now - _EPOCH).total_seconds() // 60))
    return policy_id(body, returned=counter)
