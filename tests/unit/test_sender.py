"""The pure parts of looking at the world as a sender: options, what an answer means, caches."""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import NewConnectionError

from mtasts_deploy.errors import UsageError
from mtasts_deploy.sender.answer import freshness, judge, minded, server_clock, shared_cache
from mtasts_deploy.sender.failures import explain
from mtasts_deploy.sender.options import Detour, Endpoint, Looking

VECTORS = yaml.safe_load((Path(__file__).resolve().parents[1] / "vectors" / "vectors.yaml").read_text())
ELSEWHERE = ("F023", "F024", "F025", "F026", "F027", "F028")  # what is never asked, and what only the exchange itself can tell
FETCH = [one for one in VECTORS if one["kind"] == "fetch" and one["id"] not in ELSEWHERE]
DATE = "Mon, 05 Jan 2026 12:00:00 GMT"


@pytest.mark.parametrize("vector", FETCH, ids=lambda one: one["id"])
def test_answers_are_judged_as_the_vectors_say(vector: dict[str, Any]):
    asked = vector["input"]
    headers = {"content-type": asked["content_type"]} if asked["content_type"] else {}
    if "content_encoding" in asked:
        headers["content-encoding"] = asked["content_encoding"]
    problem = judge("x", asked["status"], headers, b"version: STSv1\r\n")
    assert (problem is None) is vector["valid"]
    if vector["valid"]:
        warned = bool(list(minded("x", headers, asked.get("seconds_to_complete", 0))))
        assert warned is (vector.get("severity") == "warn")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": "public, Max-Age=60, s-maxage=300"}, 300),
        ({"cache-control": 'max-age="60"'}, 60),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "private, max-age=60"}, 0),
        ({"cache-control": "max-age=60, stale-while-revalidate=600"}, 660),
        ({"cache-control": "max-age=nonsense"}, None),
        ({"cache-control": "max-age=60", "expires": "0"}, 60),
        ({"expires": "0"}, 0),
        ({"expires": "Mon, 05 Jan 2026 12:10:00 GMT", "date": DATE}, 600),
        ({"expires": "Mon, 05 Jan 2026 12:10:00 GMT"}, None),
        ({"cache-control": "max-age=60", "age": "30"}, 60),
        ({"cache-control": "max-age=60", "age": "61"}, 3600),
        ({"cache-control": "no-store", "age": "7200"}, 7200),
    ],
    ids=str,
)
def test_freshness_is_what_a_cache_may_keep(headers: dict[str, str], expected: int | None):
    assert freshness(headers) == expected


@pytest.mark.parametrize(
    ("headers", "seen"),
    [
        ({"server": "nginx"}, False),
        ({"age": "0"}, True),
        ({"via": "1.1 varnish"}, True),
        ({"x-cache": "MISS from edge"}, True),
        ({"cf-cache-status": "HIT"}, True),
        ({"cf-cache-status": "DYNAMIC"}, False),
        ({"cf-cache-status": "DYNAMIC", "age": "5"}, True),
        ({"x-cache-status": "BYPASS"}, False),
    ],
    ids=str,
)
def test_a_shared_cache_is_seen_by_what_it_adds(headers: dict[str, str], seen: bool):
    assert bool(shared_cache(headers)) is seen


def test_the_clock_of_a_server_counts_only_without_a_cache():
    assert server_clock({"date": DATE}) == datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert server_clock({"date": DATE, "age": "600"}) is None
    assert server_clock({"date": "yesterday"}) is None


def test_texts_of_the_other_side_are_made_printable():
    problem = judge("x", 301, {"location": "https://evil.example/\x1b[31m\u202e" + "a" * 500}, b"")
    assert problem is not None
    assert problem.message.isprintable()
    assert len(problem.message) < 260


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:5300", Endpoint(address="127.0.0.1", port=5300)),
        ("192.0.2.53", Endpoint(address="192.0.2.53", port=53)),
        ("2001:db8::53", Endpoint(address="2001:db8::53", port=53)),
        ("[2001:db8::53]:5300", Endpoint(address="2001:db8::53", port=5300)),
    ],
)
def test_a_resolver_is_an_address_with_a_port(text: str, expected: Endpoint):
    assert Looking.parse(text, None, ()).resolver == expected


@pytest.mark.parametrize("text", ["", "dns.example", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:5x", "[::1", "1.2.3"])
def test_what_is_no_resolver_is_refused(text: str):
    with pytest.raises(UsageError) as caught:
        Looking.parse(text, None, ())
    assert [one.code for one in caught.value.diagnostics] == ["MTS920"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "MTA-STS.example.com:443:127.0.0.1:8443",
            Detour(host="mta-sts.example.com", port=443, to=Endpoint(address="127.0.0.1", port=8443)),
        ),
        ("::127.0.0.1:8443", Detour(host="", port=None, to=Endpoint(address="127.0.0.1", port=8443))),
        ("[2001:db8::1]:443:[::1]:8443", Detour(host="2001:db8::1", port=443, to=Endpoint(address="::1", port=8443))),
    ],
)
def test_a_detour_is_written_as_for_curl(text: str, expected: Detour):
    assert Looking.parse(None, None, [text]).detours == (expected,)


@pytest.mark.parametrize("text", ["", "a", "a:443", "a:443:localhost:8443", "a:443:127.0.0.1", "a:x:127.0.0.1:8443", "a:443:127.0.0.1:0"])
def test_what_is_no_detour_is_refused(text: str):
    with pytest.raises(UsageError) as caught:
        Looking.parse(None, None, [text])
    assert [one.code for one in caught.value.diagnostics] == ["MTS922"]


def test_a_missing_file_of_roots_is_refused(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        Looking.parse(None, tmp_path / "roots.pem", ())
    assert [one.code for one in caught.value.diagnostics] == ["MTS921"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(errno.ECONNREFUSED, "MTS500"), (errno.ETIMEDOUT, "MTS501"), (errno.EHOSTUNREACH, "MTS502"), (errno.ECONNRESET, "MTS503")],
)
def test_a_connection_that_does_not_come_about_is_told_by_its_cause(error: int, expected: str):
    wrapped = NewConnectionError(HTTPSConnection("x"), "failed")
    wrapped.__cause__ = OSError(error, "no")
    assert explain("x", "x", wrapped, connected=False, timeout=60, waited=0).code == expected
