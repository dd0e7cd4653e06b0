"""One block of settings (`defaults`, a profile, a domain) as typed values, with what is wrong with each value by itself.

In: plain data of the right shape, and the names that exist. Out: `Block`. Texts that many domains share are parsed once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, Final

from mtasts_deploy.declaration.model import LIFTABLE, PLUGIN, Allowance, Confirm, Sts
from mtasts_deploy.declaration.shape import EXPECTED, Fault
from mtasts_deploy.declaration.wording import close, did_you_mean, shown
from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.facts import Address, ZoneName
from mtasts_deploy.rfc.names import Domain, DomainError, MxPattern, MxPatternError
from mtasts_deploy.rfc.policy import MAX_MAX_AGE, Mode
from mtasts_deploy.rfc.records import parse_rua

MIN_TTL: Final = 300
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_STS: Final = {True: Sts.PUBLISH, False: Sts.TLSRPT_ONLY, "elsewhere": Sts.ELSEWHERE}
_MODES: Final = {mode.value: mode for mode in Mode}
_ZONE_KEYS: Final = {"_mta-sts": "sts", "_smtp._tls": "tlsrpt", "mx": "mx", "mta-sts": "address"}
_UNDERSCORED: Final = re.compile(r"(?:_[A-Za-z0-9_-]{1,62}\.)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names that settings may refer to, and the day for which `allow` is judged."""

    providers: Collection[str]
    hosts: Collection[str]
    profiles: Collection[str]
    today: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block: `values` are arguments of `DomainSettings`, without those that are wrong; `given` are the settings that it has."""

    values: Mapping[str, Any]
    faults: Sequence[Fault]
    given: Collection[str]


EMPTY: Final = Block(values={}, faults=(), given=())


def read_block(raw: Mapping[str, Any], names: Names, wrong: Collection[str | int] = ()) -> Block:
    """The typed values of one block; the shape of those in `wrong` is known to be bad."""
    if not raw:
        return EMPTY
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for setting, value in raw.items():
        if setting not in wrong:
            _READERS[setting](value, values, faults, names)
    return Block(values=values, faults=faults, given=raw.keys())


def seconds(value: int | str) -> int:
    """A duration in seconds: a number, or a text such as `12h` (the shape has been checked)."""
    return value if isinstance(value, int) else int(value[:-1]) * _UNITS[value[-1]]


def _sts(value: Any, values: dict[str, Any], _faults: list[Fault], _names: Names) -> None:
    values["sts"] = _STS[value]


def _mode(value: Any, values: dict[str, Any], _faults: list[Fault], _names: Names) -> None:
    values["mode"] = _MODES[value]


def _max_age(value: Any, values: dict[str, Any], faults: list[Fault], _names: Names) -> None:
    number = seconds(value)
    if 1 <= number <= MAX_MAX_AGE:
        values["max_age"] = number
        return
    expected = EXPECTED["max_age"]
    message = f"`max_age` is {value}, that is {number} seconds; it must be {expected.text}"
    hint = "52w is the most in weeks, 365d in days." if number else "A policy that is forgotten at once protects nothing; start with 1w."
    faults.append(Fault(path=("max_age",), code="MTS250", message=message, hint=hint, ref=expected.ref))


def _mx(value: Any, values: dict[str, Any], faults: list[Fault], _names: Names) -> None:
    zone, patterns, first = False, [], {}
    for index, text in enumerate([value] if isinstance(value, str) else value):
        path = ("mx",) if isinstance(value, str) else ("mx", index)
        if text == "zone":
            zone = True
            continue
        if text.lower() == "zone":
            message = f"{shown(text)} is not `zone`, and no MX host"
            faults.append(Fault(path=path, code="MTS121", message=message, hint="Write `zone` in lower case."))
            continue
        pattern, problems = _pattern(text)
        faults += [Fault.of(problem, path) for problem in problems if problem.code != "MTS215"]  # MTS215, MTS257: with the mode
        if pattern is None:
            continue
        if pattern in first:
            message = f"{pattern} is listed twice"
            faults.append(Fault(path=path, code="MTS256", message=message, severity=Severity.WARN, hint="Remove one of them."))
            continue
        first[pattern] = index
        patterns.append(pattern)
    if zone or patterns or not value:
        values["mx_zone"], values["mx"] = zone, tuple(patterns)


@lru_cache(maxsize=65_536)
def _pattern(text: str) -> tuple[MxPattern | None, tuple[Any, ...]]:
    try:
        pattern = MxPattern.parse(text)
    except MxPatternError as error:
        return None, error.problems
    return pattern, pattern.warnings


def _tlsrpt(value: Any, values: dict[str, Any], faults: list[Fault], _names: Names) -> None:
    if value is False:
        values["tlsrpt"] = ()
        return
    uris: list[str] = []
    for index, text in enumerate([value] if isinstance(value, str) else value):
        path = ("tlsrpt",) if isinstance(value, str) else ("tlsrpt", index)
        if text.lower() in ("no", "off", "false", "none"):
            message = f"`tlsrpt` is {shown(text)}, which is text and no URI"
            faults.append(Fault(path=path, code="MTS121", message=message, hint="Write false, without quotes."))
            continue
        uri, problems = _uri(text)
        faults += [Fault.of(problem, path) for problem in problems]
        if any(problem.severity is Severity.ERROR for problem in problems):
            continue
        if uri in uris:
            message = f"{shown(uri)} is listed twice"
            faults.append(Fault(path=path, code="MTS352", message=message, severity=Severity.WARN, hint="Remove one of them."))
            continue
        uris.append(uri)
    if uris and not any(uri.startswith("mailto:") for uri in uris):
        message = "no URI of `tlsrpt` is a mailto: one; some reporters can only send mail"
        hint = "Add a mailto: URI beside it."
        faults.append(Fault(path=("tlsrpt",), code="MTS353", message=message, severity=Severity.WARN, hint=hint, ref="RFC 8460 §3"))
    if uris:
        values["tlsrpt"] = tuple(uris)


_uri = lru_cache(maxsize=65_536)(parse_rua)


def _dns(value: Any, values: dict[str, Any], faults: list[Fault], names: Names) -> None:
    listed = [value] if isinstance(value, str) else value
    for index, name in enumerate(listed):
        if name != PLUGIN and name not in names.providers:
            path = ("dns",) if isinstance(value, str) else ("dns", index)
            faults.append(_undefined(path, "MTS150", "provider", name, names.providers))
    values["dns"] = tuple(dict.fromkeys(name for name in listed if name != PLUGIN))
    values["plugin"] = PLUGIN in listed


def _host(value: Any, values: dict[str, Any], faults: list[Fault], names: Names) -> None:
    if value not in names.hosts:
        faults.append(_undefined(("host",), "MTS151", "host", value, names.hosts))
    values["host"] = value


def _profile(value: Any, values: dict[str, Any], faults: list[Fault], names: Names) -> None:
    if value in names.profiles:
        values["profile"] = value
    else:
        faults.append(_undefined(("profile",), "MTS152", "profile", value, names.profiles))


def _undefined(path: tuple[str | int, ...], code: str, what: str, name: str, known: Collection[str]) -> Fault:
    hint = did_you_mean(name, known, f"Define it under `{what}s:`.")
    return Fault(path=path, code=code, message=f"there is no {what} {shown(name)}", hint=hint)


def _zone(value: Any, values: dict[str, Any], faults: list[Fault], _names: Names) -> None:
    if isinstance(value, str):
        values["zone"] = _zone_name(value, ("zone",), faults)
        return
    zones = {_ZONE_KEYS[key]: _zone_name(text, ("zone", key), faults) for key, text in value.items()}
    values["zone"] = {kind: zone for kind, zone in zones.items() if zone is not None} or None


def _zone_name(text: str, path: tuple[str | int, ...], faults: list[Fault]) -> ZoneName | None:
    """A zone may begin with our own labels (`_mta-sts.example.com`), which no mail domain does."""
    found = _UNDERSCORED.match(text)
    prefix = found[0].lower() if found else ""
    try:
        return ZoneName(f"{prefix}{Domain.parse(text[len(prefix) :])}.")
    except DomainError as error:
        faults += [Fault.of(problem, path) for problem in error.problems]
        return None


def _ttl(value: Any, values: dict[str, Any], faults: list[Fault], _names: Names) -> None:
    values["ttl"] = value
    if value < MIN_TTL:
        message = f"`ttl` is {value} seconds; many resolvers keep records for {MIN_TTL} anyway"
        faults.append(
            Fault(path=("ttl",), code="MTS351", message=message, severity=Severity.WARN, hint="3600 is enough for quick changes.")
        )


def _address(value: Any, values: dict[str, Any], faults: list[Fault], _names: Names) -> None:
    before = len(faults)
    addresses = {kind: tuple(_ips(kind, value[kind], faults)) for kind in ("a", "aaaa") if kind in value}
    if "cname" in value and addresses:
        message = "`address` has `cname` and addresses"
        hint = "Keep `cname`, or `a` and `aaaa`: no other record can stand beside a CNAME."
        faults.append(Fault(path=("address",), code="MTS162", message=message, hint=hint, ref="RFC 1034 §3.6.2"))
    cname = None
    if "cname" in value:
        try:
            cname = Domain.parse(value["cname"].removesuffix(".")).text
        except DomainError as error:
            faults += [Fault.of(problem, ("address", "cname")) for problem in error.problems]
    elif not any(addresses.values()) and len(faults) == before:
        hint = "Write {cname: policies.example.net}, or {a: [192.0.2.1], aaaa: [2001:db8::1]}; leave `address` out to leave it alone."
        faults.append(Fault(path=("address",), code="MTS162", message="`address` names no address", hint=hint))
    if len(faults) == before:
        values["address"] = Address.of({"CNAME": [cname] if cname else [], "A": addresses.get("a", ()), "AAAA": addresses.get("aaaa", ())})


def _ips(kind: str, value: str | list[str], faults: list[Fault]) -> Iterator[str]:
    version = 4 if kind == "a" else 6
    for index, text in enumerate([value] if isinstance(value, str) else value):
        path = ("address", kind) if isinstance(value, str) else ("address", kind, index)
        try:
            found = ipaddress.ip_address(text)
        except ValueError:
            found = None
        if found is None or found.version != version or "%" in text:
            example = "192.0.2.1" if version == 4 else "2001:db8::1"
            message = f"{shown(text)} is no IPv{version} address"
            other = (
                f"; IPv{found.version} addresses go under `{'a' if version == 6 else 'aaaa'}`" if found and found.version != version else ""
            )
            hint = f"Write it as {example}{other}."
            faults.append(Fault(path=path, code="MTS163", message=message, hint=hint))
        else:
            yield str(found)


def _confirm(value: Any, values: dict[str, Any], _faults: list[Fault], _names: Names) -> None:
    values["confirm"] = Confirm(value)


def _allow(value: Any, values: dict[str, Any], faults: list[Fault], names: Names) -> None:
    allowances = []
    for index, one in enumerate(value):
        code, until = one["code"], _day(one["until"])
        if code not in LIFTABLE:
            found = close(code, LIFTABLE) if code.upper() in LIFTABLE else None
            hint = f"Did you mean {found}?" if found else f"These can: {', '.join(sorted(LIFTABLE))}."
            faults.append(Fault(path=("allow", index, "code"), code="MTS160", message=f"{shown(code)} cannot be lifted", hint=hint))
        if until is None:
            message = f"`until` is {shown(one['until'])}, which is no day of the calendar"
            faults.append(Fault(path=("allow", index, "until"), code="MTS121", message=message, hint="Write it as 2027-01-31."))
        elif until < names.today:
            message = f"the lifting of {code} ended on {until}"
            hint = "Remove the entry; or set a later day if the guard must stay lifted."
            faults.append(Fault(path=("allow", index, "until"), code="MTS161", message=message, hint=hint))
        else:
            allowances.append(Allowance(code=code, until=until, why=one["why"]))
    values["allow"] = tuple(allowances)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


_READERS: Final = {
    "sts": _sts,
    "mode": _mode,
    "max_age": _max_age,
    "mx": _mx,
    "tlsrpt": _tlsrpt,
    "dns": _dns,
    "host": _host,
    "profile": _profile,
    "zone": _zone,
    "ttl": _ttl,
    "address": _address,
    "confirm": _confirm,
    "allow": _allow,
}
