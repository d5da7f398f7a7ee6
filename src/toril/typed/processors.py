"""The processors of a worker process: checked against the queues, and run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from toril.core.checks import nearest
from toril.core.errors import InvalidOptionError
from toril.core.loggers import logger
from toril.engine.hooks import HookEvent
from toril.engine.profiles import Profile
from toril.engine.worker import Worker
from toril.typed.job_settings import SHARED
from toril.typed.processor import Processor
from toril.typed.registry import QueueRegistry
from toril.typed.spec import QueueSpec

if TYPE_CHECKING:
    from toril.app import App

log = logger("toril.worker")
Answer = Awaitable[None] | None


class Processors:
    """The processors of an application. An app that has them runs their jobs."""

    def __init__(self, queues: QueueRegistry, processors: Iterable[Processor[Any, Any]]) -> None:
        """Check processors against the queues that producers know.

        Parameters:
            queues: The registry that the API has, too.
            processors: Objects, one for each queue that is served.

        Raises:
            InvalidOptionError: A queue has two processors, or a processor is of a queue that is
                not registered or whose producer has other types; the message names both sides.
        """
        self._queues = queues
        self._processors: dict[str, Processor[Any, Any]] = {}
        for processor in processors:
            kind = type(processor)
            queues.check(kind)
            other = self._processors.setdefault(kind.spec.name, processor)
            if other is not processor:
                raise InvalidOptionError(
                    f"queue {kind.spec.name!r} has two processors, {type(other).__qualname__} and"
                    f" {kind.__qualname__}: register one"
                )
            self._compare(kind)

    def _compare(self, kind: type[Processor[Any, Any]]) -> None:
        producer = self._queues.producer_of(kind.spec)
        if producer is None:
            return
        for word in ("payload_type", "result_type"):
            theirs, ours = getattr(producer, word), getattr(kind, word)
            if theirs != ours:
                raise InvalidOptionError(
                    f"queue {kind.spec.name!r}: {producer.__qualname__} has the"
                    f" {word.replace('_type', '')} {_named(theirs)}, and {kind.__qualname__} has"
                    f" {_named(ours)}: give both the same type"
                )

    def __iter__(self) -> Iterator[Processor[Any, Any]]:
        return iter(self._processors.values())

    def register(self, app: App) -> None:
        """Have an app's workers run these processors, and call their hooks. Once an app."""
        for processor in self:
            spec = processor.spec
            options = spec.defaults.merged(self._queues.defaults, SHARED).options()
            app.bind(
                spec.name,
                **processor.binding(),
                names=None if spec.any_name else spec.job_name,
                options=options,
                concurrency=spec.figures.concurrency,
            )
            _add_hooks(app, processor)

    def selected(self, worker_type: str | None = "all") -> list[QueueSpec]:
        """Return the queues that a worker of this type serves.

        Parameters:
            worker_type: `light`, `medium`, `heavy`, or `all`, also for queues without a profile.
                None stands for `all`.

        Raises:
            InvalidOptionError: It is none of these, or no processor is of it.
        """
        words = [*map(str, Profile), "all"]
        if worker_type is not None and worker_type not in words:
            close = nearest(worker_type, words)
            hint = f"did you mean {close!r}? " if close else ""
            raise InvalidOptionError(
                f"WORKER_TYPE={worker_type!r}: {hint}It is one of {', '.join(words)}"
            )
        specs = [one.spec for one in self]
        if worker_type not in (None, "all"):
            specs = [spec for spec in specs if spec.profile == worker_type]
        if not specs:
            raise InvalidOptionError(f"WORKER_TYPE={worker_type!r}: no processor is of this type")
        return specs

    def workers(self, app: App, worker_type: str | None = None) -> list[Worker]:
        """Return a worker for each queue that is served, with the queue's own figures.

        Parameters:
            app: One that the processors are registered with.
            worker_type: As `selected`. None: the app's settings' (`WORKER_TYPE`), else `all`.

        Raises:
            InvalidOptionError: As `selected`.
        """
        return [
            app.worker(
                queues=[spec.name],
                concurrency=spec.figures.concurrency,
                lease=spec.figures.lock_duration / 1000,
                sweep=spec.figures.stalled_interval / 1000,
                max_stalled=spec.figures.max_stalled_count,
                processes=self._processors[spec.name].processes,
            )
            for spec in self.selected(worker_type or app.settings.profile)
        ]

    async def run(
        self,
        app: App,
        worker_type: str | None = None,
        *,
        started: Callable[[list[Worker]], object] | None = None,
    ) -> None:
        """Work until SIGTERM or SIGINT; running jobs may end then, as `Worker.stop` says.

        Logs a line for each queue, with its figures, once all workers are ready.

        Parameters:
            app: One that the processors are registered with.
            worker_type: As `workers`.
            started: Called with the workers once all of them are ready.

        Raises:
            InvalidOptionError: As `selected`.
            WorkerStartError: What the app has to start did not.
        """
        workers, loop = self.workers(app, worker_type), asyncio.get_running_loop()

        def stop() -> None:
            for worker in workers:
                worker.stop()

        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, stop)
        try:
            async with asyncio.TaskGroup() as group:
                ready = asyncio.gather(*(worker.ready() for worker in workers))
                waits: list[asyncio.Future[Any]] = [ready]
                waits += [group.create_task(_run(worker, stop)) for worker in workers]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if ready.done():
                    self._tell(workers)
                    if started is not None:
                        started(workers)
                ready.cancel()
                with suppress(asyncio.CancelledError):
                    await ready
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _tell(self, workers: Iterable[Worker]) -> None:
        for worker in workers:
            processor = self._processors[worker.options.queues[0]]
            figures = processor.spec.figures
            log.info(
                "%s serves %s: concurrency %d, lock %d ms, stalled check %d ms",
                type(processor).__name__,
                processor.spec.name,
                figures.concurrency,
                figures.lock_duration,
                figures.stalled_interval,
            )


async def _run(worker: Worker, stop: Callable[[], None]) -> None:
    """Run a worker; once one has ended, the others stop as well."""
    try:
        await worker.run()
    finally:
        stop()


def _add_hooks(app: App, processor: Processor[Any, Any]) -> None:
    """Have the app call the hooks that a processor's class overrides, for jobs of its queue."""
    queue, kind = processor.spec.name, type(processor)

    def has(name: str) -> bool:
        return getattr(kind, name) is not getattr(Processor, name)

    def active(event: HookEvent) -> Answer:
        return processor.on_active(event) if event.queue == queue else None

    def completed(event: HookEvent) -> Answer:
        return processor.on_completed(event, event.result) if event.queue == queue else None

    def failed(event: HookEvent) -> Answer:
        return processor.on_failed(event, event.reason or "") if event.queue == queue else None

    def progress(event: HookEvent) -> Answer:
        return processor.on_progress(event, event.progress) if event.queue == queue else None

    def stalled(event: HookEvent) -> Answer:
        return processor.on_stalled(event) if event.queue == queue else None

    def error(event: HookEvent) -> Answer:
        return None if event.error is None else processor.on_error(event.error)

    if has("on_active"):
        app.on("active")(active)
    if has("on_completed"):
        app.on("completed")(completed)
    if has("on_failed"):
        app.on("failed")(failed)
        app.on("retried")(failed)
    if has("on_progress"):
        app.on("progress")(progress)
    if has("on_stalled"):
        app.on("stalled")(stalled)
    if has("on_error"):
        app.on("error")(error)


def _named(kind: Any) -> str:
    return getattr(kind, "__qualname__", None) or repr(kind)
