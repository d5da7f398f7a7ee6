"""What the typed queues do with bad input, and when something is missing or away."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.examples.typed_queues.conftest import Start
from tests.examples.typed_queues.system import ended
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

from toril import App, InvalidPayloadError, State


@pytest.fixture
async def registry(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """The example's producers in this process, on the store."""
    monkeypatch.setenv("TORIL_URL", store)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    forget_example()
    module = importlib.import_module("examples.typed_queues.api")
    yield module
    await module.app.close()
    forget_example()


def forget_example() -> None:
    """Let the next import read the settings anew."""
    for name in [name for name in sys.modules if name.startswith("examples.typed_queues")]:
        del sys.modules[name]


async def test_jobs_and_backlogs_without_a_worker_are_told(start: Start, app: App) -> None:
    """A flow with a child queue that nobody serves is kept; so is a backlog."""
    system = await start("medium")  # it watches the others' queues, too
    await system.build("c1", ["v1"], ["p1"])
    await app.queue("my-feature").add_many([("process", {"userId": "u"})] * 1001)
    told: dict[tuple[str, str], dict[str, Any]] = {}

    async def are_alerted() -> bool:
        await asyncio.sleep(0.2)  # each look is a request
        alerts = (await system.ask("GET", "/api/toril/alerts")).json()["alerts"]
        raised = [one for one in alerts if one["state"] == "raised"]
        told.update({(one["rule"], one["queue"]): one for one in raised})
        wanted = {("no_worker", "process-video"), ("queue_size", "my-feature")}
        return wanted <= told.keys()

    await wait_until(are_alerted, deadline_s=200, what="both alerts")
    flows = await system.ask("GET", "/api/toril/flows/stuck")

    assert "no live worker serves it" in told["no_worker", "process-video"]["text"]
    assert told["queue_size", "my-feature"]["value"] == 1001
    assert flows.status_code == 200, flows.text
    assert "no_worker" in flows.text
    course = await system.course("c1")
    assert course["state"] == "waiting-children"
    assert sorted(course["children"].values(), key=str)[-1] == "wait"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_store_that_is_away_is_answered_503(start: Start, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with RedisServer.start(tmp_path / "redis", software="redis") as server:
        system = await start(url=server.url)
        there = await system.ask("POST", "/tasks", {"userId": "u1", "email": "a@example.com"})
    away = await system.ask("POST", "/tasks", {"userId": "u1", "email": "a@example.com"})

    assert there.status_code == 201
    assert away.status_code == 503
    assert away.json()["error"]["message"]
    assert "Retry-After" in away.headers


async def test_worker_of_all_types_calls_the_failed_hook(start: Start, app: App) -> None:
    system = await start()
    _, log = await system.worker("all")
    assert log.read_text().count(" serves ") == 9
    payload: dict[str, Any] = {"userId": "u1", "action": "drop-all", "data": {}}

    job = await app.queue("example").add("process", payload)
    info = await ended(app, "example", job.id)

    assert (info.state, info.attempts_made) == ("failed", 1)
    assert info.data["action"] == "drop-all"
    await wait_until(lambda: f"ERROR tasks job {job.id}: failed" in log.read_text(), what="hook")


async def test_producers_refuse_what_does_not_fit(registry: Any, app: App) -> None:
    example = importlib.import_module("examples.typed_queues.shared.queues.example")
    producer = registry.producers.get(example.ExampleProducer)

    with pytest.raises(InvalidPayloadError, match="userId"):
        await producer.enqueue(example.ExampleJobPayload(7, "send-email"))

    assert await app.queue("example").info() is None


async def test_options_of_calls_go_before_the_queues(registry: Any, app: App) -> None:
    """`priority`, `delay` and what is kept, as they lie in the store."""
    example = importlib.import_module("examples.typed_queues.shared.queues.example")
    heavy = importlib.import_module("examples.typed_queues.shared.queues.heavy_processing")
    plain = registry.producers.get(example.ExampleProducer)
    payload = example.ExampleJobPayload("u1", "sync-data")

    usual = await (await plain.enqueue(payload)).info()
    late = await (
        await plain.enqueue(payload, priority=3, delay=60_000, attempts=1, remove_on_complete=5)
    ).info()
    hard = await (await registry.producers.get(heavy.HeavyProducer).enqueue({"rounds": 1})).info()

    assert usual.name == "process"
    assert usual.options["attempts"] == 3
    assert usual.options["backoff"] == {"type": "exponential", "delay": 1000}
    assert usual.options["removeOnComplete"] is True
    assert usual.options["removeOnFail"] is False
    assert (late.state, late.priority, late.delay_s) == (State.DELAYED, 3, 60.0)
    assert (late.options["attempts"], late.options["removeOnComplete"]) == (1, 5)
    assert hard.options["attempts"] == 2
    assert hard.options["backoff"] == {"type": "fixed", "delay": 60_000}
    assert hard.options["removeOnComplete"] == 100  # which BullMQ takes for {count: 100}
    assert hard.options["removeOnFail"] is False
