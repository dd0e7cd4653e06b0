"""What RFC 8461 (MTA-STS) and RFC 8460 (TLSRPT) define: names, policies, records. Pure; every rule cites its section.

Text or bytes in, values out; an error carries every problem with its place. Reading is strict and warns where senders differ;
rendering has one canonical form each.
"""

from mtasts_deploy.rfc.names import Domain, DomainError, MxPattern, MxPatternError
from mtasts_deploy.rfc.policy import (
    Mode,
    Policy,
    PolicyError,
    PolicyId,
    PolicyIdError,
    max_age_problems,
    parse_policy,
    policy_id,
    render_policy,
)
from mtasts_deploy.rfc.records import RecordError, StsRecord, TlsrptRecord, parse_rua, parse_sts, parse_tlsrpt

__all__ = [
    "Domain",
    "DomainError",
    "Mode",
    "MxPattern",
    "MxPatternError",
    "Policy",
    "PolicyError",
    "PolicyId",
    "PolicyIdError",
    "RecordError",
    "StsRecord",
    "TlsrptRecord",
    "max_age_problems",
    "parse_policy",
    "parse_rua",
    "parse_sts",
    "parse_tlsrpt",
    "policy_id",
    "render_policy",
]
