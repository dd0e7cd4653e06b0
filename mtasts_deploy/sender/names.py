"""What DNS says about a name: types that need no DNS library, and what each outcome means to a postmaster."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from mtasts_deploy.diagnostics import Diagnostic


class Outcome(Enum):
    """How a question ended. Only the first three are answers."""

    FOUND = "found"
    NO_DATA = "no record of this type"
    NO_NAME = "no such name"
    FAILED = "server failure"
    TIMEOUT = "no answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one server said about one name and type.

    `values` are texts as in zone files, without root dots; TXT values are in `texts`, each with its strings joined, as octets. `ttl` is
    the smallest TTL of the chain; `negative_ttl` how long "no" may be kept (RFC 2308 §5), None where the server does not say. `canonical`
    is where CNAMEs have led. `rcode` is what a server answered that failed. `authentic`: the resolver says that DNSSEC proves the answer.
    """

    name: str
    kind: str
    server: str
    outcome: Outcome
    values: tuple[str, ...] = ()
    texts: tuple[bytes, ...] = ()
    ttl: int | None = None
    negative_ttl: int | None = None
    canonical: str = ""
    rcode: str = ""
    authentic: bool = False

    @property
    def answered(self) -> bool:
        """Did the server answer, with yes or no?"""
        return self.outcome in (Outcome.FOUND, Outcome.NO_DATA, Outcome.NO_NAME)

    @property
    def aliased(self) -> bool:
        """Is the name a CNAME?"""
        return self.canonical not in ("", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """The servers that answer for a name: the zone's apex, and addresses of its servers. `problem`: why they could not be found."""

    zone: str = ""
    servers: tuple[str, ...] = ()
    problem: Diagnostic | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The addresses of a name, IPv4 first. `problem` is why there are none, or what is odd about them. `ttl`: seconds, the smallest."""

    name: str
    addresses: tuple[str, ...] = ()
    ttl: int | None = None
    problem: Diagnostic | None = None


_WAIT: Final = "Senders that ask now may remember the answer"


def missing(name: str, reply: Reply) -> Diagnostic:
    """The name is not there, or has no address."""
    kept = f"{_WAIT} for {reply.negative_ttl} s." if reply.negative_ttl else ""
    if reply.outcome is Outcome.NO_NAME:
        return Diagnostic(
            code="MTS550",
            message=f"{name} does not exist (says {reply.server})",
            hint=f"Create an address record for {name} that leads to the policy host. {kept}".rstrip(),
            ref="RFC 8461 §3.3",
        )
    end = f"{name} is a CNAME to {reply.canonical}, which has no address" if reply.aliased else f"{name} has no address"
    return Diagnostic(
        code="MTS551",
        message=f"{end} (says {reply.server})",
        hint=f"Point {name} at the server that serves the policy. {kept}".rstrip(),
        ref="RFC 8461 §3.3",
    )


def failed(name: str, reply: Reply) -> Diagnostic:
    """The question was not answered."""
    if reply.outcome is Outcome.TIMEOUT:
        return Diagnostic(
            code="MTS553",
            message=f"{reply.server} gave no answer about {name} ({reply.kind})",
            hint="Look at the network of this machine, or name another resolver with --resolver.",
        )
    return Diagnostic(
        code="MTS552",
        message=f"{reply.server} could not answer about {name} ({reply.kind}): {reply.rcode}",
        hint="SERVFAIL is often a broken DNSSEC signature or a zone whose servers are down; senders see the same.",
    )


def lagging(name: str, seen: Reply, denied: Reply) -> Diagnostic:
    """The zone's servers have the name, and the resolver still says no."""
    kept = f" for up to {denied.negative_ttl} s more" if denied.negative_ttl else ""
    return Diagnostic(
        code="MTS555",
        message=f"{seen.server} has {name}, but the resolver {denied.server} still says that there is none",
        hint=f"It remembers the answer of before the name was created{kept}. The addresses of the zone's own servers are used.",
        ref="RFC 2308 §5",
    )
