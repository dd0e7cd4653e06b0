"""The whole story with real mail: `apply` publishes, a Postfix with postfix-mta-sts-resolver obeys, and `verify` has said what it does."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families

from tests import mailworld
from tests.mailworld import SERVER, WEB, NameServers, Network, Postfix
from tests.schemas import faults
from tests.servers import Certificates

pytestmark = [pytest.mark.acceptance, *mailworld.REQUIRES]

ZONE = f"""\
@ NS ns1
ns1 A {SERVER}
@ 2 MX 10 mx1
mx1 A 127.0.0.3
mx2 A 127.0.0.4
mta-sts A {WEB}
"""
DECLARATION = """\
version: 1
providers:
  bind:
    {{class: octodns_bind.Rfc2136Provider, host: {server}, port: 53, key_name: k, key_secret: env/TSIG_SECRET, key_algorithm: hmac-sha256}}
hosts: {{web: {{type: directory, path: www}}}}
state: {{type: directory, path: state}}
domains:
  example.test: {{mode: {mode}, mx: {mx}, max_age: {max_age}, ttl: 2, dns: bind, host: web, tlsrpt: "mailto:tls@reports.test"}}
"""
SEND = """\
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 2525) as smtp:
    smtp.sendmail("a@sender.test", [sys.argv[1]], "Subject: hello\\r\\n\\r\\nhello\\r\\n")
"""


@dataclass
class Story:
    """The world and what may be done in it."""

    network: Network
    servers: NameServers
    made: Certificates
    sender: Postfix
    receiver: Postfix
    letters: int = 0

    def declare(self, mode: str, mx: str = "zone", max_age: str = "1d") -> None:
        text = DECLARATION.format(server=SERVER, mode=mode, mx=mx, max_age=max_age)
        (self.network.directory / "mta-sts.yaml").write_text(text)

    def deploy(self, *arguments: str) -> tuple[int, str]:
        """The exit code of the program, and all that it has said."""
        done = self.network.deploy(*arguments, "--ca-file", str(self.made.root), environment={"TSIG_SECRET": self.servers.secret})
        return done.returncode, done.stdout + done.stderr

    def mail(self) -> str:
        """Send a letter, and what the sender's log says of it in the end."""
        self.letters += 1
        to = f"letter{self.letters}@example.test"
        before = len(self.sender.log.read_text())
        done = self.network.run(sys.executable, "-c", SEND, to)
        assert done.returncode == 0, done.stderr
        until = time.monotonic() + 30
        while time.monotonic() < until:
            said = self.sender.log.read_text()[before:]
            if re.search(rf"to=<{to}>.*status=", said):
                return said
            time.sleep(0.1)
        raise AssertionError(self.sender.log.read_text()[-3000:])

    def show(self, certificate: Path) -> None:
        """Let the first MX host show this certificate."""
        (self.network.directory / "mx.pem").write_bytes(certificate.read_bytes())
        assert self.receiver.command("postfix", "reload").returncode == 0
        time.sleep(1)


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with mailworld.network() as (network, made):
        servers = NameServers(network)
        servers.zone(
            "test", f"@ NS ns1\nns1 A {SERVER}\n" + "".join(f"{one} NS ns1.{one}\nns1.{one} A {SERVER}\n" for one in ("example", "reports"))
        )
        servers.zone("example.test", ZONE)
        servers.zone("reports.test", f"@ NS ns1\nns1 A {SERVER}\n@ MX 10 mx\nmx A 127.0.0.3\n")
        servers.start()
        web = made.issue("mta-sts.example.test")
        place = network.directory / "www"
        place.mkdir()
        mailworld.start_nginx(
            network,
            f"server {{ listen {WEB}:443 ssl; ssl_certificate {web}; ssl_certificate_key {web}; root {place}/mta-sts.example.test; }}",
        )
        (network.directory / "mx.pem").write_bytes(made.issue("mx1.example.test").read_bytes())
        second = made.issue("mx2.example.test")  # not for mx1: Postfix compares the policy with names in the certificate
        receiver = Postfix(
            network,
            "receiver",
            ["127.0.0.3:25 inet n - n - - smtpd", f"127.0.0.4:25 inet n - n - - smtpd -o smtpd_tls_chain_files={second}"],
            [
                "myhostname = mx1.example.test",
                "smtpd_tls_security_level = may",
                f"smtpd_tls_chain_files = {network.directory}/mx.pem",
                "virtual_mailbox_domains = example.test",
                f"virtual_mailbox_base = {network.directory}/mailboxes",
                "virtual_mailbox_maps = static:inbox/",
                "virtual_uid_maps = static:65534",
                "virtual_gid_maps = static:65534",
            ],
        )
        (network.directory / "mailboxes").mkdir()
        (network.directory / "mailboxes").chmod(0o777)
        receiver.start(("127.0.0.3", 25))
        daemon = network.directory / "daemon.yml"
        daemon.write_text(
            "host: 127.0.0.1\nport: 8461\nshutdown_timeout: 1\ncache_grace: 0\ncache: {type: internal, options: {cache_size: 100}}\n"
            "default_zone: {strict_testing: false, timeout: 4}\n"
        )
        network.start(
            "mta-sts-daemon",
            str(Path(sys.executable).parent / "mta-sts-daemon"),
            "-c",
            str(daemon),
            ready=lambda: network.answers("127.0.0.1", 8461),
            environment={"SSL_CERT_FILE": str(made.root)},
        )
        sender = Postfix(
            network,
            "sender",
            ["127.0.0.1:2525 inet n - n - - smtpd"],
            [
                "myhostname = sender.test",
                "smtp_tls_security_level = may",
                f"smtp_tls_CAfile = {made.root}",
                "smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix",
                "smtp_tls_loglevel = 1",
                "smtp_tls_connection_reuse = no",
                "minimal_backoff_time = 600s",
                "destination_concurrency_failed_cohort_limit = 0",
                "default_destination_concurrency_failed_cohort_limit = 0",
            ],
        )
        sender.start(("127.0.0.1", 2525))
        yield Story(network=network, servers=servers, made=made, sender=sender, receiver=receiver)


