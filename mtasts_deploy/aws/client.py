"""Clients of boto3, made at the first request: importing it costs a third of a second, which commands without a bucket do not pay.

Credentials come from boto3's own chain (environment, profiles, roles), never from a declaration.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any, Final

from mtasts_deploy import __version__
from mtasts_deploy.masking import hide

CONNECT: Final = 4
READ: Final = 10
"""Seconds. The lock promises a writer one minute, so three attempts at a write must end well within it."""

_turn = threading.Lock()


def client(service: str, *, region: str | None, endpoint_url: str | None, attempts: int) -> Any:
    """A client, which several threads may use; the same one for the same arguments. `attempts`: how often boto3 tries by itself."""
    with _turn:  # making clients of one session is not safe for threads, and a cache does not wait for the first caller
        return _client(service, region, endpoint_url, attempts)


@cache
def _session() -> Any:
    import boto3
    import botocore.session

    core = botocore.session.Session()

    def hidden(**_: object) -> None:
        found = core.get_credentials()
        if found is not None:  # renewed, if they must be, just before a request is signed with them
            frozen = found.get_frozen_credentials()
            hide(frozen.secret_key)
            hide(frozen.token)

    core.register("before-sign", hidden)
    return boto3.session.Session(botocore_session=core)


@cache
def _client(service: str, region: str | None, endpoint_url: str | None, attempts: int) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT,
        read_timeout=READ,
        max_pool_connections=32,
        request_checksum_calculation="when_required",  # we send a SHA-256 of our own
        retries={"mode": "standard", "total_max_attempts": attempts},
        s3={"addressing_style": "path"} if endpoint_url else None,  # other servers rarely have a name for each bucket
        user_agent_extra=f"mtasts-deploy/{__version__}",
    )
    return _session().client(service, region_name=region, endpoint_url=endpoint_url, config=config)


def signed_in() -> str | None:
    """By which way credentials were found (`env`, `shared-credentials-file`, `assume-role-with-web-identity`, …); None: none were."""
    with _turn:
        try:
            found = _session().get_credentials()
        except Exception:  # a profile that does not exist, a configuration that cannot be read: nobody can sign in by it
            return None
    return None if found is None else str(found.method)


def forget() -> None:
    """Make new clients, with credentials looked for anew, from now on."""
    with _turn:
        _client.cache_clear()
        _session.cache_clear()
