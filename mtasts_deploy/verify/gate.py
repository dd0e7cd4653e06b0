"""Looks as a sender does where a plan makes a policy stricter, for `plan/gates.py` to judge; all such domains at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from mtasts_deploy.observe import Observed
from mtasts_deploy.plan.gates import by_hand, gated, tightens
from mtasts_deploy.plan.model import DomainPlan
from mtasts_deploy.rfc.names import Domain

if TYPE_CHECKING:
    from mtasts_deploy.facts import SenderLook
    from mtasts_deploy.verify.evidence import Witness
    from mtasts_deploy.verify.look import Eyes


def gate(
    plans: Sequence[DomainPlan],
    seen: Mapping[Domain, Observed],
    eyes: Callable[[], Eyes],
    evidence: Mapping[str, Witness],
    *,
    files: Collection[Domain],
    lifted: Callable[[Domain], frozenset[str]],
) -> list[DomainPlan]:
    """The plans, stopped where senders would not deliver or nobody could look. For the domains in `files` nothing is opened."""
    stricter = [plan.domain for plan in plans if plan.domain in seen and tightens(plan, seen[plan.domain])]
    rest = [domain for domain in stricter if domain not in files]
    looks = _looks(rest, eyes(), evidence) if rest else {}

    def judged(plan: DomainPlan) -> DomainPlan:
        if plan.domain in looks:
            return gated(plan, seen[plan.domain], looks[plan.domain], lifted(plan.domain))
        return by_hand(plan, seen[plan.domain]) if plan.domain in stricter else plan

    return [judged(plan) for plan in plans]


def _looks(domains: Sequence[Domain], eyes: Eyes, evidence: Mapping[str, Witness]) -> dict[Domain, SenderLook]:
    from mtasts_deploy.verify.evidence import sender_look  # only who looks pays for it: a tenth of the time of `validate`
    from mtasts_deploy.verify.sights import sights

    return {one.domain: sender_look(one, evidence.get(str(one.domain))) for one in sights(domains, eyes)}
