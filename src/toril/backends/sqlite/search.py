"""Looks through the jobs of a state, on the reader's thread."""

from __future__ import annotations

import itertools

import msgspec

from toril.backends.cursors import cursor, no_cursor, split_cursor
from toril.backends.sqlite.lookup import SortKey, places, queue_id, read
from toril.backends.sqlite.reader import Reader, View
from toril.core.clock import Clock
from toril.engine.contract.search import Scan, Scanned

_FAR = 2**62


class SqliteSearch:
    """The role `Search`."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock

    async def scan(self, wanted: Scan) -> Scanned:
        return await self._reader.ask(lambda view: self._scan(view, wanted))

    def _scan(self, view: View, wanted: Scan) -> Scanned:
        after = _start(wanted)
        queue = queue_id(view, wanted.queue)
        if queue is None:
            return Scanned([], [], [], 0, 0, None)
        keys = places(
            view,
            queue,
            wanted.state,
            limit=wanted.limit + 1,  # one more tells whether there are more
            after=after,
            newest_first=wanted.newest_first,
        )
        keys = list(itertools.takewhile(lambda key: _is_in_time(key, wanted), keys))
        seen, passed_over = self._within_budget(view, keys[: wanted.limit], wanted)
        numbers = [key.number for key in seen if key.number not in passed_over]
        rows = view.run(
            "scan_sift",
            msgspec.json.encode(numbers).decode(),
            wanted.name,
            wanted.data,
            wanted.error,
            wanted.text,
        )
        ids = dict(rows)
        places_of = {key.number: place for place, key in enumerate(seen, start=1)}
        jobs = read(view, wanted.queue, list(ids), self._clock) if wanted.whole else []
        last = seen[-1] if len(keys) > len(seen) else None
        return Scanned(
            list(ids.values()),
            jobs,
            [places_of[number] for number in ids],
            len(seen),
            len(passed_over),
            None if last is None else cursor(wanted.state, f"{last.first}.{last.second}"),
        )

    def _within_budget(
        self, view: View, keys: list[SortKey], wanted: Scan
    ) -> tuple[list[SortKey], set[int]]:
        """Return the jobs that fit into the budget of bytes, and which of them are too large."""
        sizes = view.run("scan_sizes", msgspec.json.encode([key.number for key in keys]).decode())
        room = wanted.max_bytes
        passed_over: set[int] = set()
        for index, (number, size) in enumerate(sizes, start=1):
            if wanted.max_payload_bytes is not None and size > wanted.max_payload_bytes:
                passed_over.add(number)
            else:
                room -= size
            if room <= 0:
                return keys[:index], passed_over
        return keys, passed_over


def _is_in_time(key: SortKey, wanted: Scan) -> bool:
    """Whether a finished job ended in the time that is asked for; the other end is the start."""
    if wanted.newest_first:
        return wanted.since_ms is None or key.first >= wanted.since_ms
    return wanted.until_ms is None or key.first <= wanted.until_ms


def _start(wanted: Scan) -> tuple[int, int] | None:
    if wanted.after is not None:
        _, place = split_cursor(wanted.after, (wanted.state,))
        first, _separator, second = place[0].partition(".")
        try:
            return int(first), int(second)
        except ValueError:
            raise no_cursor(wanted.after) from None
    if wanted.newest_first:
        return None if wanted.until_ms is None else (wanted.until_ms, _FAR)
    return None if wanted.since_ms is None else (wanted.since_ms, -_FAR)
