"""SIGTERM: a worker lets jobs end, gives back the rest at no cost, and leaves in time."""

from __future__ import annotations

import itertools
import signal
import time

from tests.faults.support import PROGRAMS, Say, Stage
from tests.support.waiting import wait_until

from toril.engine.job import NewJob
from toril.engine.stopping import FAREWELL_S

SLACK_S = 10.0
"""For a machine that is busy."""


async def test_terminated_worker_loses_nothing_and_leaves_in_time(stage: Stage, say: Say) -> None:
    gate = stage.folder / "gate"
    queues = ["held", "loop", "thread", "process"]
    options = {"--queues": ",".join(queues), "--concurrency": "20", "--shutdown": "2s"}
    worker = stage.command("worker", f"{PROGRAMS}.tasks:app", *itertools.chain(*options.items()))
    held = [await stage.add("held", "hold_until", path=str(gate)) for _ in range(5)]
    keys = await stage.add_marking({"loop": 200, "thread": 200, "process": 6}, 0.2)
    await wait_until(lambda: len(stage.marks) > 50, deadline_s=60, what="the worker to be busy")

    began_s = time.monotonic()
    worker.send(signal.SIGTERM)
    code = await worker.ended(deadline_s=60)
    took_s = time.monotonic() - began_s

    assert code == 0, worker.errors
    assert took_s < 2.0 + FAREWELL_S + SLACK_S
    assert await stage.figure("active") == 0
    assert await stage.app.workers() == []
    for job in held:
        info = await job.info()
        assert info.state == "wait"
        assert (info.attempts_made, info.stalled) == (0, 0)
        assert [attempt.outcome for attempt in info.attempts] == ["released"]
    done = await stage.figure("completed_total")

    gate.touch()
    stage.worker(queues=queues, concurrency=20)
    await stage.until_done(len(keys) + len(held), deadline_s=60)
    await stage.check_each_done_once(keys)
    twice = sum(times > 1 for times in stage.marks.values())
    say(
        f"left after {took_s:.1f} s with {done} of {len(keys)} jobs done and 5 given back; another"
        f" worker did the rest: lost 0, side effects twice {twice}"
    )


async def test_worker_with_poisonous_jobs_goes_on_and_leaves_with_code_0(stage: Stage) -> None:
    """Ten jobs with options nested 1,100 deep took all slots for good, and SIGTERM gave code 1."""
    deep = '{"a":' * 1100 + "1" + "}" * 1100
    poison = [
        NewJob(queue=queue, name=name, data="{}", opts=deep)
        for queue, name in (
            ("loop", "mark_on_loop"),
            ("thread", "mark_in_thread"),
            ("loop", "none"),
        )
        for _ in range(5)
    ]
    await stage.app.backend().jobs.add(poison)
    keys = await stage.add_marking({"loop": 5, "thread": 5}, 0.0)
    worker = stage.worker(queues=["loop", "thread"], concurrency=10)

    await wait_until(lambda: keys <= set(stage.marks), deadline_s=60, what="the others to run")
    worker.send(signal.SIGTERM)
    code = await worker.ended(deadline_s=60)

    assert code == 0, worker.errors
    assert await stage.figure("active") == 0


async def test_second_signal_stops_at_once(stage: Stage, say: Say) -> None:
    worker = stage.worker(queues=["held"], shutdown=3600.0)
    job = await stage.add("held", "hold_until", path=str(stage.folder / "gate"))
    await stage.until_active(1)
    worker.send(signal.SIGTERM)

    async def quiet() -> bool:
        return [one.quiet for one in await stage.app.workers()] == [True]

    await wait_until(quiet, what="the first signal to be heard")
    assert worker.is_alive
    assert await stage.figure("active") == 1

    began_s = time.monotonic()
    worker.send(signal.SIGTERM)
    code = await worker.ended(deadline_s=60)
    took_s = time.monotonic() - began_s

    assert code == 0, worker.errors
    assert took_s < FAREWELL_S + SLACK_S
    info = await job.info()
    assert (info.state, info.attempts_made) == ("wait", 0)
    say(f"left {took_s:.1f} s after the second signal")
