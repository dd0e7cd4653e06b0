"""The codes of MX hosts: MTS600 to MTS641."""

from __future__ import annotations

from typing import Final

from mtasts_deploy.catalogue.entry import Entry

_FAILS: Final = "Under a policy in `enforce`, no sender that honours it delivers to this address. TLS reports call it "
_VALIDATION: Final = "validation-failure"
_NO_STARTTLS: Final = "starttls-not-supported"
_UNTRUSTED: Final = "certificate-not-trusted"
_AT: Final = "RFC 8461 §4"
_CERTIFICATE: Final = "RFC 8461 §4.2"
_MX: Final = "RFC 5321 §5.1"


def _failing(code: str, title: str, why: str, fix: str, reported: str, *, ref: str = _AT, good: str = "") -> Entry:
    return Entry(code=code, title=title, why=f"{why} {_FAILS}`{reported}`.".strip(), fix=fix, ref=ref, reported=reported, good=good)


ENTRIES: Final[tuple[Entry, ...]] = (
    _failing(
        "MTS600",
        "An MX host refuses connections",
        "Nothing listens there on port 25.",
        "Start the mail server, or remove the address from DNS.",
        _VALIDATION,
    ),
    _failing(
        "MTS601",
        "An MX host does not answer",
        "Others answer on port 25, so the way there is open.",
        "Look at its firewall and whether the address is still right.",
        _VALIDATION,
    ),
    _failing(
        "MTS602",
        "An MX host cannot be reached",
        "No route leads to its address.",
        "Look whether the address is still right: a private one is of no use to senders.",
        _VALIDATION,
    ),
    _failing(
        "MTS603",
        "An MX host closes the connection before TLS",
        "It accepts the connection and gives up.",
        "Look at its log, and at what stands before it.",
        _VALIDATION,
    ),
    Entry(
        code="MTS604",
        title="An MX host has an address of a family that this machine does not have",
        why="Senders with IPv6 may use that address, and nobody here knows what it offers.",
        fix="Run where both families work.",
        ref=_AT,
    ),
    _failing(
        "MTS605",
        "An MX host does not come to TLS in time",
        "Greeting, EHLO, STARTTLS and handshake together took longer than `--timeout`.",
        "Look at its load. A greeting may be held back for some seconds, not for minutes.",
        _VALIDATION,
    ),
    Entry(
        code="MTS606",
        title="An MX host turns this machine away",
        why="It greets with an error, as mail servers do with addresses of bad repute. What it offers to others is not known.",
        fix="Look from a machine that sends mail: `deploy verify --out evidence.json` there.",
        ref="RFC 5321 §3.1",
    ),
    Entry(
        code="MTS607",
        title="Port 25 seems to be blocked from this machine",
        why="No MX host has answered, of any domain. Networks of offices, homes and clouds often block the port. Nothing is known about "
        "the MX hosts, and that is neither good nor bad.",
        fix="Run `deploy verify` on a machine that may send mail. `--no-smtp` looks at everything else.",
        ref=_AT,
    ),
    Entry(
        code="MTS608",
        title="An MX host greets late",
        why="Some senders do not wait so long.",
        fix="Hold the greeting back for a few seconds at most.",
        ref="RFC 5321 §4.5.3.2.1",
    ),
    _failing(
        "MTS609",
        "What answers on port 25 is no mail server",
        "Its answers are not SMTP, or do not end.",
        "Look which program listens there.",
        _VALIDATION,
    ),
    _failing(
        "MTS610",
        "An MX host does not offer STARTTLS",
        "Without it there is no encryption. Where it is struck out (`XXXXXXXA`), a firewall or an attacker on the way does that.",
        "Switch STARTTLS on, with the certificate of the MX host's name; switch off firewalls that rewrite SMTP.",
        _NO_STARTTLS,
        good="smtpd_tls_security_level = may",
    ),
    _failing(
        "MTS611",
        "An MX host offers STARTTLS and refuses it",
        "Often its certificate or key file cannot be read.",
        "Look at its log.",
        _NO_STARTTLS,
    ),
    _failing(
        "MTS613",
        "An MX host does not speak TLS 1.2 or newer",
        "Senders do not use older versions.",
        "Switch on TLS 1.2 and 1.3.",
        _VALIDATION,
        ref="RFC 8461 §7.2",
    ),
    _failing(
        "MTS614",
        "The TLS handshake with an MX host fails",
        "The two sides have found no common ground.",
        "Look at the log of the server. It must not need a name in the handshake (SNI) that it does not know.",
        _VALIDATION,
        ref="RFC 8461 §7.1",
    ),
    _failing(
        "MTS620",
        "The certificate of an MX host has expired",
        "",
        "Renew it, restart the mail server, and look why it was not renewed by itself.",
        "certificate-expired",
        ref=_CERTIFICATE,
    ),
    _failing(
        "MTS621",
        "The certificate of an MX host is not valid yet",
        "",
        "Look at the clock of this machine, or wait until the certificate begins.",
        _UNTRUSTED,
        ref=_CERTIFICATE,
    ),
    _failing(
        "MTS622",
        "The certificate of an MX host is for another name",
        "It must name the host as it stands in the MX record: neither the mail domain nor the target of a CNAME counts.",
        "Get a certificate for that name, or name the host in the MX record that the certificate is for (and in the policy, first).",
        "certificate-host-mismatch",
        ref=_CERTIFICATE,
    ),
    _failing(
        "MTS623",
        "The certificate of an MX host comes from no trusted CA",
        "Self-signed certificates and private CAs are fine for DANE and for nobody else.",
        "Get a certificate from a public CA.",
        _UNTRUSTED,
        ref=_CERTIFICATE,
    ),
    _failing(
        "MTS624",
        "An MX host does not send its whole certificate chain",
        "Senders do not fetch what is missing.",
        "Let it send the intermediate certificates, too.",
        _UNTRUSTED,
        ref=_CERTIFICATE,
        good="smtpd_tls_chain_files = /etc/letsencrypt/live/mx1.example.com/privkey.pem, …/fullchain.pem",
    ),
    _failing("MTS625", "The certificate of an MX host has been revoked", "", "Replace it.", _UNTRUSTED, ref=_CERTIFICATE),
    Entry(
        code="MTS626",
        title="The certificate of an MX host ends soon",
        why="After its end, no sender that honours a policy in `enforce` delivers there.",
        fix="Renew it, restart the mail server, and look why it has not been renewed by itself: it has less than 14 days.",
        ref=_CERTIFICATE,
    ),
    Entry(
        code="MTS630",
        title="The policy does not name an MX host",
        why="Under `enforce` senders do not deliver there; if no MX host is named, the domain gets no mail from them.",
        fix="Add the host to the policy, with a new id, before it becomes an MX host. `mx: zone` follows the zone.",
        bad="example.com. MX 10 mx2.example.com.   # the policy has only mx: mx1.example.com",
        good="mx: mx2.example.com",
        ref="RFC 8461 §4.1",
        reported=_VALIDATION,
    ),
    Entry(
        code="MTS631",
        title="The policy names what is no MX host",
        why="That is right before and after a move. For ever, it lets whoever holds such a host take mail for the domain.",
        fix="Remove what is not about to be used.",
        ref="RFC 8461 §4.1",
    ),
    Entry(
        code="MTS632",
        title="The domain has a null MX",
        why="It takes no mail, so a policy protects nothing.",
        fix="Retire the policy, or give the domain an MX host.",
        ref="RFC 7505 §3",
    ),
    Entry(
        code="MTS633",
        title="An MX host is a CNAME",
        why="MX records must not lead to a CNAME. Some senders compare the name in the MX record, some the target.",
        fix="Name the target in the MX record, after the policy and the certificate name it.",
        ref=_MX,
    ),
    Entry(
        code="MTS634",
        title="The domain has no MX record and is its own MX host",
        why="That is legal; the policy must then name the domain itself.",
        fix="An MX record says it in the open.",
        ref=_MX,
    ),
    Entry(
        code="MTS635",
        title="A null MX stands beside other MX records",
        why="It must stand alone. Some senders then deliver no mail.",
        fix="Remove the null MX, or the others.",
        bad="example.com. MX 0 .\nexample.com. MX 10 mx1.example.com.",
        ref="RFC 7505 §3",
    ),
    Entry(
        code="MTS636",
        title="An MX host does not exist or has no address",
        why="Nothing can be delivered there. If the name can be registered, whoever does it takes the mail.",
        fix="Remove the MX record, or give the name an address.",
        ref=_MX,
    ),
    Entry(
        code="MTS637",
        title="MX hosts could not be looked up",
        why="A name server failed or did not answer. That is not the same as a name that is missing.",
        fix="Look at the zone with `dig +trace`, or name another resolver with `--resolver`.",
        ref=_MX,
    ),
    Entry(
        code="MTS638",
        title="The domain does not exist",
        why="It takes no mail.",
        fix="Look at the spelling, and whether the registration has expired.",
        ref=_MX,
    ),
    Entry(
        code="MTS639",
        title="The domain has neither an MX record nor an address",
        why="It takes no mail.",
        fix="Add an MX record; for a domain without mail, a null MX.",
        good="example.com. MX 0 .",
        ref=_MX,
    ),
    Entry(
        code="MTS640",
        title="An MX host has TLSA records: DANE",
        why="Senders with DANE follow these, and MTA-STS must never override a failure of DANE. Both must be right.",
        fix="Nothing. Remember the TLSA records when the certificate changes.",
        ref="RFC 8461 §2",
    ),
    Entry(
        code="MTS641",
        title="An MX host has TLSA records that DNSSEC does not prove",
        why="Senders ignore them. Perhaps the zone is not signed, perhaps the resolver that was asked does not validate.",
        fix="Sign the zones of the MX host and of the domain; ask through a resolver that validates.",
        ref="RFC 8461 §2",
    ),
)
