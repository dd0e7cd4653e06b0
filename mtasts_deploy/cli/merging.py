"""`merge-reports`: what several shards said, as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import typer

from mtasts_deploy.cli.plan import exit_code
from mtasts_deploy.cli.session import Session, command
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.errors import UsageError

if TYPE_CHECKING:
    from mtasts_deploy.output.interface import RunReport
    from mtasts_deploy.plan.model import Plan

T = TypeVar("T")


@command()
def merge_reports(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What `--format json` or `--json-into` wrote: plans, or runs.")],
) -> int:
    """Join what several shards said, in any format. The exit code is that of the worst.

    Plans of all shards make one plan; ends of runs make one end. Looks at nothing else.
    """
    documents = [(path, _document(path)) for path in files]
    if all("outcomes" in document for _, document in documents):
        report = _runs([_each(path, lambda document=document: _run(document)) for path, document in documents])  # type: ignore[misc]
        session.output.proposed(report.plan)
        session.output.ran(report)
        session.messages.findings(report.findings)
        return report.result.exit_code
    if any("outcomes" in document for _, document in documents):
        raise _unfit(files[0], "plans and ends of runs cannot be joined")
    from mtasts_deploy.plan.file import parse

    merged = _plans([parse(path.read_bytes(), str(path)) for path in files])
    session.output.plan(merged)
    return exit_code(merged, detailed=False)


def _document(path: Path) -> dict[str, object]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _unfit(path, "it cannot be read as JSON") from error
    if not isinstance(document, dict):
        raise _unfit(path, "it is no report")
    return document


def _each(path: Path, read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unfit(path, "it is not what `apply --format json` writes, or it is damaged") from error


def _run(document: dict[str, object]) -> RunReport:
    from mtasts_deploy.apply.report import Outcome, Result
    from mtasts_deploy.output.interface import RunReport, Shipment
    from mtasts_deploy.plan.file import parse, read_finding
    from mtasts_deploy.rfc.names import Domain

    ends = {Domain.parse(name): Outcome(end) for name, end in cast("dict[str, str]", document["outcomes"]).items()}
    plan = parse(json.dumps(document["plan"]).encode(), "its plan")
    result = Result(
        run=str(document["run"]),
        outcomes=ends,
        findings=tuple(read_finding(one) for one in cast("list[dict[str, object]]", document["findings"])),
        taken_back=bool(document["taken_back"]),
        begun=frozenset(domain for domain, end in ends.items() if end not in (Outcome.STALE, Outcome.BLOCKED, Outcome.UNKNOWN)),
    )
    return RunReport(what=str(document["what"]).capitalize(), plan=plan, result=result, ship=Shipment())


def _runs(reports: Sequence[RunReport]) -> RunReport:
    from mtasts_deploy.apply.report import Result
    from mtasts_deploy.output.interface import RunReport, Shipment

    results = [report.result for report in reports]
    return RunReport(
        what=reports[0].what,
        plan=_plans([report.plan for report in reports]),
        result=Result(
            run=" ".join(dict.fromkeys(result.run for result in results)),
            outcomes={domain: end for result in results for domain, end in result.outcomes.items()},
            findings=tuple(finding for result in results for finding in result.findings),
            taken_back=any(result.taken_back for result in results),
            begun=frozenset[object]().union(*(result.begun for result in results)),  # type: ignore[arg-type]
        ),
        ship=Shipment(),
    )


def _plans(plans: Sequence[Plan]) -> Plan:
    """One plan; partial, unless all shards of one number are there. Raises `UsageError` (MTS936) for a domain that is in two of them."""
    from mtasts_deploy.plan.model import Plan

    domains = sorted((domain for plan in plans for domain in plan.domains), key=lambda one: str(one.domain))
    for one, other in pairwise(domains):
        if one.domain == other.domain:
            raise _unfit(Path("the reports"), f"{one.domain.display} is in two of them")
    shards = [plan.heading.removeprefix("Shard ").removesuffix(".") for plan in plans]
    number = shards[0].partition("/")[2]
    whole = number.isdigit() and sorted(shards) == sorted(f"{one}/{number}" for one in range(1, int(number) + 1))
    return Plan(
        domains=tuple(domains),
        created=min(plan.created for plan in plans),
        partial=not whole and any(plan.partial for plan in plans),
        strays=tuple(dict.fromkeys(finding for plan in plans for finding in plan.strays)),
        heading=f"All {number} shards." if whole else "",
    )


def _unfit(path: Path, why: str) -> UsageError:
    hint = "Give what each shard wrote with --json-into, once, all from plans or all from runs."
    return UsageError(Diagnostic(code="MTS936", message=f"{path}: {why}", hint=hint))
