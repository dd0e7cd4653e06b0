"""Shards: every domain in one, no zone in two."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtasts_deploy.apply.leases import BUCKETS, bucket_of
from mtasts_deploy.errors import UsageError
from mtasts_deploy.facts import ZoneName
from mtasts_deploy.plan.shards import MOST, Shard
from mtasts_deploy.rfc.names import Domain

DOMAINS = [Domain.parse(f"d{number}.example") for number in range(12)]
ZONES = [ZoneName(f"zone{number}.example.") for number in range(6)]
worlds = st.dictionaries(st.sampled_from(DOMAINS), st.frozensets(st.sampled_from(ZONES), max_size=3), max_size=12)
sharing = st.lists(st.lists(st.sampled_from(DOMAINS), min_size=2, max_size=4), max_size=3)


@settings(deadline=None)
@given(worlds, sharing, st.integers(1, 9))
def test_every_domain_is_in_one_shard_and_what_is_shared_in_one_too(world, shared, number):
    shards = [Shard(number=one, of=number).pick(world, shared, bucket_of) for one in range(1, number + 1)]
    assert sorted(domain for shard in shards for domain in shard) == sorted(world)
    for zone in ZONES:
        assert sum(any(zone in world[domain] for domain in shard) for shard in shards) <= 1
    for domains in shared:
        assert sum(any(domain in shard for domain in domains) for shard in shards) <= 1


@given(st.integers(1, MOST))
def test_zones_by_themselves_follow_the_buckets_of_the_lock(number):
    world = {domain: frozenset({ZoneName(f"{domain}.")}) for domain in DOMAINS}
    for one in range(1, number + 1):
        picked = Shard(number=one, of=number).pick(world, [], bucket_of)
        assert picked == {domain for domain in DOMAINS if bucket_of(ZoneName(f"{domain}.")) % number == one - 1}


def test_there_are_no_more_shards_than_buckets():
    assert MOST == BUCKETS


@pytest.mark.parametrize("text", ["0/8", "9/8", "8", "a/b", "1/65", "-1/2", "1/0", "1/2/3", ""])
def test_what_is_no_shard(text):
    with pytest.raises(UsageError) as failed:
        Shard.parse(text)
    assert failed.value.diagnostics[0].code == "MTS935"


def test_it_is_written_as_it_is_read():
    assert str(Shard.parse("3/8")) == "3/8"
