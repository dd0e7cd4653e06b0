"""How an entry grows: each function takes an entry and what happened, and gives the new entry. Pure; called before the world is changed.

A look that shows nothing new gives back the very same entry, so that an apply without news writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mtasts_deploy.facts import Address
from mtasts_deploy.ledger.model import UNSEEN, Before, Blind, Entry, Exposure, MxSighting, PublicPolicy, ToPublish
from mtasts_deploy.ledger.ways import found_again, saw_addresses, served_by
from mtasts_deploy.rfc.policy import PolicyId, policy_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the world showed: the ids in the `_mta-sts` records with their TTLs, the bytes at the host(s), the MX hosts.

    `mx` is None where the MX records were not looked at; `mx_ttl` goes with it. `single`: each provider has exactly one valid record (None:
    not looked at); another answer than that may be cached for `blind_ttl`.

    `host` is the declared host ("": this was no look at the whole domain), `aliases` other names of it, `declared` the declared address;
    `addresses` are those of the policy host with their TTLs, as far as they are known; `closes`: what is not among them is gone.
    `unsure`: without a ledger, nothing tells that the declared host is the one that serves.
    """

    ids: tuple[tuple[str, int], ...] = ()
    bodies: tuple[bytes, ...] = ()
    mx: tuple[str, ...] | None = None
    mx_ttl: int = 0
    single: bool | None = None
    blind_ttl: int = 0
    host: str = ""
    aliases: frozenset[str] = frozenset()
    declared: Address | None = None
    addresses: Mapping[Address, int] = field(default_factory=dict)
    closes: bool = True
    unsure: bool = False


def digits_of(body: bytes) -> str:
    """The name of these bytes: the digits that an id of ours for them begins with."""
    return str(policy_id(body))


def saw(entry: Entry, look: Look, now: datetime) -> Entry:
    """Record a look, before anything is changed: every id seen may be visible, every bytes seen were exposed to every id that may be.

    Nothing live at first sight: the domain counts as new; else its history is incomplete from now on.
    """
    first = entry is UNSEEN or (not entry.policies and not entry.ids and entry.mx_watched is None)
    after = _saw_ids(entry, look.ids, now)
    after = _saw_bodies(after, look.bodies, now)
    if look.single is not None:
        after = _saw_records(after, look.single, look.blind_ttl, now)
    if look.mx is not None:
        after = _saw_mx(after, look.mx, look.mx_ttl, now)
    if first and (look.ids or look.bodies):
        after = replace(after, incomplete=now)
    if look.host and (after.ids or after.policies or after.ways):
        after = served_by(after, look.host, look.aliases)
        unsure = look.unsure and (after.astray or (first and after.lost is not None))
        if after.astray and not unsure:
            after = found_again(after, look.addresses, look.host)
        after = saw_addresses(after, look.addresses, look.declared, look.host, now, closes=look.closes, unsure=unsure)
    return after


def _saw_ids(entry: Entry, seen: Iterable[tuple[str, int]], now: datetime) -> Entry:
    ids = dict(entry.ids)
    lost = entry.lost
    for text, ttl in seen:
        known = ids.get(text)
        if known is None:
            ids[text] = Exposure(id=text, since=now, ttl=ttl, bytes=frozenset(), ours=False, counted=False)
            if PolicyId.parse(text).digits is not None:
                lost = now
        elif known.until is not None:
            # Seen again: open again. Seen after it was counted as gone: nobody knows what could be fetched meanwhile.
            counted = known.counted and known.visible(now)
            ids[text] = replace(known, until=None, ttl=max(ttl, known.ttl), counted=counted)
        elif ttl > known.ttl:
            ids[text] = replace(known, ttl=ttl)
    return entry if ids == entry.ids else _expose(replace(entry, ids=ids, lost=lost), entry.fetchable(), now)


