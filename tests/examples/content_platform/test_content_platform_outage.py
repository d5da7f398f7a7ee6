"""Redis dies while the platform works, and comes back: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.examples.content_platform.deployment import (
    NOTIFY,
    Deployment,
    camera_photo,
    deployed,
    message,
)
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from toril import App

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may stop; it keeps what it was told."""
    (tmp_path / "redis").mkdir()
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer.start(tmp_path / "redis", options=options) as server:
        yield server


@pytest.fixture
def platform(tmp_path: Path, redis: RedisServer, postgres_url: str) -> Iterator[Deployment]:
    """A platform on that server."""
    with deployed(tmp_path, "redis", redis_url=redis.url, postgres_url=postgres_url) as made:
        made.start_api()
        made.start_worker()
        yield made


async def counts(platform: Deployment) -> Any:
    """Return the counts of media processing; None while there is no answer."""
    answer = await platform.ask("GET", "/media/queue")
    return answer.json()["processing"] if answer.status_code == 200 else None


async def is_type(platform: Deployment, kind: str) -> bool:
    found = await counts(platform)
    return found is not None and found["type"] == kind


async def test_platform_goes_on_without_redis(platform: Deployment, redis: RedisServer) -> None:
    """Steps 13 and 14, CP-66 to CP-70, and the row of a Redis that dies between upload and add."""
    first = await platform.upload(camera_photo(400, 300), "user_avatar")
    async with App(platform.store_url) as app:
        done = await platform.job(app, "media-processing", first)
        assert done.state == "completed", done.failed_reason
    assert await is_type(platform, "bull")

    await asyncio.to_thread(redis.kill)
    async with platform.listen() as socket:
        job_id = await platform.upload(camera_photo(400, 300), "user_avatar")
        told = await message(socket, job_id)
    assert told["type"] == "media.processed"
    for variant in told["variants"]:
        assert (platform.media_root / variant["path"]).exists()
    await wait_until(lambda: is_type(platform, "in-memory"), what="the other store")
    families = await platform.figures()
    switched = {
        (one.labels["from"], one.labels["to"]): one.value
        for one in families["notification_queue_switches"].samples
        if one.name.endswith("_total")
    }
    assert switched[("bull", "in-memory")] == 1
    await platform.synced(told["mediaId"])
    assert "[MediaProcessingQueue:InMemory] completed job" in platform.log()
    error = re.compile(r"^\[\w+Queue:(Bull|InMemory)\] error: .", re.MULTILINE)
    await wait_until(lambda: error.search(platform.log()), what="a queue to tell of the outage")
    assert "Redis unavailable, using in-memory fallback" in platform.log()

    rule = {"event": "late", "id": "e-late", "payload": {"chat": "90"}}
    await _save_rule(platform)
    answer = await platform.ask("POST", "/events", rule)
    assert answer.status_code == 202, answer.text
    (late,) = answer.json()["jobIds"]
    platform.kill("worker")
    await asyncio.to_thread(redis.restart)
    platform.start_worker()
    await wait_until(lambda: is_type(platform, "bull"), deadline_s=120, what="Redis again")
    assert "Using Bull queue with Redis" in platform.log()
    async with App(platform.store_url) as app:

        async def ended() -> bool:
            info = await app.queue(NOTIFY).info()
            return info is not None and info.completed_total >= 1 and info.delayed == 0

        await wait_until(ended, deadline_s=120, what=f"job {late} to move and run")
    assert [one for one in platform.telegram.taken if one["to"] == "90"] == [
        {"to": "90", "text": "late"}
    ]


async def _save_rule(platform: Deployment) -> None:
    from toril.services.rules.port import Rule
    from toril.services.rules.sql import SqlRules

    rules = SqlRules(platform.environment["DATABASE_URL"])
    options = {"to": "{{ payload.chat }}", "text": "late"}
    rule = Rule(id="late", event="late", channel="telegram", options=options, delay_ms=10_000)
    await rules.save_rule(rule)
    await rules.close()
