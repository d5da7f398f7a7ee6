"""What waits for Redis while it is away: refused at once, with a sentence, and nothing is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.fallback.support import away, back
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until
from tests.web.access.calling import control
from tests.web.dashboard.support import Reader, site
from tests.web.support import serve

from toril import App, Node, RateLimit, StoreUnreachableError
from toril.client import ApiError, AsyncClient

Call = Callable[[App], Coroutine[Any, Any, object]]

AT_ONCE_S = 5.0
"""A busy machine may add to nothing at all, but not Redis' time-out of 15 s."""

REFUSED: dict[str, tuple[str, list[Call]]] = {
    "flows": (
        "a flow's jobs have to be in one store",
        [
            lambda app: app.flows.add(Node("mail", "x", {}, children=[Node("mail", "x", {})])),
            lambda app: app.flows.add_many([Node("mail", "x", {})]),
        ],
    ),
    "pauses and limits": (
        "pauses and limits hold for all workers",
        [
            lambda app: app.queue("mail").pause(),
            lambda app: app.queue("mail").resume(),
            lambda app: app.queue("mail").set_concurrency(3),
            lambda app: app.queue("mail").set_rate(RateLimit(limit=5)),
            lambda app: app.queue("mail").hold(60.0),
        ],
    ),
    "operations": (
        # A search names its queue first.
        "operations on many jobs change jobs in Redis|queue 'mail' is not in the spool",
        [
            lambda app: app.queue("mail").drain(),
            lambda app: app.queue("mail").clean("completed"),
            lambda app: app.queue("mail").retry_all(),
            lambda app: app.queue("mail").promote_all(),
            lambda app: app.queue("mail").obliterate(),
            lambda app: app.bulk.remove("queue:mail"),
            lambda app: app.bulk.list(),
        ],
    ),
    "schedules": (
        "schedules are kept in Redis",
        [
            lambda app: app.schedules.get("nightly", queue="mail"),
            lambda app: app.schedules.list(),
            lambda app: app.schedules.remove("nightly", queue="mail"),
        ],
    ),
    "dead-letter rules": (
        "rules of dead letters are kept in Redis",
        [
            lambda app: app.queue("mail").set_dead_letter("dead"),
            lambda app: app.queue("mail").dead_letter(),
        ],
    ),
    "de-duplication ids": (
        "de-duplication ids are settled in Redis",
        [
            lambda app: app.queue("mail").release_deduplication("x"),
            lambda app: app.queue("mail").deduplicating_job("x"),
        ],
    ),
    "keys and users": (
        "keys and users are kept in Redis",
        [
            lambda app: app.backend().access.keys(),
            lambda app: app.backend().access.find_key("digest"),
            lambda app: app.backend().access.users(),
            lambda app: app.backend().access.remove_session("digest"),
        ],
    ),
    "audit": (
        "the audit log is kept in Redis",
        [
            lambda app: app.audit.page(),
            lambda app: app.backend().audit.append("{}", keep=10),
        ],
    ),
    "alerts": (
        "alerts are kept in Redis",
        [
            lambda app: app.alerts.list(),
            lambda app: app.alerts.mutes(),
            lambda app: app.alerts.mute("queue_growth", duration=60.0),
            lambda app: app.alerts.unmute(),
        ],
    ),
    "which events a queue tells": (
        "which events a queue tells is set in Redis",
        [lambda app: app.queue("mail").set_events("none")],
    ),
    "history of a queue": (
        "whether a queue keeps its history is set in Redis",
        [lambda app: app.queue("mail").set_history(False)],
    ),
    "dead workers": (
        "jobs of a worker that has died are in Redis",
        [lambda app: app.declare_dead("worker")],
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_is_refused_at_once_with_a_sentence(app: App, server: RedisServer, what: str) -> None:
    why, calls = REFUSED[what]
    await app.queue("mail").add("send", {})
    server.kill()
    await away(app)

    for call in calls:
        begun_s = time.monotonic()
        with pytest.raises(StoreUnreachableError, match=why) as caught:
            await call(app)
        assert time.monotonic() - begun_s < AT_ONCE_S
        assert "Nothing was done; try again once it is back." in str(caught.value)
        assert not caught.value.sent
    state = await app.store_state()
    assert state.to_move == 0, "a refused call leaves nothing behind in the spool"


async def test_settings_that_were_refused_work_after_the_return(
    app: App, server: RedisServer
) -> None:
    queue = app.queue("mail")
    await queue.add("send", {})
    server.kill()
    await away(app)
    with pytest.raises(StoreUnreachableError):
        await queue.set_events("none")
    server.restart()
    await back(app)

    await queue.set_events("none")
    info = await queue.info()
    assert info is not None
    assert info.events == "none"
    await queue.pause()
    await queue.set_dead_letter("dead")
    assert await queue.dead_letter() == "dead"


async def test_server_answers_503_with_the_sentence(app: App, server: RedisServer) -> None:
    await app.queue("mail").add("send", {})
    async with serve(app) as served, AsyncClient(served.url) as client:
        server.kill()
        await away(app)
        with pytest.raises(ApiError, match="queue 'mail' is not in the spool") as caught:
            await client.get_queue("mail")
        assert caught.value.status == 503
        job = await client.add_job("mail", name="send")
        with pytest.raises(ApiError, match="pauses and limits hold for all workers") as caught:
            await client.pause_queue("mail")
        assert caught.value.status == 503
        assert "since" in str(caught.value)
        with pytest.raises(ApiError, match="the audit log is kept in Redis"):
            await client.list_audit()
        assert [one.name for one in (await client.list_queues()).items] == ["mail"]
        assert (await client.get_health()).to_move == 1
        assert (await client.get_job("mail", job.id)).state == "wait"


async def test_what_needs_a_person_says_that_redis_is_away(app: App, server: RedisServer) -> None:
    """Pages that a person opens meanwhile answer, from the spool."""
    await app.queue("mail").add("send", {})
    async with serve(app) as served, AsyncClient(served.url) as client:

        async def nothing() -> bool:  # a busy machine may have taken Redis for away at first
            return (await client.get_attention()).items == []

        await wait_until(nothing, what="nothing to need a person")
        server.kill()
        await away(app)
        await app.queue("mail").add("send", {})
        [concern] = (await client.get_attention()).items
        assert (concern.grade, concern.kind, concern.subject) == ("error", "store-away", "Redis")
        assert concern.text.startswith("away since ")
        assert concern.text.endswith(
            "new jobs go to the fallback store, and 1 job is still to move"
        )
        for path in ("/overview", "/workers", "/queues", "/queues/mail", "/jobs", "/metrics"):
            answer = await served.ask("GET", path)
            assert answer.status_code == 200, (path, answer.text)
        server.restart()
        await back(app)
        await wait_until(nothing, what="nothing to need a person any more")


async def test_dashboard_shows_the_spool_meanwhile(app: App, server: RedisServer) -> None:
    await app.queue("mail").add("send", {})
    async with site(app) as pages:
        server.kill()
        await away(app)
        job = await app.queue("mail").add("send", {})
        shown = await pages.get("/")
        assert shown.status_code == 200
        assert "new jobs go to the fallback store" in Reader(shown.text).text
        for path in ("/queues", "/queues/mail", "/queues/mail/metrics", "/jobs",
                     f"/queues/mail/jobs/{job.id}"):  # fmt: skip
            answer = await pages.get(path)
            assert answer.status_code == 200, path
        for path in ("/queues/mail/schedules", "/queues/mail/jobs/1"):
            answer = await pages.get(path)
            assert answer.status_code == 503, path
            assert "Nothing was done; try again once it is back." in Reader(answer.text).text


async def test_keys_cannot_be_looked_up_meanwhile(app: App, server: RedisServer) -> None:
    """Who asks with a key is told to come back; nobody gets in without one."""
    access = control(app)
    key = await access.keys.add("deploy", role="admin")
    async with serve(app, access=access) as served:
        headers = {"authorization": f"Bearer {key}"}
        assert (await served.ask("GET", "/queues", headers=headers)).status_code == 200
        server.kill()
        await away(app)
        answer = await served.ask("GET", "/queues", headers=headers)
        assert (await served.ask("GET", "/queues")).status_code == 401
        assert (await served.ask("GET", "/health")).json()["store"] == "spool"
    assert answer.status_code == 503
    assert "keys and users are kept in Redis" in answer.text
