"""Limits that a job sets itself: how large its payload is, how many stack traces are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.working import working

from toril import (
    App,
    Context,
    Fail,
    InvalidOptionError,
    JobDraft,
    JobOptions,
    PayloadTooLargeError,
    RetryPolicy,
    Settings,
)
from toril.engine.wire_options import from_wire, to_wire


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


@pytest.fixture
async def app(url: str, no_thread_left: None) -> AsyncIterator[App]:
    async with App(url, settings=Settings()) as app:
        yield app


@pytest.mark.parametrize(("keep", "kept"), [(None, [0, 1, 2]), (2, [1, 2]), (1, [2]), (0, [])])
async def test_stack_traces_stay_as_many_as_the_job_says(
    app: App, keep: int | None, kept: list[int]
) -> None:
    @app.task(retry=RetryPolicy(max_attempts=3, base_s=0))
    async def call(context: Context) -> None:
        raise OSError(f"attempt {context.attempt - 1}")

    job = await call.with_options(keep_traces=keep).enqueue()
    await app.worker().run(until_idle=True)

    attempts = (await job.info()).attempts
    assert [one.error for one in attempts] == [f"OSError: attempt {each}" for each in range(3)]
    traces = [one.traceback for one in attempts]
    assert [trace is not None for trace in traces] == [each in kept for each in range(3)]
    for each in kept:
        assert f"attempt {each}" in str(traces[each])


async def test_a_job_says_how_large_its_payload_may_be(app: App) -> None:
    queue = app.queue("mail")
    large = {"text": "x" * 300_000}

    with pytest.raises(PayloadTooLargeError, match="at most max_payload_bytes=262144"):
        await queue.add("send", large)
    job = await queue.add("send", large, JobOptions(max_payload_bytes=400_000))
    assert (await job.info()).data_bytes > 300_000
    assert (await job.info()).options["sizeLimit"] == 400_000
    with pytest.raises(PayloadTooLargeError, match="13 bytes; at most max_payload_bytes=12"):
        await queue.add("send", {"text": "ä"}, JobOptions(max_payload_bytes=12))
    await queue.add("send", {"text": "ä"}, JobOptions(max_payload_bytes=13))


async def test_a_call_of_a_task_says_it_in_place_of_the_task(app: App) -> None:
    @app.task(max_payload_bytes=50)
    async def send(text: str) -> int:
        return len(text)

    with pytest.raises(PayloadTooLargeError):
        await send.enqueue("x" * 60)
    job = await send.with_options(max_payload_bytes=100).enqueue("x" * 60)
    with pytest.raises(PayloadTooLargeError):
        await send.with_options(max_payload_bytes=40).enqueue("x" * 40)
    async with working(app):
        assert await job.result(timeout_s=60) == 60


async def test_a_payload_that_middleware_makes_too_large_is_refused(app: App) -> None:
    @app.enqueue_middleware
    def widen(draft: JobDraft) -> None:
        draft.payload = {"text": "x" * 50}

    options = JobOptions(max_payload_bytes=40)
    with pytest.raises(PayloadTooLargeError, match=r"max_payload_bytes=40.*widen"):
        await app.queue("mail").add("send", {}, options)


async def test_a_payload_from_within_is_held_to_the_jobs_own_limit(app: App) -> None:
    @app.task(retry=RetryPolicy(max_attempts=1))
    async def send(context: Context, text: str) -> str:
        await context.update_data({"text": "y" * 60})
        with pytest.raises(PayloadTooLargeError, match="max_payload_bytes=80"):
            await context.update_data({"text": "y" * 90})
        raise Fail("done")

    job = await send.with_options(max_payload_bytes=80).enqueue("x")
    await app.worker().run(until_idle=True)
    assert (await job.info()).failed_reason == "done"
    assert (await job.info()).data == {"text": "y" * 60}


def test_limits_have_bullmqs_names_on_the_wire() -> None:
    options = JobOptions(keep_traces=2, max_payload_bytes=1000)
    wire = to_wire(options, None)
    assert wire == '{"stackTraceLimit":2,"sizeLimit":1000}'
    read = from_wire(wire)
    assert (read.keep_traces, read.max_payload_bytes) == (2, 1000)


@pytest.mark.parametrize("odd", ['"2"', "-1", "true", "null", "[]", "1.5"])
def test_a_limit_that_is_none_is_as_if_it_were_not_there(odd: str) -> None:
    read = from_wire(f'{{"stackTraceLimit":{odd},"sizeLimit":{odd}}}')
    assert (read.keep_traces, read.max_payload_bytes) == (None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep_traces": -1}, "keep_traces=-1: expected an integer from 0 to 50"),
        ({"keep_traces": 51}, "keep_traces=51: expected an integer from 0 to 50"),
        ({"max_payload_bytes": 0}, "max_payload_bytes=0: expected an integer from 1"),
        ({"max_payload_bytes": 1.5}, "max_payload_bytes=1.5: expected an integer from 1"),
    ],
)
def test_limits_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        JobOptions(**options)
