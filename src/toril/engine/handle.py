"""A job in somebody's hand: its id, and what one can ask of it or do to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from toril.core.codec import Json, decode, encode_text
from toril.core.durations import seconds
from toril.core.errors import JobNotFoundError
from toril.engine.info import JobInfo
from toril.engine.job import JobRecord
from toril.engine.options import check_priority
from toril.engine.states import State
from toril.engine.texts import MAX_LINE_BYTES, beginning
from toril.engine.wire_options import from_wire

if TYPE_CHECKING:
    from toril.engine.producer import Producer

R = TypeVar("R")


class Job(Generic[R]):
    """A handle. It holds no state of the job: each call asks the store."""

    __slots__ = ("_decode", "_producer", "duplicate", "id", "queue")

    def __init__(
        self,
        producer: Producer,
        queue: str,
        job_id: str,
        duplicate: bool = False,
        decode_result: Callable[[str], Any] | None = None,
    ) -> None:
        self.id = job_id
        self.queue = queue
        self.duplicate = duplicate
        """Nothing was added: a job of this id was there already, or this one holds the
        de-duplication id."""
        self._producer = producer
        self._decode = decode_result or decode

    def __repr__(self) -> str:
        return f"Job(id={self.id!r}, queue={self.queue!r})"

    async def result(self, timeout_s: float | None = None) -> R:
        """Wait for the job and return what its task returned.

        Parameters:
            timeout_s: Longest wait, in seconds. None: for ever.

        Raises:
            JobFailedError: It failed for good; the message is the reason.
            JobNotFoundError: It is gone: removed, or finished and not kept.
            ResultTimeoutError: It has not finished in time. It goes on.
        """
        results = self._producer.results()
        text = await results.wait(self.queue, self.id, timeout_s=timeout_s)
        return cast("R", self._decode(text))

    def result_sync(self, timeout_s: float | None = None) -> R:
        """The same for plain code."""
        return self._producer.run_sync(self.result(timeout_s))

    async def info(self) -> JobInfo:
        """Return everything that is known of it.

        Raises:
            JobNotFoundError: It is gone.
        """
        return JobInfo.from_record(await self._record())

    def info_sync(self) -> JobInfo:
        """The same for plain code."""
        return self._producer.run_sync(self.info())

    async def state(self) -> State:
        """Return where it is; errors as `info`."""
        return (await self.info()).state

    async def cancel(self, reason: str = "cancelled") -> None:
        """Stop it for good: at once if it waits, and wherever it runs.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It has finished.
        """
        await self._producer.backend().jobs.cancel(self.queue, self.id, reason=beginning(reason))

    async def remove(self) -> bool:
        """Remove it; return whether it was there.

        Raises:
            WrongStateError: It runs, or it waits for its children: cancel it first, or remove the
                whole flow (`app.flows.get(...).remove()`).
        """
        return await self._producer.backend().jobs.remove(self.queue, self.id) is not None

    async def retry(self, *, reset_attempts: bool = True) -> None:
        """Put it back in line after it failed or completed.

        Parameters:
            reset_attempts: Give it its full number of attempts again.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It has not finished.
        """
        await self._producer.backend().jobs.retry(
            self.queue, self.id, reset_attempts=reset_attempts
        )

    async def promote(self) -> None:
        """Make it ready now; errors as `change_delay`."""
        await self._producer.backend().jobs.promote(self.queue, self.id)

    async def change_delay(self, delay: float | timedelta) -> None:
        """Make it due so many seconds from now.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It is not delayed.
        """
        delay_ms = round(seconds(delay, "delay") * 1000)
        await self._producer.backend().jobs.change_delay(self.queue, self.id, delay_ms=delay_ms)

    async def change_priority(self, priority: int, *, lifo: bool = False) -> None:
        """Give it another priority; in line it moves to the end of that (`lifo`: the front).

        Raises:
            JobNotFoundError: It is gone.
        """
        await self._producer.backend().jobs.change_priority(
            self.queue, self.id, priority=check_priority(priority), lifo=lifo
        )

    async def update_data(self, data: Json) -> None:
        """Replace its payload. It is checked against the task when it runs.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It runs.
        """
        await self._producer.backend().jobs.update_data(self.queue, self.id, data=encode_text(data))

    async def logs(self, *, start: int = 0, limit: int = 1000) -> list[str]:
        """Return its log lines, oldest first.

        Raises:
            JobNotFoundError: It is gone.
        """
        lines, _ = await self._producer.backend().jobs.logs(
            self.queue, self.id, start=start, limit=limit
        )
        return lines

    async def add_log(self, line: str) -> int:
        """Add a log line from outside; return how many there are.

        The newest are kept, as many as its `keep_logs` says.

        Raises:
            JobNotFoundError: It is gone.
        """
        keep = from_wire((await self._record()).opts).keep_logs
        return await self._producer.backend().jobs.add_log(
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
