"""Listing queues asks the register. The keys of the server are walked on request only."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from tests.cli.support import Terminal
from tests.support.contract import job
from tests.support.redis_servers import RedisServer

from toril import App, InvalidOptionError
from toril.backends import open_backend

MANY = 3_000
"""Keys of other programs: several steps of a walk."""


def calls(server: RedisServer) -> dict[str, int]:
    """Return how often each command was called."""
    found = re.findall(
        r"^cmdstat_(\S+?):calls=(\d+)", server.command("INFO", "commandstats"), re.MULTILINE
    )
    return {name: int(many) for name, many in found}


def by_node(server: RedisServer, *queues: str, prefix: str = "bull") -> None:
    """Make queues as Node's BullMQ leaves them."""
    for queue in queues:
        server.command("HSET", f"{prefix}:{queue}:meta", "opts.maxLenEvents", "10000")
        server.command("HSET", f"{prefix}:{queue}:1", "name", "n", "data", "{}", "opts", "{}",
                       "timestamp", "1")  # fmt: skip
        server.command("LPUSH", f"{prefix}:{queue}:wait", "1")


async def names(app: App, *, search: bool = False) -> list[str]:
    return [queue.name for queue in await app.queues(search=search)]


async def test_lists_and_metrics_walk_no_keys(server: RedisServer) -> None:
    """A scrape took 65 ms of the server at 90,000 keys, once more with each."""
    by_node(server, "node")
    async with App(server.url) as app:
        await app.queue("ours").add("send")
        await app.prometheus()  # the server gets the scripts
        before = calls(server)

        assert await names(app) == ["ours"]
        assert 'queue="ours"' in await app.prometheus()

        after = calls(server)
    made = {name: many - before.get(name, 0) for name, many in after.items()}
    assert made.get("scan", 0) == 0
    assert made.get("keys", 0) == 0
    # The queue twice, its history and the workers once.
    assert (made["smembers"], made["evalsha"]) == (2, 2 + 1 + 1)


async def test_calls_grow_with_queues_and_not_with_keys(server: RedisServer) -> None:
    async with App(server.url) as app:
        for number in range(120):
            await app.queue(f"queue-{number:03}").add("send")
        server.command("EVAL", f"for i = 1, {MANY} do redis.call('SET', 'other:' .. i, 1) end", 0)
        await app.queues()  # the server gets the script
        before = calls(server)

        assert len(await app.queues()) == 120

        after = calls(server)
    assert after["smembers"] - before["smembers"] == 1
    assert after["evalsha"] - before["evalsha"] == 120
    assert after.get("scan", 0) == before.get("scan", 0)


async def test_search_finds_the_queues_of_others_and_lists_them_from_then_on(
    server: RedisServer,
) -> None:
    server.command("EVAL", f"for i = 1, {MANY} do redis.call('SET', 'other:' .. i, 1) end", 0)
    server.command("SET", "bull:a:b:meta", "no queue")
    by_node(server, "node", "ours")
    by_node(server, "elsewhere", prefix="other")
    async with App(server.url) as app:
        await app.queue("ours").add("send")

        assert await names(app) == ["ours"]
        assert await names(app, search=True) == ["node", "ours"]
        assert await names(app) == ["node", "ours"]
        assert [queue.waiting for queue in await app.queues()] == [1, 2]


async def test_search_where_nothing_is_changes_nothing(server: RedisServer) -> None:
    async with App(server.url) as app:
        assert await names(app, search=True) == []
        assert server.command("EXISTS", "bull::toril:queues") == 0


@pytest.mark.parametrize("verb", ["pause", "limit", "hold", "events"])
async def test_queue_of_others_that_is_operated_here_is_listed(
    server: RedisServer, verb: str
) -> None:
    by_node(server, "node")
    async with App(server.url) as app:
        queue = app.queue("node")
        match verb:
            case "pause":
                await queue.pause()
            case "limit":
                await queue.set_concurrency(3)
            case "hold":
                await queue.hold(1)
            case "events":
                await queue.set_events("outcomes")

        assert await names(app) == ["node"]


async def test_queue_of_others_that_is_worked_here_is_listed(server: RedisServer) -> None:
    by_node(server, "node")
    async with App(server.url) as app:

        @app.task(queue="node", name="n")
        async def work() -> None: ...

        async with app.worker():
            assert await names(app) == ["node"]


async def test_only_looking_at_a_queue_does_not_list_it(server: RedisServer) -> None:
    by_node(server, "node")
    async with App(server.url) as app:
        queue = app.queue("node")
        info = await queue.info()
        await queue.jobs("wait")
        await queue.job("1").info()

        assert info is not None
        assert info.waiting == 1
        assert await names(app) == []


