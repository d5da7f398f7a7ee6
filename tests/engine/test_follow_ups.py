"""Follow-up jobs: one door, in the call, and one transaction with the outcome."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.engine.working import memory_app

from toril import App, Context, RetryPolicy, Settings, State, Task, TaskBundle
from toril.core.errors import InvalidOptionError, InvalidPayloadError, PayloadTooLargeError
from toril.engine import follow_ups
from toril.engine.follow_ups import FollowUps
from toril.engine.new_jobs import Blueprint

Ask = Callable[[Context], None]


@pytest.fixture(params=["memory", "redis"])
async def app(request: pytest.FixtureRequest, no_thread_left: None) -> AsyncIterator[App]:
    if request.param == "memory":
        made = memory_app()
    else:
        made = App(request.getfixturevalue("redis_url"), settings=Settings())
    async with made as app:
        yield app


def asking(app: App, run_in: str, ask: Ask) -> Task[[], None]:
    """Return a task that asks for follow-ups."""

    async def on_loop(ctx: Context) -> None:
        ask(ctx)

    def in_thread(ctx: Context) -> None:
        ask(ctx)

    function: Any = on_loop if run_in == "loop" else in_thread
    task: Task[[], None] = app.task(name="asking", queue="asking")(function)
    return task


PLACES = pytest.mark.parametrize("run_in", ["loop", "thread"])


@PLACES
async def test_a_task_is_added_as_its_own_enqueue_adds_it(app: App, run_in: str) -> None:
    @app.task(queue="mail", retry=RetryPolicy(max_attempts=7))
    async def thank(to: str, *, often: int = 1) -> None: ...

    def ask(ctx: Context) -> None:
        ctx.enqueue(thank, to="jo")
        ctx.enqueue(thank.with_options(delay=60, job_id="mine", max_attempts=2), "ann", often=3)

    await asking(app, run_in, ask).enqueue()
    await thank.enqueue(to="jo")
    await app.worker(queues=["asking"]).run(until_idle=True)

    page = await app.queue("mail").jobs([State.WAIT, State.DELAYED])
    direct, followed, later = page.jobs
    assert (direct.data, direct.options) == (followed.data, followed.options)
    assert (later.id, later.data) == ("mine", {"to": "ann", "often": 3})
    assert later.options["attempts"] == 2
    assert later.run_at is not None


class Anything:
    pass


WRONG: list[tuple[str, Callable[[Context, Any], None], type[Exception], str]] = [
    ("type", lambda ctx, t: ctx.enqueue(t, to=3), InvalidPayloadError, "field 'to'"),
    ("missing", lambda ctx, t: ctx.enqueue(t), InvalidPayloadError, "field 'to': missing"),
    ("unknown", lambda ctx, t: ctx.enqueue(t, to="", cc=1), InvalidPayloadError, "field 'cc'"),
    (
        "unknown by name",
        lambda ctx, t: ctx.enqueue("thank", {"to": "jo", "cc": "x"}),
        InvalidPayloadError,
        "field 'cc': unknown",
    ),
    ("large", lambda ctx, t: ctx.enqueue(t, to="x" * 300_000), PayloadTooLargeError, "at most"),
    (
        "large by name",
        lambda ctx, t: ctx.enqueue("any", {"x": "x" * 300_000}, queue="other"),
        PayloadTooLargeError,
        "at most",
    ),
    (
        "surrogate",
        lambda ctx, t: ctx.enqueue("any", {"x": "\ud83e"}, queue="other"),
        InvalidPayloadError,
        "surrogates",
    ),
    (
        "nan",
        lambda ctx, t: ctx.enqueue("any", {"x": float("nan")}, queue="other"),
        InvalidPayloadError,
        "not a JSON number",
    ),
    ("queue", lambda ctx, t: ctx.enqueue("any", queue="a:b"), InvalidOptionError, "queue='a:b'"),
    ("name", lambda ctx, t: ctx.enqueue("\ud800", queue="b"), InvalidOptionError, "name="),
    (
        "job id",
        lambda ctx, t: ctx.enqueue(t.with_options(job_id="a:b"), to=""),
        InvalidOptionError,
        "job_id='a:b'",
    ),
    (
        "long job id",
        lambda ctx, t: ctx.enqueue(t.with_options(job_id="x" * 9_000), to=""),
        InvalidOptionError,
        "xxx' (9002 characters): expected 1 to 512 characters",
    ),
    ("no queue", lambda ctx, t: ctx.enqueue("thnak"), InvalidOptionError, "names no queue"),
    ("no task", lambda ctx, t: ctx.enqueue(Anything(), to="jo"), InvalidOptionError, "a task of"),  # type: ignore[call-overload]
]


@PLACES
@pytest.mark.parametrize(("ask", "kind", "words"), [one[1:] for one in WRONG],
                         ids=[one[0] for one in WRONG])  # fmt: skip
async def test_what_cannot_be_added_is_refused_in_the_call(
    app: App, run_in: str, ask: Callable[[Context, Any], None], kind: type[Exception], words: str
) -> None:
    """Once a lone surrogate in a follow-up ended the whole worker, and left the job active."""

    @app.task(queue="mail")
    async def thank(to: str) -> None: ...

    seen: list[Exception] = []

    def ask_and_raise(ctx: Context) -> None:
        ctx.enqueue(thank, to="first")
        try:
            ask(ctx, thank)
        except Exception as error:
            seen.append(error)
            raise

    job = await asking(app, run_in, ask_and_raise).enqueue()
    await app.worker(queues=["asking"]).run(until_idle=True)

    (error,) = seen
    assert type(error) is kind
    assert words in str(error)
    info = await job.info()
    assert (info.state, info.attempts_made) == (State.FAILED, 1), "another attempt would not help"
    assert info.failed_reason == str(error)
    assert len(str(error)) < 300
    for queue in ("mail", "other", "b"):
        assert await app.queue(queue).info() is None


async def test_a_task_of_a_bundle_and_of_another_app_on_the_same_store_will_do(app: App) -> None:
    bundle = TaskBundle()

    @bundle.task(queue="mail")
    async def thank() -> None: ...

    other = App(app.url, settings=Settings())

    @other.task(queue="mail")
    async def remember() -> None: ...

    def ask(ctx: Context) -> None:
        ctx.enqueue(thank)
        ctx.enqueue(remember)

    await asking(app, "loop", ask).enqueue()
    await app.worker(queues=["asking"]).run(until_idle=True)

    page = await app.queue("mail").jobs(State.WAIT)
    assert [job.name for job in page.jobs] == ["thank", "remember"]


async def test_a_task_of_an_app_with_another_store_is_refused(app: App) -> None:
    """It would have been added here, where nobody knows it."""
    other = App("sqlite:///elsewhere.db", settings=Settings())

    @other.task(queue="mail")
    async def thank() -> None: ...

    job = await asking(app, "loop", lambda ctx: ctx.enqueue(thank)).enqueue()
    await app.worker().run(until_idle=True)

    assert "its app has another store" in ((await job.info()).failed_reason or "")


async def test_a_task_that_takes_any_name_checks_jobs_of_any_name(app: App) -> None:
    @app.task(queue="hooks", any_name=True)
    async def hook(url: str) -> None: ...

    def ask(ctx: Context) -> None:
        ctx.enqueue("paid", {"url": "/a"}, queue="hooks")
        with pytest.raises(InvalidPayloadError, match="field 'ulr': unknown"):
            ctx.enqueue("paid", {"url": "/a", "ulr": "/b"}, queue="hooks")

    job = await asking(app, "thread", ask).enqueue()
    await app.worker(queues=["asking"]).run(until_idle=True)

    assert await job.state() is State.COMPLETED
    (added,) = (await app.queue("hooks").jobs(State.WAIT)).jobs
    assert (added.name, added.data) == ("paid", {"url": "/a"})


@pytest.mark.parametrize("ends", ["returns", "raises"])
async def test_a_follow_up_after_the_end_is_refused_and_not_forgotten(app: App, ends: str) -> None:
    """A thread that a task left behind was told nothing, and its job was never added."""
    proceed, refused = threading.Event(), threading.Event()

    @app.task(queue="mail")
    async def thank() -> None: ...

    def ask(ctx: Context) -> None:
        def late() -> None:
            proceed.wait(30)
            with pytest.raises(InvalidOptionError, match="its attempt has ended"):
                ctx.enqueue(thank)
            refused.set()

        threading.Thread(target=late, daemon=True).start()
        if ends == "raises":
            raise ValueError

    await asking(app, "thread", ask).enqueue()
    await app.worker(queues=["asking"]).run(until_idle=True)
    proceed.set()

    assert refused.wait(30)
    assert await app.queue("mail").info() is None


def test_an_attempt_adds_no_more_than_one_transaction_can(monkeypatch: pytest.MonkeyPatch) -> None:
    blueprint = Blueprint("mail", "thank")
    monkeypatch.setattr(follow_ups, "MAX_JOBS", 3)
    monkeypatch.setattr(follow_ups, "MAX_TOTAL_BYTES", 10)

    many, large = FollowUps(), FollowUps()
    for _ in range(3):
        many.add(blueprint.job("{}"))
    large.add(blueprint.job("x" * 10))

    with pytest.raises(InvalidOptionError, match="at most 3 jobs with 10 bytes"):
        many.add(blueprint.job("{}"))
    with pytest.raises(InvalidOptionError, match="one too many"):
        large.add(blueprint.job("x"))
    assert len(many.take() or ()) == 3
    with pytest.raises(InvalidOptionError, match="comes too late"):
        many.add(blueprint.job(""))
    assert FollowUps().take() is None
