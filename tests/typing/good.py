"""A program that uses Toril as it is meant to be used. Type checkers find nothing in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from toril import (
    App,
    Call,
    Cancel,
    ClaimedJob,
    Claims,
    Context,
    Flow,
    FlowNode,
    FlowProgress,
    HookEvent,
    Job,
    JobDraft,
    JobInfo,
    JobOptions,
    KeepPolicy,
    LogPage,
    Node,
    Priority,
    QueueInfo,
    RetriedJob,
    RetryPolicy,
    ScheduleInfo,
    Snooze,
    StuckFlow,
    Task,
    TaskBundle,
    WholePayload,
    chain,
    group,
    provided,
)
from toril.testing import MemoryApp, Ran, in_memory
from toril.typed import (
    Backoff,
    JobSettings,
    Processor,
    ProcessorJob,
    Processors,
    Producer,
    QueueRegistry,
    QueueSpec,
)

app = App()
mail = TaskBundle()


@dataclass
class Size:
    width: int
    height: int


@app.task()
def add(a: int, b: int = 2) -> int:
    return a + b


@app.task(queue="mail", retry=RetryPolicy(max_attempts=3), timeout=timedelta(minutes=1))
async def send(ctx: Context, to: str, *, name: str = "you") -> str:
    ctx.progress({"done": [1, 2]})
    ctx.log(f"to {to}")
    ctx.enqueue(add, 1, b=3)
    ctx.enqueue(add.with_options(delay=60), 1)
    ctx.enqueue("encode", {"file": to}, queue="video")
    if ctx.cancelled:
        raise Cancel
    if ctx.remaining_s is not None and ctx.remaining_s < 1:
        raise Snooze(until=datetime.now(UTC))
    return name


@app.task
def double(n: int) -> int:
    return 2 * n


@app.task
async def told(ctx: Context, to: str = "you") -> str:
    return to


@mail.task
async def answered() -> Size:
    return Size(1, 2)


@app.task(run_in="process")
def resize(path: str, *, size: Size = provided(Size)) -> Size:
    return size


@app.task()
async def total(numbers: WholePayload[list[int]], context: Context | None = None) -> dict[int, str]:
    return {sum(numbers): "" if context is None else str(context.data)}


@mail.task(keep_completed=KeepPolicy(count=0))
async def nothing() -> None: ...


@mail.task(name="mail.render", rename="camel")
async def render(
    ctx: Context,
    template: str,
    variables: dict[str, Any] | None = None,
    *,
    app: App = provided(App),
) -> dict[str, Any]:
    return variables or {}


@mail.task(name="mail.store")
async def store(rows: list[dict[str, Any]], *, table: str = "rows") -> int:
    return len(rows)


@mail.task
def write(row: dict[str, Any], path: str = "row.json") -> str:
    return path


async def use_bound() -> None:
    # What mypy does not know of the first two, it leaves alone.
    await app.bound(render).enqueue("welcome", variables={"name": "Jo"})
    await app.bound(render).with_options(delay=60).enqueue(template="welcome")
    await app.bound(store).enqueue([{"a": 1}], table="t")
    await app.include(store).enqueue(rows=[])
    app.bound(write).enqueue_sync({"a": 1}, path="a.json")
    job = await app.bound(write).enqueue({"a": [1, None]})
    assert_type(job, Job[str])
    assert_type(await (await app.bound(answered).enqueue()).result(), Size)


@app.on("failed")
def report(event: HookEvent) -> None:
    print(event.reason)


@app.on("completed")
async def report_later(event: HookEvent) -> None:
    print(event.result)


@app.middleware
async def around(context: Context, call: Call) -> object:
    return await call()


@app.enqueue_middleware
def mark(job: JobDraft) -> None:
    job.payload["tenant"] = "acme"
    job.options = replace(job.options, priority=Priority.HIGH)


@app.schedule("0 6 * * *", timezone="Europe/Berlin", missed="skip")
@app.schedule(every=timedelta(hours=1), id="hourly", payload={"n": 1}, jitter=5)
@app.task(queue="reports")
async def report_daily(n: int = 0) -> str:
    return str(n)


async def use() -> None:
    assert_type(await (await report_daily.enqueue(n=3)).result(), str)
    schedules = app.schedules
    put = await schedules.put("s", add.with_options(priority=5), {"a": 1}, every=timedelta(hours=1))
    assert_type(put, ScheduleInfo)
    assert_type(await schedules.put("q", app.queue("q"), name="x", cron="@daily"), ScheduleInfo)
    assert_type(await schedules.list(), list[ScheduleInfo])
    assert_type(await schedules.get("s", queue="default"), ScheduleInfo | None)
    assert_type((await schedules.run("s")).id, str)
    job = await add.enqueue(1, b=3)
    assert_type(job, Job[int])
    assert_type(await job.result(timeout_s=60), int)
    assert_type(await job.info(), JobInfo)
    assert_type(add.enqueue_sync(1), Job[int])
    assert_type(await add.enqueue_many([{"a": 1}]), list[Job[int]])

    assert_type(await (await send.enqueue("jo@example.com", name="Jo")).result(), str)
    later = send.with_options(delay=timedelta(hours=1), priority=Priority.HIGH, job_id="a")
    assert_type(await later.enqueue(to="jo@example.com"), Job[str])
    assert_type(await (await resize.enqueue("a.jpg")).result(), Size)
    assert_type(await (await nothing.enqueue()).result(), None)

    assert_type(await (await total.enqueue([1, 2])).result(), dict[int, str])

    assert_type(await (await double.enqueue(1)).result(), int)
    assert_type(await (await told.enqueue(to="Jo")).result(), str)
    assert_type(await (await app.include(answered).enqueue()).result(), Size)
    assert_type(app.include(mail), None)

    queue = app.queue("mail")
    await queue.add("send", {"to": "x", "n": [1, 2.5, None, {"a": True}]})
    assert_type(await queue.info(), QueueInfo | None)
    async for event in queue.events(after=0, until_idle=True):
        assert_type(event.job_id, str | None)
    worker = app.worker(queues={"mail": 3, "default": 1}, concurrency=5)
    worker.stop()
    await worker.run(until_idle=True)


def by_customer(made: int, error: BaseException, job: RetriedJob) -> float | None:
    return None if job.data == made else 1.0


@app.task(queue="mail", retry=RetryPolicy(wait=by_customer))
async def walk(context: Context, step: int) -> None:
    await context.update_data({"step": step + 1})
    assert_type(context.cancel_reason, str | None)
    if context.cancel_kind == "lease_lost":
        context.log(context.raw_data)


@app.task(retry=RetryPolicy(wait=lambda made, error: made * 2.0))
def walk_in_a_thread(context: Context, step: int) -> None:
    context.update_data_sync({"step": step + 1})


def stopped(event: HookEvent) -> None:
    print(event.worker_id, event.count)


async def use_queues_by_name() -> None:
    queue = app.queue("mail")
    pairs = [("send", {"to": str(number)}) for number in range(3)]
    assert_type(await queue.add_many(pairs), list[Job[Any]])
    await queue.add_many(
        [("send", {}), ("send", {}, JobOptions(keep_traces=1)), ("send", [], None)]
    )
    job = (await queue.add_many((name, data, JobOptions()) for name, data in pairs))[0]
    assert_type(await job.log_page(newest_first=True), LogPage)
    assert_type((await job.log_page()).lines, list[str])
    await job.set_progress({"done": [1]})
    assert_type(await queue.clean("completed"), list[str])
    app.on("closed")(stopped)
    assert_type(app.off("closed", stopped), bool)
    assert_type(await app.tell_worker("w", "pause"), bool)
    assert_type(await app.tell_worker("w", "resize", concurrency=20), bool)


async def use_claims() -> None:
    async with app.claims("mail", "reports", retry=RetryPolicy(), renews=False) as claims:
        assert_type(claims, Claims)
        job = await claims.claim(wait=timedelta(seconds=1))
        assert_type(job, ClaimedJob | None)
        if job is not None:
            job.context.progress(1)
            await job.renew()
            print(await job.complete({"sent": [1]}))
        assert_type(await claims.claim_many(3), list[ClaimedJob])
    with app.claims("mail") as plain:
        for one in plain.claim_many_sync(2):
            one.fail_sync(OSError("no"))


async def use_flows() -> None:
    leaf = add.node(1, b=2)
    assert_type(leaf, Node[int])
    tree = send.node("jo@example.com", name="Jo", children=[leaf, nothing.node()])
    assert_type(tree, Node[str])
    assert_type(add.node(1).with_children([leaf]).when_failed("ignore"), Node[int])
    flow = await app.flows.add(tree)
    assert_type(flow, Flow[str])
    assert_type(await flow.result(timeout_s=1), str)
    assert_type(await flow.progress(), FlowProgress)
    assert_type(await flow.tree(), FlowNode)
    assert_type(app.flows.add_sync(leaf), Flow[int])
    assert_type(group(leaf, leaf, then=tree), Node[str])
    assert_type(await app.flows.stuck(), list[StuckFlow])
    named = Node("mail", "send", {"to": "x"}, children=[leaf], on_failure="remove")
    await app.flows.add(chain(named, leaf))


@app.task()
async def parent(context: Context) -> int:
    assert_type(await context.children_results(add), dict[str, int])
    assert_type(await context.children_failures(), dict[str, str])
    await context.add_children([add.node(1), send.node("x")])
    await context.wait_for_children()
    return sum(context.children_results_sync(add).values())


async def test() -> None:
    async with MemoryApp() as memory, in_memory(app) as bench:
        assert_type(await memory.run_until_idle(), Ran)
        assert_type(await bench.run_until_idle(advance=True), Ran)
        assert_type(await bench.run_for(timedelta(days=1)), Ran)


def takes(task: Task[[int, int], int]) -> None:
    task.enqueue_sync(1, 2)


RESIZE = QueueSpec("resize", profile="heavy", defaults=JobSettings(attempts=2))


class ResizeProducer(Producer[Size, str], spec=RESIZE):
    pass


class ResizeProcessor(Processor[Size, str], spec=RESIZE):
    async def process(self, job: ProcessorJob[Size]) -> str:
        assert_type(job.data, Size)
        job.update_progress(job.data.width)
        return "done"

    def on_failed(self, job: HookEvent, error: str) -> None:
        assert_type(error, str)


class PlainProcessor(Processor[Size, str], spec=RESIZE):
    def process(self, job: ProcessorJob[Size]) -> str:
        return str(job.data.height)

    async def on_completed(self, job: HookEvent, result: str | None) -> None:
        assert_type(job.job_id, str | None)


async def typed_queues() -> None:
    queues = QueueRegistry([RESIZE], producers=[ResizeProducer])
    producer = queues.producers(app).get(ResizeProducer)
    assert_type(producer, ResizeProducer)
    job = await producer.enqueue(Size(1, 2), delay=5, backoff=Backoff(delay=2))
    assert_type(await job.result(), str)
    assert_type(await producer.enqueue_many([Size(1, 2)]), list[Job[str]])
    assert_type(producer.node(Size(1, 2), on_failure="ignore"), Node[str])
    Processors(queues, [ResizeProcessor()]).register(app)
