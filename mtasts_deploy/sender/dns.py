"""Questions to DNS: to the resolver, and to the servers of a zone themselves.

A caching resolver that is asked for a name that is not there yet keeps saying so for the zone's negative TTL (RFC 2308), to us and to
every sender that uses it. So a name that may be missing is asked at its zone's own servers first.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.sender.names import Addresses, Authority, Outcome, Reply, failed, lagging, missing
from mtasts_deploy.sender.options import Endpoint, Looking

PORT: Final = 53
_PATIENCE: Final = 3.0  # seconds for one question to one server
_PAYLOAD: Final = 1232  # octets, the size that no path fragments
_GIVEN_UP: Final = 2  # questions without an answer
_REST: Final = 60.0  # seconds
_DEPTH: Final = 8  # delegations below the zone that the resolver knows


class Dns:
    """Looks names up. Names are A-labels without the root dot. May be used from several threads.

    Where zones are served is remembered as long as this lives, which is one run: no TTL is kept, so make another one for another look at
    the world. Threads that ask for the same zone at once may both look; what either finds counts.
    """

    def __init__(self, looking: Looking) -> None:
        """The resolver of `looking`, else those of the system. Its detours count for addresses at port 53, if that port is named."""
        self._looking = looking
        self._zones: dict[str, Authority] = {}
        self._tops: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._servers: dict[str, tuple[str, ...]] = {}
        self._silent: dict[str, tuple[int, float]] = {}
        self._resolvers: tuple[Endpoint, ...] = () if looking.resolver is None else (looking.resolver,)

    def ask(self, name: str, kind: str) -> Reply:
        """What the resolver says; the next one is asked where one fails. Never raises."""
        reply = Reply(name=name, kind=kind, server="the system", outcome=Outcome.FAILED, rcode="no resolver is configured")
        for _ in range(2):
            for end in self._recursive():
                reply = self._exchange(end, name, kind, recurse=True)
                if reply.answered:
                    return reply
        return reply

    def ask_authoritative(self, name: str, kind: str, *, exists: bool = False) -> tuple[Reply, ...]:
        """What each server of the zone says for itself; empty where no server is known."""
        authority, first = self._settled(name, kind, exists=exists)
        return tuple(
            first if first is not None and server == first.server else self._ask_patiently(server, name, kind)
            for server in authority.servers
        )

    def txt(self, name: str) -> Reply:
        """The TXT values at a name, as the resolver sees them. For a name that exists; else ask its zone's servers."""
        return self.ask(name, "TXT")

    def authority(self, name: str, *, exists: bool = False) -> Authority:
        """The zone that holds `name`, with its servers: from the zone of the name above it (or of itself if it certainly `exists`) down
        the delegations. Remembered.
        """
        return self._settled(name, "A", exists=exists)[0]

    def addresses(self, name: str, *, known: bool) -> Addresses:
        """The IPv4 and IPv6 addresses of a name. Unless it is `known` to be there, the zone's own servers are asked first.

        A name that one of these servers does not have is missing, whatever the resolver would say, and the resolver is not asked.
        """
        own: tuple[Reply, ...] = ()
        if not known:
            own = self._own(name)
            denied = [reply for reply in own if reply.outcome in (Outcome.NO_NAME, Outcome.NO_DATA)]
            if denied:
                return Addresses(name=name, problem=missing(name, denied[0]))
        replies = [self.ask(name, kind) for kind in ("A", "AAAA")]
        found = _joined(name, replies)
        if found is not None:
            return found
        denied = [reply for reply in replies if reply.outcome in (Outcome.NO_NAME, Outcome.NO_DATA)]
        direct = _joined(name, own)
        if direct is not None and denied:
            return replace(direct, problem=lagging(name, own[0], denied[0]))
        unanswered = [reply for reply in replies if not reply.answered]
        return Addresses(name=name, problem=failed(name, unanswered[0]) if unanswered else missing(name, denied[0]))

    def _own(self, name: str) -> tuple[Reply, ...]:
        """What the zone's servers have at that name: per server the answer with addresses, if there is one; no failures."""
        authority = self.authority(name)
        found = []
        for server in authority.servers:
            replies = [self._ask_one(server, name, kind) for kind in ("A", "AAAA")]
            answered = [reply for reply in replies if reply.answered]
            there = [reply for reply in answered if reply.outcome is Outcome.FOUND or reply.aliased]
            # A CNAME to elsewhere is there, although this server does not know where it leads.
            found += [replace(reply, outcome=Outcome.FOUND) for reply in there] or answered[:1]
        return tuple(found)

    # --- where a zone is served ---

    def _settled(self, name: str, kind: str, *, exists: bool) -> tuple[Authority, Reply | None]:
        """`authority`, and what one of its servers says of that kind if it was asked just now to find that out."""
        known, reply = self._zones.get(name), None
        if known is None or known.problem is not None:
            known, reply = self._find(name, kind, name if exists else _above(name))
            self._zones[name] = known
        return known, reply

    def _find(self, name: str, kind: str, above: str) -> tuple[Authority, Reply | None]:
        if (known := self._tops.get(above)) is not None:  # `_mta-sts`, `mta-sts` and `_smtp._tls` are asked about together
            apex, servers = known
        else:
            reply, apex, names = self._apex(above)
            if not apex:
                why = failed(above, reply).message if not reply.answered else f"{above} has no zone"
                return Authority(problem=_homeless(name, why)), None
            servers = self._addresses_of(names)
            if servers:
                self._tops[above] = apex, servers
        answer = None
        for _ in range(_DEPTH):
            answer, below = self._delegation(servers, name, kind, apex)
            if below is None:
                break
            apex, servers = below
        if not servers:
            return Authority(zone=apex, problem=_homeless(name, f"no address is known for the servers of {apex}")), None
        return Authority(zone=apex, servers=servers), answer

    def _apex(self, name: str) -> tuple[Reply, str, tuple[str, ...]]:
        """The zone that a name is in, and the names of its servers. The name is there, so nothing is spoilt by asking.

        A name with NS records of its own is an apex; else the owner of the SOA record that comes with the "no" is (RFC 2308 §3).
        """
        reply = Reply(name=name, kind="NS", server="the system", outcome=Outcome.FAILED, rcode="no resolver is configured")
        for end in self._recursive():
            message = self._message(end, name, "NS", recurse=True)
            if isinstance(message, Reply):
                reply = message
                continue
            reply = _reply(message, name, "NS", str(end))
            if reply.outcome is Outcome.FOUND and not reply.aliased:
                return reply, name, reply.values
            for rrset in message.authority:
                if rrset.rdtype == dns.rdatatype.SOA:
                    apex = _text(rrset.name)
                    return reply, apex, self.ask(apex, "NS").values
        return reply, "", ()

    def _delegation(
        self, servers: Iterable[str], name: str, kind: str, apex: str
    ) -> tuple[Reply | None, tuple[str, tuple[str, ...]] | None]:
        """What the first of these servers that knows says about the name, or the zone below `apex` that it sends us to."""
        for server in servers:
            if self._given_up(server):
                continue
            end = self._end(server)
            message = self._message(end, name, kind, recurse=False)
            if isinstance(message, Reply):
                self._mark(server, message)
                continue
            if message.flags & dns.flags.AA or message.answer:
                return replace(_own_reply(message, name, kind, str(end)), server=server), None
            for rrset in message.authority:
                owner = _text(rrset.name)
                if rrset.rdtype == dns.rdatatype.NS and owner != apex and (name == owner or name.endswith("." + owner)):
                    glue = [_texts(extra) for extra in message.additional if extra.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)]
                    found = tuple(dict.fromkeys(address for addresses in glue for address in addresses))
                    return None, (owner, found or self._addresses_of(_texts(rrset)))
        return None, None

    def _addresses_of(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(address for name in names for address in self._server(name)))

    def _server(self, name: str) -> tuple[str, ...]:
        """The addresses of a name server; remembered, as a few of them serve thousands of zones."""
        found = self._servers.get(name)
        if found is None:
            replies = [self.ask(name, kind) for kind in ("A", "AAAA")]
            found = tuple(value for reply in replies for value in self._plain(reply))
            if found and all(reply.answered for reply in replies):
                self._servers[name] = found
        return found

    def _plain(self, reply: Reply) -> tuple[str, ...]:
        return reply.values if reply.outcome is Outcome.FOUND else ()

    # --- one question to one server ---

    def _recursive(self) -> tuple[Endpoint, ...]:
        if not self._resolvers:
            try:
                system = dns.resolver.Resolver()
            except (dns.exception.DNSException, OSError):
                return ()
            self._resolvers = tuple(Endpoint(address=str(server), port=PORT) for server in system.nameservers)
        return self._resolvers

    def _end(self, address: str) -> Endpoint:
        for detour in self._looking.detours:
            if detour.port == PORT and detour.covers(address, PORT):
                return detour.to
        return Endpoint(address=address, port=PORT)

    def _ask_patiently(self, server: str, name: str, kind: str) -> Reply:
        """As `_ask_one`, but a server that gave no answer twice in a row is left alone for a minute: it may serve thousands of zones."""
        if self._given_up(server):
            return Reply(name=name, kind=kind, server=server, outcome=Outcome.TIMEOUT)
        reply = self._ask_one(server, name, kind)
        self._mark(server, reply)
        return reply

    def _given_up(self, server: str) -> bool:
        count, last = self._silent.get(server, (0, 0.0))
        return count >= _GIVEN_UP and time.monotonic() - last < _REST

    def _mark(self, server: str, reply: Reply) -> None:
        """Note whether the server has kept silent."""
        if reply.outcome is Outcome.TIMEOUT:
            self._silent[server] = (self._silent.get(server, (0, 0.0))[0] + 1, time.monotonic())
        else:
            self._silent.pop(server, None)

    def _ask_one(self, server: str, name: str, kind: str) -> Reply:
        reply = self._exchange(self._end(server), name, kind, recurse=False)
        return replace(reply, server=server)

    def _exchange(self, end: Endpoint, name: str, kind: str, *, recurse: bool) -> Reply:
        message = self._message(end, name, kind, recurse=recurse)
        if isinstance(message, Reply):
            return message
        return _reply(message, name, kind, str(end)) if recurse else _own_reply(message, name, kind, str(end))

    def _message(self, end: Endpoint, name: str, kind: str, *, recurse: bool) -> dns.message.Message | Reply:
        try:
            question = dns.message.make_query(dns.name.from_text(name + "."), kind, use_edns=0, payload=_PAYLOAD)
        except dns.exception.DNSException as error:  # a name that others made, longer than names can be
            return Reply(name=name, kind=kind, server=str(end), outcome=Outcome.FAILED, rcode=f"it is no name ({error})")
        if recurse:
            question.flags |= dns.flags.AD  # RFC 6840 §5.7: tell us whether DNSSEC proves it
        else:
            question.flags &= ~dns.flags.RD
        began = time.monotonic()
        try:
            answer, _ = dns.query.udp_with_fallback(question, end.address, timeout=_PATIENCE, port=end.port, ignore_unexpected=True)
        except dns.exception.Timeout:
            return Reply(name=name, kind=kind, server=str(end), outcome=Outcome.TIMEOUT)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            refused = isinstance(error, ConnectionError | socket.gaierror) or time.monotonic() - began < _PATIENCE
            outcome = Outcome.FAILED if refused else Outcome.TIMEOUT
            return Reply(name=name, kind=kind, server=str(end), outcome=outcome, rcode=str(error) or type(error).__name__)
        return answer


