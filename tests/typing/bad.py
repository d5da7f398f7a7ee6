"""Mistakes that type checkers must find: each line with an `E` has exactly one, others none."""

from __future__ import annotations

from toril import App, Context, HookEvent, Job, JobDraft, JobOptions, Node, RetryPolicy
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


@app.task()
def add(a: int, b: int = 2) -> int:
    return a + b


@app.task
async def bare(ctx: Context, to: str) -> str:
    return to


@app.task(queue="mail")
async def send(ctx: Context, to: str) -> str:
    ctx.progress(object())  # E
    ctx.enqueue("other", {"x": object()})  # E
    ctx.enqueue(add, "1")  # E
    ctx.enqueue(add.with_options(delay=60), c=1)  # E
    return to


async def slow(job: JobDraft) -> None:
    job.queue = "other"  # E
    job.options = {"priority": 3}  # E


async def use() -> None:
    await add.enqueue("1")  # E
    await add.enqueue()  # E
    await add.enqueue(1, 2, 3)  # E
    await add.enqueue(1, c=3)  # E
    await send.enqueue(to=3)  # E
    await bare.enqueue(to=3)  # E
    await bare.enqueue()  # E
    add.delay(1)  # E
    add.apply_async(args=[1])  # E
    add.enqueue_sync(None)  # E
    await app.bound(add).enqueue("1")  # E
    await app.include(add).enqueue(1, c=3)  # E
    add.with_options(delay="soon")  # E
    add.with_options(prority=1)  # E
    text: str = await (await add.enqueue(1)).result()  # E
    other: Job[str] = await add.enqueue(1)  # E
    await app.queue("mail").add("send", object())  # E
    await app.queue("mail").add_many([("send", {}, {"delay": 1})])  # E
    await app.tell_worker("w", "dance")  # E
    await app.tell_worker("w", "resize", concurrency="20")  # E
    app.off("fialed", print)  # E
    await app.claims("mail").claim(wait="soon")  # E
    print(text, other)
    add.node("one")  # E
    add.node(1, children=[1])  # E
    add.node(1, children=[], on_failure="explode")  # E
    wrong: Node[str] = add.node(1)  # E
    await app.flows.add(add)  # E
    print(wrong)


app.enqueue_middleware(slow)  # E
app.task(queues="mail")  # E
app.task("greet")  # E
app.task(bind=True)  # E
app.include("shop")  # E
app.send_task("greet")  # E
app.schedule(crn="@daily")  # E
app.schedule("@daily", missed="some")  # E
app.schedule(5)  # E
app.task(run_in="cloud")  # E
app.task(timeout="1h")  # E
app.on("fialed")  # E
app.worker(concurrency="5")  # E
RetryPolicy(attempts=3)  # E
RetryPolicy(backoff="linear")  # E
RetryPolicy(wait=lambda made: 1.0)  # E
JobOptions(delay=3)  # E
App("redis://", durability="some")  # E


MAIL = QueueSpec("mail", concurrency="5")  # E
QueueSpec("mail", lockDuration=5)  # E
JobSettings(attempts="3")  # E
Backoff(type="linear")  # E


class MailProducer(Producer[str, int], spec=MAIL):
    pass


class NoQueue(Producer[str, int], spec="mail"):  # E
    pass


class Mailer(Processor[str, int], spec=MAIL):
    async def process(self, job: ProcessorJob[str]) -> int:
        job.update_progress(object())  # E
        return job.data  # E


class WrongPayload(Processor[str, int], spec=MAIL):
    async def process(self, job: ProcessorJob[int]) -> int:  # E
        return 1


class WrongResult(Processor[str, int], spec=MAIL):
    async def process(self, job: ProcessorJob[str]) -> str:  # E
        return ""


class WrongHook(Processor[str, int], spec=MAIL):
    async def process(self, job: ProcessorJob[str]) -> int:
        return 1

    def on_failed(self, job: HookEvent, error: int) -> None:  # E
        pass


async def use_typed(queues: QueueRegistry) -> None:
    mail = queues.producers(app).get(MailProducer)
    await mail.enqueue(3)  # E
    await mail.enqueue("a", delay="soon")  # E
    await mail.enqueue("a", prority=1)  # E
    mail.enqueue_sync(None)  # E
    mail.node(3)  # E
    await mail.enqueue_many([1])  # E
    text: str = await (await mail.enqueue("a")).result()  # E
    print(text)
    queues.producers(app).get(Mailer)  # E
    Processors(queues, [MailProducer(app)])  # E
