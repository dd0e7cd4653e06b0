"""All that can happen (`adversary`), and the policy host moves: two hosts serve, several addresses lead to them, and resolvers keep the
old ones. The declared address always leads to the declared host, as an operator would have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.report import Result
from mtasts_deploy.facts import Address
from mtasts_deploy.plan.model import Verdict
from tests.adversary import CHANGES, NUMBERS, SETTINGS, Adversary
from tests.scene import DimHost, Scene, Trouble
from tests.worlds import MemoryHost

NAME = "mta-sts.example.com"
WEB, WEB4 = Address(cname="web.example.net"), Address(a=("192.0.2.1",))
CDN, CDN6 = Address(cname="cdn.example.net"), Address(a=("198.51.100.1",), aaaa=("2001:db8::1",))
HOST_AT = {WEB: "web", WEB4: "web", CDN: "cdn", CDN6: "cdn"}
PLACES = (
    "host: web, address: {cname: web.example.net}",
    "host: cdn, address: {cname: cdn.example.net}",
    "host: web, address: {a: [192.0.2.1]}",
    "host: cdn, address: {a: [198.51.100.1], aaaa: ['2001:db8::1']}",
)


class Mover(Adversary):
    """The machine; `test_senders` runs it. At the start the policy host leads to `web`, and everybody may know."""

    possible: Mapping[str, tuple[object, ...]] = {**SETTINGS, "place": PLACES}
    head = "hosts: {web: {type: directory, path: web}, cdn: {type: directory, path: cdn}}\n"

    def made(self) -> Scene:
        scene = Scene(Path())
        for name in ("web", "cdn"):
            scene.hosts[name] = DimHost(name=name, faults=scene.faults)
        scene.target.set_address(NAME, WEB)
        return scene

    def leading(self) -> Mapping[Address, MemoryHost]:
        return {address: self.scene.hosts[name] for address, name in HOST_AT.items()}

    @rule(place=st.sampled_from(PLACES))
    def is_to_move(self, place):
        self.declare(("place", place))

    @rule(place=st.sampled_from(PLACES), change=CHANGES, kills=st.lists(NUMBERS, max_size=2))
    def moves_with_other_bytes(self, place, change, kills):
        """Host, address and policy change in one commit; some runs die on the way."""
        self.settings |= [change, ("place", place)]
        self.declared()
        for kill in kills:
            self.apply_is_killed(kill, OnError.CONTINUE)
        self.apply()

    def is_held(self) -> bool:
        """A first record waits until its new address is known; after the state was lost none moves before one TTL of the address."""
        entry = self.entry()
        if not entry.published:
            return True
        ttl = max((way.ttl for way in entry.ways), default=0)
        return entry.lost is not None and self.clock() < entry.lost + timedelta(seconds=ttl)

    @precondition(lambda self: self.history.ids[-1].tool and self.history.ids[-1].what is not None and self.can_be_known_again())
    @rule(kill=NUMBERS)
    def lose_the_ledger(self, kill):
        super().lose_the_ledger(kill)

    def can_be_known_again(self) -> bool:
        """Is no address in a cache for longer than the present one tells? After the state was lost, that is all that is known."""
        here = self.history.leads[-1]
        return all(lead.ttl <= here.ttl for lead in self.history.leads if lead.visible(self.clock()))

    @precondition(lambda self: self.entry().astray and self.history.reached == [self.declared_host()])
    @rule()
    def vouches_for_the_declared_host(self):
        """After the state was lost: the operator knows that nobody is led to another host."""
        self.succeeded(self.run(lambda: self.scene_apply("MTS422", "MTS424"), Trouble()), alone=True)

    def declared_host(self) -> str:
        return "cdn" if "host: cdn" in str(self.settings["place"]) else "web"

    def succeeded(self, result: Result | None, *, alone: bool) -> None:
        """A move brings no new bytes: those of the declaration, and those that an earlier run has put, get their id at the next apply."""
        for _ in range(3):
            if result is not None and result.exit_code == 0 and self.scene.one().acts:
                result = self.run(self.scene_apply, Trouble()) if alone else None
        if self.scene.one().verdict is not Verdict.BLOCKED:  # what follows the move may need the operator
            super().succeeded(result, alone=alone)
