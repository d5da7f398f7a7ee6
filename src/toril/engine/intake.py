"""What happens to a job that was just claimed: its attempt begins, or the job is given back."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from toril.core.errors import BackendError
from toril.engine.contract.dispatch import Dispatch, Hold
from toril.engine.executor import Executor
from toril.engine.job import Claimed, Finished
from toril.engine.outbox import Outbox
from toril.engine.stopping import Stopping


class Intake:
    """Takes the claimed jobs of one worker."""

    def __init__(
        self,
        dispatch: Dispatch,
        executor: Executor,
        outbox: Outbox,
        *,
        worker_id: str,
        lease_ms: int,
        stopping: Stopping,
    ) -> None:
        self._dispatch = dispatch
        self._executor = executor
        self._outbox = outbox
        self._worker_id = worker_id
        self._lease_ms = lease_ms
        self._stopping = stopping
        self._renewing: set[asyncio.Task[None]] = set()

    def start(self, claimed: Claimed) -> None:
        """Begin an attempt; or give the job back, if its claim was answered while we stop."""
        if self._stopping.begun:
            self._outbox.add(Finished.given_back(claimed, self._worker_id))
        elif claimed.attempts_started > claimed.attempts_made + 1:
            renewing = asyncio.create_task(self._renew_and_start(claimed))
            self._renewing.add(renewing)
            renewing.add_done_callback(self._renewing.discard)
        else:
            self._executor.start(claimed, self._lease_ms)

    async def _renew_and_start(self, claimed: Claimed) -> None:
        """Renew the lease, then begin the attempt. For jobs with an uncounted start.

        Such a job may have lost its worker. If it loses this one too, the store must know that the
        attempt had begun, and a renewed lease says so. Other jobs need no extra call.
        """
        hold = Hold(
            claimed.queue, claimed.number, claimed.token, self._lease_ms, claimed.attempts_started
        )
        with suppress(BackendError):  # renewed or not: what was claimed is run
            await asyncio.to_thread(self._dispatch.renew, self._worker_id, [hold])
        if self._stopping.begun:
            self._outbox.add(Finished.given_back(claimed, self._worker_id))
        else:
            self._executor.start(claimed, self._lease_ms)
