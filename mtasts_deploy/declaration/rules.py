"""Rules between settings that need no zone: findings about the effective settings of a domain.

`combination` looks at settings that many domains share, and runs once for them; `of_domain` has what depends on the domain's name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mtasts_deploy.declaration.model import Sts
from mtasts_deploy.diagnostics import Severity
from mtasts_deploy.facts import ZoneName
from mtasts_deploy.rfc.names import Domain, MxPattern
from mtasts_deploy.rfc.policy import Mode, max_age_problems

DAY: Final = 86_400
_POLICY_SETTINGS: Final = ("mode", "max_age", "mx", "address")
_TARGET: Final = "Name the host that serves the policy."
_DECISIVE: Final = frozenset({"sts", "mode", "profile"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A finding about `setting`, wherever that was written; None: about what the domain lacks, said once for all such domains."""

    setting: str | None
    code: str
    message: str
    severity: Severity = Severity.WARN
    hint: str | None = None
    ref: str | None = None


def combination(values: Mapping[str, Any], lost: Collection[str]) -> Iterator[Finding]:
    """What these effective settings, taken together, say wrongly. Nothing is said that rests on those in `lost`, whose value is unknown."""
    if not _DECISIVE.isdisjoint(lost):
        return
    sts, mode = values["sts"], values["mode"]
    if sts is not Sts.PUBLISH:
        if sts is Sts.TLSRPT_ONLY and values["tlsrpt"] is None and "tlsrpt" not in lost:
            message = "`sts: false` without `tlsrpt` leaves nothing to publish"
            hint = "Add `tlsrpt:` with a mailto: URI, or remove the domain."
            yield Finding(setting=None, code="MTS356", message=message, hint=hint)
        return
    if values["address"] is not None and values["plugin"] and "dns" not in lost:
        message = "`address` with `dns: plugin`: octodns-sync owns the zone, and would remove the address again"
        hint = "Remove `address`, and write the address records of `mta-sts` into the sources of octodns-sync."
        yield Finding(setting="address", code="MTS164", message=message, severity=Severity.ERROR, hint=hint)
    if mode is Mode.NONE:
        return
    if "max_age" not in lost:
        yield from _max_age(mode, values["max_age"])
    if not values["mx_zone"] and not values["mx"]:
        message = f"`mx` is empty, and mode {mode} needs the names of the MX hosts"
        hint = "Write `mx: zone` to follow the MX records, or `sts: false` for a domain that receives no mail."
        yield Finding(setting="mx", code="MTS253", message=message, severity=Severity.ERROR, hint=hint, ref="RFC 8461 §3.2")
    lifted = any(one.code == "MTS257" for one in values["allow"])
    for pattern in values["mx"]:
        yield from _registry_wildcard(pattern, mode, lifted)
    if not values["tlsrpt"] and "tlsrpt" not in lost:
        yield _unreported(mode, values["tlsrpt"])


def _max_age(mode: Mode, max_age: int) -> Iterator[Finding]:
    if mode is Mode.ENFORCE and max_age < DAY:
        message = f"`max_age` is {max_age} seconds in mode enforce; under a day ({DAY}) some senders ignore the policy"
        hint = "Write `max_age: 1w`; to try a policy out, use `mode: testing`."
        yield Finding(setting="max_age", code="MTS251", message=message, severity=Severity.ERROR, hint=hint, ref="RFC 8461 §3.2, §10.2")
        return
    for problem in max_age_problems(mode, max_age):
        yield Finding(setting="max_age", code=problem.code, message=problem.message, hint=problem.hint, ref=problem.section)


def _registry_wildcard(pattern: MxPattern, mode: Mode, lifted: bool) -> Iterator[Finding]:
    if not pattern.text.startswith("*."):
        return
    for problem in pattern.warnings:
        found = Finding(setting="mx", code=problem.code, message=problem.message, hint=problem.hint, ref=problem.section)
        if mode is Mode.ENFORCE:
            hint = f"{problem.hint}; or lift it for this domain with `allow:`"
            found = replace(found, code="MTS257", severity=Severity.WARN if lifted else Severity.ERROR, hint=hint)
        yield found


