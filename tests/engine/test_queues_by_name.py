"""Queues by name: jobs with options of their own, pages of logs, progress from outside."""

from __future__ import annotations

from typing import Any

import pytest

from toril import (
    Context,
    EventName,
    InvalidOptionError,
    InvalidPayloadError,
    JobDraft,
    JobNotFoundError,
    JobOptions,
    State,
    WrongStateError,
)
from toril.testing import MemoryApp


async def test_many_jobs_are_added_with_options_of_their_own(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")

    jobs = await queue.add_many(
        [
            ("plain", {"to": "a"}),
            ("late", {"to": "b"}, JobOptions(delay_s=60)),
            ("first", {"to": "c"}, JobOptions(priority=1, job_id="mine")),
            ("plain", {"to": "d"}, None),
            ("plain", None, JobOptions()),
        ],
        JobOptions(priority=7, max_attempts=2),
    )

    infos = [await job.info() for job in jobs]
    assert [(info.name, info.state, info.priority, info.max_attempts) for info in infos] == [
        ("plain", State.PRIORITIZED, 7, 2),
        ("late", State.DELAYED, 0, None),
        ("first", State.PRIORITIZED, 1, None),
        ("plain", State.PRIORITIZED, 7, 2),
        ("plain", State.WAIT, 0, None),
    ]
    assert [info.data for info in infos] == [
        {"to": "a"}, {"to": "b"}, {"to": "c"}, {"to": "d"}, {},
    ]  # fmt: skip
    assert infos[2].id == "mine"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("a",), "jobs: a tuple of 1: expected (name, data) or (name, data, options)"),
        (("a", {}, None, 1), "jobs: a tuple of 4: expected (name, data) or (name, data, options)"),
        (("a", {}, {"delay": 1}), "jobs: options of 'a' are a dict: expected JobOptions, or None"),
    ],
)
async def test_what_is_no_job_is_refused_and_nothing_is_added(
    toril_app: MemoryApp, wrong: Any, words: str
) -> None:
    queue = toril_app.queue("mail")

    with pytest.raises(InvalidOptionError) as refused:
        await queue.add_many([("fine", {}), wrong])

    assert str(refused.value) == words
    assert await queue.info() is None


async def test_one_payload_that_is_no_json_is_refused_with_all(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")
    jobs: list[Any] = [("fine", {}), ("odd", {"x": object()}, JobOptions(delay_s=1))]

    with pytest.raises(InvalidPayloadError, match="'odd'"):
        await queue.add_many(jobs)
    assert await queue.info() is None


async def test_enqueue_middleware_sees_each_with_its_options(toril_app: MemoryApp) -> None:
    seen: list[tuple[str, float]] = []

    @toril_app.enqueue_middleware
    def note(draft: JobDraft) -> None:
        seen.append((draft.name, draft.options.delay_s))

    await toril_app.queue("mail").add_many([("a", {}), ("b", {}, JobOptions(delay_s=3))])

    assert seen == [("a", 0.0), ("b", 3.0)]


async def test_a_log_is_read_in_pages_from_both_ends(toril_app: MemoryApp) -> None:
    job = await toril_app.queue("mail").add("send")
    for number in range(5):
        await job.add_log(f"line {number}")

    assert await job.log_page(limit=2) == (["line 0", "line 1"], 5)
    assert await job.log_page(start=4) == (["line 4"], 5)
    page = await job.log_page(start=1, limit=2, newest_first=True)
    assert (page.lines, page.total) == (["line 3", "line 2"], 5)
    assert await job.log_page(start=9) == ([], 5)
    assert await job.logs(start=3) == ["line 3", "line 4"]


def test_a_log_is_read_in_plain_code(toril_app: MemoryApp) -> None:
    @toril_app.task()
    def note(context: Context) -> None:
        context.log("here")

    job = note.enqueue_sync()
    toril_app.run_until_idle_sync()

    assert job.log_page_sync(newest_first=True) == (["here"], 1)


def test_plain_code_adds_many_and_changes_one(toril_app: MemoryApp) -> None:
    first, second = toril_app.queue("mail").add_many_sync(
        [("send", {"n": 1}), ("send", {"n": 2}, JobOptions(priority=2))]
    )

    first.set_progress_sync(40)
    second.update_data_sync({"n": 3})

    assert first.info_sync().progress == 40
    assert (second.info_sync().data, second.info_sync().priority) == ({"n": 3}, 2)
    assert toril_app.tell_worker_sync("nobody", "stop") is False


@pytest.mark.parametrize("wrong", [{"start": -1}, {"limit": -1}, {"start": 1.5}, {"limit": True}])
async def test_a_page_of_a_log_that_cannot_be_is_refused(
    toril_app: MemoryApp, wrong: dict[str, Any]
) -> None:
    job = await toril_app.queue("mail").add("send")
    with pytest.raises(InvalidOptionError, match=f"{next(iter(wrong))}="):
        await job.log_page(**wrong)


async def test_progress_from_outside_is_an_event_and_stays(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")
    job = await queue.add("send")

    await job.set_progress({"step": 2})

    assert (await job.info()).progress == {"step": 2}
    events = [event async for event in queue.events(after=0, until_idle=True)]
    assert events[-1].name == EventName.PROGRESS
    assert events[-1].fields == {"jobId": job.id, "data": '{"step":2}'}


async def test_progress_of_a_job_that_has_finished_or_is_gone_is_refused(
    toril_app: MemoryApp,
) -> None:
    @toril_app.task()
    async def note() -> None: ...

    job = await note.enqueue()
    await toril_app.run_until_idle()

    with pytest.raises(WrongStateError, match="is completed; only jobs that have not finished"):
        await job.set_progress(50)
    await job.remove()
    with pytest.raises(JobNotFoundError):
        await job.set_progress(50)
    with pytest.raises(ValueError, match="at most 64 KiB"):
        await job.set_progress("x" * 70_000)


async def test_clean_returns_the_ids_that_it_removed(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")
    jobs = await queue.add_many([("send", {}, JobOptions(delay_s=60)) for _ in range(1_203)])
    other = await queue.add("send")

    assert await queue.clean(State.DELAYED, limit=1_200) == [job.id for job in jobs[:1_200]]
    assert await queue.clean(State.DELAYED) == [job.id for job in jobs[1_200:]]
    assert await queue.clean(State.DELAYED) == []
    assert await other.state() is State.WAIT


async def test_a_context_shows_the_raw_payload_and_the_options(toril_app: MemoryApp) -> None:
    seen: list[Any] = []

    @toril_app.task(queue="mail")
    async def send(context: Context, to: str) -> None:
        seen.append((context.data, context.raw_data, context.options))

    await toril_app.queue("mail").add(
        "send", {"to": "jo", "more": 1}, JobOptions(priority=3, keep_logs=5)
    )
    await toril_app.run_until_idle()

    assert seen == [
        ({"to": "jo", "more": 1}, '{"to":"jo","more":1}', {"priority": 3, "kl": 5}),
    ]
