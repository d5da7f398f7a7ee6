"""A queue by name: add jobs of any name, look at it, and operate it. BullMQ's half of the face."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from toril.core.checks import check_text, is_whole, nearest, require
from toril.core.codec import Json
from toril.core.errors import InvalidOptionError, UnknownTaskWarning
from toril.core.foreign_words import answers
from toril.engine.contract.jobs import JobFilter
from toril.engine.deduplication import check_deduplication_id
from toril.engine.events import EventRecord
from toril.engine.foreign_words import QUEUE_WORDS
from toril.engine.handle import Job
from toril.engine.handler import Handlers
from toril.engine.info import JobInfo, QueueInfo
from toril.engine.job import NewJob
from toril.engine.new_jobs import Blueprint, BoundBlueprint, payload_text
from toril.engine.operator import Operator, parse_state
from toril.engine.options import JobOptions, check_priority
from toril.engine.producer import Producer
from toril.engine.states import State
from toril.engine.stream import follow

NamedJob = tuple[str, Json] | tuple[str, Json, JobOptions | None]
"""A job to add: its name, its data and, if it has some of its own, its options."""


class Page(NamedTuple):
    """Some jobs of a listing."""

    jobs: list[JobInfo]
    next: str | None
    """Give it as `after` for the next page. None: this was the last."""


@answers(QUEUE_WORDS)
class Queue(Operator):
    """A queue by name."""

    def __init__(self, producer: Producer, name: str, handlers: Handlers) -> None:
        super().__init__(producer, name)
        self._handlers = handlers

    async def add(
        self, name: str, data: Json = None, options: JobOptions | None = None
    ) -> Job[Any]:
        """Add a job of any name. A task is better added by its own `enqueue`, which checks it.

        Where the app binds a task to the queue and this name, the payload is checked by the
        binding, and options that are not given are the binding's; see `App.bind`.

        Warns (`UnknownTaskWarning`) if the app has tasks on this queue, and none of this name.

        Raises:
            InvalidOptionError: A job cannot have this name.
            InvalidPayloadError: `data` is not JSON, or not what the binding takes.
            PayloadTooLargeError: `data` is over 256 KiB as JSON.
        """
        self._warn_of_unknown([name])
        return await self._add(name, data, options)

    def add_sync(self, name: str, data: Json = None, options: JobOptions | None = None) -> Job[Any]:
        """The same for plain code."""
        self._warn_of_unknown([name])  # here, where the caller's line is known
        return self._producer.run_sync(self._add(name, data, options))

    async def add_many(
        self, jobs: Iterable[NamedJob], options: JobOptions | None = None
    ) -> list[Job[Any]]:
        """Add jobs of any names, in one transaction up to 2,000 of them. Warns as `add`.

        Parameters:
            jobs: `(name, data)` or `(name, data, options)` each.
            options: Of those that have none of their own. A job's own options take the place of
                these as a whole.

        Raises:
            InvalidOptionError: A job cannot have this name, or is no such tuple. None was added.
            InvalidPayloadError, PayloadTooLargeError: As `add`.
        """
        named = list(jobs)
        self._warn_of_unknown(dict.fromkeys(each[0] for each in named if each))
        return await self._add_many(named, options)

    async def add_in(
        self, transaction: object, name: str, data: Json = None, options: JobOptions | None = None
    ) -> Job[Any]:
        """Add a job of any name with a transaction of your own database: see `Task.enqueue_in`.

        Parameters:
            transaction: An `AsyncSession` or `AsyncConnection` of SQLAlchemy.
            name: The job's.
            data: Its payload.
            options: Of this job.

        Raises:
            InvalidOptionError, InvalidPayloadError, OutboxError: As `add` and `Task.enqueue_in`.
        """
        self._warn_of_unknown([name])
        job = self._prepared(name, data, options)
        return self.job(await self._producer.rows().write(transaction, job))

    def add_in_sync(
        self, transaction: object, name: str, data: Json = None, options: JobOptions | None = None
    ) -> Job[Any]:
        """The same for plain code, with a `Session` or `Connection`."""
        self._warn_of_unknown([name])
        job = self._prepared(name, data, options)
        return self.job(self._producer.rows().write_sync(transaction, job))

    def _prepared(self, name: str, data: Json, options: JobOptions | None) -> NewJob:
        job = self._blueprint(name, options).job(payload_text(name, data))
        return self._producer.prepare(job) if self._producer.middleware else job

    async def _add(self, name: str, data: Json, options: JobOptions | None) -> Job[Any]:
        return (await self._add_many([(name, data)], options))[0]

    async def _add_many(
        self, jobs: Iterable[NamedJob], options: JobOptions | None
    ) -> list[Job[Any]]:
        blueprints: dict[str, Blueprint | BoundBlueprint] = {}
        middleware = self._producer.middleware
        prepared = []
        for each in jobs:
            own: JobOptions | None = None
            if len(each) == 2:  # without a call: most have no options of their own
                name, data = each
            else:
                name, data, own = _three_of(each)
            blueprint = blueprints.get(name) if own is None else self._blueprint(name, own)
            if blueprint is None:
                blueprint = blueprints[name] = self._blueprint(name, options)
            job = blueprint.job(payload_text(name, data))
            prepared.append(self._producer.prepare(job) if middleware else job)
        return [
            Job(self._producer, self.name, answer.job_id, duplicate=answer.duplicate)
            for answer in await self._producer.add_many(prepared)
        ]

    def add_many_sync(
        self, jobs: Iterable[NamedJob], options: JobOptions | None = None
    ) -> list[Job[Any]]:
        """`add_many` for plain code."""
        named = list(jobs)
        self._warn_of_unknown(dict.fromkeys(each[0] for each in named if each))
        return self._producer.run_sync(self._add_many(named, options))

    def _blueprint(self, name: str, options: JobOptions | None) -> Blueprint | BoundBlueprint:
        bound = self._handlers.door(self.name, name)
        if bound is not None:
            return BoundBlueprint(bound, name, options)
        return Blueprint(self.name, name, options, seal=self._producer.seal_of(self.name, name))

    def _warn_of_unknown(self, names: Iterable[str]) -> None:
        """Warn, at the caller's line, of names that no task has, if this queue has tasks here."""
        for name in names:
            if self._handlers.find(self.name, name) is None:
                self._handlers.door(self.name, name)
                known = self._handlers.names(self.name)
                if not known:  # another program runs this queue
                    return
                words = no_task_words(self.name, name, known)
                warnings.warn(words, UnknownTaskWarning, stacklevel=3)

    def job(self, job_id: str) -> Job[Any]:
        """Return a handle of a job, whether it exists or not.

        Raises:
            InvalidOptionError: No job can have this id: it is no text, or cannot be written as
                UTF-8.
        """
        check_text(job_id, "job_id")
        return Job(self._producer, self.name, job_id)

    async def deduplicating_job(self, deduplication_id: str) -> Job[Any] | None:
        """Return the job that holds a de-duplication id; None if the next one may have it.

        The job may be gone already, if it holds the id for a time.

        Raises:
            InvalidOptionError: It can be no such id.
        """
        check_deduplication_id(deduplication_id)
        job_id = await self._open().deduplication.holder(self.name, deduplication_id)
        return None if job_id is None else self.job(job_id)

    async def dead_letter(self) -> str | None:
        """Return the queue in which failures of this one leave letters; None if there is none."""
        rule = await self._open().dead_letters.rule(self.name)
        return None if rule is None else rule.queue

    async def info(self) -> QueueInfo | None:
        """Return the queue's figures; None if nothing is known of it."""
        record = await self._open().counts.queue(self.name)
        return None if record is None else QueueInfo.from_record(record)

    def info_sync(self) -> QueueInfo | None:
        """The same for plain code."""
        return self._producer.run_sync(self.info())

    async def held_s(self, worker_limit: int | None = None) -> float:
        """Return for how many seconds a rate limit or a hold lets nothing start. 0: they do not.

        Parameters:
            worker_limit: `limit` of the `rate` that the queue's workers have. It counts if the
                queue has no limit of its own, which `info` knows.
        """
        good = worker_limit is None or (is_whole(worker_limit) and worker_limit >= 1)
        require(good, "worker_limit", worker_limit, "an integer from 1, or None")
        record = await self._open().counts.queue(self.name)
        return 0.0 if record is None else record.held_ms(worker_limit) / 1000

    async def waiting_by_priority(self, priorities: Iterable[int]) -> dict[int, int]:
        """Return how many jobs wait with each of some priorities. 0: those without one.

        Parameters:
            priorities: At most 1,000: numbers, or words of `Priority`.
        """
        wanted = [int(check_priority(priority)) for priority in dict.fromkeys(priorities)]
        require(len(wanted) <= 1000, "priorities", len(wanted), "at most 1,000 of them")
        found = await self._open().counts.by_priority(self.name, wanted)
        return dict(zip(wanted, found, strict=True))

    async def jobs(
        self,
        state: State | str | Iterable[State | str],
        *,
        limit: int = 50,
        after: str | None = None,
        newest_first: bool = False,
    ) -> Page:
        """Return a page of jobs of one state, or of several.

        Parameters:
            state: Which. Of several, the jobs of each come after those of the one before.
            limit: How many, 1 to 1,000.
            after: `Page.next` of the page before.
            newest_first: Each state from its end. Otherwise jobs that wait come in the order in
                which they will run, and those that have finished oldest first.
        """
        words = [state] if isinstance(state, str) else list(state)
        require(words != [], "state", words, "at least one")
        require(1 <= limit <= 1000, "limit", limit, "an integer from 1 to 1,000")
        wanted = JobFilter(
            queue=self.name,
            states=tuple(dict.fromkeys(map(parse_state, words))),
            limit=limit,
            after=after,
            newest_first=newest_first,
        )
        page = await self._open().jobs.page(wanted)
        return Page([JobInfo.from_record(record) for record in page.jobs], page.next)

    def events(
        self, *, after: int | None = None, until_idle: bool = False
    ) -> AsyncIterator[EventRecord]:
        """Follow the queue's events, of all processes.

        Parameters:
            after: Begin after this position; 0 is the oldest kept. None: from now on.
            until_idle: End where the log ends.
        """
        return follow(self._open().events, self.name, after=after, until_idle=until_idle)


def no_task_words(queue: str, name: str, known: Sequence[str]) -> str:
    """Return what to say of a job whose name none of the app's tasks on its queue has."""
    close = nearest(name, known) if isinstance(name, str) else None
    hint = f"perhaps {close!r} is meant" if close else f"it has {', '.join(known)}"
    return (
        f"the app has no task {name!r} on queue {queue!r}: {hint}; only a worker of another program"
        " can run this job"
    )


def _three_of(job: tuple[Any, ...]) -> tuple[str, Json, JobOptions | None]:
    """Return name, data and own options of a job to add.

    Raises:
        InvalidOptionError: It is no tuple of these.
    """
    if len(job) != 3:
        raise InvalidOptionError(
            f"jobs: a tuple of {len(job)}: expected (name, data) or (name, data, options)"
        )
    name, data, own = job
    if own is not None and not isinstance(own, JobOptions):
        raise InvalidOptionError(
            f"jobs: options of {name!r} are a {type(own).__name__}: expected JobOptions, or None"
        )
    return name, data, own