def _reply(message: dns.message.Message, name: str, kind: str, server: str) -> Reply:
    """What a message says about the question."""
    rcode = message.rcode()
    authentic = bool(message.flags & dns.flags.AD)
    base = Reply(name=name, kind=kind, server=server, outcome=Outcome.FAILED, rcode=dns.rcode.to_text(rcode), authentic=authentic)
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) or not isinstance(message, dns.message.QueryMessage):
        return base
    try:
        chain = message.resolve_chaining()
    except dns.exception.DNSException as error:
        return replace(base, rcode=str(error) or type(error).__name__)
    canonical = _text(chain.canonical_name)
    if chain.answer is None:
        outcome = Outcome.NO_NAME if rcode == dns.rcode.NXDOMAIN and canonical == name else Outcome.NO_DATA
        return replace(base, outcome=outcome, canonical=canonical, negative_ttl=_negative(message), rcode="")
    texts = tuple(b"".join(rdata.strings) for rdata in chain.answer) if chain.answer.rdtype == dns.rdatatype.TXT else ()
    values = () if texts else _texts(chain.answer)
    return replace(base, outcome=Outcome.FOUND, values=values, texts=texts, ttl=chain.minimum_ttl, canonical=canonical, rcode="")


def _own_reply(message: dns.message.Message, name: str, kind: str, server: str) -> Reply:
    """What a server says for itself: only what it serves counts."""
    reply = _reply(message, name, kind, server)
    if reply.answered and not message.flags & dns.flags.AA:
        return replace(reply, outcome=Outcome.FAILED, rcode="it does not serve this zone")
    return reply


