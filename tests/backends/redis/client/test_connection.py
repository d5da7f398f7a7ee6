"""One shared connection: order, one write a turn, bounds, and what a loss leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from tests.backends.redis.faking import FakeServer, fake_server
from tests.support.waiting import wait_until

from toril.backends.redis.client import connection as connection_module
from toril.backends.redis.client.connection import Connection, NotWrittenError
from toril.backends.redis.client.protocol import ReplyError, pack
from toril.core.errors import StoreUnreachableError

PING = pack(("PING",))


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    async with fake_server() as server:
        yield server


class Watched(Connection):
    """A link that remembers its writes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.spy = Spy(transport)
        super().connection_made(cast("asyncio.BaseTransport", self.spy))


class Spy:
    """A transport, and what was written to it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self._transport.write(data)


async def open_connection(
    fake: FakeServer, *, answer_timeout_s: float | None = 15.0, kind: type[Connection] = Connection
) -> Any:
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(
        lambda: kind(loop, "redis://fake", answer_timeout_s=answer_timeout_s),
        "127.0.0.1",
        fake.port,
    )
    return link


async def close(*links: Connection) -> None:
    for link in links:
        link.abort("the test is over")
        await link.gone()


async def test_replies_come_in_the_order_of_the_commands(fake: FakeServer) -> None:
    fake.answer = lambda command: b"+%s\r\n" % command[1].encode()
    link = await open_connection(fake)

    replies = await asyncio.gather(*(link.send(pack(("ECHO", n))) for n in range(500)))

    assert replies == [str(n) for n in range(500)]
    await close(link)


async def test_what_is_sent_in_one_turn_leaves_in_one_write(fake: FakeServer) -> None:
    link = await open_connection(fake, kind=Watched)

    calls = [link.send(PING) for _ in range(3)]
    batch = link.send_many(PING * 2, 2)
    await asyncio.gather(*calls, batch)

    assert link.spy.writes == [PING * 5]
    await close(link)


async def test_reply_in_pieces_is_put_together(fake: FakeServer) -> None:
    long = "é" * 100_000
    fake.answer = lambda _: b"*2\r\n$%d\r\n%s\r\n:-7\r\n" % (len(long) * 2, long.encode())
    link = await open_connection(fake)

    assert await link.send(PING) == [long, -7]
    await close(link)


async def test_text_that_is_no_utf_8_is_marked_and_not_fatal(fake: FakeServer) -> None:
    fake.answer = lambda _: b"$3\r\na\xff\xfe\r\n"
    link = await open_connection(fake)

    assert await link.send(PING) == "a��"
    await close(link)


async def test_refusal_is_for_its_caller_alone(fake: FakeServer) -> None:
    fake.answer = lambda command: b"-ERR no\r\n" if command == ["BAD"] else b"+OK\r\n"
    link = await open_connection(fake)

    first, bad, last = link.send(PING), link.send(pack(("BAD",))), link.send(PING)

    assert (await first, await last) == ("OK", "OK")
    with pytest.raises(ReplyError, match="ERR no"):
        await bad
    await close(link)


async def test_batch_gets_refusals_among_its_replies(fake: FakeServer) -> None:
    fake.answer = lambda command: b"-ERR no\r\n" if command == ["BAD"] else b"+OK\r\n"
    link = await open_connection(fake)

    before, after = link.send(PING), None
    replies = await link.send_many(PING + pack(("BAD",)) + PING, 3)
    after = link.send(PING)

    assert [str(reply) for reply in replies] == ["OK", "ERR no", "OK"]
    assert (await before, await after) == ("OK", "OK")
    await close(link)


async def test_caller_who_leaves_does_not_disturb_the_others(fake: FakeServer) -> None:
    fake.answer = lambda command: b"+%s\r\n" % command[1].encode()
    link = await open_connection(fake)

    calls = [link.send(pack(("ECHO", n))) for n in range(3)]
    calls[1].cancel()

    assert (await calls[0], await calls[2]) == ("0", "2")
    await close(link)


async def test_loss_leaves_what_was_under_way_unknown(fake: FakeServer) -> None:
    fake.answer = lambda _: None
    link = await open_connection(fake)
    call, batch = link.send(PING), link.send_many(PING * 2, 2)
    await wait_until(lambda: len(fake.heard) == 3)

    fake.connections[0].close()

    for future in (call, batch):
        with pytest.raises(StoreUnreachableError, match="outcome is unknown") as lost:
            await future
        assert lost.value.sent
    assert link.closed
    await link.gone()


async def test_loss_before_the_write_says_that_nothing_was_sent(fake: FakeServer) -> None:
    fake.answer = lambda _: None
    link = await open_connection(fake)
    written = link.send(PING)
    await wait_until(lambda: len(fake.heard) == 1)

    unwritten = link.send(PING)
    link.abort("the test says so")

    with pytest.raises(StoreUnreachableError, match="the test says so"):
        await written
    with pytest.raises(NotWrittenError):
        await unwritten
    late = link.send(PING)
    with pytest.raises(NotWrittenError):
        await late


async def test_loss_is_told_once(fake: FakeServer) -> None:
    link = await open_connection(fake)
    told: list[bool] = []
    link.on_lost = lambda: told.append(link.closed)

    fake.connections[0].close()
    await link.gone()
    link.abort("again")
    link.retire()

    assert told == [True]


async def test_silence_with_calls_under_way_ends_the_connection(fake: FakeServer) -> None:
    fake.answer = lambda _: None
    link = await open_connection(fake, answer_timeout_s=0.05)

    with pytest.raises(StoreUnreachableError, match=r"no answer for 0.05 s"):
        await link.send(PING)


async def test_silence_without_calls_is_no_trouble(fake: FakeServer) -> None:
    link = await open_connection(fake, answer_timeout_s=0.02)
    loop = asyncio.get_running_loop()
    for _ in range(2):
        assert await link.send(PING) == "OK"
        quiet_until_s = loop.time() + 0.02 + connection_module.GRACE_S + 0.05
        await wait_until(lambda until_s=quiet_until_s: loop.time() > until_s)  # type: ignore[misc]

    assert not link.closed
    await close(link)


async def test_signs_of_life_keep_the_connection(fake: FakeServer) -> None:
    fake.answer = lambda _: None
    link = await open_connection(fake, answer_timeout_s=0.2)
    loop = asyncio.get_running_loop()
    calls = [link.send(PING) for _ in range(12)]
    await wait_until(lambda: len(fake.heard) == 12)

    for number, call in enumerate(calls):
        due_s = loop.time() + 0.06
        await wait_until(lambda until_s=due_s: loop.time() > until_s)  # type: ignore[misc]
        assert not link.closed, f"after {number} answers"
        fake.connections[0].write(b"+OK\r\n")
        assert await call == "OK"

    await close(link)


async def test_full_connection_lets_callers_in_as_others_leave(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MAX_IN_FLIGHT", 4)
    fake.answer = lambda _: None
    link = await open_connection(fake)
    order: list[int] = []

    async def call(number: int) -> None:
        if link.full and not await link.room():
            raise NotWrittenError
        order.append(number)
        await link.send(PING)

    callers = [asyncio.create_task(call(n)) for n in range(12)]
    await wait_until(lambda: len(fake.heard) == 4)
    assert link.full
    callers[5].cancel()
    for answered in range(1, 12):
        fake.connections[0].write(b"+OK\r\n")
        await wait_until(lambda: sum(one.done() for one in callers) >= answered + 1)  # noqa: B023

    await asyncio.gather(*callers, return_exceptions=True)
    assert order == [n for n in range(12) if n != 5]
    assert not link.full
    await close(link)


async def test_loss_sends_those_who_wait_for_room_elsewhere(
    fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "MAX_IN_FLIGHT", 1)
    fake.answer = lambda _: None
    link = await open_connection(fake)
    call = link.send(PING)
    waiting = [asyncio.create_task(link.room()) for _ in range(3)]
    await wait_until(lambda: len(fake.heard) == 1)

    fake.connections[0].close()

    assert await asyncio.gather(*waiting) == [False] * 3
    with pytest.raises(StoreUnreachableError):
        await call
    assert not await link.room()


async def test_peer_that_does_not_read_makes_callers_wait(fake: FakeServer) -> None:
    link = await open_connection(fake)
    link.pause_writing()
    waiting = asyncio.create_task(link.room())
    await asyncio.sleep(0)
    assert link.full
    assert not waiting.done()

    link.resume_writing()

    assert await waiting
    assert await link.send(PING) == "OK"
    await close(link)


async def test_retired_connection_answers_what_is_under_way_first(fake: FakeServer) -> None:
    fake.answer = lambda _: None
    link = await open_connection(fake)
    call = link.send(PING)
    await wait_until(lambda: len(fake.heard) == 1)

    link.retire()
    assert link.closed
    fake.connections[0].write(b"+OK\r\n")

    assert await call == "OK"
    await link.gone()


async def test_what_is_not_redis_is_said_to_be_so(fake: FakeServer) -> None:
    fake.answer = lambda _: b"HTTP/1.1 400 Bad Request\r\n"
    link = await open_connection(fake)

    with pytest.raises(StoreUnreachableError, match="not Redis' protocol"):
        await link.send(PING)


async def test_unasked_words_end_the_connection(fake: FakeServer) -> None:
    link = await open_connection(fake)
    assert await link.send(PING) == "OK"

    fake.connections[0].write(b"-ERR max number of clients reached\r\n")

    await link.gone()
    assert link.closed


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have silence count sooner."""
    monkeypatch.setattr(connection_module, "OVERDUE_S", 0.05)


