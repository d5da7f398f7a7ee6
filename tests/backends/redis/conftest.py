"""Redis servers of the tests' own, and clients that are closed after the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.support.redis_servers import Proxy, RedisServer

from toril.backends.redis.client.address import Address
from toril.backends.redis.client.multiplexed import MultiplexedClient
from toril.backends.redis.client.urls import parse

Connect = Callable[..., MultiplexedClient]


@pytest.fixture(scope="package")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that leave it as it is."""
    options = ("--enable-debug-command", "local")
    with RedisServer.start(tmp_path_factory.mktemp("redis"), options=options) as server:
        yield server


@pytest.fixture
def server(shared_server: RedisServer) -> RedisServer:
    """That server, empty."""
    shared_server.command("FLUSHALL")
    shared_server.command("SCRIPT", "FLUSH")
    return shared_server


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    """A network in front of the server."""
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may end, halt and set up as it likes."""
    with RedisServer.start(tmp_path) as server:
        yield server


@pytest.fixture
async def connect(no_thread_left: None) -> AsyncIterator[Connect]:
    """Make clients of a URL or an address; all are closed after the test."""
    clients: list[MultiplexedClient] = []

    def make(where: str | Address, **options: object) -> MultiplexedClient:
        if isinstance(where, str):
            for name, value in options.items():
                where += f"{'&' if '?' in where else '?'}{name}={value}"
            where = parse(where)
        clients.append(MultiplexedClient(where))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()
