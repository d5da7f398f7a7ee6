"""A Cluster: each key at its node, also while slots move and nodes come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends.redis.conftest import Connect
from tests.backends.redis.scripting import INCREMENT, lua
from tests.support.contract import HandWorker, outcome
from tests.support.redis_servers import SOFTWARE, Cluster, RedisServer
from tests.support.waiting import wait_until

from toril import App, Context, Node, RetryPolicy, Settings, State
from toril.backends import open_backend
from toril.backends.redis.client.cluster import (
    first_key,
    hash_tag,
    parse_redirection,
    parse_slots,
    slot_of,
)
from toril.backends.redis.client.multiplexed import MultiplexedClient
from toril.backends.redis.client.server_info import ServerInfo
from toril.backends.redis.client.urls import parse
from toril.core.errors import (
    BackendError,
    InvalidOptionError,
    StoreReadOnlyError,
    StoreUnreachableError,
)
from toril.engine.job import NewJob

BOTH = lua("return redis.call('MGET', KEYS[1], KEYS[2])", keys=("a", "b"))


@pytest.fixture(scope="module", params=SOFTWARE)
def shared_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Three nodes. Tests may move slots, and leave all nodes running."""
    folder = tmp_path_factory.mktemp("cluster") / "all"
    with Cluster.start(folder, software=request.param) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """The same, empty."""
    for node in shared_cluster.servers:
        node.command("FLUSHALL")
        node.command("SCRIPT", "FLUSH")
    return shared_cluster


def keys_of_all_nodes(cluster: Cluster) -> dict[int, str]:
    """Return one key for each node, by its port."""
    found: dict[int, str] = {}
    for number in range(1000):
        key = f"key-{number}"
        found.setdefault(cluster.node_for(key).port, key)
        if len(found) == len(cluster.servers):
            break
    return found


def another(cluster: Cluster, node: RedisServer) -> RedisServer:
    return next(other for other in cluster.servers if other is not node)


