"""Events of a queue's attempts, under names of its own, and the notices made of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from toril import App, Fail, JobFailedError, JobOptions, KeepPolicy
from toril.services.notices.sql import SqlNotices
from toril.typed import (
    Processor,
    ProcessorJob,
    Processors,
    QueueRegistry,
    QueueSpec,
    TaskEvent,
    TaskEvents,
    noted_in,
)

SPEC = QueueSpec("example")
Data = dict[str, Any]


class Asked(Processor[Data, str], spec=SPEC):
    def __init__(self, events: TaskEvents) -> None:
        self.events = events

    async def process(self, job: ProcessorJob[Data]) -> str:
        async with self.events.attempt(job, job.data["action"], by="u1"):
            if job.data["action"] == "odd":
                raise Fail("no such action")
            if job.data["action"] == "silent":
                raise KeyError
        return "done"


@pytest.fixture
async def notices(tmp_path: Path) -> AsyncIterator[SqlNotices]:
    made = SqlNotices(f"sqlite:///{tmp_path}/notices.db")
    yield made
    await made.close()


async def run(url: str, events: TaskEvents, action: str) -> tuple[str, str]:
    """Run a job to its end; return its id and its state."""
    async with App(url) as app:
        Processors(QueueRegistry([SPEC]), [Asked(events)]).register(app)
        options = JobOptions(max_attempts=1, keep_completed=KeepPolicy())
        job = await app.queue("example").add("process", {"action": action}, options)
        async with app.worker():
            with suppress(JobFailedError):
                await job.result(timeout_s=60)
            return job.id, str((await job.info()).state)


async def test_start_and_end_are_told_in_order(url: str) -> None:
    told: list[TaskEvent] = []
    events = TaskEvents("example.task", told.append)

    async def later(event: TaskEvent) -> None:
        names.append(event.name)

    names: list[str] = []
    assert events.on(later) is later
    job_id, _ = await run(url, events, "odd")

    assert names == [one.name for one in told] == ["example.task.started", "example.task.failed"]
    assert told[0].timestamp <= told[1].timestamp
    assert told[0].error is None
    assert told[1].error == "no such action"
    assert told[1].data == {
        "taskId": job_id,
        "taskType": "odd",
        "initiatedBy": "u1",
        "timestamp": told[1].timestamp.isoformat(),
    }
    assert (told[1].queue, told[1].attempt) == ("example", 1)


async def test_error_without_words_is_told_by_its_kind(url: str) -> None:
    told: list[TaskEvent] = []

    await run(url, TaskEvents("example.task", told.append), "silent")

    assert [one.error for one in told] == [None, "KeyError"]


async def test_listener_that_raises_changes_nothing(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    names: list[str] = []

    def breaks(event: TaskEvent) -> None:
        raise ValueError("no room")

    events = TaskEvents("example.task", breaks, lambda event: names.append(event.name))
    job_id, state = await run(url, events, "sync")

    assert names == ["example.task.started", "example.task.completed"]
    assert state == "completed"
    assert f"a listener of example.task.completed failed, job {job_id}" in caplog.text


async def test_end_is_noted_for_the_user_once(url: str, notices: SqlNotices) -> None:
    kept: list[TaskEvent] = []
    events = TaskEvents("example.task", noted_in(notices), kept.append)

    good, _ = await run(url, events, "sync")
    bad, _ = await run(url, events, "odd")
    for event in kept:  # a second run tells the same
        await noted_in(notices)(event)
    done, failed = sorted(await notices.of_user("u1"), key=lambda one: one.type, reverse=True)

    assert (done.type, done.title) == ("success", "example.task.completed")
    assert done.body == "sync: completed"
    assert done.metadata["taskId"] == good
    assert (failed.type, failed.title, failed.body) == (
        "error", "example.task.failed", "no such action",
    )  # fmt: skip
    assert failed.metadata["taskId"] == bad
