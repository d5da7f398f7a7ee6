"""A job that was claimed by hand: what it is, and how its attempt ends."""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from toril.core.clock import moment
from toril.core.errors import (
    AttemptError,
    InvalidOptionError,
    InvalidPayloadError,
    LeaseLostError,
    WrongStateError,
)
from toril.core.reading import read
from toril.engine.attempt import Attempt
from toril.engine.context import Context
from toril.engine.job import Finished, OutcomeKind
from toril.engine.judging import describe
from toril.engine.task_results import Encoded

if TYPE_CHECKING:
    from toril.engine.claim_holder import ClaimHolder

T = TypeVar("T")


class ClaimedJob:
    """A job that this program holds, from `Claims.claim` on until one of its methods ends that.

    Exactly one of `complete`, `fail` and `give_back` ends it.
    """

    __slots__ = ("_holder", "context", "running")

    def __init__(self, holder: ClaimHolder, attempt: Attempt, context: Context) -> None:
        self._holder = holder
        self.running = attempt
        self.context = context
        """Progress, log lines, follow-up jobs, children, changed data: as inside a task. Its
        `cancelled` says whether the work should end."""

    def __repr__(self) -> str:
        return f"ClaimedJob(id={self.id!r}, queue={self.queue!r}, name={self.name!r})"

    @property
    def id(self) -> str:
        """Its id."""
        return self.running.claimed.id

    @property
    def queue(self) -> str:
        """The queue that it was claimed from."""
        return self.running.claimed.queue

    @property
    def name(self) -> str:
        """Its name on the wire: the task's."""
        return self.running.claimed.name

    @property
    def data(self) -> Any:
        """The payload, decoded. A `RawText` if it cannot be: no JSON, or nested too deep."""
        return read(self.context.raw_data)

    @property
    def options(self) -> Any:
        """The options, decoded like `data`, with BullMQ's names and milliseconds."""
        return read(self.running.claimed.opts)

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.context.attempt

    @property
    def max_attempts(self) -> int:
        """Attempts in all."""
        return self.context.max_attempts

    @property
    def created_at(self) -> datetime:
        """When the job was added, in UTC."""
        return moment(self.running.claimed.timestamp_ms)

    @property
    def lost(self) -> bool:
        """Whether it is known that the lease was lost: somebody else may have the job by now."""
        return self.running.stop_kind == "lease_lost"

    def tracing(self) -> AbstractContextManager[None]:
        """Be in the job's span, in a `with` block: spans that are made there are below it.

        In an app that does not trace it does nothing.
        """
        return self._holder.tracing(self.running)

    async def complete(self, result: object = None) -> OutcomeKind:
        """End the attempt with success, as a task that returns. Returns once it is stored.

        Parameters:
            result: JSON, or what the task of the app returns by its types.

        Returns:
            How it ended: `completed`; or `failed`, as somebody has cancelled it, a child has
            failed, or the store could not write it.

        Raises:
            InvalidPayloadError: The result cannot be stored. The job is still held.
            LeaseLostError: Somebody else has the job by now. Nothing was changed.
            WrongStateError: The attempt has ended already.
            BackendError: The store did not answer for so long that the call gave up (`patience`).
                The outcome is tried on until the claims are closed.
        """
        self._require_held()
        handler = self.running.handler
        assert handler is not None  # noqa: S101 - it has one from the start
        try:
            text = handler.encode(result)
        except Exception as error:
            known = isinstance(error, TypeError | ValueError)
            problem = str(error) if known else describe(error)
            raise InvalidPayloadError(self.name, "return", problem) from error
        return await self._end(self._holder.endings.returned(self.running, Encoded(text)))

    async def fail(self, error: BaseException | str) -> OutcomeKind:
        """End the attempt with an error, as a task that raises it. Returns once it is stored.

        What follows is the same: another attempt after the wait of the job's or the task's retry
        policy, or a failure for good with its dead letter. `Retry`, `Snooze`, `Cancel` and `Fail`
        mean what they mean inside a task.

        Parameters:
            error: What went wrong, or its text.

        Returns:
            How it ended: `retried`, `failed`, `snoozed` and so on.

        Raises:
            LeaseLostError, WrongStateError, BackendError: As `complete`.
        """
        self._require_held()
        if isinstance(error, str):
            error = AttemptError(error)
        if not isinstance(error, BaseException):
            raise InvalidOptionError(f"error={error!r}: expected an exception, or a text")
        return await self._end(self._holder.endings.raised(self.running, error))

    async def give_back(self) -> OutcomeKind:
        """Put the job back at the front of its line, without counting an attempt.

        Raises:
            LeaseLostError, WrongStateError, BackendError: As `complete`.
        """
        self._require_held()
        self.running.stop("released", "it was given back")
        return await self._end(self._holder.endings.stopped(self.running))

    async def renew(self) -> None:
        """Renew the lease: it ends `lease` seconds from now. Learn whether the job was cancelled.

        Where the claims renew leases by themselves, this only asks.

        Raises:
            LeaseLostError: Somebody else has the job by now: stop, and change nothing more.
            WrongStateError: The attempt has ended already.
            BackendError: The store did not answer; the lease may have been renewed.
        """
        self._require_held()
        await self._holder.renew(self.running)
        if self.lost:
            raise self._lease_lost()

    def complete_sync(self, result: object = None) -> OutcomeKind:
        """`complete` for plain code."""
        return self._sync(self.complete(result))

    def fail_sync(self, error: BaseException | str) -> OutcomeKind:
        """`fail` for plain code."""
        return self._sync(self.fail(error))

    def give_back_sync(self) -> OutcomeKind:
        """`give_back` for plain code."""
        return self._sync(self.give_back())

    def renew_sync(self) -> None:
        """`renew` for plain code."""
        self._sync(self.renew())

    def _sync(self, call: Coroutine[Any, Any, T]) -> T:
        return self._holder.run_sync(call)

    async def _end(self, outcome: Finished) -> OutcomeKind:
        lost = self.lost
        word, kind = await self._holder.settle(self.running, outcome)
        if lost or word == "lease_lost":
            raise self._lease_lost()
        return kind

    def _require_held(self) -> None:
        if self.running.settled:
            raise WrongStateError(
                f"job {self.id!r} of queue {self.queue!r}: this attempt has ended already. Each"
                " claimed job is completed, failed or given back once; closing the claims gives"
                " back the others",
                job_id=self.id,
                queue=self.queue,
            )

    def _lease_lost(self) -> LeaseLostError:
        return LeaseLostError(
            f"job {self.id!r} of queue {self.queue!r}: its lease was lost, and somebody else may"
            " run it by now; nothing was changed. Renew leases in time, or claim with a longer one",
            job_id=self.id,
            queue=self.queue,
        )
