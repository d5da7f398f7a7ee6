"""One trace through both libraries: BullMQ's telemetry on Node, and ours."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id
from tests.support.node import Node
from tests.support.waiting import wait_until

from toril import App
from toril import Node as FlowNode

pytestmark = pytest.mark.timeout(600)


class Spans:
    """Our spans, in the form in which Node tells its own."""

    def __init__(self) -> None:
        self.provider = TracerProvider()
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[dict[str, str]]:
        return [_plain(span) for span in self._exporter.get_finished_spans()]

    def ended(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()


def _plain(span: ReadableSpan) -> dict[str, str]:
    context = span.get_span_context()
    assert context is not None
    return {
        "name": span.name,
        "traceId": format_trace_id(context.trace_id),
        "spanId": format_span_id(context.span_id),
        "parentId": "" if span.parent is None else format_span_id(span.parent.span_id),
    }


def one(spans: list[dict[str, str]], name: str) -> dict[str, str]:
    (found,) = (span for span in spans if span["name"] == name)
    return found


async def ended(node: Node, *names: str) -> None:
    """Wait until spans of these names have ended on Node."""

    async def have_ended() -> bool:
        return set(names) <= {span["name"] for span in await node.spans()}

    await wait_until(have_ended, what=f"{names} to end on Node")


@pytest.fixture
def spans(app: App) -> Spans:
    spans = Spans()
    app.trace(spans.provider)
    return spans


@pytest.fixture
async def node(node: Node) -> Node:
    await node.trace()
    return node


async def test_our_worker_goes_on_with_the_trace_of_nodes_producer(
    app: App, node: Node, spans: Spans
) -> None:
    @app.task(queue="q")
    async def job() -> None: ...

    await node.add("q", "job", {})
    await app.worker().run(until_idle=True)

    added = one(await node.spans(), "add q.job")
    ran = one(spans.all(), "process q")
    assert (ran["traceId"], ran["parentId"]) == (added["traceId"], added["spanId"])


async def test_nodes_worker_goes_on_with_the_trace_of_our_producer(
    app: App, node: Node, spans: Spans
) -> None:
    with spans.provider.get_tracer("user").start_as_current_span("request"):
        await app.queue("q").add("job", {})
    told = await node.worker("q")
    await told.wait_for("completed")
    await ended(node, "process q")
    request, added = one(spans.all(), "request"), one(spans.all(), "add q")
    ran = one(await node.spans(), "process q")
    assert added["parentId"] == request["spanId"]
    assert (ran["traceId"], ran["parentId"]) == (added["traceId"], added["spanId"])


async def test_there_and_back(app: App, node: Node, spans: Spans) -> None:
    """Ours adds a job for Node's worker from a task that runs for a job of Node's."""

    @app.task(queue="here")
    async def order() -> None:
        await app.queue("there").add("pack", {})

    await node.add("here", "order", {})
    await app.worker().run(until_idle=True)
    told = await node.worker("there")
    await told.wait_for("completed")
    await ended(node, "process there")
    theirs, ours = await node.spans(), spans.all()
    way = [
        one(theirs, "add here.order"), one(ours, "process here"),
        one(ours, "add there"), one(theirs, "process there"),
    ]  # fmt: skip
    assert len({span["traceId"] for span in way}) == 1
    assert [span["parentId"] for span in way[1:]] == [span["spanId"] for span in way[:-1]]


async def test_context_that_a_side_leaves_out_is_not_followed(
    app: App, node: Node, spans: Spans
) -> None:
    @app.task(queue="q")
    async def job() -> None: ...

    await node.add("q", "job", {}, telemetry={"omitContext": True})
    await app.worker().run(until_idle=True)
    assert one(spans.all(), "process q")["parentId"] == ""

    await job.with_options(trace=False).enqueue()
    record = await app.backend().jobs.get("q", "2")
    assert record is not None
    assert '"omc":true' in record.opts
    told = await node.worker("q")
    await told.wait_for("completed")
    await ended(node, "process q")
    assert one(await node.spans(), "process q")["parentId"] == ""


async def test_flow_of_ours_is_one_trace_for_nodes_workers(
    app: App, node: Node, spans: Spans
) -> None:
    await app.flows.add(FlowNode("parents", "ship", children=[FlowNode("kids", "hull")]))
    kids, parents = await node.worker("kids"), await node.worker("parents")
    await kids.wait_for("completed")
    await parents.wait_for("completed")
    await ended(node, "process kids", "process parents")
    added = one(spans.all(), "add parents")
    for name in ("process kids", "process parents"):
        assert one(await node.spans(), name)["parentId"] == added["spanId"]


async def test_job_of_nodes_schedule_points_to_where_it_was_made(
    app: App, node: Node, spans: Spans
) -> None:
    @app.task(queue="q")
    async def tick() -> None: ...

    await node.upsert_scheduler("q", "s", {"every": 60_000}, {"name": "tick"})
    await app.worker().run(until_idle=True)

    added = one(await node.spans(), "add q.tick")
    (ran,) = spans.ended()
    assert ran.parent is None
    (link,) = ran.links
    assert format_span_id(link.context.span_id) == added["spanId"]
