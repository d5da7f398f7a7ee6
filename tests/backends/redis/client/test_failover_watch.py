"""Connections that only wait: signs of life of their server, where another one may take over."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.backends.redis.conftest import Connect
from tests.support.redis_servers import RedisServer, Sentinels
from tests.support.waiting import wait_until

from toril.backends.redis.client import failover_watch


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the signs come more often."""
    monkeypatch.setattr(failover_watch, "PULSE_S", 0.05)


def calls_of(server: RedisServer, command: str) -> int:
    """Return how often a server has run a command."""
    for line in server.command("INFO", "commandstats").splitlines():
        if line.startswith(f"cmdstat_{command}:calls="):
            return int(line.partition("=")[2].partition(",")[0])
    return 0


async def test_single_server_is_not_asked(connect: Connect, own_server: RedisServer) -> None:
    """There is nobody to turn to, and an idle worker should cost nothing."""
    client = connect(own_server.url)
    line = await client.open_blocking("list")
    await client.call("ECHO", "x")
    before = [calls_of(own_server, command) for command in ("ping", "role")]

    until_s = time.monotonic() + 0.5
    await wait_until(lambda: time.monotonic() > until_s)

    assert [calls_of(own_server, command) for command in ("ping", "role")] == before
    await line.close()


async def test_primary_behind_sentinels_is_asked_while_connections_wait(
    connect: Connect, tmp_path: Path
) -> None:
    with Sentinels.start(tmp_path / "all") as group:
        primary = group.primary
        client = connect(as_app(group))
        blocking, showing = await client.open_blocking("list"), await client.open_blocking("list")
        blocked = asyncio.create_task(blocking.call("BLPOP", "list", 60, timeout_s=60))

        before = role_of_app(primary)
        await wait_until(lambda: role_of_app(primary) > before + 3)

        assert not blocked.done()
        assert not blocking.closed
        # A server that says something anyway is not asked.
        until_s, before = time.monotonic() + 0.5, role_of_app(primary)
        while time.monotonic() < until_s:
            await client.call("ECHO", "x")
        assert role_of_app(primary) <= before + 2
        await client.call("LPUSH", "list", "x")
        assert await blocked == ["list", "x"]
        await blocking.close()
        await showing.close()
        # The last one that waited is gone: nobody asks any more.
        quiet = role_of_app(primary)
        until_s = time.monotonic() + 0.5
        await wait_until(lambda: time.monotonic() > until_s)
        assert role_of_app(primary) <= quiet + 1


def as_app(group: Sentinels) -> str:
    return group.url.replace("://", f"://{group.APP}:{group.APP}@")


def role_of_app(server: RedisServer) -> int:
    """Return how often a server was asked for its role. (Sentinels use INFO.)"""
    return calls_of(server, "role")


async def test_lack_of_replicas_is_normal_after_a_while(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a replica that is gone for good would have every idle worker ask the sentinels."""
    monkeypatch.setattr(failover_watch, "MAX_LOOKS", 3)
    with Sentinels.start(tmp_path / "all") as group:
        primary, sentinel = group.primary, group.sentinels[0]
        client = connect(group.url)
        line = await client.open_blocking("list")
        await client.call("ECHO", "x")
        before = asked(sentinel)

        group.replica.kill()
        await wait_until(lambda: asked(sentinel) > before)
        quiet = [asked(sentinel), 0.0]

        async def is_quiet() -> bool:
            """Nobody has asked for 20 signs of life."""
            now, many = role_of_app(primary), asked(sentinel)
            if many != quiet[0]:
                quiet[:] = [many, now]
            return now > quiet[1] + 20

        await wait_until(is_quiet, what="the sentinels to be left alone")
        assert not line.closed
        await line.close()


def asked(sentinel: RedisServer) -> int:
    """Return how many connections a sentinel has accepted."""
    lines = sentinel.command("INFO", "stats").splitlines()
    return int(next(one for one in lines if one.startswith("total_connections")).partition(":")[2])
