"""A whole deployment with policies and state in buckets of moto, zones in files, and CloudFront in front."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mtasts_deploy.apply.choices import OnStale
from mtasts_deploy.apply.report import Outcome, Result
from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError
from mtasts_deploy.hosting.edges import Edges, paths
from mtasts_deploy.plan.model import Plan, Verdict
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import PolicyId
from tests import s3_servers
from tests.s3_servers import Proxy, proxy
from tests.worlds import Clock, Failure

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

POLICIES, STATE = "policies.example.com", "state.example.com"
DOMAINS = ("one.example", "two.example", "three.example")
ZONE = """\
'':
  type: MX
  values:
  - {{exchange: mx1.{domain}., preference: 10}}
"""


@dataclass
class Site:
    """Buckets, a distribution, zone files, and a declaration that changes."""

    directory: Path
    front: Proxy
    distribution: str
    settings: str = "{max_age: 1d}"
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        (self.directory / "zones").mkdir()
        for domain in DOMAINS:
            (self.directory / "zones" / f"{domain}.yaml").write_text(ZONE.format(domain=domain))

    @property
    def deployment(self) -> Deployment:
        path = self.directory / "mta-sts.yaml"
        lines = [
            "version: 1",
            f"hosts: {{cdn: {{type: s3, bucket: {POLICIES}, endpoint_url: '{self.front.address}', cloudfront: {self.distribution}}}}}",
            f"state: {{type: s3, bucket: {STATE}, endpoint_url: '{self.front.address}', prefix: prod/}}",
            "defaults: {host: cdn, tlsrpt: 'mailto:tls@reports.example'}",
            "domains:",
            *(f"  {domain}: {self.settings}" for domain in DOMAINS),
        ]
        path.write_text("\n".join(lines) + "\n")
        return Deployment(**{**vars(Deployment.of(load(path, today=date(2026, 1, 5)))), "clock": self.clock})

    def plan(self) -> Plan:
        return self.deployment.plan()

    def apply(self, change: Callable[[Deployment], None] = lambda _: None) -> Result:
        deployment = self.deployment
        change(deployment)
        result = deployment.apply()
        assert result is not None
        return result

    def objects(self, bucket: str) -> dict[str, bytes]:
        client = s3_servers.s3(self.front.address)
        found = client.list_objects_v2(Bucket=bucket).get("Contents", ())
        return {one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in found}

    def sound(self) -> None:
        """Each id names the bytes that are in the bucket, and nothing is left to do."""
        assert {domain.verdict for domain in self.plan().domains} == {Verdict.UNCHANGED}
        objects = self.objects(POLICIES)
        for domain in DOMAINS:
            text = (self.directory / "zones" / f"{domain}.yaml").read_text()
            id_ = text.partition("id=")[2].partition("\\;")[0]
            assert PolicyId.parse(id_).names(objects[f"mta-sts.{domain}/.well-known/mta-sts.txt"])

    def invalidations(self) -> list[list[str]]:
        client = cloudfront()
        listed = client.list_invalidations(DistributionId=self.distribution)["InvalidationList"].get("Items", [])
        batches = [client.get_invalidation(DistributionId=self.distribution, Id=one["Id"])["Invalidation"] for one in listed]
        return [batch["InvalidationBatch"]["Paths"]["Items"] for batch in batches]


def cloudfront() -> Any:
    import boto3

    return boto3.client("cloudfront", region_name="us-east-1")


def make_distribution() -> str:
    origin = {"Id": "o", "DomainName": f"{POLICIES}.s3.amazonaws.com", "S3OriginConfig": {"OriginAccessIdentity": ""}}
    forwarded = {"QueryString": False, "Cookies": {"Forward": "none"}}
    behaviour = {
        "TargetOriginId": "o",
        "ViewerProtocolPolicy": "https-only",
        "ForwardedValues": forwarded,
    }
    config = {
        "CallerReference": "x",
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {**behaviour, "MinTTL": 0},
        "Comment": "",
        "Enabled": True,
    }
    return str(cloudfront().create_distribution(DistributionConfig=config)["Distribution"]["Id"])


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    s3_servers.environment(monkeypatch)
    with ExitStack() as stack:
        upstream = stack.enter_context(s3_servers.moto())
        front = stack.enter_context(proxy(upstream))
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFRONT", front.address)
        for name in (POLICIES, STATE):
            s3_servers.s3(upstream).create_bucket(Bucket=name)
        yield Site(tmp_path, front, make_distribution())


def test_first_publication_change_and_an_empty_plan_after_each(site: Site) -> None:
    assert site.apply().exit_code == 0
    site.sound()
    assert len(site.invalidations()) == 1
    site.clock.pass_(minutes=5)
    site.settings = "{max_age: 2d}"
    assert site.apply().exit_code == 0
    site.sound()
    assert site.invalidations()[0] == ["/.well-known/mta-sts.txt", *(f"/mta-sts.{one}/.well-known/mta-sts.txt" for one in sorted(DOMAINS))]
    assert len(site.invalidations()) == 2
    state = site.objects(STATE)
    assert any(key.startswith("prod/ledger/") for key in state)
    logs = [data for key, data in sorted(state.items()) if key.startswith("prod/runs/")]
    assert len(logs) == 2
    assert all(b'"what":"done"' in data for data in logs)
    assert state["prod/lock.json"] == b""  # given back


def test_an_unchanged_world_is_looked_at_with_few_requests(site: Site) -> None:
    site.apply()
    deployment = site.deployment
    site.front.count()
    assert not deployment.plan().acting
    policies = [request for request in site.front.requests if f"/{POLICIES}" in request[1]]
    assert len(policies) <= 3


@pytest.mark.parametrize("point", ["put", "purge", "read"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_dies_between_put_and_note_is_finished_by_the_next(site: Site, point: str, when: str) -> None:
    site.apply()
    site.clock.pass_(minutes=5)
    site.settings = "{max_age: 2d}"

    def deadly(deployment: Deployment) -> None:
        host = deployment.hosts["cdn"]
        inner = getattr(host, point)
        seen: list[int] = []

        def call(*arguments: Any) -> Any:
            seen.append(1)
            dies = point != "read" or len(seen) == 3  # the look of the plan, the look before the put, the read back
            if dies and when == "before":
                raise Failure
            result = inner(*arguments)
            if dies:
                raise Failure
            return result

        setattr(host, point, call)

    with pytest.raises(Failure):
        site.apply(deadly)
    before = len(site.invalidations())
    s3_servers.s3(site.front.address).put_object(Bucket=STATE, Key="prod/lock.json", Body=b"")  # as that of a dead process
    site.clock.pass_(seconds=5)
    assert site.apply().exit_code == 0
    site.sound()
    assert len(site.invalidations()) > before  # whatever the dead run had told the caches


def test_a_rival_between_plan_and_apply_is_met(site: Site) -> None:
    site.apply()
    site.settings = "{max_age: 2d}"
    deployment = site.deployment
    rival = s3_servers.s3(site.front.address)

    def upload(_: Plan) -> bool:
        rival.put_object(Bucket=POLICIES, Key=f"mta-sts.{DOMAINS[0]}/.well-known/mta-sts.txt", Body=b"rival")
        return True

    result = deployment.apply(approve=upload, options=Options(on_stale=OnStale.SKIP))
    assert result is not None
    outcomes = {str(domain): outcome for domain, outcome in result.outcomes.items()}
    assert outcomes == {DOMAINS[0]: Outcome.STALE, DOMAINS[1]: Outcome.DONE, DOMAINS[2]: Outcome.DONE}
    assert site.apply().exit_code == 0
    site.sound()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((404, "NoSuchDistribution"), "MTS785"),
        ((403, "AccessDenied"), "MTS786"),
        ((400, "TooManyInvalidationsInProgress"), "MTS787"),
        ((400, "Throttling"), "MTS787"),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_without_an_invalidation_no_record_moves(site: Site, answer: tuple[int, str], code: str) -> None:
    site.apply()
    before = {domain: (site.directory / "zones" / f"{domain}.yaml").read_text() for domain in DOMAINS}
    site.settings = "{max_age: 2d}"
    site.front.answer = lambda request: answer if "/invalidation" in request[1] else None
    result = site.apply()
    assert result.exit_code == 6
    assert {finding.code for finding in result.findings} == {code}
    assert before == {domain: (site.directory / "zones" / f"{domain}.yaml").read_text() for domain in DOMAINS}
    site.front.answer = lambda _: None
    assert site.apply().exit_code == 0
    site.sound()


@pytest.mark.parametrize("log", [[], ["--log-format", "json"]], ids=["text", "json"])
def test_no_credential_is_in_the_logs_of_libraries(site: Site, monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    token = "session-token-of-a-test/+=="
    monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    assert site.plan().acting  # the declaration is written
    command = [sys.executable, "-m", "mtasts_deploy", "plan", "-vv", *log]
    done = subprocess.run(command, cwd=site.directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Sending http request" in done.stderr  # the requests are in it, header fields and all
    assert "x-amz-security-token" in done.stderr.lower()
    said = done.stdout + done.stderr
    assert token not in said
    assert quote(token, safe="") not in said
    assert s3_servers.SECRET not in said
    assert "Signature=" not in said


class Slow:
    """A distribution that takes its time."""

    id = "E2QWRUHAPOMQZL"

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.asked: list[list[str]] = []

    def invalidate(self, asked: list[str]) -> str:
        self.asked.append(asked)
        return "I1"

    def invalidated(self, _: str) -> bool:
        self.looks -= 1
        return self.looks < 0


def test_an_invalidation_is_waited_for_and_the_lock_kept() -> None:
    slow = Slow(5)
    slept: list[float] = []
    alive: list[int] = []
    Edges(slow, sleep=slept.append).forget(["a"], lambda: alive.append(1))  # type: ignore[arg-type]
    assert slow.asked == [["/.well-known/mta-sts.txt", "/a"]]
    assert slept == [1, 2, 3, 5, 5]
    assert len(alive) == 5


def test_an_invalidation_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(0, 10_000, 100))
    monkeypatch.setattr("mtasts_deploy.hosting.edges.time.monotonic", lambda: next(times))
    with pytest.raises(HostError, match="not completed after 10 minutes") as caught:
        Edges(Slow(1000), sleep=lambda _: None).forget(["a"], lambda: None)  # type: ignore[arg-type]
    assert caught.value.diagnostics[0].code == "MTS787"
    assert caught.value.written


def test_many_paths_are_one_and_a_prefix_counts_twice() -> None:
    keys = [f"prod/mta-sts.d{number}.example/x" for number in range(11)]
    assert paths(keys) == ["/.well-known/mta-sts.txt", "/prod/mta-sts.d*"]
    assert paths(keys, "prod/") == ["/.well-known/mta-sts.txt", "/prod/mta-sts.d*", "/mta-sts.d*"]
    assert paths(["b", "a", "b"]) == ["/.well-known/mta-sts.txt", "/a", "/b"]


def test_the_finding_of_a_lost_purge_is_of_its_domain(site: Site) -> None:
    site.front.answer = lambda request: (403, "AccessDenied") if "/invalidation" in request[1] else None
    result = site.apply()
    found: list[Diagnostic] = list(result.findings)
    assert sorted(finding.domain or "" for finding in found) == sorted(DOMAINS)


def test_a_directory_is_left_for_a_bucket(site: Site) -> None:
    """The served bytes go first, both places get the new ones until the old address has left the caches, and the old copy stays."""
    domain = Domain.parse(DOMAINS[0])
    file, key = site.directory / "web" / domain.policy_host / ".well-known" / "mta-sts.txt", f"{domain.policy_host}/.well-known/mta-sts.txt"

    def apply(host: str, max_age: str) -> Outcome:
        path = site.directory / "mta-sts.yaml"
        settings = f"host: {host}, address: {{cname: {host}.example.net}}, max_age: {max_age}"
        path.write_text(
            "version: 1\nhosts:\n  web: {type: directory, path: web}\n"
            f"  cdn: {{type: s3, bucket: {POLICIES}, endpoint_url: '{site.front.address}'}}\n"
            f"state: {{type: directory, path: .mtasts}}\ndomains: {{{domain}: {{{settings}, tlsrpt: 'mailto:tls@reports.example'}}}}\n"
        )
        deployment = Deployment(**{**vars(Deployment.of(load(path, today=date(2026, 1, 5)))), "clock": site.clock})
        result = deployment.apply()
        assert result is not None
        assert result.exit_code == 0, result
        return result.outcomes[domain]

    assert apply("web", "1w") is Outcome.WAITING
    site.clock.pass_(hours=2)
    assert apply("web", "1w") is Outcome.DONE
    assert site.objects(POLICIES) == {}
    first = file.read_bytes()

    assert apply("cdn", "2w") is Outcome.WAITING
    assert site.objects(POLICIES) == {key: first}
    assert file.read_bytes() == first
    assert apply("cdn", "2w") is Outcome.WAITING
    assert site.objects(POLICIES) == {key: file.read_bytes()} != {key: first}
    second = file.read_bytes()

    site.clock.pass_(hours=2)
    apply("cdn", "2w")
    assert apply("cdn", "3w") is Outcome.DONE
    assert site.objects(POLICIES)[key] != second
    assert file.read_bytes() == second, "the old host was left"
