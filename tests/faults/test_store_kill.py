"""`kill -9` in the middle of work: what was acknowledged is there, what runs comes back."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.contract import HandWorker, card, check_counts, counts, line

from toril.backends import open_backend
from toril.engine.contract import Backend, JobFilter
from toril.engine.job import JobRecord
from toril.engine.states import State

ROUNDS = 40 if os.environ.get("TORIL_FAULTS") == "full" else 4

PRODUCER = """
import asyncio, os, sys
from toril.backends import open_backend
from toril.engine.job import NewJob

async def produce(backend, name):
    while True:
        answers = await backend.jobs.add([NewJob(queue="q", name=name, data="1")] * 2)
        os.write(1, (" ".join(answer.job_id for answer in answers) + "\\n").encode())

async def main():
    backend = open_backend(sys.argv[1])
    await asyncio.gather(*(produce(backend, str(number)) for number in range(5)))

asyncio.run(main())
"""

CONSUMER = """
import asyncio, os, sys
from toril.backends import open_backend
from toril.engine.contract import Claim, Exchange
from toril.engine.job import Finished

async def main():
    backend = open_backend(sys.argv[1])
    worker_id = f"worker-{os.getpid()}"
    outcomes = []
    while True:
        reply = await backend.dispatch.exchange(Exchange(
            worker_id, outcomes, [Claim(queue="q", limit=5, lease_ms=600_000)], 5))
        done = [one.job_id for one, word in zip(outcomes, reply.words, strict=True) if word == "ok"]
        if done:
            os.write(1, (" ".join(done) + "\\n").encode())
        outcomes = [
            Finished(queue="q", number=one.number, job_id=one.id, token=one.token,
                     kind="completed", attempts_made=1, worker_id=worker_id)
            for one in reply.claimed
        ]
        if not outcomes:
            await backend.dispatch.wait(["q"], reply.seen, timeout_s=0.05)

asyncio.run(main())
"""


@pytest.fixture
async def opener(tmp_path: Path, no_thread_left: None) -> AsyncIterator[Callable[[], Backend]]:
    """Open the store; closed after the test."""
    opened: list[Backend] = []

    def open_it(**options: Any) -> Backend:
        opened.append(open_backend(f"{tmp_path}/toril.db", **options))
        return opened[-1]

    yield open_it
    for backend in opened:
        await backend.lifecycle.close()


def start(program: str, path: Path) -> subprocess.Popen[str]:
    """Start a process that prints what the store acknowledged."""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )


async def run_and_kill(*programs: str, path: Path, after_lines: int) -> list[list[str]]:
    """Run programs, kill them once the first has said so much; return the ids each has printed."""
    processes = [start(program, path) for program in programs]
    heard: list[list[str]] = []
    try:
        first = processes[0].stdout
        assert first is not None
        begun = [await asyncio.to_thread(first.readline) for _ in range(after_lines)]
    finally:
        for process in processes:
            process.kill()
    for process in processes:
        rest, _ = await asyncio.to_thread(process.communicate)
        text = "".join(begun) + rest if process is processes[0] else rest
        # The last line may be cut off in the middle.
        heard.append(text[: text.rfind("\n") + 1].split())
    return heard


@pytest.mark.timeout(300 + ROUNDS * 10)
async def test_killed_producers_leave_every_acknowledged_job(
    opener: Callable[[], Backend], tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    for _ in range(ROUNDS):
        heard = await run_and_kill(
            PRODUCER, PRODUCER, path=tmp_path / "toril.db", after_lines=random.randint(1, 40)
        )
        acknowledged += [job_id for ids in heard for job_id in ids]

    backend = opener()
    assert len(acknowledged) == len(set(acknowledged))
    waiting = await line(backend, State.WAIT, "q", page_size=500)
    assert not set(acknowledged) - set(waiting)
    assert (await backend.lifecycle.check()).ok
    await check_counts(backend)


@pytest.mark.timeout(300 + ROUNDS * 10)
async def test_killed_workers_lose_and_double_nothing(
    opener: Callable[[], Backend], tmp_path: Path
) -> None:
    added: list[str] = []
    done: list[str] = []
    for _ in range(ROUNDS):
        produced, first, second = await run_and_kill(
            PRODUCER, CONSUMER, CONSUMER,
            path=tmp_path / "toril.db", after_lines=random.randint(1, 40),
        )  # fmt: skip
        added += produced
        done += first + second

    backend = opener()
    assert len(done) == len(set(done))
    completed = await line(backend, State.COMPLETED, "q", page_size=500)
    assert not set(done) - set(completed)
    held = (await counts(backend, "q")).get(State.ACTIVE, 0)
    for worker_id in {
        found.worker_id for found in (await _active(backend)) if found.worker_id is not None
    }:
        await _declare_dead(backend, worker_id)
    recovered = await backend.dispatch.recover(max_stalled=1, heartbeat_s=600, limit=10_000)
    assert len(recovered.recovered) == held
    everything = {*completed, *await line(backend, State.WAIT, "q", page_size=500)}
    assert not set(added) - everything

    worker = HandWorker(backend)
    left: list[str] = []
    while claimed := await worker.claim("q", limit=500):
        left += [one.id for one in claimed]
    assert not set(left) & set(completed)
    assert (await backend.lifecycle.check()).ok
    await check_counts(backend)


async def _active(backend: Backend) -> list[JobRecord]:
    page = await backend.jobs.page(JobFilter(queue="q", states=(State.ACTIVE,), limit=1_000))
    return page.jobs


async def _declare_dead(backend: Backend, worker_id: str) -> None:
    await backend.workers.register(card(worker_id, "q"))
    await backend.workers.declare_dead(worker_id)
