"""Who operates and why, and who is told: the log, the audit log, and the hook `operated`.

Operating is what people and their programs do to jobs and queues that exist: pause, retry, clean.
Adding a job is not, nor is what a worker does to the jobs that it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from toril.core.checks import check_text, require
from toril.core.errors import TorilError
from toril.core.loggers import logger
from toril.engine.audit import AuditRecorder
from toril.engine.hooks import Hooks
from toril.engine.texts import beginning

log = logger("toril.operator")

PROGRAM = "program"
"""The actor where nobody has named one."""
MAX_ACTOR_CHARS = 200

Look = Callable[[], Awaitable[Mapping[str, Any] | None]]
"""Reads what an operation changes: a few facts that say how it was before, and is after."""


@dataclass(frozen=True, slots=True)
class Acting:
    """Who operates, and why."""

    actor: str = PROGRAM
    reason: str | None = None


_NOBODY_NAMED = Acting()
_ACTING: ContextVar[Acting] = ContextVar("toril.acting", default=_NOBODY_NAMED)


@contextmanager
def acting(actor: str, reason: str | None = None) -> Iterator[None]:
    """Say on whose behalf the calls inside the `with` block operate, and why.

    It holds for this task of the event loop and for tasks that are started inside the block. Blocks
    nest: the innermost counts, as a whole.

    Parameters:
        actor: Who, such as `jo@example.com`. At most 200 characters that can be printed.
        reason: Why. `Job.cancel` keeps it with the job unless it is given a reason of its own.

    Raises:
        InvalidOptionError: The actor is empty, too long, or cannot be printed; or one of them is no
            text.
    """
    check_text(actor, "actor")
    require(
        0 < len(actor) <= MAX_ACTOR_CHARS and actor.isprintable(),
        "actor",
        actor[: MAX_ACTOR_CHARS + 1],
        f"1 to {MAX_ACTOR_CHARS} characters that can be printed",
    )
    if reason is not None:
        check_text(reason, "reason")
    token = _ACTING.set(Acting(actor, reason and beginning(reason)))
    try:
        yield
    finally:
        _ACTING.reset(token)


def current() -> Acting:
    """Return who operates here, and why."""
    return _ACTING.get()


@dataclass(slots=True, kw_only=True)
class Operation:
    """One call of a verb, while it goes on."""

    verb: str
    """The name of the method."""
    queue: str | None = None
    job_id: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    """What it was given, but for payloads and log lines, which may hold secrets."""
    count: int | None = None
    """How many jobs it has changed so far. None: it is not about many jobs."""
    changed: bool = True
    """False: there was nothing to do, so that nobody is told."""
    before: Mapping[str, Any] | None = None
    """What it changed, as it was before; for the audit log only."""
    after: Mapping[str, Any] | None = None


class Operations:
    """Logs each operation, records it, and calls the hook `operated`."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self.audit: AuditRecorder | None = None
        """Who records. None: nobody."""
        self._recording: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def doing(
        self,
        verb: str,
        queue: str | None = None,
        job_id: str | None = None,
        *,
        look: Look | None = None,
        **arguments: Any,
    ) -> AsyncIterator[Operation]:
        """Tell of an operation once the block has ended.

        A block that raises has changed nothing, so nobody is told; except where `count` says that
        it had changed some jobs by then.

        Parameters:
            verb: The name of the method.
            queue: Which queue it is about.
            job_id: Which job.
            look: Called before and after, if it is recorded. None: nothing small changes.
            arguments: What the method was given.
        """
        operation = Operation(verb=verb, queue=queue, job_id=job_id, arguments=arguments)
        if look is not None and (self.audit is None or not self.audit.wants(current())):
            look = None
        if look is not None:
            operation.before = await _seen(look)
        try:
            yield operation
        except (Exception, asyncio.CancelledError) as error:
            if operation.count:
                await self._tell(operation, error)
            raise
        if operation.changed:
            await self._tell(operation, None, look)

    async def finish(self) -> None:
        """Wait until everything is recorded that this event loop records."""
        here = asyncio.get_running_loop()
        while mine := [task for task in self._recording if task.get_loop() is here]:
            await asyncio.wait(mine)

    async def _tell(
        self, operation: Operation, error: BaseException | None, look: Look | None = None
    ) -> None:
        acts = current()
        log.info("%s", _sentence(acts, operation, error))
        if self.audit is not None and self.audit.wants(acts):
            # It is done, so that it is recorded even if the caller is cancelled meanwhile.
            task = asyncio.ensure_future(self._record(self.audit, operation, error, look))
            self._recording.add(task)
            task.add_done_callback(self._recording.discard)
            await asyncio.shield(task)
        await self._hooks.tell_and_wait(
            "operated",
            verb=operation.verb,
            queue=operation.queue,
            job_id=operation.job_id,
            arguments=operation.arguments,
            count=operation.count,
            actor=acts.actor,
            reason=acts.reason,
            error=error,
        )

    @staticmethod
    async def _record(
        audit: AuditRecorder, operation: Operation, error: BaseException | None, look: Look | None
    ) -> None:
        if look is not None:
            operation.after = await _seen(look)
        await audit.write(operation, current(), error)


async def _seen(look: Look) -> Mapping[str, Any] | None:
    """Return what there is to see; None if it cannot be, which is the operation's own affair."""
    try:
        return await look()
    except TorilError:
        return None


def _sentence(acts: Acting, operation: Operation, error: BaseException | None) -> str:
    """Return one line; everything that came from outside is quoted."""
    given = ", ".join(f"{name}={value!r}" for name, value in operation.arguments.items())
    words = f"{acts.actor}: {operation.verb}({given})"
    if operation.job_id is not None:
        words += f" of job {operation.job_id!r}"
    if operation.queue is not None:
        words += f" in queue {operation.queue!r}"
    if operation.count is not None:
        words += f", {operation.count:,} {'job' if operation.count == 1 else 'jobs'}"
    if error is not None:
        words += f", cut short by {type(error).__name__}"
    return words if acts.reason is None else f"{words}; reason: {acts.reason!r}"
