"""What the engine asks of whatever traces the jobs of an app. `observability/tracing.py` does.

Nothing of it is called in an app that does not trace.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from toril.engine.job import Finished, NewJob

if TYPE_CHECKING:
    from toril.engine.attempt import Attempt


class TraceIds(NamedTuple):
    """Trace and span of some code, in the hexadecimal digits of W3C's `traceparent`."""

    trace_id: str
    span_id: str


class Carried(msgspec.Struct, frozen=True):
    """What a child process needs to go on with the trace of an attempt."""

    enter: str
    """`module:name` of a function that takes `values`, called there in the attempt's context.

    It returns what marks the jobs that the task wants to be added, on their way to the worker."""
    values: dict[str, str]


class Tracer(Protocol):
    """Traces the jobs of an app. No method raises: a job runs whatever becomes of its trace."""

    def begin(self, attempt: Attempt, worker_id: str) -> None:
        """Begin the span of an attempt, in the attempt's own context. Sets `attempt.trace_ids`."""
        ...

    def within(self, attempt: Attempt) -> AbstractContextManager[None]:
        """Make the span of an attempt the current one, in a `with` block."""
        ...

    def end(self, attempt: Attempt, outcome: Finished) -> None:
        """End the span of an attempt."""
        ...

    def carried(self) -> Carried | None:
        """Return what a child process needs to go on with the trace of the running code."""
        ...

    def marked(self, job: NewJob) -> NewJob:
        """Return a job that running code adds with its attempt, with a span of its own for it."""
        ...


def ended_with(
    tracer: Tracer, finished: Callable[[Attempt, Finished], None]
) -> Callable[[Attempt, Finished], None]:
    """Return what takes an outcome, with the end of the attempt's span before it."""

    def end_and_finish(attempt: Attempt, outcome: Finished) -> None:
        tracer.end(attempt, outcome)
        finished(attempt, outcome)

    return end_and_finish
