"""Who the primary is, by several who do not agree: sentinels, and nodes of a Cluster."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from tests.backends.redis.faking import FakeServer, fake_server
from tests.support.waiting import wait_until

from toril.backends.redis.client import connecting, sentinels, slot_discovery
from toril.backends.redis.client import connection as connection_module
from toril.backends.redis.client.address import Address, Endpoint
from toril.backends.redis.client.cluster import SLOTS
from toril.backends.redis.client.connecting import open_connection
from toril.backends.redis.client.connection import Connection
from toril.backends.redis.client.protocol import pack
from toril.backends.redis.client.sentinels import SentinelDiscovery
from toril.core.errors import BackendError, StoreUnreachableError

Fake = Callable[[], Awaitable[FakeServer]]
OLD, NEW = 1111, 2222
"""Ports of two primaries."""


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    """Make servers that say what they are told to."""
    async with AsyncExitStack() as stack:

        async def make() -> FakeServer:
            return await stack.enter_async_context(fake_server())

        yield make


def endpoint_of(server: FakeServer) -> Endpoint:
    return "127.0.0.1", server.port


def bulk(text: str) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text.encode())


async def sentinel(fake: Fake, port: int | None, epoch: int | None) -> FakeServer:
    """Return one that names a primary, if it knows one, and the number of its failover."""
    server = await fake()

    def answer(command: list[str]) -> bytes | None:
        if command[1] == "MASTER":
            if epoch is None:
                return (
                    b"-NOPERM this user has no permissions to run the 'sentinel|master' command\r\n"
                )
            fields = ["name", "main", "config-epoch", str(epoch), "quorum", "2"]
            return b"*%d\r\n" % len(fields) + b"".join(map(bulk, fields))
        if port is None:
            return b"*-1\r\n"
        return b"*2\r\n" + bulk("127.0.0.1") + bulk(str(port))

    server.answer = answer
    return server


async def silent(fake: Fake) -> FakeServer:
    server = await fake()
    server.answer = lambda command: None
    return server


def finder(*servers: FakeServer) -> SentinelDiscovery:
    return SentinelDiscovery(
        Address(hosts=tuple(map(endpoint_of, servers)), sentinel_service="main")
    )


async def test_newest_failover_that_a_sentinel_has_heard_of_counts(fake: Fake) -> None:
    for ports in ([(OLD, 1), (NEW, 2)], [(NEW, 2), (OLD, 1)]):
        servers = [await sentinel(fake, port, epoch) for port, epoch in ports]

        assert await finder(*servers).primary() == ("127.0.0.1", NEW)


async def test_half_of_the_sentinels_are_not_enough_while_others_may_answer(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of four may be those on the small side of a split."""
    monkeypatch.setattr(sentinels, "SENTINEL_S", 30.0)
    late = await sentinel(fake, NEW, 2)
    says, wait = late.answer, asyncio.Event()
    held: list[FakeServer] = [await sentinel(fake, OLD, 1) for _ in range(2)]
    late.answer = lambda command: says(command) if wait.is_set() else None
    asking = asyncio.create_task(finder(*held, late, await silent(fake)).primary())
    done, _ = await asyncio.wait([asking], timeout=0.3)
    assert not done
    asking.cancel()

    wait.set()

    assert await finder(*held, late, await silent(fake)).primary() == ("127.0.0.1", NEW)


async def test_more_than_half_of_the_sentinels_are_enough(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "SENTINEL_S", 30.0)
    answering = [await sentinel(fake, NEW, 2) for _ in range(2)]
    begin_s = time.monotonic()

    assert await finder(await silent(fake), *answering).primary() == ("127.0.0.1", NEW)
    assert time.monotonic() - begin_s < 10


async def test_one_sentinel_is_enough_once_the_time_of_the_others_is_over(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "SENTINEL_S", 0.2)
    lone = await sentinel(fake, NEW, 2)

    found = await finder(await silent(fake), lone, await silent(fake)).primary()

    assert found == ("127.0.0.1", NEW)


