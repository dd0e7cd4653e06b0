"""Looks at domains as a sender does. Each name, server and MX host is asked once a run, however many domains share it; a slow one delays
only the domains that use it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from mtasts_deploy.errors import MtastsError
from mtasts_deploy.facts import Fetched, Probed, RecordKind
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.records import parse_tlsrpt
from mtasts_deploy.sender.interface import Browser, Lookups, Prober
from mtasts_deploy.sender.names import Outcome, Reply
from mtasts_deploy.sender.options import Endpoint, Looking
from mtasts_deploy.verify.model import HostSight, RecordSight, Sight

SMTP_PORT: Final = 25
_MOST_HOSTS: Final = 32  # MX hosts of one domain; senders give up long before
_MOST_ADDRESSES: Final = 16  # addresses of one MX host
_FILTERED: Final = ("MTS503", "MTS505", "MTS521", "MTS522", "MTS523", "MTS526")  # what a filter against robots looks like
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """What we look with. `prober` is None where port 25 is not to be connected to."""

    lookups: Lookups
    fetcher: Browser
    prober: Prober | None
    looking: Looking
    clock: Callable[[], datetime]


class Once:
    """Results by key, each made once: who asks while it is being made waits for it."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Future[object]] = {}
        self._turn = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result for this key."""
        with self._turn:
            future = self._made.get(key)
            first = future is None
            if future is None:
                future = self._made[key] = Future()
        if first:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
                raise
        return future.result()  # type: ignore[return-value]


class Look:
    """One run of looking at domains. `probes` runs what connects to MX hosts."""

    def __init__(self, eyes: Eyes, probes: ThreadPoolExecutor) -> None:
        self._eyes = eyes
        self._probes = probes
        self._once = Once()

    def at(self, domain: Domain) -> Sight:
        """Everything about one domain."""
        sts = self._record(domain.sts_record)
        mx = self._ask(str(domain), "MX")
        implicit = self._addresses(str(domain)) if mx.outcome is Outcome.NO_DATA else ()
        hosts = self._begin_hosts(domain, mx, implicit)
        tlsrpt = self._record(domain.tlsrpt_record)
        fetched, as_browser = self._policy(domain, sts)
        return Sight(
            domain=domain,
            at=self._eyes.clock(),
            sts=sts,
            tlsrpt=tlsrpt,
            fetched=fetched,
            as_browser=as_browser,
            mx=mx,
            implicit=implicit,
            hosts=tuple(host() for host in hosts),
            receivers=self._receivers(tlsrpt.seen),
            smtp=self._eyes.prober is not None,
        )

    # --- DNS ---

    def _ask(self, name: str, kind: str) -> Reply:
        return self._once.get((name, kind), lambda: self._eyes.lookups.ask(name, kind))

    def _addresses(self, name: str) -> tuple[Reply, ...]:
        return tuple(self._ask(name, kind) for kind in ("A", "AAAA"))

    def _record(self, name: str) -> RecordSight:
        seen = self._ask(name, "TXT")
        return RecordSight(seen=seen, own=self._eyes.lookups.ask_authoritative(name, "TXT"))

    # --- the policy host ---

    def _policy(self, domain: Domain, sts: RecordSight) -> tuple[tuple[Fetched, ...], Fetched | None]:
        """What the policy host answers, if a record of whatever quality invites senders to ask it."""
        if not any(RecordKind.STS.owns(text.decode("utf-8", "replace")) for text in sts.seen.texts):
            return (), None
        fetched = self._eyes.fetcher.fetch(domain, known=True)
        refused = fetched[0]
        if refused.address and refused.problem is not None and refused.problem.code in _FILTERED:
            return fetched, self._eyes.fetcher.fetch_as_browser(domain, refused.address)
        return fetched, None

    # --- MX hosts ---

    def _begin_hosts(self, domain: Domain, mx: Reply, implicit: Sequence[Reply]) -> list[Callable[[], HostSight]]:
        """Begin to look at each MX host; what is returned waits for the end."""
        exchanges = exchanges_of(mx)
        if not exchanges and any(reply.outcome is Outcome.FOUND for reply in implicit):
            exchanges = ((0, str(domain)),)
        return [self._begin_host(preference, host) for preference, host in exchanges[:_MOST_HOSTS] if host]

    def _begin_host(self, preference: int, host: str) -> Callable[[], HostSight]:
        replies = self._addresses(host)
        sight = HostSight(host=host, preference=preference, replies=replies, tlsa=self._ask(f"_25._tcp.{host}", "TLSA"))
        prober = self._eyes.prober
        if prober is None:
            return lambda: sight
        fixed = [(end.address, end) for end in self._eyes.looking.fixed(host, SMTP_PORT)]
        ends = fixed or [(one, self._eyes.looking.way(one, SMTP_PORT)) for one in sight.addresses[:_MOST_ADDRESSES]]
        begun = [self._begin_probe(prober, host, address, end) for address, end in ends]
        return lambda: replace(sight, looked=True, probes=tuple(probe.result() for probe in begun))

    def _begin_probe(self, prober: Prober, host: str, address: str, end: Endpoint) -> Future[Probed]:
        return self._once.get(("probe", host, end), lambda: self._probes.submit(prober.probe, host, address, end))

    # --- where TLS reports go ---

    def _receivers(self, tlsrpt: Reply) -> dict[str, str | None]:
        if not tlsrpt.texts:
            return {}
        try:
            record = parse_tlsrpt([[text] for text in tlsrpt.texts])
        except MtastsError:
            return {}
        return {uri: self._receiver(uri) for uri in record.rua}

    def _receiver(self, uri: str) -> str | None:
        """Why nothing would be received there, if so."""
        scheme, _, rest = uri.partition(":")
        if scheme.lower() == "https":
            try:
                parts = urlsplit(uri)
                host, port = parts.hostname or "", parts.port or 443
            except ValueError:
                return None  # the record's own findings say what is wrong with it
            return self._once.get(("https", host, port), lambda: self._eyes.fetcher.answers(host, port))
        domain = unquote(rest.partition("?")[0]).rpartition("@")[2].lower()
        try:
            name = str(Domain.parse(domain))
        except MtastsError:
            return None
        mx = self._ask(name, "MX")
        if mx.outcome is Outcome.NO_NAME:
            return f"{name} does not exist"
        if not mx.answered:
            return f"{name} could not be looked up"
        if mx.outcome is Outcome.FOUND:
            return f"{name} takes no mail (null MX)" if not any(host for _, host in exchanges_of(mx)) else None
        has_address = any(reply.outcome is Outcome.FOUND for reply in self._addresses(name))
        return None if has_address else f"{name} has no MX host"


def exchanges_of(mx: Reply) -> tuple[tuple[int, str], ...]:
    """Preference and host of each MX record, the most wanted first. The host is empty for a null MX (RFC 7505 §3)."""
    found = []
    for value in mx.values:
        preference, _, host = value.partition(" ")
        found.append((int(preference), host.lower().rstrip(".")))
    return tuple(sorted(found))
