"""Queues: looked at, paused, drained, cleaned, limited, followed; jobs of any name."""

from __future__ import annotations

from toril import JobOptions, RateLimit, RetryPolicy, State
from toril.testing import ManualClock, MemoryApp


async def test_a_paused_queue_starts_no_jobs(toril_app: MemoryApp) -> None:
    @toril_app.task(queue="mail")
    async def send() -> None: ...

    queue = toril_app.queue("mail")
    await send.enqueue()
    await queue.pause()

    assert (await toril_app.run_until_idle()).completed == []
    await queue.resume()
    assert len((await toril_app.run_until_idle()).completed) == 1


async def test_a_queue_has_figures(toril_app: MemoryApp) -> None:
    @toril_app.task(queue="mail", retry=RetryPolicy(max_attempts=1))
    async def send(to: str) -> None:
        if "@" not in to:
            raise ValueError(to)

    await send.enqueue_many([{"to": "jo@example.com"}, {"to": "nobody"}])
    await toril_app.run_until_idle()
    await send.enqueue("ann@example.com")

    info = await toril_app.queue("mail").info()
    assert info is not None
    assert (info.waiting, info.active, info.completed, info.failed) == (1, 0, 1, 1)
    assert [queue.name for queue in await toril_app.queues()] == ["mail"]


async def test_jobs_of_a_state_are_listed_page_by_page(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")
    await queue.add_many([("send", {"n": n}) for n in range(3)])

    first = await queue.jobs(State.WAIT, limit=2)
    second = await queue.jobs(State.WAIT, limit=2, after=first.next)

    assert [job.data["n"] for job in [*first.jobs, *second.jobs]] == [0, 1, 2]
    assert second.next is None


async def test_draining_removes_what_waits(toril_app: MemoryApp) -> None:
    queue = toril_app.queue("mail")
    await queue.add_many([("send", None)] * 3)
    await queue.add("send", options=JobOptions(delay_s=60))

    assert await queue.drain() == 3
    assert await queue.drain(delayed=True) == 1


async def test_cleaning_removes_finished_jobs_by_age(
    toril_app: MemoryApp, toril_clock: ManualClock
) -> None:
    @toril_app.task()
    async def note() -> None: ...

    old = await note.enqueue()
    await toril_app.run_until_idle()
    toril_clock.advance(3600)
    await note.enqueue()
    await toril_app.run_until_idle()
    queue = toril_app.queue("default")

    assert await queue.clean(State.COMPLETED, older_than=60) == [old.id]
    assert len((await queue.jobs(State.COMPLETED)).jobs) == 1


async def test_all_failed_jobs_are_retried_at_once(toril_app: MemoryApp) -> None:
    broken = True

    @toril_app.task(retry=RetryPolicy(max_attempts=1))
    async def call() -> None:
        if broken:
            raise ConnectionError

    await call.enqueue_many([{}] * 3)
    await toril_app.run_until_idle()
    broken = False

    assert await toril_app.queue("default").retry_all() == 3
    assert len((await toril_app.run_until_idle()).completed) == 3


async def test_a_rate_limit_spreads_starts_over_windows(
    toril_app: MemoryApp, toril_clock: ManualClock
) -> None:
    @toril_app.task(queue="mail")
    async def send() -> None: ...

    await toril_app.queue("mail").set_rate(RateLimit(limit=2, window_s=60))
    await send.enqueue_many([{}] * 3)

    assert len((await toril_app.run_until_idle()).completed) == 2
    toril_clock.advance(60)
    assert len((await toril_app.run_until_idle()).completed) == 1


async def test_events_are_followed_from_any_position(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def add(a: int, b: int) -> int:
        return a + b

    await add.enqueue(1, 2)
    await toril_app.run_until_idle()

    names = [
        event.name async for event in toril_app.queue("default").events(until_idle=True, after=0)
    ]
    assert names == ["added", "waiting", "active", "completed", "drained"]


async def test_a_task_may_take_all_names_of_its_queue(toril_app: MemoryApp) -> None:
    seen: list[str] = []

    @toril_app.task(queue="inbox", any_name=True)
    async def take(subject: str) -> None:
        seen.append(subject)

    await toril_app.queue("inbox").add("from-another-program", {"subject": "hello"})
    await toril_app.run_until_idle()

    assert seen == ["hello"]


async def test_two_apps_never_meet() -> None:
    async with MemoryApp() as one, MemoryApp() as other:
        await one.queue("mail").add("send")

        assert await other.queues() == []
