"""`run_in="process"`: attempts in child processes that may be killed, crash and are replaced.

One attempt a child at a time. A child that is free waits for the next attempt, so that what it
imported is there; one that crashed, was killed or grew too much is replaced by a fresh one, and its
neighbours notice nothing. How a child is spoken to: `spawned.py`. What it does: `child.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toril.core.checks import require
from toril.core.errors import InvalidOptionError, PayloadTooLargeError, ProcessDiedError
from toril.core.process_memory import MIB
from toril.engine.life_cycle import InChildren
from toril.engine.runners.child_logs import levels
from toril.engine.runners.frames import ProcessCall, Raised, Returned, Setup, frame_of, rebuilt
from toril.engine.runners.interpreter import check_target, is_frozen
from toril.engine.runners.references import MAIN, MainSource, main_source
from toril.engine.runners.spawned import ChildProcess

EXIT_PATIENCE_S = 2.0
"""How long a child that is not needed any more may take to leave by itself."""
LEAVE_S = 1.0
"""Beyond the time that a child's own stop may take: it is cancelled first."""
CRASH_PATIENCE_S = 1.0
"""How long a child that closed its socket may take to be gone, before it is killed."""
REAP_WAIT_S = 5.0
"""How long `run` waits for a killed child: one in uninterruptible I/O ends when it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """When a child process is replaced: always between two attempts."""

    recycle_after: int | None = 1000
    """Attempts that a child runs before it is replaced. None: no limit."""
    max_growth_bytes: int | None = 256 * MIB
    """Resident memory that a child may gain after its first attempt. None: no limit."""
    max_memory_bytes: int | None = None
    """Address space of a child; an attempt that wants more gets `MemoryError`. None: no limit.

    Address space is more than resident memory: a child has some 30 MiB of it before its task's
    own imports, and each thread takes more. macOS does not enforce it.
    """

    def __post_init__(self) -> None:
        for name, value, least in (
            ("recycle_after", self.recycle_after, 1),
            ("max_growth_bytes", self.max_growth_bytes, 1),
            ("max_memory_bytes", self.max_memory_bytes, 64 * MIB),
        ):
            good = value is None or (type(value) is int and value >= least)
            require(good, name, value, f"an integer from {least}, or None")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildState:
    """One child process, for listings."""

    pid: int
    job_id: str | None
    """What it runs. None: it is free."""
    rss_bytes: int
    """Its resident memory."""
    attempts: int
    """Attempts that it has run."""


class ProcessSlots:
    """Child processes, as many as there are runs at once; the caller bounds those.

    Parameters:
        provided: A pickled mapping of types to objects, which every task's `run_here` gets.
        options: When children are replaced.
        is_full: Whether children had better wait before they say more.
        life_cycle: What each child starts before its first attempt, and stops when it leaves.
    """

    def __init__(
        self,
        *,
        provided: bytes = b"",
        options: ProcessOptions | None = None,
        is_full: Callable[[], bool] = lambda: False,
        life_cycle: InChildren | None = None,
    ) -> None:
        self._provided = provided
        self._options = options or ProcessOptions()
        self._is_full = is_full
        self._life_cycle = life_cycle
        self._exit_patience_s = EXIT_PATIENCE_S
        if life_cycle is not None:
            self._exit_patience_s += life_cycle.stop_timeout_s + LEAVE_S
        self._children: set[ChildProcess] = set()
        self._idle: list[ChildProcess] = []
        self._ending: dict[ChildProcess, asyncio.Task[int]] = {}
        self._closed = False

    async def run(self, call: ProcessCall, emit: Callable[[Any], Any]) -> bytes:
        """Run one attempt in a child process and return its result, JSON.

        When this is cancelled, the child and all that the task started are killed and reaped
        before the cancellation goes on, so that nothing works on a job that was given back.

        Parameters:
            call: The attempt.
            emit: Gets the messages of the task, in order, before this returns. For a question it
                returns an awaitable of the answer.

        Raises:
            ProcessDiedError: The child ended: killed, crashed, left, or closed by `close`.
            TaskRaisedError: The task raised what cannot be carried over.
            NoChildError: The task is in a `__main__` that cannot be imported, or this program can
                have no child processes.
            Exception: Whatever else the task raised, with a `ChildTraceback` as its cause.
        """
        try:
            frame = frame_of(call)
        except ValueError as error:
            raise PayloadTooLargeError(call.facts.task, "payload", str(error)) from error
        check_target(call.target)
        child = self._take(call)
        try:
            answer = await child.ask(call, frame, emit)
        except BaseException:  # cancelled, or `emit` failed
            child.kill()
            await self._ended(child, 0)
            raise
        if answer is None:
            code = await self._ended(child, CRASH_PATIENCE_S)
            raise child.obituary(call, code, closed=self._closed)
        return self._accept(child, answer)

    async def close(self) -> None:
        """End all children: free ones may leave within 2 s, busy ones are killed.

        Longer, if they have something to stop.
        """
        self._closed = True
        self._idle.clear()
        for child in list(self._children):
            self._end(child, self._exit_patience_s if child.call is None else 0)
        if self._ending:
            endings = set(self._ending.values())
            _, late = await asyncio.wait(endings, timeout=self._exit_patience_s + REAP_WAIT_S)
            for ending in late:  # in uninterruptible I/O; killed, it ends when it can
                ending.cancel()

    def children(self) -> list[ChildState]:
        """Return what each child does, by process id."""
        return [
            ChildState(
                pid=child.pid,
                job_id=None if child.call is None else child.call.facts.job_id,
                rss_bytes=child.seen_rss_bytes(),
                attempts=child.attempts,
            )
            for child in sorted(self._children, key=lambda child: child.pid)
        ]

    def _take(self, call: ProcessCall) -> ChildProcess:
        if self._closed:
            raise ProcessDiedError(f"job {call.facts.job_id}: its worker's processes were closed")
        if self._idle:
            return self._idle.pop()  # the last used: its memory is warm
        if MAIN.loading:
            raise InvalidOptionError(
                "a child process imports the main script, and the script starts a worker again:"
                ' put what starts it under if __name__ == "__main__":'
            )
        try:
            # In a context of its own: what one job sets, its callbacks must not keep for others.
            child = contextvars.Context().run(
                ChildProcess, self._setup(), self._drop, self._is_full
            )
        except OSError as error:
            raise ProcessDiedError(
                f"job {call.facts.job_id}: no process could be started for it: {error}"
            ) from error
        self._children.add(child)
        return child

    def _accept(self, child: ChildProcess, answer: Returned | Raised) -> bytes:
        error = rebuilt(answer) if isinstance(answer, Raised) else None
        # What a child could not allocate once, it will want again.
        worn = self._is_worn(child) or isinstance(error, MemoryError)
        if worn or child.lost:
            self._end(child, self._exit_patience_s)
        else:
            self._idle.append(child)
        if isinstance(answer, Returned):
            return answer.result
        raise error or rebuilt(answer)

    def _is_worn(self, child: ChildProcess) -> bool:
        most = self._options.recycle_after
        if most is not None and child.attempts >= most:
            return True
        growth_bytes = child.rss_bytes - (child.baseline_bytes or 0)
        limit_bytes = self._options.max_growth_bytes
        return limit_bytes is not None and growth_bytes > limit_bytes

    def _drop(self, child: ChildProcess) -> None:
        """A free child ended by itself, or was killed."""
        if child in self._idle:
            self._idle.remove(child)
        self._end(child, CRASH_PATIENCE_S)

    def _end(self, child: ChildProcess, patience_s: float) -> asyncio.Task[int]:
        ending = self._ending.get(child)
        if ending is None:
            self._children.discard(child)
            child.hang_up()  # now: no call may find it alive
            ending = asyncio.create_task(child.end(patience_s))
            self._ending[child] = ending
            ending.add_done_callback(lambda _: self._forget(child))
        return ending

    def _forget(self, child: ChildProcess) -> None:
        child.bury()
        self._ending.pop(child, None)

    async def _ended(self, child: ChildProcess, patience_s: float) -> int | None:
        """End a child and wait for it. None: it would not end in time; it still will."""
        ending = self._end(child, patience_s)
        # Not awaited itself: a second cancellation must not leave a process behind.
        done, _ = await asyncio.wait({ending}, timeout=REAP_WAIT_S)
        return ending.result() if done else None

    def _setup(self) -> Setup:
        source: MainSource | None
        try:
            source = main_source()
        except InvalidOptionError:  # a prompt: only tasks of other modules can run
            source = None
        if is_frozen():  # the child has a main module of its own
            source = None
        return Setup(
            argv=[os.fsencode(argument) for argument in sys.argv],
            main=source,
            provided=self._provided,
            life_cycle=None if self._life_cycle is None else self._life_cycle.target,
            log_levels=levels(),
            max_memory_bytes=self._options.max_memory_bytes,
        )
