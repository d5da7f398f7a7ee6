"""The cache warming, by workers, on both stores, with a Redis server as the cache."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from tests.support.http_server import Answer, Request, serving
from tests.support.redis_servers import RedisServer

from toril import App
from toril.core.errors import InvalidOptionError
from toril.library.warming import Loaders, WarmingSettings
from toril.library.warming.tasks import warm, warming
from toril.services.cache.port import Cache
from toril.services.cache.redis import RedisCache
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.unusable import UnusableInputError


async def top(name: str) -> dict[str, Any]:
    """Load what a payload names after `database:`."""
    return {"of": name, "rows": [1, 2]}


def stats() -> str:
    """Load in a thread."""
    return "42 visits"


def weird() -> object:
    return object()


LOADERS: dict[str, Any] = {
    "database:": top,
    "stats": stats,
    "raw": lambda: b"\x00\xff",
    "weird": weird,
}


@pytest.fixture
def prefix() -> str:
    """A prefix in the cache that no other test uses."""
    return f"c{secrets.token_hex(4)}:"


@pytest.fixture
async def app(url: str, redis_server: RedisServer, prefix: str) -> AsyncIterator[App]:
    made = App(url)
    made.include(warming)
    cache = RedisCache(redis_server.url, prefix=prefix)
    made.provide(cache, Cache)
    made.provide(WarmingSettings(prefix=prefix, max_bytes=1000))
    made.provide(Loaders(LOADERS))
    yield made
    await cache.clear()
    await cache.close()
    await made.close()


async def warmed(app: App, **payload: Any) -> tuple[str, Any, str | None]:
    quick = app.bound(warm).with_options(backoff_s=0.0)
    job = await quick.enqueue(**payload)
    await app.worker().run(until_idle=True)
    info = await job.info()
    return info.state, info.result, info.failed_reason


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("database:top", b'{"of":"top","rows":[1,2]}'),
        ("stats", b"42 visits"),
        ("raw", b"\x00\xff"),
    ],
)
async def test_value_is_in_the_server_under_the_payloads_key(
    app: App, redis_server: RedisServer, prefix: str, source: str, value: bytes
) -> None:
    state, result, _ = await warmed(app, cache_key=f"{prefix}a", data_source=source, ttl=60)

    client = redis.Redis.from_url(redis_server.url)
    assert state == "completed"
    assert result == {"cacheKey": f"{prefix}a", "bytes": len(value), "ttl": 60.0}
    assert client.get(f"{prefix}a") == value
    assert 50 < client.ttl(f"{prefix}a") <= 60
    client.close()


async def test_time_is_an_hour_unless_the_payload_says(
    app: App, redis_server: RedisServer, prefix: str
) -> None:
    _, result, _ = await warmed(app, cache_key=f"{prefix}a", data_source="stats")

    with redis.Redis.from_url(redis_server.url) as client:
        assert 3590 < client.ttl(f"{prefix}a") <= 3600
    assert result["ttl"] == 3600.0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cache_key": "bull:jobs:1"}, "only keys that begin with"),
        ({"cache_key": "PREFIX"}, "only keys that begin with"),
        ({"cache_key": "PREFIX\n"}, "without control characters"),
        ({"data_source": "stat"}, "unknown loader 'stat': did you mean 'stats'"),
        ({"data_source": "database"}, "unknown loader"),
        ({"data_source": "weird"}, "what JSON cannot carry"),
        ({"data_source": "http://example.com/a"}, "fetches no URLs"),
        ({"ttl": 10_000_000}, "at most 604800 (max_ttl_s)"),
    ],
)
async def test_what_can_never_work_fails_at_once(
    app: App, prefix: str, changed: dict[str, Any], reason: str
) -> None:
    payload = {"cache_key": f"{prefix}a", "data_source": "stats", **changed}
    payload["cache_key"] = str(payload["cache_key"]).replace("PREFIX", prefix)

    state, _, failed = await warmed(app, **payload)

    assert state == "failed"
    assert failed is not None
    assert reason in failed


async def test_loader_that_fails_is_tried_again(app: App, prefix: str) -> None:
    runs = 0

    def shaky() -> str:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise OSError("the database is away")
        return "there"

    app.provide(Loaders({"shaky": shaky}))

    state, result, _ = await warmed(app, cache_key=f"{prefix}a", data_source="shaky")

    assert (state, runs, result["bytes"]) == ("completed", 3, 5)


async def test_too_large_a_value_is_not_kept(
    app: App, redis_server: RedisServer, prefix: str
) -> None:
    app.provide(Loaders({"large": lambda: b"x" * 1001}))

    state, _, failed = await warmed(app, cache_key=f"{prefix}a", data_source="large")

    assert (state, "larger than 1,000 bytes" in str(failed)) == ("failed", True)
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.get(f"{prefix}a") is None


async def test_url_is_fetched_where_requests_may_go(app: App, prefix: str) -> None:
    answers = [Answer(503), Answer(200, body=b"rates")]

    def answer(_: Request) -> Answer:
        return answers.pop(0)

    policy = EgressPolicy(["127.0.0.1"])
    http = AioHttpClient(policy)
    app.provide(Loaders({}, http=http, policy=policy))
    async with serving(answer) as server:
        state, result, _ = await warmed(
            app, cache_key=f"{prefix}a", data_source=server.url("/rates?key=secret")
        )
    await http.close()

    assert (state, result["bytes"], answers) == ("completed", 5, [])


async def test_refusal_of_a_server_is_final_and_hides_the_query(app: App, prefix: str) -> None:
    def answer(_: Request) -> Answer:
        return Answer(404)

    policy = EgressPolicy(["127.0.0.1"])
    http = AioHttpClient(policy)
    app.provide(Loaders({}, http=http, policy=policy))
    async with serving(answer) as server:
        state, _, failed = await warmed(
            app, cache_key=f"{prefix}a", data_source=server.url("/rates?key=secret")
        )
    await http.close()

    assert state == "failed"
    assert "its server answered 404" in str(failed)
    assert "secret" not in str(failed)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a",
        "http://localhost:8080/",
        "http://api.localhost/",
        "https://10.1.2.3/x",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "HTTP://192.168.1.1",
        "http://[fe80::1",
        "http:///a",
    ],
)
def test_private_addresses_are_refused_before_a_job_is_added(url: str) -> None:
    loaders = Loaders({}, http=AioHttpClient())

    with pytest.raises(UnusableInputError, match="dataSource"):
        loaders.check(url)


def test_allowed_and_public_addresses_pass_the_door() -> None:
    loaders = Loaders(
        {"stats": stats}, http=AioHttpClient(), policy=EgressPolicy(["10.0.0.0/8", "hooks.local"])
    )

    for source in ("stats", "https://example.com/a", "http://10.1.2.3/", "http://hooks.local/"):
        loaders.check(source)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ttl_s": 0}, "ttl_s"),
        ({"ttl_s": 10, "max_ttl_s": 5}, "ttl_s"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"fetch_s": -1}, "fetch_s"),
        ({"prefix": "a\n"}, "prefix"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOptionError, match=said):
        WarmingSettings(**options)
    with pytest.raises(InvalidOptionError, match="loaders"):
        Loaders({"no": "function"})  # type: ignore[dict-item]
