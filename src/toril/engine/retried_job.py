"""The job that a retry rule of one's own is told of, and how the rule is asked.

A pure module: it knows neither the worker nor the store.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from toril.core.clock import moment
from toril.core.reading import read


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriedJob:
    """A job whose attempt has failed, as `RetryPolicy.wait` is told of it."""

    id: str
    queue: str
    task: str
    """The task's name on the wire."""
    attempts_made: int
    """Attempts that count, the failed one included."""
    max_attempts: int
    """Attempts in all."""
    created_at_ms: int
    raw_data: str
    """The payload as it was stored: JSON text."""
    raw_options: str
    """The options as they were stored: JSON text."""

    @property
    def data(self) -> Any:
        """The payload, decoded. A `RawText` if it cannot be."""
        return read(self.raw_data)

    @property
    def options(self) -> Any:
        """The options, decoded, with BullMQ's names and milliseconds. A `RawText` if unreadable."""
        return read(self.raw_options)

    @property
    def created_at(self) -> datetime:
        """When the job was added, in UTC."""
        return moment(self.created_at_ms)


RetryWait = (
    Callable[[int, BaseException], float | None]
    | Callable[[int, BaseException, RetriedJob], float | None]
)
"""A rule of one's own: attempts made, the error and, if it takes three, the job."""


def asked(
    rule: RetryWait, attempts_made: int, error: BaseException, job: RetriedJob | None
) -> float | None:
    """Return what a rule says: a wait in seconds, or None to give up.

    It is told the job if it takes a third argument: one without a default, or named `job`.
    """
    if job is not None and _takes_job(rule):
        long = cast("Callable[[int, BaseException, RetriedJob], float | None]", rule)
        return long(attempts_made, error, job)
    return cast("Callable[[int, BaseException], float | None]", rule)(attempts_made, error)


def _takes_job(rule: RetryWait) -> bool:
    try:
        parameters = list(inspect.signature(rule).parameters.values())
    except (TypeError, ValueError):  # one that is written in C
        return False
    by_place = [
        one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if len(by_place) < 3:
        return False
    third = by_place[2]
    return third.default is third.empty or third.name == "job"
