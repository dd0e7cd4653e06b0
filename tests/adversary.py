"""Everything that can happen to a deployment, in any order: the operator, runs that die and fail, strangers, resolvers, senders, time.

After each external operation and each step, what must never be is looked for: in the history of all that could be seen (`history`), and
in the caches of some senders (`senders`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mtasts_deploy.apply.book import Book
from mtasts_deploy.apply.choices import OnError
from mtasts_deploy.apply.report import Outcome, Result
from mtasts_deploy.deployment import Options
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import HostError, LeaseLost, StateError
from mtasts_deploy.facts import Address
from mtasts_deploy.ledger.events import saw
from mtasts_deploy.ledger.model import UNSEEN, Entry
from mtasts_deploy.plan import horizon
from mtasts_deploy.plan.selection import Lifted
from tests.deployments import EXAMPLE
from tests.history import History, digits
from tests.scene import FAULTS, Scene, Trouble
from tests.senders import NOWHERE, Resolver, Sender, World, the_id
from tests.worlds import Failure, MemoryHost

STS = "_mta-sts.example.com"
TLSRPT = "_smtp._tls.example.com"

SETTINGS = {
    "mode": ("testing", "enforce", "none"),
    "max_age": ("1w", "1d", "4w"),
    "mx": (
        "zone",
        "[zone, mx3.example.com]",
        "[mx1.example.com, mx2.example.com]",
        "[mx1.example.com]",
        "[mx1.example.com, mx2.example.com, mx.example.net]",
        "['*.example.com']",
    ),
    "ttl": (3600, 300, 86400),
    "tlsrpt": (None, "mailto:a@example.org", "mailto:b@example.org", False),
}
HOSTS = ("mx1.example.com", "mx2.example.com", "mx3.example.com", "mx.example.net")
FILES = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmax_age: 2419200\r\n",
    b"version: STSv1\r\nmode: enforce\r\nmx: *.example.com\r\nmx: mx.example.net\r\nmax_age: 604800\r\n",
    b"version: STSv1\r\nmode: testing\r\nmx: mx1.example.com\r\nmx: mx2.example.com\r\nmax_age: 86400\r\n",
    b"<html>not a policy</html>",
)
STRANGERS: dict[str, tuple[tuple[object, ...], ...]] = {
    "removes_the_record": ((),),
    "takes_the_record": (("20260101T000000Z",), ("deadbeef",)),
    "adds_a_record": (("v=STSv1; id=20250101;",), ("v=STSv1; id=!;",), ("v=STSv1;",)),
    "restores_an_id": ((0,), (1,), (2,), (3,)),
    "adds_a_foreign_value": ((STS, "site=1"), (STS, "v=STSv1x"), (TLSRPT, "site=1"), (TLSRPT, "v=STSv1x")),
    "replaces_the_file": tuple((body,) for body in (*FILES, None)),
    "restores_a_file": ((0,), (1,), (2,), (3,)),
}
TIMES = (1, 60, 299, 1800, 3600, 86400, 3 * 86400, 8 * 86400, 29 * 86400)
GOOD = (Outcome.DONE, Outcome.WAITING, Outcome.UNCHANGED)


CHANGES = st.sampled_from(sorted(SETTINGS)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(SETTINGS[name])))
ACTS = st.sampled_from(sorted(STRANGERS)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(STRANGERS[name])))
OPERATIONS = ("read", "fetch", "save ledger", "put", "served", "write", "wrote")
NUMBERS = st.integers(1, 28)


class Adversary(RuleBasedStateMachine):
    """The machine; `test_senders` runs it."""

    possible: Mapping[str, tuple[object, ...]] = SETTINGS
    head = ""

    def made(self) -> Scene:
        """The world, with nothing published."""
        return Scene(Path())

    def leading(self) -> Mapping[Address, MemoryHost]:
        """Which host serves at which address of the policy host."""
        return {NOWHERE: self.scene.host}

    @initialize(
        mx_ttl=st.sampled_from([3600, 300, 86400]),
        begun=st.sampled_from(["nothing is live", "testing is live", "enforce is live", "enforce was live"]),
        mode=st.sampled_from(SETTINGS["mode"]),
        max_age=st.sampled_from(SETTINGS["max_age"]),
        insists=st.booleans(),
    )
    def start(self, mx_ttl, begun, mode, max_age, insists=True):
        """`insists`: the operator always has the declaration published over a milder policy of a stranger."""
        self.insists = insists
        self.scene = self.made()
        self.clock = self.scene.clock
        self.mx_ttl = mx_ttl
        self.hosts = list(HOSTS[:2])
        self.scene.target.set_mx("example.com", *self.hosts, ttl=mx_ttl)
        self.world = World(EXAMPLE, self.scene.target, self.leading())
        self.history = History(self.world)
        for host in self.hosts:
            self.history.promise(host)
        self.history.look(self.clock(), tool=False)
        self.settings = {name: values[0] for name, values in self.possible.items()}
        self.foreign: dict[str, list[str]] = {STS: [], TLSRPT: []}
        self.disturbed = False
        self.resolvers = [Resolver(self.world) for _ in range(3)]
        self.senders = [Sender(self.world, extends=bool(n & 1), raises=bool(n & 2)) for n in range(4)]
        if begun == "nothing is live":
            self.settings["mode"] = mode
        self.declared()
        if begun == "nothing is live":
            return
        self.apply()
        self.clock.pass_(days=1)
        self.settings |= {"mode": "enforce", "max_age": max_age}
        self.declared()
        if begun != "testing is live":
            self.apply_with_a_guard_lifted("MTS405")
        if begun == "enforce was live":
            self.settings["mode"] = "testing"
            self.declared()
            self.all_settles(86400)

    # The operator.

    def declared(self, *, bad: bool = False) -> None:
        parts = []
        for name, value in self.settings.items():
            if value is not None:
                parts.append(str(value) if name == "place" else f"{name}: {str(value).lower() if isinstance(value, bool) else value}")
        text = f"{self.head}domains:\n  example.com: {{{', '.join(parts)}}}\n"
        self.scene.declare(text + ("  bad.example: {mode: testing}\n" if bad else ""))
        self.unprotected()

    def unprotected(self) -> None:
        """Where a stranger enforces without hosts that are not declared either, a policy with more hosts is a repair that nothing stops."""
        mx = str(self.settings["mx"])
        declared = {host for host in HOSTS if "zone" in mx or host in mx or ("*." in mx and host.endswith(".example.com"))}
        self.history.unprotect(declared)

    @rule(change=CHANGES)
    def declare(self, change):
        self.settings |= [change]
        self.declared()

    @rule(seconds=st.sampled_from(TIMES))
    def time_passes(self, seconds):
        self.clock.pass_(seconds=seconds)

    @rule()
    def apply(self):
        before = self.txt(TLSRPT)
        self.succeeded(self.run(self.scene_apply, Trouble()), alone=True)
        assert self.settings["tlsrpt"] is not None or self.txt(TLSRPT) == before

    @rule(allow=st.sampled_from(["MTS405", "MTS408", "MTS425", "MTS701"]))
    def apply_with_a_guard_lifted(self, allow):
        self.succeeded(self.run(lambda: self.scene_apply(allow), Trouble()), alone=True)

    @rule(kill=NUMBERS, on_error=st.sampled_from(OnError))
    def apply_is_killed(self, kill, on_error):
        self.succeeded(self.run(lambda: self.scene_apply(on_error=on_error), Trouble(kill=kill)), alone=True)

    @rule(fault=st.sampled_from(sorted(FAULTS)), skip=st.integers(0, 5), on_error=st.sampled_from(OnError), tick=st.sampled_from([0, 1]))
    def apply_fails(self, fault, skip, on_error, tick):
        trouble = Trouble(fault=fault, skip=skip, tick=tick)
        self.succeeded(self.run(lambda: self.scene_apply(on_error=on_error), trouble), alone=False)

    @rule(on_error=st.sampled_from([OnError.STOP, OnError.ROLLBACK]), kill=st.one_of(st.just(0), NUMBERS))
    def another_domain_fails(self, on_error, kill):
        """The second one's put is always refused, so that `--on-error` has something to do."""
        self.declared(bad=True)
        self.run(lambda: self.scene_apply(on_error=on_error), Trouble(kill=kill, fault="bad"))
        self.declared()

    @rule(kill=st.one_of(st.just(0), NUMBERS))
    def rollback(self, kill):
        result = self.run(lambda: self.scene.rollback("example.com"), Trouble(kill=kill))
        if result is not None and result.outcomes[EXAMPLE] is Outcome.TAKEN_BACK and the_id(self.world.txt()[0]) is not None:
            assert not self.live() - {self.world.body()}, "senders may hold other bytes under the id of a rollback"

    @rule()
    def plan(self):
        before = self.everything()
        self.scene.plan()
        assert self.everything() == before, "plan writes"

    @rule(which=st.integers(0, 3))
    def add_mx(self, which):
        """Only when it is ready."""
        with self.aside():
            others = [host for host in HOSTS if host not in self.hosts]
            if not others or not self.ready(host := others[which % len(others)]):
                return
            self.hosts.append(host)
            self.scene.target.set_mx("example.com", *self.hosts, ttl=self.mx_ttl)
            self.history.promise(host)

    @rule(host=st.sampled_from(HOSTS))
    def remove_mx(self, host):
        if host in self.hosts and len(self.hosts) > 1:
            self.hosts.remove(host)
            self.scene.target.set_mx("example.com", *self.hosts, ttl=self.mx_ttl)
            self.history.release(host, self.clock() + timedelta(seconds=self.mx_ttl))

    @precondition(lambda self: self.history.ids[-1].tool and self.history.ids[-1].what is not None)
    @rule(kill=NUMBERS)
    def lose_the_ledger(self, kill):
        """Its next run finds our id: were it gone too, nothing would tell that there had been a ledger."""
        self.scene.state.objects.clear()
        self.history.promised = [one for one in self.history.promised if one.until is None]
        self.clock.pass_(minutes=10)
        self.run(self.scene_apply, Trouble(kill=kill))
        if self.entry() is UNSEEN:
            self.apply()

    # Strangers.

    @rule(act=ACTS)
    def stranger(self, act):
        name, args = act
        getattr(self, name)(*args)

    def takes_the_record(self, id_: str) -> None:
        self.stranger_writes(f"v=STSv1; id={id_};")

    def adds_a_record(self, value: str) -> None:
        self.stranger_writes(*self.records(), value)

    def restores_an_id(self, which: int) -> None:
        old = list(dict.fromkeys(stay.what for stay in self.history.ids if stay.what is not None))
        if old:
            self.stranger_writes(f"v=STSv1; id={old[-1 - which % len(old)]};")

    def removes_the_record(self) -> None:
        self.stranger_writes()

    def adds_a_foreign_value(self, name: str, value: str) -> None:
        if value in self.foreign[name]:
            return
        self.foreign[name].append(value)
        values, ttl = self.txt(name)
        self.scene.target.set_txt(name, *values, value, ttl=ttl)
        self.strangers_turn()

    def replaces_the_file(self, body: bytes | None) -> None:
        self.stranger_serves(body)

    def restores_a_file(self, which: int) -> None:
        files = [stay for stays in self.history.files.values() for stay in stays]
        old = list(dict.fromkeys(stay.what for stay in sorted(files, key=lambda stay: stay.first) if stay.what is not None))
        if old:
            self.stranger_serves(old[-1 - which % len(old)])

    def stranger_writes(self, *values: str) -> None:
        _, ttl = self.txt(STS)
        self.disturbed = True
        self.scene.target.set_txt(STS, *self.foreign[STS], *values, ttl=ttl)
        self.strangers_turn()

    def stranger_serves(self, body: bytes | None) -> None:
        self.disturbed = True
        files = self.world.hosts[self.world.address()[0][0]].files
        if body is None:
            files.pop(EXAMPLE, None)
        else:
            files[EXAMPLE] = body
        self.strangers_turn()
        self.unprotected()

    def strangers_turn(self) -> None:
        self.history.look(self.clock(), tool=False)

    # Resolvers and senders.

    @rule(
        sender=st.integers(0, 3),
        resolver=st.integers(0, 2),
        how=st.sampled_from(["asks", "works", "slow", "fails"]),
        refreshes=st.booleans(),
    )
    def sender_looks(self, sender, resolver, how, refreshes):
        self.resolvers[resolver].mx(self.clock())
        if how == "asks":
            self.resolvers[resolver].txt(self.clock())
            return
        act = self.senders[sender].refresh if refreshes else self.senders[sender].look
        act(self.resolvers[resolver], self.clock(), works=how != "fails", slow=how == "slow")

    # While a run goes on.

    @rule(data=st.data(), tick=st.sampled_from([0, 1, 20]), kill=st.one_of(st.just(0), NUMBERS))
    def others_act_during_an_apply(self, data, tick, kill):
        during = [(data.draw(NUMBERS), data.draw(st.sampled_from(MEANWHILE))) for _ in range(data.draw(st.integers(1, 3)))]
        during_run = [(number, lambda name=name, args=args: getattr(self, name)(*args)) for number, (name, args) in during]
        self.run(self.scene_apply, Trouble(during=during_run, tick=tick, kill=kill))

    @rule(at=st.sampled_from(OPERATIONS), which=st.integers(0, 3), tick=st.sampled_from([0, 1]))
    def an_mx_is_added_during_an_apply(self, at, which, tick):
        self.run(self.scene_apply, Trouble(during=[(at, lambda: self.add_mx(which))], tick=tick))

    @rule(seconds=st.sampled_from([300, 3600, 86400, 8 * 86400]))
    def all_settles(self, seconds):
        self.apply()
        self.clock.pass_(seconds=seconds)
        self.apply()

    # How runs go.

    def scene_apply(self, *allow: str, on_error: OnError = OnError.CONTINUE) -> Result:
        codes = {*allow, *(["MTS425"] if self.insists else [])}
        result = self.scene.deployment.apply(
            lifted=Lifted.parse(f"{code}=example.com" for code in sorted(codes)), options=Options(on_error=on_error)
        )
        assert result is not None
        return result

    def run(self, act: Callable[[], Result], trouble: Trouble) -> Result | None:
        """The result, or None if the run died. Its lock dies with it."""
        self.count, self.failed = 0, 0
        self.scene.faults.hook = lambda what: self.operation(what, trouble)
        try:
            result = act()
        except (Failure, StateError, LeaseLost):
            self.scene.state.objects.pop("lock.json", None)
            self.history.look(self.clock(), tool=True)
            self.history.forgotten()
            self.clock.pass_(seconds=1)
            return None
        finally:
            self.scene.faults.hook = lambda _: None
        self.history.look(self.clock(), tool=True)
        self.history.written_down()
        return result

    def operation(self, what: str, trouble: Trouble) -> None:
        """One external operation: look at what the last one did, let others act, and let this one fail."""
        self.history.look(self.clock(), tool=True)
        self.count += 1
        self.clock.pass_(seconds=trouble.tick)
        for at, act in trouble.during:
            if at == self.count or (isinstance(at, str) and what.startswith(at)):
                with self.aside():
                    act()
        if what.startswith("saved ledger"):
            self.history.written_down()
        elif what.startswith("read example.com"):
            self.history.reading_zone()
        elif what.startswith("fetch "):
            self.history.fetching(what.removeprefix("fetch "))
        self.fail(what, trouble)
        if self.count == trouble.kill:
            raise Failure(what)

    def fail(self, what: str, trouble: Trouble) -> None:
        if trouble.fault == "bad" and what == "put bad.example":
            raise HostError(Diagnostic(code="MTS999", message="injected"), written=False)
        start, error = FAULTS.get(trouble.fault, ("-", StateError))
        if what.startswith(start):
            self.failed += 1
            if self.failed == trouble.skip + 1:
                if "unreadable" in trouble.fault:
                    self.history.forgotten()
                raise error(Diagnostic(code="MTS999", message=f"{what}: injected"))

    @contextmanager
    def aside(self):
        """Whoever acts here is not the run."""
        hook, self.scene.faults.hook = self.scene.faults.hook, lambda _: None
        try:
            yield
        finally:
            self.scene.faults.hook = hook

    def ready(self, host: str) -> bool:
        """What `plan` says at this moment."""
        survey, book = self.scene.deployment.survey()
        return horizon.ready(saw(book.get(EXAMPLE) or UNSEEN, survey.seen[EXAMPLE].look(), self.clock()), host, self.clock())

    # What must be.

    def succeeded(self, result: Result | None, *, alone: bool) -> None:
        """After a good apply, record and policy are one, for everybody; and there is nothing more to do."""
        if result is None or result.exit_code != 0 or result.outcomes[EXAMPLE] not in GOOD or self.is_held():
            return
        body = self.world.body()
        values = self.records()
        assert body is not None
        assert len(values) == 1, values
        id_ = the_id(values)
        assert id_ is not None
        assert id_[:24] == digits(body), f"{id_} does not name {body!r}"
        assert not self.live() - {body}, f"senders may hold other bytes under {id_}"
        assert {stay.what for stay in self.history.served} == {body}, "another address that is still known has something else"
        for sender in self.senders:
            assert sender.held is None or sender.held.id != id_ or sender.held.body == body
            looking = sender.copy()
            looking.look(Resolver(self.world), self.clock())
            assert looking.held is not None
            assert (looking.held.id, looking.held.body) == (id_, body)
        if alone:
            self.nothing_is_left()

    def is_held(self) -> bool:
        """Does a good apply leave a record that is not right, for some time?"""
        return False

    def nothing_is_left(self) -> None:
        before = self.everything()
        assert not self.scene.one().acts, "an apply leaves something to do"
        assert self.everything() == before, "plan writes"

    @invariant()
    def all_is_well(self):
        self.no_promise_is_broken()
        self.no_mail_is_lost()
        self.the_ledger_knows_who_may_hold_what()

    def no_promise_is_broken(self):
        assert not self.history.problems, self.history.problems
        assert self.records(foreign=True) == self.foreign[STS]
        assert [value for value in self.txt(TLSRPT)[0] if not value.startswith("v=TLSRPTv1;")] == self.foreign[TLSRPT]

    def no_mail_is_lost(self):
        """Neither by any sender that could be, nor, where no stranger has had a hand in it, by those that are."""
        refused = list(self.history.refused(self.clock()))
        assert not refused, refused
        if self.disturbed:
            return
        now = self.clock()
        promised = [one.host for one in self.history.promised if one.until is None]
        for sender in self.senders:
            for resolver in self.resolvers:
                for host in promised:
                    assert sender.held is None or not sender.copy().refuses(resolver.copy(), host, now), f"{host} is refused by {sender}"

    def the_ledger_knows_who_may_hold_what(self):
        """No sender applies an enforce policy beyond the horizon that the ledger gives it."""
        now = self.clock()
        entry = self.entry()
        held = horizon.may_be_held(entry, now)
        for sender in self.senders:
            policy = sender.policy(now)
            if policy is None or sender.held is None or policy.mode != "enforce" or self.history.unseen(sender.held.id, sender.held.body):
                continue
            name = digits(sender.held.body)
            assert name in held or name not in entry.policies, f"{sender.held} is applied, and the ledger says that nobody does"

    def entry(self) -> Entry:
        return Book(self.scene.state).get(EXAMPLE) or UNSEEN

    def live(self) -> set[bytes | None]:
        """What senders may hold under the id that is live."""
        id_ = the_id(self.world.txt()[0])
        return set() if id_ is None else {*self.history.other_bytes(id_), self.world.body()}

    def txt(self, name: str) -> tuple[tuple[str, ...], int]:
        facts = self.scene.target.contents[next(iter(self.scene.target.contents))].get(name)
        return ((), 3600) if facts is None or facts.txt is None else (facts.txt.values, facts.txt.ttl)

    def records(self, *, foreign: bool = False) -> list[str]:
        """The STSv1 values, or all others."""
        return [value for value in self.txt(STS)[0] if (value.split(";")[0].strip() == "v=STSv1") is not foreign]

    def everything(self) -> object:
        zones = {zone: dict(names) for zone, names in self.scene.target.contents.items()}
        return zones, [dict(host.files) for host in self.world.hosts.values()], dict(self.scene.state.objects)


MEANWHILE: tuple[tuple[str, tuple[object, ...]], ...] = (
    *((name, args) for name, acts in STRANGERS.items() for args in acts),
    *(("add_mx", (which,)) for which in range(4)),
    *(("remove_mx", (host,)) for host in HOSTS),
    ("time_passes", (600,)),
    *(("sender_looks", (n, n % 3, how, refreshes)) for n in range(4) for how in ("works", "slow") for refreshes in (True, False)),
)
