"""Which domains a call is about, and which guards are lifted for which of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mtasts_deploy.declaration.model import LIFTABLE, DomainSettings
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError
from mtasts_deploy.plan.shards import Shard
from mtasts_deploy.rfc.names import Domain

_BY_OPTION = LIFTABLE - {"MTS257"}
"""MTS257 is found while the declaration is loaded, so only `allow:` in the declaration lifts it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which declared domains a call is about: globs over A-labels or U-labels; none: all of them. `only`: of these and no others.
    `shard`: of those that fall to it, which only a look at the zones can tell.
    """

    domains: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only: frozenset[Domain] | None = None
    shard: Shard | None = None

    @property
    def partial(self) -> bool:
        """Does it leave anything out?"""
        return bool(self.domains or self.exclude or self.shard) or self.only is not None

    def pick(self, declared: Mapping[Domain, DomainSettings]) -> dict[Domain, DomainSettings]:
        """The selected domains. Raises `UsageError` for a pattern that matches none."""
        if not self.partial:
            return dict(declared)
        for pattern in (*self.domains, *self.exclude):
            if not any(_matches(domain, pattern) for domain in declared):
                raise UsageError(
                    Diagnostic(
                        code="MTS903",
                        message=f"no declared domain matches {pattern!r}",
                        hint="`deploy status` lists the declared domains; `*` and `?` stand for any characters.",
                    )
                )
        return {
            domain: settings
            for domain, settings in declared.items()
            if (not self.domains or any(_matches(domain, pattern) for pattern in self.domains))
            and not any(_matches(domain, pattern) for pattern in self.exclude)
            and (self.only is None or domain in self.only)
        }


def _matches(domain: Domain, pattern: str) -> bool:
    pattern = pattern.lower().rstrip(".")
    return fnmatch.fnmatchcase(str(domain), pattern) or fnmatch.fnmatchcase(domain.unicode, pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifted:
    """Guards lifted on the command line: code and domain."""

    pairs: frozenset[tuple[str, Domain]] = frozenset()

    @classmethod
    def parse(cls, options: Iterable[str]) -> Lifted:
        """Read `MTS401=example.com` options. Raises `UsageError` for another form or a code that cannot be lifted."""
        pairs = set()
        for option in options:
            code, _, name = option.partition("=")
            code = code.upper()
            if not code or not name:
                raise UsageError(
                    Diagnostic(
                        code="MTS904", message=f"--allow {option}: expected CODE=DOMAIN", hint="For example: --allow MTS401=example.com"
                    )
                )
            if code not in _BY_OPTION:
                raise UsageError(
                    Diagnostic(
                        code="MTS905",
                        message=f"--allow {option}: {code} cannot be lifted",
                        hint=f"These can: {', '.join(sorted(_BY_OPTION))}. `deploy explain {code}` says what to do instead.",
                    )
                )
            pairs.add((code, Domain.parse(name)))
        return cls(pairs=frozenset(pairs))

    def check(self, declared: Mapping[Domain, DomainSettings]) -> None:
        """Raises `UsageError` (MTS903) for a domain that is not declared: what was to be lifted would stay in force unsaid."""
        for code, domain in sorted(self.pairs):
            if domain not in declared:
                message = f"--allow {code}={domain.display}: no such domain is declared"
                raise UsageError(Diagnostic(code="MTS903", message=message, hint="`deploy status` lists the declared domains."))

    def for_domain(self, settings: DomainSettings) -> frozenset[str]:
        """The codes lifted for this domain, on the command line or in the declaration (whose expired entries are errors there)."""
        if not self.pairs and not settings.allow:
            return frozenset()
        return frozenset({code for code, domain in self.pairs if domain == settings.domain} | {one.code for one in settings.allow})
