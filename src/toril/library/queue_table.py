"""Options of many queues in one table, in BullMQ's words: a TOML file with a part for each queue.

```toml
[email-sending]
concurrency = 10
attempts = 2              # in all
backoff = 1000            # milliseconds; it doubles
removeOnComplete = 100    # how many are kept; true: none, false: all
removeOnFail = 50
priority = "normal"       # a word of `priorities`
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

Kept = bool | Annotated[int, msgspec.Meta(ge=0)]
PRIORITIES = {"high": 1, "normal": 2, "low": 3}


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


def _kept(removed: Kept) -> KeepPolicy:
    """Return what BullMQ's word means: `true` keeps none, `false` all, a number so many."""
    if isinstance(removed, bool):
        return KeepPolicy(count=0) if removed else KeepPolicy()
    return KeepPolicy(count=removed)
