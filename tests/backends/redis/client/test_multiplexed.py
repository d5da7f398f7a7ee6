"""The client against a real server: what it does, and what becomes of a call in bad moments."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.backends.redis.conftest import Connect
from tests.backends.redis.faking import FakeServer, fake_server
from tests.backends.redis.scripting import INCREMENT, lua
from tests.support.ports import give_back_port, reserve_port
from tests.support.proxy import Proxy
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until, wait_until_sync

from toril.backends.redis.client.multiplexed import MultiplexedClient
from toril.backends.redis.client.server_info import ServerInfo
from toril.backends.redis.client.urls import parse
from toril.core.errors import (
    BackendClosedError,
    BackendError,
    InvalidOptionError,
    StoreBusyError,
    StoreFullError,
    StoreReadOnlyError,
    StoreUnreachableError,
)
from toril.core.extras import how_to_install

SECRET = "hunter2"


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    async with fake_server() as server:
        yield server


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nobody listens."""
    port = reserve_port()
    yield port
    give_back_port(port)


async def test_replies_are_text_and_numbers_and_lists(
    connect: Connect, server: RedisServer
) -> None:
    client = connect(server.url)

    assert await client.call("SET", "name", "Zoë") == "OK"
    assert await client.call("GET", "name") == "Zoë"
    assert await client.call("GET", "nothing") is None
    assert await client.call("RPUSH", "list", 1, b"two", 2.5) == 3
    assert await client.call("LRANGE", "list", 0, -1) == ["1", "two", "2.5"]
    assert await client.call("HSET", "hash", "a", 1) == 1
    assert await client.call("HGETALL", "hash") == ["a", "1"]
    assert client.clustered is False
    assert client.slot("name") is None


async def test_wrong_words_are_refused_before_anything_is_sent(
    connect: Connect, server: RedisServer
) -> None:
    client = connect(server.url)

    with pytest.raises(TypeError):
        await client.call("SET", "key", None)  # type: ignore[arg-type]

    assert await client.call("PING") == "PONG"


async def test_first_callers_share_one_connection(connect: Connect, server: RedisServer) -> None:
    client = connect(server.url)
    before = server.command("INFO", "stats")

    await asyncio.gather(*(client.call("INCR", "n") for _ in range(5000)))

    assert server.command("GET", "n") == "5000"
    assert connections_made(server.command("INFO", "stats")) - connections_made(before) == 1


def connections_made(stats: str) -> int:
    (line,) = (line for line in stats.splitlines() if line.startswith("total_connections_received"))
    return int(line.partition(":")[2])


async def test_many_commands_travel_together(connect: Connect, server: RedisServer) -> None:
    client = connect(server.url)

    assert await client.many([]) == []
    assert await client.many([["SET", "a", 1], ("INCR", "a"), ["GET", "a"]]) == ["OK", 2, "2"]


async def test_many_commands_all_run_before_the_first_refusal_is_raised(
    connect: Connect, server: RedisServer
) -> None:
    client = connect(server.url)

    with pytest.raises(BackendError, match="unknown command 'FIRST'"):
        await client.many([("INCR", "n"), ("FIRST",), ("SECOND",), ("INCR", "n")])

    assert server.command("GET", "n") == "2"


async def test_database_of_the_url_is_used(connect: Connect, server: RedisServer) -> None:
    assert await connect(f"{server.url}/3").call("SET", "a", 1) == "OK"

    assert server.command("DBSIZE") == 0
    assert await connect(f"{server.url}/3").call("DBSIZE") == 1


async def test_database_that_is_not_there_is_named(connect: Connect, server: RedisServer) -> None:
    with pytest.raises(BackendError, match="DB index is out of range"):
        await connect(f"{server.url}/999").call("PING")


async def test_unix_socket_is_as_good(connect: Connect, server: RedisServer) -> None:
    client = connect(f"unix://{server.socket_path}?db=1")

    assert await client.call("SET", "a", 1) == "OK"
    line = await client.open_blocking("a")
    assert await line.call("GET", "a", timeout_s=1) == "1"
    await line.close()
    assert client.sync(lambda: client.call("GET", "a")) == "1"


