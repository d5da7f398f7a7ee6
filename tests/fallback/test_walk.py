"""An outage from the outside: a page of figures, a worker process, and a server that is stopped.

What an operator sees of it: `type` of a queue's figures, the counter of switches, and each job's
effect once.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fallback.support import away, back
from tests.support.lifelines import dies_with_us
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from toril import App, JobOptions, State

ROOT = Path(__file__).parents[2]
WORKER = """
import asyncio
import sys
from pathlib import Path

from toril import App, Fallback

url, spool, marks = sys.argv[1:]
app = App(url, fallback=Fallback(spool, silence_s=1.0, steady_s=0.3))


@app.task(queue="images", name="shrink")
async def shrink(picture: str) -> str:
    with Path(marks).open("a") as file:
        file.write(f"{picture}\\n")
    return picture


asyncio.run(app.worker().run())
"""


class WorkerProcess:
    """A worker that can be killed and started again."""

    def __init__(self, url: str, spool: str, folder: Path) -> None:
        self.marks = folder / "marks"
        self.marks.touch()
        self._program = folder / "worker_program.py"
        self._program.write_text(WORKER)
        self._command = [sys.executable, str(self._program), url, spool, str(self.marks)]
        self._log = folder / "worker.log"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            command = [*dies_with_us(), *self._command]
            self._running = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)

    def kill(self) -> None:
        """Kill it by SIGKILL."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def made(self) -> Counter[str]:
        """Return how often each picture was made."""
        return Counter(self.marks.read_text().splitlines())


@pytest.fixture
def worker(server: RedisServer, spool: str, tmp_path: Path) -> Iterator[WorkerProcess]:
    process = WorkerProcess(server.url, spool, tmp_path)
    yield process
    process.kill()


async def stats(app: App, queue: str) -> dict[str, Any]:
    """Return what a board of Bull shows of a queue."""
    info, state = await app.queue(queue).info(), await app.store_state()
    figures = {} if info is None else {
        "waiting": info.waiting, "active": info.active,
        "completed": info.completed, "failed": info.failed,
    }  # fmt: skip
    return {**figures, "type": state.type}


async def switches(app: App) -> list[float]:
    """Return the counter of switches: away, and back."""
    text = await app.prometheus()
    return [
        float(next(line for line in text.splitlines() if line.startswith(start)).split()[-1])
        for start in (
            'toril_store_switches_total{from="redis",to="spool"}',
            'toril_store_switches_total{from="spool",to="redis"}',
        )
    ]


async def test_outage_as_an_operator_sees_it(
    make_app: Callable[..., App], server: RedisServer, worker: WorkerProcess
) -> None:
    app = make_app(work=False, silence_s=2.0)
    queue = app.queue("images")
    worker.start()
    await queue.add("shrink", {"picture": "before"})
    await wait_until(lambda: worker.made()["before"] == 1, deadline_s=90)

    async def settled() -> bool:
        return (await stats(app, "images")).get("completed") == 1

    await wait_until(settled, deadline_s=30)
    assert await stats(app, "images") == {
        "waiting": 0, "active": 0, "completed": 1, "failed": 0, "type": "bull",
    }  # fmt: skip
    away_before, back_before = await switches(app)
    assert away_before == back_before

    server.kill()
    await away(app)
    during = [await queue.add("shrink", {"picture": f"during-{n}"}) for n in range(3)]
    assert (await stats(app, "images"))["type"] == "in-memory"
    assert await switches(app) == [away_before + 1, back_before]
    await wait_until(
        lambda: all(worker.made()[f"during-{n}"] == 1 for n in range(3)), deadline_s=90,
        what="the jobs of the outage",
    )  # fmt: skip

    async def ended() -> bool:  # a job whose mark is there may not have told its end yet
        figures = await stats(app, "images")
        return (figures["active"], figures["waiting"]) == (0, 0)

    await wait_until(ended, what="the end of the outage's jobs")
    late = await queue.add("shrink", {"picture": "late"}, JobOptions(delay_s=3.0))
    assert (await late.info()).state is State.DELAYED
    worker.kill()

    server.restart()
    worker.start()
    await back(app)
    assert (await stats(app, "images"))["type"] == "bull"
    assert await switches(app) == [away_before + 1, back_before + 1]
    assert server.command("HGET", f"bull:images:{late.id}", "name") == "shrink"
    await wait_until(lambda: worker.made()["late"] == 1, deadline_s=90, what="the delayed job")

    async def all_done() -> bool:
        figures = await stats(app, "images")
        return (figures["completed"], figures["active"], figures["waiting"]) == (5, 0, 0)

    await wait_until(all_done, deadline_s=60)
    assert set(worker.made().values()) == {1}, "each job once"
    assert [(await job.info()).state for job in during] == [State.COMPLETED] * 3
    latest = (await app.store_state()).latest[-2:]
    assert [(one.source, one.target) for one in latest] == [("redis", "spool"), ("spool", "redis")]
