"""What happens to a job that was just claimed: its attempt begins, or the job is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from toril.core.errors import BackendError
from toril.engine.contract.dispatch import Dispatch, HeldJob
from toril.engine.job import Claimed, Finished
from toril.engine.outbox import Outbox
from toril.engine.schedules.keeper import ScheduleKeeper
from toril.engine.schedules.record import PREFIX
from toril.engine.stopping import Stopping


class Starter(Protocol):
    """Begins attempts. The worker's executor is one."""

    def start(self, claimed: Claimed, lease_ms: int) -> None:
        """Begin an attempt of a claimed job."""
        ...

    def postpones(self, claimed: Claimed) -> bool:
        """Whether a job would go back at once, so that no attempt of it begins."""
        ...


class Intake:
    """Takes the claimed jobs of one worker."""

    def __init__(
        self,
        dispatch: Dispatch,
        executor: Starter,
        outbox: Outbox,
        *,
        worker_id: str,
        lease_ms: int,
        stopping: Stopping,
        schedules: ScheduleKeeper,
        removed: Callable[[Finished], None],
    ) -> None:
        """Make it.

        Parameters:
            removed: Takes outcomes whose jobs were removed meanwhile: the store will refuse them.
        """
        self._dispatch = dispatch
        self._executor = executor
        self._outbox = outbox
        self._worker_id = worker_id
        self._lease_ms = lease_ms
        self._stopping = stopping
        self._schedules = schedules
        self._removed = removed
        self._waiting: set[asyncio.Task[None]] = set()
        """What is done before attempts begin."""

    def start(self, claimed: Claimed) -> None:
        """Begin an attempt; or give the job back, if its claim was answered while we stop."""
        if self._stopping.begun:
            self._give_back(claimed)
        elif claimed.id.startswith(PREFIX):
            self._later(self._move_on_and_start(claimed))
        elif claimed.attempts_started > claimed.attempts_made + 1:
            self._later(self._renew_and_start(claimed))
        else:
            self._executor.start(claimed, self._lease_ms)

    async def settle(self) -> None:
        """Wait until each job that was claimed so far has begun, or was given back."""
        while self._waiting:
            await asyncio.wait(self._waiting)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _move_on_and_start(self, claimed: Claimed) -> None:
        """Have the schedule of a job make its next one, then begin the attempt, if it is to run."""
        if self._executor.postpones(claimed):
            # The schedule goes on when a worker takes this job that has the task: until then there
            # is one job of it, and not one for each slot.
            self._executor.start(claimed, self._lease_ms)
        elif not await self._schedules.took(claimed, self._hold(claimed), self._stopping.requested):
            self._removed(self._give_back(claimed))
        elif claimed.attempts_started > claimed.attempts_made + 1:
            await self._renew_and_start(claimed)
        elif self._stopping.begun:
            self._give_back(claimed)
        else:
            self._executor.start(claimed, self._lease_ms)

    async def _renew_and_start(self, claimed: Claimed) -> None:
        """Renew the lease, then begin the attempt. For jobs with an uncounted start.

        Not of one that no task is there for: it goes back at once, and so may many others.

        Such a job may have lost its worker. If it loses this one too, the store must know that the
        attempt had begun, and a renewed lease says so. Other jobs need no extra call.
        """
        if self._executor.postpones(claimed):
            self._executor.start(claimed, self._lease_ms)
            return
        with suppress(BackendError):  # renewed or not: what was claimed is run
            await asyncio.to_thread(self._dispatch.renew, self._worker_id, [self._hold(claimed)])
        if self._stopping.begun:
            self._give_back(claimed)
        else:
            self._executor.start(claimed, self._lease_ms)

    def _give_back(self, claimed: Claimed) -> Finished:
        outcome = Finished.given_back(claimed, self._worker_id)
        self._outbox.add(outcome)
        return outcome

    def _hold(self, claimed: Claimed) -> HeldJob:
        return HeldJob(
            claimed.queue, claimed.number, claimed.token, self._lease_ms, claimed.attempts_started
        )
