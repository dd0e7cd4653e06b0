"""The tables of `status` and `history`: padded columns that fit 80 columns, more lines where a name is long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mtasts_deploy.declaration.model import Sts
from mtasts_deploy.ledger.model import YEAR, Entry, Exposure, PublicPolicy
from mtasts_deploy.output.interface import Past
from mtasts_deploy.output.standing import IdState, Standing
from mtasts_deploy.output.text import counted, further, listed, plain
from mtasts_deploy.plan.horizon import horizon, read_policy
from mtasts_deploy.plan.wording import duration, moment, policy_text, short_id

if TYPE_CHECKING:
    from mtasts_deploy.verify.memory import LastLook

_HEADER = ("DOMAIN", "MODE", "ID", "MX", "OLD POLICY HELD UNTIL")
_GAP = "  "


def status_lines(standings: Sequence[Standing], width: int) -> Iterator[str]:
    """One row a domain, and below it what comes next."""
    rows = [_HEADER, *(_row(one) for one in standings)]
    sizes = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    rest = sum(sizes[1:]) + len(_GAP) * (len(sizes) - 1)
    longest = max(width - rest, 12)
    first = min(sizes[0], longest)
    yield _padded(_HEADER, [first, *sizes[1:]])
    for row, one in zip(rows[1:], standings, strict=True):
        if len(row[0]) > first:
            yield row[0]
            row = ("", *row[1:])
        yield _padded(row, [first, *sizes[1:]])
        yield from _below(one)


def _padded(cells: Iterable[str], sizes: Sequence[int]) -> str:
    return _GAP.join(cell.ljust(size) for cell, size in zip(cells, sizes, strict=True)).rstrip()


def _row(one: Standing) -> tuple[str, str, str, str, str]:
    domain = plain(one.plan.domain.display)
    if one.unknown:
        return domain, _mode(one), "unknown", "unknown", "unknown"
    if one.sts is Sts.ELSEWHERE:
        return domain, _mode(one), "-", "-", "-"
    covered = len(one.mx) - len(one.uncovered)
    mx = f"{covered} of {len(one.mx)}" if one.live is not None else "-"
    held = "-" if one.held_until is None else moment(one.held_until)
    return domain, _mode(one), _id(one), mx, held


def _mode(one: Standing) -> str:
    if one.sts is Sts.ELSEWHERE:
        return "elsewhere"
    live = "-" if one.live is None else one.live.value
    if one.sts is Sts.TLSRPT_ONLY:
        return "reports only" if one.live is None else f"{live} (not managed)"
    declared = "-" if one.declared is None else one.declared.value
    if one.unknown:
        return f"? → {declared}"
    return live if live == declared else f"{live} → {declared}"


def _id(one: Standing) -> str:
    match one.id_state:
        case IdState.ABSENT:
            return "-"
        case IdState.SEVERAL:
            return f"{len(one.ids)} ids"
        case IdState.NAMES:
            return f"{short_id(one.ids[0])} ok"
        case state:
            return f"{short_id(plain(one.ids[0]))} {state.value}"


def _below(one: Standing) -> Iterator[str]:
    if one.look is not None:
        yield from _looked(one.look)
    for finding in one.unknown:
        yield f"  ? {finding.code} {plain(finding.message)}"
        yield from (f"      {text}" for text in further(finding))
    if one.uncovered:
        yield f"  not covered: {plain(listed(one.uncovered))}"
    for coming in one.next:
        when = "" if coming.when is None else f" {moment(coming.when)} or later:"
        yield f"  next:{when} {plain(coming.text)}"


def _looked(look: LastLook) -> Iterator[str]:
    """What senders were last seen to do, and for how long certificates were good then."""
    yield f"  senders: {look.delivery.value}, {plain(look.why)} ({moment(look.at)})"
    ends = [("policy host", look.policy_host_ends), ("MX", look.mx_ends)]
    said = [f"{what} {counted((when - look.at).days, 'day')}" for what, when in ends if when is not None]
    if said:
        yield f"  certificates: {', '.join(said)}"


def history_lines(past: Past) -> Iterator[str]:
    """All that the ledger remembers of one domain."""
    yield plain(past.domain.display)
    entry = past.entry
    if entry is None:
        yield "  The ledger knows nothing of this domain: no apply has seen it yet."
        return
    yield from _section("Policies", _policies(entry, past.now))
    yield from _section("Ids", _ids(entry, past.now))
    yield from _section("MX hosts", _mx(entry))
    yield from _section("Remarks", _remarks(entry, past.now))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    rows = list(lines)
    if rows:
        yield ""
        yield title
        yield from (f"  {row}" for row in rows)


def _span(since: datetime, until: datetime | None, now: datetime) -> str:
    if until is None:
        return f"from {_time(since)} until now"
    return f"from {_time(since)} until {_time(until)}" + (" (not over yet)" if until > now else "")


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _policies(entry: Entry, now: datetime) -> Iterator[str]:
    for digits, public in sorted(entry.policies.items(), key=lambda item: item[1].since):
        yield f"{digits}  {_policy(public)}"
        yield f"  public {_span(public.since, public.until, now)}"
        until = horizon(entry, digits, now)
        if until is not None and public.until is not None:
            yield f"  may be held by senders until {moment(until)}" if until > now else f"  held by no sender since {moment(until)}"


def _policy(public: PublicPolicy) -> str:
    policy = read_policy(public.body)
    return "no valid policy" if policy is None else plain(policy_text(policy))


def _ids(entry: Entry, now: datetime) -> Iterator[str]:
    for known in sorted(entry.ids.values(), key=lambda one: one.since):
        yield f"{plain(known.id)}  {_spent(known)}"
        yield f"  visible {_span(known.since, known.until, now)}, ttl {duration(known.ttl)}"
        yield f"  beside {listed(sorted(known.bytes)) or 'no policy'}"


def _spent(known: Exposure) -> str:
    if not known.counted:
        return "spent: its past is unknown"
    return "spent: other bytes could be fetched under it" if known.spent else "not spent"


def _mx(entry: Entry) -> Iterator[str]:
    for host, seen in sorted(entry.mx.items()):
        missed = "" if seen.missed is None else f", missed since {_time(seen.missed)}"
        yield f"{plain(host)}  seen since {_time(seen.since)}{missed}"
    if entry.mx:
        yield f"largest ttl {duration(entry.mx_ttl)}"


def _remarks(entry: Entry, now: datetime) -> Iterator[str]:
    if entry.incomplete is not None:
        yield f"The history is incomplete before {_time(entry.incomplete)}; this counts until {moment(entry.incomplete + YEAR)}."
    if entry.lost is not None and entry.state_was_lost(now):
        yield f"At {_time(entry.lost)} an id was live that the ledger did not know: new ids carry a counter."
    if entry.to_publish is not None:
        yield f"octodns-sync publishes id {entry.to_publish.id} whenever it runs."
    if entry.before is not None:
        done = "" if entry.before.done else " (not finished)"
        yield f"The last run that changed it: {entry.before.run} at {_time(entry.before.at)}{done}; `deploy rollback` goes back before it."
    if entry.taken_back:
        yield f"A rollback took back {counted(len(entry.taken_back), 'publication')}: {plain(listed(sorted(entry.taken_back)))}."
