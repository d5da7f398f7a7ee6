"""What Node's BullMQ takes as data, tasks can take: halves of characters, and any JSON."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.node import Node

from toril import App, Context, JobFailedError, RetryPolicy, WholePayload

pytestmark = pytest.mark.timeout(600)  # the first one installs
ONCE = RetryPolicy(max_attempts=1)


async def test_a_text_cut_inside_an_emoji_arrives_with_a_replacement(app: App, node: Node) -> None:
    """JavaScript cuts texts by UTF-16 units; the job failed at once, as if it were no JSON."""

    @app.task(queue="paint", name="cars", retry=ONCE)
    async def cars(ctx: Context, s: str, whole: str) -> list[str]:
        return [s, whole, ctx.data["s"]]

    async with app.worker(queues=["paint"]):
        data = {"s": "half \ud83e", "whole": "\U0001f980 \\ud83e"}
        job = app.queue("paint").job(await node.add("paint", "cars", data))
        assert await job.result(timeout_s=60) == ["half \ufffd", data["whole"], "half \ufffd"]

    assert (await job.info()).data == {"s": "half \ufffd", "whole": data["whole"]}


async def test_nodes_null_is_no_parameters(app: App, node: Node) -> None:
    """`queue.add('cars', null)` failed for good, though the task needs none."""

    @app.task(queue="paint", name="cars", retry=ONCE)
    async def cars(ctx: Context, n: int = 3) -> list[Any]:
        return [n, ctx.data]

    @app.task(queue="paint", name="needs", retry=ONCE)
    async def needs(n: int) -> None: ...

    async with app.worker(queues=["paint"]):
        found = await node.call("paint", "add", "cars", None, {})
        assert await app.queue("paint").job(found["id"]).result(timeout_s=60) == [3, None]
        found = await node.call("paint", "add", "needs", None, {})
        with pytest.raises(JobFailedError, match="field 'n': missing"):
            await app.queue("paint").job(found["id"]).result(timeout_s=60)


@pytest.mark.parametrize("data", [[1, "x", None], "text", 5, 0.5, True, {"n": 1}, None, 2**53, []])
async def test_a_parameter_takes_whatever_node_sends(app: App, node: Node, data: Any) -> None:
    """No task could take arrays, texts or numbers."""

    @app.task(queue="paint", name="cars", retry=ONCE)
    async def cars(data: WholePayload[Any]) -> Any:
        return data

    async with app.worker(queues=["paint"]):
        found = await node.call("paint", "add", "cars", data, {})
        assert await app.queue("paint").job(found["id"]).result(timeout_s=60) == data
