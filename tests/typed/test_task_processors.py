"""Processors in child processes, and processors whose work is a ready-made task, on both stores."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.waiting import wait_until

from toril import App, InvalidOptionError, JobOptions, State, TaskBundle, WholePayload, provided
from toril.typed import (
    JobSettings,
    Processor,
    ProcessorJob,
    Processors,
    Producer,
    QueueRegistry,
    QueueSpec,
    TaskProcessor,
)

MIB = 1024 * 1024
KEEPS = JobSettings(attempts=2, remove_on_complete=False)


class Size(msgspec.Struct, rename="camel"):
    mib_wanted: int
    does: str = "allocates"


HEAVY = QueueSpec("heavy", profile="heavy", defaults=KEEPS, timeout_s=30.0)
QUICK = QueueSpec("quick", profile="heavy", timeout_s=1.0, defaults=JobSettings(attempts=1))
LIGHT = QueueSpec("light", profile="light", defaults=KEEPS)
SHORT = QueueSpec("short", lock_duration=1000, stalled_interval=200, defaults=KEEPS)
MADE = QueueSpec("made", defaults=KEEPS)
SAME = QueueSpec("same", defaults=KEEPS)
OWN = QueueSpec("own", defaults=KEEPS)
WHOLE = QueueSpec("whole", defaults=KEEPS)


class HeavyProcessor(
    Processor[Size, list[int]], spec=HEAVY, run_in="process", max_memory_bytes=256 * MIB
):
    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def process(self, job: ProcessorJob[Size]) -> list[int]:
        if job.data.does == "waits":
            job.update_progress(os.getpid())
            job.context.sleep(60)
        block = bytearray(job.data.mib_wanted * MIB)
        return [os.getpid(), len(block), type(self).made, job.attempts_made]


class QuickProcessor(Processor[Size, None], spec=QUICK, run_in="process"):
    async def process(self, job: ProcessorJob[Size]) -> None:
        time.sleep(60)  # as code that nobody can interrupt


class BlockingProcessor(Processor[str, str], spec=SHORT):
    async def process(self, job: ProcessorJob[str]) -> str:
        time.sleep(3.5)  # nothing else runs on the loop
        return "done"


class LightProcessor(Processor[str, str], spec=LIGHT):
    async def process(self, job: ProcessorJob[str]) -> str:
        return job.data


ready_made = TaskBundle()


@ready_made.task(name="ready.made", queue="ready", run_in="thread")
def square(number: int, label: str = "", *, factor: int = provided(int)) -> int:
    return number * number * factor


@ready_made.task(name="ready.whole", queue="ready")
async def whole(payload: WholePayload[dict[str, Any]]) -> dict[str, Any]:
    return payload


class Numbered(msgspec.Struct, rename="camel"):
    the_number: int


class Squared(msgspec.Struct, rename="camel"):
    of_number: int
    found: int


class MadeProducer(Producer[Numbered, Squared], spec=MADE):
    pass


class MadeProcessor(TaskProcessor[Numbered, Squared], spec=MADE, runs=square):
    def arguments(self, payload: Numbered) -> Any:
        if payload.the_number > 100:
            raise ValueError("the number is too large")
        return square.arguments_of(number=payload.the_number)

    def result(self, payload: Numbered, result: Any) -> Squared:
        return Squared(of_number=payload.the_number, found=result)


class Named(msgspec.Struct, rename="camel"):
    number: int
    label: str


class SameProcessor(TaskProcessor[Named, int], spec=SAME, runs=square):
    pass


class HeirProcessor(SameProcessor):
    """As another of the same queue that only adds a hook would be."""


class OwnProcessor(TaskProcessor[Any, int], spec=OWN, runs=square):
    pass


class WholeProcessor(TaskProcessor[Numbered, dict[str, Any]], spec=WHOLE, runs=whole):
    pass


QUEUES = QueueRegistry(
    [HEAVY, QUICK, LIGHT, SHORT, MADE, SAME, OWN, WHOLE], producers=[MadeProducer]
)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind."""
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


def app_with(url: str, *processors: Processor[Any, Any]) -> tuple[App, Processors]:
    app, made = App(url), Processors(QUEUES, processors)
    made.register(app)
    return app, made


async def test_child_that_outgrows_its_memory_is_a_failed_attempt(url: str) -> None:
    app, processors = app_with(url, HeavyProcessor(), LightProcessor())
    async with app:
        large = await app.queue("heavy").add(
            "process", {"mibWanted": 400}, options=JobOptions(backoff_s=0.0)
        )
        small = await app.queue("heavy").add("process", {"mibWanted": 1})
        light = await app.queue("light").add("process", "hello")
        heavy_worker, light_worker = processors.workers(app)
        async with heavy_worker, light_worker:
            assert await light.result(timeout_s=60) == "hello"
            pid, size, made, before = await small.result(timeout_s=60)
            await wait_until(lambda: _is(large, State.FAILED), what="the large one to fail")
        info = await large.info()

    assert (size, made, before) == (MIB, 1, 0)
    assert pid != os.getpid()
    assert info.attempts_made == 2
    assert "MemoryError" in str(info.failed_reason)


