"""`doctor`: is everything there that a run needs?"""

from __future__ import annotations

from mtasts_deploy.cli import options
from mtasts_deploy.cli.session import Session, command
from mtasts_deploy.diagnostics import Severity


@command()
def doctor(
    session: Session,
    timeout: options.Timeout = "10s",
    resolver: options.Resolver = None,
    ca_file: options.CaFile = None,
    connect_to: options.ConnectTo = None,
) -> int:
    """Check the environment: credentials by name, providers, hosts, state, roots, clock, port 25. Says what to mend.

    Writes one small object to the state, and takes it away again.
    """
    from mtasts_deploy import adapters
    from mtasts_deploy.aws.client import signed_in
    from mtasts_deploy.deployment import utc_now
    from mtasts_deploy.doctor import Surroundings, examine

    looking = options.looking(resolver, ca_file, connect_to, timeout)
    deployment = session.deployment(looking)
    around = Surroundings(
        environ=session.environ,
        signed_in=signed_in,
        eyes=lambda: adapters.eyes(looking, utc_now, smtp=True),
        clock=deployment.clock,
    )
    checks = tuple(examine(deployment, around))
    session.output.examined(checks)
    return 1 if any(finding.severity is Severity.ERROR for check in checks for finding in check.findings) else 0