async def test_sentinels_that_do_not_answer_are_named(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinels, "SENTINEL_S", 0.2)
    mute, ignorant = await silent(fake), await sentinel(fake, None, 1)

    with pytest.raises(StoreUnreachableError) as away:
        await finder(mute, ignorant).primary()

    assert f"127.0.0.1:{mute.port} does not answer" in str(away.value)
    assert f"127.0.0.1:{ignorant.port} knows no service 'main'" in str(away.value)
    assert not away.value.sent


async def test_sentinel_that_does_not_tell_the_number_of_a_failover_is_still_asked(
    fake: Fake,
) -> None:
    assert await finder(await sentinel(fake, NEW, None)).primary() == ("127.0.0.1", NEW)


async def all_closed(*servers: FakeServer) -> None:
    """Wait until nobody is connected to these any more."""
    await wait_until(
        lambda: all(one.is_closing() for server in servers for one in server.connections)
    )


async def test_connections_to_sentinels_are_not_kept(fake: Fake) -> None:
    servers = [await sentinel(fake, NEW, 1), await sentinel(fake, NEW, 1), await silent(fake)]

    await finder(*servers).primary()

    await all_closed(*servers)


async def test_attempt_to_connect_follows_the_primary(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel of a frozen server accepts connections, and nobody ever answers."""
    monkeypatch.setattr(connecting, "OVERDUE_S", 0.05)
    primary = await fake()
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        watch = await sentinel(fake, frozen.getsockname()[1], 1)
        asked = finder(watch)
        opening = asyncio.create_task(asked.open_primary())
        # It is asked again while it names the same one, and when it does not answer.
        await wait_until(lambda: len(watch.connections) > 3)
        names, watch.answer = watch.answer, lambda command: b"-ERR it is not itself\r\n"
        many = len(watch.connections)
        await wait_until(lambda: len(watch.connections) > many + 1)
        watch.answer = names
        assert not opening.done()
        # All the while it is one attempt.
        frozen.setblocking(False)
        accepted, _ = frozen.accept()
        with pytest.raises(BlockingIOError):
            frozen.accept()
        begin_s = time.monotonic()

        watch.answer = (await sentinel(fake, primary.port, 2)).answer
        link, _ = await opening

        assert link.endpoint == endpoint_of(primary)
        assert not link.closed
        assert time.monotonic() - begin_s < 4  # the attempt itself would last for 5 s
        link.abort("the test is over")
        accepted.close()


async def test_attempt_that_its_caller_gives_up_leaves_nothing(fake: Fake) -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        frozen.setblocking(False)
        watch = await sentinel(fake, frozen.getsockname()[1], 1)
        opening = asyncio.create_task(finder(watch).open_primary())
        loop = asyncio.get_running_loop()
        accepted, _ = await loop.sock_accept(frozen)

        begin_s = time.monotonic()
        opening.cancel()
        await asyncio.wait([opening])

        assert opening.cancelled()
        assert time.monotonic() - begin_s < 4
        with accepted:
            while await loop.sock_recv(accepted, 4096):
                """What it had said before."""


async def node(fake: Fake, owner: int, *, state: str | None = "ok", epoch: int = 1) -> FakeServer:
    """Return one that says who has all slots, and what it is like itself."""
    server = await fake()

    def answer(command: list[str]) -> bytes | None:
        match command[:2]:
            case ["CLUSTER", "SLOTS"]:
                where = b"*2\r\n" + bulk("127.0.0.1") + b":%d\r\n" % owner
                return b"*1\r\n*3\r\n:0\r\n:%d\r\n" % (SLOTS - 1) + where
            case ["CLUSTER", "INFO"]:
                if state is None:
                    return b"-NOPERM this user has no permissions to run 'cluster|info'\r\n"
                return bulk(f"cluster_state:{state}\r\ncluster_current_epoch:{epoch}\r\n")
        return b"+OK\r\n"

    server.answer = answer
    return server


ADDRESS = Address(hosts=(("127.0.0.1", 1),), cluster=True, connect_timeout_s=2.0)


async def linked(server: FakeServer) -> Connection:
    link, _ = await open_connection(ADDRESS, endpoint_of(server))
    return link


async def believed(*servers: FakeServer, thorough: bool = True, connected: int = 0) -> int | None:
    """Return the port that has slot 0, by the nodes; to the first ones there are connections."""
    links = [await linked(server) for server in servers[:connected]]
    try:
        slots = await slot_discovery.newest(
            ADDRESS, links, map(endpoint_of, servers), thorough=thorough
        )
    finally:
        for link in links:
            link.abort("the test is over")
    owner = None if slots is None else slots.owner(0)
    return None if owner is None else owner[1]


async def test_node_that_has_heard_of_the_latest_election_is_believed(fake: Fake) -> None:
    old, new = await node(fake, OLD, epoch=1), await node(fake, NEW, epoch=2)

    assert await believed(old, new) == NEW
    assert await believed(new, old) == NEW
    assert await believed(old, new, connected=1) == NEW


async def test_node_that_is_cut_off_is_not_believed(fake: Fake) -> None:
    """It may have asked for votes, and counted elections that nobody won."""
    cut_off, well = await node(fake, OLD, state="fail", epoch=9), await node(fake, NEW, epoch=2)

    assert await believed(cut_off, well) == NEW
    assert await believed(cut_off) == OLD


async def test_node_that_does_not_tell_about_itself_is_asked_all_the_same(fake: Fake) -> None:
    shy = await node(fake, OLD, state=None)

    assert await believed(shy) == OLD
    assert await believed(shy, await node(fake, NEW, epoch=1)) == NEW


async def test_without_need_only_connections_are_asked(fake: Fake) -> None:
    """Redirections are frequent while slots move: no connection is made for each."""
    old, new = await node(fake, OLD, epoch=1), await node(fake, NEW, epoch=2)

    assert await believed(old, new, thorough=False, connected=1) == OLD
    assert await believed(old, new, thorough=False) == NEW


async def test_silent_connection_is_not_asked_but_the_others_are(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = await node(fake, OLD, epoch=9), await node(fake, NEW, epoch=2)
    link = await linked(old)
    old.answer = lambda command: None
    call = link.send(pack(("PING",)))
    monkeypatch.setattr(connection_module, "OVERDUE_S", 0.05)
    await wait_until(lambda: link.is_overdue)

    slots = await slot_discovery.newest(
        ADDRESS, [link], [endpoint_of(old), endpoint_of(new)], thorough=False
    )

    assert slots is not None
    assert slots.owner(0) == ("127.0.0.1", NEW)
    assert old.heard == [["PING"]]
    link.abort("the test is over")
    with pytest.raises(StoreUnreachableError):
        await call


async def test_nodes_that_do_not_answer_cost_a_moment(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_discovery, "ASK_NODE_S", 0.2)

    servers = [await silent(fake), await node(fake, NEW)]
    begin_s = time.monotonic()

    assert await believed(*servers) == NEW
    assert await believed(servers[0]) is None

    assert time.monotonic() - begin_s < 10  # the silent one would be given up after 15 s
    await all_closed(*servers)


async def test_few_nodes_of_many_are_asked(fake: Fake) -> None:
    many = [await node(fake, NEW) for _ in range(8)]

    assert await believed(*many) == NEW

    assert (
        sum(any(word[0] == "CLUSTER" for word in one.heard) for one in many)
        == slot_discovery.MOST_ASKED
    )


async def test_server_that_is_no_node_is_told_so(fake: Fake) -> None:
    server = await node(fake, NEW)
    server.answer = lambda command: b"-ERR This instance has cluster support disabled\r\n"
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(
        lambda: Connection(loop, "redis://fake", answer_timeout_s=None), "127.0.0.1", server.port
    )

    with pytest.raises(BackendError, match="no node of a Cluster"):
        await slot_discovery.ask(link)
    link.abort("the test is over")
