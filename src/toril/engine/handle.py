"""A job in somebody's hand: its id, and what one can ask of it.

Read next: `job_operator.py` (what can be done to it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from toril.core.checks import is_whole, require
from toril.core.codec import Json, decode
from toril.core.foreign_words import answers
from toril.engine.foreign_words import JOB_WORDS
from toril.engine.habits import warn_of_waiting_in_request
from toril.engine.info import JobInfo
from toril.engine.job_operator import JobOperator
from toril.engine.states import State

if TYPE_CHECKING:
    from toril.engine.explanation import Explanation
    from toril.engine.producer import Producer

R = TypeVar("R")

_MOST_LINES = 10**9
"""More than a log can hold, and a number that every store can count with."""


class LogPage(NamedTuple):
    """Some log lines of a job."""

    lines: list[str]
    total: int
    """How many lines there are in all; older ones may have been dropped, see `keep_logs`."""


@answers(JOB_WORDS)
class Job(JobOperator, Generic[R]):
    """A handle. It holds no state of the job: each call asks the store."""

    __slots__ = ("_decode", "duplicate")

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

        Warns (`HabitWarning`) in code that answers a request of `toril.web.site`, in development.
        """
        warn_of_waiting_in_request(self.id)
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

    def state_sync(self) -> State:
        """The same for plain code."""
        return self._producer.run_sync(self.state())

    async def explain(self) -> Explanation:
        """Return why it does not run: all reasons, the most important first.

        Of one that runs, has finished or is not there too. It costs a few bounded calls of the
        store, and is for people who ask for one job.
        """
        # Here: few programs need it, and all would start later.
        from toril.engine.explain import explain
        from toril.engine.explain_facts import read_facts

        return explain(await read_facts(self._producer.backend(), self.queue, self.id))

    def explain_sync(self) -> Explanation:
        """The same for plain code."""
        return self._producer.run_sync(self.explain())

    async def logs(self, *, start: int = 0, limit: int = 1000) -> list[str]:
        """Return its log lines, oldest first.

        Raises:
            JobNotFoundError: It is gone.
        """
        return (await self.log_page(start=start, limit=limit)).lines

    async def log_page(
        self, *, start: int = 0, limit: int = 1000, newest_first: bool = False
    ) -> LogPage:
        """Return some of its log lines, and how many there are in all.

        Parameters:
            start: How many lines to pass over: of the oldest, or of the newest if `newest_first`.
            limit: At most so many lines.
            newest_first: The newest line first. Otherwise the oldest.

        Raises:
            InvalidOptionError: A number is below 0.
            JobNotFoundError: It is gone.
        """
        require(is_whole(start) and start >= 0, "start", start, "an integer from 0")
        require(is_whole(limit) and limit >= 0, "limit", limit, "an integer from 0")
        lines, total = await self._producer.backend().logs.read(
            self.queue,
            self.id,
            start=min(start, _MOST_LINES),
            limit=min(limit, _MOST_LINES),
            newest_first=newest_first,
        )
        return LogPage(lines, total)

    def log_page_sync(
        self, *, start: int = 0, limit: int = 1000, newest_first: bool = False
    ) -> LogPage:
        """The same for plain code."""
        page = self.log_page(start=start, limit=limit, newest_first=newest_first)
        return self._producer.run_sync(page)

    def logs_sync(self, *, start: int = 0, limit: int = 1000) -> list[str]:
        """The same for plain code."""
        return self._producer.run_sync(self.logs(start=start, limit=limit))

    def set_progress_sync(self, value: Json) -> None:
        """`set_progress` for plain code."""
        self._producer.run_sync(self.set_progress(value))

    def update_data_sync(self, data: Json) -> None:
        """`update_data` for plain code."""
        self._producer.run_sync(self.update_data(data))
