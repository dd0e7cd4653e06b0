"""What `deploy host` and `deploy permissions` print."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

from mtasts_deploy.declaration.load import load
from mtasts_deploy.declaration.model import Declaration, ProviderSpec
from mtasts_deploy.permissions import Permissions, needed
from tests.transcripts import Transcript

BUCKETS = """\
version: 1
hosts:
  cdn: {type: s3, bucket: policies.example.com, cloudfront: E2QWRUHAPOMQZL}
  other: {type: s3, bucket: policies, endpoint_url: "https://s3.example.net", prefix: mail, key: "{domain}.txt"}
state: {type: s3, bucket: state.example.com, prefix: prod}
defaults: {host: cdn, tlsrpt: "mailto:tls@reports.example"}
domains:
  kept.example:
  new.example: {host: other}
"""


def test_set_ups_of_web_servers(cli: Transcript) -> None:
    cli.show("host", "nginx")
    cli.show("host", "caddy", "--root", "/var/www")
    cli.show("host", "github-pages", "--host", "local")
    cli.show("host", "apache")
    cli.show("host", "cloudfront", "--host", "local")
    cli.compare("host")


def test_the_template_of_cloudfront(cli: Transcript) -> None:
    cli.write("mta-sts.yaml", BUCKETS.replace(", prefix: mail", ""))
    cli.show("host", "cloudfront", "--host", "cdn")
    cli.show("host", "cloudfront", "-q")
    cli.compare("host-cloudfront")


def test_permissions(cli: Transcript) -> None:
    cli.show("permissions")
    cli.write("mta-sts.yaml", BUCKETS)
    cli.show("permissions")
    cli.show("permissions", "--format", "json")
    cli.compare("permissions")


def with_providers(cli: Transcript, *classes: str) -> Permissions:
    cli.write("mta-sts.yaml", BUCKETS)
    declaration: Declaration = load(cli.directory / "mta-sts.yaml", today=date(2026, 1, 5))
    specs = {f"p{number}": ProviderSpec(name=f"p{number}", class_name=name, options={}) for number, name in enumerate(classes)}
    domains = {domain: replace(settings, dns=tuple(specs)) for domain, settings in declaration.domains.items()}
    return needed(replace(declaration, providers=specs, domains=domains))


def test_route_53_may_change_our_txt_records_only(cli: Transcript) -> None:
    found = with_providers(cli, "octodns_route53.Route53Provider")
    (statement,) = [one for one in found.write if "route53:ChangeResourceRecordSets" in json.dumps(one)]
    assert statement["Condition"] == {
        "ForAllValues:StringLike": {
            "route53:ChangeResourceRecordSetsNormalizedRecordNames": [
                "_mta-sts.kept.example",
                "_smtp._tls.kept.example",
                "_mta-sts.new.example",
                "_smtp._tls.new.example",
            ]
        },
        "ForAllValues:StringEquals": {"route53:ChangeResourceRecordSetsRecordTypes": ["TXT"]},
    }
    assert "CreateHostedZone" not in json.dumps([*found.read, *found.write])
    assert any("hostedzone" in note for note in found.notes)
    assert found.scopes[0].of.startswith("host other")


def test_two_accounts_of_route_53_have_one_policy_each(cli: Transcript) -> None:
    found = with_providers(cli, "octodns_route53.Route53Provider", "octodns_route53.Route53Provider")
    assert [one["Sid"] for one in found.read].count("ReadZones") == 1
    assert len({str(one["Sid"]) for one in found.write}) == len(found.write)


def test_other_providers_have_scopes_in_words(cli: Transcript) -> None:
    known = ("cloudflare.CloudflareProvider", "powerdns.PowerDnsProvider", "bind.Rfc2136Provider", "azure.AzureProvider", "ns1.Ns1Provider")
    found = with_providers(cli, *(f"octodns_{name}" for name in known), "our.own.Provider")
    scopes = [one for one in found.scopes if one.of.startswith("provider")]
    assert len(scopes) == 6
    assert "Zone / DNS / Edit" in scopes[0].write
    assert scopes[5].of == "provider p5 (our.own.Provider)"
    assert "TXT" in scopes[5].write