async def test_obliterated_queue_is_not_listed(server: RedisServer) -> None:
    async with App(server.url) as app:
        queue = app.queue("ours")
        await queue.add("send")
        await queue.pause()

        await queue.obliterate()

        assert await names(app) == []
        assert server.command("SMEMBERS", "bull::toril:queues") == []


async def test_doctor_names_the_queues_that_are_not_listed_and_changes_nothing(
    server: RedisServer,
) -> None:
    by_node(server, *(f"node-{number:02}" for number in range(12)))
    async with App(server.url) as app:
        await app.queue("ours").add("send")

        (finding,) = [one for one in (await app.check()).findings if "register" in one.subject]

        assert finding.grade == "warning"
        assert "node-00, node-01" in finding.text
        assert "node-09, …" in finding.text
        assert "node-10" not in finding.text
        assert "toril queues --search" in finding.text
        assert await names(app) == ["ours"]
        await app.queues(search=True)
        assert not [one for one in (await app.check()).findings if "register" in one.subject]


async def test_move_of_all_queues_leaves_none_of_others_behind(server: RedisServer) -> None:
    by_node(server, "node")
    async with App(server.url) as here, App("sqlite://:memory:") as there:
        moved = await here.migrate_to(there)

        assert [(each.queue, sum(each.moved.values())) for each in moved] == [("node", 1)]


def test_command_line_says_how_queues_of_others_are_found(
    server: RedisServer, tmp_path: Path
) -> None:
    by_node(server, "node")
    terminal = Terminal(tmp_path)

    empty = terminal.here("queues", "--url", server.url).out
    named = terminal.here("metrics", "node", "--url", server.url).out
    still = terminal.here("queues", "--url", server.url).out
    found = terminal.here("queues", "--search", "--url", server.url).out
    then = terminal.here("queues", "--url", server.url).out

    assert empty.startswith("There are no queues yet")
    assert "only BullMQ has used: toril queues --search" in empty
    assert still == empty
    assert 'bullmq_job_count{queue="node"' in named
    assert "node" in found
    assert found == then


def test_command_line_says_nothing_of_it_on_a_file(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.here("jobs", "add", "mail", "send")
    terminal.here("pause", "mail")
    terminal.here("obliterate", "mail", "--yes")

    assert "BullMQ" not in terminal.here("queues").out


async def test_search_on_a_server_that_forbids_it_lists_the_register(server: RedisServer) -> None:
    by_node(server, "node")
    server.command("ACL", "SETUSER", "looker", "reset", "on", ">pw", "~*", "+@all", "-scan")
    backend = open_backend(server.url.replace("redis://", "redis://looker:pw@"))
    try:
        await backend.jobs.add([job(queue="ours")])

        assert [queue.name for queue in await backend.counts.queues(search=True)] == ["ours"]
    finally:
        await backend.lifecycle.close()
        server.command("ACL", "DELUSER", "looker")


ODD = "tab\there \x1b[31mé'"
"""A name that BullMQ takes, and our tasks may not have."""


async def test_queue_of_others_with_control_characters_can_be_opened(server: RedisServer) -> None:
    by_node(server, ODD)
    async with App(server.url) as app:
        queue = app.queue(ODD, existing=True)
        info = await queue.info()
        await queue.pause()

        assert info is not None
        assert info.waiting == 1
        assert await names(app) == [ODD]
        with pytest.raises(InvalidOptionError, match="printable characters"):
            await queue.add("send")
        with pytest.raises(InvalidOptionError, match="printable characters"):
            app.queue(ODD)


@pytest.mark.parametrize("name", ["", "a:b", "\ud800"])
async def test_name_that_no_queue_has_is_refused(server: RedisServer, name: str) -> None:
    async with App(server.url) as app:
        with pytest.raises(InvalidOptionError, match="queue="):
            app.queue(name, existing=True)


def test_listing_says_how_such_a_queue_is_opened(server: RedisServer, tmp_path: Path) -> None:
    """It was listed, and every command that was given its name refused it."""
    by_node(server, ODD)
    terminal = Terminal(tmp_path)

    listed = terminal.here("queues", "--search", "--url", server.url).out
    (word,) = re.findall(r"To open .*: toril queue (.*)", listed)
    name = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True
    ).stdout

    assert "\x1b" not in listed
    assert name == ODD
    for command in (["queue"], ["jobs", "list"], ["pause"], ["resume"], ["metrics"], ["events"]):
        done = terminal.here(*command, name, "--url", server.url)
        assert done.code == 0, (command, done.err)
    for command in (["show"], ["logs"], ["remove"]):
        done = terminal.here("jobs", *command, name, "1", "--url", server.url)
        assert done.code == 0, (command, done.err)
    assert terminal.here("drain", name, "--yes", "--url", server.url).code == 0
