"""The jobs that one attempt adds by `Context.enqueue`, in the step that completes it.

Each is checked at the call, where the task's author sees what is wrong: what passes, the store can
add in one transaction with the outcome.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import msgspec

from toril.core.errors import InvalidOptionError
from toril.engine.context import FollowUp, NamedFollowUp
from toril.engine.drafts import EnqueueMiddleware, through
from toril.engine.handler import Handlers
from toril.engine.job import NewJob
from toril.engine.new_jobs import MAX_PAYLOAD_BYTES, Blueprint
from toril.engine.tracing import Tracer

MAX_JOBS = 2000
"""Most follow-up jobs of one attempt. One transaction adds them all, and others wait for it."""
MAX_TOTAL_BYTES = 16 * 1024 * 1024
"""Largest total of their payloads."""


class FollowUps:
    """The follow-up jobs of one attempt. Any of its threads may add to them."""

    __slots__ = ("_bytes", "_jobs", "_lock", "_taken")

    def __init__(self) -> None:
        self._jobs: list[NewJob] = []
        self._bytes = 0
        self._taken = False
        self._lock = threading.Lock()

    def add(self, job: NewJob) -> None:
        """Add a job to those of this attempt.

        Raises:
            InvalidOptionError: The attempt has ended, or wants too many.
        """
        with self._lock:
            if self._taken:
                raise InvalidOptionError(
                    f"the follow-up {job.name!r} comes too late: its attempt has ended, and nothing"
                    " is added in its name any more"
                )
            size = self._bytes + len(job.data.encode())
            if len(self._jobs) >= MAX_JOBS or size > MAX_TOTAL_BYTES:
                raise InvalidOptionError(
                    f"the follow-up {job.name!r} is one too many: an attempt adds at most"
                    f" {MAX_JOBS:,} jobs with {MAX_TOTAL_BYTES:,} bytes of payloads, since they are"
                    " one transaction. Add one job that adds the others"
                )
            self._bytes = size
            self._jobs.append(job)

    def take(self) -> list[NewJob] | None:
        """Return the jobs to add. Nothing can be added to them any more."""
        with self._lock:
            self._taken = True
            return self._jobs or None


class FollowUpMaker:
    """Makes and checks the follow-up jobs of one worker. Any thread may use it."""

    def __init__(
        self,
        handlers: Handlers,
        together: Callable[[Sequence[str]], bool],
        middleware: Sequence[EnqueueMiddleware] = (),
        tracer: Tracer | None = None,
    ) -> None:
        """Make a maker.

        Parameters:
            together: Whether the store can write these queues in one transaction.
            middleware: What sees each new job first.
            tracer: Marks each new job with the trace of the attempt. None: nothing does.
        """
        self._handlers = handlers
        self._middleware = middleware
        self._tracer = tracer
        self._together = together

    def job(self, said: FollowUp | NamedFollowUp, *, queue: str, job_id: str) -> NewJob:
        """Return the job that a task asks for.

        Parameters:
            said: What it asks for.
            queue: The queue of the task's own job.
            job_id: Its id.

        Raises:
            InvalidOptionError: No such job can be, or one transaction cannot reach its queue.
            InvalidPayloadError: The payload does not fit the task, or is too large.
            Exception: What enqueue middleware raises.
        """
        job = said.job if isinstance(said, FollowUp) else self._named(said)
        job = self.prepare(job)
        if not self._together((queue, job.queue)):
            raise InvalidOptionError(
                f"queue={job.queue!r}: a follow-up of a job of queue {queue!r} cannot go there,"
                " since in a Redis Cluster one transaction reaches one slot only. Give the names of"
                " both queues the same part in braces, such as '{shop}orders' and '{shop}mail'; or"
                " have the task itself enqueue the job, with a job_id made of its own, such as"
                f" {f'{job.name}-of-{job_id}'!r}, so that a second attempt adds no second job"
            )
        return job

    def prepare(self, job: NewJob) -> NewJob:
        """Return a new job after enqueue middleware, with its fields sealed.

        Raises:
            InvalidOptionError, InvalidPayloadError: There can be no such job as middleware made.
        """
        handler = self._handlers.find(job.queue, job.name)
        bound = self._handlers.door(job.queue, job.name)
        if bound is not None:
            job = bound.admit(job)
        if handler is None:  # of another program, or of another app: its limit is not known
            limit = max(MAX_PAYLOAD_BYTES, len(job.data.encode()))
            job = through(self._middleware, job, max_payload_bytes=limit)
        elif self._middleware:
            limit = handler.max_payload_bytes
            job = through(self._middleware, job, read=handler.arguments, max_payload_bytes=limit)
        if handler is not None and handler.seals is not None:
            job = msgspec.structs.replace(job, data=handler.seals.seal(job.data))
        return job if self._tracer is None else self._tracer.marked(job)

    def _named(self, said: NamedFollowUp) -> NewJob:
        handler = self._handlers.named(said.task, said.queue)
        if handler is not None:
            job = handler.job_of(said.payload)
            # A task may take jobs of any name.
            return job if job.name == said.task else Blueprint.renamed(job, said.task)
        if said.queue is None:
            raise InvalidOptionError(
                f"the follow-up {said.task!r} names no queue, and the app has no such task"
            )
        return Blueprint(said.queue, said.task).job(said.payload)
