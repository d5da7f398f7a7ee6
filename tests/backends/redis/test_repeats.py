"""Calls that are sent twice, and carried out once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from tests.support.redis_servers import RedisServer

from toril import BackendError, State
from toril.backends import open_backend
from toril.engine.contract import Backend
from toril.engine.job import Added, NewJob, WholeJob
from toril.engine.repeats import KEPT_MS, CallId, Repeats


@pytest.fixture
async def backend(redis_url: str) -> AsyncIterator[Backend]:
    backend = open_backend(redis_url)
    yield backend
    await backend.lifecycle.close()


@pytest.fixture
def repeats(backend: Backend) -> Repeats:
    assert backend.repeats is not None
    return backend.repeats


def jobs(*queues: str, job_id: str | None = None) -> list[NewJob]:
    return [NewJob(queue=queue, name="x", data="{}", job_id=job_id) for queue in queues]


async def waiting(backend: Backend, queue: str) -> int:
    record = await backend.counts.queue(queue)
    return 0 if record is None else record.counts[State.WAIT]


async def test_second_call_adds_nothing_and_answers_the_same(
    backend: Backend, repeats: Repeats
) -> None:
    call = CallId("book", 1)
    first = await repeats.add(call, jobs("a", "a", "b"))
    again = await repeats.add(call, jobs("a", "a", "b"))

    assert list(first) == list(again) == [Added("1"), Added("2"), Added("1")]
    assert (await waiting(backend, "a"), await waiting(backend, "b")) == (2, 1)
    await repeats.add(CallId("book", 2), jobs("a"))
    assert await waiting(backend, "a") == 3


async def test_answer_outlives_the_job(backend: Backend, repeats: Repeats) -> None:
    call = CallId("book", 1)
    await repeats.add(call, jobs("a"))
    await backend.jobs.remove("a", "1")
    assert list(await repeats.add(call, jobs("a"))) == [Added("1")]
    assert await backend.jobs.get("a", "1") is None


async def test_duplicate_is_answered_as_one_twice(backend: Backend, repeats: Repeats) -> None:
    await backend.jobs.add(jobs("a", job_id="own"))
    for _ in range(2):
        answers = await repeats.add(CallId("book", 1), jobs("a", job_id="own"))
        assert list(answers) == [Added("own", duplicate=True)]


async def test_start_and_add_are_the_same_call(backend: Backend, repeats: Repeats) -> None:
    call = CallId("book", 1)
    got: asyncio.Future[Sequence[Added | Exception]] = asyncio.get_running_loop().create_future()
    assert not repeats.start(call, jobs("a"), lambda answers, error: None), "not connected yet"
    await backend.jobs.add(jobs("a"))

    def done(answers: Sequence[Added | Exception] | None, error: BaseException | None) -> None:
        assert error is None
        assert answers is not None
        got.set_result(answers)

    assert repeats.start(call, jobs("a"), done)
    assert list(await got) == [Added("2")]
    assert list(await repeats.add(call, jobs("a"))) == [Added("2")]


async def test_adopted_once(backend: Backend, repeats: Repeats) -> None:
    await backend.jobs.add(jobs("a", job_id="f-1"))
    record = await backend.jobs.get("a", "f-1")
    assert record is not None
    await backend.jobs.remove("a", "f-1")
    whole = [WholeJob(record, ["a line"])]
    assert await repeats.adopt(CallId("book", 1), "a", whole) == [True]
    await backend.jobs.remove("a", "f-1")

    assert await repeats.adopt(CallId("book", 1), "a", whole) == [True], "as it was answered"
    assert await backend.jobs.get("a", "f-1") is None


async def test_books_expire_and_are_forgotten(
    backend: Backend, repeats: Repeats, redis_server: RedisServer, redis_prefix: str
) -> None:
    await repeats.add(CallId("one", 1), jobs("a"), sending=lambda: None)
    await repeats.add(CallId("two", 1), jobs("b", "a"), sending=lambda: None)
    books = {
        f"{redis_prefix}:a:toril:calls:one",
        f"{redis_prefix}:b:toril:calls:two",
    }
    assert {key for key in redis_server.keys(redis_prefix) if ":toril:calls:" in key} == books
    for key in books:
        assert 0 < redis_server.command("PTTL", key) <= KEPT_MS
    await repeats.forget("one")
    await repeats.forget("two")
    assert not [key for key in redis_server.keys(redis_prefix) if ":toril:calls:" in key]


async def test_call_says_when_it_is_about_to_be_sent(repeats: Repeats) -> None:
    sent: list[bool] = []
    await repeats.add(CallId("book", 1), jobs("a"), sending=lambda: sent.append(True))
    assert sent == [True]


async def test_probe_tells_why_the_server_cannot_be_written() -> None:
    backend = open_backend("redis://127.0.0.1:1?connect_timeout_s=0.2")
    assert backend.repeats is not None
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:1"):
        await backend.repeats.probe()
    await backend.lifecycle.close()
