"""What people do to a single job: cancel, remove, retry, promote, put off.

Each call is told with who made it and why (`operations.py`).
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from toril.core.codec import Json, encode_text
from toril.core.durations import seconds
from toril.core.errors import JobNotFoundError
from toril.engine.job import JobRecord
from toril.engine.operations import Operation, current
from toril.engine.options import check_priority
from toril.engine.texts import MAX_LINE_BYTES, beginning
from toril.engine.wire_options import from_wire

if TYPE_CHECKING:
    from toril.engine.producer import Producer


class JobOperator:
    """The verbs for one job."""

    __slots__ = ("_producer", "id", "queue")

    def __init__(self, producer: Producer, queue: str, job_id: str) -> None:
        self.id = job_id
        self.queue = queue
        self._producer = producer

    async def cancel(self, reason: str | None = None) -> None:
        """Stop it for good: at once if it waits, and wherever it runs.

        Parameters:
            reason: Kept with the job. Default: the reason given to `acting`, else "cancelled".

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It has finished, or waits for children of BullMQ's.
        """
        why = beginning(reason if reason is not None else current().reason or "cancelled")
        async with self._doing("cancel", reason=why):
            await self._producer.backend().jobs.cancel(self.queue, self.id, reason=why)

    async def remove(self) -> bool:
        """Remove it; return whether it was there.

        Raises:
            WrongStateError: It runs, so cancel it first; or it waits for children of BullMQ's.
        """
        jobs = self._producer.backend().jobs
        async with self._doing("remove") as doing:
            doing.changed = await jobs.remove(self.queue, self.id) is not None
        return doing.changed

    async def retry(self, *, reset_attempts: bool = True) -> None:
        """Put it back in line after it failed or completed.

        Parameters:
            reset_attempts: Give it its full number of attempts again.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It has not finished.
        """
        async with self._doing("retry", reset_attempts=reset_attempts):
            await self._producer.backend().jobs.retry(
                self.queue, self.id, reset_attempts=reset_attempts
            )

    async def promote(self) -> None:
        """Make it ready now; errors as `change_delay`."""
        async with self._doing("promote"):
            await self._producer.backend().jobs.promote(self.queue, self.id)

    async def change_delay(self, delay: float | timedelta) -> None:
        """Make it due so many seconds from now.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It is not delayed.
        """
        delay_s = seconds(delay, "delay")
        delay_ms = round(delay_s * 1000)
        async with self._doing("change_delay", delay_s=delay_s):
            await self._producer.backend().jobs.change_delay(self.queue, self.id, delay_ms=delay_ms)

    async def change_priority(self, priority: int, *, lifo: bool = False) -> None:
        """Give it another priority; in line it moves to the end of that (`lifo`: the front).

        Raises:
            JobNotFoundError: It is gone.
        """
        rank = check_priority(priority)
        async with self._doing("change_priority", priority=int(rank), lifo=lifo):
            await self._producer.backend().jobs.change_priority(
                self.queue, self.id, priority=rank, lifo=lifo
            )

    async def update_data(self, data: Json) -> None:
        """Replace its payload. It is checked against the task when it runs.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It runs.
        """
        text = encode_text(data)
        async with self._doing("update_data"):
            await self._producer.backend().jobs.update_data(self.queue, self.id, data=text)

    async def leave_flow(self) -> bool:
        """Untie a job from its parent, which waits for it no longer; the job itself stays.

        Returns:
            Whether the parent was waiting for this job.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It has no parent, or its parent is gone.
        """
        async with self._doing("leave_flow"):
            return await self._producer.backend().flows.break_tie(self.queue, self.id)

    async def add_log(self, line: str) -> int:
        """Add a log line from outside; return how many there are.

        The newest are kept, as many as its `keep_logs` says.

        Raises:
            JobNotFoundError: It is gone.
        """
        keep = from_wire((await self._record()).opts).keep_logs
        async with self._doing("add_log"):
            return await self._producer.backend().logs.add(
                self.queue, self.id, beginning(line, MAX_LINE_BYTES), keep=keep
            )

    async def _record(self) -> JobRecord:
        record = await self._producer.backend().jobs.get(self.queue, self.id)
        if record is None:
            raise JobNotFoundError(
                f"queue {self.queue!r} has no job {self.id!r}: it was removed, or never added",
                job_id=self.id,
                queue=self.queue,
            )
        return record

    def _doing(self, verb: str, **arguments: Any) -> AbstractAsyncContextManager[Operation]:
        return self._producer.operations.doing(
            verb, self.queue, self.id, look=self._facts, **arguments
        )

    async def _facts(self) -> dict[str, Any] | None:
        """Return what the audit log shows of it: of the payload, whether it is another one."""
        job = await self._producer.backend().jobs.get(self.queue, self.id)
        if job is None:
            return None
        return {
            "name": job.name,
            "state": str(job.state),
            "priority": job.priority,
            "run_at_ms": job.run_at_ms,
            "attempts_made": job.attempts_made,
            "data_bytes": job.data_bytes,
            "data_sha256": hashlib.sha256(job.data.encode("utf-8", "replace")).hexdigest(),
        }
