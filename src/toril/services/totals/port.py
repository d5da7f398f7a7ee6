"""What a store of totals promises: what is added is counted once, by however many processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

MAX_TOTALS = 10_000
"""Most totals that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    """The error of the attempt that failed last."""

    message: str
    job_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTotal:
    """What one type of jobs did for one tenant."""

    queue: str
    type: str
    tenant_id: str | None = None
    """None: of jobs that belong to no tenant."""
    completed: int = 0
    failed: int = 0
    """Attempts after which the job failed for good."""
    retried: int = 0
    """Attempts that failed and were tried again."""
    run_ms: float = 0.0
    """The sum of all attempts' durations."""
    runs: Mapping[int, int] = field(default_factory=dict)
    """A histogram of durations: bucket to how many."""
    last_error: LastError | None = None


class Totals(Protocol):
    """Keeps totals."""

    async def add(self, counted: Sequence[JobTotal]) -> None:
        """Add what was counted to what is there, all or nothing.

        A last error takes the place of an older one.
        """
        ...

    async def read(self, queue: str, *, tenant_id: str | None = None) -> Sequence[JobTotal]:
        """Return the totals of a queue by type and tenant, in alphabetical order.

        Parameters:
            queue: Which.
            tenant_id: Only of this tenant. None: of all, and of jobs that have none.
        """
        ...

    async def close(self) -> None:
        """Let go of connections, if they are its own. Twice is fine."""
        ...
