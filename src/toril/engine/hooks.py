"""Functions of the app that are told what its own workers see: `@app.on("failed")`.

`operated` tells what this app's own calls did to jobs and queues, with or without a worker here.

For what other processes do, follow the events (`engine/stream.py`). A hook that raises is logged
and changes nothing, whatever it raises: a `SystemExit` or `CancelledError` that got through would
end the worker in the middle of an exchange.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError
from toril.core.loggers import logger

log = logger("toril.hooks")

HookName = Literal[
    "active", "completed", "failed", "retried", "dead", "progress", "stalled", "lease_lost",
    "blocked", "error", "operated", "drained", "renewed", "closed", "switched",
]  # fmt: skip
HOOKS: tuple[str, ...] = get_args(HookName)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookEvent:
    """What a hook is told. What does not apply is None."""

    name: str
    queue: str | None = None
    job_id: str | None = None
    task: str | None = None
    attempt: int | None = None
    duration_s: float | None = None
    """`completed`, `failed`, `retried`: how long the attempt took. `blocked`: the loop's lag."""
    data: str | None = None
    """`completed`, `failed`, `retried`: the job's payload as it is stored, JSON text."""
    result: str | None = None
    """`completed`: JSON text."""
    progress: str | None = None
    """`progress`: JSON text."""
    reason: str | None = None
    """Why: an attempt failed, a worker ended, or an app changed over to another store."""
    error: BaseException | None = None
    """`operated`: what cut it short, after `count` jobs."""
    verb: str | None = None
    """`operated`: the method that was called, such as `retry_all` or `schedules.pause`."""
    actor: str | None = None
    """`operated`: who did it; see `acting`."""
    arguments: Mapping[str, Any] | None = None
    """`operated`: what the method was given, but for payloads and log lines."""
    count: int | None = None
    """`operated`: how many jobs it changed, if it is a method for many. `renewed`: how many leases
    were renewed."""
    worker_id: str | None = None
    """`drained`, `renewed`, `closed`: which worker."""
    letter_queue: str | None = None
    """`dead`: the dead-letter queue."""
    letter_id: str | None = None
    """`dead`: the id of the letter there."""
    source: str | None = None
    """`switched`: the store that was live, `redis` or `spool`."""
    target: str | None = None
    """`switched`: the store that is live now."""


Hook = Callable[[HookEvent], Awaitable[None] | None]


class Hooks:
    """The hooks of one app."""

    def __init__(self) -> None:
        self._hooks: dict[str, list[Hook]] = {}
        self.wanted: set[str] = set()
        """What somebody listens to, or the log tells: gathering facts for nobody is not free."""
        self._gathered: set[str] = set()
        self._running: set[asyncio.Task[None]] = set()

    def on(self, name: HookName, hook: Hook) -> None:
        """Call `hook` at each event of that name.

        Raises:
            InvalidOptionError: There is no such event.
        """
        if name not in HOOKS:
            raise InvalidOptionError(unknown("hook", name, HOOKS))
        self._hooks.setdefault(name, []).append(hook)
        self.wanted.add(name)

    def off(self, name: HookName, hook: Hook) -> bool:
        """Call `hook` no more at events of that name; return whether it was called so far.

        Raises:
            InvalidOptionError: There is no such event.
        """
        if name not in HOOKS:
            raise InvalidOptionError(unknown("hook", name, HOOKS))
        hooks = self._hooks.get(name, [])
        if hook not in hooks:
            return False
        # A new list: a hook may take itself off while all of them are called.
        self._hooks[name] = [*hooks]
        self._hooks[name].remove(hook)
        if not self._hooks[name] and name not in self._gathered:
            self.wanted.discard(name)
        return True

    @contextmanager
    def listening(self, name: HookName, hook: Hook) -> Iterator[None]:
        """Call `hook` at each event of that name for a while."""
        self.on(name, hook)
        try:
            yield
        finally:
            self.off(name, hook)

    def gather(self, names: Iterable[str]) -> None:
        """Have the facts of these outcomes gathered, though no hook listens: the log tells them."""
        self._gathered.update(names)
        self.wanted.update(names)

    def tell(self, name: HookName, **facts: Any) -> None:
        """Call the hooks of an event. From the worker's loop."""
        self._call(name, facts)

    async def tell_and_wait(self, name: HookName, **facts: Any) -> None:
        """Call the hooks of an event, and wait until those that are asynchronous have ended."""
        if tasks := self._call(name, facts):
            await asyncio.wait(tasks)

    def _call(self, name: HookName, facts: dict[str, Any]) -> list[asyncio.Task[None]]:
        """Call the hooks of an event; return what goes on."""
        tasks = []
        for hook in self._hooks.get(name, ()):
            event = HookEvent(name=name, **facts)
            try:
                answer = hook(event)
                goes_on = inspect.isawaitable(answer)
            except BaseException:  # a customer's function must not stop the worker
                log.exception("a hook for %r raised", name)
                continue
            if goes_on:
                task = asyncio.ensure_future(_finish(name, cast("Awaitable[None]", answer)))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                tasks.append(task)
        return tasks

    async def finish(self, timeout_s: float) -> None:
        """Wait for hooks that are still running; those that take longer are cancelled."""
        until_s = time.monotonic() + timeout_s
        while self._running and (left_s := until_s - time.monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left_s)
        for task in self._running:
            log.error("a hook does not end and is left behind")
            task.cancel()


async def _finish(name: str, answer: Awaitable[None]) -> None:
    try:
        await answer
    except BaseException:  # as above
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # by `finish`, or the program ends
            raise
        log.exception("a hook for %r raised", name)
