"""The store goes away while somebody posts a message: the message stays, and the push arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.examples.chat.deployment import Deployment, deployed
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that a test may stop; it keeps what it was told."""
    (tmp_path / "redis").mkdir()
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer.start(tmp_path / "redis", options=options) as server:
        yield server


@pytest.fixture
def chat(tmp_path: Path, redis: RedisServer, postgres_url: str) -> Iterator[Deployment]:
    """A chat on that server."""
    with deployed(tmp_path, "redis", redis_url=redis.url, postgres_url=postgres_url) as made:
        made.start_api()
        made.start_worker()
        yield made


async def test_message_is_stored_while_redis_is_away_and_the_push_arrives_later(
    chat: Deployment, redis: RedisServer
) -> None:
    """Step 17, and the row of a store that is down."""
    a, b = await chat.sign_up("A"), await chat.sign_up("B")
    browser = await chat.browser(b)
    room = await chat.room(a, b)
    await asyncio.to_thread(redis.kill)

    answer = await chat.post(a, room, "still here?")

    assert answer.status_code == 200
    assert answer.json()["message"]["content"] == "still here?"
    assert browser.received == []
    await asyncio.to_thread(redis.restart)
    await wait_until(lambda: browser.received, deadline_s=90, what=f"the push: {chat.log('api')}")
    assert [each["body"] for each in browser.messages] == ["still here?"]
    again = await chat.post(a, room, "back again")
    assert again.status_code == 200
    await wait_until(lambda: len(browser.received) == 2, what="the next push")
    assert browser.messages[1]["body"] == "back again"