def _saw_records(entry: Entry, single: bool, ttl: int, now: datetime) -> Entry:
    blind = entry.blind
    if single:
        if blind is None or blind.until is not None:
            return entry
        return replace(entry, blind=replace(blind, until=now + timedelta(seconds=max(ttl, blind.ttl))))
    if not entry.ids and not entry.policies:
        return entry  # nobody can hold anything
    if blind is None or blind.until is not None:
        return replace(entry, blind=Blind(since=now, ttl=ttl))
    return entry if ttl <= blind.ttl else replace(entry, blind=replace(blind, ttl=ttl))


def _saw_bodies(entry: Entry, bodies: Iterable[bytes], now: datetime) -> Entry:
    after = entry
    for body in bodies:
        after = _public(after, body, now)
    return after


def _public(entry: Entry, body: bytes, now: datetime) -> Entry:
    digits = digits_of(body)
    known = entry.policies.get(digits)
    after = entry
    if known is None:
        after = replace(entry, policies={**entry.policies, digits: PublicPolicy(body=body, since=now)})
    elif known.until is not None:
        after = replace(entry, policies={**entry.policies, digits: replace(known, until=None, read_back=None, ours=False)})
    return _expose(after, frozenset({digits}), now)


def _expose(entry: Entry, digits: frozenset[str], now: datetime) -> Entry:
    ids = {
        text: replace(known, bytes=known.bytes | digits) if known.visible(now) and not digits <= known.bytes else known
        for text, known in entry.ids.items()
    }
    return entry if ids == entry.ids else replace(entry, ids=ids)


def _saw_mx(entry: Entry, hosts: tuple[str, ...], ttl: int, now: datetime) -> Entry:
    mx = dict(entry.mx)
    for host in hosts:
        known = mx.get(host)
        if known is None:
            mx[host] = MxSighting(host=host, since=now)
        elif known.missed is not None:
            mx[host] = replace(known, missed=None)
    for host, known in entry.mx.items():
        if host not in hosts and known.missed is None:
            mx[host] = replace(known, missed=now)
    watched = entry.mx_watched or now
    largest = max(ttl, entry.mx_ttl)
    if mx == entry.mx and watched == entry.mx_watched and largest == entry.mx_ttl:
        return entry
    return replace(entry, mx=mx, mx_ttl=largest, mx_watched=watched)


def putting(entry: Entry, body: bytes, now: datetime) -> Entry:
    """Before a put: these bytes may be public from now, under every id that may be visible. They were not read back yet."""
    after = _ours(_public(entry, body, now), body)
    digits = digits_of(body)
    known = after.policies[digits]
    return after if known.read_back is None else replace(after, policies={**after.policies, digits: replace(known, read_back=None)})


def _ours(entry: Entry, body: bytes) -> Entry:
    digits = digits_of(body)
    known = entry.policies.get(digits)
    return entry if known is None or known.ours else replace(entry, policies={**entry.policies, digits: replace(known, ours=True)})


def stored(entry: Entry, body: bytes, now: datetime, mark: str | None = None) -> Entry:
    """These bytes, and no others, are at the host, from which others take what they serve: other bytes may still be fetched."""
    digits = digits_of(body)
    policies = {
        name: replace(policy, read_back=policy.read_back or now, mark=mark or policy.mark)
        if name == digits
        else replace(policy, read_back=None)
        for name, policy in entry.policies.items()
    }
    return entry if policies == entry.policies else replace(entry, policies=policies)


def read_back(entry: Entry, body: bytes, now: datetime, mark: str | None = None) -> Entry:
    """After a put was read back from the only place that serves: the other bytes cannot be fetched any more.

    `mark` is what the host's listing shows for these bytes, if it shows such a thing.
    """
    digits = digits_of(body)
    policies = {
        name: replace(policy, read_back=policy.read_back or now, mark=mark or policy.mark) if name == digits else _closed(policy, now)
        for name, policy in entry.policies.items()
    }
    return entry if policies == entry.policies else replace(entry, policies=policies)


def placed(entry: Entry, dns: tuple[str, ...], host: str) -> Entry:
    """The domain lives at these providers and this host; what another host has shown for its bytes is forgotten."""
    if host != entry.host:
        entry = replace(entry, policies={name: replace(policy, mark=None) for name, policy in entry.policies.items()})
    return replace(entry, dns=dns, host=host)


