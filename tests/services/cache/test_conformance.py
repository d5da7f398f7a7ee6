"""What every cache has to do, on each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from toril.core.errors import InvalidOptionError
from toril.services.cache.memory import MemoryCache
from toril.services.cache.port import Cache
from toril.services.cache.redis import RedisCache


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    made: Cache
    if request.param == "memory":
        made = MemoryCache()
    else:
        server = request.getfixturevalue("redis_server")
        made = RedisCache(server.url, prefix=request.getfixturevalue("redis_prefix"))
    yield made
    await made.close()


async def test_value_comes_back(cache: Cache) -> None:
    value = bytes(range(256)) * 100

    assert await cache.get("k") is None
    await cache.set("k", value, ttl_s=60)
    assert await cache.get("k") == value
    await cache.set("k", b"", ttl_s=None)
    assert await cache.get("k") == b""


async def test_values_come_and_go_together(cache: Cache) -> None:
    await cache.set_many({"a": b"1", "b": b"2", "ü \U0001f337": b"3"}, ttl_s=60)
    await cache.set_many({}, ttl_s=60)

    assert await cache.get_many(["b", "none", "a", "b", "ü \U0001f337"]) == {
        "b": b"2",
        "a": b"1",
        "ü \U0001f337": b"3",
    }
    assert await cache.get_many([]) == {}
    await cache.delete("a", "none", "b")
    await cache.delete("a")
    await cache.delete()
    assert await cache.get_many(["a", "b", "ü \U0001f337"]) == {"ü \U0001f337": b"3"}


async def test_clearing_forgets_all(cache: Cache) -> None:
    await cache.set_many({f"k{turn}": b"x" for turn in range(2500)}, ttl_s=60)

    await cache.clear()
    await cache.clear()

    assert await cache.get_many([f"k{turn}" for turn in range(2500)]) == {}


async def test_value_is_made_once_for_all_who_ask(cache: Cache) -> None:
    made = 0
    goes_on = asyncio.Event()

    async def make() -> bytes:
        nonlocal made
        made += 1
        await goes_on.wait()
        return b"made"

    asking = [asyncio.ensure_future(cache.get_or_set("k", make, ttl_s=60)) for _ in range(20)]
    while not made:
        await asyncio.sleep(0)
    goes_on.set()

    assert await asyncio.gather(*asking) == [b"made"] * 20
    assert made == 1
    assert await cache.get_or_set("k", make, ttl_s=60) == b"made"
    assert made == 1


async def test_error_of_the_maker_is_for_all_who_wait_and_nothing_is_kept(cache: Cache) -> None:
    made = 0

    async def fail() -> bytes:
        nonlocal made
        made += 1
        raise LookupError("no such user")

    done = await asyncio.gather(
        *(cache.get_or_set("k", fail, ttl_s=60) for _ in range(3)), return_exceptions=True
    )

    assert [str(one) for one in done] == ["no such user"] * 3
    assert made == 1
    assert await cache.get("k") is None

    async def make() -> bytes:
        return b"made"

    assert await cache.get_or_set("k", make, ttl_s=60) == b"made"


async def test_who_is_cancelled_takes_nothing_from_the_others(cache: Cache) -> None:
    goes_on = asyncio.Event()
    begun = asyncio.Event()

    async def make() -> bytes:
        begun.set()
        await goes_on.wait()
        return b"made"

    first = asyncio.ensure_future(cache.get_or_set("k", make, ttl_s=60))
    await begun.wait()
    second = asyncio.ensure_future(cache.get_or_set("k", make, ttl_s=60))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    goes_on.set()

    assert await second == b"made"


async def test_value_is_not_made_when_nobody_waits_any_more(cache: Cache) -> None:
    ended = asyncio.Event()
    begun = asyncio.Event()

    async def hang() -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return b"never"

    async def make() -> bytes:
        return b"made"

    only = asyncio.ensure_future(cache.get_or_set("k", hang, ttl_s=60))
    await begun.wait()
    only.cancel()
    assert await asyncio.wait_for(cache.get_or_set("k", make, ttl_s=60), 10) == b"made"
    await asyncio.wait_for(ended.wait(), 10)
    with pytest.raises(asyncio.CancelledError):
        await only


@pytest.mark.parametrize("key", ["", "a\nb", "a\0b", "x" * 513, "\ud800", 5])
async def test_key_that_is_not_allowed_is_refused(cache: Cache, key: Any) -> None:
    async def make() -> bytes:
        return b""

    for call in (
        cache.get(key),
        cache.get_many([key]),
        cache.set(key, b"", ttl_s=1),
        cache.set_many({key: b""}, ttl_s=1),
        cache.delete("a", key),
        cache.get_or_set(key, make, ttl_s=1),
    ):
        with pytest.raises(InvalidOptionError, match="key="):
            await call


@pytest.mark.parametrize("ttl_s", [0, -1, 0.0001, float("nan"), float("inf"), "60", True])
async def test_time_that_makes_no_sense_is_refused(cache: Cache, ttl_s: Any) -> None:
    with pytest.raises(InvalidOptionError, match="ttl_s="):
        await cache.set("k", b"", ttl_s=ttl_s)
    with pytest.raises(InvalidOptionError, match="value='str': expected bytes"):
        await cache.set("k", "text", ttl_s=1)  # type: ignore[arg-type]


async def test_check_says_that_all_is_well(cache: Cache) -> None:
    await cache.check()
