"""Options of many queues in one table, in BullMQ's words: a TOML file with a part for each queue.

```toml
[email-sending]
concurrency = 10
attempts = 2              # in all
backoff = 1000            # milliseconds; it doubles
removeOnComplete = 100    # how many are kept; true: none, false: all
removeOnFail = 50
priority = "normal"       # a word of `priorities`
schedules = [{ id = "digest", cron = "0 7 * * *", data = { template = "digest" } }]
```
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from toril.core.checks import unknown
from toril.core.errors import InvalidSettingError
from toril.engine.options import JobOptions, KeepPolicy
from toril.engine.schedules.info import ScheduleInfo

Kept = bool | Annotated[int, msgspec.Meta(ge=0)]
PRIORITIES = {"high": 1, "normal": 2, "low": 3}


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule; its times are UTC."""

    id: str
    cron: str
    data: dict[str, Any] = {}


class QueueRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel",
               forbid_unknown_fields=True):  # fmt: skip
    """One queue."""

    attempts: Annotated[int, msgspec.Meta(ge=1)]
    """In all, the first included."""
    backoff: Annotated[int, msgspec.Meta(ge=0)]
    """Before the second attempt, in milliseconds; it doubles."""
    remove_on_complete: Kept = False
    remove_on_fail: Kept = False
    priority: str = "normal"
    concurrency: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Jobs at once, of all workers."""
    job: str | None = None
    """The usual name of its jobs."""
    schedules: list[ScheduleRow] = []
    """Schedules of such jobs."""


@dataclass(frozen=True, slots=True)
class QueueTable:
    """Queues by name, in the order of the file."""

    rows: Mapping[str, QueueRow]
    priorities: Mapping[str, int]

    @classmethod
    def load(
        cls, path: Path, changes: str = "", *, priorities: Mapping[str, int] = PRIORITIES
    ) -> QueueTable:
        """Read a table.

        Parameters:
            path: The TOML file.
            changes: JSON that changes some of it: `{"email-sending": {"attempts": 5}}`.
            priorities: What the words of `priority` are on the wire.

        Raises:
            InvalidSettingError: With the queue and the field that make no sense.
        """
        rows: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        try:
            given = json.loads(changes or "{}")
        except ValueError as error:
            raise InvalidSettingError(f"QUEUE_OPTIONS: no JSON: {error}") from None
        if not isinstance(given, dict) or not all(isinstance(one, dict) for one in given.values()):
            raise InvalidSettingError("QUEUE_OPTIONS: expected an object of objects, by queue")
        for queue, change in given.items():
            if queue not in rows:
                raise InvalidSettingError(f"QUEUE_OPTIONS: {unknown('queue', queue, rows)}")
            rows[queue] = {**rows[queue], **change}
        read: dict[str, QueueRow] = {}
        for queue, row in rows.items():
            try:
                read[queue] = msgspec.convert(row, QueueRow)
            except msgspec.ValidationError as error:
                raise InvalidSettingError(f"queue {queue!r}: {error}") from None
            if read[queue].priority not in priorities:
                problem = unknown("priority", read[queue].priority, priorities)
                raise InvalidSettingError(f"queue {queue!r}: {problem}")
        return cls(read, priorities)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __getitem__(self, queue: str) -> QueueRow:
        return self.rows[queue]

    @property
    def jobs(self) -> dict[str, str]:
        """The usual name of each queue's jobs."""
        return {queue: row.job or queue for queue, row in self.rows.items()}

    def options(self, queue: str, priority: str | None = None) -> JobOptions:
        """Return the options of a queue's jobs.

        Parameters:
            queue: Which.
            priority: A word in place of the queue's.
        """
        row = self.rows[queue]
        return JobOptions(
            max_attempts=row.attempts,
            backoff="exponential",
            backoff_s=row.backoff / 1000,
            keep_completed=_kept(row.remove_on_complete),
            keep_failed=_kept(row.remove_on_fail),
            priority=self.priorities[priority or row.priority],
        )

    def bind(self, app: Any, queue: str, task: Any, **more: Any) -> None:
        """Bind a task to a queue, with its options and its jobs at once: see `App.bind`."""
        at_once = self.rows[queue].concurrency
        app.bind(queue, task, **{"options": self.options(queue), "concurrency": at_once, **more})

    async def set_up(self, app: Any, *, dead_letter: str | None = None) -> None:
        """Make what an app's queues lack: rules of dead letters, and schedules.

        Parameters:
            app: Whose queues.
            dead_letter: Where failures of the others go. None: nowhere.
        """
        for name in self.rows if dead_letter is not None else ():
            queue = app.queue(name)
            if name != dead_letter and await queue.dead_letter() is None:
                await queue.set_dead_letter(dead_letter)
        await self.schedule(app, only_missing=True)

    async def schedule(self, app: Any, *, only_missing: bool = False) -> list[ScheduleInfo]:
        """Set the schedules of the table, and return them.

        Parameters:
            app: Whose.
            only_missing: Leave those that are there as they are.
        """
        found = []
        for queue, row in self.rows.items():
            for one in row.schedules:
                there = await app.schedules.get(one.id, queue=queue) if only_missing else None
                found.append(
                    there
                    or await app.schedules.put(
                        one.id, app.queue(queue), one.data, name=row.job or queue, cron=one.cron,
                        timezone="UTC",
                    )
                )  # fmt: skip
        return found


def _kept(removed: Kept) -> KeepPolicy:
    """Return what BullMQ's word means: `true` keeps none, `false` all, a number so many."""
    if isinstance(removed, bool):
        return KeepPolicy(count=0) if removed else KeepPolicy()
    return KeepPolicy(count=removed)
