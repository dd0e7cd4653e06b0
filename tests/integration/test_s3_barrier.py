"""Whole applies with policies in a bucket of moto, and nginx in front of it as a CDN: the record moves only when senders get the new
policy, whichever edge answers them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from mtasts_deploy.deployment import Options
from mtasts_deploy.rfc.policy import PolicyId
from mtasts_deploy.sender.https import StrictFetcher
from mtasts_deploy.sender.names import Addresses
from mtasts_deploy.sender.options import Detour, Endpoint, Looking
from tests import s3_servers
from tests.integration.test_barrier import EXAMPLE, Site, codes, unmoved
from tests.servers import HOST, Certificates, free_port

pytestmark = [
    pytest.mark.integration,
    pytest.mark.services("nginx"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

BUCKET = "policies.example.com"
KEY = f"{HOST}/.well-known/mta-sts.txt"
FIRST, SECOND = "max_age: 1w", "max_age: 2w"
ANYONE = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
PUBLIC = json.dumps({"Version": "2012-10-17", "Statement": [ANYONE]})
CACHES = "proxy_cache_path one keys_zone=one:1m; proxy_cache_path two keys_zone=two:1m;"
SEEN, UNSEEN = "127.0.0.2", "127.0.0.3"


@dataclass
class BucketSite(Site):
    """The policy is an object, and the servers of nginx take it from there."""

    origin: str = ""
    cache_control: str = "max-age=60"

    def declare(self, settings: str) -> None:
        (self.directory / "mta-sts.yaml").write_text(
            f"version: 1\nhosts: {{cdn: {{type: s3, bucket: {BUCKET}, endpoint_url: '{self.origin}', "
            f"cache_control: '{self.cache_control}'}}}}\nstate: {{type: directory, path: .mtasts}}\n"
            f"domains: {{example.com: {{host: cdn, tlsrpt: 'mailto:a@example.net', confirm: https, {settings}}}}}\n"
        )

    def edge(self, address: str = SEEN, *, cache: str = "off", more: str = "", certificate: Path | None = None) -> str:
        """A server at that address in front of the bucket, with a cache of its own or without."""
        chain = certificate or self.good
        how = f"proxy_cache {cache}; add_header X-Cache $upstream_cache_status;" if cache != "off" else ""
        return (
            f"server {{ listen {address}:{self.port(address)} ssl; ssl_certificate {chain}; ssl_certificate_key {chain}; "
            f"location = /.well-known/mta-sts.txt {{ proxy_pass {self.origin}/{BUCKET}/{KEY}; {how} {more} }} }}"
        )

    def port(self, address: str) -> int:
        if address not in self.all_ports:
            self.all_ports[address] = self.ports.get(address) or free_port(address)
        return self.all_ports[address]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.all_ports: dict[str, int] = {}

    def stored(self) -> bytes:
        body: bytes = s3_servers.s3(self.origin).get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
        return body

    def at(self, address: str) -> bytes | None:
        """What a sender gets from that edge, whether the tool knows of it or not."""
        detours = (Detour(host=address, port=443, to=Endpoint(address=address, port=self.port(address))),)
        looking = Looking(ca_file=self.certificates.root, detours=detours, timeout=5)
        [answer] = StrictFetcher(looking, lambda name, _: Addresses(name=name, addresses=(address,))).fetch(EXAMPLE, known=True)
        return answer.body

    def names(self, body: bytes | None) -> bool:
        identifier = self.record()
        return identifier is not None and body is not None and PolicyId.parse(identifier).names(body)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def live(tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketSite]:
    s3_servers.environment(monkeypatch)
    with s3_servers.moto() as origin:
        client = s3_servers.s3(origin)
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_policy(Bucket=BUCKET, Policy=PUBLIC)
        site = BucketSite(tmp_path, certificates, {SEEN: free_port(SEEN)}, certificates.issue(HOST), origin=origin)
        with site.serving(site.edge()):
            assert site.apply(FIRST).exit_code == 0, site.events
        assert site.names(site.stored())
        yield site


def test_an_edge_that_is_not_seen_is_given_the_time_for_which_it_may_be_stale(live: BucketSite):
    """Two caches; the one that the tool reaches has the new policy at once, the other one keeps the old policy for eight seconds."""
    live.cache_control = "max-age=8"
    with live.serving(CACHES, live.edge()):
        assert live.apply(f"{FIRST}, mx: [zone, mx9.example.com]").exit_code == 0  # so that the object has the header
    before, old = live.record(), live.stored()
    fresh = live.edge(more="add_header Via '1.1 cdn';")
    with live.serving(CACHES, fresh, live.edge(UNSEEN, cache="two"), addresses=(SEEN,)):
        assert live.at(UNSEEN) == old
        result = live.apply(SECOND, patience=3)
        assert live.stored() != old
        assert (live.at(SEEN), live.at(UNSEEN)) == (live.stored(), old)
        unmoved(live, result, before, "MTS532")
        moved = None
        deployment = live.deployment()
        push = deployment.targets["local"].write

        def watched(*arguments: object) -> None:
            nonlocal moved
            moved = live.at(UNSEEN)
            push(*arguments)  # type: ignore[arg-type]

        deployment.targets["local"].write = watched  # type: ignore[assignment,method-assign]
        last = deployment.apply(options=Options(barrier_timeout=timedelta(seconds=30)))
        assert last is not None
        assert last.exit_code == 0
        assert moved == live.stored(), "no edge has the old policy any more when the record moves"
    assert live.names(live.stored())


def test_an_edge_that_is_seen_to_be_stale_keeps_the_record_unmoved(live: BucketSite):
    before, old = live.record(), live.stored()
    with live.serving(CACHES, live.edge(cache="one", more="proxy_ignore_headers Cache-Control; proxy_cache_valid 200 1h;")):
        assert live.at(SEEN) == old
        result = live.apply(SECOND)
        unmoved(live, result, before, "MTS530")
    assert "from a shared cache (x-cache" in result.findings[0].message.lower()
    assert live.stored() != old
    with live.serving(live.edge()):
        assert live.apply(SECOND).exit_code == 0
    assert live.names(live.stored())


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("return 302 https://www.example.com/;", "MTS520"),
        ("proxy_hide_header Content-Type; add_header Content-Type application/octet-stream;", "MTS523"),
    ],
    ids=["redirect", "type"],
)
def test_what_senders_refuse_keeps_the_record_unmoved_and_is_named(live: BucketSite, more: str, expected: str):
    before = live.record()
    with live.serving(live.edge(more=more)):
        unmoved(live, live.apply(SECOND), before, expected)


def test_an_expired_certificate_keeps_everything_as_it_is(live: BucketSite):
    before, old = live.record(), live.stored()
    with live.serving(live.edge(certificate=live.certificates.issue(HOST, days=(-30, -1)))):
        unmoved(live, live.apply(SECOND), before, "MTS510")
    assert live.stored() == old


def test_one_dead_address_of_two_keeps_everything_as_it_is(live: BucketSite):
    before, old = live.record(), live.stored()
    live.ports[UNSEEN] = free_port(UNSEEN)
    with live.serving(live.edge()):
        result = live.apply(SECOND)
    unmoved(live, result, before, "MTS500")
    assert UNSEEN in result.findings[0].message
    assert live.stored() == old


@pytest.mark.parametrize("host", ["bucket", "edge"])
def test_a_rival_between_barrier_and_push_keeps_the_record_unmoved(live: BucketSite, host: str):
    """Somebody writes into the bucket (seen there), or into what an edge serves (only a fetch sees it)."""
    before = live.record()
    rival = b"version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmax_age: 86400\r\n"
    files = live.directory / "edge"
    (files / ".well-known").mkdir(parents=True)
    served = files / ".well-known" / "mta-sts.txt"

    def upload(number: int) -> None:
        if number == 4:  # the last one at the barrier has been sent when this is there: one before the put, three at the barrier
            time.sleep(0.1)
        if host == "edge" and number == 5:
            served.write_bytes(rival)

    live.before_fetch = upload
    edge = live.edge(more=f"root {files}; try_files $uri @bucket;") if host == "edge" else live.edge()
    if host == "edge":
        here = f"location = /.well-known/mta-sts.txt {{ proxy_pass {live.origin}/{BUCKET}/{KEY};"
        edge = edge.replace(here, "location = /.well-known/mta-sts.txt {").replace(
            "} }", f"}} location @bucket {{ rewrite ^ /{BUCKET}/{KEY} break; proxy_pass {live.origin}; }} }}"
        )
    with live.serving(edge):
        live.declare(SECOND)
        live.fetches = 0
        deployment = live.deployment()
        if host == "bucket":
            emit = deployment.emit

            def watching(event: object) -> None:
                if getattr(event, "text", "") == "policy is served":
                    s3_servers.s3(live.origin).put_object(Bucket=BUCKET, Key=KEY, Body=rival, ContentType="text/plain")
                emit(event)  # type: ignore[arg-type]

            deployment.emit = watching
        result = deployment.apply(options=Options(barrier_timeout=timedelta(seconds=4)))
        assert result is not None
        unmoved(live, result, before, "MTS704" if host == "bucket" else "MTS530")
    live.before_fetch = lambda _: None
    with live.serving(live.edge()):
        assert live.apply(SECOND).exit_code == 0
    assert live.names(live.stored())
    assert codes(result)
