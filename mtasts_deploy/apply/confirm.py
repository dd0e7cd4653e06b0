"""The last look after a push: what the zone's own servers give to senders, octet by octet (DESIGN section 7, stages 4 and 5).

A change that a provider has accepted and that some name server does not show yet is *unconfirmed*: it is waited for, told, and never
undone. The ledger's earlier ids stay open meanwhile; the next apply asks again and closes them. A server that cannot be asked is named and
left out, and where none can be asked the provider's word has to do: what nobody can reach, no sender reaches either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from mtasts_deploy.apply.report import Event, Stage
from mtasts_deploy.apply.work import Tools, in_parallel, report
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import MtastsError
from mtasts_deploy.facts import RecordKind
from mtasts_deploy.ledger.events import Look, confirmed, saw
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.observed import NEGATIVE_TTL, Observed, Place
from mtasts_deploy.plan.model import DomainPlan
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.records import parse_sts
from mtasts_deploy.sender.names import Authority, Outcome, Reply
from mtasts_deploy.sender.routes import has_route

PATIENCE: Final = timedelta(minutes=2)
"""How long an apply waits for name servers that lag. Secondaries that are notified need seconds; others take their refresh time."""
_APART: Final = 1.0  # seconds between two looks, doubled up to
_SLOWEST: Final = 8.0


@dataclass(slots=True, kw_only=True)
class Question:
    """What every server of its zones is to show for a domain: our one value of a kind, or none. `id` is closed upon when they do.

    `replies` are those of the last round, `homeless` says why no server is known for a name.
    """

    domain: Domain
    wanted: Mapping[RecordKind, str | None]
    id: str | None = None
    replies: list[tuple[RecordKind, Reply]] = field(default_factory=list)
    homeless: list[Authority] = field(default_factory=list)

    def lagging(self) -> list[tuple[RecordKind, Reply]]:
        """The answers that show something else than is wanted."""
        return [(kind, reply) for kind, reply in self.replies if reply.answered and not self._shows(kind, reply)]

    def silent(self) -> list[Reply]:
        """The servers that should have answered, and did not: those of a family that this machine has no way to are not among them."""
        return [reply for _, reply in self.replies if not reply.answered and not (":" in reply.server and not has_route(reply.server))]

    def _shows(self, kind: RecordKind, reply: Reply) -> bool:
        value = self.wanted[kind]
        return _ours(kind, reply) == ((value,) if value is not None else ())

    def look(self) -> Look:
        """What the servers show, for the ledger: ids that senders can still see."""
        found: dict[str, int] = {}
        for kind, reply in self.replies:
            for value in _ours(RecordKind.STS, reply) if kind is RecordKind.STS else ():
                try:
                    id_ = str(parse_sts([value]).id)
                except MtastsError:
                    continue
                found[id_] = max(reply.ttl or 0, found.get(id_, 0))
        return Look(ids=tuple(found.items()))

    def blind(self) -> Look | None:
        """That some server has no single record of ours, so that who asks it keeps what it holds."""
        ttls = [
            reply.ttl or reply.negative_ttl or NEGATIVE_TTL
            for kind, reply in self.replies
            if kind is RecordKind.STS and reply.answered and len(_ours(kind, reply)) != 1
        ]
        return Look(single=False, blind_ttl=max(ttls)) if ttls and self.wanted.get(RecordKind.STS) is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What was found: the domains that some server does not show yet, and what is to be said about servers that could not be asked."""

    unconfirmed: Mapping[Domain, tuple[Diagnostic, ...]] = field(default_factory=dict)
    notes: tuple[Diagnostic, ...] = ()


def question(place: Place, seen: Observed, entry: Entry, plan: DomainPlan | None = None) -> Question | None:
    """What there is to ask for a domain: the records that its plan has pushed, and its live id while the ledger has something open.

    None where nothing is, or nobody can be asked: zone files are not what a name server has.
    """
    if not place.public or seen.unknown:
        return None
    wanted = {change.change.kind: change.change.value for change in plan.records} if plan is not None else {}
    live = {site.ours(RecordKind.STS) for site in seen.sts}
    id_ = seen.ids[0][0] if len(seen.ids) == 1 and len(live) == 1 and all(len(values) == 1 for values in live) else None
    if id_ is not None and _open(entry, id_):
        wanted.setdefault(RecordKind.STS, next(iter(live))[0])
    elif RecordKind.STS not in wanted:
        id_ = None
    return Question(domain=place.domain, wanted=wanted, id=id_) if wanted else None


def _open(entry: Entry, id_: str) -> bool:
    if entry.to_publish is not None and entry.to_publish.id != id_:
        return False
    known = entry.ids.get(id_)
    return (known is not None and known.confirmed is None) or any(one.until is None for text, one in entry.ids.items() if text != id_)


