"""octodns-cloudflare against a stand-in for its API: it writes value by value, and an apply must end well wherever that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtasts_deploy.deployment import Deployment
from mtasts_deploy.plan.model import Verdict
from mtasts_deploy.rfc.names import Domain
from tests.cloudflare import Cloudflare, serving
from tests.estates import applied, codes, deploy, hurried
from tests.watcher import Watcher

pytestmark = pytest.mark.integration
EXAMPLE = Domain.parse("example.com")
FIRST, SECOND = "  example.com:\n", "  example.com: {max_age: 2w, tlsrpt: 'mailto:new@reports.example'}\n"


class Files:
    """The policy files of a deployment, for a watching sender."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def files(self) -> dict[Domain, bytes]:
        path = self.directory / "policies" / EXAMPLE.policy_host / ".well-known" / "mta-sts.txt"
        return {EXAMPLE: path.read_bytes()} if path.exists() else {}


@pytest.fixture
def api() -> Cloudflare:
    made = Cloudflare("example.com", "empty.example")
    made.add("example.com", "example.com", "MX", "mx.example.com", priority=10)
    made.add("example.com", "www.example.com", "A", "192.0.2.1", proxied=True, comment="theirs", tags=["a:b"])
    made.add("example.com", "_mta-sts.example.com", "TXT", '"foreign"', comment="keep me")
    return made


