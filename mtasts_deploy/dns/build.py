"""A provider of octoDNS from its block: secrets resolved as octoDNS resolves them, the class imported, the object made.

Not by octoDNS's Manager: it wants a file on disk, sets up validators for the whole process each time, and logs a traceback where a
variable is not set. What `handler/name` means is the same.
"""

from __future__ import annotations

import copy
import importlib
import logging
import os
from collections.abc import Mapping
from typing import Any, Final

from octodns.context import ContextDict
from octodns.secret.environ import EnvironSecrets

from mtasts_deploy.declaration.model import ProviderSpec
from mtasts_deploy.declaration.wording import SECRET
from mtasts_deploy.diagnostics import Diagnostic
from mtasts_deploy.dns import reading
from mtasts_deploy.dns.providers import ALWAYS, Reuse, install_hint, known
from mtasts_deploy.dns.trouble import said
from mtasts_deploy.errors import MtastsError, Refused
from mtasts_deploy.masking import hide

_OPEN: Final = frozenset({"host", "port", "scheme", "directory", "url", "api_url", "endpoint", "timeout", "region", "server_id"})
"""Options whose values are no secrets although they come from a variable: a message about a dead server must name it."""


def build(spec: ProviderSpec) -> Any:
    """A new provider.

    Raises `Refused`: its package is not installed (MTS472), a variable or another secret is not to be had (MTS473), it cannot be made
    with these options (MTS469), or it can never be a target (MTS462).
    """
    reading.prepare()
    chosen = _class(spec.class_name, f"provider {spec.name}")
    resolved = _Secrets(spec).resolve(spec.options)
    options = {**_accepted(chosen, {**ALWAYS, **known(spec.class_name).options}), **resolved}
    try:
        return reading.ready(chosen(spec.name, **options))
    except MtastsError:
        raise
    except Exception as error:
        hint = "Give it the options that its documentation for octoDNS names."
        raise _refused("MTS469", f"the provider {spec.name} ({spec.class_name}) cannot be built: {said(error)}", hint, spec) from error


def fresh(provider: Any, reuse: Reuse) -> Any:
    """The provider, as if just built: its caches are containers that a copy does not share with the original."""
    if reuse is Reuse.NEVER:
        return provider
    made = copy.copy(provider)
    for name, value in vars(provider).items():
        if isinstance(value, dict | list | set):
            setattr(made, name, copy.copy(value))
    return made


def _accepted(chosen: Any, options: Mapping[str, object]) -> dict[str, object]:
    """Those of our options that the class takes; one that takes any takes all."""
    import inspect

    found: dict[str, object] = {}
    for kind in chosen.__mro__:
        if "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(kind.__init__).parameters
        found |= {name: value for name, value in options.items() if name in parameters}
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
            break
    return found


def _class(name: str, what: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = error.name or module
        why = "is not installed" if module == missing or module.startswith(missing + ".") else f"lacks the package {missing}"
        message = f"the {what} needs the package {module.partition('.')[0]}, which {why}"
        raise Refused(Diagnostic(code="MTS472", message=message, hint=f"Run {install_hint(name)}.")) from error
    except AttributeError as error:
        message = f"the {what} has the class {name}, which the package {module} does not have"
        raise Refused(Diagnostic(code="MTS469", message=message, hint="Correct `class`.")) from error
    except Exception as error:
        message = f"the package {module} of the {what} cannot be imported: {said(error)}"
        raise Refused(Diagnostic(code="MTS472", message=message, hint="Install it again, with versions that fit together.")) from error


class _Secrets:
    """Resolves `handler/name` in the options of one provider. Handlers are built when a value asks for them."""

    def __init__(self, spec: ProviderSpec) -> None:
        self._spec = spec
        self._handlers: dict[str, Any] = {}

    def resolve(self, options: Mapping[str, object]) -> dict[str, Any]:
        """The options with the values that they stand for."""
        return {key: self._value(key, value) for key, value in options.items()}

    def _value(self, key: str, value: object) -> Any:
        if isinstance(value, Mapping):
            return self.resolve(value)
        if not isinstance(value, str):
            return value
        handler, slash, name = value.partition("/")
        if slash and handler == "env":
            found = self._variable(key, name)
        elif slash and handler in self._spec.handlers:
            found = self._fetched(key, handler, name)
        else:
            if SECRET.search(key):
                hide(value)
            return value
        if key not in _OPEN:
            hide(found, certain=handler != "env" or bool(SECRET.search(key)))
        return found

    def _variable(self, key: str, name: str) -> Any:
        variable, slash, default = name.partition("/")
        text = os.environ.get(variable, default if slash else None)
        if text is None:
            message = f"the provider {self._spec.name} takes `{key}` from the variable {variable}, which is not set"
            raise _refused("MTS473", message, f"Set {variable} where this runs.", self._spec)
        if SECRET.search(key):
            return text  # octoDNS would make a number of a key that has only digits, and lose its zeros
        return EnvironSecrets("env").fetch(name, ContextDict({}, context=f"provider {self._spec.name}"))

    def _fetched(self, key: str, handler: str, name: str) -> Any:
        try:
            return self._handler(handler).fetch(name, ContextDict({}, context=f"provider {self._spec.name}"))
        except MtastsError:
            raise
        except Exception as error:
            message = f"the secret handler {handler} has no `{key}` for the provider {self._spec.name}: {said(error)}"
            raise _refused("MTS473", message, "Check its address, its access and the name of the secret.", self._spec) from error

    def _handler(self, name: str) -> Any:
        if name not in self._handlers:
            block = dict(self._spec.handlers[name])
            chosen = _class(str(block.pop("class", "")), f"secret handler {name}")
            self._handlers[name] = chosen(name, **self.resolve(block))
            log = getattr(self._handlers[name], "log", None)
            if isinstance(log, logging.Logger):
                reading.hush(log)
        return self._handlers[name]


def _refused(code: str, message: str, hint: str, spec: ProviderSpec) -> Refused:
    return Refused(Diagnostic(code=code, message=message, hint=hint, where=spec.where))
