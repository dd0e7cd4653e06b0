"""Entries to bytes and back: 256 shards by hash of the domain, one line a domain, so that one change touches one small file and one
line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, cast

from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import StateError
from mtasts_deploy.facts import Address
from mtasts_deploy.ledger.model import Before, Blind, Entry, Exposure, MxSighting, PublicPolicy, ToPublish, Way
from mtasts_deploy.rfc.policy import PolicyId, PolicyIdError

FORMAT_VERSION: Final = 3
"""2: `ways`. An entry of format 1 has none; the next look gives it the first. 3: `ours` of a policy; before, it is told by the ids."""
CORRUPT: Final = "MTS761"
"""The code of what cannot be read in a shard."""
NEWER: Final = "MTS762"
"""The code of a shard that a newer version wrote."""
Json = Mapping[str, object]


@lru_cache(maxsize=65536)
def shard_of(domain: str) -> str:
    """The key of the shard that holds this domain (A-labels)."""
    return f"ledger/{hashlib.sha256(domain.encode()).hexdigest()[:2]}.json"


def is_shard(key: str) -> bool:
    """Is this the key of a shard, and not what a merge or an editor left beside one?"""
    return re.fullmatch(r"ledger/[0-9a-f]{2}\.json", key) is not None


def _why(data: bytes, error: Exception) -> str:
    if b"<<<<<<< " in data:
        return "it holds the conflict markers of a merge"
    if not data.strip(b"\0 \r\n"):
        return "it is empty" if not data else "it holds nothing but zeros or blanks"
    return str(error) if isinstance(error, ValueError) else "it is not an object of domains"


class Shard:
    """One shard; its entries are decoded when they are asked for."""

    def __init__(self, raw: Mapping[str, Json], location: str) -> None:
        self._raw = dict(raw)
        self._location = location
        self._entries: dict[str, Entry] = {}

    @classmethod
    def parse(cls, data: bytes, location: str) -> Shard:
        """Read a shard. Raises `StateError` (MTS761: not a ledger shard, MTS762: written by a newer version), naming `location`."""
        try:
            document = json.loads(data)
            version, domains = document["format_version"], document["domains"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _corrupt(location, _why(data, error)) from error
        if not isinstance(version, int) or not isinstance(domains, dict) or not all(isinstance(entry, dict) for entry in domains.values()):
            raise _corrupt(location, "it is not an object of domains")
        if version > FORMAT_VERSION:
            raise StateError(
                Diagnostic(
                    code=NEWER,
                    message=f"{location} has format {version}; this version of mtasts-deploy reads up to {FORMAT_VERSION}",
                    hint="Use the version of mtasts-deploy that wrote it, or a newer one.",
                )
            )
        if version < 3:
            domains = {domain: _with_ours(raw) for domain, raw in domains.items()}
        return cls(cast("dict[str, Json]", domains), location)

    def get(self, domain: str) -> Entry | None:
        """The entry of a domain, or None. Raises `StateError` if it cannot be read."""
        known = self._entries.get(domain)
        if known is None and domain in self._raw:
            try:
                known = self._entries[domain] = _entry(self._raw[domain])
            except (ValueError, KeyError, TypeError, AttributeError, PolicyIdError) as error:
                raise _corrupt(self._location, f"the entry of {domain} cannot be read ({error!r})") from error
        return known

    def set(self, domain: str, entry: Entry) -> None:
        """Replace the entry of a domain."""
        self._entries[domain] = entry
        self._raw[domain] = _json(entry)

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def render(self) -> bytes:
        """The bytes of the shard; canonical, so that equal entries give equal bytes."""
        lines = [
            f"{json.dumps(domain)}: {json.dumps(raw, sort_keys=True, separators=(', ', ': '))}" for domain, raw in sorted(self._raw.items())
        ]
        return (f'{{"format_version": {FORMAT_VERSION}, "domains": {{\n' + ",\n".join(lines) + "\n}}\n").encode()


def _with_ours(raw: Json) -> Json:
    """An entry from before format 3: a policy is ours where an id that the ledger wrote names it. What is no entry stays for later."""
    match raw:
        case {"ids": dict() as ids, "policies": dict() as policies}:
            named = {text[:24] for text, known in ids.items() if isinstance(known, dict) and known.get("ours")}
            marked = {
                digits: {**policy, "ours": True} if digits in named and isinstance(policy, dict) else policy
                for digits, policy in policies.items()
            }
            return {**raw, "policies": marked}
    return raw


def _corrupt(location: str, why: str) -> StateError:
    return StateError(
        Diagnostic(
            code=CORRUPT,
            message=f"{location} is not a ledger shard: {why}",
            hint=f"Restore {location} from version control or a backup. Without one: `deploy state rebuild` makes it anew from what is "
            "live; what senders may still hold is then taken to be the worst for a year. Other domains are not concerned. After a "
            "merge conflict, keep every line of both sides; where both have a line for a domain, keep the one of the later run.",
        )
    )


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _body_json(body: bytes) -> Json:
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def _body(raw: Json) -> bytes:
    if "text" in raw:
        return cast("str", raw["text"]).encode()
    return base64.b64decode(cast("str", raw["base64"]), validate=True)


def _sparse(**values: object) -> dict[str, object]:
    return {
        key: _time(value) if isinstance(value, datetime) else value
        for key, value in values.items()
        if value not in (None, False, "", [], {}, 0)
    }


def _json(entry: Entry) -> Json:
    return _sparse(
        policies={
            digits: {
                **_body_json(policy.body),
                **_sparse(since=policy.since, until=policy.until, read_back=policy.read_back, mark=policy.mark, ours=policy.ours),
            }
            for digits, policy in entry.policies.items()
        },
        ids={
            text: {
                "bytes": sorted(known.bytes),
                "ttl": known.ttl,
                **_sparse(since=known.since, until=known.until, ours=known.ours, counted=known.counted, confirmed=known.confirmed),
            }
            for text, known in entry.ids.items()
        },
        blind=None if entry.blind is None else _sparse(since=entry.blind.since, until=entry.blind.until, ttl=entry.blind.ttl),
        mx={host: _sparse(since=seen.since, missed=seen.missed) for host, seen in entry.mx.items()},
        mx_ttl=entry.mx_ttl,
        mx_watched=entry.mx_watched,
        incomplete=entry.incomplete,
        lost=entry.lost,
        tlsrpt=entry.tlsrpt,
        before=None if entry.before is None else _before_json(entry.before),
        taken_back=sorted(entry.taken_back),
        to_publish=None if entry.to_publish is None else {"id": entry.to_publish.id, "ttl": entry.to_publish.ttl},
        dns=list(entry.dns),
        host=entry.host,
        ways=[_way_json(way) for way in entry.ways],
    )


def _way_json(way: Way) -> Json:
    return {
        "host": way.host,
        "ttl": way.ttl,
        "address": {kind: list(values) for kind, values in way.address.records()},
        **_sparse(since=way.since, seen=way.seen, until=way.until, ours=way.ours, put=way.put),
    }


def _way(raw: Json) -> Way:
    return Way(
        host=cast("str", raw["host"]),
        ttl=int(cast("int", raw["ttl"])),
        address=Address.of(cast("dict[str, list[str]]", raw["address"])),
        since=_moment(raw["since"]),
        seen=_maybe(raw.get("seen")),
        until=_maybe(raw.get("until")),
        ours=bool(raw.get("ours", False)),
        put=bool(raw.get("put", False)),
    )


def _before_json(before: Before) -> Json:
    return _sparse(
        run=before.run,
        at=before.at,
        policy=before.policy,
        sts=before.sts,
        tlsrpt=before.tlsrpt,
        tlsrpt_changed=before.tlsrpt_changed,
        done=before.done,
        taken=before.taken,
        plan=before.plan,
    )


_from_iso = lru_cache(maxsize=4096)(datetime.fromisoformat)


def _moment(raw: object) -> datetime:
    return _from_iso(cast("str", raw))


def _maybe(raw: object) -> datetime | None:
    return None if raw is None else _moment(raw)


def _entry(raw: Json) -> Entry:
    get = cast("dict[str, object]", raw).get
    before = cast("Json | None", get("before"))
    blind = cast("Json | None", get("blind"))
    to_publish = cast("Json | None", get("to_publish"))
    return Entry(
        policies={
            digits: PublicPolicy(
                body=_body(policy),
                since=_moment(policy["since"]),
                until=_maybe(policy.get("until")),
                read_back=_maybe(policy.get("read_back")),
                mark=cast("str | None", policy.get("mark")),
                ours=bool(policy.get("ours", False)),
            )
            for digits, policy in cast("dict[str, Json]", get("policies", {})).items()
        },
        ids={text: _exposure(text, known) for text, known in cast("dict[str, Json]", get("ids", {})).items()},
        blind=None if blind is None else _blind(blind),
        mx={
            host: MxSighting(host=host, since=_moment(seen["since"]), missed=_maybe(seen.get("missed")))
            for host, seen in cast("dict[str, Json]", get("mx", {})).items()
        },
        mx_ttl=int(cast("int", get("mx_ttl", 0))),
        mx_watched=_maybe(get("mx_watched")),
        incomplete=_maybe(get("incomplete")),
        lost=_maybe(get("lost")),
        tlsrpt=cast("str | None", get("tlsrpt")),
        before=None if before is None else _before(before),
        taken_back=frozenset(cast("list[str]", get("taken_back", []))),
        to_publish=None
        if to_publish is None
        else ToPublish(id=PolicyId.parse(cast("str", to_publish["id"])).text, ttl=int(cast("int", to_publish["ttl"]))),
        dns=tuple(cast("list[str]", get("dns", []))),
        host=cast("str", get("host", "")),
        ways=tuple(_way(way) for way in cast("list[Json]", get("ways", []))),
    )


def _blind(raw: Json) -> Blind:
    return Blind(since=_moment(raw["since"]), until=_maybe(raw.get("until")), ttl=int(cast("int", raw.get("ttl", 0))))


def _exposure(text: str, raw: Json) -> Exposure:
    return Exposure(
        id=text,
        since=_moment(raw["since"]),
        until=_maybe(raw.get("until")),
        ttl=int(cast("int", raw["ttl"])),
        bytes=frozenset(cast("list[str]", raw["bytes"])),
        ours=bool(raw.get("ours", False)),
        counted=bool(raw.get("counted", False)),
        confirmed=_maybe(raw.get("confirmed")),
    )


def _before(raw: Json) -> Before:
    return Before(
        run=cast("str", raw["run"]),
        at=_moment(raw["at"]),
        policy=cast("str | None", raw.get("policy")),
        sts=bool(raw.get("sts", False)),
        tlsrpt=cast("str | None", raw.get("tlsrpt")),
        tlsrpt_changed=bool(raw.get("tlsrpt_changed", False)),
        done=bool(raw.get("done", False)),
        taken=bool(raw.get("taken", False)),
        plan=cast("str", raw.get("plan", "")),
    )
