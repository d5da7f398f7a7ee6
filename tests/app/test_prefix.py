"""`App(..., prefix=...)`: where an app's keys lie on a Redis server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from tests.support.redis_servers import RedisServer

from toril import App, InvalidOptionError, Settings


@pytest.mark.parametrize("kind", [redis.Redis, redis.asyncio.Redis])
async def test_a_client_is_used_with_a_prefix_of_its_own(
    redis_server: RedisServer, redis_prefix: str, kind: Any
) -> None:
    client = kind.from_url(redis_server.url)
    async with App(client, prefix=redis_prefix, settings=Settings()) as app:
        job = await app.queue("mail").add("send", {"to": "jo"})
        assert app.backend().url.endswith(f"prefix={redis_prefix}")
    async with App(f"{redis_server.url}?prefix={redis_prefix}", settings=Settings()) as other:
        assert (await other.queue("mail").job(job.id).info()).data == {"to": "jo"}
    async with App(client, settings=Settings()) as elsewhere:
        assert await elsewhere.queue("mail").info() is None


async def test_a_url_takes_a_prefix_beside_it(redis_server: RedisServer, redis_prefix: str) -> None:
    odd = f"{redis_prefix}{{a&b}} +%"
    async with App(redis_server.url, prefix=odd, settings=Settings()) as app:
        await app.queue("mail").add("send")
        assert app.backend().jobs is not None
        keys = redis.Redis.from_url(redis_server.url).keys(f"{redis_prefix}*")
    assert f"{odd}:mail:meta".encode() in keys


def test_the_same_prefix_twice_is_no_contradiction() -> None:
    url = "redis://host?connect_timeout_s=3&prefix=mine"
    assert App(url, prefix="mine", settings=Settings()).url == url
    assert (
        App("redis://host?connect_timeout_s=3", prefix="mine", settings=Settings()).url
        == "redis://host?connect_timeout_s=3&prefix=mine"
    )


@pytest.mark.parametrize(
    ("url", "prefix", "words"),
    [
        ("redis://host?prefix=theirs", "mine", "the URL says prefix='theirs'"),
        ("redis://host", "", "prefix='': expected a text of at least one character"),
        ("redis://host", 3, "prefix=3: expected a text"),
        ("sqlite:///a.db", "mine", "only for a Redis server; this store is a file"),
        ("a.db", "mine", "only for a Redis server; this store is a file"),
        (object(), "", "prefix='': expected a text"),
    ],
)
def test_a_prefix_that_cannot_be_is_refused_at_once(url: Any, prefix: Any, words: str) -> None:
    with pytest.raises(InvalidOptionError, match=words):
        App(url, prefix=prefix, settings=Settings())


def test_a_prefix_counts_for_the_url_of_the_settings(tmp_path: Path) -> None:
    app = App(prefix="mine", settings=Settings(url="redis://host"))
    assert app.url == "redis://host?prefix=mine"