def _negative(message: dns.message.Message) -> int | None:
    """How long this "no" may be kept: the SOA's own TTL or its minimum, whichever is smaller (RFC 2308 §5)."""
    for rrset in message.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return min(int(rrset.ttl), int(rrset[0].minimum))
    return None


def _joined(name: str, replies: Iterable[Reply]) -> Addresses | None:
    found = [reply for reply in replies if reply.outcome is Outcome.FOUND and reply.values]
    if not found:
        return None
    addresses = sorted(dict.fromkeys(value for reply in found for value in reply.values), key=lambda text: ":" in text)
    return Addresses(name=name, addresses=tuple(addresses), ttl=min((reply.ttl for reply in found if reply.ttl is not None), default=None))


def _above(name: str) -> str:
    """The name above ours that certainly is there: `example.com` for `mta-sts.example.com` and for `_smtp._tls.example.com`."""
    labels = name.split(".")[1:]
    while len(labels) > 1 and labels[0].startswith("_"):
        labels = labels[1:]
    return ".".join(labels)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _texts(rrset: dns.rrset.RRset) -> tuple[str, ...]:
    return tuple(sorted(rdata.to_text().removesuffix(".") for rdata in rrset))


def _homeless(name: str, why: str) -> Diagnostic:
    return Diagnostic(
        code="MTS554",
        message=f"the name servers of {name} could not be found: {why}",
        hint="Look at the NS records of the zone and at the resolver; --resolver names another one.",
    )