def a_policy_in_testing_is_published_and_mail_is_delivered(story: Story) -> None:
    story.declare("testing")
    code, said = story.deploy("apply", "--auto-approve")
    assert code == 0, said
    code, said = story.deploy("verify")
    assert (code, "example.test: deliver unprotected: the policy's mode is testing" in said) == (0, True), said
    assert "status=sent" in story.mail()


def enforce_waits_until_the_certificate_of_the_mx_host_is_right(story: Story) -> None:
    story.declare("enforce")
    time.sleep(3)  # one MX TTL, for which the MX set must have been watched
    story.show(story.made.issue("mx1.example.test", days=(-30, -1)))
    code, said = story.deploy("plan")
    assert (code, "MTS430 the policy goes to enforce, but senders would not deliver: mx1.example.test" in said) == (3, True), said
    code, said = story.deploy("apply", "--auto-approve")
    assert (code, "MTS430" in said) == (3, True), said
    assert "status=sent" in story.mail()
    story.show(story.made.issue("mx1.example.test"))


def enforce_is_published_and_mail_is_delivered_over_verified_tls(story: Story) -> None:
    story.declare("enforce")
    code, said = story.deploy("apply", "--auto-approve")
    assert code == 0, said
    code, said = story.deploy("verify")
    assert (code, "example.test: deliver: over verified TLS to the MX host mx1.example.test" in said) == (0, True), said
    code, said = story.deploy("drift")
    assert (code, said.splitlines()[0]) == (0, "Drift: 0 of 1 domain."), said
    log = story.mail()
    assert "Verified TLS connection established to mx1.example.test" in log
    assert "status=sent" in log


def what_verify_calls_refused_is_deferred_by_postfix(story: Story, certificate: Path, code: str, reason: str) -> None:
    story.show(certificate)
    status, said = story.deploy("verify")
    assert (status, code in said) == (1, True), said
    assert re.search(rf"example\.test: refuse: mx1\.example\.test at 127\.0\.0\.3: its certificate {reason}", said), said
    log = story.mail()
    assert "status=deferred" in log
    assert "Server certificate not verified" in log


def with_the_right_certificate_again_mail_is_delivered(story: Story) -> None:
    story.show(story.made.issue("mx1.example.test"))
    assert story.deploy("verify")[0] == 0
    assert "status=sent" in story.mail()


def an_mx_host_that_the_policy_does_not_name_is_stopped_by_plan_refused_by_verify_and_deferred_by_postfix(story: Story) -> None:
    story.declare("enforce", "[mx1.example.test]")
    assert story.deploy("plan")[0] == 0
    story.servers.change("example.test", "@", "MX", "10 mx2")
    code, said = story.deploy("plan")
    assert (code, "MTS401 no mx pattern covers mx2.example.test" in said) == (0, True), said  # there is nothing to do, and it says so
    story.declare("enforce", "[mx1.example.test]", "2d")
    code, said = story.deploy("plan")
    assert (code, "! MTS401 no mx pattern covers mx2.example.test" in said) == (3, True), said
    code, said = story.deploy("verify")
    assert (code, "example.test: refuse: the policy does not name the MX host mx2.example.test" in said) == (1, True), said
    code, said = story.deploy("drift")
    assert (code, "MTS582" in said, "new: mx2.example.test; gone: mx1.example.test" in said) == (2, True, True), said
    log = story.mail()
    assert "status=deferred" in log, log


