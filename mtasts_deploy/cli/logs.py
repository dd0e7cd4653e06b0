"""The standard library's logging for this program: our own logger by `-v`, those of libraries only with `-vv`."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from mtasts_deploy.masking import scrubbed
from mtasts_deploy.output.channel import Channel


class _Lines(logging.Handler):
    def __init__(self, err: Channel, *, json_lines: bool, libraries: bool) -> None:
        super().__init__()
        if not libraries:
            self.addFilter(logging.Filter("mtasts_deploy"))  # some loggers of libraries have levels of their own
        self._err = err
        self._json = json_lines

    def emit(self, record: logging.LogRecord) -> None:
        """One line a record."""
        message = scrubbed(record.getMessage())
        if self._json:
            time = datetime.fromtimestamp(record.created, UTC).isoformat()
            self._err.line(json.dumps({"time": time, "level": record.levelname.lower(), "logger": record.name, "message": message}))
        else:
            self._err.line(f"{record.levelname.lower()} {record.name}: {message}")


def configure(err: Channel, *, verbose: int, json_lines: bool) -> None:
    """Send logging to stderr: nothing of libraries below `-vv`."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Lines):
            root.removeHandler(handler)
    root.addHandler(_Lines(err, json_lines=json_lines, libraries=verbose > 1))
    root.setLevel(logging.DEBUG if verbose > 1 else logging.CRITICAL + 1)
    logging.getLogger("mtasts_deploy").setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)])
