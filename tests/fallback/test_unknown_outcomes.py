"""Calls whose answer was lost: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from tests.fallback.support import away, back, ids_in_line
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from toril import App, BackendError, JobOptions, State
from toril.engine.job import NewJob


async def test_lost_answer_is_asked_for_again(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    """The connection breaks after Redis has added the job: no error, no second job."""
    with Proxy(server.port) as proxy:
        app = make_app(proxy.url, silence_s=5.0, work=False)
        queue = app.queue("mail")
        first = await queue.add("send", {"n": 0})
        proxy.cut_after_request(b"EVALSHA")
        second = await queue.add("send", {"n": 1})

        assert proxy.has_cut
        assert ids_in_line(server, "mail") == [first.id, second.id]
        assert second.id.isdecimal(), "Redis was asked again, in time"
        assert (await app.store_state()).live == "redis"
        await check_book_stays(app, server)
        await app.close()


async def check_book_stays(app: App, server: RedisServer) -> None:
    """Redis remembers a call that was sent twice: the first request may arrive yet."""
    sent_twice = set(server.keys("bull:mail:toril:calls"))
    for n in range(300):
        await app.queue("mail").add("send", {"n": n})
    await wait_until(lambda: len(server.keys("bull:mail:toril:calls")) <= len(sent_twice) + 1)
    assert sent_twice <= set(server.keys("bull:mail:toril:calls"))


async def test_job_in_doubt_waits_for_redis_and_is_one_job(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    """The job is in Redis; only the answer has not come when the app changes over."""
    with Proxy(server.port) as proxy:
        app = make_app(proxy.url)
        ran: list[int] = []

        @app.task(queue="mail")
        async def send(n: int) -> int:
            ran.append(n)
            return n

        await send.enqueue(n=0)
        proxy.hold_after_request(b"EVALSHA")
        proxy_frozen = asyncio.create_task(_freeze_once_added(proxy, server, 2))
        doubtful = await send.enqueue(n=1)
        await proxy_frozen
        await away(app)
        plain = await send.enqueue(n=2)
        assert await plain.result(timeout_s=30) == 2
        assert ran == [2], "whether Redis has the other nobody knows"
        assert (await doubtful.info()).state is State.WAIT
        proxy.thaw()
        proxy.cut()
        await back(app)

        assert len(ids_in_line(server, "mail")) == 2
        async with app.worker():
            assert await doubtful.result(timeout_s=30) == 1
        assert sorted(ran) == [0, 1, 2]
        assert (await doubtful.info()).id == "2", "the handle leads to the job that Redis had"
        await app.close()


async def _freeze_once_added(proxy: Proxy, server: RedisServer, many: int) -> None:
    await wait_until(lambda: server.command("LLEN", "bull:mail:wait") == many)
    proxy.freeze()


async def test_request_that_arrives_late_adds_no_second_job(app: App, server: RedisServer) -> None:
    """A server that stood still finds requests in its sockets: those of closed connections too."""
    queue = app.queue("mail")
    await queue.add("send", {"n": 0})
    server.pause()
    doubtful = [queue.add("send", {"n": n}) for n in range(1, 20)]
    jobs = await asyncio.gather(*doubtful)
    bulk = await queue.add_many([("send", {"n": 100})] * 3)
    await away(app)
    server.resume()
    await back(app)

    assert len(ids_in_line(server, "mail")) == 1 + len(jobs) + len(bulk)
    for job in [*jobs, *bulk]:
        assert (await job.info()).state is State.WAIT
    await check_book_stays(app, server)


async def test_job_that_redis_never_got_is_added_later(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    with Proxy(server.port) as proxy:
        app = make_app(proxy.url, work=False)
        queue = app.queue("mail")
        await queue.add("send", {"n": 0})
        proxy.freeze()
        doubtful = await queue.add("send", {"n": 1})
        proxy.cut()  # what it holds back is dropped
        proxy.thaw()
        await back(app)

        assert ids_in_line(server, "mail") == ["1", doubtful.id]
        await app.close()


async def test_error_of_one_queue_is_told_and_is_no_outage(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    """A queue that Redis refuses, such as one of an old Bull, is not a server that is away."""
    app = make_app(work=False)
    server.command("RPUSH", "bull:old:paused", "1")
    with pytest.raises(BackendError, match="old"):
        await app.queue("old").add("send", {})
    assert (await app.store_state()).live == "redis"
    await app.queue("mail").add("send", {})


async def test_books_of_answered_calls_are_forgotten(app: App, server: RedisServer) -> None:
    queue = app.queue("mail")
    for n in range(300):
        await queue.add("send", {"n": n})

    def few() -> bool:
        return len(server.keys("bull:mail:toril:calls")) <= 2

    await wait_until(few, what="the books of calls to be forgotten")
    for key in server.keys("bull:mail:toril:calls"):
        assert server.command("PTTL", key) > 0


async def test_job_that_cannot_be_sent_spoils_no_other(app: App, server: RedisServer) -> None:
    good = NewJob(queue="mail", name="x", data="{}")
    bad = NewJob(queue="mail", name="x", data='"\ud800"')
    jobs = app.backend().jobs
    await jobs.add([good])
    one, two, three = await asyncio.gather(
        jobs.add([good]), jobs.add([bad]), jobs.add([good]), return_exceptions=True
    )

    assert isinstance(two, UnicodeEncodeError)
    assert isinstance(one, list)
    assert isinstance(three, list)
    assert ids_in_line(server, "mail") == ["1", one[0].job_id, three[0].job_id]
    with pytest.raises(UnicodeEncodeError):
        await jobs.add([bad])
    assert (await app.store_state()).live == "redis"


async def test_unique_jobs_of_an_outage_share_books(app: App, server: RedisServer) -> None:
    queue = app.queue("mail")
    await queue.add("send", {})
    server.kill()
    await away(app)
    for n in range(20):
        await queue.add("send", {"n": n}, JobOptions(job_id=f"own-{n}"))
    server.restart()
    await back(app)

    assert ids_in_line(server, "mail") == ["1", *(f"own-{n}" for n in range(20))]
    assert len(server.keys("bull:mail:toril:calls")) <= 4


async def test_blocked_event_loop_is_no_silence_of_redis(app: App, server: RedisServer) -> None:
    """Redis has answered long ago; the answer lies in the socket of a loop that does not turn."""
    queue = app.queue("mail")
    await queue.add("send", {})
    adding = asyncio.create_task(queue.add("send", {}))
    for _ in range(5):
        await asyncio.sleep(0)  # it is sent
    time.sleep(1.0)

    assert (await adding).id == "2"
    assert (await app.store_state()).switches["redis", "spool"] == 0
