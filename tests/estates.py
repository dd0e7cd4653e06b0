"""Zones as operators have them, and deployments on real servers for tests: the declaration is written as a user writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from mtasts_deploy.apply.report import Result
from mtasts_deploy.declaration.load import load
from mtasts_deploy.deployment import Deployment, Options
from tests.nameservers import Rrset

LONG = '"' + "a" * 200 + '" "' + "b" * 200 + '"'

OURS = ("_mta-sts", "_smtp._tls")


def estate(zone: str) -> list[Rrset]:
    """Forty record sets of sixteen types: what must survive us."""
    return [
        Rrset("@", "NS", 3600, ("ns1.example.net.", "ns2.example.net.")),
        Rrset("@", "MX", 600, (f"10 mx1.{zone}.", f"20 mx2.{zone}.")),
        Rrset("@", "A", 300, ("192.0.2.1", "192.0.2.2")),
        Rrset("@", "AAAA", 300, ("2001:db8::1",)),
        Rrset("@", "TXT", 3600, ('"v=spf1 mx -all"', '"verify=a;b=c"')),
        Rrset("@", "CAA", 3600, ('0 issue "ca.example"', '0 iodef "mailto:x@example.net"')),
        Rrset("mx1", "A", 300, ("192.0.2.25",)),
        Rrset("mx1", "AAAA", 300, ("2001:db8::25",)),
        Rrset("mx1", "SSHFP", 300, ("4 2 " + "ab" * 32,)),
        Rrset("mx2", "A", 300, ("198.51.100.25",)),
        Rrset("_25._tcp.mx1", "TLSA", 300, ("3 1 1 " + "cd" * 32,)),
        Rrset("mail", "MX", 600, (f"10 mx1.{zone}.",)),
        Rrset("mail", "TXT", 3600, ('"v=spf1 -all"',)),
        Rrset("mta-sts", "CNAME", 300, ("policies.example.net.",)),
        Rrset("mta-sts.mail", "A", 300, ("192.0.2.3",)),
        Rrset("mta-sts.mail", "CAA", 3600, ('0 issue "ca.example"',)),
        Rrset("_smtp._tls", "TXT", 3600, ('"foreign; value"',)),
        Rrset("_dmarc", "TXT", 3600, ('"v=DMARC1; p=reject; rua=mailto:d@example.net"',)),
        Rrset("long", "TXT", 3600, (LONG,)),
        Rrset("utf8", "TXT", 3600, (r'"b\195\188cher"',)),
        Rrset("*", "A", 60, ("192.0.2.99",)),
        Rrset("*.wild", "TXT", 60, ('"anything"',)),
        Rrset("sub", "NS", 3600, ("ns1.example.org.", "ns2.example.org.")),
        Rrset("sub", "DS", 3600, ("12345 13 2 " + "ef" * 32,)),
        Rrset("ns.glue", "A", 3600, ("192.0.2.53",)),
        Rrset("glue", "NS", 3600, (f"ns.glue.{zone}.",)),
        Rrset("www", "CNAME", 300, (f"{zone}.",)),
        Rrset("web", "HTTPS", 300, ("1 . alpn=h2",)),
        Rrset("_sip._tcp", "SRV", 300, (f"0 5 5060 mx1.{zone}.",)),
        Rrset("enum", "NAPTR", 300, ('100 50 "s" "SIP+D2U" "" _sip._udp.example.net.',)),
        Rrset("1.2.0.192", "PTR", 300, ("host.example.net.",)),
        Rrset("here", "LOC", 300, ("52 22 23.000 N 4 53 32.000 E -2.00m 10.00m 20.00m 30.00m",)),
        Rrset("info", "HINFO", 300, ('"x86" "Linux"',)),
        Rrset("person", "RP", 300, ("admin.example.net. people.example.net.",)),
        Rrset("commented", "A", 300, ("192.0.2.4",)),
        Rrset("commented.txt", "TXT", 300, ('"with a comment"',)),
        Rrset("disabled", "A", 300, ("192.0.2.5",)),
        Rrset("under_score", "TXT", 300, ('"_"',)),
        Rrset("quoted", "TXT", 300, (r'"say \"hi\" \\ there"',)),
        Rrset("many", "TXT", 300, ('"one"', '"two"', '"three"')),
    ]


def small(zone: str) -> list[Rrset]:
    """What a domain needs, and two records more."""
    return [
        Rrset("@", "NS", 3600, ("ns1.example.net.",)),
        Rrset("@", "MX", 600, (f"10 mx.{zone}.",)),
        Rrset("mx", "A", 300, ("192.0.2.25",)),
        Rrset("@", "TXT", 3600, ('"v=spf1 mx -all"',)),
    ]


def deploy(directory: Path, providers: Mapping[str, Mapping[str, Any]], domains: str, *, more: str = "") -> Deployment:
    """The deployment of these domains (YAML, indented by two) at these providers, with policies and state in the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "mta-sts.yaml"
    path.write_text(
        f"version: 1\nstate: {{type: directory, path: .mtasts}}\nproviders: {json.dumps(providers)}\n{more}"
        f'defaults: {{dns: {next(iter(providers))}, tlsrpt: "mailto:tls@reports.example", confirm: storage}}\ndomains:\n{domains}'
    )
    declaration = load(path, today=date(2026, 1, 5))
    # These tests are about DNS: nothing serves the policies, so the guard against `confirm: storage` (MTS410) is out of the way.
    domains_by_hand = {domain: replace(settings, by_hand=True) for domain, settings in declaration.domains.items()}
    deployment = Deployment.of(replace(declaration, domains=domains_by_hand))
    deployment.sleep = lambda _: None
    deployment.name_servers = None  # nor does any name server on port 53
    return deployment


def hurried(deployment: Deployment) -> None:
    """Do not wait between tries."""
    from mtasts_deploy.declaration.model import Limit
    from mtasts_deploy.dns.octodns_target import OctodnsTarget
    from mtasts_deploy.dns.pace import Pace

    for target in deployment.targets.values():
        if isinstance(target, OctodnsTarget):
            target._pace_given = Pace(Limit(), sleep=lambda _: None)


def applied(deployment: Deployment, parallelism: int = 32) -> Result:
    """Apply it; the result."""
    result = deployment.apply(options=Options(parallelism=parallelism))
    assert result is not None
    return result


def codes(result: Result) -> list[str]:
    """The codes of a result's findings."""
    return [finding.code for finding in result.findings]


def ours(name: str) -> bool:
    """Is this one of the names that we write?"""
    return name.startswith(OURS)
