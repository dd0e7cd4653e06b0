"""What a new policy means for the delivery of mail, in one sentence for a reader who does not know the RFC. Pure."""

from __future__ import annotations

from mtasts_deploy.plan.model import Delivery, Effect
from mtasts_deploy.plan.wording import duration
from mtasts_deploy.rfc.policy import Mode, Policy


def delivery(old: Policy | None, new: Policy) -> Delivery:
    """What changes for senders that look when `new` takes the place of `old` (None: nothing was published).

    Only `enforce` keeps senders from delivering (RFC 8461 §5); who holds an older policy goes on with it until it has run out.
    """
    before = Mode.NONE if old is None else old.mode
    if new.mode is Mode.ENFORCE:
        return _enforced(None if old is None or before is not Mode.ENFORCE else old, new)
    if before is Mode.ENFORCE:
        text = "Mail will be delivered again whatever TLS says, once senders have looked."
        return Delivery(effect=Effect.MILDER, text=text)
    if new.mode is Mode.NONE:
        return _same("senders drop the policy" if before is not Mode.NONE else "the policy says that there is none")
    if before is Mode.TESTING:
        return _same("a policy in testing only makes senders report")
    return _same("senders only report TLS failures")


def _enforced(old: Policy | None, new: Policy) -> Delivery:
    if old is None:
        text = "Mail will be refused over untrusted TLS, and to MX hosts that the policy does not name, from now on."
        return Delivery(effect=Effect.STRICTER, text=text)
    gone = sorted({str(one) for one in old.mx} - {str(one) for one in new.mx})
    come = sorted({str(one) for one in new.mx} - {str(one) for one in old.mx})
    if gone:
        text = f"Mail through {_and(gone)} will be refused from now on."
        return Delivery(effect=Effect.STRICTER, text=text)
    if come:
        return Delivery(effect=Effect.MILDER, text=f"Mail through {_and(come)} is allowed, too; for all other hosts nothing changes.")
    if old.max_age != new.max_age:
        return _same(f"senders hold the policy for {duration(new.max_age)} instead of {duration(old.max_age)}")
    return _same("the same rules are published again")


def _same(why: str) -> Delivery:
    return Delivery(effect=Effect.SAME, text=f"Mail delivery does not change: {why}.")


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
