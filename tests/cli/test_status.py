"""`toril status`: which store is live, and what waits in the spool."""

from __future__ import annotations

import asyncio
import json

from tests.cli.support import Terminal
from tests.support.redis_servers import RedisServer

from toril import App
from toril.cli.codes import DONE, STORE
from toril.engine.job import NewJob
from toril.engine.repeats import CallId
from toril.fallback.spool import Spool


async def fill(spool: str) -> None:
    async with App(spool) as app:
        jobs = [NewJob(queue="mail", name="x", data="{}") for _ in range(3)]
        await Spool(app.backend()).keep(CallId("book", 1), jobs, unsure=False)
        await Spool(app.backend()).keep(CallId("book", 2), jobs[:1], unsure=True)


def test_file(terminal: Terminal) -> None:
    asyncio.run(fill(terminal.url))

    result = terminal.run("status")

    assert result.code == DONE
    assert result.out.endswith(": jobs go to the file\n")


def test_redis_and_its_spool(terminal: Terminal, redis_server: RedisServer) -> None:
    file = terminal.folder / "spool.db"
    spool = f"sqlite:///{file}"

    result = terminal.run("status", "--url", redis_server.url, TORIL_FALLBACK_URL=spool)

    assert result.code == DONE
    assert "jobs go to Redis" in result.out
    assert f"{spool}: 0 jobs to move" in result.out
    assert not file.exists(), "it is only looked at"
    asyncio.run(fill(spool))
    result = terminal.run("status", "--url", redis_server.url, "--spool", spool, "--json")
    facts = json.loads(result.out)
    assert (facts["live"], facts["toMove"], facts["reason"]) == ("redis", 4, None)


def test_redis_is_away(terminal: Terminal) -> None:
    url = "redis://127.0.0.1:1?connect_timeout_s=0.2"

    result = terminal.run("status", "--url", url)
    assert result.code == STORE
    assert "the store does not answer, and there is no fallback store" in result.out

    result = terminal.run("status", "--url", url, "--spool", "sqlite:///spool.db")
    assert result.code == DONE
    assert "Redis is away: jobs go to the spool" in result.out
    assert "127.0.0.1:1" in result.out


def test_what_is_no_spool_is_refused_with_a_sentence(terminal: Terminal) -> None:
    url = "redis://127.0.0.1:1?connect_timeout_s=0.2"

    result = terminal.run("status", "--url", url, "--spool", "redis://elsewhere")

    assert "fallback: expected a file" in result.err
    assert "Traceback" not in result.err
