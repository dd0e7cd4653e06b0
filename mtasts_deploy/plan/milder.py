"""Somebody has made the live policy milder than the declaration: perhaps at night, while mail was not delivered. To undo that could lose
mail again, so a guard asks.

Only what others have put counts: not what we published (a commit that goes to a stricter policy is meant), and not what was live before we
published anything (an adoption).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from mtasts_deploy.declaration.model import DomainSettings
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import HostedPolicy
from mtasts_deploy.ledger.events import digits_of
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.observe import Observed
from mtasts_deploy.plan.horizon import covers, read_policy
from mtasts_deploy.plan.publication import Publication, strictness
from mtasts_deploy.rfc.names import MxPattern
from mtasts_deploy.rfc.policy import Mode, Policy

MILDER = "MTS425"
"""The code of the guard."""


def guard(settings: DomainSettings, seen: Observed, entry: Entry, plan: Publication, now: datetime) -> Iterator[Diagnostic]:
    """Others have put a policy that is milder than the declared one: a lower mode, or the same with hosts that would go.

    The declared mode counts, not the planned one, which takes over a milder one until the MX records were watched. Where senders may hold
    an enforce policy that lacks a live MX host, nothing stops the one that names it.
    """
    served = plan.served
    if served is None or not isinstance(seen.hosted, HostedPolicy) or not _by_others(entry, seen.hosted):
        return
    said = []
    if strictness(served.mode) < strictness(settings.mode):
        said.append(f"mode {served.mode.value} instead of {settings.mode.value}")
    elif served.mode is not settings.mode:
        return
    more = [str(pattern) for pattern in served.mx if not _named(plan.policy, pattern)]
    if more and settings.mode is not Mode.NONE:
        said.append(f"mx {', '.join(more)} besides the declared hosts")
    if not said or _refused(entry, plan.policy, now):
        return
    yield Diagnostic(
        code=MILDER,
        message=f"somebody else has made the live policy milder than the declaration: {' and '.join(said)}",
        hint=f"Commit what is live if it is to stay; or lift this with `--allow {MILDER}={settings.domain}` to publish what is declared.",
        ref="RFC 8461 §8.1",
    )


def _by_others(entry: Entry, hosted: HostedPolicy) -> bool:
    known = entry.policies.get(digits_of(hosted.body))
    return entry.published_by_us and (known is None or not known.ours)


def _named(policy: Policy, pattern: MxPattern) -> bool:
    return pattern in policy.mx or covers(policy, str(pattern))


def _refused(entry: Entry, planned: Policy, now: datetime) -> bool:
    """May senders refuse a live MX host that the planned policy names?"""
    digits = entry.fetchable().union(*(known.bytes for known in entry.ids.values() if known.visible(now)))
    held = [read_policy(entry.policies[one].body) for one in digits if one in entry.policies]
    enforced = [policy for policy in held if policy is not None and policy.mode is Mode.ENFORCE]
    return any(covers(planned, host) and not covers(policy, host) for host in entry.live_hosts(now) for policy in enforced)
