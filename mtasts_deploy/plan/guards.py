"""The rules that stop a domain's plan, and what is worth saying without stopping it. Each has a code with a page (`catalogue/guards.py`).

In: settings, what was observed, the publication. Out: diagnostics; severity error stops the domain unless its code is lifted for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from mtasts_deploy.declaration.model import LIFTABLE, Confirm, DomainSettings
from mtasts_deploy.diagnostics import Diagnostic, Severity
from mtasts_deploy.facts import HostedPolicy, LiveMx, RecordKind
from mtasts_deploy.ledger.model import Entry
from mtasts_deploy.observed import Observed, RecordSite
from mtasts_deploy.plan.publication import Publication
from mtasts_deploy.plan.wording import duration
from mtasts_deploy.rfc.names import Domain
from mtasts_deploy.rfc.policy import Mode

WEEK: Final = 604800


def lift(findings: Iterable[Diagnostic], allowed: frozenset[str]) -> tuple[Diagnostic, ...]:
    """The same findings; those whose code is lifted only warn."""
    return tuple(
        replace(finding, severity=Severity.WARN, message=f"{finding.message} (lifted)")
        if finding.severity is Severity.ERROR and finding.code in allowed and finding.code in LIFTABLE
        else finding
        for finding in findings
    )


def site_guards(sites: tuple[RecordSite, ...], kind: RecordKind) -> Iterator[Diagnostic]:
    """What makes it impossible to write our TXT record at a name, and what stands beside it."""
    for site in sites:
        if site.facts.refusal is not None:
            yield site.facts.refusal
        if site.facts.cname is not None:
            yield Diagnostic(
                code="MTS402",
                message=f"{site.name} is a CNAME to {site.facts.cname} in zone {site.zone} at {site.provider}; no TXT can stand beside it",
                hint="Whoever owns the target publishes this record. Remove the CNAME to publish here, or declare `sts: elsewhere` "
                "(`tlsrpt` left out) to leave it to them.",
                ref="RFC 8461 §3.1",
            )
        if site.cut is not None:
            yield Diagnostic(
                code="MTS403",
                message=f"zone {site.zone} at {site.provider} does not answer for {site.name}: {site.cut[1]} at {site.cut[0]}",
                hint="Name the zone that holds the record with `zone:` and its provider with `dns:`.",
            )
        foreign = _foreign(site, kind)
        if foreign:
            yield Diagnostic(
                code="MTS417",
                severity=Severity.WARN,
                message=f"{site.name} in zone {site.zone} at {site.provider} also holds TXT values that are not ours: {', '.join(foreign)}",
                hint="They stay. Some senders fail on any second TXT value there: move them away if you can.",
                ref="RFC 8461 §3.1",
            )


def _foreign(site: RecordSite, kind: RecordKind) -> list[str]:
    values = () if site.facts.txt is None else site.facts.txt.values
    return [f'"{value[:40]}{"…" if len(value) > 40 else ""}"' for value in values if not kind.owns(value)]


def mx_guards(live: LiveMx, mode: Mode) -> Iterator[Diagnostic]:
    """What the MX records say against the policy."""
    if live.null and mode is not Mode.NONE:
        yield Diagnostic(
            code="MTS407",
            message=f"the domain has a null MX (it takes no mail), yet mode {mode.value} is declared",
            hint="Declare `sts: false` to publish no policy, or `mode: none` while senders may hold one.",
            ref="RFC 7505 §3",
        )
    if live.differing:
        yield Diagnostic(
            code="MTS412",
            severity=Severity.WARN,
            message=f"the providers do not agree on the MX records; their union is used: {', '.join(live.hosts)}",
            hint="Make the MX records of all providers of the domain the same.",
        )
    if live.implicit and not live.addressed and mode is not Mode.NONE:
        yield Diagnostic(
            code="MTS413",
            severity=Severity.WARN,
            message="the domain has neither MX nor address records: it can take no mail",
            hint="Add its MX records, or declare `sts: false`.",
            ref="RFC 5321 §5.1",
        )


def policy_guards(settings: DomainSettings, plan: Publication, changes: bool) -> Iterator[Diagnostic]:
    """What speaks against this publication. `changes`: it differs from what is served."""
    if plan.uncovered:
        stops = plan.policy.mode is Mode.ENFORCE and changes and not plan.repair
        yield Diagnostic(
            code="MTS401",
            severity=Severity.ERROR if stops else Severity.WARN,
            message=f"no mx pattern covers {_hosts(plan.uncovered)} of the domain's MX records"
            + ("; enforcing senders would not deliver to it" if settings.mode is Mode.ENFORCE else ""),
            hint=f"Add {', '.join(plan.uncovered)} to `mx:`, or use `mx: zone`.",
            ref="RFC 8461 §4.1",
        )
    if settings.mode is Mode.ENFORCE and settings.max_age > WEEK and (plan.first_enforce or plan.policy.mode is not Mode.ENFORCE):
        yield Diagnostic(
            code="MTS405",
            severity=Severity.ERROR if plan.first_enforce else Severity.WARN,
            message=f"the first enforce policy would be held for {duration(settings.max_age)}; a mistake in it lasts as long",
            hint="Start with `max_age: 1w` or less; lengthen it when a week in enforce has gone well.",
            ref="RFC 8461 §3.2",
        )
    for pattern, until in plan.kept:
        if until is None:
            yield Diagnostic(
                code="MTS416",
                severity=Severity.WARN,
                message=f"mx {pattern} is not declared but stays: a host that it names is still an MX host of the domain",
                hint="Remove the MX record first; the pattern leaves one MX TTL later. Or declare it.",
                ref="RFC 8461 §8.1",
            )
    if plan.policy.mode is Mode.NONE and not plan.policy.mx:
        yield Diagnostic(
            code="MTS420",
            severity=Severity.WARN,
            message="the policy in mode none has no mx line: some senders refuse such a policy and keep the old one",
            hint="Name the last MX hosts with `mx:`.",
            ref="RFC 8461 §3.2",
        )


def storage_guard(settings: DomainSettings) -> Iterator[Diagnostic]:
    """A record that senders see at once must not rest on a look into the store alone."""
    if settings.confirm is Confirm.STORAGE and not settings.by_hand:
        yield Diagnostic(
            code="MTS410",
            message=f"`confirm: storage` beside {_writers(settings)}: the record would move before anybody has fetched "
            "the policy as senders do",
            hint="Remove `confirm`, so that the policy is fetched over HTTPS first.",
            ref="RFC 8461 §8.1",
        )


def _writers(settings: DomainSettings) -> str:
    return "`dns: plugin`" if settings.plugin else f"the provider {', '.join(settings.dns)}"


def history_warnings(seen: Observed, plan: Publication, lost: bool) -> Iterator[Diagnostic]:
    """What the past makes worth saying."""
    if lost:
        yield Diagnostic(
            code="MTS418",
            severity=Severity.WARN,
            message="an id of our form is live that the ledger does not know: the state is not being kept",
            hint="Keep the ledger with the declaration (commit `.mtasts/ledger/`). New ids of this domain carry a counter for a year.",
        )
    if isinstance(seen.hosted, HostedPolicy) and plan.served is None:
        yield Diagnostic(
            code="MTS421",
            severity=Severity.WARN,
            message=f"{seen.location} is no policy that senders accept; it will be replaced",
            ref="RFC 8461 §3.2",
        )


def unmanaged(seen: Observed) -> Iterator[Diagnostic]:
    """`sts: false` while a policy or a record is live (it is left alone)."""
    if seen.ids or isinstance(seen.hosted, HostedPolicy):
        what = "a `_mta-sts` record" if seen.ids else f"the policy file {seen.location}"
        yield Diagnostic(
            code="MTS414",
            severity=Severity.WARN,
            message=f"{what} is live, but `sts: false` leaves it alone",
            hint="Declare `mode: none` to withdraw the policy; removing the record or the file would leave senders with the old policy.",
            ref="RFC 8461 §8.3",
        )


def taken_back(entry: Entry, domain: Domain, digits: str | None, tlsrpt: str | None) -> Iterator[Diagnostic]:
    """What a rollback took back is not published again until the declaration changes."""
    if entry.taken_back & {digits, tlsrpt}:
        yield Diagnostic(
            code="MTS701",
            message="the declaration asks for what a rollback has taken back",
            hint=f"Change the declaration, or lift this with `--allow MTS701={domain}` to publish it again.",
        )


def foreign_tlsrpt(live: tuple[str, ...], published: str | None, domain: Domain) -> Iterator[Diagnostic]:
    """`tlsrpt: false` removes the record that we published; another's is not ours to remove."""
    for value in live:
        if value != published:
            yield Diagnostic(
                code="MTS408",
                message=f'`tlsrpt: false` would remove a record that this tool did not publish: "{value}"',
                hint=f"Leave `tlsrpt` out to leave it alone, or lift this with `--allow MTS408={domain}` to remove it.",
                ref="RFC 8460 §3",
            )


def stray(domain: Domain) -> Diagnostic:
    """A domain is live that nobody declares any more."""
    return Diagnostic(
        code="MTS415",
        severity=Severity.WARN,
        message=f"{domain.display} has a live policy but is no longer declared; it is left as it is",
        domain=str(domain),
        hint=f"Add `{domain.unicode}: {{mode: none}}` under `domains:` to withdraw its policy, or its old settings to keep it.",
        ref="RFC 8461 §8.3",
    )


def _hosts(hosts: tuple[str, ...]) -> str:
    return hosts[0] if len(hosts) == 1 else f"{', '.join(hosts[:-1])} and {hosts[-1]}"
