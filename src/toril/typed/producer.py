"""Producers: add jobs of one queue, with its types and its options."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, Unpack

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError
from toril.engine.flow import OnFailure
from toril.engine.handle import Job
from toril.engine.node import Node
from toril.tasks.task import Task
from toril.typed.job_settings import SHARED, AddOptions, JobSettings
from toril.typed.payloads import typed_task, types_of
from toril.typed.spec import QueueSpec, spec_of

if TYPE_CHECKING:
    from toril.app import App

P = TypeVar("P")
R = TypeVar("R")
NONE = JobSettings()
KNOWN = frozenset(one.name for one in fields(JobSettings))


class Producer(Generic[P, R]):
    """Adds jobs to one queue: `class MailProducer(Producer[Mail, Sent], spec=MAIL)`.

    `QueueRegistry.producers` makes it.
    """

    spec: ClassVar[QueueSpec]
    """Its queue."""
    payload_type: ClassVar[Any]
    """What its jobs carry."""
    result_type: ClassVar[Any]
    """What its jobs return."""

    def __init_subclass__(cls, spec: QueueSpec | None = None, **others: Any) -> None:
        """Read the queue and the types of a class.

        Raises:
            InvalidOptionError: It names none.
        """
        super().__init_subclass__(**others)
        if spec is None and hasattr(cls, "spec"):
            return
        cls.spec = spec_of(cls, spec)
        cls.payload_type, cls.result_type = types_of(cls, Producer)

    def __init__(self, app: App, shared: JobSettings = SHARED) -> None:
        """Make a producer. Most programs have `QueueRegistry.producers` do so.

        Parameters:
            app: Where jobs are added.
            shared: Options of jobs that neither a call nor the queue says.
        """
        hints = {"payload": self.payload_type, "return": self.result_type}
        self._defaults = self.spec.defaults.merged(shared, SHARED)
        self._task: Task[[P], R] = app.adding(typed_task(self.spec, _run, type(self), hints))
        self._plain = self._optioned(NONE, None)

    def __repr__(self) -> str:
        return f"{type(self).__name__} of queue {self.spec.name!r}"

    async def enqueue(self, payload: P, **options: Unpack[AddOptions]) -> Job[R]:
        """Add a job; return it once it is stored.

        Parameters:
            payload: What it carries.
            options: See `AddOptions`. What is not given is the queue's.

        Raises:
            InvalidPayloadError: The payload is not of its type; the message names the field.
                Nothing was added.
            PayloadTooLargeError: It is over 256 KiB as JSON.
            InvalidOptionError: An option makes no sense.
        """
        return await self._of(options).enqueue(payload)

    def enqueue_sync(self, payload: P, **options: Unpack[AddOptions]) -> Job[R]:
        """The same for plain code. Blocks until the job is stored."""
        return self._of(options).enqueue_sync(payload)

    async def enqueue_many(self, payloads: Iterable[P]) -> list[Job[R]]:
        """Add a job for each payload: up to 2,000 all or none, then in chunks.

        Raises:
            InvalidPayloadError: One is not of its type; nothing was added.
        """
        return await self._plain.enqueue_many({"payload": one} for one in payloads)

    def enqueue_many_sync(self, payloads: Iterable[P]) -> list[Job[R]]:
        """The same for plain code."""
        return self._plain.enqueue_many_sync({"payload": one} for one in payloads)

    def node(
        self,
        payload: P,
        *,
        children: Sequence[Node[Any]] = (),
        on_failure: OnFailure = "wait",
        **options: Unpack[AddOptions],
    ) -> Node[R]:
        """Return a job as a node of a flow; nothing is added. See `app.flows.add`.

        Parameters:
            payload: What it carries.
            children: The nodes that it waits for.
            on_failure: What its parent does once this job has failed for good; see `Task.node`.
            options: As of `enqueue`.

        Raises:
            InvalidPayloadError, InvalidOptionError: As `enqueue`.
        """
        return self._of(options).node(payload, children=children, on_failure=on_failure)

    def _of(self, options: AddOptions) -> Task[[P], R]:
        if not options:  # as most: made once
            return self._plain
        rest: dict[str, Any] = {**options}
        job_id = rest.pop("job_id", None)
        if unknown_ones := rest.keys() - KNOWN:
            raise InvalidOptionError(
                unknown("option", min(unknown_ones), sorted({*KNOWN, "job_id"}))
            )
        return self._optioned(JobSettings(**rest), job_id)

    def _optioned(self, settings: JobSettings, job_id: str | None) -> Task[[P], R]:
        options = settings.merged(self._defaults).options(job_id)
        return self._task.with_options(
            job_id=options.job_id,
            priority=options.priority,
            delay=options.delay_s,
            max_attempts=options.max_attempts,
            backoff=options.backoff,
            backoff_s=options.backoff_s,
            keep_completed=options.keep_completed,
            keep_failed=options.keep_failed,
        )


async def _run(payload: Any) -> Any:
    """Stands for the processor, which this process need not know."""
    raise InvalidOptionError("a producer adds jobs; a processor runs them")