class TestScripts:
    async def test_script_is_loaded_when_it_is_missing(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)

        assert await client.run(INCREMENT, ["n"]) == 1
        server.command("SCRIPT", "FLUSH")
        assert await client.run(INCREMENT, ["n"]) == 2

    async def test_script_that_many_miss_at_once_is_loaded_once(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        await client.call("PING")
        server.command("CONFIG", "RESETSTAT")

        await asyncio.gather(*(client.run(INCREMENT, ["n"]) for _ in range(50)))

        assert server.command("GET", "n") == "50"
        stats = server.command("INFO", "commandstats")
        assert "cmdstat_script|load:calls=1," in stats

    async def test_wrong_number_of_keys_or_arguments_names_the_right_ones(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        script = lua("return 1", keys=("wait", "active"), args=("now_ms", "ids..."))

        assert await client.run(script, ["a", "b"], 1) == 1
        assert await client.run(script, ["a", "b"], 1, 2, 3) == 1
        for keys, args in (("a", (1,)), ("abc", (1,)), ("ab", ())):
            with pytest.raises(TypeError, match=r"keys \(wait, active\) and arguments \(now_ms, "):
                await client.run(script, list(keys), *args)

    async def test_failure_in_a_script_is_told_in_the_servers_words(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)

        with pytest.raises(BackendError, match="attempt to index local"):
            await client.run(lua("local a; return a.b"), ["n"])
        server.command("RPUSH", "list", 1)
        with pytest.raises(BackendError, match="WRONGTYPE"):
            await client.run(INCREMENT, ["list"])


class TestLostConnections:
    async def test_server_that_comes_back_is_found_again(
        self, connect: Connect, own_server: RedisServer
    ) -> None:
        client = connect(own_server.url)
        assert await client.run(INCREMENT, ["n"]) == 1

        own_server.kill()
        waiting = asyncio.create_task(client.run(INCREMENT, ["n"]))
        await wait_until(lambda: client.call is not None)
        own_server.restart()

        assert await waiting == 1
        assert await client.run(INCREMENT, ["n"]) == 2

    async def test_call_waits_for_a_connection_and_then_says_that_nothing_was_sent(
        self, connect: Connect, free_port: int
    ) -> None:
        client = connect(f"redis://:{SECRET}@127.0.0.1:{free_port}", connect_timeout_s=0.3)
        started_s = time.monotonic()

        troubles = await asyncio.gather(
            *(client.call("PING") for _ in range(20)), return_exceptions=True
        )

        assert 0.25 < time.monotonic() - started_s < 2
        for trouble in troubles:
            assert isinstance(trouble, StoreUnreachableError)
            assert not trouble.sent
            assert "Connection refused" in str(trouble)
            assert SECRET not in str(trouble)
        assert len({id(trouble) for trouble in troubles}) == 20

    async def test_name_that_nobody_knows_is_unreachable(self, connect: Connect) -> None:
        client = connect("redis://nobody.invalid", connect_timeout_s=0.2)

        with pytest.raises(StoreUnreachableError, match=r"its name is not known|in time") as away:
            await client.call("PING")
        assert not away.value.sent

    async def test_attempts_grow_rarer(self, connect: Connect, fake: FakeServer) -> None:
        fake.hangs_up = True

        with pytest.raises(StoreUnreachableError, match=r"hung up|reset") as away:
            await connect(fake.url, connect_timeout_s=2).call("PING")

        assert not away.value.sent
        # At 0, 0.05, 0.15, 0.35 s and so on, each pause up to half as long or half as long again.
        assert 3 <= len(fake.connections) <= 8

    async def test_killed_connection_leaves_calls_unknown_and_the_next_is_a_new_one(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        number = await client.call("CLIENT", "ID")
        line = await client.open_blocking("list")
        blocked = asyncio.create_task(line.call("BLPOP", "list", 30, timeout_s=30))
        await wait_until(lambda: "cmd=blpop" in server.command("CLIENT", "LIST"))

        server.command("CLIENT", "KILL", "ID", number)
        server.command("CLIENT", "KILL", "ID", str(line.id))

        with pytest.raises(StoreUnreachableError) as lost:
            await blocked
        assert lost.value.sent
        assert line.closed
        assert await client.call("CLIENT", "ID") != number

    async def test_call_whose_answer_was_lost_is_not_repeated(
        self, connect: Connect, server: RedisServer, proxy: Proxy
    ) -> None:
        client = connect(proxy.url)
        assert await client.run(INCREMENT, ["n"]) == 1

        for call in (
            lambda: client.run(INCREMENT, ["n"]),
            lambda: client.call("INCR", "n"),
            lambda: client.many([("INCR", "n")]),
        ):
            before = int(await client.call("GET", "n"))
            proxy.cut_after_request()
            with pytest.raises(StoreUnreachableError, match="may have been done") as lost:
                await call()
            assert lost.value.sent
            await wait_until(
                lambda: int(server.command("GET", "n")) == before + 1  # noqa: B023
            )

        assert await client.call("GET", "n") == "4"

    async def test_what_is_told_of_calls_is_true_while_connections_break(
        self, connect: Connect, server: RedisServer, proxy: Proxy
    ) -> None:
        client = connect(proxy.url)
        done, unknown, undone = 0, 0, 0
        stop_s = time.monotonic() + 0.7

        async def work() -> None:
            nonlocal done, unknown, undone
            while time.monotonic() < stop_s:
                try:
                    await client.run(INCREMENT, ["n"])
                    done += 1
                except StoreUnreachableError as error:
                    unknown += error.sent
                    undone += not error.sent

        async def harm() -> None:
            for cuts in range(1, 100):
                proxy.cut()
                enough = done + 50 * cuts
                await wait_until(lambda: done > enough or time.monotonic() > stop_s)  # noqa: B023

        await asyncio.gather(harm(), *(work() for _ in range(50)))

        assert done > 0
        assert unknown > 0
        await client.close()
        await wait_until(lambda: "cmd=evalsha" not in server.command("CLIENT", "LIST"))
        assert done <= int(server.command("GET", "n")) <= done + unknown

    async def test_half_open_connection_is_given_up(
        self, connect: Connect, server: RedisServer, proxy: Proxy
    ) -> None:
        client = connect(proxy.url, answer_timeout_s=0.2)
        assert await client.call("INCR", "n") == 1
        proxy.freeze()

        with pytest.raises(StoreUnreachableError, match=r"no answer for 0.2 s") as lost:
            await asyncio.gather(client.call("INCR", "n"), client.call("INCR", "m"))
        assert lost.value.sent

        proxy.thaw()
        assert await client.call("PING") == "PONG"

    async def test_server_that_accepts_and_says_nothing_is_unreachable(
        self, connect: Connect, proxy: Proxy
    ) -> None:
        proxy.freeze()
        client = connect(proxy.url, connect_timeout_s=0.2)

        with pytest.raises(StoreUnreachableError, match=r"no connection in time|no answer") as away:
            await client.call("PING")
        assert not away.value.sent
        proxy.thaw()

    async def test_blocked_loop_does_not_cost_the_connection(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url, answer_timeout_s=0.1)
        number = await client.call("CLIENT", "ID")

        call = asyncio.create_task(client.call("INCR", "n"))
        await asyncio.sleep(0)
        time.sleep(0.3)

        assert await call == 1
        assert await client.call("CLIENT", "ID") == number

    async def test_cancelled_call_leaves_the_connection_in_order(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        await client.call("PING")

        calls = [asyncio.create_task(client.call("ECHO", n)) for n in range(100)]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()

        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert answers[1::2] == [str(n) for n in range(1, 100, 2)]
        assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])


class TestRefusals:
    async def test_full_server(self, connect: Connect, own_server: RedisServer) -> None:
        client = connect(own_server.url)
        own_server.command("CONFIG", "SET", "maxmemory", "1")

        with pytest.raises(StoreFullError, match="maxmemory"):
            await client.call("SET", "a", 1)
        with pytest.raises(StoreFullError, match="maxmemory"):
            await client.run(INCREMENT, ["n"])

    async def test_server_busy_with_a_script(
        self, connect: Connect, own_server: RedisServer
    ) -> None:
        own_server.command("CONFIG", "SET", "busy-reply-threshold", "1")
        client, other = connect(own_server.url), connect(own_server.url)
        await other.call("PING")
        endless = asyncio.create_task(client.run(lua("while true do end"), ["n"]))

        async def is_busy() -> bool:
            try:
                await other.call("GET", "a")
            except StoreBusyError as error:
                return "SCRIPT KILL" in str(error)
            return False

        await wait_until(is_busy)
        await other.call("SCRIPT", "KILL")
        with pytest.raises(BackendError, match="killed by user"):
            await endless

    async def test_replica_is_left_and_looked_up_anew(
        self, connect: Connect, own_server: RedisServer, free_port: int
    ) -> None:
        client = connect(own_server.url)
        number = await client.call("CLIENT", "ID")
        own_server.command("REPLICAOF", "127.0.0.1", free_port)

        with pytest.raises(StoreReadOnlyError, match="is a replica"):
            await client.run(INCREMENT, ["n"])
        own_server.command("REPLICAOF", "NO", "ONE")

        assert await client.run(INCREMENT, ["n"]) == 1
        assert await client.call("CLIENT", "ID") != number

    async def test_blocked_line_learns_that_its_server_became_a_replica(
        self, connect: Connect, own_server: RedisServer, free_port: int
    ) -> None:
        line = await connect(own_server.url).open_blocking("list")
        blocked = asyncio.create_task(line.call("BLPOP", "list", 30, timeout_s=30))
        await wait_until(lambda: "cmd=blpop" in own_server.command("CLIENT", "LIST"))

        own_server.command("REPLICAOF", "127.0.0.1", free_port)

        with pytest.raises((StoreReadOnlyError, StoreUnreachableError)):
            await blocked
        assert line.closed

    async def test_snapshots_that_fail(self, connect: Connect, fake: FakeServer) -> None:
        fake.answer = lambda _: b"-MISCONF Redis is configured to save RDB snapshots, but ...\r\n"

        with pytest.raises(StoreReadOnlyError, match="snapshot"):
            await connect(fake.url).call("SET", "a", 1)

    @pytest.mark.parametrize(
        ("answer", "complaint"),
        [
            ("LOADING Redis is loading the dataset in memory", "still loading"),
            ("MASTERDOWN Connection with MASTER is down", "lost its primary"),
            ("CLUSTERDOWN The cluster is down", "does not serve this key"),
        ],
    )
    async def test_server_that_is_not_ready_is_unreachable_and_did_nothing(
        self, connect: Connect, fake: FakeServer, answer: str, complaint: str
    ) -> None:
        fake.answer = lambda _: b"-%s\r\n" % answer.encode()

        with pytest.raises(StoreUnreachableError, match=complaint) as away:
            await connect(fake.url).call("SET", "a", 1)
        assert not away.value.sent

    async def test_missing_password(self, connect: Connect, own_server: RedisServer) -> None:
        own_server.command("CONFIG", "SET", "requirepass", SECRET)
        try:
            with pytest.raises(BackendError, match="asks for a password"):
                await connect(own_server.url).call("PING")
        finally:
            authorised(own_server, "CONFIG", "SET", "requirepass", "")

    async def test_wrong_password_names_the_user_and_not_the_password(
        self, connect: Connect, own_server: RedisServer
    ) -> None:
        own_server.command("ACL", "SETUSER", "jo", "on", ">right", "~*", "+@all")
        url = f"redis://jo:{SECRET}@127.0.0.1:{own_server.port}"
        started_s = time.monotonic()

        with pytest.raises(BackendError, match="'jo' was not let in") as refused:
            await connect(url).call("PING")

        assert SECRET not in str(refused.value)
        assert not isinstance(refused.value, StoreUnreachableError)
        assert time.monotonic() - started_s < 2, "there is nothing to wait for"

    async def test_password_that_nobody_asks_for(
        self, connect: Connect, server: RedisServer
    ) -> None:
        url = f"redis://:{SECRET}@127.0.0.1:{server.port}"

        with pytest.raises(BackendError, match="has none for its default user"):
            await connect(url).call("PING")

    async def test_user_with_few_rights(self, connect: Connect, own_server: RedisServer) -> None:
        own_server.command("ACL", "SETUSER", "jo", "on", ">pw", "~mail:*", "+get", "+set", "+ping")
        client = connect(f"redis://jo:pw@127.0.0.1:{own_server.port}")

        assert await client.call("SET", "mail:a", 1) == "OK"
        with pytest.raises(BackendError, match=r"user 'jo' lacks a right: NOPERM .*'del'"):
            await client.call("DEL", "mail:a")
        with pytest.raises(BackendError, match=r"lacks a right: NOPERM .*keys?"):
            await client.call("GET", "other")
        with pytest.raises(BackendError, match=r"lacks a right: NOPERM .*'evalsha'"):
            await client.run(INCREMENT, ["mail:n"])

    async def test_server_with_too_many_connections(
        self, connect: Connect, own_server: RedisServer
    ) -> None:
        own_server.command("CONFIG", "SET", "maxclients", 1)

        with pytest.raises(StoreUnreachableError, match=r"too many connections|hung up") as away:
            await connect(own_server.url, connect_timeout_s=2).call("PING")
        assert not away.value.sent

        own_server.command("CONFIG", "SET", "maxclients", 100)

    async def test_port_of_something_else(self, connect: Connect) -> None:
        async def serve(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
            await incoming.read(100)
            outgoing.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            outgoing.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as other:
            port = other.sockets[0].getsockname()[1]
            with pytest.raises(BackendError, match="does not speak Redis' protocol"):
                await connect(f"redis://127.0.0.1:{port}").call("PING")


def authorised(server: RedisServer, *words: str) -> None:
    """Send a command as one who knows the password."""
    subprocess.run(
        ["redis-cli", "-p", str(server.port), "-a", SECRET, "--no-auth-warning", *words],
        check=True,
        capture_output=True,
    )


class TestIntroduction:
    async def test_each_new_primary_is_introduced(
        self, connect: Connect, own_server: RedisServer
    ) -> None:
        own_server.command("CONFIG", "SET", "maxmemory", 100_000_000)
        own_server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        client = connect(own_server.url)
        met: list[ServerInfo] = []
        client.shared.on_first_connect = met.append

        await client.call("PING")
        await (await client.open_blocking("a")).close()
        assert len(met) == 1
        assert met[0].role == "master"
        assert met[0].version_numbers >= (6, 2)
        assert met[0].maxmemory_policy == "allkeys-lru"
        assert met[0].maxmemory_bytes == 100_000_000
        assert not met[0].cluster_enabled

        own_server.restart()
        await client.call("PING")
        assert len(met) == 2
        assert met[1].maxmemory_policy == "noeviction"

    async def test_server_can_be_refused(self, connect: Connect, server: RedisServer) -> None:
        client = connect(server.url)

        def refuse(info: ServerInfo) -> None:
            raise BackendError(f"{info.shown}: version {info.version} is too old")

        client.shared.on_first_connect = refuse
        with pytest.raises(BackendError, match="is too old"):
            await client.call("PING")

        client.shared.on_first_connect = None
        assert await client.call("PING") == "PONG"

    async def test_nodes_of_a_single_server_are_that_server(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        server.command("MSET", "a", 1, "b", 2)

        (node,) = await client.nodes()

        assert node.name == client.address.shown
        assert sorted((await node.call("SCAN", 0))[1]) == ["a", "b"]
        with pytest.raises(BackendError, match="unknown command"):
            await node.call("NONSENSE")


class TestLines:
    async def test_line_blocks_without_holding_others_up(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        line = await client.open_blocking("list", name="waiter")
        assert f"id={line.id} " in server.command("CLIENT", "LIST")
        assert "name=waiter" in server.command("CLIENT", "LIST")

        blocked = asyncio.create_task(line.call("BLPOP", "list", 5, timeout_s=5))
        await wait_until(lambda: "cmd=blpop" in server.command("CLIENT", "LIST"))
        await client.call("RPUSH", "list", "a")

        assert await blocked == ["list", "a"]
        assert await line.call("BLPOP", "list", 0.01, timeout_s=0.01) is None
        await line.close()
        await line.close()
        assert line.closed
        with pytest.raises(StoreUnreachableError, match="closed") as away:
            await line.call("PING", timeout_s=1)
        assert not away.value.sent

    async def test_line_can_be_unblocked(self, connect: Connect, server: RedisServer) -> None:
        line = await connect(server.url).open_blocking("list")
        blocked = asyncio.create_task(line.call("BLPOP", "list", 5, timeout_s=5))
        await wait_until(lambda: "cmd=blpop" in server.command("CLIENT", "LIST"))

        await line.unblock()

        assert await blocked is None
        assert await line.call("PING", timeout_s=1) == "PONG"
        await line.close()
        await line.unblock()

    async def test_line_without_an_answer_is_closed(
        self, connect: Connect, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("toril.backends.redis.client.dedicated_connection.GUARD_S", 0.1)
        line = await connect(proxy.url).open_blocking("list")
        proxy.freeze()

        with pytest.raises(StoreUnreachableError, match=r"no answer within 0.1 s and") as lost:
            await line.call("BLPOP", "list", 0.1, timeout_s=0.1)
        assert lost.value.sent
        assert line.closed
        proxy.thaw()

    async def test_server_that_freezes_while_a_line_is_opened_is_left(
        self, connect: Connect, proxy: Proxy
    ) -> None:
        """A worker waited for ever where its primary froze between these two commands."""
        client = connect(proxy.url)
        await client.call("PING")
        proxy.hold_after_request(b"UNBLOCK")

        async with asyncio.timeout(60):
            line = await client.open_blocking("list")

        assert await line.call("PING", timeout_s=1) == "PONG"
        await line.close()

    async def test_silence_is_no_trouble_for_a_line(
        self, connect: Connect, server: RedisServer
    ) -> None:
        line = await connect(server.url, answer_timeout_s=0.05).open_blocking("list")

        assert await line.call("BLPOP", "list", 0.6, timeout_s=0.6) is None
        await line.close()

    async def test_caller_who_gives_up_closes_the_line(
        self, connect: Connect, server: RedisServer
    ) -> None:
        line = await connect(server.url).open_blocking("list")
        blocked = asyncio.create_task(line.call("BLPOP", "list", 5, timeout_s=5))
        await wait_until(lambda: "cmd=blpop" in server.command("CLIENT", "LIST"))

        blocked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await blocked

        assert line.closed
        await wait_until(lambda: f"id={line.id} " not in server.command("CLIENT", "LIST"))

    async def test_line_of_a_closed_client_says_so(
        self, connect: Connect, server: RedisServer
    ) -> None:
        """It said that the server could not be reached."""
        client = connect(server.url)
        line = await client.open_blocking("list")

        await client.close()

        with pytest.raises(BackendClosedError):
            await line.call("BLPOP", "list", 1, timeout_s=1)

    async def test_line_to_nowhere_says_so(self, connect: Connect, free_port: int) -> None:
        client = connect(f"redis://127.0.0.1:{free_port}", connect_timeout_s=0.2)

        with pytest.raises(StoreUnreachableError, match="cannot be reached") as away:
            await client.open_blocking("a")
        assert not away.value.sent


class TestThreadsAndLoops:
    def test_loops_and_plain_threads_share_a_client(self, server: RedisServer) -> None:
        client = MultiplexedClient(parse(server.url))

        async def work() -> None:
            for _ in range(50):
                await asyncio.gather(*(client.run(INCREMENT, ["n"]) for _ in range(10)))

        def work_blocking() -> None:
            for _ in range(100):
                client.sync(lambda: client.run(INCREMENT, ["n"]))

        threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(3)]
        threads += [threading.Thread(target=work_blocking) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert server.command("GET", "n") == "1700"
        assert client.sync(lambda: client.many([("GET", "n"), ("PING",)])) == ["1700", "PONG"]
        asyncio.run(client.close())
        assert "toril-redis" not in {thread.name for thread in threading.enumerate()}

    async def test_blocked_loop_does_not_hold_up_plain_threads(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        done = threading.Event()

        def work() -> None:
            assert client.sync(lambda: client.run(INCREMENT, ["n"])) == 1
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        assert done.wait(5)
        thread.join()

    def test_plain_thread_waits_no_longer_than_it_wants(self, own_server: RedisServer) -> None:
        client = MultiplexedClient(parse(own_server.url))
        assert client.sync(lambda: client.call("PING")) == "PONG"
        own_server.pause()

        with pytest.raises(StoreUnreachableError, match=r"no answer within 0.1 s") as lost:
            client.sync(lambda: client.call("PING"), timeout_s=0.1)
        assert lost.value.sent

        own_server.resume()
        assert client.sync(lambda: client.call("PING")) == "PONG"
        asyncio.run(client.close())

    def test_refusals_reach_plain_threads(self, server: RedisServer) -> None:
        client = MultiplexedClient(parse(server.url))
        with pytest.raises(BackendError, match="unknown command"):
            client.sync(lambda: client.call("NONSENSE"))
        with pytest.raises(TypeError, match="expected keys"):
            client.sync(lambda: client.run(INCREMENT, []))
        asyncio.run(client.close())

    def test_loops_that_end_take_their_connections_along(self, server: RedisServer) -> None:
        client = MultiplexedClient(parse(server.url))
        before = server.command("CLIENT", "LIST").count("name=toril")

        for number in range(1, 4):
            assert asyncio.run(client.run(INCREMENT, ["n"])) == number

        wait_until_sync(
            lambda: server.command("CLIENT", "LIST").count("name=toril") == before,
            what="the connections to end",
        )
        asyncio.run(client.close())
        gc.collect()  # a warning about what was not closed would be an error here

    def test_loops_that_are_closed_abruptly_leave_no_warning(self, server: RedisServer) -> None:
        client = MultiplexedClient(parse(server.url))
        before = server.command("CLIENT", "LIST").count("name=toril")
        for number in range(1, 4):
            loop = asyncio.new_event_loop()
            assert loop.run_until_complete(client.run(INCREMENT, ["n"])) == number
            loop.run_until_complete(client.open_blocking("a"))
            loop.close()

        client.forget_loops()
        gc.collect()

        wait_until_sync(
            lambda: server.command("CLIENT", "LIST").count("name=toril") == before,
            what="the connections to end",
        )
        assert asyncio.run(client.run(INCREMENT, ["n"])) == 4
        asyncio.run(client.close())

    def test_line_is_closed_from_another_loop(self, server: RedisServer) -> None:
        client = MultiplexedClient(parse(server.url))
        loop = asyncio.new_event_loop()
        line = loop.run_until_complete(client.open_blocking("a"))

        asyncio.run(line.close())
        loop.run_until_complete(line.connection.gone())
        assert line.closed
        loop.run_until_complete(client.close())
        loop.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_forked_process_makes_connections_of_its_own(self, server: RedisServer) -> None:
        program = f"""
import asyncio, os
from toril.backends.redis.client.urls import parse
from toril.backends.redis.client.multiplexed import MultiplexedClient

client = MultiplexedClient(parse({server.url!r}))
client.sync(lambda: client.call("INCR", "n"))
asyncio.run(client.call("INCR", "n"))
child = os.fork()
client.sync(lambda: client.call("INCR", "n"))
asyncio.run(client.call("INCR", "n"))
if child == 0:
    asyncio.run(client.close())
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert client.sync(lambda: client.call("GET", "n")) == "6"
asyncio.run(client.close())
"""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_uvloop_is_as_good(self, server: RedisServer) -> None:
        uvloop = pytest.importorskip("uvloop")
        client = MultiplexedClient(parse(server.url))

        async def work() -> list[Any]:
            await client.open_blocking("a")
            return await asyncio.gather(*(client.run(INCREMENT, ["n"]) for _ in range(100)))

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(work()) == list(range(1, 101))
        asyncio.run(client.close())
        gc.collect()


class TestClosing:
    async def test_closed_client_refuses_everything(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        await client.call("PING")
        client.sync(lambda: client.call("PING"))
        line = await client.open_blocking("a")

        await client.close()
        await client.close()

        assert line.closed
        for call in (
            client.call("PING"),
            client.many([("PING",)]),
            client.run(INCREMENT, ["n"]),
            client.open_blocking("a"),
            client.nodes(),
        ):
            with pytest.raises(BackendClosedError):
                await call
        with pytest.raises(BackendClosedError):
            client.sync(lambda: client.call("PING"))

    async def test_client_that_was_never_used_closes(self, connect: Connect) -> None:
        await connect("redis://nobody.invalid").close()

    async def test_calls_under_way_are_answered_before_it_closes(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        await client.call("PING")
        answers: list[int] = []

        def work_elsewhere() -> None:
            with contextlib.suppress(BackendClosedError):
                while True:
                    answers.append(client.sync(lambda: client.run(INCREMENT, ["m"])))

        thread = asyncio.create_task(asyncio.to_thread(work_elsewhere))
        await wait_until(lambda: len(answers) > 10)
        calls = [asyncio.create_task(client.run(INCREMENT, ["n"])) for _ in range(100)]
        await asyncio.sleep(0)

        await client.close()

        assert await asyncio.gather(*calls) == list(range(1, 101))
        await thread
        assert server.command("GET", "m") == str(len(answers))

    async def test_calls_that_take_too_long_end_when_it_closes(
        self,
        connect: Connect,
        server: RedisServer,
        free_port: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("toril.backends.redis.client.routing.CLOSE_S", 0.1)
        client = connect(server.url)
        await client.call("PING")
        sent = asyncio.create_task(client.call("BLPOP", "list", 5))
        line = await client.open_blocking("list")
        blocked = asyncio.create_task(line.call("BLPOP", "list", 5, timeout_s=5))
        await wait_until(lambda: server.command("CLIENT", "LIST").count("cmd=blpop") == 2)
        lost = connect(f"redis://127.0.0.1:{free_port}")
        waiting = asyncio.create_task(lost.call("PING"))
        await asyncio.sleep(0)

        await client.close()
        await lost.close()

        with pytest.raises(BackendClosedError, match="outcome is unknown"):
            await sent
        with pytest.raises(BackendClosedError, match="outcome is unknown"):
            await blocked
        with pytest.raises(BackendClosedError):
            await waiting

    async def test_it_closes_connections_of_other_loops_too(
        self, connect: Connect, server: RedisServer
    ) -> None:
        client = connect(server.url)
        before = server.command("CLIENT", "LIST").count("name=toril")
        other = asyncio.new_event_loop()
        thread = threading.Thread(target=other.run_forever)
        thread.start()
        asyncio.run_coroutine_threadsafe(client.call("PING"), other).result(5)

        await client.close()

        await wait_until(lambda: server.command("CLIENT", "LIST").count("name=toril") == before)
        other.call_soon_threadsafe(other.stop)
        thread.join()
        other.close()


@pytest.fixture(scope="module")
def tls_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for this machine, which is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-keyout", "key.pem", "-out", "certificate.pem",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def tls_port(tls_folder: Path) -> Iterator[int]:
    """Where a server listens with that certificate."""
    port = reserve_port()
    options = (
        *("--tls-port", str(port), "--tls-cert-file", str(tls_folder / "certificate.pem")),
        *("--tls-key-file", str(tls_folder / "key.pem")),
        *("--tls-ca-cert-file", str(tls_folder / "certificate.pem")),
        *("--tls-auth-clients", "yes"),
    )
    # Of Valkey there is a server that was built without TLS.
    with RedisServer.start(tls_folder, options=options, software="redis"):
        yield port
    give_back_port(port)


@pytest.fixture
def tls_url(tls_port: int, tls_folder: Path) -> str:
    """A URL with all that is needed."""
    return (
        f"rediss://127.0.0.1:{tls_port}?ssl_ca_certs={tls_folder}/certificate.pem"
        f"&ssl_certfile={tls_folder}/certificate.pem&ssl_keyfile={tls_folder}/key.pem"
    )


class TestTls:
    async def test_encrypted_connection_is_as_good(self, connect: Connect, tls_url: str) -> None:
        client = connect(tls_url)

        await client.call("DEL", "n")
        assert await asyncio.gather(*(client.run(INCREMENT, ["n"]) for _ in range(20))) == list(
            range(1, 21)
        )
        long = "x" * 300_000
        assert await client.many([("SET", "long", long), ("GET", "long")]) == ["OK", long]
        line = await client.open_blocking("list")
        assert await line.call("BLPOP", "list", 0.01, timeout_s=0.01) is None
        await line.close()
        assert client.sync(lambda: client.call("GET", "n")) == "20"

    def test_encrypted_connections_of_closed_loops_leave_no_warning(self, tls_url: str) -> None:
        client = MultiplexedClient(parse(tls_url))
        assert asyncio.run(client.call("PING")) == "PONG"
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(client.call("PING")) == "PONG"
        loop.close()
        client.forget_loops()
        gc.collect()
        asyncio.run(client.close())

    async def test_unknown_authority_is_refused_at_once(
        self, connect: Connect, tls_port: int
    ) -> None:
        with pytest.raises(BackendError, match="certificate is not trusted"):
            await connect(f"rediss://127.0.0.1:{tls_port}").call("PING")

    async def test_name_that_the_certificate_is_not_for_is_refused(
        self, connect: Connect, tls_url: str
    ) -> None:
        elsewhere = tls_url.replace("127.0.0.1", "localhost")

        with pytest.raises(BackendError, match="certificate is not trusted"):
            await connect(elsewhere).call("PING")
        assert await connect(elsewhere, ssl_check_hostname="false").call("PING") == "PONG"

    async def test_nobody_has_to_be_trusted(
        self, connect: Connect, tls_port: int, tls_folder: Path
    ) -> None:
        url = (
            f"rediss://127.0.0.1:{tls_port}?ssl_cert_reqs=none"
            f"&ssl_certfile={tls_folder}/certificate.pem&ssl_keyfile={tls_folder}/key.pem"
        )

        assert await connect(url).call("PING") == "PONG"

    async def test_plain_talk_to_an_encrypted_port_says_so(
        self, connect: Connect, tls_port: int
    ) -> None:
        with pytest.raises(BackendError, match=r"wants TLS it begins with 'rediss://'"):
            await connect(f"redis://127.0.0.1:{tls_port}", connect_timeout_s=3).call("PING")

    async def test_encrypted_talk_to_a_plain_port_says_so(
        self, connect: Connect, server: RedisServer
    ) -> None:
        url = f"rediss://127.0.0.1:{server.port}?connect_timeout_s=3"

        with pytest.raises(BackendError, match=r"does not answer TLS.+begins with 'redis://'"):
            await connect(url).call("PING")

    async def test_missing_certificate_file_is_named(self, connect: Connect) -> None:
        with pytest.raises(InvalidOptionError, match=r"ssl_ca_certs='/no/such\.pem'"):
            await connect("rediss://localhost?ssl_ca_certs=/no/such.pem").call("PING")


def test_missing_library_names_the_extra_that_brings_it() -> None:
    program = """
import sys
sys.modules["hiredis"] = None
from toril import MissingExtraError
try:
    import toril.backends.redis.client
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stdout == f"the Redis backend needs hiredis: {how_to_install('redis')}\n"


def test_error_keeps_its_fields_through_pickling() -> None:
    error = StoreUnreachableError("gone", sent=True)

    carried = pickle.loads(pickle.dumps(error))

    assert (type(carried), str(carried), carried.sent) == (StoreUnreachableError, "gone", True)
