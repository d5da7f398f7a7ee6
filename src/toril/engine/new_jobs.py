"""Checks every new job, whoever adds it, before a store sees it.

Tasks (`Task.enqueue`), queues by name (`Queue.add`) and follow-ups (`Context.enqueue`) make their
jobs with a `Blueprint`. Every store can write a job that passes.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from toril.core.checks import require
from toril.core.clock import epoch_ms
from toril.core.codec import decode, encode_text
from toril.core.errors import InvalidPayloadError, PayloadTooLargeError
from toril.core.ids import check_job_id, check_job_name, check_queue_name
from toril.core.nesting import is_too_deep
from toril.engine.deduplication import check_deduplication_id, rule
from toril.engine.handler import Bound
from toril.engine.job import NewJob
from toril.engine.options import MAX_COUNT, JobOptions, RetryPolicy, check_priority
from toril.engine.wire_options import to_wire

MAX_PAYLOAD_BYTES = 256 * 1024
"""Largest payload of a job that is added by name, and of a task that does not say."""


class Blueprint:
    """Makes jobs of one queue, name and options: checks these once, then only each payload."""

    __slots__ = ("_max_bytes", "_seal", "_template")

    def __init__(
        self,
        queue: str,
        name: str,
        options: JobOptions | None = None,
        policy: RetryPolicy | None = None,
        *,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
        seal: Callable[[str], str] | None = None,
    ) -> None:
        """Check what the jobs have in common.

        Parameters:
            queue: The queue to add to.
            name: The jobs' name on the wire.
            options: What the caller says.
            policy: What the task says where the caller does not. None: the task is not known here.
            max_payload_bytes: Largest payload as JSON, before it is sealed.
            seal: Seals fields of a payload. None: none is sealed.

        Raises:
            InvalidOptionError: No queue, or no job, can have such a name.
        """
        options = options or JobOptions()
        run_at, deduplication = options.run_at, options.deduplication
        self._max_bytes = options.max_payload_bytes or max_payload_bytes
        self._seal = seal
        self._template = NewJob(
            queue=check_queue_name(queue),
            name=check_job_name(name),
            data="",
            opts=to_wire(options, policy),
            job_id=options.job_id,
            delay_ms=round(options.delay_s * 1000),
            run_at_ms=None if run_at is None else epoch_ms(run_at),
            priority=options.priority,
            lifo=options.lifo,
            deduplication=None if deduplication is None else rule(deduplication),
        )

    def job(self, payload: str) -> NewJob:
        """Return a job with a payload: JSON text, as `payload_text` or a task's signature makes it.

        Raises:
            PayloadTooLargeError: It is larger than the jobs' largest.
        """
        if len(payload) > self._max_bytes // 4:  # else its bytes need not be counted
            self.with_payload(self._template, payload, max_bytes=self._max_bytes)
        if self._seal is not None:
            payload = self._seal(payload)
        return msgspec.structs.replace(self._template, data=payload)

    @staticmethod
    def with_payload(job: NewJob, payload: str, *, max_bytes: int) -> NewJob:
        """Return a job with another payload.

        Raises:
            PayloadTooLargeError: It is larger than `max_bytes`.
        """
        size = len(payload.encode())
        if size > max_bytes:
            raise PayloadTooLargeError(
                job.name,
                "(payload)",
                f"{size} bytes; at most max_payload_bytes={max_bytes}. Store large data elsewhere"
                " and pass its address",
            )
        return msgspec.structs.replace(job, data=payload)

    @staticmethod
    def with_options(job: NewJob, options: JobOptions) -> NewJob:
        """Return a job with other options. What they leave open is nobody's: not the task's."""
        template = Blueprint(job.queue, job.name, options)._template
        return msgspec.structs.replace(template, data=job.data)

    @staticmethod
    def renamed(job: NewJob, name: str) -> NewJob:
        """Return a job under another name."""
        return msgspec.structs.replace(job, name=check_job_name(name))


class BoundBlueprint:
    """Makes jobs of a name that a task is bound to: the binding checks each payload."""

    __slots__ = ("_bound", "_name", "_options")

    def __init__(self, bound: Bound, name: str, options: JobOptions | None) -> None:
        self._bound = bound
        self._name = name
        self._options = options

    def job(self, payload: str) -> NewJob:
        """Return a job with a payload: JSON text.

        Raises:
            InvalidPayloadError: The binding does not take it.
        """
        return self._bound.job_named(self._name, payload, self._options)


def checked(job: NewJob) -> NewJob:
    """Return a job that a child process sent, after the checks that a blueprint makes.

    A child may run what strangers upload, so the job need not come from our code.

    Raises:
        InvalidOptionError, InvalidPayloadError: No blueprint could have made it.
    """
    check_queue_name(job.queue)
    check_job_name(job.name)
    if job.job_id is not None:
        check_job_id(job.job_id)
    check_priority(job.priority)
    require(0 <= job.delay_ms <= MAX_COUNT, "delay_ms", job.delay_ms, "whole milliseconds from 0")
    if job.deduplication is not None:
        check_deduplication_id(job.deduplication.id)
    if not is_json(job.data):
        raise InvalidPayloadError(job.name, "(payload)", "not JSON that can be stored")
    if not is_json(job.opts) or not isinstance(decode(job.opts), dict):
        raise InvalidPayloadError(job.name, "(options)", "no JSON object that can be stored")
    return job


def payload_text(name: str, payload: object) -> str:
    """Return the payload of a job whose task is not known here, as JSON text.

    Parameters:
        name: The job's, for messages.
        payload: None: an empty object, a call without arguments.

    Raises:
        InvalidPayloadError: It is not JSON: the message says what in it is not.
    """
    try:
        return encode_text({} if payload is None else payload)
    except (TypeError, ValueError) as error:
        raise InvalidPayloadError(name, "(payload)", str(error)) from error


def is_json(text: str) -> bool:
    """Return whether a text is JSON that every store and every reader can take."""
    try:
        if is_too_deep(text.encode()):
            return False
        decode(text)
    except ValueError:
        return False
    return True