def what_others_change_is_drift(story: Story) -> None:
    file = story.network.directory / "www/mta-sts.example.test/.well-known/mta-sts.txt"
    policy = file.read_bytes()
    file.write_bytes(policy.replace(b"86400", b"86401"))
    metrics = story.network.directory / "mtasts.prom"
    code, said = story.deploy("drift", "--prometheus", str(metrics))
    assert (code, "MTS580" in said) == (2, True), said
    text = metrics.read_text()
    assert "mtasts_policy_age_days{" not in text  # nobody knows how old this one is
    code, said = story.deploy("drift", "--format", "prometheus", "--json-into", str(metrics.with_suffix(".json")))
    assert (code, 'mtasts_drift{domain="example.test"} 1\n' in said) == (2, True), said
    assert faults("drift", json.loads(metrics.with_suffix(".json").read_text())) == []
    assert 'mtasts_drift{domain="example.test"} 1\n' in text
    assert 'mtasts_id_match{domain="example.test"} 0\n' in text
    assert 'mtasts_verdict{domain="example.test",verdict="refuse"} 1\n' in text
    assert 'mtasts_mode{domain="example.test",of="served",mode="enforce"} 1\n' in text
    assert 28 < float(re.findall(r'mtasts_policy_host_certificate_days{domain="example.test"} (\S+)', text)[0]) < 31
    assert 'mtasts_mx_certificate_days{domain="example.test",mx="mx2.example.test"}' in text
    file.write_bytes(policy)
    story.servers.change("example.test", "_mta-sts", "TXT", '"v=STSv1; id=1;"')
    code, said = story.deploy("drift")
    assert (code, "MTS581" in said) == (2, True), said
    code, said = story.deploy("drift", "--prometheus", str(metrics))
    families = {family.name: family.samples for family in text_string_to_metric_families(metrics.read_text())}
    assert {"mtasts_drift", "mtasts_verdict", "mtasts_mode", "mtasts_id_match"} <= families.keys()
    assert [0 <= sample.value < 1 for sample in families["mtasts_policy_age_days"]] == [True]


def status_shows_the_last_look_and_looks_again_only_if_it_is_old(story: Story) -> None:
    code, said = story.deploy("status")
    assert "  senders: refuse, the policy does not name the MX host mx2.example.test" in said, said
    story.servers.change("example.test", "@", "MX", "10 mx1")
    code, said = story.deploy("status", "--max-age", "1h")
    assert (code, "senders: refuse" in said) == (0, True), said
    code, said = story.deploy("status", "--max-age", "0")
    assert (code, "senders: deliver, over verified TLS to the MX host mx1.example.test" in said) == (0, True), said
    assert re.search(r"certificates: policy host (29|30) days?, MX (29|30) days?", said), said
    story.servers.change("example.test", "@", "MX", "10 mx2")


def following_the_zone_repairs_it(story: Story) -> None:
    story.declare("enforce", "zone")
    code, said = story.deploy("apply", "--auto-approve")
    assert code == 0, said
    assert "mx2.example.test" in said
    code, said = story.deploy("verify")
    assert code == 0, said
    assert "Verified TLS connection established to mx2.example.test" in story.mail()


def test_the_whole_story(story: Story):
    """One test, as each chapter begins where the one before has ended."""
    a_policy_in_testing_is_published_and_mail_is_delivered(story)
    enforce_waits_until_the_certificate_of_the_mx_host_is_right(story)
    enforce_is_published_and_mail_is_delivered_over_verified_tls(story)
    made = story.made
    for certificate, code, reason in (
        (made.issue("mx1.example.test", days=(-30, -1)), "MTS620", "has expired"),
        (made.issue("www.example.test"), "MTS622", "is not for mx1.example.test"),
        (made.issue("mx1.example.test", ca=trustme.CA()), "MTS624", "cannot be traced to a trusted CA"),
    ):
        what_verify_calls_refused_is_deferred_by_postfix(story, certificate, code, reason)
    with_the_right_certificate_again_mail_is_delivered(story)
    an_mx_host_that_the_policy_does_not_name_is_stopped_by_plan_refused_by_verify_and_deferred_by_postfix(story)
    what_others_change_is_drift(story)
    status_shows_the_last_look_and_looks_again_only_if_it_is_old(story)
    following_the_zone_repairs_it(story)
