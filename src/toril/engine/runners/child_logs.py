"""Log records of a child process on their way to its worker, whose handlers take them.

A child has no logging of its own: what a task logs there would be lost, or stand in another form.
`Forwarding` is the child's end, `replay` the worker's. Levels are the worker's, as they are when
the child starts. What a child says is bounded: it may run what strangers upload.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from toril.engine.current_job import JobNames, current_job, current_trace
from toril.engine.texts import MAX_TEXT_BYTES, beginning, end
from toril.engine.tracing import TraceIds

MOST_LEVELS = 1_000
"""Loggers whose levels a child is told."""
MOST_LOGGERS = 1_000
"""Names that only children know and that the worker makes loggers for. Others are `toril.child`."""
MOST_EXTRAS = 50
MAX_NAME_BYTES = 200

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has. Anything else came by `extra=`."""

_made: set[str] = set()
"""Names of loggers that records of children have made here."""


class LogRecorded(msgspec.Struct, tag="log_record", frozen=True, kw_only=True, omit_defaults=True):
    """Code in the child has logged something."""

    name: str
    level: int
    text: str
    at_s: float
    """Epoch seconds."""
    path: str
    line: int
    function: str
    thread: str
    traceback: str | None = None
    job: tuple[str, str, str, int] | None = None
    """`JobNames`. None: the code works for no job."""
    trace: tuple[str, str] | None = None
    """`TraceIds`. None: the code is in no span."""
    extra: dict[str, Any] = {}
    """What came by `extra=`, as far as JSON can carry it."""


def levels() -> dict[str, int]:
    """Return the levels of this process's loggers; `""` is the root's."""
    found = {"": logging.getLogger().getEffectiveLevel()}
    for name, one in list(logging.Logger.manager.loggerDict.items()):
        if isinstance(one, logging.Logger) and one.level and len(found) < MOST_LEVELS:
            found[name] = one.level
    return found


class Forwarding(logging.Handler):
    """Sends what is logged in a child to its worker; to stderr, once that does not listen."""

    def __init__(self, send: Callable[[LogRecorded], bool]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        try:
            if not self._send(recorded(record)):
                level = record.levelname.lower()
                sys.stderr.write(f"{level:<7} {record.name}: {record.getMessage()}\n")
        except Exception:
            self.handleError(record)


def forward(send: Callable[[LogRecorded], bool], wanted: dict[str, int]) -> None:
    """Send what is logged in this process to its worker."""
    root = logging.getLogger()
    root.addHandler(Forwarding(send))
    for name, level in wanted.items():
        logging.getLogger(name or None).setLevel(level)


def recorded(record: logging.LogRecord) -> LogRecorded:
    """Return a record in the form in which a child sends it."""
    trace = record.exc_text
    if record.exc_info and record.exc_info[1] is not None:
        trace = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
    return LogRecorded(
        name=beginning(record.name, MAX_NAME_BYTES),
        level=record.levelno,
        text=beginning(record.getMessage(), MAX_TEXT_BYTES),
        at_s=record.created,
        path=beginning(record.pathname, MAX_TEXT_BYTES),
        line=record.lineno,
        function=beginning(record.funcName or "", MAX_NAME_BYTES),
        thread=beginning(record.threadName or "", MAX_NAME_BYTES),
        traceback=None if trace is None else end(trace),
        job=current_job(),
        trace=current_trace(),
        extra={name: _plain(value) for name, value in _extras(vars(record))},
    )


def replay(said: LogRecorded, pid: int) -> None:
    """Hand a child's record to this process's handlers, as if it had been logged here."""
    name = beginning(said.name, MAX_NAME_BYTES)
    if name not in logging.Logger.manager.loggerDict:
        if len(_made) >= MOST_LOGGERS:
            name = "toril.child"
        _made.add(name)
    to = logging.getLogger(name)
    level = min(max(said.level, 0), 1_000)
    if not to.isEnabledFor(level):
        return
    path = said.path
    values: dict[str, Any] = {
        **dict(_extras(said.extra)),
        "name": name,
        "levelno": level,
        "levelname": logging.getLevelName(level),
        "msg": said.text,
        "args": None,
        "created": said.at_s,
        "msecs": said.at_s % 1 * 1000,
        "pathname": path,
        "filename": os.path.basename(path),
        "module": os.path.splitext(os.path.basename(path))[0],
        "lineno": said.line,
        "funcName": said.function,
        "thread": None,
        "threadName": said.thread,
        "process": pid,
        "processName": "toril-child",
        "exc_text": said.traceback,
    }
    if said.job is not None:
        names = JobNames(*said.job)
        values.update(names._asdict(), job=str(names))
    if said.trace is not None:
        ids = TraceIds(*(beginning(one, MAX_NAME_BYTES) for one in said.trace))
        values.update(ids._asdict())
    try:
        to.handle(logging.makeLogRecord(values))
    except BaseException:  # a handler of the app's: it must not end the loop that hears children
        if logging.raiseExceptions:
            with suppress(BaseException):
                traceback.print_exc(file=sys.stderr)


def _extras(values: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return what came by `extra=`, up to a bound."""
    found = ((name, value) for name, value in list(values.items()) if name not in _OWN)
    return list(islice(found, MOST_EXTRAS))


def _plain(value: object) -> object:
    """Return what came by `extra=` as MessagePack can carry it: else its text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return int(value)
    if isinstance(value, str):
        return beginning(str(value), MAX_TEXT_BYTES)
    if isinstance(value, dict):
        pairs = list(value.items())[:MOST_EXTRAS]
        return {beginning(str(name), MAX_NAME_BYTES): _plain(one) for name, one in pairs}
    try:
        return beginning(repr(value), MAX_TEXT_BYTES)
    except Exception:
        return f"({type(value).__qualname__})"