def mute(command: list[str]) -> None:
    """Answer nothing."""


async def test_silence_is_told_again_and_again_while_a_call_is_under_way(
    fake: FakeServer, impatient: None
) -> None:
    fake.answer = mute
    link = await open_connection(fake)
    told: list[float] = []
    link.on_overdue = lambda: told.append(link.silent_s)

    call = link.send(PING)
    await wait_until(lambda: len(told) >= 3)

    assert min(told) >= 0.05
    assert link.is_overdue
    assert not link.closed
    await close(link)
    with pytest.raises(StoreUnreachableError):
        await call


async def test_silence_is_no_news_while_nothing_is_under_way(
    fake: FakeServer, impatient: None
) -> None:
    link = await open_connection(fake)
    told: list[str] = []
    link.on_overdue = lambda: told.append("told")
    await link.send(PING)

    await wait_until(lambda: link.silent_s > 0.2)

    assert told == []
    assert not link.is_overdue
    await close(link)


async def test_silent_link_that_is_left_fails_its_calls_at_once(
    fake: FakeServer, impatient: None
) -> None:
    fake.answer = mute
    link = await open_connection(fake)
    call = link.send(PING)
    await wait_until(lambda: link.is_overdue)

    link.leave("another server took over")

    assert link.closed
    for _ in range(3):
        await asyncio.sleep(0)
    assert call.done()  # in this very turn, not a second later
    with pytest.raises(StoreUnreachableError, match="another server took over") as lost:
        await call
    assert lost.value.sent
    await link.gone()


