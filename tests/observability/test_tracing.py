"""Traces: spans of who adds jobs, and of the code that runs for them, at a receiver of OTLP."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.context import Context as OtelContext
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Tracer
from tests.engine.working import ONCE
from tests.observability import traced_tasks
from tests.observability.traced_tasks import (
    URL,
    bundle,
    fails,
    order,
    part,
    split,
    weigh,
    whole,
)
from tests.support.otlp import Received, Receiver, exporting

from toril import (
    App,
    Context,
    Fail,
    HookEvent,
    InvalidOptionError,
    JobLogFilter,
    JobOptions,
    Settings,
    Task,
)
from toril.cli.logs import JsonLines
from toril.core.sealing import new_key
from toril.engine.current_job import ASKED
from toril.engine.new_jobs import Blueprint
from toril.observability.tracing import Tracing

FROM_NODE = '{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def provider(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[TracerProvider]:
    """What makes the spans of this process; children send theirs by exporters of their own."""
    monkeypatch.setenv(URL, receiver.url)
    provider = exporting(receiver.url)
    monkeypatch.setattr(traced_tasks, "worker_provider", provider)
    monkeypatch.setattr(ASKED, "trace", None)
    monkeypatch.setattr(ASKED, "asked", ASKED.asked)
    yield provider
    provider.shutdown()


@pytest.fixture(params=["sqlite", "redis"])
async def app(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    provider: TracerProvider,
    no_thread_left: None,
) -> AsyncIterator[App]:
    """An app that traces, on each store."""
    url = (
        f"sqlite:///{tmp_path}/toril.db?durability=normal"
        if request.param == "sqlite"
        else request.getfixturevalue("redis_url")
    )
    async with App(url, settings=Settings()) as app:
        app.trace(provider)
        app.include(bundle)
        yield app


@pytest.fixture
def user(provider: TracerProvider) -> Tracer:
    """The program that uses the app."""
    return provider.get_tracer("user")


async def ended(app: App, provider: TracerProvider, receiver: Receiver, many: int) -> None:
    """Run all jobs, and wait until so many spans have come."""
    await app.worker().run(until_idle=True)
    provider.force_flush()
    await receiver.until(many)
    assert len(receiver.spans) == many, sorted(span.name for span in receiver.spans)


def way(receiver: Receiver, span: Received) -> list[str]:
    """Return the names of the spans above one, the nearest first."""
    by_id = {one.span_id: one for one in receiver.spans}
    names = []
    while span.parent_id:
        span = by_id[span.parent_id]
        names.append(span.name)
    return names


async def stored_options(app: App, queue: str, job_id: str) -> dict[str, Any]:
    record = await app.backend().jobs.get(queue, job_id)
    assert record is not None
    options: dict[str, Any] = json.loads(record.opts)
    return options


async def test_producer_worker_thread_child_and_follow_ups_are_one_tree(
    app: App, provider: TracerProvider, receiver: Receiver, user: Tracer
) -> None:
    with user.start_as_current_span("request"):
        job = await app.bound(order).enqueue()

    await ended(app, provider, receiver, 13)

    assert len({span.trace_id for span in receiver.spans}) == 1
    assert way(receiver, receiver.one("shipping")) == [
        "process loop", "add loop",
        "in child", "process process", "add process", "in thread",
        "process thread", "add thread", "in loop",
        "process loop", "add loop",
        "request",
    ]  # fmt: skip
    assert way(receiver, receiver.one("in child"))[:2] == ["process process", "add process"]
    child, worker = receiver.one("in child"), receiver.one("process process")
    assert child.pid != 0
    assert worker.pid == 0
    added = receiver.one("add loop", toril_task="order")
    assert added.kind == "producer"
    assert added.attributes == {
        "messaging.system": "toril",
        "messaging.operation.name": "add",
        "messaging.operation.type": "send",
        "messaging.destination.name": "loop",
        "messaging.message.id": job.id,
        "toril.task": "order",
    }
    ran = receiver.one("process loop", toril_task="order")
    assert ran.kind == "consumer"
    waited_s = ran.attributes.pop("toril.waited_s")
    assert 0 <= waited_s < 60
    worker_id = ran.attributes.pop("messaging.client.id")
    assert worker_id == worker.attributes["messaging.client.id"] != ""
    assert ran.attributes == {
        "messaging.system": "toril",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "loop",
        "messaging.message.id": job.id,
        "messaging.message.body.size": 2,
        "toril.task": "order",
        "toril.attempt": 1,
        "toril.outcome": "completed",
    }
    assert receiver.one("add thread").attributes["messaging.operation.type"] == "create"


async def test_flow_is_one_tree_of_its_call(
    app: App, provider: TracerProvider, receiver: Receiver, user: Tracer
) -> None:
    with user.start_as_current_span("request"):
        flow = await app.flows.add(app.bound(whole).node(children=[part.node(1), part.node(2)]))

    await ended(app, provider, receiver, 8)

    added = receiver.one("add loop")
    assert added.attributes["messaging.batch.message_count"] == 3
    assert "toril.task" not in added.attributes
    for name in ("part 1", "part 2", "whole"):
        assert way(receiver, receiver.one(name)) == ["process loop", "add loop", "request"]
    assert await flow.result(timeout_s=1) == 3


async def test_children_that_a_child_process_adds_are_below_its_attempt(
    app: App, provider: TracerProvider, receiver: Receiver, user: Tracer
) -> None:
    with user.start_as_current_span("request"):
        await app.bound(split).enqueue()

    await app.worker().run(until_idle=True)
    provider.force_flush()
    await receiver.until(10)  # the job may run once more, if its children take longer

    for n in range(2):
        assert way(receiver, receiver.one(f"part {n}")) == [
            "process loop", "add loop", "splitting", "process process", "add process", "request",
        ]  # fmt: skip
    ran = [span for span in receiver.spans if span.name == "process process"]
    assert ran[-1].attributes["toril.outcome"] == "completed"
    assert all(span.attributes["toril.outcome"] == "waiting_children" for span in ran[:-1])
    assert not any(span.failed for span in receiver.spans)


async def test_failed_attempts_say_why(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    await app.bound(fails).enqueue()

    await ended(app, provider, receiver, 3)

    retried = receiver.one("process loop", toril_outcome="retried")
    failed = receiver.one("process loop", toril_outcome="failed")
    assert (retried.attributes["toril.attempt"], failed.attributes["toril.attempt"]) == (1, 2)
    assert retried.attributes["toril.retry_in_s"] == 0
    added = receiver.one("add loop")
    for span in (retried, failed):
        assert span.failed
        assert span.said == "ValueError: no paper"
        assert span.attributes["error.type"] == "ValueError"
        assert span.parent_id == added.span_id
        ((name, told),) = span.events
        assert name == "exception"
        assert told["exception.type"] == "ValueError"
        assert told["exception.message"] == "ValueError: no paper"
        assert "raise ValueError" in told["exception.stacktrace"]


async def test_spans_keep_what_is_sealed(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    secret = "4242-4242"
    app._producer.encryption_keys = [new_key()]

    @app.task(queue="pay", retry=ONCE, sealed=("card",))
    async def charge(card: str) -> None:
        raise ValueError(f"the card {card} was refused")

    await charge.enqueue(card=secret)
    await ended(app, provider, receiver, 2)

    failed = receiver.one("process pay")
    assert failed.failed
    assert "was refused" in failed.said
    assert secret not in repr(receiver.spans)


async def test_many_jobs_of_one_call_have_one_span(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    await app.bound(part).enqueue_many({"n": n} for n in range(3))
    await app.queue("loop").add_many([("part", {"n": 3}), ("part", {"n": 4})])

    await ended(app, provider, receiver, 12)

    assert sorted(
        span.attributes["messaging.batch.message_count"]
        for span in receiver.spans
        if span.name == "add loop"
    ) == [2, 3]
    for n in range(5):
        assert way(receiver, receiver.one(f"part {n}")) == ["process loop", "add loop"]


async def test_plain_code_adds_in_its_own_trace(
    app: App, provider: TracerProvider, receiver: Receiver, user: Tracer
) -> None:
    def add() -> None:
        with user.start_as_current_span("plain"):
            app.bound(part).enqueue_sync(n=1)

    await asyncio.to_thread(add)
    await ended(app, provider, receiver, 4)

    assert way(receiver, receiver.one("part 1")) == ["process loop", "add loop", "plain"]


async def test_context_travels_as_bullmq_writes_it(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    job = await app.bound(part).enqueue(n=1)

    options = await stored_options(app, "loop", job.id)
    provider.force_flush()
    await receiver.until(1)
    added = receiver.one("add loop")
    assert json.loads(options["tm"]).keys() == {"traceparent"}
    version, *ids, flags = json.loads(options["tm"])["traceparent"].split("-")
    assert (version, ids) == ("00", [added.trace_id, added.span_id])
    assert int(flags, 16) & 1, "sampled"
    assert options["attempts"] == 5


async def test_job_that_is_to_begin_its_own_trace_does(
    app: App, provider: TracerProvider, receiver: Receiver, user: Tracer
) -> None:
    with user.start_as_current_span("request"):
        job = await app.bound(part).with_options(trace=False).enqueue(n=1)
        await app.queue("loop").add("part", {"n": 2}, JobOptions(trace=False, priority=3))

    options = await stored_options(app, "loop", job.id)
    assert options["omc"] is True
    assert "tm" not in options
    await ended(app, provider, receiver, 7)
    for n in (1, 2):
        assert way(receiver, receiver.one(f"part {n}")) == ["process loop"]
    assert {way(receiver, span)[0] for span in receiver.spans if span.name == "add loop"} == {
        "request"
    }


async def test_job_that_says_both_begins_its_own_trace(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    job = Blueprint("loop", "part").job('{"n":1}')
    job.opts = json.dumps({"tm": FROM_NODE, "omc": True})
    await app.backend().jobs.add([job])

    await ended(app, provider, receiver, 2)

    assert receiver.one("process loop").parent_id == ""


async def test_trace_of_another_library_goes_on(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    job = Blueprint("loop", "part").job('{"n":1}')
    job.opts = json.dumps({"tm": FROM_NODE, "attempts": 0})
    await app.backend().jobs.add([job])

    await ended(app, provider, receiver, 2)

    ran = receiver.one("process loop")
    assert ran.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert ran.parent_id == "b7ad6b7169203331"


@pytest.mark.parametrize(
    "nonsense",
    ['"tm"', 7, {"traceparent": 1}, "{", "[]", '{"traceparent":"00-zz"}', "x" * 20_000,
     '{"traceparent":["00"]}', "", None, '{"baggage":"' + "a=b," * 3000 + '"}'],
    ids=range(11),
)  # fmt: skip
async def test_nonsense_for_a_context_is_none(
    app: App, provider: TracerProvider, receiver: Receiver, nonsense: object
) -> None:
    job = Blueprint("loop", "part").job('{"n":1}')
    job.opts = json.dumps({"tm": nonsense})
    await app.backend().jobs.add([job])

    await ended(app, provider, receiver, 2)

    ran = receiver.one("process loop")
    assert ran.parent_id == ""
    assert ran.attributes["toril.outcome"] == "completed"


async def test_job_of_a_schedule_begins_a_trace_and_points_to_the_schedule(
    app: App, provider: TracerProvider, receiver: Receiver, user: Tracer
) -> None:
    with user.start_as_current_span("request"):
        await app.schedules.put("daily", app.bound(part), {"n": 1}, every=86_400, immediately=True)

    await ended(app, provider, receiver, 4)

    made = receiver.one("schedule loop")
    assert way(receiver, made) == ["request"]
    ran = receiver.one("process loop")
    assert ran.parent_id == ""
    assert ran.trace_id != made.trace_id
    assert ran.links == [made.span_id]
    # The next one points there, too.
    schedule = await app.schedules.get("daily")
    assert schedule is not None
    assert schedule.next_at is not None
    (waiting,) = (await app.queue("loop").jobs("delayed")).jobs
    options = await stored_options(app, "loop", waiting.id)
    assert made.span_id in options["tm"]


async def test_schedule_that_is_run_by_hand_goes_on_with_the_callers_trace(
    app: App, provider: TracerProvider, receiver: Receiver, user: Tracer
) -> None:
    later = datetime.now(UTC) + timedelta(days=30)
    await app.schedules.put("later", app.bound(part), {"n": 1}, every=86_400, start=later)
    with user.start_as_current_span("request"):
        await app.schedules.run("later")

    await ended(app, provider, receiver, 5)

    assert way(receiver, receiver.one("part 1")) == ["process loop", "add loop", "request"]


async def test_duplicate_says_so(app: App, provider: TracerProvider, receiver: Receiver) -> None:
    once = app.bound(part).with_options(job_id="mine")
    await once.enqueue(n=1)
    await once.enqueue(n=1)

    provider.force_flush()
    await receiver.until(2)

    first, second = receiver.spans
    assert "toril.duplicate" not in first.attributes
    assert second.attributes["toril.duplicate"] is True


async def test_call_that_adds_nothing_says_why(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    with pytest.raises(Exception, match="no job"):
        await app.flows.get("loop", "none").add_children([part.node(1)])

    provider.force_flush()
    await receiver.until(1)

    added = receiver.one("add loop")
    assert added.failed
    assert added.attributes["error.type"] == "toril.core.errors.JobNotFoundError"


async def test_cancelled_job_is_no_error(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    @app.task(queue="loop")
    async def unwanted(context: Context) -> None:
        await app.queue("loop").job(context.job_id).cancel("changed my mind")
        await asyncio.Event().wait()

    await unwanted.enqueue()
    await ended(app, provider, receiver, 2)

    ran = receiver.one("process loop")
    assert not ran.failed
    assert ran.attributes["toril.outcome"] == "failed"
    assert ran.attributes["toril.reason"] == "changed my mind"


async def test_job_that_nobody_knows_makes_no_span(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    await app.queue("other").add("nobody knows", {})
    await app.worker(queues=["other"]).run(until_idle=True)

    provider.force_flush()
    await receiver.until(1)

    assert [span.name for span in receiver.spans] == ["add other"]


async def test_job_claimed_by_hand_has_a_span_until_it_ends(
    app: App, provider: TracerProvider, receiver: Receiver, user: Tracer
) -> None:
    await app.bound(part).enqueue(n=1)
    await app.bound(part).enqueue(n=2)
    async with app.claims("loop") as claims:
        first, second = await claims.claim(wait=5), await claims.claim(wait=5)
        assert first is not None
        assert second is not None
        with user.start_as_current_span("beside"):
            pass
        with first.tracing(), user.start_as_current_span("by hand"):
            first.context.enqueue(part, n=3)
        await first.complete(1)
        await second.fail(Fail("no wood"))
        with first.tracing():
            assert ASKED.trace is not None
            assert ASKED.trace() is None, "it has ended"

    provider.force_flush()
    await receiver.until(7)

    assert way(receiver, receiver.one("beside")) == []
    assert way(receiver, receiver.one("by hand")) == ["process loop", "add loop"]
    (follow_up,) = (span for span in receiver.spans if way(receiver, span)[:1] == ["by hand"])
    assert follow_up.name == "add loop"
    assert receiver.one("process loop", toril_outcome="completed").links == []
    failed = receiver.one("process loop", toril_outcome="failed")
    assert (failed.failed, failed.said) == (True, "no wood")


async def test_log_lines_say_in_which_span_they_are(
    app: App,
    provider: TracerProvider,
    receiver: Receiver,
    user: Tracer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines: list[dict[str, Any]] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(JsonLines().format(record)))

    @app.task(queue="loop", retry=ONCE)
    async def says() -> None:
        logging.getLogger("shop").warning("on the loop")

    handler = Collecting()
    handler.addFilter(JobLogFilter())
    logging.getLogger().addHandler(handler)
    try:
        with caplog.at_level(logging.INFO):
            await says.enqueue()
            await app.bound(weigh).enqueue()
            await ended(app, provider, receiver, 8)
            logging.getLogger("shop").warning("outside")
    finally:
        logging.getLogger().removeHandler(handler)

    ran = receiver.one("process loop", toril_task="says")
    child = receiver.one("in child")
    told = {
        (line["logger"], line["message"].partition(",")[0].partition(" of")[0]): line
        for line in lines
    }
    on_loop = told["shop", "on the loop"]
    assert (on_loop["trace_id"], on_loop["span_id"]) == (ran.trace_id, ran.span_id)
    in_child = told["shop", "weighing"]
    assert (in_child["trace_id"], in_child["span_id"]) == (child.trace_id, child.span_id)
    assert in_child["task"] == "weigh"
    (outcome,) = (line for line in lines if line.get("event") and line["task"] == "says")
    assert (outcome["trace_id"], outcome["span_id"]) == (ran.trace_id, ran.span_id)
    assert "trace_id" not in told["shop", "outside"]


def test_log_records_outside_of_spans_have_empty_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ASKED, "asked", ASKED.asked)
    record = logging.makeLogRecord({"msg": "hello"})

    assert JobLogFilter().filter(record)

    assert logging.Formatter("%(message)s [%(trace_id)s %(span_id)s]").format(record) == "hello [ ]"


async def test_hooks_are_told_what_they_were_told_before(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    told: list[HookEvent] = []
    app.on("completed")(told.append)

    await app.bound(part).enqueue(n=1)
    await ended(app, provider, receiver, 3)

    assert [event.task for event in told] == ["part"]


class Broken(SpanProcessor):
    """Raises wherever it can."""

    def on_start(self, span: SdkSpan, parent_context: OtelContext | None = None) -> None:
        raise RuntimeError("broken")

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("broken")


class BrokenAtTheEnd(SpanProcessor):
    """Raises when a span ends."""

    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("broken")


@pytest.mark.parametrize("broken", [Broken, BrokenAtTheEnd])
async def test_jobs_run_whatever_becomes_of_their_traces(
    app: App, broken: type[SpanProcessor], caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(broken())
    app.trace(provider)
    task: Task[..., int] = app.bound(part)

    job = await task.enqueue(n=3)
    flow = await app.flows.add(app.bound(whole).node(children=[part.node(1)]))
    await app.worker().run(until_idle=True)

    assert await job.result(timeout_s=1) == 3
    assert await flow.result(timeout_s=1) == 1
    assert "broken" in caplog.text


async def test_without_an_sdk_nothing_is_written(app: App) -> None:
    app.trace()  # nobody has set a provider in this process

    job = await app.bound(part).enqueue(n=1)
    schedule = await app.schedules.put("daily", app.bound(part), {"n": 1}, every=86_400)

    assert await stored_options(app, "loop", job.id) == {
        "attempts": 5,
        "backoff": {"type": "exponential", "delay": 1000},
    }
    assert "tm" not in json.dumps(schedule.options)


async def test_spans_of_attempts_do_not_pile_up(
    app: App, provider: TracerProvider, receiver: Receiver
) -> None:
    tracer = app._tracer
    assert isinstance(tracer, Tracing)
    await app.bound(part).enqueue_many({"n": n} for n in range(50))

    await app.worker().run(until_idle=True)

    assert tracer._spans == {}


def test_what_is_no_provider_is_refused() -> None:
    with pytest.raises(InvalidOptionError, match="provider='otlp': expected a TracerProvider"):
        App("sqlite://:memory:", settings=Settings()).trace("otlp")


def test_who_does_not_trace_does_not_import_it(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from toril import App, Settings

app = App("sqlite://:memory:", settings=Settings())

@app.task(queue="q")
async def noop() -> None: ...

async def main() -> None:
    async with app:
        job = await noop.enqueue()
        await app.worker().run(until_idle=True)
        record = await app.backend().jobs.get("q", job.id)
        print(record.opts, [name for name in sys.modules if "opentelemetry" in name])

asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert ran.stdout == '{"attempts":5,"backoff":{"type":"exponential","delay":1000}} []\n'


def test_who_lacks_opentelemetry_is_told_what_to_install(tmp_path: Path) -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
from toril import App, MissingExtraError, Settings
try:
    App("sqlite://:memory:", settings=Settings()).trace()
except MissingExtraError as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert ran.stdout.startswith("traces need opentelemetry-api: pip install ")
    assert "[otel]" in ran.stdout
