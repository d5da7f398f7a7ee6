"""Pages deep in a long line: nothing walks there job by job, unless the line has moved far."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.redis_servers import RedisServer

from toril import App, Settings, State

MANY = 26_000
DEEP = 24_000
"""Where the page before has ended."""


@pytest.fixture
async def app(own_server: RedisServer) -> AsyncIterator[App]:
    async with App(own_server.url, settings=Settings(audit="off")) as app:
        yield app


async def deep(app: App, *, newest_first: bool) -> tuple[list[str], str]:
    """Fill a line; return its ids in the order in which it is read, and a cursor deep in it."""
    queue = app.queue("long")
    added = await queue.add_many([("send", {})] * MANY)
    ids = [job.id for job in added]
    after: str | None = None
    for _ in range(DEEP // 1000):
        page = await queue.jobs(State.WAIT, limit=1000, after=after, newest_first=newest_first)
        after = page.next
    assert after is not None
    return ids[::-1] if newest_first else ids, after


def walks(server: RedisServer) -> int:
    """Return how often the server has walked through a list, as it says."""
    told = str(server.command("INFO", "commandstats"))
    _, found, rest = told.partition("cmdstat_lpos:calls=")
    return int(rest.partition(",")[0]) if found else 0


@pytest.mark.parametrize(("taken", "is_walked"), [(0, False), (900, False), (15_000, False),
                                                  (21_000, True)])  # fmt: skip
async def test_page_goes_on_behind_the_last_job_however_many_were_taken(
    app: App, own_server: RedisServer, taken: int, is_walked: bool
) -> None:
    ids, after = await deep(app, newest_first=False)
    own_server.command("LTRIM", "bull:long:wait", "0", str(-taken - 1))
    before = walks(own_server)

    page = await app.queue("long").jobs(State.WAIT, limit=50, after=after)

    assert [job.id for job in page.jobs] == ids[DEEP : DEEP + 50]
    assert (walks(own_server) > before) == is_walked


@pytest.mark.parametrize("added", [0, 900, 15_000])
async def test_page_of_the_newest_goes_on_however_many_were_added(
    app: App, own_server: RedisServer, added: int
) -> None:
    ids, after = await deep(app, newest_first=True)
    if added:
        await app.queue("long").add_many([("send", {})] * added)
    before = walks(own_server)

    page = await app.queue("long").jobs(State.WAIT, limit=50, after=after, newest_first=True)

    assert [job.id for job in page.jobs] == ids[DEEP : DEEP + 50]
    assert walks(own_server) == before


async def test_last_job_that_is_gone_does_not_end_the_list(
    app: App, own_server: RedisServer
) -> None:
    ids, after = await deep(app, newest_first=False)
    own_server.command("LREM", "bull:long:wait", "1", ids[DEEP - 1])

    page = await app.queue("long").jobs(State.WAIT, limit=50, after=after)

    assert [job.id for job in page.jobs] == ids[DEEP : DEEP + 50]