@pytest.fixture
def block(api: Cloudflare, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setenv("MTASTS_TEST_CLOUDFLARE", "token-of-a-test")
    with serving(api) as made:
        yield made


@pytest.fixture
def watcher(api: Cloudflare, tmp_path: Path) -> Watcher:
    made = Watcher(domain=EXAMPLE, target=api, host=Files(tmp_path))  # type: ignore[arg-type]
    api.after = lambda method, path: made(f"{method} {path}")
    return made


def at(tmp_path: Path, block: dict[str, Any], domains: str) -> Deployment:
    deployment = deploy(tmp_path, {"cf": block}, domains)
    hurried(deployment)
    return deployment


def ours(api: Cloudflare) -> list[str]:
    return [value for value in api.txt("_mta-sts.example.com") if value.startswith("v=STSv1")]


def test_our_values_are_written_others_and_their_comments_stay_and_no_page_rule_is_read(api: Cloudflare, block, tmp_path: Path):
    others = api.others()
    assert applied(at(tmp_path, block, FIRST)).exit_code == 0
    assert api.others() == others
    assert "foreign" in api.txt("_mta-sts.example.com")
    assert len(ours(api)) == 1
    kept = [one for one in api.zones["example.com"].values() if one["name"] == "_mta-sts.example.com"]
    assert {one.get("comment") for one in kept} == {"keep me"}
    assert not [path for _, path in api.calls if "pagerules" in path]
    assert at(tmp_path, block, FIRST).plan().domains[0].verdict is Verdict.UNCHANGED


def test_the_record_of_mta_sts_is_written_last(api: Cloudflare, block, tmp_path: Path):
    assert applied(at(tmp_path, block, FIRST)).exit_code == 0
    seen: list[tuple[bool, bool]] = []
    old = ours(api)
    api.after = lambda method, path: seen.append((ours(api) == old, any("new@" in one for one in api.txt("_smtp._tls.example.com"))))
    assert applied(at(tmp_path, block, SECOND)).exit_code == 0
    assert (False, False) not in seen


def test_a_ttl_below_the_least_is_no_difference_for_ever(api: Cloudflare, block, tmp_path: Path):
    domains = "  example.com: {ttl: 60}\n"
    assert applied(at(tmp_path, block, domains)).exit_code == 0
    assert {one["ttl"] for one in api.zones["example.com"].values() if one["content"].startswith('"v=STSv1')} == {120}
    assert at(tmp_path, block, domains).plan().domains[0].verdict is Verdict.UNCHANGED


def test_an_automatic_ttl_becomes_the_declared_one(api: Cloudflare, block, tmp_path: Path):
    assert applied(at(tmp_path, block, FIRST)).exit_code == 0
    for one in api.zones["example.com"].values():
        if one["name"] == "_mta-sts.example.com":
            one["ttl"] = 1
    assert applied(at(tmp_path, block, FIRST)).exit_code == 0
    assert at(tmp_path, block, FIRST).plan().domains[0].verdict is Verdict.UNCHANGED


@pytest.mark.parametrize("status", [500, 400, 429])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failure_at_any_write_is_finished_by_the_next_apply(api: Cloudflare, block, tmp_path: Path, watcher: Watcher, number, status):
    assert applied(at(tmp_path, block, FIRST)).exit_code == 0
    old = ours(api)
    writes = 0

    def fail(method: str, path: str) -> int | None:
        nonlocal writes
        writes += method != "GET"
        return status if method != "GET" and writes >= number else None

    api.hook = fail
    result = applied(at(tmp_path, block, SECOND))
    assert writes >= number
    assert (result.exit_code, codes(result)[0]) == (6, {500: "MTS477", 400: "MTS468", 429: "MTS476"}[status])
    api.hook = lambda method, path: None
    assert applied(at(tmp_path, block, SECOND)).exit_code == 0
    assert len(ours(api)) == 1
    assert ours(api) != old
    assert "foreign" in api.txt("_mta-sts.example.com")
    assert [problem for problem in watcher.problems if "2 STSv1 values" not in problem] == []
    assert at(tmp_path, block, SECOND).plan().domains[0].verdict is Verdict.UNCHANGED


@pytest.mark.parametrize("number", [1, 2, 3])
def test_throttling_in_the_middle_is_gone_through_in_the_same_apply(api: Cloudflare, block, tmp_path: Path, watcher: Watcher, number):
    assert applied(at(tmp_path, block, FIRST)).exit_code == 0
    writes = 0

    def fail(method: str, path: str) -> int | None:
        nonlocal writes
        writes += method != "GET"
        return 429 if method != "GET" and writes == number else None

    api.hook = fail
    assert applied(at(tmp_path, block, SECOND)).exit_code == 0
    assert len(ours(api)) == 1
    assert [problem for problem in watcher.problems if "2 STSv1 values" not in problem] == []


def test_a_wrong_token_and_an_unknown_zone(api: Cloudflare, block, tmp_path: Path):
    deployment = at(tmp_path, block, "  nowhere.example: {zone: nowhere.example}\n")
    assert deployment.plan().domains[0].findings[0].code == "MTS458"
    assert list(api.zones) == ["example.com", "empty.example"]
    api.hook = lambda method, path: 403
    found = at(tmp_path, block, FIRST).plan().domains[0].findings
    assert [one.code for one in found] == ["MTS474"]
    assert "token-of-a-test" not in found[0].message


def test_an_empty_zone_is_there(api: Cloudflare, block, tmp_path: Path):
    assert applied(at(tmp_path, block, "  empty.example: {mx: mx.example.net}\n")).exit_code == 0
    assert len(api.txt("_mta-sts.empty.example")) == 1


def test_a_proxied_address_stays_proxied_when_it_changes(api: Cloudflare, block, tmp_path: Path):
    def address() -> dict[str, str]:
        [found] = [one for one in api.zones["example.com"].values() if one["name"] == "mta-sts.example.com"]
        return {name: str(found.get(name)).rstrip(".") for name in ("type", "content", "proxied", "comment")}

    api.add("example.com", "mta-sts.example.com", "CNAME", "web.example.net", proxied=True, ttl=1, comment="theirs")
    before = address()
    assert before["proxied"] == "True"
    old, new = (f"  example.com: {{address: {{cname: {name}.example.net}}}}\n" for name in ("web", "cdn"))
    assert applied(at(tmp_path, block, old)).exit_code == 0
    assert address() == before
    assert len(ours(api)) == 1
    assert at(tmp_path, block, old).plan().domains[0].verdict is Verdict.UNCHANGED
    assert applied(at(tmp_path, block, new)).exit_code == 0
    assert address() == {**before, "content": "cdn.example.net"}
