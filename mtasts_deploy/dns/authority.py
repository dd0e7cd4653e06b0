"""Which zone holds a name, from the server itself: for providers that speak DNS (RFC 2136) and cannot list their zones."""

from __future__ import annotations

from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring

from mtasts_deploy.facts import ZoneName


def can_ask(provider: Any) -> bool:
    """Has this provider a DNS server that can be asked?"""
    return all(hasattr(provider, name) for name in ("host", "port", "timeout", "key_name", "key_secret", "key_algorithm"))


def zone_of(provider: Any, name: str) -> ZoneName | None:
    """The zone on that server that holds the name, by the SOA record in its authoritative answer; None if it has no such zone.

    Raises `OSError` and exceptions of dnspython when it does not answer. RFC 1034 §4.3.2, RFC 2308 §2.
    """
    at = dns.name.from_text(name)
    while at != dns.name.root:
        answer = _ask(provider, at)
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED, dns.rcode.NOTAUTH):
            raise OSError(f"it answers {dns.rcode.to_text(answer.rcode())} about {at}")
        if answer.flags & dns.flags.AA:
            for section in (answer.answer, answer.authority):
                for rrset in section:
                    if rrset.rdtype == dns.rdatatype.SOA and at.is_subdomain(rrset.name):
                        return ZoneName(rrset.name.to_text().lower())
        at = at.parent()  # a referral (the name is delegated) or not its zone: the zone may lie above
    return None


def _ask(provider: Any, name: dns.name.Name) -> dns.message.Message:
    query = dns.message.make_query(name, dns.rdatatype.SOA)
    query.flags &= ~dns.flags.RD
    if provider.key_name is None:
        return _sent(provider, query)
    keyring = dns.tsigkeyring.from_text({str(provider.key_name): str(provider.key_secret)})
    query.use_tsig(keyring, algorithm=provider.key_algorithm or dns.tsig.default_algorithm)
    try:
        return _sent(provider, query)
    except dns.exception.FormError:  # some servers do not sign what they say about zones that are not theirs
        unsigned = dns.message.make_query(name, dns.rdatatype.SOA)
        return _sent(provider, unsigned)


def _sent(provider: Any, query: dns.message.Message) -> dns.message.Message:
    return dns.query.tcp(query, provider.host, port=provider.port, timeout=provider.timeout)
