"""The record of what people and their programs have done: written once, read by pages."""

from __future__ import annotations

from typing import Protocol

import msgspec


class AuditLine(msgspec.Struct, frozen=True):
    """One entry, as it is kept."""

    position: int
    """It grows from entry to entry; nothing else is promised."""
    at_ms: int
    """When it was written, by the store's clock."""
    text: str
    """JSON; see `engine/audit.py`."""


class Audit(Protocol):
    """Entries in order. The newest are kept; none can be changed."""

    async def append(self, text: str, *, keep: int) -> None:
        """Write an entry.

        Parameters:
            text: JSON.
            keep: How many entries stay, this one included. Older ones are removed.
        """
        ...

    async def page(self, *, before: int | None, limit: int) -> list[AuditLine]:
        """Return entries, newest first.

        Parameters:
            before: Only those before this position. None: from the newest on.
            limit: At most so many.
        """
        ...
