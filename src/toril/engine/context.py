"""What a task may know and say while it runs: the optional parameter of type `Context`.

The same object serves on the loop, in a thread and in a child process. Everything that a task says
through it is put on its way at once and in order, without waiting; `emit` carries it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, ParamSpec, Protocol, overload

import msgspec

from toril.core.clock import moment
from toril.core.codec import Json, decode
from toril.core.errors import AttemptTimeoutError, InvalidOptionError
from toril.core.foreign_words import answers
from toril.core.reading import read, read_object, whole
from toril.engine.context_data import DataChanged
from toril.engine.context_flows import FlowAsked, FlowContext
from toril.engine.foreign_words import CONTEXT_WORDS
from toril.engine.job import NewJob
from toril.engine.new_jobs import payload_text
from toril.engine.outcomes import Cancel
from toril.engine.progress import progress_text
from toril.engine.texts import MAX_LINE_BYTES, beginning

P = ParamSpec("P")

StopKind = Literal["timeout", "cancelled", "lease_lost", "released"]
"""Why an attempt has to end. `timeout`: its time is up. `cancelled`: somebody cancelled the job.
`lease_lost`: the worker holds the job no more; another may run it by now. `released`: the worker
stops, and gives the job back."""


class ProgressMade(msgspec.Struct, tag="progress", frozen=True):
    """The task reported progress: JSON text, usually a number from 0 to 100."""

    value: str


class LineLogged(msgspec.Struct, tag="log", frozen=True):
    """The task wrote a line into its job's log."""

    line: str


class FollowUp(msgspec.Struct, tag="follow_up", frozen=True):
    """The task wants another job added in the same step that completes this one."""

    job: NewJob


class NamedFollowUp(msgspec.Struct, tag="named_follow_up", frozen=True):
    """The same, for a task that is given by its name."""

    task: str
    payload: str
    """JSON text."""
    queue: str | None = None
    """None: the queue of the named task."""


TaskMessage = ProgressMade | LineLogged | FollowUp | NamedFollowUp | DataChanged