class TestSlots:
    @pytest.mark.parametrize(
        ("key", "slot"),
        # From the specification, and from what a server says.
        [("123456789", 12739), ("foo", 12182), ("{user1000}.following", 3443), ("", 0)],
    )
    def test_slot_of_a_key(self, key: str, slot: int) -> None:
        assert slot_of(key) == slot

    @pytest.mark.parametrize(
        ("key", "tag"),
        [
            ("{user1000}.following", "user1000"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
            ("foo{bar", "foo{bar"),
            ("foo}bar", "foo}bar"),
        ],
    )
    def test_hash_tag_is_what_stands_in_the_first_braces(self, key: str, tag: str) -> None:
        assert hash_tag(key) == tag

    @given(key=st.text(alphabet="ab{}é:", max_size=12))
    def test_server_agrees_about_the_slot(self, shared_cluster: Cluster, key: str) -> None:
        assert slot_of(key) == shared_cluster.slot_of(key)

    @pytest.mark.parametrize(
        ("command", "key"),
        [
            (("GET", "a"), "a"),
            (("get", b"a"), "a"),
            (("EVALSHA", "sha", 2, "a", "b"), "a"),
            (("XREAD", "COUNT", 1, "STREAMS", "a", "0"), "a"),
            (("XREAD", "COUNT", 1), None),
            (("XINFO", "STREAM", "a"), "a"),
            (("PING",), None),
            (("SCRIPT", "LOAD", "return 1"), None),
            (("INFO", "memory"), None),
        ],
    )
    def test_first_key_says_where_a_command_goes(
        self, command: tuple[str, ...], key: str | None
    ) -> None:
        assert first_key(command) == key

    def test_node_that_does_not_know_its_name_is_where_it_was_asked(self) -> None:
        slots = parse_slots([[0, 99, ["", 7000, "id"]], [100, 16383, [None, 7001, "id"]]], "host")

        assert slots.owner(0) == ("host", 7000)
        assert slots.endpoints == (("host", 7000), ("host", 7001))
        assert parse_redirection("MOVED 3999 :6381", "host") == (3999, ("host", 6381))
        assert parse_redirection("ASK 1 ::1:6381", "host") == (1, ("::1", 6381))


async def test_each_key_is_kept_by_its_node(connect: Connect, cluster: Cluster) -> None:
    client = connect(cluster.url)

    await asyncio.gather(*(client.call("SET", f"key-{n}", n) for n in range(100)))

    assert client.clustered is True
    assert client.slot("key-1") == cluster.slot_of("key-1")
    sizes = [node.command("DBSIZE") for node in cluster.servers]
    assert sum(sizes) == 100
    assert min(sizes) > 10
    assert await client.call("GET", "key-7") == "7"


async def test_plain_url_of_a_node_is_enough(connect: Connect, cluster: Cluster) -> None:
    client = connect(cluster.servers[1].url)

    for key in keys_of_all_nodes(cluster).values():
        assert await client.run(INCREMENT, [key]) == 1
    assert client.clustered is True
    assert client.sync(lambda: client.call("PING")) == "PONG"


async def test_one_node_of_the_url_has_to_answer(connect: Connect, cluster: Cluster) -> None:
    client = connect(f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.servers[2].port}")

    for key in keys_of_all_nodes(cluster).values():
        assert await client.call("SET", key, 1) == "OK"


async def test_node_that_may_not_be_asked_tells_by_its_redirections(
    connect: Connect, cluster: Cluster
) -> None:
    for node in cluster.servers:
        rights = ("~*", "+@all", "-info", "-cluster")
        node.command("ACL", "SETUSER", "jo", "on", ">pw", *rights)
    client = connect(f"redis://jo:pw@127.0.0.1:{cluster.servers[0].port}")

    for key in keys_of_all_nodes(cluster).values():
        assert await client.run(INCREMENT, [key]) == 1
    assert client.clustered is True


async def test_server_that_is_no_node_is_refused_as_a_cluster(
    connect: Connect, server: RedisServer
) -> None:
    with pytest.raises(BackendError, match="no node of a Cluster"):
        await connect(f"redis+cluster://127.0.0.1:{server.port}").call("PING")


async def test_database_of_a_cluster_is_0(connect: Connect, cluster: Cluster) -> None:
    refusals = {
        "redis": "SELECT is not allowed in cluster mode",
        "valkey": "DB index is out of range",  # it can be told to have others
    }
    with pytest.raises(BackendError, match=refusals[cluster.software]):
        await connect(f"{cluster.servers[0].url}/1").call("PING")


async def test_many_commands_go_to_many_nodes_and_come_back_in_order(
    connect: Connect, cluster: Cluster
) -> None:
    client = connect(cluster.url)

    sets = await client.many([("SET", f"key-{n}", n) for n in range(60)])
    gets = await client.many([("GET", f"key-{n}") for n in range(60)])

    assert sets == ["OK"] * 60
    assert gets == [str(n) for n in range(60)]
    with pytest.raises(BackendError, match="unknown command 'FIRST'"):
        await client.many([("SET", "key-1", "a"), ("FIRST",), ("SET", "key-2", "b")])
    assert await client.many([("GET", "key-1"), ("GET", "key-2")]) == ["a", "b"]


async def test_keys_of_a_script_need_one_slot(connect: Connect, cluster: Cluster) -> None:
    client = connect(cluster.url)
    keys = list(keys_of_all_nodes(cluster).values())[:2]

    assert await client.run(BOTH, ["{tag}:a", "{tag}:b"]) == [None, None]
    with pytest.raises(InvalidOptionError, match="hash tag"):
        await client.run(BOTH, keys)
    with pytest.raises(InvalidOptionError, match="hash tag"):
        await client.call("MGET", *keys)


async def test_scripts_are_loaded_at_each_node(connect: Connect, cluster: Cluster) -> None:
    client = connect(cluster.url)
    keys = keys_of_all_nodes(cluster).values()

    for expected in (1, 2):
        assert [await client.run(INCREMENT, [key]) for key in keys] == [expected] * 3
        for node in cluster.servers:
            node.command("SCRIPT", "FLUSH")


async def test_nodes_are_the_primaries(connect: Connect, cluster: Cluster) -> None:
    client = connect(cluster.url)
    met: list[ServerInfo] = []
    client.shared.on_first_connect = met.append
    await client.many([("SET", f"key-{n}", n) for n in range(30)])

    nodes = await client.nodes()

    assert {node.name for node in nodes} == {
        f"127.0.0.1:{server.port}" for server in cluster.servers
    }
    assert sum([await node.call("DBSIZE") for node in nodes]) == 30
    assert all(info.cluster_enabled for info in met)


async def test_slot_that_moved_is_found_at_its_new_node(connect: Connect, cluster: Cluster) -> None:
    client = connect(cluster.url)
    key = "moving"
    assert await client.run(INCREMENT, [key]) == 1
    target = another(cluster, cluster.node_for(key))

    cluster.move_slot(cluster.slot_of(key), target)

    assert await client.run(INCREMENT, [key]) == 2
    assert await client.many([("GET", key), ("INCR", key)]) == ["2", 3]
    assert target.command("GET", key) == "3"


async def test_slot_that_is_being_moved_is_asked_for_at_both_nodes(
    connect: Connect, cluster: Cluster
) -> None:
    client = connect(cluster.url)
    here, gone = "{asked}:here", "{asked}:gone"
    await client.many([("SET", here, 1), ("SET", gone, 10)])
    slot = cluster.slot_of(here)
    source = cluster.owner(slot)
    target = another(cluster, source)

    cluster.begin_move(slot, target)
    source.command("MIGRATE", "127.0.0.1", target.port, gone, 0, 5000)

    assert await client.call("GET", here) == "1"
    assert await client.call("GET", gone) == "10"
    assert await client.run(INCREMENT, [gone]) == 11  # the target has to be given the script too
    assert await client.many([("INCR", here), ("INCR", gone)]) == [2, 12]
    assert cluster.owner(slot) is source
    both = asyncio.create_task(client.run(BOTH, [here, gone]))  # TRYAGAIN until both are there
    await wait_until(lambda: "TRYAGAIN" in source.command("INFO", "errorstats"))
    cluster.move_keys(slot, target)
    cluster.end_move(slot, target)
    assert await both == ["2", "12"]
    assert await client.run(BOTH, [here, gone]) == ["2", "12"]


async def test_line_to_a_slot_that_moves_is_closed(connect: Connect, cluster: Cluster) -> None:
    client = connect(cluster.url)
    key = "blocking"
    line = await client.open_blocking(key)
    source = cluster.node_for(key)
    assert f"id={line.id} " in source.command("CLIENT", "LIST")
    blocked = asyncio.create_task(line.call("BLPOP", key, 30, timeout_s=30))
    await wait_until(lambda: "cmd=blpop" in source.command("CLIENT", "LIST"))
    target = another(cluster, source)

    cluster.move_slot(cluster.slot_of(key), target)

    with pytest.raises(StoreUnreachableError) as away:
        await blocked
    assert not away.value.sent
    assert line.closed

    async def is_at_the_target() -> bool:
        line = await client.open_blocking(key)
        try:
            await line.call("BLPOP", key, 0.01, timeout_s=0.01)
        except StoreUnreachableError:
            return False
        else:
            return f"id={line.id} " in target.command("CLIENT", "LIST")
        finally:
            await line.close()

    await wait_until(is_at_the_target)


async def test_line_is_unblocked_at_its_own_node(connect: Connect, cluster: Cluster) -> None:
    client = connect(cluster.url)
    for port, key in keys_of_all_nodes(cluster).items():
        node = next(server for server in cluster.servers if server.port == port)
        line = await client.open_blocking(key)
        blocked = asyncio.create_task(line.call("BLPOP", key, 30, timeout_s=30))
        await wait_until(lambda: "cmd=blpop" in node.command("CLIENT", "LIST"))  # noqa: B023

        await line.unblock()

        assert await blocked is None
        await line.close()


async def test_node_that_is_away_costs_only_its_own_keys(
    connect: Connect, cluster: Cluster
) -> None:
    client = connect(cluster.url, connect_timeout_s=0.5)
    keys = keys_of_all_nodes(cluster)
    for key in keys.values():
        await client.call("SET", key, 1)
    dead = cluster.servers[1]

    dead.kill()
    outcomes = await asyncio.gather(
        *(client.call("GET", key) for key in keys.values()), return_exceptions=True
    )

    for port, ended in zip(keys, outcomes, strict=True):
        if port == dead.port:
            assert isinstance(ended, StoreUnreachableError)
        else:
            assert ended == "1"
    dead.restart()

    async def is_well() -> bool:
        try:
            return bool(await client.call("GET", keys[dead.port]) is None)
        except StoreUnreachableError:
            return False

    await wait_until(is_well)


async def test_replica_that_takes_over_is_found(connect: Connect, tmp_path: Path) -> None:
    options = ("--cluster-enabled", "yes", "--repl-diskless-sync-delay", "0")
    (tmp_path / "replica").mkdir()
    with (
        Cluster.start(tmp_path / "all", options=options[2:]) as cluster,
        RedisServer.start(tmp_path / "replica", options=options) as replica,
    ):
        primary = cluster.servers[0]
        replica.command("CLUSTER", "MEET", "127.0.0.1", primary.port)
        name = primary.command("CLUSTER", "MYID")
        await wait_until(lambda: name in replica.command("CLUSTER", "NODES"))
        replica.command("CLUSTER", "REPLICATE", name)
        await wait_until(lambda: "master_link_status:up" in replica.command("INFO", "replication"))
        await wait_until(lambda: knows_replica(cluster, replica))
        client = connect(cluster.url)
        key = keys_of_all_nodes(cluster)[primary.port]
        assert await client.run(INCREMENT, [key]) == 1
        await wait_until(lambda: replica.command("DBSIZE") == 1)

        primary.kill()
        replica.command("CLUSTER", "FAILOVER", "TAKEOVER")

        assert await eventually(client, key) == 2
        assert f"127.0.0.1:{replica.port}" in {node.name for node in await client.nodes()}


def knows_replica(cluster: Cluster, replica: RedisServer) -> bool:
    lines = "\n".join(node.command("CLUSTER", "NODES") for node in cluster.servers).splitlines()
    return sum(f":{replica.port}@" in line and " slave " in line for line in lines) == 3


async def eventually(client: MultiplexedClient, key: str) -> object:
    """Increment a key as soon as somebody takes it; what was refused or not sent is tried again."""
    answer: list[object] = []

    async def was_taken() -> bool:
        try:
            answer.append(await client.run(INCREMENT, [key]))
        except (StoreUnreachableError, StoreReadOnlyError):
            return False
        return True

    await wait_until(was_taken, deadline_s=120, what="a primary")
    return answer[0]


def test_loops_and_threads_share_what_is_known(cluster: Cluster) -> None:
    client = MultiplexedClient(parse(cluster.url))
    keys = list(keys_of_all_nodes(cluster).values())

    async def work() -> None:
        await asyncio.gather(*(client.run(INCREMENT, [key]) for key in keys * 20))

    asyncio.run(work())
    asyncio.run(work())
    for key in keys:
        assert client.sync(partial(client.run, INCREMENT, [key])) == 41
    asyncio.run(client.close())


async def test_script_does_not_run_half_while_its_slot_moves(tmp_path: Path) -> None:
    """A job was taken off the line before the key of its hash was found to have moved."""
    with Cluster.start(tmp_path) as cluster:
        backend = open_backend(f"{cluster.url}?prefix={{jobs}}")
        try:
            await backend.jobs.add([NewJob(queue="paint", name="cars", data="{}")])
            slot = cluster.slot_of("{jobs}:paint:meta")
            target = next(node for node in cluster.servers if node is not cluster.owner(slot))
            cluster.begin_move(slot, target)
            cluster.move_keys(slot, target, at_most=2)
            claiming = asyncio.create_task(HandWorker(backend).claim("paint"))
            nodes = cluster.servers
            await wait_until(
                lambda: any("TRYAGAIN" in node.command("INFO", "errorstats") for node in nodes),
                what="a script that finds half of its keys",
            )
            assert not claiming.done()
            cluster.move_keys(slot, target)
            cluster.end_move(slot, target)

            assert [one.id for one in await asyncio.wait_for(claiming, 60)] == ["1"]
            assert target.command("LRANGE", "{jobs}:paint:active", 0, -1) == ["1"]
        finally:
            await backend.lifecycle.close()


async def test_parent_on_another_node_fails_its_child_only(cluster: Cluster) -> None:
    """The script ended at the first key of another slot, with the neighbours' locks gone."""
    backend = open_backend(f"{cluster.url}?prefix={{jobs}}")
    worker = HandWorker(backend)
    await backend.jobs.add([NewJob(queue="q", name="n", data="{}") for _ in range(3)])
    claimed = await worker.claim("q", limit=3)
    node = cluster.node_for("{jobs}:q:meta")
    other = next(key for port, key in keys_of_all_nodes(cluster).items() if port != node.port)
    node.command("HSET", "{jobs}:q:2", "parent", f'{{"id":"P","queueKey":"{{{other}}}"}}')

    reply = await worker.ask(
        outcomes=[outcome(one, "completed", value="1", keep_count=9) for one in claimed]
    )

    assert reply.words == ["ok"] * 3
    failed = await backend.jobs.get("q", "2")
    assert failed is not None
    assert (failed.failed_reason or "").endswith("' cannot be reached")
    for job_id in ("1", "3"):
        record = await backend.jobs.get("q", job_id)
        assert record is not None
        assert record.result == "1"
    await backend.lifecycle.close()


async def test_follow_ups_stay_in_the_slot_of_their_own_job(cluster: Cluster) -> None:
    """A follow-up to a queue of another slot once ended the worker, its job finished but active."""
    async with App(f"{cluster.url}?prefix=f", settings=Settings()) as app:
        seen: list[str] = []

        @app.task(queue="{mail}")
        async def thank() -> None: ...

        @app.task(queue="{shop}mail")
        async def remember() -> None: ...

        @app.task(queue="{shop}orders", retry=RetryPolicy(max_attempts=1))
        def order(ctx: Context, where: str) -> None:
            if where == "near":
                ctx.enqueue(remember)
                ctx.enqueue("any", queue="{shop}else")
                return
            try:
                ctx.enqueue("any", queue="{else}") if where == "by name" else ctx.enqueue(thank)
            except InvalidOptionError as error:
                seen.append(str(error))
                raise

        jobs = [await order.enqueue(where=where) for where in ("far", "near", "by name")]
        await app.worker(queues=["{shop}orders"], concurrency=1).run(until_idle=True)

        assert [await job.state() for job in jobs] == [
            State.FAILED, State.COMPLETED, State.FAILED,
        ]  # fmt: skip
        assert "queue='{mail}'" in seen[0]
        assert "such as 'thank-of-1'" in seen[0]
        assert "queue='{else}'" in seen[1]
        assert not app.backend().dispatch.together(["{shop}orders", "{mail}"])
        assert app.backend().dispatch.together(["{shop}orders", "{shop}mail"])
        for queue, waiting in (("{mail}", None), ("{shop}mail", 1), ("{shop}else", 1)):
            info = await app.queue(queue).info()
            assert (None if info is None else info.waiting) == waiting


async def test_flow_stays_within_one_slot(cluster: Cluster) -> None:
    async with App(cluster.url, settings=Settings()) as app:

        @app.task(queue="{shop}kids")
        async def child(n: int) -> int:
            return n

        @app.task(queue="{shop}parents")
        async def parent(context: Context) -> int:
            return sum((await context.children_results(child)).values())

        apart = Node("{mail}parents", "other", children=[child.node(1)])
        with pytest.raises(InvalidOptionError, match="a flow cannot span them") as refused:
            await app.flows.add(apart)
        assert "'{mail}parents', '{shop}kids'" in str(refused.value)
        assert await app.queues() == []
        flow = await app.flows.add(parent.node(children=[child.node(1), child.node(2)]))
        async with app.worker():
            assert await flow.result(timeout_s=60) == 3
