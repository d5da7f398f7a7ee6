"""The state that all transitions of one transaction share: time, numbers, queues, counts, events.

The transitions change counters, counts and events in memory. The transaction writes them once,
before the commit, however many transitions it has run.
"""

from __future__ import annotations

from typing import Any

import apsw
import msgspec

from toril.backends.sqlite.boots import boot_of
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.remembered import Remembered
from toril.backends.sqlite.statements import statement
from toril.core.clock import Clock

EVENTS_KEPT = 10_000
"""About how many events a queue keeps, as BullMQ's default (spec, section 1.3)."""


class TooLong(Exception):  # noqa: N818 - nothing is wrong: the writer's thread does it then
    """Raised by a transition that nobody should wait for at once."""


class Transaction:
    """One transaction of the writer, begun and not yet committed."""

    __slots__ = (
        "_clock",
        "_connection",
        "_job_number",
        "_last_times",
        "_queues",
        "_remembered",
        "_started",
        "_ticket",
        "at_once",
        "minute",
        "now_ms",
        "readied",
        "spoke",
        "steady_ms",
    )

    def __init__(
        self,
        connection: apsw.Connection,
        clock: Clock,
        last_times: dict[str, int],
        remembered: Remembered,
        *,
        at_once: bool,
    ) -> None:
        remembered.begin(connection)
        self.at_once = at_once
        """An event loop waits for it: what turns out to be long raises `TooLong`."""
        self._clock = clock
        self._connection = connection
        self._last_times = last_times
        self._remembered = remembered
        self.now_ms = clock.now_ms()
        self.steady_ms = clock.steady_ms()
        self.readied = False
        """Something may be claimable now that was not."""
        self.spoke = False
        """There are new events."""
        self.minute: int | None = None
        """The minute since 1970 in which the history counts. None: nothing was counted yet."""
        self._queues: dict[str, QueueRow] = {}
        self._job_number = self._ticket = 0
        self._started = (0, 0)

    @property
    def kept(self) -> dict[str, int]:
        """Return numbers that this process keeps from one transaction to the next."""
        return self._last_times

    @property
    def task_names(self) -> dict[int, set[str]]:
        """Return the names that this process tells apart in the history, by queue."""
        return self._remembered.task_names

    @property
    def boot(self) -> int:
        """The number of the boot that `steady_ms` belongs to."""
        return boot_of(self._clock)

    def run(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run the statement `name` and return its rows."""
        return self._connection.execute(statement(name), values).fetchall()

    def value(self, name: str, *values: Any) -> Any:
        """Run the statement `name` and return the first column of its only row; None if none."""
        rows = self._connection.execute(statement(name), values).fetchall()
        return rows[0][0] if rows else None

    def changed(self, name: str, *values: Any) -> int:
        """Run the statement `name` and return how many rows it changed."""
        self._connection.execute(statement(name), values).fetchall()
        return self._connection.changes()

    def queue(self, name: str) -> QueueRow:
        """Return the queue, made when it is not there yet."""
        found = self.find_queue(name)
        if found is None:
            self.run("queue_make", name)
            found = self.find_queue(name)
            assert found is not None  # noqa: S101 - it was just made
        return found

    def find_queue(self, name: str) -> QueueRow | None:
        """Return the queue, or None."""
        found = self._queues.get(name)
        if found is None:
            found = self._remembered.queues.get(name)
            if found is None:
                rows = self.run("queue_get", name)
                if not rows:
                    return None
                found = self._remembered.queues[name] = QueueRow(rows[0])
            self._queues[name] = found
        return found

    def queue_names(self) -> list[str]:
        """Return the names of all queues."""
        return [row[0] for row in self.run("queue_names")]

    def forget_queue(self, queue: QueueRow) -> None:
        """Drop the queue with its events, and what was gathered for it."""
        del self._queues[queue.name]
        del self._remembered.queues[queue.name]
        self.run("events_trim", queue.id, queue.event_last)
        if queue.deduplicates:
            self.run("deduplications_forget", queue.id)
        self.run("dead_letter_forget", queue.id)
        self.run("unlettered_drop", queue.id, 2**62)
        self.run("schedules_forget", queue.id)
        self.run("relayed_forget", queue.id)
        self.run("history_open_forget", queue.id)
        self.run("history_forget", queue.id)
        self.run("queue_remove", queue.id)

    def job_numbers(self, many: int) -> int:
        """Take the next `many` job numbers and return the first."""
        self._load_counters()
        first = self._job_number + 1
        self._job_number += many
        return first

    def pass_job_number(self, number: int) -> None:
        """Give numbers above this one only."""
        self._load_counters()
        self._job_number = max(self._job_number, number)

    def tickets(self, many: int) -> int:
        """Take the next `many` places at the end of the line and return the first.

        The negative of a place is one at the front, before all that were given so far.
        """
        self._load_counters()
        first = self._ticket + 1
        self._ticket += many
        return first

    def is_time(self, errand: str, every_ms: int) -> bool:
        """Whether this process did an errand last so long ago; it then counts as done now."""
        last_ms = self._last_times.get(errand)
        if last_ms is not None and 0 <= self.now_ms - last_ms < every_ms:
            return False
        self._last_times[errand] = self.now_ms
        return True

    def flush(self) -> None:
        """Write what was gathered. Once before the commit, and before a read in between."""
        if (self._job_number, self._ticket) != self._started:
            self._started = (self._job_number, self._ticket)
            self.run("counters_save", *self._started)
            self._remembered.counters = self._started
        for queue in self._queues.values():
            if queue.events:
                self._write_events(queue)
            if queue.counted:
                queue.counted = False
                queue.open_counts = queue.cells.text()
            settings = queue.settings()
            if settings != queue.saved:
                queue.saved = settings
                self.run("queue_save", *settings)

    def _load_counters(self) -> None:
        if self._ticket == 0 and self._job_number == 0:
            known = self._remembered.counters
            if known is None:
                job_number, ticket = self.run("counters_get")[0]
                known = self._remembered.counters = (job_number, ticket)
            self._started = self._job_number, self._ticket = known

    def _write_events(self, queue: QueueRow) -> None:
        before, queue.event_last = queue.event_last, queue.event_last + len(queue.events)
        body = msgspec.json.encode(queue.events).decode()
        queue.events.clear()
        self.run("events_add", queue.id, queue.event_last, self.now_ms, body)
        self.spoke = True
        # Trim in steps of a tenth of the cap, not at every commit.
        step = EVENTS_KEPT // 10
        if before // step != queue.event_last // step:
            self.run("events_trim", queue.id, queue.event_last - EVENTS_KEPT)
