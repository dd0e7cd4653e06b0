"""What postfix-mta-sts-resolver and checkdmarc say of domains: `python other_checkers.py DOMAIN…` prints JSON. Run inside a network."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

LONG = 8  # seconds after which a check counts as hanging


async def resolver_says(domains: list[str]) -> dict[str, str]:
    """The mode that postfix-mta-sts-resolver takes, "none" without a record, "error" without a policy."""
    from postfix_mta_sts_resolver.resolver import STSFetchResult, STSResolver

    resolver = STSResolver(loop=asyncio.get_running_loop(), timeout=4)

    async def one(domain: str) -> str:
        status, policy = await resolver.resolve(domain)
        if status is STSFetchResult.VALID:
            return str(policy[1]["mode"])
        return "none" if status is STSFetchResult.NONE else "error"

    return dict(zip(domains, await asyncio.gather(*map(one, domains)), strict=True))


class Hangs(Exception):
    """It takes too long."""


def _give_up(*_: Any) -> None:
    raise Hangs


def checkdmarc_says(domains: list[str]) -> dict[str, str]:
    """Whether checkdmarc finds the record and the policy valid."""
    from checkdmarc.mta_sts import check_mta_sts

    signal.signal(signal.SIGALRM, _give_up)
    found = {}
    for domain in domains:
        signal.alarm(LONG)
        try:
            found[domain] = "valid" if check_mta_sts(domain)["valid"] else "invalid"
        except Hangs:
            found[domain] = "hangs"
        finally:
            signal.alarm(0)
    return found


if __name__ == "__main__":
    names = sys.argv[1:]
    print(json.dumps({"resolver": asyncio.run(resolver_says(names)), "checkdmarc": checkdmarc_says(names)}))
