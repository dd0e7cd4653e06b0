"""Adapters in wrappers: what a test wants to happen happens around their calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from mtasts_deploy.deployment import Deployment

Around = Callable[[str, Callable[[], Any]], Any]
"""Is given the name of a call, and the call to carry out."""


class Wrapped:
    """An adapter, with something around each of its calls."""

    def __init__(self, inner: Any, around: Around) -> None:
        self._inner, self._around = inner, around

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name == "location":
            return found
        return lambda *arguments, **options: self._around(name, lambda: found(*arguments, **options))


def wrap_adapters(made: Deployment, around: Around) -> Deployment:
    """Wrap the targets, the hosts and the state."""
    made.targets = {name: Wrapped(target, around) for name, target in made.targets.items()}
    made.hosts = {name: Wrapped(host, around) for name, host in made.hosts.items()}
    made.store = Wrapped(made.store, around)
    return made


class Before:
    """Something happens before the n-th call, of all wrapped adapters and all threads together; nobody calls meanwhile."""

    def __init__(self, number: int, happens: Callable[[], object]) -> None:
        self.left, self._happens, self._turn = number, happens, threading.Lock()

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        del name
        with self._turn:
            self.left -= 1
            if self.left == 0:
                self._happens()
        return call()
