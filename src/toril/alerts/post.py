"""Sends what waits to be sent: each channel by itself, so that none delays another.

A channel that fails is left alone for a while, longer with each time; its messages wait in the
store meanwhile, so that another process can go on with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from toril.alerts.message import SEND_S, AlertChannel
from toril.alerts.records import UnsentRecord, row
from toril.core.clock import Clock
from toril.core.durations import in_words
from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.core.redact import without_passwords
from toril.engine.contract.alerts import AlertRow, AlertStore

FIRST_PAUSE_S = 5.0
LAST_PAUSE_S = 600.0
GIVE_UP_MS = 86_400_000
"""A message that could not be sent for so long is dropped."""

log = logger("toril.alerts")


class Post:
    """Sends messages while this process holds the watch."""

    def __init__(
        self,
        store: Callable[[], AlertStore],
        clock: Clock,
        channels: Sequence[AlertChannel],
        *,
        send_s: float = SEND_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """Make it.

        Parameters:
            store: Returns the store's rows.
            clock: The store's.
            channels: The app's.
            send_s: How long a channel may take for one message.
            first_pause_s: After its first failure.
        """
        self._store = store
        self._clock = clock
        self._channels = {channel.name: channel for channel in channels}
        self._send_s = send_s
        self._first_pause_s = first_pause_s
        self._waiting: dict[str, UnsentRecord] = {}
        self._sent: set[str] = set()
        """Keys of messages that were sent: what was read of the store may be older."""
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}
        self._not_before_ms: dict[str, int] = {}

    def messages(self, made: Iterable[tuple[str, UnsentRecord]]) -> list[AlertRow]:
        """Return new messages as rows."""
        return [row("message", key, record) for key, record in made]

    async def look(self, waiting: Mapping[str, UnsentRecord]) -> None:
        """Send what is due. Returns at once; the sending goes on.

        Parameters:
            waiting: All that the store has, by key.
        """
        now_ms = self._clock.now_ms()
        old = {key: one for key, one in waiting.items() if now_ms - one.made_ms >= GIVE_UP_MS}
        if old:
            for one in old.values():
                log.error(
                    "alert %r was not sent by %r within a day and is dropped; the last error: %s",
                    *(one.message.title, one.channel, one.error or "no such channel here"),
                )
            await self._store().change((), [AlertRow("message", key) for key in old])
        self._sent &= waiting.keys()
        self._waiting = {
            key: one for key, one in waiting.items() if key not in old and key not in self._sent
        }
        for name, channel in self._channels.items():
            is_due = now_ms >= self._not_before_ms.get(name, 0)
            if name not in self._sending and is_due and self._next(name) is not None:
                task = asyncio.create_task(self._serve(channel), name=f"toril-alerts-{name}")
                self._sending[name] = task
                task.add_done_callback(partial(self._ended, name))

    def pause(self) -> None:
        """Begin to send nothing more: another process does."""
        self._waiting = {}

    async def settle(self, timeout_s: float) -> None:
        """Wait for what is being sent; what takes longer is cut short, and sent again later."""
        tasks = list(self._sending.values())
        if tasks and timeout_s > 0:
            await asyncio.wait(tasks, timeout=timeout_s)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _next(self, channel: str) -> tuple[str, UnsentRecord] | None:
        """Return what a channel has to send first: what was tried least, then the oldest."""
        theirs = [
            (one.tries, key, one) for key, one in self._waiting.items() if one.channel == channel
        ]
        if not theirs:
            return None
        _, key, found = min(theirs, key=lambda each: each[:2])
        return key, found

    async def _serve(self, channel: AlertChannel) -> None:
        """Send the messages of a channel until one fails."""
        try:
            while (found := self._next(channel.name)) is not None:
                if not await self._send(channel, *found):
                    return
        except BackendError as error:
            log.warning("alerts could not be noted as sent, trying again: %s", error)

    async def _send(self, channel: AlertChannel, key: str, record: UnsentRecord) -> bool:
        try:
            async with asyncio.timeout(self._send_s):
                await channel.send(record.message)
        except Exception as error:
            timed_out = isinstance(error, TimeoutError) and not str(error)
            said = f"no answer within {self._send_s:g} s" if timed_out else _plain(error)
            await self._failed(channel.name, key, record, said)
            return False
        if self._failures.pop(channel.name, 0):
            log.info("channel %r of alerts works again", channel.name)
        self._waiting.pop(key, None)
        self._sent.add(key)
        await self._store().change((), [AlertRow("message", key)])
        return True

    def _ended(self, channel: str, task: asyncio.Task[None]) -> None:
        self._sending.pop(channel, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("sending alerts by %r failed", channel, exc_info=error)

    async def _failed(self, channel: str, key: str, record: UnsentRecord, error: str) -> None:
        times = self._failures[channel] = self._failures.get(channel, 0) + 1
        pause_s = min(LAST_PAUSE_S, self._first_pause_s * 2 ** min(times - 1, 20))
        log.warning(
            "alert %r could not be sent by %r, trying again in %s: %s",
            *(record.message.title, channel, in_words(pause_s), error),
        )
        next_ms = self._clock.now_ms() + round(pause_s * 1000)
        self._not_before_ms[channel] = next_ms
        after = msgspec.structs.replace(
            record, tries=record.tries + 1, next_ms=next_ms, error=error
        )
        self._waiting[key] = after
        await self._store().change([row("message", key, after)])


def _plain(error: Exception) -> str:
    text = " ".join(without_passwords(str(error)).split())[:300]
    return text or type(error).__name__