def removed(entry: Entry, now: datetime) -> Entry:
    """After the removal of the file was read back: nothing can be fetched any more."""
    return replace(entry, policies={name: _closed(policy, now) for name, policy in entry.policies.items()})


def _closed(policy: PublicPolicy, now: datetime) -> PublicPolicy:
    return policy if policy.until is not None else replace(policy, until=now)


def pushing(entry: Entry, id_: str, body: bytes, ttl: int, now: datetime) -> Entry:
    """Before a push: this id may be visible from now, with the planned bytes and with all that may be fetched."""
    exposed = entry.fetchable() | {digits_of(body)}
    known = entry.ids.get(id_)
    if known is None:
        new = Exposure(id=id_, since=now, ttl=ttl, bytes=exposed, ours=True, counted=True)
    else:
        new = replace(known, until=None, ttl=max(ttl, known.ttl), bytes=known.bytes | exposed)
    return _ours(replace(entry, ids={**entry.ids, id_: new}), body)


def handing_over(entry: Entry, id_: str, body: bytes, ttl: int, now: datetime) -> Entry:
    """octodns-sync may publish this id from now on (`dns: plugin`): to store it is the push, so it may be visible from this very write."""
    return replace(pushing(entry, id_, body, ttl, now), to_publish=ToPublish(id=id_, ttl=ttl))


def written_by_us(entry: Entry) -> Entry:
    """`deploy apply` writes the record itself: nothing is left to octodns-sync."""
    return entry if entry.to_publish is None else replace(entry, to_publish=None)


def confirmed(entry: Entry, id_: str, now: datetime) -> Entry:
    """This id, and no other, was read back at every provider: the others may be visible for one more TTL, the largest that each was seen
    with.

    Where octodns-sync publishes, only the id that was handed over last closes the others: until it is live, a run of octodns-sync that
    has read an earlier one may still be on its way.
    """
    if entry.to_publish is not None and entry.to_publish.id != id_:
        return entry
    ids = {}
    for text, known in entry.ids.items():
        if text == id_:
            ids[text] = known if known.confirmed else replace(known, confirmed=now)
        elif known.until is None:
            ids[text] = replace(known, until=now + timedelta(seconds=known.ttl))
        else:
            ids[text] = known
    return entry if ids == entry.ids else replace(entry, ids=ids)


def changing(entry: Entry, before: Before) -> Entry:
    """Before a run changes the domain: remember what to go back to, unless an unfinished run already has noted it."""
    if entry.before is not None and not entry.before.done and not entry.before.taken:
        noted = replace(entry.before, plan=before.plan)
        if before.tlsrpt_changed and not noted.tlsrpt_changed:
            noted = replace(noted, tlsrpt=before.tlsrpt, tlsrpt_changed=True)
        return entry if noted == entry.before else replace(entry, before=noted)
    return replace(entry, before=before)


def finished(entry: Entry) -> Entry:
    """The run has done all that it had to do for the domain."""
    if entry.before is None or entry.before.done:
        return entry
    return replace(entry, before=replace(entry.before, done=True))


def taking_back(entry: Entry) -> Entry:
    """Before a rollback changes the domain: what was public since the change began, and is not what was live before, counts as taken
    back.
    """
    before = entry.before
    if before is None:
        return entry
    public = {digits for digits, policy in entry.policies.items() if policy.until is None or policy.until > before.at}
    record = {entry.tlsrpt} if before.tlsrpt_changed and entry.tlsrpt not in (None, before.tlsrpt) else set()
    return replace(entry, taken_back=frozenset(text for text in (public - {before.policy}) | record if text is not None))


def took_back(entry: Entry) -> Entry:
    """A rollback has done all that it had to do: there is nothing more to go back to."""
    return entry if entry.before is None else replace(entry, before=replace(entry.before, taken=True))


def declared_anew(entry: Entry) -> Entry:
    """The declaration does not ask (or asks again, on purpose) for what was taken back."""
    return replace(entry, taken_back=frozenset()) if entry.taken_back else entry
