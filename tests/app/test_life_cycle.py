"""What an app starts before the first job of a process, and stops after the last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from tests.app import life_cycle_tasks as tasks
from tests.engine.working import memory_app, working
from tests.support.children import own_children
from tests.support.waiting import wait_until

from toril import (
    App,
    InvalidOptionError,
    ProcessOptions,
    Settings,
    State,
    WorkerStartError,
    provided,
)
from toril.testing import MemoryApp, in_memory

pytestmark = pytest.mark.usefixtures("no_thread_left", "children_before")


class Pool:
    """Something that is made at the start."""

    def __init__(self, name: str = "pool") -> None:
        self.name = name


class Kind(Protocol):
    name: str


@pytest.fixture
def notes(tmp_path: Path) -> tasks.Notes:
    return tasks.Notes(tmp_path / "notes")


def written(notes: tasks.Notes) -> list[str]:
    """Return what has happened, without the process ids."""
    return [line.rpartition(" ")[0] for line in notes.path.read_text().splitlines()]


def processes(notes: tasks.Notes, word: str) -> list[int]:
    """Return in which processes something has happened."""
    lines = notes.path.read_text().splitlines()
    return [int(line.rpartition(" ")[2]) for line in lines if line.startswith(word)]


async def test_what_the_start_makes_is_provided_until_the_stop() -> None:
    said: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        app.provide(Pool("of the lifespan"))
        said.append("enter")
        yield
        said.append("leave")

    app = App("sqlite://:memory:", settings=Settings(), lifespan=lifespan)

    @app.on_start
    def first(pool: Pool = provided(Pool)) -> Kind:
        said.append(f"first {pool.name}")
        return Pool("second")

    @app.on_start
    async def second() -> None:
        said.append("second")

    app.on_stop(lambda: said.append("stop 1"))

    @app.on_stop
    async def stop_2() -> None:
        said.append("stop 2")

    @app.task()
    async def work(kind: Kind = provided(Kind)) -> None:  # type: ignore[type-abstract]
        said.append(f"work {kind.name}")

    async with app:
        await work.enqueue()
        await app.worker().run(until_idle=True)

        assert said == [
            "enter", "first of the lifespan", "second", "work second", "stop 2", "stop 1", "leave",
        ]  # fmt: skip
        with pytest.raises(InvalidOptionError, match="provides none"):
            app._registry.provide(Pool)


async def test_type_is_what_the_function_says_it_returns() -> None:
    app = memory_app()

    class Base: ...

    class Own(Base): ...

    def make() -> Base:
        return Own()

    make.__annotations__["return"] = Base
    app.on_start(make)

    @app.on_start
    def of_no_type() -> Any:
        return Pool("x")

    async with app, app.worker(queues=["default"]):
        assert type(app._registry.provide(Base)) is Own
        assert isinstance(app._registry.provide(Pool), Pool)


async def test_value_that_was_provided_before_is_back_after_the_stop() -> None:
    app = memory_app()
    app.provide(Pool("before"))
    app.on_start(lambda: Pool("made"))
    async with app:
        async with app.worker(queues=["default"]):
            made = app._registry.provide(Pool)
            assert isinstance(made, Pool)
            assert made.name == "made"
        before = app._registry.provide(Pool)
        assert isinstance(before, Pool)
        assert before.name == "before"


async def test_failure_ends_the_worker_before_it_takes_a_job() -> None:
    app = memory_app()
    said: list[str] = []

    @app.on_start
    async def connect() -> Pool:
        return Pool()

    @app.on_start
    async def look() -> None:
        raise ConnectionRefusedError("nobody listens")

    @app.on_stop
    async def disconnect(pool: Pool = provided(Pool)) -> None:
        said.append(f"stopped {pool.name}")

    @app.on_stop
    async def never_started(size: int = provided(int)) -> None:
        said.append("must not be")

    @app.task()
    async def work() -> None: ...

    async with app:
        job = await work.enqueue()
        worker = app.worker()
        with pytest.raises(WorkerStartError) as failed:
            await worker.run()

        assert str(failed.value).startswith("on_start 'look' failed (test_life_cycle.py:")
        assert str(failed.value).endswith("): ConnectionRefusedError: nobody listens")
        assert isinstance(failed.value.__cause__, ConnectionRefusedError)
        assert said == ["stopped pool"]
        assert (await job.info()).state is State.WAIT
        assert await app.workers() == []
        with pytest.raises(WorkerStartError):
            async with app.worker():
                raise AssertionError("it must not start")


@pytest.mark.parametrize("kind", ["coroutine", "nothing", "raises"])
async def test_lifespan_that_is_none_says_what_it_should_be(kind: str) -> None:
    async def forgotten(app: App) -> None: ...

    def nothing(app: App) -> None: ...

    def raises(app: App) -> Any:
        raise KeyError("POOL_URL")

    made = {"coroutine": forgotten, "nothing": nothing, "raises": raises}[kind]
    app = App("sqlite://:memory:", settings=Settings(), lifespan=made)
    async with app:
        with pytest.raises(WorkerStartError) as failed:
            await app.worker(queues=["mail"]).run()
    if kind == "raises":
        assert str(failed.value).endswith("KeyError: 'POOL_URL'")
    else:
        assert "put @asynccontextmanager above the function" in str(failed.value)


async def test_error_at_the_stop_is_logged_and_keeps_nothing_from_stopping(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        yield
        said.append("leave")
        raise OSError("at the end")

    app = App("sqlite://:memory:", settings=Settings(), lifespan=lifespan)
    app.on_stop(lambda: said.append("first"))

    @app.on_stop
    async def bad() -> None:
        raise RuntimeError("no")

    async with app:
        await app.worker(queues=["mail"]).run(until_idle=True)

    assert said == ["first", "leave"]
    assert [record.getMessage() for record in caplog.records] == [
        "on_stop 'bad' failed", "the app's lifespan failed at the stop",
    ]  # fmt: skip
    assert all(record.exc_info for record in caplog.records)


async def test_stop_that_takes_too_long_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    app = App("sqlite://:memory:", settings=Settings(), stop_timeout=0.05)
    app.on_stop(lambda: said.append("the next"))

    @app.on_stop
    async def flush() -> None:
        await asyncio.Event().wait()

    async with app:
        await app.worker(queues=["mail"]).run(until_idle=True)

    assert said == ["the next"]
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0].startswith("on_stop 'flush' has not ended after")
    assert texts[1] == "on_stop 'flush' was cancelled"


async def test_stop_during_the_start_gives_it_up() -> None:
    said: list[str] = []
    begun = asyncio.Event()
    app = memory_app()

    @app.on_start
    async def connect() -> None:
        begun.set()
        await asyncio.Event().wait()

    app.on_stop(lambda: said.append("stopped"))
    async with app:
        worker = app.worker(queues=["mail"])
        running = asyncio.create_task(worker.run())
        await begun.wait()
        worker.stop()
        await asyncio.wait_for(running, 60)
        assert said == ["stopped"]

        cancelled = asyncio.create_task(app.worker(queues=["mail"]).run())
        begun.clear()
        await begun.wait()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert said == ["stopped"] * 2


async def test_workers_of_one_process_start_it_once() -> None:
    said: list[str] = []
    app = memory_app()
    app.on_start(lambda: said.append("start"))
    app.on_stop(lambda: said.append("stop"))
    async with app:
        async with working(app, queues=["a"]):
            async with working(app, queues=["b"]):
                assert said == ["start"]
            assert said == ["start"]
        assert said == ["start", "stop"]
        await app.worker(queues=["a"]).run(until_idle=True)
        assert said == ["start", "stop"] * 2


async def test_worker_on_another_loop_of_the_process_is_refused() -> None:
    app = memory_app()
    app.on_start(lambda: None)
    async with app, working(app, queues=["a"]):
        with pytest.raises(InvalidOptionError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(app._life_cycle.enter()))


@pytest.mark.parametrize("verb", ["on_start", "on_stop"])
def test_function_that_cannot_be_called_is_refused_by_name(verb: str) -> None:
    app = memory_app()

    def wants(pool: Pool) -> None: ...

    async def yields() -> AsyncIterator[None]:
        yield

    with pytest.raises(InvalidOptionError, match=rf"{verb}='wants', parameter 'pool'"):
        getattr(app, verb)(wants)
    with pytest.raises(InvalidOptionError, match=r"this one yields: give it to App\(lifespan="):
        getattr(app, verb)(yields)
    with pytest.raises(InvalidOptionError, match=f"{verb}=3: expected a function"):
        getattr(app, verb)(3)
    with pytest.raises(InvalidOptionError, match="lifespan=3: expected a function"):
        App("sqlite://:memory:", lifespan=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="stop_timeout=-1"):
        App("sqlite://:memory:", stop_timeout=-1)


async def test_tests_start_and_stop_it_around_each_run() -> None:
    said: list[str] = []
    app = MemoryApp()
    app.on_start(lambda: said.append("start"))
    app.on_stop(lambda: said.append("stop"))

    @app.task()
    async def work() -> None:
        said.append("work")

    async with app:
        await work.enqueue()
        await work.with_options(delay=60).enqueue()
        await app.run_until_idle(advance=True)
        assert said == ["start", "work", "work", "stop"]

    said.clear()
    async with in_memory(app) as bench:
        await work.enqueue()
        await bench.run_until_idle()
    assert said == ["start", "work", "stop"]


async def test_each_process_starts_and_stops_its_own(notes: tasks.Notes) -> None:
    app = tasks.app
    app.provide(notes)
    async with app:
        loop = await tasks.on_the_loop.enqueue()
        children = [await tasks.in_a_process.enqueue() for _ in range(2)]
        bundled = await app.bound(tasks.of_a_bundle).enqueue()
        await app.worker(concurrency=1).run(until_idle=True)

        own, uses = await loop.result()
        assert uses == 1
        results = [await job.result() for job in children] + [await bundled.result()]
        (child,) = {pid for pid, _ in results}
        assert child != own
        assert [uses for _, uses in results] == [1, 2, 3]
    assert processes(notes, "open") == [own, child]
    assert sorted(processes(notes, "close")) == sorted([own, child])
    assert written(notes).count("drop made True") == 2
    assert own_children() == []


async def test_child_that_is_replaced_stops_what_it_had(notes: tasks.Notes) -> None:
    app = tasks.app
    app.provide(notes)
    async with app:
        jobs = [await tasks.in_a_process.enqueue() for _ in range(2)]
        recycled = ProcessOptions(recycle_after=1)
        await app.worker(concurrency=1, processes=recycled).run(until_idle=True)
        assert len({(await job.result())[0] for job in jobs}) == 2
    assert len(processes(notes, "open")) == len(processes(notes, "close")) == 3


async def test_start_that_fails_in_a_child_fails_the_attempt_and_is_tried_again(
    notes: tasks.Notes,
) -> None:
    app = tasks.app
    app.provide(notes)
    async with app, working(app, concurrency=1):
        (notes.path.parent / "refuse").touch()
        first = await tasks.in_a_process.enqueue()

        async def has_failed() -> bool:
            return (await first.info()).state is State.FAILED

        await wait_until(has_failed, what="the attempt to fail")
        reason = (await first.info()).failed_reason or ""
        assert reason.startswith(
            "WorkerStartError: the app's lifespan failed (life_cycle_tasks.py:"
        )
        assert reason.endswith("): ConnectionRefusedError: nobody listens")
        (notes.path.parent / "refuse").unlink()
        again = await tasks.in_a_process.enqueue()
        assert (await again.result(timeout_s=60))[1] == 1


async def test_app_that_no_child_can_find_is_refused_before_it_starts() -> None:
    def hidden() -> App:
        app = memory_app()
        app.include(tasks.bundle)
        app.on_start(lambda: None)
        return app

    app = hidden()
    with pytest.raises(InvalidOptionError, match="make the app at module level"):
        app.worker()


async def test_worker_without_any_of_it_pays_nothing() -> None:
    app = memory_app()
    assert app.worker(queues=["a"])._life_cycle is None


async def test_log_is_silent_where_all_goes_well(caplog: pytest.LogCaptureFixture) -> None:
    app = memory_app()
    app.on_start(lambda: None)
    async with app:
        await app.worker(queues=["a"]).run(until_idle=True)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
