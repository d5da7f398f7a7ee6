"""What becomes of a job that its worker has no task for: it waits for a worker that has one.

While a deploy is under way, old and new workers share a queue. An old one that gets a job of a new
task puts it back with a pause, which costs the job no attempt; one that waits for too long fails.
How long it has waited so far stands in the job's history, as `Attempt.unknown_since_ms`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, get_args

from toril.core.checks import nearest, require
from toril.core.errors import BackendError, UnknownTaskError
from toril.core.loggers import logger
from toril.engine.contract.jobs import Jobs
from toril.engine.contract.workers import ANY_NAME
from toril.engine.handler import Handlers
from toril.engine.job import Claimed, unknown_since_ms
from toril.engine.outcomes import Outcome
from toril.engine.wording import cut, span

log = logger("toril.worker")

Policy = Literal["wait", "fail"]

PATIENCE_S = 24 * 3600.0
"""How long a job waits for a worker that has its task, unless the app says otherwise."""
FIRST_PAUSE_MS = 1_000
LONGEST_PAUSE_MS = 600_000
APART_MS = 10
"""Between two jobs of one name that come back to the queue: of a million, a worker takes some
thousand a second at the very most, and spends its time on the jobs that it can run."""
MOST_NAMES = 100
"""Names that one worker warns of. Whoever adds jobs may make up names without end."""


class PostponedError(Outcome):
    """The job goes back for `wait_ms`, without counting an attempt."""

    def __init__(self, reason: str, *, wait_ms: int, since_ms: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_ms = wait_ms
        self.since_ms = since_ms


class UnknownTasks:
    """Judges the jobs that one worker has no task for."""

    def __init__(
        self,
        jobs: Jobs,
        handlers: Handlers,
        *,
        policy: Policy,
        patience_s: float,
        who: str,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Make a judge.

        Parameters:
            jobs: Where the history of jobs is read.
            handlers: The tasks that there are.
            policy: `wait`: jobs go back and wait. `fail`: they fail at once.
            patience_s: How long they wait in all before they fail, in seconds.
            who: The worker, and the version of its code, for people.
            draw: Returns a number in [0, 1).
        """
        self._jobs = jobs
        self._handlers = handlers
        self._policy = policy
        self._patience_ms = round(patience_s * 1000)
        self._who = who
        self._draw = draw
        self._warned: set[tuple[str, str]] = set()
        self._back_ms: dict[tuple[str, str], int] = {}
        """By queue and name: when the last of their jobs comes back."""

    def postpones(self, claimed: Claimed) -> bool:
        """Whether a job is one to be put back."""
        is_known = self._handlers.find(claimed.queue, claimed.name) is not None
        waits = self._policy == "wait"
        return not is_known and waits and not self._handlers.is_closed(claimed.queue)

    async def judge(self, claimed: Claimed) -> None:
        """Say what happens to a job; never returns.

        Raises:
            PostponedError: It waits.
            UnknownTaskError: It fails, now or after all this time.
        """
        if self._handlers.is_closed(claimed.queue):
            raise UnknownTaskError(f"Unknown job type: {cut(claimed.name)}")
        hint = self._hint(claimed)
        if self._policy == "fail":
            raise UnknownTaskError(
                f"{self._who} has no task {cut(claimed.name)!r} on queue {claimed.queue!r}{hint}:"
                " deploy the task, then retry the job"
            )
        now_ms = claimed.started_ms
        since_ms = await self._since(claimed)
        left_ms = since_ms + self._patience_ms - now_ms
        if left_ms <= 0:
            raise UnknownTaskError(
                f"no worker that took the job has had a task {cut(claimed.name)!r} on queue"
                f" {claimed.queue!r} for {span(now_ms - since_ms)}; the last one was"
                f" {self._who}{hint}: deploy the task, then retry the job"
            )
        self._warn(claimed, hint)
        raise PostponedError(
            f"{self._who} has no task {cut(claimed.name)!r}{hint}",
            wait_ms=min(self._pause_ms(claimed, now_ms - since_ms), left_ms),
            since_ms=since_ms,
        )

    async def _since(self, claimed: Claimed) -> int:
        """Return since when no worker that took the job has had a task for it."""
        if claimed.attempts_started <= claimed.attempts_made + 1:
            return claimed.started_ms  # nobody has put it back yet
        try:
            record = await self._jobs.get(claimed.queue, claimed.id)
        except BackendError:  # it is put back all the same, and waits a little longer
            return claimed.started_ms
        attempts = [] if record is None else record.attempts
        found = unknown_since_ms(attempts, before=claimed.attempts_started)
        return claimed.started_ms if found is None else found

    def _pause_ms(self, claimed: Claimed, waited_ms: int) -> int:
        """Return for how long the job goes away: half as long as it has waited, within bounds.

        Longer, if many of its name are away already. By chance down to half of that, so that jobs
        which were taken together are not looked at together for ever.
        """
        key, now_ms = (claimed.queue, claimed.name), claimed.started_ms
        if key not in self._back_ms and len(self._back_ms) >= MOST_NAMES:
            self._back_ms.clear()
        back_ms = max(now_ms, self._back_ms.get(key, 0)) + APART_MS
        back_ms = self._back_ms[key] = min(back_ms, now_ms + LONGEST_PAUSE_MS)
        pause_ms = min(max(FIRST_PAUSE_MS, waited_ms // 2, back_ms - now_ms), LONGEST_PAUSE_MS)
        return round(pause_ms * (1 + self._draw()) / 2)

    def _warn(self, claimed: Claimed, hint: str) -> None:
        key = (claimed.queue, claimed.name)
        if key in self._warned or len(self._warned) >= MOST_NAMES:
            return
        self._warned.add(key)
        log.warning(
            "%s has no task %r on queue %r%s: its jobs wait for a worker that has it, and fail"
            " after %s%s",
            self._who,
            cut(claimed.name),
            claimed.queue,
            hint,
            span(self._patience_ms),
            "; further names are not reported" if len(self._warned) == MOST_NAMES else "",
        )

    def _hint(self, claimed: Claimed) -> str:
        names = [name for name in self._handlers.names(claimed.queue) if name != ANY_NAME]
        close = nearest(claimed.name, names)
        if close is not None:
            return f" (the nearest is {close!r})"
        return "" if names else " (it has none there)"


def require_policy(policy: object, patience_s: float) -> None:
    """Refuse what is no policy.

    Raises:
        InvalidOptionError: The message names the option.
    """
    require(policy in get_args(Policy), "unknown_tasks", policy, "'wait' or 'fail'")
    require(patience_s > 0, "unknown_task_patience", patience_s, "seconds, above 0")
