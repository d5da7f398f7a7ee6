"""What the engine asks of whatever writes jobs into a transaction of the caller's own.

`toril/outbox/writer.py` does. Nothing of it is called by an app without an outbox.
"""

from __future__ import annotations

from typing import Protocol

from toril.engine.job import NewJob


class RowWriter(Protocol):
    """Writes jobs as rows of the caller's database."""

    async def write(self, transaction: object, job: NewJob) -> str:
        """Write a job with an asynchronous transaction. Return the id that the job will have."""
        ...

    def write_sync(self, transaction: object, job: NewJob) -> str:
        """Write a job with a transaction of plain code. Return the id that the job will have."""
        ...
