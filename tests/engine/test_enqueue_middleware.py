"""Enqueue middleware: each new job passes it, by whatever door it comes."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.working import ONCE, memory_app

from toril import (
    App,
    Call,
    Context,
    Deduplication,
    JobDraft,
    JobOptions,
    KeepPolicy,
    RetryPolicy,
    Settings,
    State,
    Task,
    TaskBundle,
)
from toril.core.errors import InvalidOptionError, InvalidPayloadError, PayloadTooLargeError
from toril.engine.drafts import through
from toril.engine.job import NewJob
from toril.engine.new_jobs import Blueprint

tenant = contextvars.ContextVar("tenant", default="nobody")


@pytest.fixture(params=["memory", "redis"])
async def app(request: pytest.FixtureRequest, no_thread_left: None) -> AsyncIterator[App]:
    if request.param == "memory":
        made = memory_app()
    else:
        made = App(request.getfixturevalue("redis_url"), settings=Settings())
    async with made as app:
        yield app


@pytest.fixture
async def quick() -> AsyncIterator[App]:
    async with memory_app() as app:
        yield app


def follow(ask: Callable[[Context, Any], None], run_in: str) -> Callable[..., Awaitable[None]]:
    """Return a door: a job that asks for a follow-up."""

    async def door(app: App, mail: Any) -> None:
        async def on_loop(ctx: Context) -> None:
            ask(ctx, mail)

        def in_thread(ctx: Context) -> None:
            ask(ctx, mail)

        function: Any = on_loop if run_in == "loop" else in_thread
        asking: Any = app.task(name="asking", queue="asking", retry=ONCE)(function)
        job = await asking.enqueue()
        await app.worker(queues=["asking"]).run(until_idle=True)
        assert (await job.info()).failed_reason is None

    return door


async def in_thread(call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    await asyncio.to_thread(call, *args, **kwargs)


DOORS: dict[str, Callable[[App, Any], Awaitable[object]]] = {
    "enqueue": lambda app, mail: mail.enqueue(to="jo"),
    "enqueue_many": lambda app, mail: mail.enqueue_many([{"to": "jo"}]),
    "enqueue_sync": lambda app, mail: in_thread(mail.enqueue_sync, to="jo"),
    "enqueue_many_sync": lambda app, mail: in_thread(mail.enqueue_many_sync, [{"to": "jo"}]),
    "queue.add": lambda app, mail: app.queue("mail").add("mail", {"to": "jo"}),
    "queue.add_many": lambda app, mail: app.queue("mail").add_many([("mail", {"to": "jo"})]),
    "follow-up": follow(lambda ctx, mail: ctx.enqueue(mail, to="jo"), "loop"),
    "follow-up in a thread": follow(lambda ctx, mail: ctx.enqueue(mail, to="jo"), "thread"),
    "named follow-up": follow(lambda ctx, mail: ctx.enqueue("mail", {"to": "jo"}), "loop"),
    "unknown follow-up": follow(
        lambda ctx, mail: ctx.enqueue("other", {"to": "jo"}, queue="mail"), "thread"
    ),
}


@pytest.mark.parametrize("door", DOORS)
async def test_a_job_passes_all_of_them_once_in_order_by_whatever_door(app: App, door: str) -> None:
    seen: list[tuple[str, str]] = []

    @app.task(queue="mail")
    async def mail(to: str) -> None: ...

    @app.enqueue_middleware
    def first(job: JobDraft) -> None:
        if job.queue == "mail":
            seen.append((job.queue, job.name))
            job.payload["tenant"] = tenant.get()
            job.options = replace(job.options, priority=7, keep_logs=5)

    @app.enqueue_middleware
    def second(job: JobDraft) -> None:
        if job.queue == "mail":
            job.payload = {**job.payload, "order": [job.payload["tenant"], job.options.priority]}

    tenant.set("acme")
    await DOORS[door](app, mail)

    (added,) = (await app.queue("mail").jobs(State.PRIORITIZED)).jobs
    name = "other" if door == "unknown follow-up" else "mail"
    assert seen == [("mail", name)]
    # A job's attempt begins with what its worker has set, and the worker was started here.
    assert added.data == {"to": "jo", "tenant": "acme", "order": ["acme", 7]}
    assert (added.priority, added.options["kl"]) == (7, 5)


async def test_what_is_added_reaches_the_attempt_and_its_follow_ups(quick: App) -> None:
    @quick.enqueue_middleware
    def mark(job: JobDraft) -> None:
        job.payload["tenant"] = tenant.get()

    @quick.middleware
    async def enter(context: Context, call: Call) -> Any:
        tenant.set(context.data["tenant"])
        return await call()

    found: list[str] = []

    @quick.task()
    async def outer(ctx: Context) -> None:
        ctx.enqueue(inner)

    @quick.task()
    def inner() -> None:
        found.append(tenant.get())

    tenant.set("acme")
    await outer.enqueue()
    tenant.set("of the worker")
    await quick.worker().run(until_idle=True)

    assert found == ["acme"]


async def test_a_task_of_a_bundle_passes_those_of_its_app(quick: App) -> None:
    bundle = TaskBundle()

    @bundle.task()
    async def work(n: int) -> int:
        return n

    quick.include(bundle)

    @quick.enqueue_middleware
    def double(job: JobDraft) -> None:
        job.payload["n"] *= 2

    job = await quick.bound(work).with_options(job_id="mine").enqueue(4)
    await quick.worker().run(until_idle=True)

    assert (job.id, await job.result()) == ("mine", 8)


async def test_what_it_raises_reaches_the_caller_as_it_is_and_nothing_is_added(quick: App) -> None:
    class ClosedError(Exception):
        pass

    @quick.task()
    async def work(n: int) -> None: ...

    @quick.enqueue_middleware
    def refuse(job: JobDraft) -> None:
        if job.payload["n"] == 2:
            raise ClosedError("until tomorrow")

    with pytest.raises(ClosedError, match=r"^until tomorrow$"):
        await work.enqueue(2)
    with pytest.raises(ClosedError):
        await work.enqueue_many({"n": n} for n in range(5))
    with pytest.raises(ClosedError):
        await quick.queue("default").add_many([("work", {"n": n}) for n in range(5)])
    with pytest.raises(ClosedError):
        await asyncio.to_thread(work.enqueue_sync, 2)

    assert await quick.queue("default").info() is None


async def test_what_it_raises_in_a_follow_up_is_the_tasks_own_to_catch(quick: App) -> None:
    @quick.task(queue="mail")
    async def mail() -> None: ...

    @quick.enqueue_middleware
    def refuse(job: JobDraft) -> None:
        if job.queue == "mail":
            raise LookupError("no such tenant")

    @quick.task(queue="asking")
    async def catches(ctx: Context) -> str:
        with pytest.raises(LookupError, match="no such tenant"):
            ctx.enqueue(mail)
        return "went on"

    @quick.task(queue="asking", retry=RetryPolicy(max_attempts=2, base_s=0))
    def falls(ctx: Context) -> None:
        ctx.enqueue(mail)

    caught, fallen = await catches.enqueue(), await falls.enqueue()
    await quick.worker(queues=["asking"]).run(until_idle=True)

    assert await caught.result() == "went on"
    info = await fallen.info()
    assert (info.failed_reason, info.attempts_made) == ("LookupError: no such tenant", 2)
    assert await quick.queue("mail").info() is None


def _no_json(job: JobDraft) -> None:
    job.payload["when"] = object()


def _not_a_number(job: JobDraft) -> None:
    job.payload = {"to": "jo", "x": float("nan")}


def _misfit(job: JobDraft) -> None:
    job.payload["to"] = 5


def _incomplete(job: JobDraft) -> None:
    job.payload = None


def _huge(job: JobDraft) -> None:
    job.payload["more"] = "x" * 300


def _odd_options(job: JobDraft) -> None:
    job.options = {"priority": 3}  # type: ignore[assignment]


def _answers(job: JobDraft) -> Any:
    return {**job.payload, "lost": True}


class Waits:
    async def __call__(self, job: JobDraft) -> None:
        job.payload["lost"] = True


NONSENSE: list[tuple[Any, type[Exception], str]] = [
    (_no_json, InvalidPayloadError, "object is not a type that JSON can carry"),
    (_not_a_number, InvalidPayloadError, "nan is not a JSON number"),
    (_misfit, InvalidPayloadError, "field 'to'"),
    (_incomplete, InvalidPayloadError, "field 'to': missing"),
    (_huge, PayloadTooLargeError, "at most max_payload_bytes=200"),
    (_odd_options, InvalidOptionError, "expected JobOptions"),
    (_answers, InvalidOptionError, "it returned dict: expected None"),
    (Waits(), InvalidOptionError, "it returned coroutine: expected None"),
]


@pytest.mark.parametrize("door", ["enqueue", "enqueue_many", "follow-up", "named follow-up"])
@pytest.mark.parametrize(("one", "kind", "words"), NONSENSE)
async def test_a_job_changed_into_nonsense_is_refused_with_the_middlewares_name(
    quick: App, door: str, one: Any, kind: type[Exception], words: str
) -> None:
    caught: list[Exception] = []

    @quick.task(queue="mail", max_payload_bytes=200)
    async def mail(to: str) -> None: ...

    def only_mail(job: JobDraft) -> Any:
        return one(job) if job.queue == "mail" else None

    only_mail.__qualname__ = "the.culprit"
    quick.enqueue_middleware(only_mail)

    def ask(ctx: Context, mail: Any) -> None:
        try:
            ctx.enqueue("mail", {"to": "jo"}) if "named" in door else ctx.enqueue(mail, to="jo")
        except Exception as error:
            caught.append(error)

    if "follow-up" in door:
        await follow(ask, "thread")(quick, mail)
    else:
        with pytest.raises(kind) as raised:
            await DOORS[door](quick, mail)
        caught.append(raised.value)

    (error,) = caught
    assert type(error) is kind
    assert words in str(error)
    assert "the.culprit" in str(error)
    assert await quick.queue("mail").info() is None


async def test_a_coroutine_function_is_refused_where_it_is_given(quick: App) -> None:
    async def slow(job: JobDraft) -> None: ...

    with pytest.raises(InvalidOptionError, match="expected a plain function"):
        quick.enqueue_middleware(slow)  # type: ignore[type-var]
    with pytest.raises(InvalidOptionError, match="expected a plain function"):
        quick.enqueue_middleware(3)  # type: ignore[type-var]


def test_a_job_that_is_only_looked_at_stays_as_it_was_written() -> None:
    made = Blueprint("mail", "send", JobOptions(job_id="mine")).job('{ "a": 1.50, "b": 1e2 }')
    looks: list[Any] = []

    def look(job: JobDraft) -> None:
        looks.append((job.queue, job.name, job.payload, job.options.job_id, repr(job)))
        job.payload = {"b": 100.0, "a": 1.5} if len(looks) == 3 else job.payload

    assert through([look], made) == made
    assert through([look], made).data == made.data
    assert through([look], made).data == '{"b":100.0,"a":1.5}'
    assert looks[0] == (
        "mail", "send", {"a": 1.5, "b": 100.0}, "mine", "JobDraft('send', queue='mail')",
    )  # fmt: skip


def test_true_is_not_taken_for_the_one_that_stood_there() -> None:
    def change(job: JobDraft) -> None:
        job.payload["a"] = True

    assert through([change], NewJob(queue="q", name="n", data='{"a":1}')).data == '{"a":true}'


def test_options_can_be_changed_on_a_job_larger_than_other_jobs_may_be() -> None:
    made = Blueprint("q", "n", max_payload_bytes=10**6).job(f'"{"x" * 500_000}"')

    def urgent(job: JobDraft) -> None:
        job.options = replace(job.options, priority=1)

    assert through([urgent], made) == NewJob(
        queue="q", name="n", data=made.data, opts='{"priority":1}', priority=1
    )


KEEP = st.none() | st.builds(
    KeepPolicy,
    count=st.none() | st.integers(0, 10**6),
    age_s=st.none() | st.integers(0, 10**7).map(float),
)
SECONDS = st.integers(0, 10**7).map(lambda ms: ms / 1000)
OPTIONS = st.builds(
    JobOptions,
    trace=st.booleans(),
    job_id=st.none() | st.just("mine"),
    deduplication=st.none()
    | st.builds(Deduplication, st.just("d"), ttl_s=st.just(2.5), extend=st.booleans(),
                replace=st.booleans(), keep_last_if_active=st.booleans()),
    priority=st.integers(0, 50),
    lifo=st.booleans(),
    max_attempts=st.none() | st.integers(1, 100),
    backoff=st.none() | st.sampled_from(["fixed", "exponential"]),
    backoff_s=st.none() | SECONDS,
    jitter_ratio=st.none() | st.sampled_from([0.0, 0.25, 1.0]),
    keep_completed=KEEP,
    keep_failed=KEEP,
    keep_logs=st.none() | st.integers(0, 5000),
)  # fmt: skip
WHEN = st.one_of(
    st.builds(lambda s: {"delay_s": s}, SECONDS),
    st.just({"run_at": datetime(2030, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)}),
)
POLICY = st.none() | st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 9),
    backoff=st.sampled_from(["fixed", "exponential"]),
    base_s=SECONDS,
    jitter_ratio=st.sampled_from([0.0, 0.5]),
)


@given(OPTIONS, WHEN, POLICY)
def test_options_that_are_set_as_they_are_change_nothing(
    options: JobOptions, when: dict[str, Any], policy: RetryPolicy | None
) -> None:
    made = Blueprint("q", "n", replace(options, **when), policy).job("{}")

    def again(job: JobDraft) -> None:
        job.options = replace(job.options)

    after = through([again], made)
    assert (after.opts, after) == (made.opts, made)


async def test_those_added_later_count_too(quick: App) -> None:
    @quick.task(queue="mail")
    async def mail() -> None: ...

    await mail.enqueue()
    typed: Task[[], None] = mail

    @quick.enqueue_middleware
    def late(job: JobDraft) -> None:
        job.payload["late"] = True

    await typed.enqueue()
    jobs = (await quick.queue("mail").jobs(State.WAIT)).jobs
    assert [job.data for job in jobs] == [{}, {"late": True}]
