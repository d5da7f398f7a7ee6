"""Totals in memory, for tests: gone with the process."""

from __future__ import annotations

from collections.abc import Sequence

from toril.services.totals.adding import summed
from toril.services.totals.port import MAX_TOTALS, JobTotal


class MemoryTotals:
    """Fulfils `Totals`."""

    def __init__(self) -> None:
        self._totals: dict[tuple[str, str, str], JobTotal] = {}

    async def add(self, counted: Sequence[JobTotal]) -> None:
        """Add what was counted: see `Totals.add`."""
        for one in counted:
            key = one.queue, one.type, one.tenant_id or ""
            there = self._totals.get(key)
            self._totals[key] = one if there is None else summed(there, one)

    async def read(self, queue: str, *, tenant_id: str | None = None) -> Sequence[JobTotal]:
        """Return totals: see `Totals.read`."""
        return [
            self._totals[key]
            for key in sorted(self._totals)
            if key[0] == queue and tenant_id in (None, key[2])
        ][:MAX_TOTALS]

    async def close(self) -> None:
        """Nothing has to be let go."""
