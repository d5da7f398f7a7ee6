"""Runs attempts: one claimed job in, exactly one outcome out.

Puts together what calls the task (`running.py`), what ends it in time (`deadlines.py`) and what
makes the outcome (`endings.py`). Knows nothing of leases, fetching or the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.attempt_messages import AttemptMessages
from toril.engine.current_job import ASKED, CURRENT
from toril.engine.deadlines import Deadlines
from toril.engine.drafts import EnqueueMiddleware
from toril.engine.endings import Endings
from toril.engine.flow_asking import FlowAsking
from toril.engine.follow_ups import FollowUpMaker
from toril.engine.handler import Handlers
from toril.engine.hooks import Hooks
from toril.engine.job import Claimed, Finished
from toril.engine.job_log import JobLog
from toril.engine.judging import describe
from toril.engine.message_sender import MessageSender
from toril.engine.middleware import Middleware
from toril.engine.runners import forks
from toril.engine.runners.in_thread import PlainRunner
from toril.engine.runners.processes import ProcessOptions
from toril.engine.running import Runner
from toril.engine.stand_ins import presentable
from toril.engine.surroundings import Surroundings
from toril.engine.tracing import Tracer, ended_with
from toril.engine.unknown_tasks import UnknownTasks

log = logger("toril.worker")


class Executor:
    """The attempts of one worker."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        worker_id: str,
        middleware: Sequence[Middleware],
        hooks: Hooks,
        processes: ProcessOptions,
        unknown: UnknownTasks,
        job_log: JobLog,
        together: Callable[[Sequence[str]], bool],
        finished: Callable[[Attempt, Finished], None],
        sender: MessageSender,
        asking: FlowAsking,
        ending: Callable[[], bool],
        enqueue_middleware: Sequence[EnqueueMiddleware] = (),
        threads: PlainRunner | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """Make an executor.

        Parameters:
            unknown: Judges the jobs that there is no task for.
            job_log: Says what begins.
            together: Whether the store can write these queues in one transaction.
            finished: Takes each outcome; called once per attempt, on the loop.
            sender: Takes progress and log lines.
            asking: Answers questions of tasks about the children of their jobs.
            ending: Whether the program is ending, which cancels all tasks of its loop, ours too.
            enqueue_middleware: What sees each follow-up job first.
            threads: What runs plain functions. Default: threads of its own.
            tracer: Makes spans of the attempts. None: nothing does.
        """
        self.running: dict[tuple[str, int | str], Attempt] = {}
        """By token and number. Read by the lease thread."""
        self._unknown = unknown
        self._finished = finished if tracer is None else ended_with(tracer, finished)
        self._loop = asyncio.get_running_loop()
        self._surroundings = Surroundings()
        self._tells_current = ASKED.asked
        self._tracer = tracer
        self._worker_id = worker_id
        self._prepares = self._tells_current or tracer is not None
        """An attempt's context is not as it came: one look for those whose attempts are all."""
        maker = FollowUpMaker(handlers, together, enqueue_middleware, tracer)
        asking.prepare = maker.prepare
        self._runner = Runner(
            handlers,
            worker_id=worker_id,
            middleware=middleware,
            hooks=hooks,
            messages=AttemptMessages(self._loop, sender, hooks, maker, asking),
            processes=processes,
            unknown=unknown,
            job_log=job_log,
            threads=threads,
            tracer=tracer,
        )
        self._deadlines = Deadlines(
            self.running, abandon=self.abandon, surroundings=self._surroundings.context
        )
        self._endings = Endings(worker_id, ending)
        self._lineage = forks.lineage
        forks.end_with_child(self._loop)

    def start(self, claimed: Claimed, lease_ms: int) -> None:
        """Begin an attempt."""
        attempt = Attempt(claimed, lease_ms)
        self.running[claimed.token, claimed.number] = attempt
        context = self._surroundings.fresh()
        if self._prepares:
            if self._tells_current:
                context.run(CURRENT.set, claimed)
            if self._tracer is not None and not self.postpones(claimed):
                context.run(self._tracer.begin, attempt, self._worker_id)
        attempt.task = self._loop.create_task(self._run(attempt), context=context)
        if not self._deadlines.watching:
            self._deadlines.watch()

    def postpones(self, claimed: Claimed) -> bool:
        """Whether a job would be put back at once, as there is no task for it."""
        return claimed.deferred_failure is None and self._unknown.postpones(claimed)

    async def close(self) -> None:
        """Let go of threads and processes. Nothing may be running any more."""
        self._deadlines.close()
        await self._runner.close()

    def abandon(self, attempt: Attempt) -> None:
        """Record the outcome of an attempt that was told to end and does not."""
        if attempt.task is None or not attempt.task.done():
            log.error("%s does not end and is left behind", attempt.label)
        try:
            outcome = self._endings.stopped(attempt)
        except Exception as error:  # as in `_run`
            outcome = self._endings.last_resort(attempt, error)
        self._settle(attempt, outcome)
        if attempt.task is not None:
            # `asyncio.run` waits for every task that it knows: it would never return.
            # Source: Python's "Extending asyncio", section "Task lifetime support".
            asyncio._unregister_task(attempt.task)

    async def _run(self, attempt: Attempt) -> None:
        """Run one attempt and record exactly one outcome."""
        attempt.begun = True
        try:
            try:
                if attempt.stop_kind is None:
                    outcome = self._endings.returned(attempt, await self._runner.call(attempt))
                else:  # told to end before it began
                    outcome = self._endings.stopped(attempt)
            except Exception as error:
                forks.end_if_forked(self._lineage, error)
                outcome = self._endings.raised(attempt, error)
            except asyncio.CancelledError:
                outcome = self._endings.stopped(attempt)
            except BaseException as error:
                forks.end_if_forked(self._lineage, error)
                substitute = presentable(error, describe(error))
                outcome = self._endings.raised(attempt, substitute)
        except BaseException as error:  # ours, or of what is stored: it must settle all the same
            outcome = self._endings.last_resort(attempt, error)
        if forks.lineage != self._lineage:  # without a call: each attempt comes by
            forks.end_child()
        self._settle(attempt, outcome)

    def _settle(self, attempt: Attempt, outcome: Finished) -> None:
        """Hand the outcome on, once."""
        if attempt.settled:
            return
        attempt.settled = True
        if attempt.follow_ups is not None:
            attempt.follow_ups.take()  # whoever still runs in its name is refused from here on
        claimed = attempt.claimed
        self.running.pop((claimed.token, claimed.number), None)
        self._finished(attempt, outcome)
