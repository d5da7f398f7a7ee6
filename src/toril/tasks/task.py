"""A task: a registered function, and the methods that add jobs for it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

import msgspec

from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.core.foreign_words import answers
from toril.engine.context import Context
from toril.engine.deduplication import Deduplication
from toril.engine.drafts import EnqueueMiddleware, through
from toril.engine.flow import OnFailure
from toril.engine.handle import Job
from toril.engine.handler import Bound
from toril.engine.job import NewJob
from toril.engine.new_jobs import Blueprint
from toril.engine.node import Node
from toril.engine.options import (
    Backoff,
    JobOptions,
    KeepPolicy,
    RetryPolicy,
    RunIn,
)
from toril.engine.producer import Producer
from toril.engine.runners.references import reference
from toril.engine.task_results import encoded_result
from toril.tasks.foreign_words import TASK_WORDS, knows_job_options
from toril.tasks.inject import Provisions
from toril.tasks.options import TaskOptions
from toril.tasks.parameters import read_parameters
from toril.tasks.results import ResultType
from toril.tasks.sealing import Seals, check_paths
from toril.tasks.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")


@answers(TASK_WORDS)
class Task(Generic[P, R]):
    """A function that runs as jobs. Made by `@app.task`."""

    binding: Bound | None = None
    """What adapts jobs of other payloads to a task. None: its jobs have its own."""

    def __init__(self, function: Callable[..., Any], options: TaskOptions) -> None:
        """Make a task of a function.

        Raises:
            InvalidOptionError: Its parameters cannot be a payload, or it cannot run there.
        """
        _check_place(function, options)
        self.function = function
        """The function itself: call it to run it right here."""
        self.called = function
        """What a worker calls: the function, or what its app has put around it."""
        self.options = options
        self.parameters = read_parameters(options.name, function)
        self.signature = Signature(options.name, self.parameters, options.rename)
        self._result = ResultType(
            options.name, self.parameters.returns, options.max_result_bytes, options.run_in
        )
        # Two of `Handler`'s methods: not by a call of ours, since each attempt comes by.
        self.arguments = self.signature.read
        """Returns keyword arguments from a stored payload."""
        self.seals: Seals | None = None
        """What seals its fields. None: none is sealed."""
        if options.sealed:
            paths = check_paths(options.name, options.sealed, self.signature.fields_to_name)
            self._use_seals(Seals(options.name, self.signature.on_wire(paths), lambda: ()))
        self.encode = self._result.encode
        """Returns a result as JSON text."""
        self.__doc__ = function.__doc__
        self.__name__ = getattr(function, "__name__", options.name)
        self.__qualname__ = getattr(function, "__qualname__", options.name)
        self.__module__ = function.__module__
        self._producer: Producer | None = None
        self._job_options = JobOptions()

    def __repr__(self) -> str:
        return f"Task({self.options.name!r}, queue={self.options.queue!r})"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function right here, as if it were no task. `enqueue` makes a job of it."""
        return self.function(*args, **kwargs)

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Add a job; the parameters are the function's own.

        Raises:
            InvalidPayloadError: They do not fit; nothing was added.
        """
        job = self._blueprint.job(self.signature.bind(args, kwargs))
        producer = self._bound()
        if producer.middleware:
            job = self._through(producer.middleware, job)
        (answer,) = await producer.backend().jobs.add([job])
        return Job(producer, self.queue, answer.job_id, answer.duplicate, self.decode)

    def enqueue_sync(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """The same for plain code. Blocks until the job is stored."""
        return self._bound().run_sync(self.enqueue(*args, **kwargs))

    async def enqueue_many(self, payloads: Iterable[Mapping[str, Any]]) -> list[Job[R]]:
        """Add a job for each mapping of parameters: up to 2,000 all or none, then in chunks.

        Raises:
            InvalidPayloadError: One does not fit; nothing was added.
        """
        check, new = self.signature.check, self._blueprint.job
        jobs = [new(check(payload)) for payload in payloads]
        producer, queue, decode_result = self._bound(), self.queue, self.decode
        if producer.middleware:
            jobs = [self._through(producer.middleware, job) for job in jobs]
        answers = await producer.add_many(jobs)
        return [
            Job(producer, queue, answer.job_id, answer.duplicate, decode_result)
            for answer in answers
        ]

    async def enqueue_in(self, transaction: object, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Add a job with a transaction of your own database: if it commits, and only then.

        The job is written as a row of that database, and a relay adds it to the store after the
        commit: see the page "Outbox". Until then, the store knows no such job.

        Parameters:
            transaction: An `AsyncSession` or `AsyncConnection` of SQLAlchemy.
            *args: The function's own parameters.
            **kwargs: Likewise.

        Raises:
            InvalidPayloadError: The parameters do not fit; nothing was written.
            InvalidOptionError: `transaction` is none of these.
            OutboxError: The database has no outbox, or refuses the row.
        """
        job, producer = self._prepared(args, kwargs), self._bound()
        job_id = await producer.rows().write(transaction, job)
        return Job(producer, self.queue, job_id, decode_result=self.decode)

    def enqueue_in_sync(self, transaction: object, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """The same for plain code, with a `Session` or `Connection`."""
        job, producer = self._prepared(args, kwargs), self._bound()
        job_id = producer.rows().write_sync(transaction, job)
        return Job(producer, self.queue, job_id, decode_result=self.decode)

    def _prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NewJob:
        """Return a job that was checked, after enqueue middleware."""
        job = self._blueprint.job(self.signature.bind(args, kwargs))
        middleware = self._bound().middleware
        return self._through(middleware, job) if middleware else job

    def new_job(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Return a job as `enqueue` would add it, for `Context.enqueue`; nothing is added.

        Enqueue middleware sees it in the worker, not here.

        Raises:
            InvalidPayloadError: As `enqueue`.
        """
        return self._blueprint.job(self.signature.bind(args, kwargs))

    def arguments_of(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """Return the arguments of a call by name: what the adapter of a binding returns.

        Type checkers check them as they check a call. See `App.bind`.

        Raises:
            InvalidPayloadError: The function has no such parameters.
        """
        return self.signature.by_name(args, kwargs)

    @overload
    def node(self, *args: P.args, **kwargs: P.kwargs) -> Node[R]: ...

    @overload
    def node(
        self,
        *args: Any,
        children: Sequence[Node[Any]],
        on_failure: OnFailure = "wait",
        **kwargs: Any,
    ) -> Node[R]: ...

    @overload
    def node(self, *args: Any, on_failure: OnFailure, **kwargs: Any) -> Node[R]: ...

    def node(self, *args: Any, **kwargs: Any) -> Node[R]:
        """Return a job of this task as a node of a flow; nothing is added. See `app.flows.add`.

        The parameters are the function's own, and two more. Where the function has one of that name
        itself, it is the function's: use `Node.with_children` and `Node.when_failed` then, which
        type checkers see through as well.

        Parameters:
            children: The nodes that this one waits for.
            on_failure: What its parent does once this job has failed for good: `wait` until
                somebody retries or removes it, `fail_parent`, `continue` at once without the other
                children, `ignore` (counts as done, and is noted) or `remove` (counts as done).

        Raises:
            InvalidPayloadError: The parameters do not fit.
            InvalidOptionError: The task has a de-duplication id, or `children` are no nodes.
        """
        how: dict[str, Any] = {}
        for name in ("children", "on_failure"):
            if name in kwargs and name not in self.signature.fields:
                how[name] = kwargs.pop(name)
        job = self._blueprint.job(self.signature.bind(args, kwargs))
        return Node.of(job, decode_result=self.decode, store=self.store, **how)

    def enqueue_many_sync(self, payloads: Iterable[Mapping[str, Any]]) -> list[Job[R]]:
        """The same for plain code."""
        return self._bound().run_sync(self.enqueue_many(payloads))

    @knows_job_options
    def with_options(
        self,
        *,
        job_id: str | None = None,
        deduplication: Deduplication | None = None,
        delay: float | timedelta | None = None,
        run_at: datetime | None = None,
        priority: int | None = None,
        lifo: bool | None = None,
        max_attempts: int | None = None,
        backoff: Backoff | None = None,
        backoff_s: float | None = None,
        jitter_ratio: float | None = None,
        keep_completed: KeepPolicy | None = None,
        keep_failed: KeepPolicy | None = None,
        keep_logs: int | None = None,
        keep_traces: int | None = None,
        max_payload_bytes: int | None = None,
        trace: bool | None = None,
    ) -> Task[P, R]:
        """Return this task with options for the jobs that are made of it; see `JobOptions`.

        What is not given stays as it is: options may be added one after another.

        Parameters:
            job_id: An id of the caller's own; a second job with it is not added.
            deduplication: Add it only if no other job holds its de-duplication id.
            delay: Seconds (or a timedelta) until it may run.
            run_at: A moment (aware) in place of `delay`.
            priority: Lower runs first; 0: none, which runs before all others.
            lifo: Go to the front of the line.
            max_attempts: Attempts in all.
            backoff: `fixed` or `exponential`.
            backoff_s: Seconds before the second attempt.
            jitter_ratio: Share of each wait that is left to chance, 0 to 1.
            keep_completed: What happens to it once completed.
            keep_failed: What happens to it once failed.
            keep_logs: Newest log lines kept.
            keep_traces: Newest stack traces kept of failed attempts, 0 to 50.
            max_payload_bytes: Largest payload as JSON, in place of the task's own.
            trace: Whether it goes on with the trace in which it is added.

        Raises:
            InvalidOptionError: One makes no sense.
        """
        given = {
            "job_id": job_id,
            "deduplication": deduplication,
            "delay_s": None if delay is None else seconds(delay, "delay"),
            "run_at": run_at,
            "priority": priority,
            "lifo": lifo,
            "max_attempts": max_attempts,
            "backoff": backoff,
            "backoff_s": backoff_s,
            "jitter_ratio": jitter_ratio,
            "keep_completed": keep_completed,
            "keep_failed": keep_failed,
            "keep_logs": keep_logs,
            "keep_traces": keep_traces,
            "max_payload_bytes": max_payload_bytes,
            "trace": trace,
        }
        changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not None
        }
        twin: Task[P, R] = Task.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.__dict__.pop("_blueprint", None)
        twin._job_options = replace(self._job_options, **changes)
        return twin

    def bind(self, producer: Producer) -> Task[P, R]:
        """Return this task as one app's: a bundle's task may be included in several."""
        twin: Task[P, R] = Task.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._producer = producer
        if self.seals is not None:
            twin._use_seals(self.seals.with_keys(lambda: producer.encryption_keys))
        return twin

    def _use_seals(self, seals: Seals) -> None:
        read = self.signature.read
        self.seals = seals
        self.arguments = lambda text: read(seals.open(text))
        self.__dict__.pop("_blueprint", None)

    def renamed(self, *, queue: str) -> Task[P, R]:
        """Return this task on another queue."""
        twin: Task[P, R] = Task.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.__dict__.pop("_blueprint", None)
        twin.options = replace(self.options, queue=queue)
        return twin

    # What follows is `engine.handler.Handler`: how a worker sees it. Cached is
    # what it looks at for each job: a property is a call.

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return self.options.name

    @property
    def queue(self) -> str:
        """Its queue."""
        return self.options.queue

    @cached_property
    def run_in(self) -> RunIn:
        """Where it runs."""
        return self.options.run_in

    @cached_property
    def timeout_s(self) -> float | None:
        """Longest attempt, in seconds."""
        return self.options.timeout_s

    @cached_property
    def retry(self) -> RetryPolicy:
        """When a failed attempt is tried again."""
        return self.options.retry

    @cached_property
    def keep_completed(self) -> KeepPolicy:
        """What is kept of completed jobs."""
        return self.options.keep_completed

    @cached_property
    def keep_failed(self) -> KeepPolicy:
        """What is kept of failed jobs."""
        return self.options.keep_failed

    @cached_property
    def dead_letter(self) -> str | None:
        """The queue in which failures leave letters. None: the rule of their own queue counts."""
        return self.options.dead_letter

    @cached_property
    def context_name(self) -> str | None:
        """The parameter that takes the `Context`."""
        return self.parameters.context

    @cached_property
    def provided_names(self) -> Mapping[str, type]:
        """Parameters that the app provides."""
        return self.parameters.provided

    def job_of(self, data: str) -> NewJob:
        """Return a job of a payload from elsewhere, checked as `enqueue` checks a call."""
        self.signature.check_text(data if self.seals is None else self.seals.open(data))
        return self._blueprint.job(data)

    def job_of_values(self, payload: Mapping[str, Any]) -> NewJob:
        """Return a job of named values, checked as `enqueue` checks a call; nothing is added."""
        return self._blueprint.job(self.signature.check(payload))

    @property
    def max_payload_bytes(self) -> int:
        """Largest payload as JSON."""
        return self.options.max_payload_bytes

    @property
    def store(self) -> object:
        """Where the app's jobs live: the URL or client that it was given. None: of no app yet."""
        return None if self._producer is None else self._producer.place

    def decode(self, text: str) -> Any:
        """Return a result from its JSON text, in the type that the function's annotation says."""
        return self._result.decode(text if self.seals is None else self.seals.open_result(text))

    def read_result(self, text: str) -> R:
        """Return a result from its JSON text, as the function returned it.

        Raises:
            InvalidPayloadError: It is of another type.
        """
        return cast("R", self.decode(text))

    def target(self) -> str:
        """Return where a child process finds this task."""
        return reference(self)

    def run_here(
        self,
        payload: bytes,
        context: Context,
        provided: Mapping[type, object],
        run: Callable[[Coroutine[Any, Any, Any]], Any] = asyncio.run,
    ) -> bytes:
        """Run in this (child) process: JSON in, JSON out. `run` runs what is to be awaited."""
        self.signature.reports = False  # the worker has read this payload, and told what is new
        arguments = self.signature.read(payload.decode())
        if self.context_name is not None:
            arguments[self.context_name] = context
        if self.provided_names:
            provisions = Provisions(dict(provided))
            for name, kind in self.provided_names.items():
                arguments[name] = provisions.get(kind)
        result = self.function(**arguments)
        if inspect.isawaitable(result):
            result = run(_awaited(result))
        return encoded_result(self, result).encode()

    @cached_property
    def _blueprint(self) -> Blueprint:
        """What the jobs of this task have in common: all but the payload."""
        return Blueprint(
            self.queue,
            self.name,
            self._job_options,
            self.options.retry,
            max_payload_bytes=self.options.max_payload_bytes,
            seal=None if self.seals is None else self.seals.seal,
        )

    def _through(self, middleware: Sequence[EnqueueMiddleware], job: NewJob) -> NewJob:
        limit = self.max_payload_bytes
        job = through(middleware, job, read=self.arguments, max_payload_bytes=limit)
        if self.seals is not None:  # middleware may have set a sealed field
            job = msgspec.structs.replace(job, data=self.seals.seal(job.data))
        return job

    def _bound(self) -> Producer:
        if self._producer is None:
            raise InvalidOptionError(
                f"task {self.name!r} belongs to no app yet: app.include(...) its bundle, and"
                " enqueue by app.bound(task)"
            )
        return self._producer


async def _awaited(result: Any) -> Any:
    return await result


def _check_place(function: Callable[..., Any], options: TaskOptions) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidOptionError(
            f"task {options.name!r}: expected a function that returns its result; this one yields"
        )
    if options.run_in == "process" and "<" in getattr(function, "__qualname__", ""):
        raise InvalidOptionError(
            f"task {options.name!r}, run_in='process': {function.__qualname__} is defined inside a"
            " function or is a lambda, so a child process cannot find it: define it at module level"
        )
    is_async = inspect.iscoroutinefunction(function)
    if options.run_in == "loop" and not is_async:
        raise InvalidOptionError(
            f"task {options.name!r}, run_in='loop': expected an async function; a plain one would"
            " block all others: use 'thread' or 'process'"
        )
    if options.run_in == "thread" and is_async:
        raise InvalidOptionError(
            f"task {options.name!r}, run_in='thread': expected a plain function; an async one runs"
            " on the loop, or in a process"
        )
