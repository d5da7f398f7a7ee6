"""An application's queues as objects: they add, count, and tell handlers what happens.

```python
queue = WatchedQueue(app, "watermark", "WatermarkQueue")

@queue.on("completed")
async def tell(job: Job[Any], result: Any) -> None: ...

async with watching(app, [queue]):
    await queue.add({"mediaId": "m-1"}, {"delay": 5000})
```

Handlers are told what all processes do, by the queue's events; and what this process does itself,
so that nothing is missed while a fallback store serves. Whatever happens is told once; what happens
again, such as the end of a job that was retried by hand, is told again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from toril.app import App
from toril.core.checks import unknown
from toril.core.errors import (
    BackendError,
    InvalidOptionError,
    JobNotFoundError,
    StoreUnreachableError,
)
from toril.engine.handle import Job
from toril.engine.hooks import HookEvent, HookName
from toril.engine.info import JobInfo
from toril.engine.options import JobOptions
from toril.web.own_options import read_options

Told = Literal["completed", "failed", "progress", "stalled", "error"]
"""`completed` (job, result), `failed` (job, error), `progress` (job, progress), `stalled` (job),
`error` (error)."""
Handler = Callable[..., Awaitable[None] | None]
TYPES = ("bull", "in-memory")
MOST_URGENT = 2_097_151
REMEMBERED = 10_000
"""Kinds of events of jobs that are remembered, so that none is told twice."""
_AGAIN_S = 1.0
_LEVELS: dict[str, int] = {
    "completed": logging.INFO,
    "failed": logging.ERROR,
    "progress": logging.DEBUG,
    "stalled": logging.WARNING,
    "error": logging.ERROR,
}
_HOOKS: tuple[HookName, ...] = ("completed", "failed", "progress", "stalled")
_log = logging.getLogger("toril.queues")


@dataclass
class _Known:
    """How often one kind of event of one job was heard of from each side, and told.

    The queue's events have all of them, later; this process knows its own at once. So the n-th that
    either side brings is new only if fewer than n were told.
    """

    events: int = 0
    hooks: int = 0
    told: int = 0

    def is_new(self, *, by_hook: bool) -> bool:
        if by_hook:
            self.hooks += 1
        else:
            self.events += 1
        latest = max(self.events, self.hooks)
        is_new = latest > self.told
        self.told = latest
        return is_new


class WatchedQueue:
    """One queue.

    Parameters:
        app: Whose.
        name: On the wire.
        class_name: What logs call it, such as `WatermarkQueue`.
        job_name: Of jobs that are added here.
    """

    def __init__(self, app: App, name: str, class_name: str, *, job_name: str = "__default__"):
        self.app = app
        self.name = name
        self.class_name = class_name
        self._job_name = job_name
        self._handlers: dict[str, list[Handler]] = {}
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    async def add(
        self, data: Mapping[str, Any], options: Mapping[str, Any] | JobOptions | None = None
    ) -> Job[Any]:
        """Add a job.

        Parameters:
            data: Its payload, with the names on the wire.
            options: `JobOptions`; or BullMQ's: `delay` (ms), `priority`, `attempts`, `jobId`, …

        Raises:
            InvalidPayloadError, InvalidOptionError: They make no sense.
        """
        if options is None or isinstance(options, JobOptions):
            read = options
        else:
            read = read_options(options, most_urgent=MOST_URGENT, priority=0, wire=int)
        return await self.app.queue(self.name).add(self._job_name, dict(data), read)

    async def get_stats(self) -> dict[str, Any]:
        """Count jobs: `completed` and `failed` since the queue began, kept or not.

        While a fallback store serves, they are those of the fallback store. A queue that is not
        there has no jobs.

        Raises:
            BackendError: The store cannot be read.
        """
        state = await self.app.store_state()
        try:
            info = await self.app.queue(self.name).info()
        except StoreUnreachableError:
            if state.live != "spool":
                raise
            info = None
        return {
            "waiting": 0 if info is None else info.waiting + info.prioritized,
            "active": 0 if info is None else info.active,
            "completed": 0 if info is None else info.completed_total,
            "failed": 0 if info is None else info.failed_total,
            "type": state.type,
        }

    def get_job(self, job_id: str) -> Job[Any]:
        """Return the handle of a job."""
        return self.app.queue(self.name).job(job_id)

    def on(self, event: Told) -> Callable[[Handler], Handler]:
        """Call a function when something happens: `@queue.on("failed")`.

        Raises:
            InvalidOptionError: There is no such event.
        """
        if event not in get_args(Told):
            raise InvalidOptionError(unknown("event", event, get_args(Told)))

        def decorate(handler: Handler) -> Handler:
            self._handlers.setdefault(event, []).append(handler)
            return handler

        return decorate

    async def tell(
        self, event: str, job_id: str | None, value: Any, ms: float | None, *, by_hook: bool = False
    ) -> None:
        """Call handlers and write the log's line, if this is news."""
        if job_id is not None and not self._is_new(event, job_id, by_hook=by_hook):
            return
        level = _LEVELS[event]
        if _log.isEnabledFor(level):
            _log.log(level, await self._line(event, job_id, value, ms))
        job = [] if job_id is None else [self.get_job(job_id)]
        given = [*job, *([] if event == "stalled" else [value])]
        for handler in self._handlers.get(event, ()):
            try:
                called = handler(*given)
                if called is not None:
                    await called
            except Exception:
                logging.getLogger("toril.web").exception("a handler of %s failed", event)

    def _is_new(self, event: str, job_id: str, *, by_hook: bool) -> bool:
        known = self._known.setdefault((event, job_id), _Known())
        self._known.move_to_end((event, job_id))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known.is_new(by_hook=by_hook)

    async def _line(self, event: str, job_id: str | None, value: Any, ms: float | None) -> str:
        kind = "Bull" if (await self.app.store_state()).type == TYPES[0] else "InMemory"
        text = f"[{self.class_name}:{kind}] {event}"
        if job_id is not None:
            text += f" job {job_id}"
        if event == "completed":
            took = ms if ms is not None or job_id is None else await self._took_ms(job_id)
            return text if took is None else f"{text} in {round(took)} ms"
        return text if event == "stalled" else f"{text}: {value}"

    async def _took_ms(self, job_id: str) -> float | None:
        with suppress(JobNotFoundError, BackendError):
            return took_ms(await self.get_job(job_id).info())
        return None


