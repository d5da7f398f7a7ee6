"""What tests here wait for: a job of Toril's that is in a state, a queue that has done its work."""

from __future__ import annotations

import collections
from collections.abc import Awaitable, Callable, Sequence

from tests.support.bullmq import Told
from tests.support.waiting import wait_until

from toril import App, JobInfo, State

PATIENCE_S = 60.0
"""How long what happens between two processes may take on a busy machine."""


async def until(predicate: Callable[[], object | Awaitable[object]], what: str) -> None:
    """Wait for something that two processes bring about."""
    await wait_until(predicate, what=what, deadline_s=PATIENCE_S)


async def until_in(app: App, job_id: str, state: State, *, queue: str = "paint") -> JobInfo:
    """Wait until a job is in a state, and return what is known of it then."""
    job = app.queue(queue).job(job_id)

    async def is_there() -> bool:
        return (await job.info()).state is state

    await until(is_there, f"job {job_id} to be {state}")
    return await job.info()


async def until_completed(app: App, queue: str, many: int, *, deadline_s: float = 120.0) -> None:
    """Wait until so many jobs of a queue have completed."""

    async def all_done() -> bool:
        info = await app.queue(queue).info()
        return info is not None and info.completed >= many

    await wait_until(all_done, deadline_s=deadline_s, what=f"{many} jobs of {queue} to be done")


async def check_each_done_once(
    wanted: Sequence[str], ours: collections.Counter[str], theirs: Told
) -> None:
    """Fail unless each job was done once, by one of two who worked at the same time.

    Parameters:
        wanted: The ids of all jobs, which have completed.
        ours: How often a task of ours has done each.
        theirs: A worker of BullMQ's.
    """

    def done_there() -> list[str]:
        return [str(job["id"]) for job in theirs.named("completed")]

    # The last of what it tells may still be on its way.
    await until(lambda: len(ours) + len(done_there()) >= len(wanted), "all to be told of")
    together = collections.Counter(done_there())
    shares = len(ours), len(together)
    together.update(ours)
    assert set(together.values()) == {1}
    assert sorted(together) == sorted(wanted)
    assert min(shares) > len(wanted) / 20, shares