def _unreported(mode: Mode, tlsrpt: tuple[str, ...] | None) -> Finding:
    what = "without `tlsrpt`" if tlsrpt is None else "with `tlsrpt: false`"
    if mode is Mode.ENFORCE:
        message = f"mode enforce {what}: nobody will tell you when senders cannot deliver"
    else:
        message = f"mode testing {what}: senders test, and nobody hears of the failures"
    setting = None if tlsrpt is None else "tlsrpt"
    hint = "Add `tlsrpt: mailto:…` to `defaults`, best with an address in another domain."
    return Finding(setting=setting, code="MTS252", message=message, hint=hint, ref="RFC 8461 §6, §10.2")


def of_domain(domain: Domain, values: Mapping[str, Any]) -> Iterator[Finding]:
    """What these effective settings say wrongly for this domain."""
    name = domain.text
    if values["sts"] is Sts.PUBLISH:
        for pattern in values["mx"]:
            if pattern.text.startswith("*.") and pattern.text[2:] == name:
                message = f"{pattern} lets any host below {domain.unicode} with a certificate receive its mail, web servers too"
                hint = "Name the MX hosts, or write `mx: zone`."
                yield Finding(setting="mx", code="MTS254", message=message, hint=hint, ref="RFC 8461 §10.4")
        if values["mode"] is Mode.ENFORCE and (to := _own_reports(name, values["tlsrpt"])):
            message = f"reports go to {to}, in the domain that they are about"
            hint = "Best use an address in another domain: reports must arrive while the MX hosts are down."
            yield Finding(setting="tlsrpt", code="MTS354", message=message, severity=Severity.NOTE, hint=hint, ref="RFC 8460 §3")
    address = values["address"]
    if address is not None and address.cname == domain.policy_host:
        message = f"`cname` leads from {domain.policy_host} to itself"
        yield Finding(
            setting="address", code="MTS162", message=message, severity=Severity.ERROR, hint="Name the host that serves the policy."
        )
    zone = values["zone"]
    for one, owner in _zones(domain, zone) if zone else ():
        if not _holds(one, owner):
            message = f"the zone {one} cannot hold {owner}"
            hint = "Name the zone above that name; remove `zone` to have it found."
            yield Finding(setting="zone", code="MTS158", message=message, severity=Severity.ERROR, hint=hint)
            return


def by_domain(values: Mapping[str, Any]) -> bool:
    """Can `of_domain` find anything for these settings? Most can be passed over."""
    return bool(values["zone"] or values["address"] or (values["mode"] is Mode.ENFORCE and values["tlsrpt"])) or any(
        pattern.text.startswith("*.") for pattern in values["mx"]
    )


def _own_reports(name: str, tlsrpt: tuple[str, ...] | None) -> str | None:
    ending = f"@{name}"
    return next((uri for uri in tlsrpt or () if uri.startswith("mailto:") and uri.partition("?")[0].lower().endswith(ending)), None)


def _zones(domain: Domain, zone: ZoneName | Mapping[str, ZoneName]) -> Iterator[tuple[ZoneName, str]]:
    owners = {"sts": domain.sts_record, "tlsrpt": domain.tlsrpt_record, "mx": domain.text, "address": domain.policy_host}
    if isinstance(zone, str):
        yield ZoneName(zone), domain.text
    else:
        yield from ((one, owners[kind]) for kind, one in zone.items())


def _holds(zone: ZoneName, owner: str) -> bool:
    return owner + "." == zone or owner.endswith("." + zone[:-1])


def ineffective(own: Collection[str], values: Mapping[str, Any]) -> Iterator[Finding]:
    """Settings that a domain itself has, although the others make them idle."""
    sts = values["sts"]
    if sts is Sts.PUBLISH and values["mode"] is Mode.NONE and "max_age" in own and values["max_age"] != DAY:
        message = "`max_age` has no effect in mode none, which is published with one day"
        yield Finding(setting="max_age", code="MTS255", message=message, hint="Remove it.", ref="RFC 8461 §8.3")
    for setting in _POLICY_SETTINGS if sts is not Sts.PUBLISH else ():
        if setting in own:
            message = f"`{setting}` has no effect with `sts: {sts.value}`"
            yield Finding(setting=setting, code="MTS258", message=message, hint="Remove it, or remove `sts`.")
