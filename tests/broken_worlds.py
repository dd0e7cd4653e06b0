"""The table of broken worlds: each has one fault, and says what `verify` must say, and what two other programs say of the same world.

A world is the domain NAME.test with an enforce policy that names `mx.mail.test`, unless it says otherwise. `codes` are all warnings and
errors. DIFFERENCES has what others say where that is not what we say, and which is right by the RFC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mtasts_deploy.rfc.policy import policy_id

GOOD: Final = b"version: STSv1\r\nmode: enforce\r\nmx: mx.mail.test\r\nmax_age: 604800\r\n"
OUR_ID: Final = str(policy_id(GOOD))
TLSRPT: Final = "v=TLSRPTv1; rua=mailto:tls@mail.test"
DELIVER, UNPROTECTED, NO_MAIL, REFUSE, UNKNOWN = "deliver", "deliver unprotected", "no mail", "refuse", "could not look"


@dataclass(frozen=True, kw_only=True)
class World:
    """One world. `sts` are the TXT lines at `_mta-sts` (None: the right one), `zone` further lines of the zone, `mx` the MX lines.

    `web` are directives of nginx for the file, `server` for its server, which listens at `at`; `certificate` and `mail` name one of the
    kinds that the test makes. `other` is the zone as the second name server has it.
    """

    name: str
    verdict: str
    codes: Sequence[str] = ()
    policy: bytes = GOOD
    sts: Sequence[str] | None = None
    tlsrpt: str = TLSRPT
    zone: str = ""
    mx: str = "@ MX 10 mx.mail.test."
    address: str | None = None
    web: str = ""
    server: str = ""
    at: str = ""
    certificate: str = "good"
    mail: str = ""
    exists: bool = True
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def domain(self) -> str:
        """The mail domain."""
        return f"{self.name}.test"


def _txt(name: str, verdict: str, codes: Sequence[str], *values: str) -> World:
    return World(name=name, verdict=verdict, codes=codes, sts=values)


def _policy(name: str, verdict: str, codes: Sequence[str], policy: bytes) -> World:
    return World(name=name, verdict=verdict, codes=codes, policy=policy)


def _mail(kind: str, verdict: str, *codes: str) -> World:
    policy = GOOD.replace(b"mx.mail.test", f"{kind}.mail.test".encode())
    return World(name=f"smtp-{kind}", verdict=verdict, codes=codes, policy=policy, mx=f"@ MX 10 {kind}.mail.test.", mail=kind)


RECORDS: Final = (
    World(name="fine", verdict=DELIVER),
    World(name="no-record", verdict=UNPROTECTED, sts=()),
    _txt("two-records", UNPROTECTED, ["MTS301"], f'"v=STSv1; id={OUR_ID};"', '"v=STSv1; id=2;"'),
    _txt("three-strings", DELIVER, [], f'"v=STS" "v1; id={OUR_ID[:9]}" "{OUR_ID[9:]};"'),
    _txt("bad-id", UNPROTECTED, ["MTS310"], '"v=STSv1; id=2026-01-01;"'),
    _txt("long-id", UNPROTECTED, ["MTS310"], f'"v=STSv1; id={"a" * 33};"'),
    _txt("no-id", UNPROTECTED, ["MTS309"], '"v=STSv1;"'),
    _txt("upper-id", UNPROTECTED, ["MTS309"], '"v=STSv1; ID=1;"'),
    _txt("lower-version", UNPROTECTED, ["MTS303"], '"v=stsv1; id=1;"'),
    _txt("leading-space", UNPROTECTED, ["MTS303"], '" v=STSv1; id=1;"'),
    _txt("quoted", UNPROTECTED, ["MTS303"], '"\\"v=STSv1; id=1;\\""'),
    _txt("backslash", UNPROTECTED, ["MTS306"], '"v=STSv1\\\\; id=1\\\\;"'),
    _txt("double-semicolon", UNPROTECTED, ["MTS305"], f'"v=STSv1;; id={OUR_ID};"'),
    _txt("space-before-semicolon", DELIVER, ["MTS304"], f'"v=STSv1 ; id={OUR_ID};"'),
    _txt("foreign-txt", DELIVER, ["MTS302"], f'"v=STSv1; id={OUR_ID};"', '"google-site-verification=x"'),
    _txt("extension", DELIVER, [], f'"v=STSv1; id={OUR_ID}; a=b;"'),
    _txt("two-ids", DELIVER, ["MTS311"], f'"v=STSv1; id={OUR_ID}; id=2;"'),
    _txt("foreign-id", DELIVER, [], '"v=STSv1; id=20260101T120000;"'),
    World(name="wildcard-txt", verdict=UNPROTECTED, sts=(), zone='* TXT "v=spf1 -all"\n'),
    World(name="delegated", verdict=DELIVER, sts=(), zone="_mta-sts CNAME record.mail.test.\n"),
    World(name="cname-nowhere", verdict=UNPROTECTED, codes=["MTS564"], sts=(), zone="_mta-sts CNAME nothing.mail.test.\n"),
    World(name="never", verdict=REFUSE, codes=["MTS638"], exists=False),
    World(name="lame", verdict=UNKNOWN, codes=["MTS552", "MTS552", "MTS637"], exists=False),
    World(name="one-lame-server", verdict=DELIVER, codes=["MTS565", "MTS565"], zone="@ NS ns2\nns2 A 127.0.0.11\n"),
    World(
        name="servers-disagree",
        verdict=DELIVER,
        codes=["MTS562"],
        zone="@ NS ns2\nns2 A 127.0.0.11\n",
        extra={"other id": "2"},
    ),
)

TLSRPTS: Final = (
    World(name="no-tlsrpt", verdict=DELIVER, codes=["MTS570"], tlsrpt=""),
    World(name="tlsrpt-no-mx", verdict=DELIVER, codes=["MTS571"], tlsrpt="v=TLSRPTv1; rua=mailto:tls@nobody.test"),
    World(name="tlsrpt-null-mx", verdict=DELIVER, codes=["MTS571"], tlsrpt="v=TLSRPTv1; rua=mailto:tls@null-mx.test"),
    World(name="tlsrpt-dead-https", verdict=DELIVER, codes=["MTS572"], tlsrpt="v=TLSRPTv1; rua=https://dead.mail.test/v1"),
    World(name="tlsrpt-ruf", verdict=DELIVER, codes=["MTS320"], tlsrpt="v=TLSRPTv1; ruf=mailto:tls@mail.test"),
)

WEB: Final = (
    World(name="no-policy-host", verdict=UNPROTECTED, codes=["MTS550"], address=""),
    World(name="host-without-address", verdict=UNPROTECTED, codes=["MTS551"], address='TXT "here"'),
    World(name="moved", verdict=UNPROTECTED, codes=["MTS520"], web="return 301 https://mta-sts.fine.test/.well-known/mta-sts.txt;"),
    World(name="loop", verdict=UNPROTECTED, codes=["MTS520"], web="return 302 $scheme://$host$request_uri;"),
    World(name="not-found", verdict=UNPROTECTED, codes=["MTS521"], web="return 404;"),
    World(name="forbidden", verdict=UNPROTECTED, codes=["MTS521"], web="return 403;"),
    World(name="server-error", verdict=UNPROTECTED, codes=["MTS521"], web="return 500;"),
    World(name="no-content", verdict=UNPROTECTED, codes=["MTS521"], web="return 204;"),
    World(name="html-type", verdict=UNPROTECTED, codes=["MTS523"], web="default_type text/html;"),
    World(name="octet-stream", verdict=UNPROTECTED, codes=["MTS523"], web="default_type application/octet-stream;"),
    World(name="no-type", verdict=UNPROTECTED, codes=["MTS522"], web='default_type "";'),
    World(name="upper-type", verdict=DELIVER, codes=["MTS528"], web="default_type Text/Plain;"),
    World(name="encoded", verdict=UNPROTECTED, codes=["MTS524"], web="add_header Content-Encoding gzip;"),
    World(name="slow-drip", verdict=UNPROTECTED, codes=["MTS505"], web="limit_rate 4;"),
    World(
        name="browsers-only",
        verdict=UNPROTECTED,
        codes=["MTS521", "MTS537"],
        web="if ($http_user_agent !~ Mozilla) { return 403; }",
    ),
    World(name="web-expired", verdict=UNPROTECTED, codes=["MTS510"], certificate="expired"),
    World(name="web-not-yet", verdict=UNPROTECTED, codes=["MTS511"], certificate="not-yet"),
    World(name="web-other-name", verdict=UNPROTECTED, codes=["MTS512"], certificate="other-name"),
    World(name="web-self-signed", verdict=UNPROTECTED, codes=["MTS513"], certificate="self-signed"),
    World(name="web-unknown-ca", verdict=UNPROTECTED, codes=["MTS514"], certificate="unknown-ca"),
    World(name="web-no-intermediate", verdict=UNPROTECTED, codes=["MTS514"], certificate="no-intermediate"),
    World(name="web-common-name", verdict=UNPROTECTED, codes=["MTS512"], certificate="common-name"),
    World(name="web-partial-wildcard", verdict=UNPROTECTED, codes=["MTS512"], certificate="partial-wildcard"),
    World(name="web-wildcard", verdict=DELIVER, certificate="wildcard"),
    World(name="web-ends-soon", verdict=DELIVER, codes=["MTS538"], certificate="soon"),
    World(
        name="web-tls11",
        verdict=UNPROTECTED,
        codes=["MTS516"],
        at="127.2.0.1",
        server='ssl_protocols TLSv1.1; ssl_ciphers "ALL:@SECLEVEL=0";',
    ),
    World(name="web-no-sni", verdict=UNPROTECTED, codes=["MTS518"], at="127.2.0.2", server="ssl_reject_handshake on;"),
    World(name="web-refused", verdict=UNPROTECTED, codes=["MTS500"], address="A 127.2.0.99"),
    World(name="web-silent", verdict=UNPROTECTED, codes=["MTS501"], address="A 127.9.0.1"),
    World(name="web-closing", verdict=UNPROTECTED, codes=["MTS503"], web="return 444;"),
    World(name="web-dead-aaaa", verdict=DELIVER, codes=["MTS500"], address="A 127.0.0.2\nmta-sts AAAA fd00:25::2"),
    World(name="web-only-aaaa", verdict=DELIVER, codes=["MTS529"], address="AAAA ::1", at="[::1]"),
    World(name="web-two-policies", verdict=DELIVER, codes=["MTS534", "MTS535"], address="A 127.0.0.2\nmta-sts A 127.2.0.3"),
)

POLICIES: Final = (
    _policy("line-feeds", DELIVER, [], GOOD.replace(b"\r\n", b"\n")),
    _policy("no-final-newline", DELIVER, [], GOOD.rstrip(b"\r\n")),
    _policy("bom", UNPROTECTED, ["MTS220"], b"\xef\xbb\xbf" + GOOD),
    _policy("utf16", UNPROTECTED, ["MTS220"], GOOD.decode().encode("utf-16")),
    _policy("large", UNPROTECTED, ["MTS525"], GOOD + b"x: y\r\n" * 11000),
    _policy(
        "nine-kib",
        DELIVER,
        ["MTS238", "MTS631"],
        GOOD.replace(b"max_age", b"".join(b"mx: mx%d.mail.test\r\n" % n for n in range(500)) + b"max_age"),
    ),
    _policy("blank-line", UNPROTECTED, ["MTS221"], GOOD.replace(b"mx:", b"\r\nmx:")),
    _policy("comment", UNPROTECTED, ["MTS223"], b"# ours\r\n" + GOOD),
    _policy("html-page", UNPROTECTED, ["MTS223"], b"<!doctype html><title>hello</title>"),
    _policy("json", UNPROTECTED, ["MTS222"], b'{"version": "STSv1"}'),
    _policy("empty", UNPROTECTED, ["MTS221"], b""),
    _policy("bare-star", UNPROTECTED, ["MTS210"], GOOD.replace(b"mx.mail.test", b"*")),
    _policy("trailing-dot", UNPROTECTED, ["MTS212"], GOOD.replace(b"mx.mail.test", b"mx.mail.test.")),
    _policy("comma-list", UNPROTECTED, ["MTS214"], GOOD.replace(b"mx.mail.test", b"mx.mail.test, b.mail.test")),
    _policy("no-mode", UNPROTECTED, ["MTS239"], GOOD.replace(b"mode: enforce\r\n", b"")),
    _policy("policy-without-mx", UNPROTECTED, ["MTS232"], GOOD.replace(b"mx: mx.mail.test\r\n", b"")),
    _policy("unknown-mode", UNPROTECTED, ["MTS228"], GOOD.replace(b"enforce", b"report")),
    _policy("upper-mode", UNPROTECTED, ["MTS228"], GOOD.replace(b"enforce", b"Enforce")),
    _policy("version-2", UNPROTECTED, ["MTS227"], GOOD.replace(b"STSv1", b"STSv2")),
    _policy("max-age-words", UNPROTECTED, ["MTS229"], GOOD.replace(b"604800", b"one week")),
    _policy("max-age-huge", UNPROTECTED, ["MTS230"], GOOD.replace(b"604800", b"31557601")),
    _policy("max-age-zero", DELIVER, ["MTS231"], GOOD.replace(b"604800", b"0")),
    _policy("max-age-hour", DELIVER, ["MTS233"], GOOD.replace(b"604800", b"3600")),
    _policy("mode-twice", UNPROTECTED, ["MTS234"], GOOD.replace(b"mode:", b"mode: testing\r\nmode:")),
    _policy("testing", UNPROTECTED, [], GOOD.replace(b"enforce", b"testing")),
    _policy("none", UNPROTECTED, [], GOOD.replace(b"enforce", b"none")),
    World(
        name="policy-alone",
        verdict=DELIVER,
        codes=["MTS233", "MTS534"],
        policy=GOOD.replace(b"604800", b"86400"),
        sts=(f'"v=STSv1; id={OUR_ID};"',),
    ),
    World(name="id-alone", verdict=DELIVER, codes=["MTS534"], sts=('"v=STSv1; id=0123456789abcdef01234567;"',)),
)

MX: Final = (
    World(name="null-mx", verdict=NO_MAIL, codes=["MTS632"], mx="@ MX 0 ."),
    World(name="null-mx-beside", verdict=DELIVER, codes=["MTS635"], mx="@ MX 0 .\n@ MX 10 mx.mail.test."),
    World(name="no-mx", verdict=NO_MAIL, codes=["MTS639"], mx=""),
    World(name="implicit-mx", verdict=REFUSE, codes=["MTS622", "MTS630"], mx="@ A 127.0.0.3"),
    World(
        name="mx-cname", verdict=DELIVER, codes=["MTS633"], policy=GOOD.replace(b"mx.mail", b"alias.mail"), mx="@ MX 10 alias.mail.test."
    ),
    World(name="mx-missing", verdict=REFUSE, codes=["MTS636"], policy=GOOD.replace(b"mx.mail", b"gone.mail"), mx="@ MX 10 gone.mail.test."),
    World(name="mx-not-named", verdict=REFUSE, codes=["MTS630"], mx="@ MX 10 other.mail.test."),
    World(name="mx-one-not-named", verdict=DELIVER, codes=["MTS630"], mx="@ MX 10 other.mail.test.\n@ MX 20 mx.mail.test."),
    World(
        name="wildcard-too-deep",
        verdict=REFUSE,
        codes=["MTS630"],
        policy=GOOD.replace(b"mx.mail", b"*.mail"),
        mx="@ MX 10 very.deep.mail.test.",
    ),
    World(name="wildcard-right", verdict=DELIVER, policy=GOOD.replace(b"mx.mail", b"*.mail")),
    World(
        name="backup-broken",
        verdict=DELIVER,
        codes=["MTS620"],
        policy=GOOD.replace(b"mx: ", b"mx: expired.mail.test\r\nmx: "),
        mx="@ MX 10 mx.mail.test.\n@ MX 20 expired.mail.test.",
    ),
    World(
        name="mx-dead-aaaa", verdict=DELIVER, codes=["MTS600"], policy=GOOD.replace(b"mx.mail", b"six.mail"), mx="@ MX 10 six.mail.test."
    ),
)

SMTP: Final = (
    _mail("expired", REFUSE, "MTS620"),
    _mail("not-yet", REFUSE, "MTS621"),
    _mail("other-name", REFUSE, "MTS622"),
    _mail("common-name", REFUSE, "MTS622"),
    _mail("self-signed", REFUSE, "MTS623"),
    _mail("unknown-ca", REFUSE, "MTS624"),
    _mail("no-intermediate", REFUSE, "MTS624"),
    _mail("soon", DELIVER, "MTS626"),
    _mail("wildcard", DELIVER),
    _mail("no-starttls", REFUSE, "MTS610"),
    _mail("stripped", REFUSE, "MTS610"),
    _mail("tls11", REFUSE, "MTS613"),
    _mail("late", REFUSE, "MTS605"),
    _mail("no-key", REFUSE, "MTS611"),
    _mail("turning-away", UNKNOWN, "MTS606"),
    _mail("refusing", REFUSE, "MTS600"),
    _mail("silent", REFUSE, "MTS601"),
    _mail("garbage", REFUSE, "MTS609"),
    _mail("closing", REFUSE, "MTS603"),
    _mail("endless", REFUSE, "MTS609"),
    _mail("lines", REFUSE, "MTS609"),
    _mail("dripping", REFUSE, "MTS605"),
    _mail("deaf", REFUSE, "MTS605"),
)

WORLDS: Final = (*RECORDS, *TLSRPTS, *WEB, *POLICIES, *MX, *SMTP)
"""Every world."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What another program says of a world: postfix-mta-sts-resolver the mode that it takes ("error": no policy, "none": no record),
    checkdmarc "valid", "invalid" or "hangs"; empty: the same as we. `why` cites the RFC.
    """

    resolver: str = ""
    checkdmarc: str = ""
    why: str


_ID: Final = "the resolver does not check the id. RFC 8461 §3.1: 1 to 32 letters and digits, and a record that breaks the grammar is none"
_FIELD: Final = "the resolver splits at any `;`. RFC 8461 §3.1: nothing stands between two delimiters"
_MX: Final = "the resolver does not check mx values. RFC 8461 §3.2: a host name, or `*.` before one"
_TYPE: Final = "checkdmarc only warns of the media type. RFC 8461 §3.2: senders should check that it is text/plain"
_LINES: Final = "they skip such lines. RFC 8461 §3.2: each line is a field, and there is neither a blank line nor a comment"

DIFFERENCES: Final = {
    "bad-id": Difference(resolver="enforce", why=_ID),
    "long-id": Difference(resolver="enforce", why=_ID),
    "double-semicolon": Difference(resolver="enforce", why=_FIELD),
    "html-type": Difference(checkdmarc="valid", why=_TYPE),
    "octet-stream": Difference(checkdmarc="valid", why=_TYPE),
    "no-type": Difference(checkdmarc="valid", why=_TYPE),
    "slow-drip": Difference(
        checkdmarc="hangs", why="checkdmarc's timeout starts again with each octet. RFC 8461 §3.3: senders limit the time of a fetch"
    ),
    "browsers-only": Difference(
        checkdmarc="valid", why="checkdmarc calls itself a browser. RFC 8461 §3.3: the policy is for senders, and none of them is a browser"
    ),
    "large": Difference(
        checkdmarc="valid", why="checkdmarc reads any number of octets. RFC 8461 §3.3: senders may stop, 64 KiB are suggested"
    ),
    "web-common-name": Difference(
        resolver="enforce", why="the resolver takes a common name for a name. RFC 8461 §3.3: only DNS-IDs in subjectAltName count"
    ),
    "blank-line": Difference(resolver="enforce", checkdmarc="valid", why=_LINES),
    "comment": Difference(resolver="enforce", why=_LINES),
    "bare-star": Difference(resolver="enforce", why=_MX),
    "trailing-dot": Difference(resolver="enforce", why=_MX),
    "comma-list": Difference(resolver="enforce", why=_MX),
    "mode-twice": Difference(
        resolver="enforce", why="the resolver lets the last one win. RFC 8461 §3.2: all entries but the first are ignored"
    ),
}
"""By the name of the world."""
