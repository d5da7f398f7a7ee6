"""Adds jobs: to Redis, and to the spool once Redis has been silent for too long.

Each call has a name that Redis remembers (`Repeats`), so that a call whose answer was lost is sent
again, now or when Redis is back, and is carried out once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from toril.backends.pending import Gathering, Pending
from toril.core.errors import (
    BackendClosedError,
    BackendError,
    StoreBusyError,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnreachableError,
)
from toril.engine.job import Added, NewJob
from toril.engine.repeats import CallId, Repeats
from toril.engine.spool_ids import new_book
from toril.fallback.breaker import Breaker
from toril.fallback.options import Fallback
from toril.fallback.spool import Spool

AT_ONCE = 500
"""Jobs that travel together."""
TOGETHER = 32
"""Producers that go on together: the server and they work at the same time."""
TICK_S = 0.1
"""Between two looks whether the oldest call is overdue."""
LATE_S = 0.2
"""A look that comes so late finds an event loop that was blocked: what was answered meanwhile has
not been read yet."""
RETRY_S = 0.05
LONGEST_S = 10.0
"""A call that has not been answered for so long goes to the spool though Redis answers others."""
BOOK = 128
"""Calls of one book: Redis holds so few fields of a hash in little memory."""
GATE_S = 0.5
"""For how long adding waits at most for the last jobs of the spool to move."""
LOOK_S = 0.002

REFUSALS = (StoreUnreachableError, StoreFullError, StoreReadOnlyError, StoreBusyError)
"""Errors that say that the whole server cannot be written."""


class Waiting(Protocol):
    """Who waits for the answers to a call. `Pending` is one."""

    def succeed_by_turns(
        self, answers: Sequence[Added | Exception], *, together: int, first: int = 0
    ) -> None:
        """Hand over the answers."""
        ...

    def fail(self, error: BaseException) -> None:
        """Hand over an error."""
        ...


class Call:
    """One call: jobs that travel together. Made for each add: nothing in it is for show."""

    __slots__ = ("error", "id", "jobs", "lost", "sent", "settled", "since_s", "task", "waiting")

    def __init__(self, call_id: CallId, jobs: Sequence[NewJob], waiting: Waiting) -> None:
        self.id = call_id
        self.jobs = jobs
        self.waiting = waiting
        self.since_s = time.monotonic()
        self.sent = self.lost = self.settled = False
        """Redis was given it, and has not answered. An answer to it was lost. It was answered, or
        goes to the spool."""
        self.error: BackendError | None = None
        self.task: asyncio.Task[None] | None = None

    def answer(self, answers: Sequence[Added | Exception]) -> None:
        """Hand the answers to who waits."""
        self.waiting.succeed_by_turns(answers, together=TOGETHER)

    def fail(self, error: BaseException) -> None:
        """Hand an error to who waits."""
        self.waiting.fail(error)


class _Several:
    """Who waits for jobs that were added together."""

    def __init__(self, future: asyncio.Future[Sequence[Added | Exception]]) -> None:
        self._future = future

    def succeed_by_turns(
        self, answers: Sequence[Added | Exception], *, together: int, first: int = 0
    ) -> None:
        if not self._future.done():
            self._future.set_result(answers)

    def fail(self, error: BaseException) -> None:
        if not self._future.done():
            self._future.set_exception(error)


class _Part:
    """Who waits for one job of several that are sent one by one, as one of them cannot be sent."""

    def __init__(self, index: int, answers: list[Added | Exception | None], call: Call) -> None:
        self._index = index
        self._answers = answers
        self._call = call

    def succeed_by_turns(
        self, answers: Sequence[Added | Exception], *, together: int, first: int = 0
    ) -> None:
        self._note(answers[0])

    def fail(self, error: BaseException) -> None:
        self._note(error if isinstance(error, Exception) else BackendError(repr(error)))

    def _note(self, answer: Added | Exception) -> None:
        self._answers[self._index] = answer
        done = [one for one in self._answers if one is not None]
        if len(done) == len(self._answers):
            self._call.answer(done)


class Adder:
    """Adds jobs for the callers of all event loops."""

    def __init__(
        self,
        repeats: Repeats,
        spool: Spool,
        breaker: Breaker,
        options: Fallback,
        *,
        probe: Callable[[], Awaitable[BackendError | None]],
    ) -> None:
        """Make it.

        Parameters:
            repeats: Redis.
            spool: Where jobs go while Redis is away.
            breaker: Says which of them is live.
            options: The app's.
            probe: Looks whether Redis can be written; returns why it cannot.
        """
        self.repeats = repeats
        self.spool = spool
        self.breaker = breaker
        self.options = options
        self.probe = probe
        self._gathering = Gathering(self._send, AT_ONCE)
        self._desks: dict[asyncio.AbstractEventLoop, _Desk] = {}

    async def add(self, jobs: Sequence[NewJob]) -> list[Added]:
        """Add jobs, as `Jobs.add`."""
        if len(jobs) == 1:
            return [await self._gathering.add(jobs[0])]
        if not jobs:
            return []
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[Added | Exception]] = loop.create_future()
        self._desk(loop).send(jobs, _Several(future))
        return _all_added(await future)

    def _send(self, pending: Pending) -> None:
        loop = asyncio.get_running_loop()
        (self._desks.get(loop) or self._desk(loop)).send(pending.jobs, pending)

    def _desk(self, loop: asyncio.AbstractEventLoop) -> _Desk:
        desk = self._desks.get(loop)
        if desk is None:
            self._desks = {one: d for one, d in self._desks.items() if not one.is_closed()}
            desk = self._desks[loop] = _Desk(self, loop)
        return desk


class _Desk:
    """The calls of one event loop. Used in its thread only."""

    def __init__(self, adder: Adder, loop: asyncio.AbstractEventLoop) -> None:
        self._adder = adder
        self._breaker = adder.breaker
        self._repeats = adder.repeats
        self._loop = loop
        self._book = new_book()
        self._number = 0
        self._old_books: list[str] = []
        """Books of which a call may be unanswered."""
        self._in_flight: dict[Call, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._excused = False
        """The last look came late, and concluded nothing; the next one does, late or not."""
        self._heard_s = 0.0
        self._kept_books: set[str] = set()
        """Books with a call that was sent twice, or will be: Redis forgets these by itself."""
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, jobs: Sequence[NewJob], waiting: Waiting) -> None:
        """Send jobs to the store that is live."""
        if self._number == BOOK:
            self._old_books.append(self._book)
            self._book, self._number = new_book(), 0
        self._number += 1
        call = Call(CallId(self._book, self._number), jobs, waiting)
        if self._breaker.away:
            self._take(call)
        else:
            self._deliver(call)

    def _deliver(self, call: Call) -> None:
        self._in_flight[call] = None
        if self._timer is None:
            self._arm()
        try:
            started = self._repeats.start(call.id, call.jobs, partial(self._done, call))
        except Exception:  # one of them cannot be sent: the other way finds out which
            started = False
        if started:
            call.sent = True
        else:
            call.task = self._spawn(self._insist(call, None))

    def _done(
        self, call: Call, answers: Sequence[Added | Exception] | None, error: BaseException | None
    ) -> None:
        if call.settled:
            return
        if answers is not None:
            self._heard_s = time.monotonic()
            call.settled = True
            self._in_flight.pop(call, None)
            call.waiting.succeed_by_turns(answers, together=TOGETHER)
        else:
            call.task = self._spawn(self._insist(call, error))

    async def _insist(self, call: Call, error: BaseException | None) -> None:
        """Send a call again until it is answered, or goes to the spool."""
        while not call.settled:
            if error is not None:
                if not isinstance(error, BackendError):
                    self._refuse(call, error)
                    return
                if not await self._is_worth_another_try(call, error):
                    return
            try:
                answers = await self._repeats.add(
                    call.id, call.jobs, sending=partial(_sending, call)
                )
            except Exception as caught:
                error = caught
            else:
                self._done(call, answers, None)
                return

    async def _is_worth_another_try(self, call: Call, error: BackendError) -> bool:
        """Draw the conclusions from an error; wait a little before another try."""
        call.error = error
        if getattr(error, "sent", False):
            # Its request may still be under way to Redis, and come after the one that is answered.
            call.lost = True
            self._kept_books.add(call.id.book)
        call.sent = False
        if isinstance(error, BackendClosedError):
            self._settle(call)
            call.fail(error)
            return False
        if not isinstance(error, REFUSALS):
            trouble = await self._adder.probe()
            if call.settled:
                return False
            if trouble is None:  # it is this call that the server refuses
                self._settle(call)
                call.fail(error)
                return False
            self._trip(str(trouble))
            return False
        await asyncio.sleep(RETRY_S)
        return not call.settled

    def _refuse(self, call: Call, error: BaseException) -> None:
        """Fail a call that cannot be sent: of several jobs only the one that it is for."""
        self._settle(call)
        if len(call.jobs) == 1:
            call.fail(error)
            return
        answers: list[Added | Exception | None] = [None] * len(call.jobs)
        for index, job in enumerate(call.jobs):
            self.send([job], _Part(index, answers, call))

    def _settle(self, call: Call) -> None:
        call.settled = True
        self._in_flight.pop(call, None)

    def _take(self, call: Call) -> None:
        """Have a call go to the spool."""
        self._settle(call)
        if call.sent or call.lost:
            self._kept_books.add(call.id.book)
        if call.task is not None and call.task is not asyncio.current_task():
            call.task.cancel()
        self._spawn(self._spool(call))

    async def _spool(self, call: Call) -> None:
        breaker = self._breaker
        unsure = call.sent or call.lost
        until_s = time.monotonic() + GATE_S
        while True:
            breaker.begin_spooling()
            if unsure or (breaker.away and (not breaker.gate or time.monotonic() > until_s)):
                break
            breaker.end_spooling()
            if not breaker.away:  # the last jobs of the spool have moved: it is Redis' turn
                call.settled, call.since_s, call.task = False, time.monotonic(), None
                self._deliver(call)
                return
            await asyncio.sleep(LOOK_S)
        try:
            answers = await self._adder.spool.keep(call.id, call.jobs, unsure=unsure)
        except Exception as error:
            call.fail(error)
        else:
            call.answer(answers)
        finally:
            breaker.end_spooling()

    def _trip(self, reason: str) -> None:
        self._breaker.trip(reason, reachable=False)
        self._take_all()

    def _take_all(self) -> None:
        for call in list(self._in_flight):
            self._take(call)

    def _arm(self) -> None:
        self._due_s = time.monotonic() + TICK_S
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        """Look whether the oldest call is overdue."""
        now_s = time.monotonic()
        self._timer = None
        self._excused = now_s - self._due_s > LATE_S and not self._excused
        if self._breaker.away:
            self._take_all()
        elif self._in_flight and not self._excused:
            oldest = next(iter(self._in_flight))
            silent_s = now_s - max(oldest.since_s, self._heard_s)
            if silent_s >= self._adder.options.silence_s or now_s - oldest.since_s > LONGEST_S:
                reachable = isinstance(oldest.error, StoreFullError | StoreReadOnlyError)
                reason = (
                    f"no answer for {silent_s:.1f} s" if oldest.error is None else str(oldest.error)
                )
                self._breaker.trip(reason, reachable=reachable)
                self._take_all()
        if self._old_books:
            self._close_books()
        if self._in_flight:
            self._arm()

    def _close_books(self) -> None:
        """Have Redis forget the books whose calls were all answered."""
        open_books = {call.id.book for call in self._in_flight}
        for book in self._old_books:
            if book not in open_books and book not in self._kept_books:
                self._spawn(self._forget(book))
        self._old_books = [book for book in self._old_books if book in open_books]

    async def _forget(self, book: str) -> None:
        with suppress(BackendError):  # it expires by itself
            await self._repeats.forget(book)

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = self._loop.create_task(_run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _run(work: Awaitable[None]) -> None:
    await work


def _sending(call: Call) -> None:
    call.sent = True


def _all_added(answers: Sequence[Added | Exception]) -> list[Added]:
    added = [one for one in answers if isinstance(one, Added)]
    for one in answers:
        if isinstance(one, BackendError):
            raise BackendError(f"{one}. Of {len(answers)} jobs {len(added)} were added")
        if isinstance(one, Exception):
            raise one
    return added