def confirm(tools: Tools, questions: Sequence[Question], patience: timedelta | None = None) -> Confirmation:
    """Ask until every server shows what is wanted, or time is up (without `patience`: once); close the ledger of those that do.

    What servers show goes into the ledger, which the caller saves.
    """
    if not questions or tools.name_servers is None:
        return Confirmation()
    until = tools.ticks() + (timedelta() if patience is None else patience).total_seconds()
    waiting, pause = list(questions), _APART
    while True:
        in_parallel(tools, lambda one: _ask(tools, one), waiting)
        for one in waiting:
            _see(tools, one, one.look())
        waiting = [one for one in waiting if one.lagging()]
        if not waiting or tools.stop.requested or tools.ticks() + pause > until:
            break
        if pause == _APART:
            for one in waiting:
                text = f"waiting for its name servers: {_said(one)}"
                report(tools, Event(stage=Stage.COMMIT, what="waiting", domain=one.domain, text=text))
        _rest(tools, pause)
        pause = min(2 * pause, _SLOWEST)
    for one in questions:
        if one in waiting:
            if (look := one.blind()) is not None:
                _see(tools, one, look)
        elif one.id is not None:
            tools.book.set(one.domain, confirmed(tools.book.entry(one.domain), one.id, tools.clock()))
    return Confirmation(unconfirmed={one.domain: tuple(_unconfirmed(one)) for one in waiting}, notes=tuple(_unasked(questions)))


def _ask(tools: Tools, one: Question) -> None:
    assert tools.name_servers is not None
    tools.lease.prove()
    one.replies, one.homeless = [], []
    for kind in one.wanted:
        name = _name(one.domain, kind)
        replies = tools.name_servers.ask_authoritative(name, "TXT")
        one.replies += [(kind, reply) for reply in replies]
        if not replies:
            one.homeless.append(tools.name_servers.authority(name))


def _rest(tools: Tools, seconds: float) -> None:
    """Wait, in portions that a signal can end; the lock is kept."""
    end = tools.ticks() + seconds
    while not tools.stop.requested and (left := end - tools.ticks()) > 0:
        tools.lease.prove()
        tools.pause(min(left, _APART))


def _see(tools: Tools, one: Question, look: Look) -> None:
    tools.book.set(one.domain, saw(tools.book.entry(one.domain), look, tools.clock()))


def _name(domain: Domain, kind: RecordKind) -> str:
    return domain.sts_record if kind is RecordKind.STS else domain.tlsrpt_record


def _ours(kind: RecordKind, reply: Reply) -> tuple[str, ...]:
    """Our values as the octets came: what a provider has spoilt on its way is none of ours."""
    values = (text.decode("utf-8", "surrogateescape") for text in reply.texts)
    return tuple(value for value in values if kind.owns(value))


def _said(one: Question) -> str:
    kind, reply = one.lagging()[0]
    others = len({other.server for _, other in one.lagging()}) - 1
    shown = [text.decode("utf-8", "backslashreplace") for text in reply.texts]
    what = f"has {' and '.join(repr(text) for text in shown[:3])}" if shown else "has no such record"
    more = f" (and {others} more server{'s' * (others > 1)})" if others else ""
    return f"{reply.server} {what} at {_name(one.domain, kind)}{more}"


def _unconfirmed(one: Question) -> Iterator[Diagnostic]:
    kinds = dict.fromkeys(kind for kind, _ in one.lagging())
    values = [f"`{value}`" if (value := one.wanted[kind]) is not None else "its removal" for kind in kinds]
    yield Diagnostic(
        code="MTS707",
        message=f"the provider has {' and '.join(values)}, but not every name server of the zone shows it yet: {_said(one)}",
        domain=str(one.domain),
        hint="Nothing is undone: senders that ask that server get the old record a while longer. Run `deploy apply` again: it asks once "
        "more. If it stays so, look at zone transfers, and at the NS records: the provider may not be the one that serves the zone.",
    )


def _unasked(questions: Iterable[Question]) -> Iterator[Diagnostic]:
    """The servers that could not be asked, once each, however many names they serve."""
    servers: dict[str, list[Reply]] = {}
    reasons: dict[str, list[str]] = {}
    for one in questions:
        for reply in one.silent():
            servers.setdefault(reply.server, []).append(reply)
        for authority in one.homeless:
            why = authority.problem.message if authority.problem is not None else "no server of the zone is known"
            reasons.setdefault(why.partition(": ")[2] or why, []).append(why)
    for server, replies in servers.items():
        names = list(dict.fromkeys(reply.name for reply in replies))
        what = "gave no answer" if replies[0].outcome is Outcome.TIMEOUT else f"could not answer ({replies[0].rcode})"
        yield _note(f"the name server {server} {what} about {names[0]}{_and(names)}, so it was left out of the confirmation")
    for same in reasons.values():
        yield _note(f"{same[0]}{_and(same)}, so the provider's word had to do for the confirmation")


def _and(names: Sequence[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _note(message: str) -> Diagnostic:
    return Diagnostic(
        code="MTS708",
        severity=Severity.WARN,
        message=message,
        hint="Look at that server, at the NS records of the zone, and whether this machine may send DNS queries (port 53) there.",
    )
