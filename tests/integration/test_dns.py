"""Look-ups against real BIND servers: authoritative ones and a caching resolver (RFC 2308: "no" is remembered)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mtasts_deploy.sender.dns import Dns
from mtasts_deploy.sender.names import Outcome
from mtasts_deploy.sender.options import Detour, Endpoint, Looking
from tests.servers import HOST, Named

pytestmark = [pytest.mark.integration, pytest.mark.services("named")]

BASE = """
@ NS ns1
@ NS ns2
ns1 A 127.0.0.1
ns2 A 127.0.0.2
@ MX 10 mx1
_mta-sts 60 TXT "v=STSv1; " "id=1;"
long TXT "{long}" "{long}" "{long}" "{long}" "{long}" "{long}" "{long}"
nothing TXT "no address"
""".format(long="x" * 250)


@dataclass
class World:
    """Two servers of example.com, and a resolver that asks the first."""

    first: Named
    second: Named
    resolver: Named

    def dns(self) -> Dns:
        return Dns(self.looking())

    def looking(self, **more: Named) -> Looking:
        """DNS calls the two servers 127.0.0.1 and 127.0.0.2; `more` are others, by the end of their address."""
        servers = {"127.0.0.1": self.first, "127.0.0.2": self.second} | {f"127.0.0.{end[1:]}": one for end, one in more.items()}
        detours = tuple(Detour(host=name, port=53, to=Endpoint(address="127.0.0.1", port=one.port)) for name, one in servers.items())
        return Looking(resolver=Endpoint(address="127.0.0.1", port=self.resolver.port), detours=detours)

    def both(self, more: str = "") -> None:
        for server in (self.first, self.second):
            server.zone("example.com", BASE + more)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    first, second = Named(tmp_path / "first"), Named(tmp_path / "second")
    resolver = Named(tmp_path / "resolver", forward=first.port)
    found = World(first, second, resolver)
    found.both()
    with first.serving(), second.serving(), resolver.serving():
        yield found


def test_a_resolver_answers_with_values_ttls_and_texts(world: World):
    world.both("mta-sts 120 A 192.0.2.2\nmta-sts 120 AAAA 2001:db8::2\n")
    dns = world.dns()
    txt = dns.txt("_mta-sts.example.com")
    assert (txt.outcome, txt.texts, txt.ttl) == (Outcome.FOUND, (b"v=STSv1; id=1;",), 60)
    found = dns.addresses(HOST, known=True)
    assert (found.addresses, found.ttl, found.problem) == (("192.0.2.2", "2001:db8::2"), 120, None)
    assert (dns.ask("nowhere.example.com", "A").outcome, dns.ask("nothing.example.com", "A").outcome) == (Outcome.NO_NAME, Outcome.NO_DATA)
    assert dns.ask("nothing.example.com", "A").negative_ttl == 300


def test_each_server_of_the_zone_is_asked(world: World):
    world.second.zone("example.com", BASE.replace("id=1", "id=2"))
    replies = world.dns().ask_authoritative("_mta-sts.example.com", "TXT")
    assert {reply.server: reply.texts for reply in replies} == {"127.0.0.1": (b"v=STSv1; id=1;",), "127.0.0.2": (b"v=STSv1; id=2;",)}


def test_an_answer_that_is_cut_off_is_fetched_over_tcp(world: World):
    reply = world.dns().ask_authoritative("long.example.com", "TXT")[0]
    assert reply.texts == (b"x" * 1750,)


def test_a_missing_name_is_not_asked_at_the_resolver_so_that_it_is_found_once_it_is_there(world: World):
    dns = world.dns()
    found = dns.addresses(HOST, known=False)
    assert found.problem is not None
    assert (found.problem.code, found.addresses) == ("MTS550", ())
    assert "300 s" in (found.problem.hint or "")
    world.both("mta-sts A 127.0.0.9\n")
    assert world.resolver.ask(HOST, "A") == "127.0.0.9"
    assert dns.addresses(HOST, known=False).addresses == ("127.0.0.9",)


def test_a_resolver_that_remembers_that_the_name_was_missing_is_named(world: World):
    assert world.resolver.ask(HOST, "A") == "NXDOMAIN"
    world.both("mta-sts A 127.0.0.9\n")
    found = world.dns().addresses(HOST, known=False)
    assert found.problem is not None
    assert (found.problem.code, found.addresses) == ("MTS555", ("127.0.0.9",))


def test_a_name_that_one_server_lacks_is_missing(world: World):
    world.first.zone("example.com", BASE + "mta-sts A 127.0.0.9\n")
    found = world.dns().addresses(HOST, known=False)
    assert found.problem is not None
    assert found.problem.code == "MTS550"
    assert "127.0.0.2" in found.problem.message


def test_a_name_without_address_is_told_apart(world: World):
    world.both('mta-sts TXT "x"\n')
    problem = world.dns().addresses(HOST, known=False).problem
    assert problem is not None
    assert problem.code == "MTS551"


def test_an_alias_is_followed_by_the_resolver(world: World):
    world.both("mta-sts CNAME web\nweb A 127.0.0.8\n")
    assert world.dns().addresses(HOST, known=False).addresses == ("127.0.0.8",)


def test_an_alias_to_nowhere_has_no_address(world: World):
    world.both("mta-sts CNAME web\n")
    problem = world.dns().addresses(HOST, known=False).problem
    assert problem is not None
    assert problem.code == "MTS551"
    assert "web.example.com" in problem.message


def test_delegations_are_followed(world: World, tmp_path: Path):
    below = Named(tmp_path / "below")
    below.zone("mta-sts.example.com", "@ NS ns\nns A 127.0.0.4\n@ A 127.0.0.7\n")
    world.both("mta-sts NS ns.mta-sts\nns.mta-sts A 127.0.0.4\n")
    with below.serving():
        dns = Dns(world.looking(_4=below))
        assert dns.authority(HOST).zone == "mta-sts.example.com"
        (reply,) = dns.ask_authoritative(HOST, "A")
    assert (reply.server, reply.values) == ("127.0.0.4", ("127.0.0.7",))


def test_a_server_failure_and_no_answer_are_told_apart(world: World):
    dns = world.dns()
    refused = dns.ask("example.net", "A")
    assert refused.outcome is Outcome.FAILED
    assert refused.rcode in ("SERVFAIL", "REFUSED")
    problem = dns.addresses("mta-sts.example.net", known=True).problem
    assert problem is not None
    assert problem.code == "MTS552"


def test_a_dead_resolver_is_named():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        dns = Dns(Looking(resolver=Endpoint(address="127.0.0.1", port=silent.getsockname()[1])))
        assert dns.ask("example.com", "A").outcome is Outcome.TIMEOUT


def test_threads_share_one(world: World):
    world.both("mta-sts A 127.0.0.9\n")
    dns, found = world.dns(), []
    threads = [threading.Thread(target=lambda: found.append(dns.addresses(HOST, known=False).addresses)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [("127.0.0.9",)] * 8
