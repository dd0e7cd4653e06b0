"""`doctor`: is everything there that a run needs? Credentials by their names, providers, hosts, the state, roots, the clock, port 25.

Reads, but for one small object that is written to the state and taken away again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mtasts_deploy.declaration.model import Declaration, DomainSettings, S3HostSpec, S3StateSpec, Sts
from mtasts_deploy.deployment import Deployment
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.errors import MtastsError, StateConflict
from mtasts_deploy.facts import Fetched, Unknown
from mtasts_deploy.output.interface import Check
from mtasts_deploy.output.text import counted, listed
from mtasts_deploy.verify.look import Eyes

SKEW: Final = timedelta(minutes=5)
"""A clock that is further off makes every date of a plan wrong (DESIGN section 8)."""
_SAMPLE: Final = 3  # domains whose policy hosts and MX hosts are tried
_PROBE: Final = "doctor.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a doctor looks at beside the deployment. `signed_in` says by which way AWS credentials were found (None: none were)."""

    environ: Mapping[str, str]
    signed_in: Callable[[], str | None]
    eyes: Callable[[], Eyes]
    clock: Callable[[], datetime]


def examine(deployment: Deployment, around: Surroundings) -> Iterator[Check]:
    """All checks, one after the other, each as soon as it is known."""
    declaration = deployment.declaration
    yield Check(what="declaration", text=f"{declaration.path}: valid, {counted(len(declaration.domains), 'domain')}")
    yield from _credentials(declaration, around)
    for name in sorted({name for settings in declaration.domains.values() for name in settings.dns}):
        yield _tried(f"provider {name}", lambda name=name: _provider(deployment, name))  # type: ignore[misc]
    for name, domain in sorted({one.host: one for one in declaration.domains.values() if one.sts is Sts.PUBLISH}.items()):
        yield _tried(f"host {name}", lambda name=name, domain=domain: _host(deployment, name, domain))  # type: ignore[misc]
    yield _tried("state", lambda: _state(deployment))
    if declaration.local:
        yield Check(what="network", text="not needed: zones, policies and state are files here")
        return
    try:
        eyes = around.eyes()
    except MtastsError as error:
        yield Check(what="roots", findings=error.diagnostics)
        return
    yield Check(what="roots", text="root certificates can be read")
    publishing = [one for one in declaration.domains.values() if one.sts is Sts.PUBLISH][:_SAMPLE]
    yield _clock([answer for one in publishing for answer in eyes.fetcher.fetch(one.domain, known=False)], around.clock())
    yield _port_25(eyes, [str(one.domain) for one in declaration.domains.values()][:_SAMPLE])


def _tried(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what=what, text=look())
    except MtastsError as error:
        return Check(what=what, findings=error.diagnostics)


def _credentials(declaration: Declaration, around: Surroundings) -> Iterator[Check]:
    """Those that the providers' blocks name, and those of AWS; never a value."""
    for spec in declaration.providers.values():
        names = [text.removeprefix("env/").partition("/") for text in _texts(spec.options) if text.startswith("env/")]
        missing = [name for name, _, default in names if not around.environ.get(name) and not default]
        if missing:
            message = f"provider {spec.name} takes {listed(missing)} from the environment, where nothing of that name is"
            yield Check(what=f"credentials of {spec.name}", findings=(_finding("MTS931", message, "Set it where `deploy` runs."),))
        elif names:
            yield Check(what=f"credentials of {spec.name}", text=f"{listed([name for name, _, _ in names])}: set")
    buckets = [one for one in (*declaration.hosts.values(), declaration.state) if isinstance(one, S3HostSpec | S3StateSpec)]
    if buckets:
        way = around.signed_in()
        hint = "Set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role."
        message = "no AWS credentials were found for the buckets"
        found = () if way is not None else (_finding("MTS931", message, hint),)
        yield Check(what="credentials of AWS", text=f"found by {way}" if way is not None else "", findings=found)


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for inner in value.values():
                yield from _texts(inner)
        case list() | tuple():
            for inner in value:
                yield from _texts(inner)


def _provider(deployment: Deployment, name: str) -> str:
    target = deployment.targets[name]
    target.ready()
    zones = target.zones()
    return "can be used; it cannot list its zones" if zones is None else f"answers: {counted(len(zones), 'zone')}"


def _host(deployment: Deployment, name: str, settings: DomainSettings) -> str:
    found = deployment.hosts[name].read((settings.domain,)).get(settings.domain)
    if isinstance(found, Unknown):
        raise MtastsError(found.reason)
    return f"can be read: {'a' if found is not None else 'no'} policy of {settings.domain.display}"


def _state(deployment: Deployment) -> str:
    """It must keep to conditions, or two runs could both take the lock."""
    store = deployment.store
    text = f'{{"probe": "{secrets.token_hex(8)}"}}\n'.encode()
    before = store.read(_PROBE)
    version = store.write(_PROBE, text, None if before is None else before.version)
    try:
        store.write(_PROBE, b"{}\n", None)
    except StateConflict:
        store.remove(_PROBE, version)
        return f"{store.location('')} can be read and written, and keeps to conditions"
    message = f"{store.location(_PROBE)} was overwritten although it should only have been made"
    raise MtastsError(_finding("MTS932", message, "Keep the state in a bucket of AWS S3, or of a server with conditional writes."))


def _clock(answers: Sequence[Fetched], now: datetime) -> Check:
    dates = [answer.date for answer in answers if answer.date is not None]
    if not dates:
        return Check(what="clock", text="not compared: no policy host has answered with its time yet")
    off = min((now - date for date in dates), key=abs)
    if abs(off) <= SKEW:
        return Check(what="clock", text=f"within {max(1, round(abs(off).total_seconds()))} s of that of a policy host")
    message = (
        f"the clock of this machine is {round(abs(off).total_seconds())} s {'ahead of' if off > timedelta() else 'behind'} a policy host"
    )
    return Check(what="clock", findings=(_finding("MTS933", message, "Synchronise it (NTP): every date of a plan rests on it."),))


def _port_25(eyes: Eyes, domains: Sequence[str]) -> Check:
    """Only `verify` needs it, so what is missing is a warning."""
    hosts = [value.split()[-1] for domain in domains for value in eyes.lookups.ask(domain, "MX").values]
    named = [(host, eyes.lookups.ask(host, "A").values) for host in dict.fromkeys(hosts) if host != "."]
    ends = [(host, addresses[0]) for host, addresses in named if addresses]
    if not ends or eyes.prober is None:
        return Check(what="port 25", text="not tried: no MX host with an IPv4 address was found")
    for host, address in ends:
        eyes.prober.probe(host, address, eyes.looking.way(address, 25))
        if eyes.prober.answered:
            return Check(what="port 25", text=f"can be reached: {host} answers")
    message = f"none of {counted(len(ends), 'MX host')} answers on port 25; most clouds and homes block it"
    hint = "Run `deploy verify` where it is open, or with --no-smtp. Nothing else needs it."
    return Check(what="port 25", findings=(_finding("MTS934", message, hint, Severity.WARN),))


def _finding(code: str, message: str, hint: str, severity: Severity = Severity.ERROR) -> Diagnostic:
    return Diagnostic(code=code, message=message, hint=hint, severity=severity)
