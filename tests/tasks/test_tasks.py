"""Tasks: what makes one, what is refused, jobs made of it, results made of what it returned."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from toril import (
    InvalidOptionError,
    InvalidPayloadError,
    JobFailedError,
    KeepPolicy,
    PayloadTooLargeError,
    Priority,
    Profile,
    RetryPolicy,
    State,
    Task,
    TaskBundle,
)
from toril.testing import MemoryApp


@dataclass
class Size:
    width: int
    height: int


class Invoice(BaseModel):
    number: int
    due: datetime


async def test_results_come_back_as_what_the_task_returned(toril_app: MemoryApp) -> None:
    due = datetime(2026, 1, 1, tzinfo=UTC)

    @toril_app.task()
    async def size() -> Size:
        return Size(3, 4)

    @toril_app.task()
    async def invoices() -> list[Invoice]:
        return [Invoice(number=1, due=due)]

    @toril_app.task()
    async def pair() -> tuple[int, timedelta]:
        return (1, timedelta(hours=1))

    @toril_app.task()
    async def anything():  # type: ignore[no-untyped-def]
        return {"a": (1, None)}

    @toril_app.task()
    async def maybe(*, there: bool) -> Size | None:
        return Size(1, 2) if there else None

    jobs: list[Any] = [
        await size.enqueue(),
        await invoices.enqueue(),
        await pair.enqueue(),
        await anything.enqueue(),
        await maybe.enqueue(there=True),
        await maybe.enqueue(there=False),
    ]
    await toril_app.run_until_idle()

    assert [await job.result() for job in jobs] == [
        Size(3, 4),
        [Invoice(number=1, due=due)],
        (1, timedelta(hours=1)),
        {"a": [1, None]},
        Size(1, 2),
        None,
    ]


async def test_a_result_that_is_not_json_fails_with_its_reason(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def handle() -> object:
        return object()

    @toril_app.task()
    async def number() -> float:
        return float("nan")

    @toril_app.task()
    async def text() -> str:
        return "\ud800"

    @toril_app.task(max_result_bytes=10)
    async def long() -> str:
        return "é" * 5

    @toril_app.task()
    def forgot_async() -> object:
        async def inner() -> None: ...

        return inner()

    jobs: list[Any] = [await task.enqueue() for task in (handle, number, text, long, forgot_async)]
    ran = await toril_app.run_until_idle()

    assert ran.retried == []
    reasons = [(await job.info()).failed_reason for job in jobs]
    assert all("cannot be stored" in (reason or "") for reason in reasons)
    for reason, words in zip(
        reasons,
        ["object is not a type", "nan is not a JSON", "surrogates", "12 bytes; at most max_result",
         "make the task itself an 'async def'"],
        strict=True,
    ):  # fmt: skip
        assert words in (reason or "")


async def test_a_result_that_no_longer_fits_its_type_is_told_by_name(toril_app: MemoryApp) -> None:
    @toril_app.task(name="size", queue="a")
    async def before() -> str:
        return "3x4"

    @toril_app.task(name="size", queue="b")
    async def after() -> Size:
        return Size(3, 4)

    await before.with_options(job_id="one").enqueue()
    await toril_app.run_until_idle()
    job = await after.renamed(queue="a").with_options(job_id="one").enqueue()

    with pytest.raises(InvalidPayloadError, match=r"task 'size', field '\(result\)'"):
        await job.result()


async def test_payloads_have_a_size_limit_in_bytes(toril_app: MemoryApp) -> None:
    @toril_app.task(max_payload_bytes=20)
    async def send(text: str) -> None: ...

    await send.enqueue("x" * 9)  # {"text":"xxxxxxxxx"} is 20 bytes
    for text in ("x" * 10, "é" * 5):
        with pytest.raises(PayloadTooLargeError, match="21 bytes; at most max_payload_bytes=20"):
            await send.enqueue(text)
    with pytest.raises(PayloadTooLargeError):
        await toril_app.queue("default").add("send", {"text": "x" * 300_000})


async def test_a_bad_payload_in_the_store_fails_at_once_and_is_kept(toril_app: MemoryApp) -> None:
    runs: list[int] = []

    @toril_app.task(queue="mail", retry=RetryPolicy(max_attempts=5))
    async def send(to: str) -> None:
        runs.append(1)

    job = await toril_app.queue("mail").add("send", {"to": 3})
    ran = await toril_app.run_until_idle()

    assert (runs, ran.retried) == ([], [])
    info = await job.info()
    assert info.failed_reason == (
        "task 'send', field 'to': Expected `str`, got `int`; the value is 3"
    )
    assert (info.state, info.data) == (State.FAILED, {"to": 3})


async def test_a_corrected_payload_runs_after_all(toril_app: MemoryApp) -> None:
    @toril_app.task(queue="mail")
    async def send(to: str) -> str:
        return to

    job = await toril_app.queue("mail").add("send", {})
    await toril_app.run_until_idle()
    await job.update_data({"to": "jo@example.com"})
    await job.retry()
    await toril_app.run_until_idle()

    assert await job.result() == "jo@example.com"


async def test_one_bad_payload_among_many_adds_none(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def double(n: int) -> int:
        return n

    with pytest.raises(InvalidPayloadError):
        await double.enqueue_many([{"n": 1}, {"n": "two"}])

    assert await toril_app.queues() == []


async def test_thousands_are_added_in_order(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def note(n: int) -> None: ...

    jobs = await note.enqueue_many({"n": n} for n in range(4500))

    assert [job.id for job in jobs] == [str(n) for n in range(1, 4501)]


async def test_options_of_the_job_are_stored_with_it(toril_app: MemoryApp) -> None:
    @toril_app.task(retry=RetryPolicy(max_attempts=2, base_s=3.0))
    async def send() -> None: ...

    job = await send.with_options(
        job_id="mine",
        delay=5,
        priority=Priority.HIGH,
        max_attempts=7,
        backoff="fixed",
        backoff_s=1.5,
        jitter_ratio=0.5,
        keep_completed=KeepPolicy(count=3),
        keep_failed=KeepPolicy(age_s=60),
        keep_logs=10,
    ).enqueue()

    info = await job.info()
    assert (info.priority, info.delay_s) == (11, 5)
    assert info.options == {
        "attempts": 7,
        "backoff": {"type": "fixed", "delay": 1500, "jitter": 0.5},
        "delay": 5000,
        "priority": 11,
        "jobId": "mine",
        "removeOnComplete": 3,
        "removeOnFail": {"age": 60.0},
        "kl": 10,
    }
    plain = await send.enqueue()
    assert (await plain.info()).options == {
        "attempts": 2,
        "backoff": {"type": "exponential", "delay": 3000},
    }


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"job_id": "17"}, "job_id"),
        ({"delay": -1}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"priority": 2.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"run_at": datetime(2026, 1, 1)}, "run_at"),  # noqa: DTZ001 - that is the point
    ],
)
def test_options_that_make_no_sense_are_refused(
    toril_app: MemoryApp, options: dict[str, Any], name: str
) -> None:
    @toril_app.task()
    async def send() -> None: ...

    with pytest.raises(InvalidOptionError, match=f"^{name}="):
        send.with_options(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "^name=''"),
        ({"name": "a\nb"}, "^name="),
        ({"queue": "a:b"}, "^queue='a:b'"),
        ({"run_in": "cloud"}, "^run_in='cloud'"),
        ({"run_in": "thread"}, "run_in='thread': expected a plain function"),
        ({"timeout": 0}, "^timeout_s=0"),
        ({"timeout": -1}, "^timeout=-1"),
        ({"max_payload_bytes": 0}, "^max_payload_bytes=0"),
        ({"max_result_bytes": 0}, "^max_result_bytes=0"),
        ({"profile": "hevy"}, "^profile='hevy'"),
        ({"rename": "snake"}, "^rename='snake'"),
        ({"retry": 3}, "^retry=3"),
        ({"run_in": "process"}, "run_in='process'.*is defined inside a function.*at module level"),
    ],
)
def test_task_options_that_make_no_sense_are_refused(
    toril_app: MemoryApp, options: dict[str, Any], words: str
) -> None:
    async def send() -> None: ...

    with pytest.raises(InvalidOptionError, match=words):
        toril_app.task(**options)(send)
    assert toril_app.tasks() == []


def plain() -> None: ...
def yields() -> Iterator[int]:
    yield 1


async def yields_async() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        (plain, {"run_in": "loop"}, "run_in='loop': expected an async function"),
        (yields, {}, "returns its result; this one yields"),
        (yields_async, {}, "returns its result; this one yields"),
        (lambda: None, {"run_in": "process"}, "is a lambda"),
        (functools.partial(plain), {}, "^name=''"),
        (3, {}, "^task=3: expected a function"),
    ],
)
def test_what_cannot_be_a_task_is_refused(
    toril_app: MemoryApp, function: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        toril_app.task(**options)(function)


def test_two_tasks_of_one_name_need_two_queues(toril_app: MemoryApp) -> None:
    toril_app.task(name="send", queue="mail")(plain)
    toril_app.task(name="send", queue="push")(plain)
    with pytest.raises(InvalidOptionError, match="queue 'mail' has a task of this name already"):
        toril_app.task(name="send", queue="mail")(plain)


def test_a_queue_has_one_task_for_any_name(toril_app: MemoryApp) -> None:
    toril_app.task(name="a", any_name=True)(plain)
    with pytest.raises(InvalidOptionError, match="has such a task already, 'a'"):
        toril_app.task(name="b", any_name=True)(plain)
    assert [task.name for task in toril_app.tasks()] == ["a"]


def test_an_unknown_task_is_answered_with_the_nearest(toril_app: MemoryApp) -> None:
    toril_app.task(name="send_mail")(plain)
    with pytest.raises(InvalidOptionError, match="unknown task 'send_mial': did you mean"):
        toril_app.find_task("send_mial")


async def test_a_bundles_task_belongs_to_the_app_that_includes_it() -> None:
    bundle = TaskBundle()

    @bundle.task(queue="mail", profile="light")
    async def send(to: str) -> str:
        return to

    with pytest.raises(InvalidOptionError, match=r"belongs to no app yet: app\.include"):
        await send.enqueue("x")

    async with MemoryApp() as one, MemoryApp() as other:
        one.include(bundle)
        other.include(bundle)
        await one.bound(send).enqueue(to="x")

        assert [queue.name for queue in await one.queues()] == ["mail"]
        assert await other.queues() == []
        assert one.find_task("send").options.profile is Profile.LIGHT
        assert one.bound(send).enqueue is not other.bound(send).enqueue

    async with MemoryApp() as stranger:
        with pytest.raises(InvalidOptionError, match="include its bundle"):
            stranger.bound(send)


async def test_options_given_one_after_another_add_up(toril_app: MemoryApp) -> None:
    @toril_app.task()
    async def send() -> None: ...

    later = send.with_options(delay=60).with_options(priority=5).with_options(lifo=True)
    info = await (await later.enqueue()).info()

    assert (info.delay_s, info.priority) == (60.0, 5)
    assert (await (await send.enqueue()).info()).delay_s == 0


async def test_a_task_that_is_called_runs_right_here(toril_app: MemoryApp) -> None:
    @toril_app.task()
    def double(n: int) -> int:
        return 2 * n

    assert double(21) == 42
    assert await toril_app.queues() == []


async def test_a_task_on_another_queue_is_the_same_task(toril_app: MemoryApp) -> None:
    @toril_app.task(queue="mail")
    async def send() -> None: ...

    other = send.renamed(queue="slow-mail")
    await other.enqueue()

    assert [queue.name for queue in await toril_app.queues()] == ["slow-mail"]
    assert repr(other) == "Task('send', queue='slow-mail')"


async def test_wrapped_functions_keep_their_parameters(toril_app: MemoryApp) -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, **kwargs)

        return wrapper

    @toril_app.task()
    @logged
    async def add(a: int, b: int) -> int:
        return a + b

    assert isinstance(add, Task)
    job = await add.enqueue(1, b=2)
    await toril_app.run_until_idle()
    assert await job.result() == 3
    with pytest.raises(InvalidPayloadError, match="field 'b'"):
        await add.enqueue(1, "x")


async def test_something_not_provided_is_told_by_its_type(toril_app: MemoryApp) -> None:
    from toril import provided

    @toril_app.task(retry=RetryPolicy(max_attempts=1))
    async def send(size: Size = provided(Size)) -> None: ...

    job = await send.enqueue()
    await toril_app.run_until_idle()

    with pytest.raises(JobFailedError, match=r"call app\.provide\(Size\(\.\.\.\)\)"):
        await job.result()


@pytest.mark.parametrize("name", ["", "a\x00b", "\ud800", None])
async def test_a_job_by_name_needs_a_name(toril_app: MemoryApp, name: Any) -> None:
    with pytest.raises(InvalidOptionError, match=r"^name="):
        await toril_app.queue("mail").add(name)
