"""`rollback_domain`: the plan that takes a domain back to what was live before the last run that changed it.

Going back is a publication like any other (DESIGN section 7): old bytes, the proof, a fresh id, under the guards of this moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from mtasts_deploy import desired
from mtasts_deploy.declaration.model import DomainSettings
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.facts import HostedPolicy, RecordKind
from mtasts_deploy.ledger.events import saw
from mtasts_deploy.ledger.model import UNSEEN, Before, Entry
from mtasts_deploy.observed import Observed
from mtasts_deploy.plan.guards import site_guards
from mtasts_deploy.plan.horizon import covers, read_policy
from mtasts_deploy.plan.model import Action, DomainPlan, Line, PutPolicy, RemovePolicy, Verdict
from mtasts_deploy.plan.planner import Part, about, assemble, publish, tlsrpt_steps, where
from mtasts_deploy.plan.publication import Publication, strictness
from mtasts_deploy.plan.wording import policy_text
from mtasts_deploy.rfc.policy import Mode, Policy, render_policy


def rollback_domain(settings: DomainSettings, seen: Observed, stored: Entry | None, now: datetime) -> DomainPlan:
    """The plan that takes the last change of a domain back; unchanged where there is nothing to take back."""
    if seen.unknown:
        return DomainPlan(domain=settings.domain, verdict=Verdict.UNKNOWN, where=where(seen), findings=about(settings, seen.unknown))
    entry = saw(stored or UNSEEN, seen.look(), now)
    before = entry.before
    if before is None or before.taken:
        return DomainPlan(domain=settings.domain, verdict=Verdict.UNCHANGED)
    part = _policy_back(settings, seen, entry, before, now)
    tlsrpt = tlsrpt_steps(seen, before.tlsrpt, settings.ttl) if before.tlsrpt_changed and not settings.plugin else Part()
    found = (*site_guards(seen.sts, RecordKind.STS), *part.findings, *tlsrpt.findings) if part.steps or tlsrpt.steps else part.findings
    return assemble(settings, seen, stored, (part, tlsrpt), about(settings, found))


def _policy_back(settings: DomainSettings, seen: Observed, entry: Entry, before: Before, now: datetime) -> Part:
    if entry.astray:
        return Part(findings=(_stays("the state was lost, and which host serves the policy is not known (MTS424)"),))
    old = None if before.policy is None else entry.policies[before.policy].body
    if before.sts and old is not None:
        return _publish_old(settings, seen, entry, old, now)
    pushed = bool(seen.ids) or any(known.visible(now) for known in entry.ids.values())
    if pushed:
        return _withdraw(settings, seen, entry, now)
    return _unput(seen, old)


def _publish_old(settings: DomainSettings, seen: Observed, entry: Entry, old: bytes, now: datetime) -> Part:
    hosted = seen.hosted.body if isinstance(seen.hosted, HostedPolicy) else None
    served = None if hosted is None else read_policy(hosted)
    policy = read_policy(old)
    if policy is None:
        return Part(findings=(_stays("the file that was there before is no policy that senders accept"),))
    found = tuple(_refusals(policy, served, entry, now)) if hosted != old else ()
    part = publish(settings, seen, entry, Publication(policy=policy, body=old, served=served, standing=served), now)
    return replace(part, findings=found)


def _refusals(old: Policy, served: Policy | None, entry: Entry, now: datetime) -> Iterator[Diagnostic]:
    """What keeps a domain from being taken back: it would be stricter, or lose mail to an MX host that is live now."""
    if served is not None and strictness(old.mode) > strictness(served.mode):
        yield _stays(f"the policy before was stricter (mode {old.mode.value}) than the one that is served (mode {served.mode.value})")
    uncovered = sorted(host for host in entry.live_hosts(now) if not covers(old, host))
    if uncovered and old.mode is Mode.ENFORCE:
        yield _stays(f"the policy before does not cover {', '.join(uncovered)}, which may receive mail now")


def _stays(why: str) -> Diagnostic:
    return Diagnostic(
        code="MTS703",
        message=f"not taken back: {why}",
        hint="The domain stays as it is, in a valid state. Declare what you want and run `deploy apply`.",
        ref="RFC 8461 §8.1",
    )


def _withdraw(settings: DomainSettings, seen: Observed, entry: Entry, now: datetime) -> Part:
    """A first publication whose record was pushed cannot be undone by deleting (RFC 8461 §8.3): mode none under a fresh id."""
    hosted = seen.hosted.body if isinstance(seen.hosted, HostedPolicy) else None
    served = None if hosted is None else read_policy(hosted)
    policy = desired.policy(settings, served.mx if served is not None else (), Mode.NONE)
    part = publish(settings, seen, entry, Publication(policy=policy, body=render_policy(policy), served=served, standing=served), now)
    note = (
        "Senders may have seen the record: the policy is withdrawn by mode none. Removing it now would leave them with the one they hold."
    )
    return replace(part, notes=(*part.notes, note) if part.steps else ())


def _unput(seen: Observed, old: bytes | None) -> Part:
    """No record ever named the file: put back what was there, or remove it."""
    hosted = seen.hosted
    if not isinstance(hosted, HostedPolicy) or hosted.body == old:
        return Part()
    if old is None:
        step = RemovePolicy(host=seen.host, location=seen.location, before=hosted.version)
        return Part(steps=(step,), lines=(Line(action=Action.REMOVE, what="policy", text="no record has ever named it"),))
    policy = read_policy(old)
    text = "the file that was there before" if policy is None else policy_text(policy)
    put = PutPolicy(host=seen.host, location=seen.location, before=hosted.version, body=old)
    return Part(steps=(put,), lines=(Line(action=Action.CHANGE, what="policy", text=text),))
