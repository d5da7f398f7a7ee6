"""Behind Sentinels: the primary is found, and found again after a failover."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.backends.redis.conftest import Connect
from tests.backends.redis.scripting import INCREMENT
from tests.support.redis_servers import SOFTWARE, RedisReplyError, RedisServer, Sentinels
from tests.support.waiting import DEADLINE_S, wait_until, wait_until_sync

from toril.backends.redis.client.multiplexed import MultiplexedClient
from toril.core.errors import BackendError, StoreReadOnlyError, StoreUnreachableError

SECRET = "hunter2"


@pytest.fixture(scope="module", params=SOFTWARE)
def sentinels(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sentinels]:
    """A primary, its replica and three sentinels. Tests leave both servers running."""
    folder = tmp_path_factory.mktemp("sentinels") / "all"
    with Sentinels.start(folder, software=request.param) as group:
        yield group


@pytest.fixture
def group(sentinels: Sentinels) -> Sentinels:
    """The same, empty."""

    def is_empty() -> bool:
        try:
            sentinels.primary.command("FLUSHALL")
        except (OSError, RedisReplyError):  # on a busy machine they may just take it for dead
            return False
        return True

    wait_until_sync(is_empty, what="the sentinels to agree with the primary")
    return sentinels


async def eventually(client: MultiplexedClient, deadline_s: float = DEADLINE_S) -> object:
    """Increment `n` as soon as somebody takes it; what was refused or not sent is tried again."""
    answer: list[object] = []

    async def was_taken() -> bool:
        try:
            answer.append(await client.run(INCREMENT, ["n"]))
        except StoreReadOnlyError:
            return False
        except StoreUnreachableError:
            return False
        return True

    await wait_until(was_taken, deadline_s=deadline_s, what="a primary")
    return answer[0]


async def test_primary_is_found(connect: Connect, group: Sentinels) -> None:
    client = connect(group.url)

    assert await client.run(INCREMENT, ["n"]) == 1
    assert group.primary.command("GET", "n") == "1"
    assert client.clustered is False
    line = await client.open_blocking("list")
    assert await line.call("BLPOP", "list", 0.01, timeout_s=0.01) is None
    await line.close()
    assert client.sync(lambda: client.call("GET", "n")) == "1"


async def test_failover_in_order_is_followed(connect: Connect, group: Sentinels) -> None:
    client = connect(group.url)
    line = await client.open_blocking("list")
    assert await client.run(INCREMENT, ["n"]) == 1
    await wait_for_copy(group.replica, "n", "1")
    blocked = asyncio.create_task(line.call("BLPOP", "list", 30, timeout_s=30))

    after = await swap(group)

    assert int(str(await eventually(client))) >= 2
    assert int(after.command("GET", "n")) >= 2
    with pytest.raises(BackendError):
        await blocked
    assert line.closed
    line = await client.open_blocking("list")
    assert f"id={line.id} " in after.command("CLIENT", "LIST")
    await line.close()


async def swap(group: Sentinels) -> RedisServer:
    """Swap primary and replica, once the sentinels think the replica is fit for it."""
    after: list[RedisServer] = []

    async def is_done() -> bool:
        try:
            after.append(await asyncio.to_thread(group.failover))
        except RedisReplyError:  # no good replica yet, or the last failover still goes on
            return False
        return True

    await wait_until(is_done, what="a failover")
    return after[0]


async def test_death_of_the_primary_is_survived(connect: Connect, group: Sentinels) -> None:
    client = connect(group.url, connect_timeout_s=2)
    assert await client.run(INCREMENT, ["n"]) == 1
    await wait_for_copy(group.replica, "n", "1")
    dead = group.primary

    taking_over = asyncio.create_task(asyncio.to_thread(group.kill_primary))
    await wait_until(lambda: not dead.is_running)
    answer = await eventually(client)

    after = await taking_over
    assert answer == 2
    assert after.command("GET", "n") == "2"
    dead.restart()
    await wait_until(lambda: role(dead) == "slave", deadline_s=60)
    await wait_for_copy(dead, "n", "2")


def role(server: RedisServer) -> object:
    try:
        return server.command("ROLE")[0]
    except OSError:  # it hangs up when its role changes
        return None


async def wait_for_copy(server: RedisServer, key: str, value: str) -> None:
    await wait_until(lambda: server.command("GET", key) == value, what="the replica to follow")


async def test_sentinels_that_are_away_are_passed_over(connect: Connect, group: Sentinels) -> None:
    alive = group.url.partition("://")[2]
    client = connect(f"redis+sentinel://127.0.0.1:1,nobody.invalid:2,{alive}")

    assert await client.call("PING") == "PONG"


async def test_service_that_nobody_knows_is_named(connect: Connect, group: Sentinels) -> None:
    url = group.url.replace(f"/{Sentinels.NAME}", "/other")

    with pytest.raises(StoreUnreachableError, match="knows no service 'other'") as away:
        await connect(url, connect_timeout_s=2).call("PING")
    assert not away.value.sent


async def test_sentinels_that_are_all_away_are_named(connect: Connect) -> None:
    url = f"redis+sentinel://:{SECRET}@127.0.0.1:1,127.0.0.1:2/main"

    with pytest.raises(StoreUnreachableError, match="no sentinel names a primary") as away:
        await connect(url, connect_timeout_s=2, sentinel_password=SECRET).call("PING")
    assert "127.0.0.1:2" in str(away.value)
    assert SECRET not in str(away.value)


async def test_sentinel_that_asks_for_a_password_gets_it(
    connect: Connect, group: Sentinels
) -> None:
    sentinel = group.sentinels[0]
    sentinel.command("ACL", "SETUSER", "jo", "on", f">{SECRET}", "+@all")
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}/{Sentinels.NAME}"

    client = connect(url, sentinel_username="jo", sentinel_password=SECRET)
    assert await client.call("PING") == "PONG"

    client = connect(url, sentinel_username="jo", sentinel_password="x", connect_timeout_s=2)
    with pytest.raises(BackendError, match="user 'jo' was not let in"):
        await client.call("PING")


async def test_sentinels_that_name_a_replica_are_not_believed(
    connect: Connect, group: Sentinels
) -> None:
    """As they do for a moment while a failover is under way."""
    stale = group.sentinels[0]
    replica = group.replica
    stale.command("SENTINEL", "MONITOR", "stale", "127.0.0.1", replica.port, 1)
    url = f"redis+sentinel://127.0.0.1:{stale.port}/stale"

    with pytest.raises(StoreUnreachableError, match=r"is no primary|no sentinel names") as away:
        await connect(url, connect_timeout_s=2).call("PING")

    assert not away.value.sent
    stale.command("SENTINEL", "REMOVE", "stale")