async def test_link_that_is_left_gets_its_answers_if_it_has_some(fake: FakeServer) -> None:
    link = await open_connection(fake)
    call = link.send(PING)

    link.leave("another server took over")

    assert link.closed
    assert await call == "OK"
    await link.gone()


async def test_link_that_falls_silent_after_it_was_left_is_closed(
    fake: FakeServer, impatient: None
) -> None:
    fake.answer = mute
    link = await open_connection(fake)
    call = link.send(PING)

    link.leave("another server took over")

    with pytest.raises(StoreUnreachableError, match="another server took over"):
        await call
    await link.gone()


async def test_silent_link_takes_no_more_calls_until_it_answers(
    fake: FakeServer, impatient: None
) -> None:
    """Those that it took had an unknown outcome if it never answered again."""
    answers = asyncio.Event()
    fake.answer = lambda command: b"+OK\r\n+OK\r\n" if answers.is_set() else None
    link = await open_connection(fake)
    first = link.send(PING)
    await wait_until(lambda: link.full)
    waiting = asyncio.create_task(link.room())
    await asyncio.sleep(0)

    answers.set()
    second = link.send(PING)  # its answer is both: the server has come to itself

    assert await first == "OK"
    assert await second == "OK"
    assert await waiting
    assert not link.full
    await close(link)


async def test_call_that_waits_for_a_silent_link_is_free_once_that_is_left(
    fake: FakeServer, impatient: None
) -> None:
    fake.answer = mute
    link = await open_connection(fake)
    first = link.send(PING)
    await wait_until(lambda: link.full)
    waiting = asyncio.create_task(link.room())
    await asyncio.sleep(0)

    link.leave("another server took over")

    assert not await waiting
    assert fake.heard == [["PING"]]
    with pytest.raises(StoreUnreachableError):
        await first


async def test_idle_link_that_is_left_is_closed(fake: FakeServer) -> None:
    link = await open_connection(fake)

    link.leave("another server took over")

    await link.gone()
    assert link.closed
