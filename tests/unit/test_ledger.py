"""The ledger's memory: exposures, spent ids, MX sightings (DESIGN sections 6 and 8; `rfc.md` ID-7, ID-8, UPD-11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mtasts_deploy.errors import StateError
from mtasts_deploy.facts import KnownPolicies
from mtasts_deploy.ledger.codec import Shard, shard_of
from mtasts_deploy.ledger.events import (
    Look,
    changing,
    confirmed,
    declared_anew,
    digits_of,
    finished,
    placed,
    pushing,
    putting,
    read_back,
    saw,
    taking_back,
    took_back,
)
from mtasts_deploy.ledger.model import UNSEEN, YEAR, Before, Entry
from mtasts_deploy.plan.ids import pick_id
from mtasts_deploy.rfc.policy import policy_id

T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
A = b"version: STSv1\r\nmode: testing\r\nmx: a.example\r\nmax_age: 86400\r\n"
B = b"version: STSv1\r\nmode: testing\r\nmx: b.example\r\nmax_age: 86400\r\n"
FOREIGN = b"version: STSv1\nmode: enforce\nmx: x.example\nmax_age: 604800\n"


def later(**units: float) -> datetime:
    return T0 + timedelta(**units)


def published(body: bytes, at: datetime, entry: Entry = UNSEEN) -> Entry:
    """A whole good publication of `body` by us."""
    entry = saw(entry, look(entry, at), at)
    id_ = str(pick_id(entry, [text for text, known in entry.ids.items() if known.until is None], body, at))
    entry = read_back(putting(entry, body, at), body, at)
    return confirmed(pushing(entry, id_, body, 3600, at), id_, at)


def look(entry: Entry, at: datetime) -> Look:
    """What is there if the world is as the entry says."""
    ids = tuple((text, 3600) for text, known in entry.ids.items() if known.until is None)
    return Look(ids=ids, bodies=tuple(policy.body for policy in entry.policies.values() if policy.until is None))


def test_a_first_publication_has_the_plain_id_and_is_not_spent():
    entry = published(A, T0)
    assert list(entry.ids) == [str(policy_id(A))]
    assert not entry.ids[str(policy_id(A))].spent
    assert entry.incomplete is None


def test_the_live_id_stays_while_nothing_else_was_public():
    entry = published(A, T0)
    assert pick_id(entry, [str(policy_id(A))], A, later(days=3)) == policy_id(A)


def test_going_back_to_earlier_bytes_takes_a_fresh_id():
    entry = published(A, later(days=2), published(B, later(days=1), published(A, T0)))
    assert list(entry.ids) == [str(policy_id(A)), str(policy_id(B)), str(policy_id(A, returned=1))]
    assert entry.ids[str(policy_id(A))].spent
    assert entry.ids[str(policy_id(B))].spent
    assert not entry.ids[str(policy_id(A, returned=1))].spent


def test_a_crash_between_put_and_push_spends_the_live_id():
    entry = putting(published(A, T0), B, later(hours=1))
    live = str(policy_id(A))
    assert entry.ids[live].spent
    back = read_back(putting(entry, A, later(hours=2)), A, later(hours=2))
    assert pick_id(back, [live], A, later(hours=2)) == policy_id(A, returned=1)


def test_a_put_that_was_noted_and_never_pushed_leaves_its_id_unused():
    entry = putting(published(A, T0), B, later(hours=1))
    assert pick_id(entry, [str(policy_id(A))], B, later(hours=1)) == policy_id(B)


def test_a_strangers_bytes_spend_the_live_id():
    entry = saw(published(A, T0), Look(ids=((str(policy_id(A)), 3600),), bodies=(FOREIGN,)), later(days=1))
    assert entry.ids[str(policy_id(A))].spent
    assert pick_id(entry, [str(policy_id(A))], A, later(days=1)) == policy_id(A, returned=1)


def test_a_foreign_id_is_never_kept():
    entry = saw(UNSEEN, Look(ids=(("20260105T083000Z", 300),), bodies=(A,)), T0)
    assert entry.ids["20260105T083000Z"].spent
    assert entry.incomplete == T0
    assert pick_id(entry, ["20260105T083000Z"], A, T0) == policy_id(A)


def test_an_id_of_our_form_that_the_ledger_does_not_know_means_a_lost_state():
    live = str(policy_id(A))
    entry = saw(UNSEEN, Look(ids=((live, 3600),), bodies=(A,)), T0)
    picked = pick_id(entry, [live], A, T0)
    minutes = int((T0 - datetime(2020, 1, 1, tzinfo=UTC)).total_seconds() // 60)
    assert picked == policy_id(A, returned=minutes)
    assert len(str(picked)) <= 32
    assert pick_id(entry, [live], B, T0) == policy_id(B, returned=minutes), "every new id of the domain carries the counter"
    assert pick_id(entry, [live], B, T0 + YEAR) == policy_id(B), "but only for as long as a sender may hold anything"


def test_an_id_that_comes_back_after_it_was_counted_as_gone_has_an_unknown_past():
    entry = published(B, later(days=1), published(A, T0))
    old = str(policy_id(A))
    assert entry.ids[old].until == later(days=1, hours=1)
    restored = saw(entry, Look(ids=((old, 3600),), bodies=(A,)), later(days=10))
    assert restored.ids[old].until is None
    assert not restored.ids[old].counted
    assert pick_id(restored, [old], A, later(days=10)) == policy_id(A, returned=1)


def test_an_old_id_may_be_visible_for_one_ttl_and_is_exposed_to_what_comes_then():
    entry = published(B, later(days=1), published(A, T0))
    c = B.replace(b"b.example", b"c.example")
    soon = putting(entry, c, later(days=1, minutes=30))
    assert digits_of(c) in soon.ids[str(policy_id(A))].bytes
    late = putting(entry, c, later(days=1, hours=2))
    assert digits_of(c) not in late.ids[str(policy_id(A))].bytes


def test_a_look_without_news_gives_back_the_same_entry():
    entry = saw(published(A, T0), Look(ids=((str(policy_id(A)), 3600),), bodies=(A,), mx=("a.example",), mx_ttl=300), T0)
    assert saw(entry, Look(ids=((str(policy_id(A)), 3600),), bodies=(A,), mx=("a.example",), mx_ttl=300), later(days=9)) is entry


def test_an_mx_host_is_live_for_one_ttl_after_the_first_look_that_misses_it():
    entry = saw(UNSEEN, Look(mx=("a.example", "b.example"), mx_ttl=3600), T0)
    entry = saw(entry, Look(mx=("a.example",), mx_ttl=300), later(days=1))
    assert entry.live_hosts(later(days=1, minutes=59)) == {"a.example", "b.example"}
    assert entry.live_hosts(later(days=1, minutes=60)) == {"a.example"}
    again = saw(entry, Look(mx=("a.example", "b.example"), mx_ttl=300), later(days=2))
    assert again.live_hosts(later(days=3)) == {"a.example", "b.example"}


def test_with_incomplete_history_an_mx_host_is_live_for_a_day_at_least():
    entry = saw(UNSEEN, Look(ids=(("1", 60),), bodies=(A,), mx=("a.example", "b.example"), mx_ttl=60), T0)
    entry = saw(entry, Look(mx=("a.example",), mx_ttl=60), later(hours=1))
    assert "b.example" in entry.live_hosts(later(hours=24))
    assert "b.example" not in entry.live_hosts(later(hours=25))


def test_what_is_taken_back_is_what_was_public_since_the_change_began():
    before = Before(run="r1", at=later(days=1), policy=digits_of(A), sts=True, tlsrpt=None)
    entry = changing(published(A, T0), before)
    entry = putting(entry, B, later(days=1))
    assert taking_back(entry).taken_back == {digits_of(B)}
    done = took_back(taking_back(entry))
    assert done.before is not None
    assert done.before.taken
    assert declared_anew(done).taken_back == frozenset()


def test_an_unfinished_change_keeps_the_way_back():
    first = Before(run="r1", at=T0, policy=digits_of(A), sts=True, tlsrpt=None)
    second = Before(run="r2", at=later(hours=1), policy=digits_of(B), sts=True, tlsrpt="x", tlsrpt_changed=True)
    entry = changing(UNSEEN, first)
    kept = changing(entry, second).before
    assert kept is not None
    assert (kept.run, kept.policy, kept.tlsrpt_changed, kept.tlsrpt) == ("r1", digits_of(A), True, "x")
    assert changing(finished(entry), second).before == second


def test_entries_survive_the_codec_and_equal_entries_give_equal_bytes():
    entry = published(B, later(days=1), published(A, T0))
    entry = saw(entry, Look(mx=("a.example",), mx_ttl=300, bodies=(b"\xff\xfe",)), later(days=2))
    entry = changing(
        entry, Before(run="r1", at=T0, policy=None, sts=False, tlsrpt="v=TLSRPTv1; rua=mailto:a@b.example", tlsrpt_changed=True)
    )
    shard = Shard({}, "x")
    shard.set("example.com", entry)
    data = shard.render()
    again = Shard.parse(data, "x")
    assert again.get("example.com") == entry
    assert again.render() == data
    assert list(again) == ["example.com"]
    assert again.get("example.net") is None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\0" * 64, "MTS761"),
        (b"", "MTS761"),
        (b"[]", "MTS761"),
        (b'{"format_version": "1", "domains": {}}', "MTS761"),
        (b'{"format_version": 1, "domains": []}', "MTS761"),
        (b'{"format_version": 4, "domains": {}}', "MTS762"),
    ],
)
def test_a_shard_that_is_none_is_named(data: bytes, code: str):
    with pytest.raises(StateError) as caught:
        Shard.parse(data, ".mtasts/ledger/3f.json")
    assert caught.value.diagnostics[0].code == code
    assert ".mtasts/ledger/3f.json" in caught.value.diagnostics[0].message


def test_an_entry_that_cannot_be_read_is_named():
    shard = Shard.parse(b'{"format_version": 1, "domains": {"example.com": {"ids": {"1": {}}}}}', ".mtasts/ledger/3f.json")
    with pytest.raises(StateError, match=r"example\.com"):
        shard.get("example.com")


def test_domains_spread_over_256_shards():
    keys = {shard_of(f"d{number}.example") for number in range(5000)}
    assert len(keys) == 256


def test_the_mark_of_a_host_is_kept_and_forgotten_with_the_host() -> None:
    entry = placed(read_back(saw(UNSEEN, Look(bodies=(A,)), T0), A, T0), ("local",), "cdn")
    marked = read_back(entry, A, T0, "etag")
    assert marked.known("cdn").marks == {"etag": A}
    assert marked.known("other") == KnownPolicies(bodies=(A,))
    assert read_back(marked, A, T0) is marked
    assert placed(marked, ("local",), "other").known("other").marks == {}
    shard = Shard({}, "here")
    shard.set("example.com", marked)
    assert Shard.parse(shard.render(), "here").get("example.com") == marked
    shard.set("example.com", entry)
    assert b"mark" not in shard.render()
    assert Shard.parse(shard.render(), "here").get("example.com") == entry
