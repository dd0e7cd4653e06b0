"""What credentials must allow, for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from mtasts_deploy.permissions import Permissions, Statement, policy


def permission_lines(permissions: Permissions) -> Iterator[str]:
    """The IAM policies as they are pasted, the scopes of what has none, and what to know about them."""
    if not permissions.read and not permissions.write and not permissions.scopes:
        yield "None: everything that the domains use is a directory of this machine."
        return
    yield from _policy("To look (plan, status), IAM policy:", permissions.read)
    yield from _policy("To write (apply, rollback), in addition:", permissions.write)
    for scope in permissions.scopes:
        yield f"{scope.of}"
        yield f"  to look:  {scope.read}"
        yield f"  to write: {scope.write}"
        yield ""
    yield from permissions.notes


def _policy(title: str, statements: Sequence[Statement]) -> Iterator[str]:
    if statements:
        yield title
        yield from json.dumps(policy(statements), indent=2).splitlines()
        yield ""