class Enqueueable(Protocol[P]):
    """A task, as far as `Context.enqueue` needs it. `Task` is one."""

    @property
    def name(self) -> str:
        """Its name on the wire."""
        ...

    @property
    def store(self) -> object:
        """Where its app's jobs live: a URL or a client. None: it is of no app yet."""
        ...

    def new_job(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return the job of a call."""
        ...


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an attempt when it begins."""

    job_id: str
    queue: str
    task: str
    attempt: int
    """From 1: how many times the job was tried, this one included."""
    max_attempts: int
    worker_id: str
    created_at_ms: int
    timeout_s: float | None = None
    opts: str = "{}"
    """The job's stored options, as JSON text."""


@answers(CONTEXT_WORDS)
class Context(FlowContext):
    """One attempt, as its task sees it."""

    __slots__ = (
        "_cancelled",
        "_data",
        "_deadline_s",
        "_emit",
        "_kind",
        "_reason",
        "_store",
        "facts",
    )

    def __init__(
        self,
        facts: Facts,
        emit: Callable[[TaskMessage | FlowAsked], Any],
        data: str | bytes,
        *,
        store: object = None,
    ) -> None:
        """Make a context.

        Parameters:
            facts: What is known of the attempt.
            emit: Takes messages of the task, and answers its questions. It raises if it refuses.
            data: The stored payload.
            store: Where the task's app has its jobs.
        """
        self.facts = facts
        self._emit = emit
        self._data = data
        self._store = store
        self._cancelled = threading.Event()
        self._reason = ""
        self._kind: StopKind | None = None
        # A stopwatch of this process: a calendar that jumps must not move a deadline.
        self._deadline_s = None if facts.timeout_s is None else time.monotonic() + facts.timeout_s

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.facts.job_id

    @property
    def queue(self) -> str:
        """The queue that it was taken from."""
        return self.facts.queue

    @property
    def task(self) -> str:
        """The task's name on the wire."""
        return self.facts.task

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.facts.attempt

    @property
    def max_attempts(self) -> int:
        """Attempts in all."""
        return self.facts.max_attempts

    @property
    def worker_id(self) -> str:
        """Who runs it."""
        return self.facts.worker_id

    @property
    def data(self) -> Any:
        """The payload as it is stored, with the fields that no parameter takes.

        Read anew each time. After `update_data` it is the new one.
        """
        return decode(self._data)

    @property
    def raw_data(self) -> str:
        """The payload as it is stored: JSON text, before anything read it."""
        return self._data if isinstance(self._data, str) else self._data.decode()

    @property
    def options(self) -> Any:
        """The job's options as they were stored, with BullMQ's names and milliseconds.

        A `RawText` if they cannot be decoded: other programs write to the store, too.
        """
        return read(self.facts.opts)

    @property
    def created_at(self) -> datetime:
        """When the job was added, in UTC."""
        return moment(self.facts.created_at_ms)

    @property
    def due_at(self) -> datetime:
        """When the job was to run first, in UTC: of a schedule's job its slot, however late it is.

        A schedule's job is added a slot before, so `created_at` says little there. Of other jobs it
        is that moment, and the delay that they were added with.
        """
        options = read_object(self.facts.opts)
        slot_ms = whole(options.get("prevMillis"))
        return moment(slot_ms or self.facts.created_at_ms + max(0, whole(options.get("delay"))))

    @property
    def idempotency_key(self) -> str:
        """A text that is the same in every attempt of this job, and in no other job's.

        Give it to whatever the task calls, so that a second run of the same job changes nothing.
        It holds the moment at which the job was made: an id that is used again, after a removal or
        in a store that was put back from a backup, gives another key.
        """
        facts = self.facts
        return f"{facts.queue}:{facts.job_id}:{facts.created_at_ms}"

    @property
    def remaining_s(self) -> float | None:
        """Seconds left until the attempt is stopped; None without a time limit."""
        return None if self._deadline_s is None else max(0.0, self._deadline_s - time.monotonic())

    @property
    def cancelled(self) -> bool:
        """Whether the attempt should end: cancelled, out of time, or its lease was lost."""
        return self._cancelled.is_set()

    @property
    def cancel_reason(self) -> str | None:
        """Why the attempt should end, as a sentence; None while it need not.

        A coroutine finds it in the `CancelledError` that ends it, too, as its argument.
        """
        return self._reason if self._cancelled.is_set() else None

    @property
    def cancel_kind(self) -> StopKind | None:
        """Why the attempt should end, as a word; None while it need not.

        `timeout`: its time is up. `cancelled`: somebody cancelled the job. `lease_lost`: the worker
        does not hold the job any more, and another may run it by now: change nothing that it would
        find. `released`: the worker stops and gives the job back, to be run again.
        """
        return self._kind

    def raise_if_cancelled(self) -> None:
        """End the attempt here if it should end.

        Raises:
            Cancel: Somebody cancelled the job.
            AttemptTimeoutError: Its time is up.
        """
        if self._cancelled.is_set():
            if self.remaining_s == 0.0:
                raise AttemptTimeoutError(self._reason)
            raise Cancel(self._reason)

    def sleep(self, duration_s: float) -> None:
        """Wait in a thread or process task; ends early, by raising, when the attempt should end.

        Parameters:
            duration_s: Seconds.

        Raises:
            Cancel, AttemptTimeoutError: As `raise_if_cancelled`.
        """
        self._cancelled.wait(duration_s)
        self.raise_if_cancelled()

    def progress(self, value: Json) -> None:
        """Report progress: a number from 0 to 100, or any JSON. Seen as a `progress` event.

        Raises:
            TypeError, ValueError: It is not JSON, or over 64 KiB of it.
        """
        self._emit(ProgressMade(progress_text(value)))

    def log(self, line: str) -> None:
        """Add a line to the job's log. Old lines go past `keep_logs`; one over 256 KiB is cut.

        While the store cannot keep up, a thread or process task waits here until it has; on the
        event loop, where waiting would block all, lines are dropped, and the log says how many.
        """
        self._emit(LineLogged(beginning(str(line), MAX_LINE_BYTES)))

    async def update_data(self, data: Json) -> None:
        """Replace the job's payload: the next attempt begins with this one, on whatever worker.

        So a long task keeps how far it has come. When this returns, the payload is stored. The
        arguments of this attempt stay as they are; `data` is the new payload.

        Parameters:
            data: All parameters of the task by their names on the wire, as for `queue.add`.

        Raises:
            InvalidPayloadError: It is not JSON, or does not fit the task.
            PayloadTooLargeError: It is over the task's `max_payload_bytes`.
            LeaseLostError: The attempt does not hold its job any more. Nothing was changed.
            BackendError: The store did not answer; it may have stored the payload.
        """
        text = payload_text(self.facts.task, data)
        await self._ask(DataChanged(text))
        self._data = text

    def update_data_sync(self, data: Json) -> None:
        """The same for plain code."""
        text = payload_text(self.facts.task, data)
        self._ask_sync(DataChanged(text))
        self._data = text

    @overload
    def enqueue(self, task: Enqueueable[P], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    @overload
    def enqueue(
        self, task: str, /, payload: Mapping[str, Json] | None = None, *, queue: str | None = None
    ) -> None: ...

    def enqueue(self, task: Enqueueable[Any] | str, /, *args: Any, **kwargs: Any) -> None:
        """Add another job in the same step that completes this one.

        `context.enqueue(thank, to=to)` takes what `thank.enqueue(to=to)` takes, and so does a task
        with options: `context.enqueue(thank.with_options(delay=60), to=to)`. A task of another
        program is named: `context.enqueue("encode", {"file": name}, queue="video")`.

        Everything is checked here, wherever the task runs. Nothing is added if the attempt does
        not complete, so a retry never doubles it.

        Parameters:
            task: The task, or its name on the wire; the parameters are its function's own.
            payload: To a name: its parameters by their names on the wire. Default: none.
            queue: To a name: where to. Default: the queue of the app's task of this name.

        Raises:
            InvalidOptionError: There can be no such job, it is of another app's store, or an
                attempt cannot add so many; in a Redis Cluster also a queue of another slot.
            InvalidPayloadError: The parameters do not fit the task.
        """
        if isinstance(task, str):
            self._emit(_named(task, *args, **kwargs))
            return
        if not callable(getattr(task, "new_job", None)):
            raise InvalidOptionError(f"task={task!r}: expected a task of an app, or a task's name")
        here, there = self._store, task.store
        if isinstance(here, str) and isinstance(there, str) and here != there:
            raise InvalidOptionError(
                f"task={task.name!r}: its app has another store than this job's, and one"
                " transaction cannot reach both. Await its enqueue, with a job_id of your own"
            )
        self._emit(FollowUp(task.new_job(*args, **kwargs)))

    def cancel(self, reason: str, kind: StopKind | None = "cancelled") -> None:
        """Tell the task to end. The worker calls this."""
        self._reason, self._kind = reason, kind
        self._cancelled.set()


def _named(
    task: str, payload: Mapping[str, Json] | None = None, *, queue: str | None = None
) -> NamedFollowUp:
    return NamedFollowUp(task, payload_text(task, payload), queue)
