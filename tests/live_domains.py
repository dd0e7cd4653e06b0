"""Domains that were published by hand or by other tools, in odd but legal forms, and what `deploy import` is to declare of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mtasts_deploy.rfc.policy import policy_id
from tests.mailworld import WEB

CANONICAL = b"version: STSv1\r\nmode: enforce\r\nmx: mx.mail.test\r\nmax_age: 604800\r\n"
PLAIN = '"v=STSv1; id=20190429;"'


@dataclass(frozen=True, kw_only=True)
class LiveDomain:
    """One domain. `sts` and `tlsrpt` are as in zone files; `zone` is where its records are, if not its own."""

    name: str
    policy: bytes | None = None
    sts: str = f"60 TXT {PLAIN}"
    tlsrpt: str = ""
    mx: str = "MX 10 mx.mail.test."
    address: str = f"A {WEB}"
    zone: str = ""
    declared: dict[str, Any] = field(default_factory=dict)


def enforced(*mx: str, **more: Any) -> dict[str, Any]:
    """The settings of most of them."""
    return {"mode": "enforce", "max_age": "1w", "mx": list(mx or ("mx.mail.test",)), "ttl": 60} | more


def lines(*texts: str, end: str = "\n") -> bytes:
    """A policy of these lines."""
    return "".join(text + end for text in texts).encode()


DOMAINS = [
    LiveDomain(name="crlf.test", policy=CANONICAL, declared=enforced()),
    LiveDomain(name="unix.test", policy=CANONICAL.replace(b"\r", b"").rstrip(b"\n"), declared=enforced()),
    LiveDomain(
        name="order.test", policy=lines("max_age: 604800", "mx: mx.mail.test", "mode: enforce", "version: STSv1"), declared=enforced()
    ),
    LiveDomain(
        name="extra.test",
        policy=lines("version: STSv1", "owner: postmaster", "mode: enforce", "mx: mx.mail.test", "max_age: 604800", end="\r\n"),
        sts='60 TXT "v=STSv1; id=20190429; owner=postmaster"',
        declared=enforced(),
    ),
    LiveDomain(
        name="wildcard.test",
        policy=lines("version: STSv1", "mode: enforce", "mx: *.mail.test", "max_age: 604800"),
        declared=enforced("*.mail.test"),
    ),
    LiveDomain(
        name="upper.test",
        policy=lines("version: STSv1  ", "mode:\tenforce", "mx:MX.Mail.TEST", "max_age:   0000604800"),
        declared=enforced(),
    ),
    LiveDomain(
        name="xn--bcher-kva.test",
        policy=lines("version: STSv1", "mode: enforce", "mx: xn--mller-kva.mail.test", "max_age: 604800"),
        mx="MX 10 xn--mller-kva.mail.test.",
        declared=enforced("xn--mller-kva.mail.test"),
    ),
    LiveDomain(
        name="none.test",
        policy=lines("version: STSv1", "mode: none", "max_age: 86400"),
        declared={"mode": "none", "max_age": "1d", "mx": [], "ttl": 60},
    ),
    LiveDomain(
        name="none-long.test",
        policy=lines("version: STSv1", "mode: none", "mx: mx.mail.test", "max_age: 604800"),
        declared=enforced(mode="none"),
    ),
    LiveDomain(
        name="odd-age.test",
        policy=lines("version: STSv1", "mode: testing", "mx: mx.mail.test", "max_age: 86401"),
        sts=f"77 TXT {PLAIN}",
        declared=enforced(mode="testing", max_age=86401, ttl=77),
    ),
    LiveDomain(
        name="year.test",
        policy=lines("version: STSv1", "mode: enforce", "mx: mx.mail.test", "max_age: 31557600"),
        sts=f"3600 TXT {PLAIN}",
        declared={"mode": "enforce", "max_age": 31557600, "mx": ["mx.mail.test"]},
    ),
    LiveDomain(
        name="reports.test",
        sts="",
        tlsrpt='60 TXT "v=TLSRPTv1; rua=mailto:tls@reports.test"',
        declared={"sts": False, "tlsrpt": "mailto:tls@reports.test", "ttl": 60},
    ),
    LiveDomain(
        name="strings.test",
        policy=CANONICAL,
        sts='60 TXT "v=STSv1; i" "d=2019" "0429;"',
        tlsrpt='60 TXT "v=TLSRPTv1; rua=mai" "lto:tls@reports.test"',
        declared=enforced(tlsrpt="mailto:tls@reports.test"),
    ),
    LiveDomain(
        name="rua-list.test",
        policy=CANONICAL,
        tlsrpt='60 TXT "v=TLSRPTv1;rua=MAILTO:tls@reports.test ,https://mta-sts.crlf.test/tls; "',
        declared=enforced(tlsrpt=["mailto:tls@reports.test", "https://mta-sts.crlf.test/tls"]),
    ),
    LiveDomain(
        name="delegated.test",
        policy=CANONICAL,
        sts="60 CNAME _mta-sts.crlf.test.",
        tlsrpt='60 TXT "v=TLSRPTv1; rua=mailto:tls@reports.test;"',
        address="CNAME mta-sts.crlf.test.",
        declared={"sts": "elsewhere", "tlsrpt": "mailto:tls@reports.test", "ttl": 60},
    ),
    LiveDomain(name="aliased-host.test", policy=CANONICAL, address="CNAME web.mail.test.", declared=enforced()),
    LiveDomain(name="sub.crlf.test", policy=CANONICAL, zone="crlf.test", declared=enforced()),
    LiveDomain(name="long-id.test", policy=CANONICAL, sts='60 TXT "v=STSv1;id=ABCDEFGHIJabcdefghij012345678901"', declared=enforced()),
    LiveDomain(name="short-id.test", policy=CANONICAL, sts='60 TXT "v=STSv1; id=1"', declared=enforced()),
    LiveDomain(
        name="twice.test",
        policy=lines("version: STSv1", "mode: enforce", "mode: testing", "mx: mx.mail.test", "mx: mx.mail.test", "max_age: 604800"),
        declared=enforced(),
    ),
    LiveDomain(
        name="spare.test",
        policy=lines("version: STSv1", "mode: enforce", "mx: z.mail.test", "mx: mx.mail.test", "mx: *.old.test", "max_age: 604800"),
        declared=enforced("z.mail.test", "mx.mail.test", "*.old.test"),
    ),
    LiveDomain(
        name="no-mx.test",
        policy=lines("version: STSv1", "mode: enforce", "mx: no-mx.test", "max_age: 604800"),
        mx="A 127.0.0.3",
        declared=enforced("no-mx.test"),
    ),
    LiveDomain(name="beside.test", policy=CANONICAL, sts=f'60 TXT {PLAIN}\n_mta-sts 60 TXT "owner=team-mail"', declared=enforced()),
    LiveDomain(
        name="our-form.test",
        policy=CANONICAL,
        sts=f'60 TXT "v=STSv1; id={policy_id(CANONICAL)};"',
        address=f"1 A {WEB}",  # whoever lost the state waits for the TTL of the address
        declared=enforced(),
    ),
]
