"""Hosts with several addresses: the first one that answers is taken."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.backends.redis.conftest import Connect
from tests.support.redis_servers import RedisServer

from toril.backends.redis.client.multiplexed import MultiplexedClient
from toril.backends.redis.client.sockets import NEXT_ADDRESS_S, in_turn, literal
from toril.backends.redis.client.urls import parse
from toril.core.errors import StoreUnreachableError

Resolve = Callable[..., None]
V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Let the name `store.test` stand for ports of this machine."""
    real = socket.getaddrinfo

    def make(*ports: int) -> None:
        def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
            if host != "store.test":
                return real(host, *rest, **options)
            return [(V4, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return make


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that neither accepts nor refuses: its queue of connections is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address[1]


async def test_address_that_is_silent_holds_up_nobody(
    connect: Connect, server: RedisServer, silent: int, resolve: Resolve
) -> None:
    """It used up the whole time to connect, as IPv6 does where it leads nowhere."""
    resolve(silent, server.port)
    began_s = time.monotonic()

    assert await connect("redis://store.test").call("PING") == "PONG"

    assert NEXT_ADDRESS_S <= time.monotonic() - began_s < 5


async def test_address_that_refuses_is_passed_at_once(
    connect: Connect, server: RedisServer, unused_tcp_port: int, silent: int, resolve: Resolve
) -> None:
    resolve(unused_tcp_port, server.port, silent)

    assert await connect("redis://store.test").call("PING") == "PONG"


async def test_addresses_that_all_refuse_are_told_as_one(
    connect: Connect, unused_tcp_port: int, resolve: Resolve
) -> None:
    resolve(unused_tcp_port, unused_tcp_port)

    with pytest.raises(StoreUnreachableError, match=os.strerror(errno.ECONNREFUSED)) as away:
        await connect("redis://store.test?connect_timeout_s=0.2").call("PING")
    assert not away.value.sent


async def test_attempts_that_lost_leave_no_socket(
    connect: Connect, server: RedisServer, silent: int, resolve: Resolve
) -> None:
    resolve(silent, silent, server.port)
    client = connect("redis://store.test")
    before = len(os.listdir("/proc/self/fd"))

    await client.call("PING")

    assert len(os.listdir("/proc/self/fd")) == before + 1


def test_uvloop_connects_to_a_name(server: RedisServer) -> None:
    """It looks names up by itself. `localhost` mostly has an address where nobody listens."""
    uvloop = pytest.importorskip("uvloop")

    async def ping() -> object:
        client = MultiplexedClient(parse(f"redis://localhost:{server.port}"))
        try:
            return await client.call("PING")
        finally:
            await client.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(ping()) == "PONG"


def test_families_take_turns() -> None:
    infos: list[Any] = [
        (family, 1, 6, "", number) for number, family in enumerate([V6, V6, V6, V4])
    ]

    assert [info[4] for info in in_turn(infos)] == [0, 3, 1, 2]
    assert in_turn(infos[:1]) == infos[:1]


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", V4), ("::1", V6), ("localhost", None), ("1.2.3", None)]
)
def test_address_is_not_looked_up(host: str, family: int | None) -> None:
    assert [info[0] for info in literal(host, 1)] == ([] if family is None else [family])
