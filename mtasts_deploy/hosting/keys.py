"""Where in a bucket a domain's policy is: a template with `{domain}` and `{policy_host}`."""

from __future__ import annotations

from dataclasses import dataclass

from mtasts_deploy.rfc.names import Domain


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTemplate:
    """A template that the declaration has found to be without problems, below `below` (a prefix, with its slash if it is to have one)."""

    template: str
    below: str = ""

    @property
    def prefix(self) -> str:
        """With what every key begins: for the default `mta-sts.`, so that other objects of the bucket are not listed."""
        return self.below + self.template.replace("{policy_host}", "mta-sts.{domain}").partition("{")[0]

    def of(self, domain: Domain) -> str:
        """The key of a domain's policy."""
        return self.below + self.template.replace("{domain}", str(domain)).replace("{policy_host}", domain.policy_host)
