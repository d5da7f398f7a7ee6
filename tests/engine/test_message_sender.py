"""What tasks say is bounded while it is on its way, and nothing of it is lost in silence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.engine.working import ONCE, memory_app, working
from tests.support.waiting import wait_until, wait_until_sync

from toril import App, Context, JobFailedError
from toril.core.errors import StoreBusyError
from toril.engine import message_sender
from toril.engine.contract.dispatch import AttemptMessage, FenceResult
from toril.engine.message_sender import MessageSender

FEW = 10


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_sender, "MAX_PENDING", FEW)


@pytest.fixture
async def app(no_thread_left: None) -> AsyncIterator[App]:
    async with memory_app() as app:
        yield app


class SlowStore:
    """The one method that a sender calls, on a store that answers when it is told to."""

    def __init__(self) -> None:
        self.proceed = asyncio.Event()
        self.calls: list[list[AttemptMessage]] = []
        self.error: Exception | None = None

    async def speak(self, said: Sequence[AttemptMessage]) -> list[FenceResult]:
        self.calls.append(list(said))
        await self.proceed.wait()
        if self.error is not None:
            raise self.error
        return ["lease_lost" if speech.token == "late" else "ok" for speech in said]

    @property
    def lines(self) -> list[str | None]:
        return [speech.line for call in self.calls for speech in call]


def speech(line: str, *, number: int = 1, token: str = "t") -> AttemptMessage:
    return AttemptMessage("q", number, str(number), token, line=line, keep_logs=7)


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


@pytest.fixture
def lost() -> list[AttemptMessage]:
    return []


@pytest.fixture
async def one(store: SlowStore, lost: list[AttemptMessage]) -> MessageSender:
    untyped: Any = store
    return MessageSender(untyped, refused=lost.append)


async def test_what_is_said_in_one_turn_travels_together_and_in_order(
    one: MessageSender, store: SlowStore
) -> None:
    store.proceed.set()
    for number in range(3):
        one.send_or_drop(speech(f"line {number}", number=number % 2))

    await one.drain()

    assert [len(call) for call in store.calls] == [3]
    assert store.lines == ["line 0", "line 2", "line 1"]  # each job's in order
    assert not one.is_full


async def test_an_attempt_that_cannot_wait_loses_its_oldest_and_is_told_how_many(
    one: MessageSender, store: SlowStore
) -> None:
    one.send_or_drop(speech("of a neighbour", number=2))
    for number in range(FEW + 20):
        one.send_or_drop(speech(f"line {number}"))

    store.proceed.set()
    await one.drain()

    neighbour, note, *lines = store.lines
    assert neighbour == "of a neighbour"
    assert note is not None
    assert note.startswith("[21 log lines and reports of progress were dropped here")
    assert lines == [f"line {number}" for number in range(21, FEW + 20)]
    assert store.calls[0][1].keep_logs == 7
    assert not one.is_full


async def test_one_who_has_said_nothing_yet_is_heard_although_there_is_no_room(
    one: MessageSender, store: SlowStore
) -> None:
    for number in range(FEW):
        one.send_or_drop(speech(f"line {number}"))
    one.send_or_drop(speech("of a neighbour", number=2))

    store.proceed.set()
    await one.drain()

    assert store.lines[-1] == "of a neighbour"
    assert len(store.lines) == FEW + 1


async def test_room_is_counted_in_characters_too(
    one: MessageSender, store: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_sender, "MAX_PENDING_CHARS", 100)

    one.send_or_drop(speech("x" * 99))
    assert not one.is_full
    one.send_or_drop(speech("y"))
    assert one.is_full

    store.proceed.set()
    await one.drain()
    assert not one.is_full


async def test_a_slow_store_is_not_sent_more_and_more(one: MessageSender, store: SlowStore) -> None:
    """Each turn of the loop began another call, however many were under way."""
    for number in range(40):
        one.send_or_drop(speech(f"line {number}"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert len(store.calls) <= FEW // 2
    assert sum(map(len, store.calls)) <= FEW
    store.proceed.set()
    await one.drain()
    assert store.lines[-1] == "line 39"


async def test_what_is_flushed_goes_at_once(one: MessageSender, store: SlowStore) -> None:
    for number in range(FEW):
        one.send_or_drop(speech(f"line {number}"))
    one.flush()
    one.send_or_drop(speech("the last words"))
    one.flush()

    await asyncio.sleep(0)

    assert store.lines[-1] == "the last words"
    store.proceed.set()
    await one.drain()


@pytest.mark.parametrize("error", [StoreBusyError("busy"), ValueError("of ours")])
async def test_room_is_given_back_when_the_store_fails(
    one: MessageSender, store: SlowStore, lost: list[AttemptMessage], error: Exception
) -> None:
    store.error = error
    store.proceed.set()
    for number in range(FEW):
        one.send_or_drop(speech(f"line {number}", token="late"))

    await one.drain()

    assert not one.is_full
    assert lost == []


async def test_late_words_are_told(
    one: MessageSender, store: SlowStore, lost: list[AttemptMessage]
) -> None:
    store.proceed.set()
    one.send_or_drop(speech("late", token="late"))

    await one.drain()

    assert [said.line for said in lost] == ["late"]


async def test_a_thread_waits_for_room(one: MessageSender, store: SlowStore) -> None:
    stopped = threading.Event()
    many = 3 * FEW
    loop = asyncio.get_running_loop()

    def talk() -> int:
        for number in range(many):
            said = speech(f"line {number}")
            if not one.wait_for_room(said, stopped.is_set):
                return number
            loop.call_soon_threadsafe(one.send, said)
        return many

    talking = asyncio.create_task(asyncio.to_thread(talk))
    await wait_until(lambda: one.is_full)
    assert not talking.done()
    store.proceed.set()
    assert await talking == many
    await one.drain()

    assert store.lines == [f"line {number}" for number in range(many)]

    store.proceed.clear()
    talking = asyncio.create_task(asyncio.to_thread(talk))
    await wait_until(lambda: one.is_full)
    stopped.set()
    assert await talking == FEW
    store.proceed.set()
    await one.drain()


async def test_a_thread_that_logs_faster_than_the_store_loses_nothing(app: App) -> None:
    """All that it said was kept in memory until the store had taken it."""

    @app.task(retry=ONCE)
    def talk(ctx: Context) -> int:
        for number in range(500):
            ctx.log(f"line {number}")
        return 500

    job = await talk.enqueue()
    async with working(app):
        assert await job.result(timeout_s=60) == 500

    assert await job.logs() == [f"line {number}" for number in range(500)]


async def test_a_coroutine_that_logs_without_end_keeps_its_newest_lines(app: App) -> None:
    @app.task(retry=ONCE)
    async def talk(ctx: Context) -> None:
        for number in range(500):
            ctx.log(f"line {number}")

    job = await talk.enqueue()
    async with working(app):
        await job.result(timeout_s=60)

    note, *lines = await job.logs()
    assert note.startswith("[490 log lines and reports of progress were dropped here")
    assert lines == [f"line {number}" for number in range(490, 500)]


async def test_a_thread_that_waits_for_room_is_stopped_as_any_other(app: App) -> None:
    """The store answers nothing more: what the thread says would wait for ever."""
    speak = app.backend().dispatch.speak
    busy, begun = asyncio.Event(), threading.Event()

    @app.task(retry=ONCE, timeout=0.2)
    def talk(ctx: Context) -> None:
        while not ctx.cancelled:
            ctx.log("line")
            begun.set()

    async def slow(said: Sequence[AttemptMessage]) -> list[FenceResult]:
        await busy.wait()
        return await speak(said)

    dispatch: Any = app.backend().dispatch
    dispatch.speak = slow
    job = await talk.enqueue()
    async with working(app):
        await asyncio.to_thread(wait_until_sync, begun.is_set)
        with pytest.raises(JobFailedError, match="AttemptTimeoutError"):
            await job.result(timeout_s=60)
        busy.set()
