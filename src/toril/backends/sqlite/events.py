"""The event log. A row holds all events of one transaction; readers get them one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.signal import Signal
from toril.backends.sqlite.writer import Writer
from toril.engine.events import EventRecord, EventsTold

_ROWS = 64
"""Rows read at a time; each holds the events of one transaction."""

_BODY = msgspec.json.Decoder(list[tuple[str, str | None, dict[str, Any] | None]])


class SqliteEvents:
    """The role `Events`."""

    def __init__(self, writer: Writer, reader: Reader, news: Signal) -> None:
        self._writer = writer
        self._reader = reader
        self._signal = news

    async def latest(self, queue: str) -> int:
        def question(view: View) -> int:
            rows = view.run("queue_get", queue)
            return QueueRow(rows[0]).event_last if rows else 0

        return await self._reader.ask(question)

    async def newest(self, queue: str, *, limit: int) -> list[EventRecord]:
        rows = await self._reader.ask(lambda view: view.run("events_newest", queue, limit))
        events: list[EventRecord] = []
        for row in rows:
            if len(events) >= limit:
                break
            events[:0] = _unpack([row])
        return events[-limit:]

    async def read(self, queue: str, *, after: int, limit: int, wait_s: float) -> list[EventRecord]:
        until_s = time.monotonic() + wait_s
        many = min(limit, _ROWS)
        while True:
            seen = self._signal.version
            rows = await self._reader.ask(lambda view: view.run("events_read", after, queue, many))
            events = _unpack(rows, limit)
            left_s = until_s - time.monotonic()
            if events or left_s <= 0:
                return events
            await self._signal.wait(seen, left_s)

    async def choose(self, queue: str, told: EventsTold) -> None:
        await self._writer.run(lambda transaction: transaction.queue(queue).choose(told))


def _unpack(rows: Sequence[tuple[Any, ...]], limit: int | None = None) -> list[EventRecord]:
    events: list[EventRecord] = []
    for last, at_ms, body, start in rows:
        entries = _BODY.decode(body)
        position = last - len(entries)
        for name, job_id, more in entries:
            position += 1
            if position > start:
                fields = {} if job_id is None else {"jobId": job_id}
                if more is not None:
                    fields |= more
                events.append(EventRecord(position, at_ms, name, fields))
                if len(events) == limit:
                    return events
    return events
