"""What goes wrong with a request to AWS, or to a server that speaks its protocol: the kinds, and which error is of which kind."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final


class Trouble(Enum):
    """What kind of thing went wrong with a request."""

    NO_BUCKET = "no bucket"
    NO_DISTRIBUTION = "no distribution"
    MISSING = "missing"
    CONFLICT = "conflict"
    UNSUPPORTED = "unsupported"
    FORBIDDEN = "forbidden"
    WRONG_REGION = "wrong region"
    CLOCK = "clock"
    REJECTED = "credentials rejected"
    NO_CREDENTIALS = "no credentials"
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    OTHER = "other"


ADVICE: Final = {
    Trouble.NO_BUCKET: "Make the bucket, or correct its `bucket`, `region` or `endpoint_url` in the declaration.",
    Trouble.NO_DISTRIBUTION: "Correct `cloudfront` of the host: it is the id of a distribution, such as E2QWRUHAPOMQZL.",
    Trouble.FORBIDDEN: "Allow it: `deploy permissions` prints all that is needed, for plan and for apply, with this declaration.",
    Trouble.WRONG_REGION: "Set `region` in the declaration to that of the bucket (`aws s3api get-bucket-location`).",
    Trouble.CLOCK: "Set the clock of this machine (NTP): requests that are signed more than 15 minutes off are refused.",
    Trouble.REJECTED: "Log in anew (`aws sso login`) or renew the keys; `aws sts get-caller-identity` shows whose boto3 finds.",
    Trouble.NO_CREDENTIALS: "Give boto3 credentials: AWS_PROFILE, AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, or a role.",
    Trouble.UNREACHABLE: "Check the network, the proxy, and `endpoint_url` or `region` in the declaration; then run the command again.",
    Trouble.BUSY: "Wait a little, then run the same command again: it goes on from what is there.",
    Trouble.OTHER: "Look up what the server says; if it is a passing failure, run the same command again.",
}
"""What to do about it."""


class AwsError(Exception):
    """A request that failed. `said` are the words of the server or of boto3, on one line, without a full stop.

    `done`: may the request have had its effect all the same? False only where it certainly has not.
    """

    def __init__(self, trouble: Trouble, said: str, *, done: bool) -> None:
        super().__init__(said)
        self.trouble = trouble
        self.said = said
        self.done = done


_CODES: Final = {
    "NoSuchBucket": Trouble.NO_BUCKET,
    "NoSuchDistribution": Trouble.NO_DISTRIBUTION,
    "NoSuchKey": Trouble.MISSING,
    "PreconditionFailed": Trouble.CONFLICT,
    "ConditionalRequestConflict": Trouble.CONFLICT,
    "NotImplemented": Trouble.UNSUPPORTED,
    "AuthorizationHeaderMalformed": Trouble.WRONG_REGION,
    "IllegalLocationConstraintException": Trouble.WRONG_REGION,
    "PermanentRedirect": Trouble.WRONG_REGION,
    "TemporaryRedirect": Trouble.WRONG_REGION,
    "RequestExpired": Trouble.CLOCK,
    "RequestTimeTooSkewed": Trouble.CLOCK,
    "ExpiredToken": Trouble.REJECTED,
    "ExpiredTokenException": Trouble.REJECTED,
    "InvalidAccessKeyId": Trouble.REJECTED,
    "InvalidClientTokenId": Trouble.REJECTED,
    "InvalidToken": Trouble.REJECTED,
    "SignatureDoesNotMatch": Trouble.REJECTED,
    "TokenRefreshRequired": Trouble.REJECTED,
    "UnrecognizedClientException": Trouble.REJECTED,
    "SlowDown": Trouble.BUSY,
    "Throttling": Trouble.BUSY,
    "ThrottlingException": Trouble.BUSY,
    "TooManyInvalidationsInProgress": Trouble.BUSY,
    "TooManyRequestsException": Trouble.BUSY,
}
_STATUSES: Final = {
    301: Trouble.WRONG_REGION,
    307: Trouble.WRONG_REGION,
    403: Trouble.FORBIDDEN,
    404: Trouble.MISSING,
    412: Trouble.CONFLICT,
    429: Trouble.BUSY,
    501: Trouble.UNSUPPORTED,
}
# Exceptions of botocore by the names of their classes, which it does not need to be imported for.
_CREDENTIALS: Final = frozenset(
    {
        "ConfigParseError",
        "CredentialRetrievalError",
        "InvalidConfigError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "SSOError",
        "TokenRetrievalError",
    }
)
_UNSENT: Final = frozenset({"ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError", "SSLError"})
_UNANSWERED: Final = frozenset({"HTTPClientError", "IncompleteReadError", "HTTPError"})
_REGION: Final = frozenset({"EndpointProviderError", "InvalidRegionError", "NoRegionError", "UnknownEndpointError"})


def trouble_of(error: Exception) -> AwsError:
    """The failure that an exception of boto3 stands for; exceptions that are none of its are `OTHER`."""
    if isinstance(error, AwsError):
        return error
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and "Error" in response:
        return _answered(response)
    names = {kind.__name__ for kind in type(error).__mro__}
    said = _line(str(error))
    if names & _CREDENTIALS:
        return AwsError(Trouble.NO_CREDENTIALS, said, done=False)
    if names & _REGION:
        return AwsError(Trouble.WRONG_REGION, said, done=False)
    if names & _UNSENT:
        return AwsError(Trouble.UNREACHABLE, said, done=False)
    if names & _UNANSWERED or isinstance(error, OSError):
        return AwsError(Trouble.UNREACHABLE, said, done=True)
    return AwsError(Trouble.OTHER, said, done="ParamValidationError" not in names)


def _answered(response: Mapping[str, Any]) -> AwsError:
    error = response["Error"]
    code, words = str(error.get("Code", "")), _line(str(error.get("Message", "")))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    trouble = _CODES.get(code) or _STATUSES.get(status) or (Trouble.BUSY if status >= 500 else Trouble.OTHER)
    said = f"{code} ({words})" if words and words != code else code or f"status {status}"
    return AwsError(trouble, said, done=status >= 500 and status != 501)


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