async def test_killed_child_is_a_failed_attempt_that_names_the_signal(url: str) -> None:
    app, processors = app_with(url, HeavyProcessor())
    async with app:
        job = await app.queue("heavy").add(
            "process", {"mibWanted": 1, "does": "waits"}, options=JobOptions(max_attempts=1)
        )
        (worker,) = processors.workers(app)
        async with worker:
            await wait_until(lambda: _has_progress(job), what="the child to say who it is")
            os.kill(int((await job.info()).progress), signal.SIGKILL)  # as the kernel does
            await wait_until(lambda: _is(job, State.FAILED), what="it to fail")
        info = await job.info()

    assert "SIGKILL" in str(info.failed_reason)


async def test_processor_that_never_returns_is_ended_and_its_slot_is_free(url: str) -> None:
    app, processors = app_with(url, QuickProcessor())
    async with app:
        jobs = [await app.queue("quick").add("process", {"mibWanted": 1}) for _ in range(2)]
        (worker,) = processors.workers(app)
        async with worker:
            for job in jobs:
                await wait_until(lambda job=job: _is(job, State.FAILED), what="it to fail")  # type: ignore[misc]
        reasons = [str((await job.info()).failed_reason) for job in jobs]

    assert all("AttemptTimeoutError" in reason for reason in reasons), reasons


async def test_job_that_blocks_its_loop_for_three_locks_keeps_its_own(url: str) -> None:
    """Locks are renewed beside the job: it may outlast its own, and no other worker takes it."""
    program = """
import asyncio, sys
from tests.typed.test_task_processors import BlockingProcessor, app_with

async def main():
    app, processors = app_with(sys.argv[1], BlockingProcessor())
    async with app:
        await processors.workers(app)[0].run(until_idle=True)

asyncio.run(main())
"""
    app, processors = app_with(url, BlockingProcessor())
    async with app:
        job = await app.queue("short").add("process", "x")
        (looks,) = processors.workers(app)
        looks.pause()  # it claims nothing, and looks for lost jobs five times a second
        async with looks:
            child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, url)
            assert await job.result(timeout_s=120) == "done"
            assert await child.wait() == 0
        info = await job.info()

    assert (info.attempts_started, info.attempts_made, info.stalled) == (1, 1, 0)


async def test_task_runs_the_jobs_of_a_queue(url: str) -> None:
    app, processors = app_with(url, MadeProcessor(), WholeProcessor())
    app.provide(3, int)
    async with app:
        producer = QUEUES.producers(app).get(MadeProducer)
        good = await producer.enqueue(Numbered(4))
        bad = await app.queue("whole").add("process", {"theNumber": 1})
        first, second = processors.workers(app)
        async with first, second:
            assert await good.result(timeout_s=60) == Squared(4, 48)
            assert await bad.result(timeout_s=60) == {"theNumber": 1}
        assert (await good.info()).name == "process"


async def test_fields_of_the_payload_are_the_tasks_parameters(url: str) -> None:
    assert HeirProcessor().task() is square
    app, processors = app_with(url, HeirProcessor(), OwnProcessor())
    app.provide(2, int)
    async with app:
        typed = await app.queue("same").add("process", {"number": 3, "label": "x"})
        own = await app.queue("own").add("process", {"number": 4})
        first, second = processors.workers(app)
        async with first, second:
            assert await typed.result(timeout_s=60) == 18
            assert await own.result(timeout_s=60) == 32


async def test_payload_that_a_task_cannot_use_fails_once(url: str) -> None:
    app, processors = app_with(url, MadeProcessor())
    app.provide(3, int)
    stranger = App(url)  # one that knows no types, as Node
    async with app, stranger:
        add = stranger.queue("made").add
        jobs = [await add("process", data) for data in ({"theNumber": "4"}, {"theNumber": 101})]
        (worker,) = processors.workers(app)
        async with worker:
            for job in jobs:
                await wait_until(lambda job=job: _is(job, State.FAILED), what="it to fail")  # type: ignore[misc]
        infos = [await job.info() for job in jobs]

    assert [info.attempts_made for info in infos] == [1, 1]
    assert "theNumber" in str(infos[0].failed_reason)
    assert "the number is too large" in str(infos[1].failed_reason)


def test_what_makes_no_sense_is_refused_where_the_class_is_made() -> None:
    with pytest.raises(InvalidOptionError, match="max_memory_bytes=1 is of child processes"):

        class _Limited(Processor[str, str], spec=LIGHT, max_memory_bytes=1):
            pass

    with pytest.raises(InvalidOptionError, match="run_in='thread': expected 'process', or None"):

        class _Threaded(Processor[str, str], spec=LIGHT, run_in="thread"):  # type: ignore[arg-type]
            pass

    with pytest.raises(InvalidOptionError, match="runs=None: expected a task"):

        class _Idle(TaskProcessor[str, str], spec=LIGHT):
            pass

    with pytest.raises(InvalidOptionError, match="the task says where it runs: thread"):

        class _Twice(TaskProcessor[Numbered, int], spec=MADE, runs=square, run_in="process"):
            pass

    class Needing(HeavyProcessor):
        def __init__(self, model: str) -> None:
            self.model = model

    with pytest.raises(InvalidOptionError, match=r"without arguments: .*'model'"):
        Needing("m").task()


async def _is(job: Any, state: State) -> bool:
    return bool(await job.state() == state)


async def _has_progress(job: Any) -> bool:
    return (await job.info()).progress not in (None, 0)
