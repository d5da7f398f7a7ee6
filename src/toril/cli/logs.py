"""Formats a worker's log lines, as text or as JSON objects, on stderr."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

from toril.cli.harmless import harmless_json, printable, printable_lines
from toril.core.codec import encode_text
from toril.core.loggers import FACTS
from toril.observability.job_log_filter import JobLogFilter

Format = Literal["text", "json"]


def set_up(kind: Format, level: str, *, with_pid: bool, quiet_jobs: bool = False) -> None:
    """Send Toril's log lines to stderr, and everybody else's unless the app sees to them itself.

    Parameters:
        kind: How lines look.
        level: The least that is shown of Toril's.
        with_pid: Say in each text line which process it is from: several write to one terminal.
        quiet_jobs: No line for a job that went well.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines(with_pid=with_pid))
    handler.addFilter(JobLogFilter())
    ours = logging.getLogger("toril")
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(level.upper())
    if quiet_jobs:
        logging.getLogger("toril.jobs").setLevel(max(logging.WARNING, ours.level))
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(handler)
        root.setLevel(max(logging.INFO, ours.level))


def warn_of_variables() -> None:
    """Warn of variables that look like a setting and are none, such as TORIL_CONCURENCY."""
    from toril.settings import misspelt

    for sentence in misspelt():
        logging.getLogger("toril.cli").warning("%s", sentence)


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
        job = _job_of(record)
        first, *more = record.getMessage().split("\n")
        if job:
            first = f"{job}: {first}"
        lines = [head + printable(first), *(f"  {printable(line)}" for line in more)]
        trace = _trace_of(self, record) or ""
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
        }
        if _job_of(record):
            line |= {name: record.__dict__[name] for name in ("queue", "job_id", "task", "attempt")}
        if record.__dict__.get("trace_id"):
            line |= {name: record.__dict__[name] for name in ("trace_id", "span_id")}
        line |= getattr(record, FACTS, {})
        trace = _trace_of(self, record)
        if trace is not None:
            line["traceback"] = trace
        return harmless_json(encode_text(line))


def _job_of(record: logging.LogRecord) -> str:
    """Return the job that a line is about, if its own words do not say it."""
    if "job_id" in getattr(record, FACTS, {}) or record.name == "toril.worker":
        return ""
    return str(getattr(record, "job", ""))


def _trace_of(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    """Return the traceback of a record: without our own frames, where it has been made."""
    made: str | None = getattr(record, FACTS, {}).get("traceback")
    if made is not None:
        return made
    if record.exc_info and record.exc_info[0] is not None:
        return formatter.formatException(record.exc_info)
    return record.exc_text  # of a child process
