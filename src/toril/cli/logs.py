"""Formats a worker's log lines, as text or as JSON objects, on stderr."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from toril.cli.harmless import harmless_json, printable, printable_lines
from toril.core.codec import encode_text

Format = Literal["text", "json"]

FACTS = "facts"
"""The name in `extra=` under which a record carries what JSON lines show as fields."""


def set_up(kind: Format, level: str, *, with_pid: bool) -> None:
    """Send Toril's log lines to stderr, and everybody else's unless the app sees to them itself.

    Parameters:
        kind: How lines look.
        level: The least that is shown of Toril's.
        with_pid: Say in each text line which process it is from: several write to one terminal.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines(with_pid=with_pid))
    ours = logging.getLogger("toril")
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(level.upper())
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
        root.setLevel(max(logging.INFO, ours.level))


class TextLines(logging.Formatter):
    """`12:03:59.142 info  message`."""

    def __init__(self, *, with_pid: bool) -> None:
        super().__init__()
        self._with_pid = with_pid

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; further lines of a message stand under it."""
        at = datetime.fromtimestamp(record.created, UTC).astimezone()
        pid = f"[{record.process}] " if self._with_pid else ""
        head = f"{at:%H:%M:%S}.{at.microsecond // 1000:03} {record.levelname.lower():<7} {pid}"
        first, *more = record.getMessage().split("\n")
        lines = [head + printable(first), *(f"  {printable(line)}" for line in more)]
        trace = getattr(record, FACTS, {}).get("traceback", "")
        if record.exc_info:
            trace = self.formatException(record.exc_info)
        return "\n".join([*lines, *(f"  {line}" for line in printable_lines(trace))])


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `pid`, `message`, and the facts."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
            **getattr(record, FACTS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return harmless_json(encode_text(line))
