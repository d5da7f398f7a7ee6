"""Loggers that never raise.

An application has its own handlers, filters and record factories. If one raises, it does so in the
thread that logs: the worker's event loop, or the thread that renews its leases.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

FACTS = "facts"
"""The name in `extra=` under which a record carries what JSON lines show as fields."""


class Logger(logging.LoggerAdapter[logging.Logger]):
    """A logger that never raises. The error of a handler goes to stderr."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Leave `extra=` as the caller gave it."""
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a message; the record names the caller, not this line."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        try:
            super().log(level, msg, *args, **kwargs)
        except BaseException:  # also SystemExit: it would end the event loop
            if logging.raiseExceptions:
                with suppress(BaseException):
                    traceback.print_exc(file=sys.stderr)


def logger(name: str) -> Logger:
    """Return the logger of a name."""
    return Logger(logging.getLogger(name), {})
