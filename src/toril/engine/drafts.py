"""Code of the app that sees each new job, and may change it, before it is checked and stored.

```python
@app.enqueue_middleware
def traced(job: JobDraft) -> None:
    job.payload["trace"] = current_trace()
```

Every door calls it: tasks, queues by name and follow-up jobs, those of child processes in the
worker. A follow-up is made in the middle of a call that cannot wait, so this is plain code. It runs
in the thread and the context of whoever adds the job.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from toril.core.clock import moment
from toril.core.codec import decode, encode_text
from toril.core.errors import InvalidOptionError, InvalidPayloadError
from toril.core.reading import read_object
from toril.engine import deduplication
from toril.engine.job import NewJob
from toril.engine.new_jobs import MAX_PAYLOAD_BYTES, Blueprint, payload_text
from toril.engine.options import MAX_TRACES, JobOptions
from toril.engine.wire_options import from_wire


class JobDraft:
    """A new job, as enqueue middleware sees and changes it."""

    __slots__ = ("_job", "_options", "_payload", "_was")

    def __init__(self, job: NewJob) -> None:
        self._job = job
        self._payload: Any = None
        self._was: str | None = None
        """What the payload is as JSON. None: nobody has looked at it."""
        self._options: JobOptions | None = None

    def __repr__(self) -> str:
        return f"JobDraft({self.name!r}, queue={self.queue!r})"

    @property
    def queue(self) -> str:
        """Its queue. Cannot be changed: with the name, it says which task runs."""
        return self._job.queue

    @property
    def name(self) -> str:
        """Its name on the wire: the task's."""
        return self._job.name

    @property
    def payload(self) -> Any:
        """Its payload as JSON values, by the names on the wire; for a task's job a `dict`.

        What is changed in it, or set in its place, goes into the job. A task ignores a field that
        it does not know; `Context.data` has it.
        """
        if self._was is None:
            self._payload = decode(self._job.data)
            self._was = encode_text(self._payload)
        return self._payload

    @payload.setter
    def payload(self, value: Any) -> None:
        if self._was is None:
            self._was = encode_text(decode(self._job.data))
        self._payload = value

    @property
    def options(self) -> JobOptions:
        """Its options; to change some, set `dataclasses.replace(job.options, ...)`.

        Attempts and waits that the caller does not give are the task's here. Everything else that
        is not given is None, or the option's default.
        """
        if self._options is None:
            self._options = options_of(self._job)
        return self._options

    @options.setter
    def options(self, options: JobOptions) -> None:
        self._options = options


EnqueueMiddleware = Callable[[JobDraft], None]


def check_middleware(middleware: EnqueueMiddleware) -> None:
    """Refuse what cannot be enqueue middleware.

    Raises:
        InvalidOptionError: It is no plain function.
    """
    if not callable(middleware) or inspect.iscoroutinefunction(middleware):
        raise InvalidOptionError(
            f"enqueue_middleware={middleware!r}: expected a plain function of one JobDraft, since"
            " follow-up jobs are made in the middle of a call that cannot wait"
        )


def through(
    middleware: Sequence[EnqueueMiddleware],
    job: NewJob,
    *,
    read: Callable[[str], object] | None = None,
    max_payload_bytes: int = MAX_PAYLOAD_BYTES,
) -> NewJob:
    """Return a new job after all middleware, in the order in which it was added.

    Parameters:
        middleware: What sees and may change it.
        job: The job, which was checked.
        read: Reads its payload (JSON text) as its task will. None: the task is not known.
        max_payload_bytes: Largest payload, as JSON.

    Raises:
        InvalidOptionError, InvalidPayloadError: There can be no such job as a middleware made of
            it. The message names the middleware.
        Exception: What a middleware raises comes through as it is.
    """
    for one in middleware:
        draft = JobDraft(job)
        answer = one(draft)
        try:
            if answer is not None:
                _refuse_answer(answer)
            job = _changed(draft, read, max_payload_bytes)
        except InvalidPayloadError as error:
            problem = f"{error.problem} (made by the enqueue middleware {_named(one)})"
            raise type(error)(error.task, error.field, problem) from error
        except InvalidOptionError as error:
            raise InvalidOptionError(f"enqueue middleware {_named(one)}: {error}") from error
    return job


def _changed(
    draft: JobDraft, read: Callable[[str], object] | None, max_payload_bytes: int
) -> NewJob:
    job, options = draft._job, draft._options
    if options is not None:
        if not isinstance(options, JobOptions):
            raise InvalidOptionError(f"options={options!r}: expected JobOptions")
        # Attempts and waits of the task are among them by now.
        job = Blueprint.with_options(job, options)
    if draft._was is not None:
        text = payload_text(job.name, draft._payload)
        if text != draft._was:  # else it stays as it was written
            limit = from_wire(job.opts).max_payload_bytes or max_payload_bytes
            job = Blueprint.with_payload(job, text, max_bytes=limit)
            if read is not None:
                read(text)
    return job


def options_of(job: NewJob) -> JobOptions:
    """Return the options that make such a job."""
    wire, rule = from_wire(job.opts), job.deduplication
    return JobOptions(
        job_id=job.job_id,
        deduplication=None if rule is None else deduplication.from_rule(rule),
        delay_s=job.delay_ms / 1000,
        run_at=None if job.run_at_ms is None else moment(job.run_at_ms),
        priority=job.priority,
        lifo=job.lifo,
        max_attempts=wire.max_attempts,
        backoff="fixed" if wire.backoff == "fixed" else "exponential" if wire.backoff else None,
        backoff_s=wire.backoff_s,
        jitter_ratio=wire.jitter_ratio,
        keep_completed=wire.keep_completed,
        keep_failed=wire.keep_failed,
        keep_logs=wire.keep_logs if "kl" in read_object(job.opts) else None,
        keep_traces=None if wire.keep_traces is None else min(wire.keep_traces, MAX_TRACES),
        max_payload_bytes=wire.max_payload_bytes,
        trace=wire.traced,
    )


def _refuse_answer(answer: object) -> None:
    if inspect.iscoroutine(answer):
        answer.close()
    raise InvalidOptionError(
        f"it returned {type(answer).__qualname__}: expected None, and changes in the job that it is"
        " given"
    )


def _named(middleware: EnqueueMiddleware) -> str:
    return repr(getattr(middleware, "__qualname__", None) or type(middleware).__qualname__)
