"""One attempt at sending a message to the browsers of some users.

A request that was answered counts as done; a slot becomes free only once the record says so. So a
killed worker sends again no more than was in flight: at most `concurrency` requests of a job.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from toril.core.errors import TorilError
from toril.core.loggers import logger
from toril.engine.context import Context
from toril.engine.outcomes import Retry, Snooze
from toril.library.push.record import Record
from toril.library.push.service import PushService
from toril.services.push.port import PushMessage, Verdict
from toril.services.push.subscriptions import StoredSubscription

log = logger("toril.push")

USERS_A_LOOK = 100
"""Users whose subscriptions are read at once."""
KEEP_AFTER_S = 0.25
"""Once all requests are on their way, what is done is stored so often while some are unanswered.
Most jobs are over before, and write nothing."""
MARGIN_S = 2.0
"""What is left of an attempt's time for its end: noting what was done."""


class PushLaterError(TorilError):
    """Push services could not be reached, or ask to be asked later. The job is tried again."""


class Sending:
    """One attempt."""

    def __init__(
        self,
        context: Context,
        service: PushService,
        message: PushMessage,
        users: Sequence[str],
        record: Record,
        report: Callable[[int], None] = lambda _percent: None,
    ) -> None:
        """Make an attempt.

        Parameters:
            context: The job's.
            service: What sends, and knows who subscribed.
            message: What is sent.
            users: Whom, each once.
            record: What is done already.
            report: Is told the share of users that are done, 0 to 100.
        """
        self._context = context
        self._service = service
        self._message = message
        self._users = users
        self._record = record
        self._report = report
        self._slots = asyncio.Semaphore(service.settings.concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._open: dict[int, int] = {}
        """Requests that a user still waits for, by the user's place."""
        self._later: list[Verdict] = []
        self._late_users: set[int] = set()
        self._began = 0
        self._all_begun = False
        self._error: Exception | None = None
        self._done_users = 0
        self._percent = 0
        self.is_whole = True
        """Whether there was time for all."""

    async def run(self) -> None:
        """Send what can be sent now.

        Raises:
            Retry, Snooze, PushLaterError: Some is left for another attempt.
            Exception: What the store of subscriptions, or of jobs, raised.
        """
        try:
            await self._begin_all()
            self._all_begun = True
            while self._running and self._error is None:
                await asyncio.wait(self._running, timeout=KEEP_AFTER_S)
                if self._running and self._error is None:
                    await self._record.keep()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._error = self._error or error
        finally:
            await self._end_running()
        if self._error is not None:
            with suppress(TorilError):  # the first error is the one to tell
                await self._record.keep()
            raise self._error
        if self._later or not self.is_whole:
            await self._leave_rest()

    @property
    def left(self) -> list[str]:
        """Why some could not be served, even by the last attempt."""
        return [verdict.reason for verdict in self._later]

    async def _begin_all(self) -> None:
        async for place, subscriptions in self._who():
            if not subscriptions:
                self._end_user(place, ())
                continue
            self._open[place] = len(subscriptions)
            for subscription in subscriptions:
                await self._slots.acquire()
                if self._error is not None:
                    raise self._error
                if self._is_late():
                    self.is_whole = False
                    return
                self._began += 1
                ids = [each.id for each in subscriptions]
                task = asyncio.create_task(self._serve(place, subscription, ids))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _who(self) -> AsyncIterator[tuple[int, Sequence[StoredSubscription]]]:
        """Yield users that are not done by their place, with the subscriptions that are not."""
        record = self._record
        places = [place for place in range(len(self._users)) if not record.has_user(place)]
        self._done_users = len(self._users) - len(places)
        for start in range(0, len(places), USERS_A_LOOK):
            some = places[start : start + USERS_A_LOOK]
            store = self._service.subscriptions
            found = await store.of_users([self._users[place] for place in some])
            for place in some:
                yield place, [one for one in found[self._users[place]] if not record.has(one.id)]

    async def _serve(
        self, place: int, subscription: StoredSubscription, ids: Sequence[str]
    ) -> None:
        try:
            verdict = await self._service.pusher.send(
                subscription, self._message, timeout_s=self._patience_s()
            )
            await self._note(place, subscription, verdict, ids)
            if not self._all_begun:
                await self._record.keep()
        except Exception as error:
            self._error = self._error or error
        finally:
            self._slots.release()

    async def _note(
        self,
        place: int,
        subscription: StoredSubscription,
        verdict: Verdict,
        ids: Sequence[str],
    ) -> None:
        if verdict.kind == "later":
            self._later.append(verdict)
            self._late_users.add(place)
            log.warning(
                "push to subscription %s failed for now: %s", subscription.id, verdict.reason
            )
        else:
            delivered = verdict.kind == "delivered"
            self._record.add(subscription.id, None if delivered else verdict.reason)
            if verdict.kind == "gone" or verdict.malformed:
                await self._service.subscriptions.remove(subscription.id)
                log.info(
                    "subscription %s of user %r was removed: %s",
                    subscription.id,
                    subscription.user_id,
                    verdict.reason,
                )
            elif not delivered:
                log.error("push to subscription %s failed: %s", subscription.id, verdict.reason)
        self._open[place] -= 1
        if not self._open[place] and place not in self._late_users:
            self._end_user(place, ids)

    def _end_user(self, place: int, ids: Sequence[str]) -> None:
        self._record.add_user(place, ids)
        self._done_users += 1
        percent = 100 * self._done_users // len(self._users)
        if percent != self._percent:
            self._percent = percent
            self._report(percent)

    def _patience_s(self) -> float:
        """Return how long a request may take, so that the attempt ends in time."""
        left_s = self._context.remaining_s
        most_s = self._service.settings.timeout_s
        return most_s if left_s is None else max(0.1, min(most_s, left_s - MARGIN_S))

    def _is_late(self) -> bool:
        """Whether a request that began now might outlast the attempt."""
        left_s = self._context.remaining_s
        if left_s is None or not self._began:
            return False
        return left_s < self._service.settings.timeout_s + MARGIN_S

    async def _end_running(self) -> None:
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _leave_rest(self) -> None:
        """End the attempt, unless it was the last one that may serve anybody.

        Raises:
            Retry, Snooze, PushLaterError: There will be another.
        """
        context, settings = self._context, self._service.settings
        await self._record.keep()
        waits = [one.retry_after_s for one in self._later if one.retry_after_s]
        # Later than that, the message would be too old.
        wait_s = min(max(waits), float(settings.ttl_s) or max(waits)) if waits else 0.0
        if not self.is_whole and self._began > len(self._later):
            raise Snooze(after_s=wait_s)  # it got on: that is no failed attempt
        reason = self._reason()
        if context.attempt >= context.max_attempts:
            if self._record.sent:
                return
            raise PushLaterError(reason)
        if wait_s:
            raise Retry(reason, after_s=wait_s)
        raise PushLaterError(reason)

    def _reason(self) -> str:
        if not self._later:
            return "there was no time for all subscriptions"
        first, others = self._later[0].reason, len(self._later) - 1
        return first if not others else f"{first}; and {others} more subscriptions are left"
