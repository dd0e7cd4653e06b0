"""A watching sender: looks at the record and the policy at every external operation and remembers, as senders do.

Written from RFC 8461 §3.1, §3.3 and §8.1, not from the tool: it knows the world in memory only through the TXT values and the files.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from mtasts_deploy.rfc.names import Domain
from tests.worlds import MemoryHost, MemoryTarget

_OURS = re.compile(r"v=STSv1; id=([0-9a-f]{24})(?:r[1-9][0-9]*)?;")


@dataclass
class Watcher:
    """Watches one domain.

    `stored` is what senders may hold under each id: every body that could be fetched while the id was in DNS. `settled` forgets nothing.
    """

    domain: Domain
    target: MemoryTarget
    host: MemoryHost
    stored: dict[str, set[bytes]] = field(default_factory=dict)
    served_since_push: dict[str, list[bytes]] = field(default_factory=dict)
    last: str | None = None
    problems: list[str] = field(default_factory=list)

    def __call__(self, what: str) -> None:
        values = [value for value in self.target.txt(f"_mta-sts.{self.domain}") if value.startswith("v=STSv1")]
        body = self.host.files.get(self.domain)
        if len(values) > 1:
            self.problems.append(f"{what}: {len(values)} STSv1 values")
        if not values:
            if self.last is not None:
                self.problems.append(f"{what}: no record where there was one")
            return
        id_ = values[0].partition("id=")[2].rstrip(";")
        found = _OURS.fullmatch(values[0])
        if body is None:
            self.problems.append(f"{what}: id {id_} and no policy")
            return
        digits = hashlib.sha256(body).hexdigest()[:24]
        if id_ != self.last and found:
            if found[1] != digits:
                self.problems.append(f"{what}: id {id_} appeared while {digits} was served")
            if self.stored.get(id_, set()) - {body}:
                self.problems.append(f"{what}: id {id_} appeared again, and senders may hold other bytes under it")
        self.last = id_
        self.stored.setdefault(id_, set()).add(body)

    def wrong(self) -> set[str]:
        """The bytes, by digits, other than its own that senders may hold under the live id."""
        if self.last is None:
            return set()
        bodies = {hashlib.sha256(body).hexdigest()[:24] for body in self.stored[self.last]}
        return bodies - {self.last[:24]}
