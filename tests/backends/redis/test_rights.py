"""Users with few rights: all works with those that the page lists, and much with less."""

from __future__ import annotations

import logging
import re
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.house.tree import PACKAGE, ROOT
from tests.support.redis_servers import SOFTWARE, Cluster, RedisServer
from tests.support.waiting import wait_until

from toril import App, Context, JobOptions, RateLimit, Retry, RetryPolicy, StoreDeniedError
from toril.backends.redis import rights
from toril.engine.contract.lifecycle import Finding

LUA = PACKAGE / "backends" / "redis" / "lua"
USER, PASSWORD = "jobs", "PASSWORD"


@pytest.fixture(scope="module", params=SOFTWARE)
def own(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A server with users of the test's own."""
    folder = tmp_path_factory.mktemp("rights")
    with RedisServer.start(folder, software=request.param) as server:
        yield server


def acl_line() -> list[str]:
    """Return the words of the line that the page gives to copy."""
    page = (ROOT / "docs" / "operate" / "redis.md").read_text("utf-8")
    block = re.search(r"```sh\n(redis-cli ACL SETUSER .*?)```", page, re.DOTALL)
    assert block is not None
    return shlex.split(block[1].replace("\\\n", " "))[1:]


def url_of(server: RedisServer) -> str:
    return server.url.replace("://", f"://{USER}:{PASSWORD}@")


def let_in(server: RedisServer, *more: str) -> None:
    """Make the user as the page says, and change it."""
    server.command(*acl_line())
    server.command("ACL", "SETUSER", USER, *more)


def test_the_line_of_the_page_is_what_the_code_says() -> None:
    *_, keys = (word for word in acl_line() if not word.startswith("+"))
    commands = [word for word in acl_line() if word.startswith("+")]
    listed = (*rights.NEEDED, *rights.OTHER_DATABASE, *rights.IN_A_CLUSTER, *rights.COMFORT)

    assert keys == "~bull:*"
    assert commands == sorted(rights.names(listed).split(" "))


def test_scripts_call_nothing_that_is_not_listed() -> None:
    code = "\n".join(path.read_text("utf-8") for path in LUA.rglob("*.lua"))
    called = set(re.findall(r"(?:redis\.p?call\(|try\(|redis\.call,)\s*'([A-Z]+)'", code))
    for either in re.findall(r"redis\.p?call\(\w+ and '([A-Z]+)' or '([A-Z]+)'", code):
        called.update(either)

    listed = {command.split(" ")[0] for command in (*rights.NEEDED, *rights.COMFORT)}
    assert called - listed == set()


class Everything:
    """An app that makes use of all that there is."""

    def __init__(self, url: str) -> None:
        self.app = App(url)

        @self.app.task(queue="work", retry=RetryPolicy(max_attempts=3, base_s=0.01))
        async def work(ctx: Context, number: int) -> int:
            if ctx.attempt == 1 and number == 1:
                raise Retry(after_s=0.01)
            ctx.log("a line")
            ctx.progress(50)
            return number

        self.work = work

    async def use(self, *, flows: bool = True) -> None:
        """Do all that a program and an operator do."""
        app, queue = self.app, self.app.queue("work")
        async with app.worker(concurrency=4, sweep=0.2):
            for number in range(3):
                job = await self.work.enqueue(number=number)
                assert await job.result(timeout_s=60) == number
            later = await self.work.with_options(delay=3600).enqueue(number=4)
            await later.promote()
            assert await later.result(timeout_s=60) == 4
            for priority in (1, 5):
                first = await self.work.with_options(priority=priority).enqueue(number=5)
                assert await first.result(timeout_s=60) == 5
            if flows:
                await self._use_flows()
        await queue.set_rate(RateLimit(limit=5))
        await queue.set_concurrency(5)
        await queue.set_events("all")
        await queue.pause()
        waiting = await queue.add("work", {"number": 6}, JobOptions(job_id="mine"))
        assert await queue.jobs("wait")
        await waiting.info()
        await waiting.logs()
        await waiting.cancel("enough")
        await queue.retry_all("failed")
        await queue.promote_all()
        await queue.hold(0.1)
        assert await queue.held_s() >= 0
        await queue.resume()
        await app.queues()
        await app.workers()
        await app.prometheus()
        await queue.drain(delayed=True)
        await queue.clean("completed")
        health = await app.check()
        await app.repair(health.repairs)
        await queue.pause()
        await queue.obliterate(force=True)

    async def _use_flows(self) -> None:
        app, node = self.app, self.work.node(number=7)
        flow = await app.flows.add(node.with_children([self.work.node(number=8), node]))
        assert await flow.result(timeout_s=60) == 7
        assert (await flow.progress()).completed == 3
        assert await app.flows.stuck() == []
        later = self.work.with_options(delay=3600).node(number=9)
        kept = await app.flows.add(node.with_children([later]))
        assert await app.backend().flows.outline(kept.queue, kept.id) == {"pending": 1}
        assert await kept.remove() == 2


@pytest.fixture
async def everything(own: RedisServer) -> AsyncIterator[Everything]:
    """The app, as the user."""
    own.command("FLUSHALL")
    let_in(own)
    own.command("ACL", "LOG", "RESET")
    made = Everything(url_of(own))
    yield made
    await made.app.close()


async def test_everything_works_with_the_rights_of_the_page(
    own: RedisServer, everything: Everything
) -> None:
    await everything.use()

    refused = [dict(zip(one[::2], one[1::2], strict=True)) for one in own.command("ACL", "LOG")]
    assert [one["object"] for one in refused] == []


async def test_everything_works_in_a_cluster_with_the_rights_of_the_page(tmp_path: Path) -> None:
    with Cluster.start(tmp_path / "all") as cluster:
        line = [word.replace("~bull", "~{bull}") for word in acl_line()]
        for node in cluster.servers:
            node.command(*line)
        url = cluster.url.replace("://", f"://{USER}:{PASSWORD}@")
        made = Everything(f"{url}?prefix={{bull}}")

        await made.use()

        await made.app.close()
        for node in cluster.servers:
            assert node.command("ACL", "LOG") == []


@pytest.mark.parametrize(
    "without",
    [
        ["-client|id"], ["-client|unblock"], ["-client|setname"], ["-client|list"], ["-info"],
        ["-role"], ["-scan"],
        [f"-{rights.name_of(command)}" for command in rights.COMFORT],
    ],
    ids=lambda without: "all" if len(without) > 1 else without[0],
)  # fmt: skip
async def test_all_goes_on_without_what_is_only_comfort(
    own: RedisServer,
    everything: Everything,
    without: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without CLIENT nothing started, and without CLIENT UNBLOCK there was an error a minute."""
    own.command("ACL", "SETUSER", USER, *without)
    caplog.set_level(logging.WARNING, "toril")

    await everything.use(flows=False)

    # But for the log of jobs, which says that one was tried again.
    said = [record for record in caplog.records if record.name != "toril.jobs"]
    assert [record.message for record in said] == []
    lacking = await finding(everything.app)
    assert lacking.grade == "warning"
    for word in without:
        assert f"+{word.removeprefix('-')}" in lacking.text


async def finding(app: App) -> Finding:
    return next(one for one in (await app.check()).findings if one.subject == "rights")


async def test_idle_worker_that_cannot_be_told_still_works_and_ends_soon(
    own: RedisServer, everything: Everything
) -> None:
    own.command("ACL", "SETUSER", USER, "-client|unblock")
    async with everything.app.worker(concurrency=1):
        await wait_until(lambda: " cmd=bzpopmin " in own.command("CLIENT", "LIST"))
        job = await everything.work.enqueue(number=3)
        assert await job.result(timeout_s=5) == 3
        await wait_until(lambda: " cmd=bzpopmin " in own.command("CLIENT", "LIST"))
        begin_s = time.monotonic()
    assert time.monotonic() - begin_s < 5


@pytest.mark.parametrize("right", ["time", "zadd", "hmget"])
async def test_right_that_is_needed_is_named(
    own: RedisServer, everything: Everything, right: str
) -> None:
    """A script's refusal does not say which of its commands it was."""
    own.command("ACL", "SETUSER", USER, f"-{right}")

    with pytest.raises(StoreDeniedError, match=rf"user 'jobs' lacks \+{right}\. Give it"):
        await everything.work.enqueue(number=1)

    lacking = await finding(everything.app)
    assert lacking.grade == "error"
    assert f"lacks +{right}: work fails" in lacking.text


async def test_doctor_says_that_nothing_is_missing(everything: Everything) -> None:
    assert await finding(everything.app) == Finding(
        "rights", "ok", "user 'jobs' may do all that is needed"
    )


@pytest.mark.parametrize("right", ["evalsha", "script|load", "smembers"])
async def test_doctor_names_what_even_the_question_needs(
    own: RedisServer, everything: Everything, right: str
) -> None:
    own.command("SCRIPT", "FLUSH")
    own.command("ACL", "SETUSER", USER, f"-{right}")

    lacking = await finding(everything.app)

    assert lacking.grade == "error"
    assert right in lacking.text


async def test_doctor_sees_a_user_of_other_keys(own: RedisServer, everything: Everything) -> None:
    own.command("ACL", "SETUSER", USER, "resetkeys", "~other:*")

    lacking = await finding(everything.app)

    assert lacking.grade == "error"