def took_ms(info: JobInfo) -> float | None:
    """Return how long the last attempt of a job took."""
    if info.processed_at is None or info.finished_at is None:
        return None
    return (info.finished_at - info.processed_at).total_seconds() * 1000


def log_to_stdout(level: int = logging.INFO) -> None:
    """Write the queues' lines, and changes of the store, to standard output as they are."""
    for log in (_log, logging.getLogger("toril.fallback")):
        if not log.handlers:
            handler = logging.StreamHandler(sys.stdout)
            handler.setFormatter(logging.Formatter("%(message)s"))
            log.addHandler(handler)
        log.setLevel(level)
        log.propagate = False


@asynccontextmanager
async def watching(app: App, queues: Sequence[WatchedQueue]) -> AsyncIterator[None]:
    """Tell handlers of these queues what happens, for as long as the block lasts."""
    by_name = {queue.name: queue for queue in queues}
    hook = partial(_hooked, by_name)
    for name in _HOOKS:
        app.on(name)(hook)
    following = [asyncio.create_task(_follow(queue)) for queue in queues]
    try:
        yield
    finally:
        for name in _HOOKS:
            app.off(name, hook)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def _hooked(queues: Mapping[str, WatchedQueue], event: HookEvent) -> None:
    queue = queues.get(event.queue or "")
    if queue is None:
        return
    value: Any = event.reason
    if event.name == "completed":
        value = _decoded(event.result)
    elif event.name == "progress":
        value = _decoded(event.progress)
    ms = None if event.duration_s is None else event.duration_s * 1000
    await queue.tell(event.name, event.job_id, value, ms, by_hook=True)


async def _follow(queue: WatchedQueue) -> None:
    """Tell what other processes do. A store that is away is asked again."""
    after: int | None = None
    away = False
    while True:
        try:
            async for event in queue.app.queue(queue.name).events(after=after):
                after, away = event.position, False
                fields = event.fields
                match event.name:
                    case "completed":
                        value = _decoded(fields.get("returnvalue"))
                    case "failed":
                        value = fields.get("failedReason")
                    case "progress":
                        value = _decoded(fields.get("data"))
                    case "stalled":
                        value = None
                    case _:
                        continue
                await queue.tell(event.name, event.job_id, value, None)
        except BackendError as error:
            if not away:
                away = True
                await queue.tell("error", None, str(error), None)
        await asyncio.sleep(_AGAIN_S)


def _decoded(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text
