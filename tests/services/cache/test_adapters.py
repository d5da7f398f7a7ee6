"""What only one of the caches can meet."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
from pathlib import Path

import pytest
from tests.support.ports import give_back_port, reserve_port
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

from toril.core.errors import InvalidOptionError, InvalidSettingError, MissingExtraError
from toril.services.cache.memory import MemoryCache
from toril.services.cache.opening import cache_from_environment, open_cache
from toril.services.cache.port import CacheUnavailableError
from toril.services.cache.redis import RedisCache
from toril.testing.clock import ManualClock


async def make() -> bytes:
    return b"made"


async def test_value_in_memory_ends_at_its_time(clock: ManualClock) -> None:
    cache = MemoryCache(clock=clock)
    await cache.set("a", b"1", ttl_s=10)
    await cache.set("b", b"2", ttl_s=None)

    clock.advance(9.999)
    assert await cache.get("a") == b"1"
    clock.advance(0.001)
    assert await cache.get_many(["a", "b"]) == {"b": b"2"}
    assert await cache.get_or_set("a", make, ttl_s=1) == b"made"


async def test_memory_drops_what_was_used_longest_ago() -> None:
    cache = MemoryCache(max_bytes=3 * 1201)
    for key in "abc":
        await cache.set(key, b"x" * 1000, ttl_s=None)
    await cache.get("a")

    await cache.set("d", b"x" * 1000, ttl_s=None)
    assert sorted(await cache.get_many("abcd")) == ["a", "c", "d"]
    await cache.set("d", b"y" * 1000, ttl_s=None)  # in place of its own value
    assert sorted(await cache.get_many("abcd")) == ["a", "c", "d"]
    await cache.set("e", b"x" * 4000, ttl_s=None)
    assert sorted(await cache.get_many("abcde")) == ["a", "c", "d"]
    await cache.set("a", b"x" * 4000, ttl_s=None)  # the old one is no longer true
    assert sorted(await cache.get_many("abcde")) == ["c", "d"]
    await cache.delete("c", "d")
    assert cache._used_bytes == 0


async def test_value_in_redis_has_a_prefix_and_a_time(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    cache = RedisCache(redis_server.url, prefix=f"{redis_prefix}:")
    await cache.set("a", b"1", ttl_s=60)
    await cache.set_many({"b": b"2"}, ttl_s=0.25)
    await cache.set("c", b"3", ttl_s=None)

    assert redis_server.keys(redis_prefix) == [f"{redis_prefix}:{key}" for key in "abc"]
    assert 0 < redis_server.command("PTTL", f"{redis_prefix}:a") <= 60_000
    assert redis_server.command("PTTL", f"{redis_prefix}:b") <= 250
    assert redis_server.command("TTL", f"{redis_prefix}:c") == -1
    await wait_until(lambda: not redis_server.command("EXISTS", f"{redis_prefix}:b"))
    assert await cache.get("b") is None
    await cache.close()


async def test_clearing_leaves_what_is_not_the_caches(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    cache = RedisCache(redis_server.url, prefix=f"{redis_prefix}[*]:")
    await cache.set("a", b"1", ttl_s=None)
    for key in (f"{redis_prefix}x:a", f"{redis_prefix}*:b", f"{redis_prefix}[*]"):
        redis_server.command("SET", key, "theirs")

    await cache.clear()

    assert redis_server.keys(redis_prefix) == sorted(
        [f"{redis_prefix}x:a", f"{redis_prefix}*:b", f"{redis_prefix}[*]"]
    )
    await cache.close()


async def test_of_several_processes_one_makes_the_value(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    """Each cache here stands for a process: they share nothing but the server."""
    caches = [RedisCache(redis_server.url, prefix=redis_prefix) for _ in range(5)]
    made = 0

    async def make_slowly() -> bytes:
        nonlocal made
        made += 1
        # Long enough for the others to find the mark of this one.
        await wait_until(lambda: redis_server.keys(f"{redis_prefix}toril-making:"))
        return b"made"

    done = await asyncio.gather(
        *(cache.get_or_set("k", make_slowly, ttl_s=60) for cache in caches for _ in range(3))
    )

    assert done == [b"made"] * 15
    assert made == 1
    assert redis_server.keys(redis_prefix) == [f"{redis_prefix}k"]
    for cache in caches:
        await cache.close()


async def test_value_is_made_by_another_when_its_maker_is_gone(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    redis_server.command("SET", f"{redis_prefix}toril-making:k", "a dead one's", "PX", 300)
    cache = RedisCache(redis_server.url, prefix=redis_prefix)

    assert await asyncio.wait_for(cache.get_or_set("k", make, ttl_s=60), 20) == b"made"
    await cache.close()


async def test_maker_that_takes_too_long_does_not_end_the_turn_of_the_next(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    cache = RedisCache(redis_server.url, prefix=redis_prefix)
    mark = f"{redis_prefix}toril-making:k"

    async def overtaken() -> bytes:
        redis_server.command("SET", mark, "another's")
        return b"late"

    assert await cache.get_or_set("k", overtaken, ttl_s=60) == b"late"
    assert redis_server.command("GET", mark) == "another's"
    await cache.close()


async def test_without_redis_values_are_made_and_errors_are_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = reserve_port()
    try:
        cache = RedisCache(f"redis://u:hunter2@127.0.0.1:{port}", timeout_s=5)
        for call in (cache.get("k"), cache.set("k", b"", ttl_s=1), cache.check(), cache.clear()):
            with pytest.raises(CacheUnavailableError, match=rf"cache at redis://.*:{port}") as told:
                await call
            assert "hunter2" not in str(told.value)
        with caplog.at_level(logging.WARNING):
            assert await cache.get_or_set("k", make, ttl_s=60) == b"made"
        assert "the value is made without it" in caplog.text
        await cache.close()
    finally:
        give_back_port(port)


async def test_redis_may_restart_and_lose_its_values(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path) as server:
        cache = RedisCache(server.url)
        await cache.set("k", b"1", ttl_s=None)

        async def fail_to_keep() -> bytes:
            server.kill()
            return b"made"

        assert await cache.get_or_set("other", fail_to_keep, ttl_s=60) == b"made"
        server.restart()
        await wait_until(lambda: server.command("PING") == "PONG")

        assert await cache.get("k") is None
        assert await cache.get_or_set("k", make, ttl_s=60) == b"made"
        assert await cache.get("k") == b"made"
        await cache.close()


async def test_redis_that_hangs_is_unavailable(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path) as server:
        cache = RedisCache(server.url, timeout_s=0.3)
        await cache.set("k", b"1", ttl_s=None)
        server.pause()
        with pytest.raises(CacheUnavailableError):
            await cache.get("k")
        server.resume()
        await wait_until(lambda: server.command("PING") == "PONG")
        assert await cache.get("k") == b"1"
        await cache.close()


def test_server_that_evicts_is_fine(tmp_path: Path) -> None:
    options = ("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
    with RedisServer.start(tmp_path, options=options) as server:

        async def fill() -> int:
            cache = RedisCache(server.url)
            for turn in range(100):
                await cache.set(f"k{turn}", b"x" * 50_000, ttl_s=60)
            found = await cache.get_many([f"k{turn}" for turn in range(100)])
            await cache.close()
            return len(found)

        assert 0 < asyncio.run(fill()) < 100


async def test_cache_goes_to_another_process_and_survives_a_fork(
    redis_server: RedisServer, redis_prefix: str
) -> None:
    cache = RedisCache(redis_server.url, prefix=redis_prefix)
    await cache.set("k", b"1", ttl_s=60)
    copy = pickle.loads(pickle.dumps(cache))
    assert await copy.get("k") == b"1"
    await copy.close()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.events._set_running_loop(None)

            async def use() -> bytes | None:
                found = await cache.get("k")
                await cache.close()
                return found

            code = 0 if asyncio.new_event_loop().run_until_complete(use()) == b"1" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert await cache.get("k") == b"1"
    await cache.close()
    with pytest.raises(TypeError, match="use Redis"):
        pickle.dumps(MemoryCache())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "MemoryCache()"),
        ("memory://?max_bytes=1000", "MemoryCache()"),
        ("redis://h/1", "RedisCache('redis://h/1', prefix='cache:')"),
        ("redis://u:hunter2@h?prefix=a:", "RedisCache('redis://u:***@h', prefix='a:')"),
    ],
)
def test_url_names_the_cache(url: str, shown: str) -> None:
    assert repr(open_cache(url)) == shown
    assert repr(cache_from_environment({"CACHE_URL": url})) == shown
    assert repr(cache_from_environment({})) == "MemoryCache()"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hunter2", "url: expected redis://host:6379/1"),
        ("http://u:hunter2@h", "url: expected redis://host:6379/1"),
        ("memory://?max_byte=1", "unknown option 'max_byte': did you mean 'max_bytes'"),
        ("memory://?max_bytes=0", "max_bytes='0'"),
        ("redis://h?prefix=", "prefix=''"),
    ],
)
def test_url_that_makes_no_sense_is_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message) as refused:
        open_cache(url)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(InvalidSettingError, match="CACHE_URL: "):
        cache_from_environment({"CACHE_URL": url})


@pytest.mark.parametrize("option", ["timeout_s", "lock_s", "max_connections"])
def test_number_that_makes_no_sense_is_refused(option: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"{option}=0"):
        RedisCache("redis://h", **{option: 0})  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match="max_bytes=0"):
        MemoryCache(max_bytes=0)


async def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(MissingExtraError, match=r"needs redis-py: pip install.*cache"):
        await RedisCache("redis://h").get("k")


async def test_key_of_a_mark_is_no_key(redis_server: RedisServer, redis_prefix: str) -> None:
    with pytest.raises(InvalidOptionError, match="toril-making:"):
        await RedisCache(redis_server.url, prefix=redis_prefix).get("toril-making:k")
