"""What is wrong with the policy host and the policy that it serves (RFC 8461 §3.2, §3.3). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from mtasts_deploy.declaration.model import DomainSettings, Sts
from mtasts_deploy.diagnostics import Diagnostic, Problem, Severity
from mtasts_deploy.facts import Fetched
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.rfc.policy import Mode, Policy, PolicyError, parse_policy, policy_id
from mtasts_deploy.rfc.records import StsRecord
from mtasts_deploy.verify.model import Sight

SOON: Final = timedelta(days=14)
"""How long before its end a certificate is spoken of (CERT-10)."""
_INVALID: Final = "TLS reports call it sts-policy-invalid."
_FETCH: Final = "RFC 8461 §3.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is known of a domain of ours: its settings, and what the ledger remembers (None: nothing)."""

    settings: DomainSettings
    entry: Entry | None = None


def check_policy(sight: Sight, record: StsRecord | None, declared: Declared | None) -> tuple[Policy | None, list[Diagnostic]]:
    """The policy that senders take (where addresses differ, the strictest one), and the findings."""
    found = list(_fetches(sight))
    bodies = {one.body: one for one in sight.fetched if one.problem is None and one.body is not None}
    policies: list[Policy] = []
    for body in bodies:
        assert body is not None
        try:
            policy = parse_policy(body)
        except PolicyError as error:
            found += [_placed(sight, problem) for problem in error.problems]
            continue
        found += [_placed(sight, problem) for problem in policy.warnings]
        policies.append(policy)
        found += _id_of(sight, record, body, ours=declared is not None)
        if declared is not None:
            found += _as_declared(sight, policy, body, declared)
    if len(bodies) > 1:
        found.append(_differ(sight, list(bodies.values())))
    order = (Mode.ENFORCE, Mode.TESTING, Mode.NONE)
    return min(policies, key=lambda policy: order.index(policy.mode), default=None), found


def _placed(sight: Sight, problem: Problem) -> Diagnostic:
    """A problem of the policy, with its place in it and, if it makes the policy invalid, what senders call that."""
    message = f"{sight.domain.policy_url}, line {problem.line}: {problem.message}"
    hints = [problem.hint] if problem.hint else []
    if problem.severity is Severity.ERROR:
        hints.append(_INVALID)
    return replace(problem.diagnostic(), message=message, hint=" ".join(hints) or None)


def _fetches(sight: Sight) -> Iterator[Diagnostic]:
    """What each address of the policy host has done wrong."""
    for one in sight.fetched:
        if one.problem is not None:
            yield one.problem
        yield from one.warnings
    addresses = [one.address for one in sight.fetched if one.address]
    if addresses and all(":" in address for address in addresses):
        yield Diagnostic(
            code="MTS529",
            severity=Severity.WARN,
            message=f"{sight.domain.policy_host} has only IPv6 addresses",
            hint="Add an A record: many senders have no IPv6, and so no policy.",
            ref=_FETCH,
        )
    browser = sight.as_browser
    if browser is not None and browser.problem is None:
        yield Diagnostic(
            code="MTS537",
            message=f"{sight.domain.policy_host} gives the policy to browsers only",
            hint="A filter against robots stands there, and mail servers are robots: let everybody have this one path.",
            ref=_FETCH,
        )
    ends = min((one.not_after for one in sight.fetched if one.not_after is not None), default=None)
    if ends is not None and ends - sight.at < SOON:
        yield soon(f"the certificate of {sight.domain.policy_host}", "MTS538", ends, sight.at, ref=_FETCH)


def soon(what: str, code: str, ends: datetime, now: datetime, *, ref: str) -> Diagnostic:
    """A certificate that ends before long."""
    days = max((ends - now).days, 0)
    return Diagnostic(
        code=code,
        severity=Severity.WARN,
        message=f"{what} ends in {days} days, on {ends:%Y-%m-%d}" if days != 1 else f"{what} ends in 1 day, on {ends:%Y-%m-%d}",
        hint="Renew it, and look why it has not been renewed by itself.",
        ref=ref,
    )


def _id_of(sight: Sight, record: StsRecord | None, body: bytes, *, ours: bool) -> Iterator[Diagnostic]:
    """Does the id name these bytes (ID-10)? Only ids of our form can be checked."""
    if record is None or record.id.digits is None or record.id.names(body):
        return
    yield Diagnostic(
        code="MTS534",
        severity=Severity.ERROR if ours else Severity.WARN,
        message=f"the id {record.id} does not belong to the policy that {sight.domain.policy_host} serves ({policy_id(body)})",
        hint="The policy or the record was changed alone, or a cache has an old policy: senders keep the wrong one. Run `deploy apply`.",
        ref="RFC 8461 §8.1",
    )


def _as_declared(sight: Sight, policy: Policy, body: bytes, declared: Declared) -> Iterator[Diagnostic]:
    settings, entry = declared.settings, declared.entry
    if settings.sts is not Sts.PUBLISH:
        return
    wrong = []
    if policy.mode is not settings.mode:
        wrong.append(f"mode {policy.mode} instead of {settings.mode}")
    if policy.mode is not Mode.NONE and policy.max_age != settings.max_age:
        wrong.append(f"max_age {policy.max_age} instead of {settings.max_age}")
    missing = [str(pattern) for pattern in settings.mx if pattern not in policy.mx]
    if missing:
        wrong.append(f"mx without {', '.join(missing)}")
    if not wrong and entry is not None and entry.fetchable() and str(policy_id(body)) not in entry.fetchable():
        wrong.append("other bytes than the last apply has put there")
    if wrong:
        yield Diagnostic(
            code="MTS536",
            severity=Severity.WARN,
            message=f"{sight.domain.policy_host} serves another policy than the declared one: {'; '.join(wrong)}",
            hint="`deploy plan` shows what is left to do; `deploy drift` compares everything.",
        )


def _differ(sight: Sight, served: list[Fetched]) -> Diagnostic:
    addresses = " and ".join(one.address for one in served[:4])
    return Diagnostic(
        code="MTS535",
        message=f"the addresses of {sight.domain.policy_host} serve different policies: {addresses}",
        hint="Bring all servers behind the name up to date; which policy a sender gets is chance.",
        ref="RFC 8461 §8.1",
    )
