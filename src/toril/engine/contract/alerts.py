"""What a store keeps for alerts, and which process watches at a time.

The rows are text that a store does not read. One process holds the watch; what it has decided is
written only if it holds it still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args

import msgspec

AlertRowKind = Literal["alert", "message", "mute", "note", "sample"]
"""`alert`: what is known of one. `message`: what has still to be sent. `mute`: what nobody is to be
told. `note`: what a process has seen. `sample`: what the process that watches has measured."""
ALERT_ROW_KINDS: tuple[AlertRowKind, ...] = get_args(AlertRowKind)


class AlertRow(msgspec.Struct, frozen=True):
    """A text, by its kind and key."""

    kind: AlertRowKind
    key: str
    body: str = ""


class AlertStore(Protocol):
    """Rows of text, and the watch."""

    async def hold(self, holder: str, *, lease_ms: int) -> bool:
        """Take the watch for so long, or go on holding it; return whether that was done.

        Whoever is refused has not written anything.

        Parameters:
            holder: Who asks; a text that no other process gives.
            lease_ms: After so long another may take it.
        """
        ...

    async def release(self, holder: str) -> None:
        """Give the watch up, so that another need not wait. Nothing happens if another holds it."""
        ...

    async def rows(self, kinds: Sequence[AlertRowKind]) -> list[AlertRow]:
        """Return all rows of some kinds, by kind as given and then by key. Cost: O(rows)."""
        ...

    async def change(
        self,
        put: Sequence[AlertRow] = (),
        drop: Sequence[AlertRow] = (),
        *,
        holder: str | None = None,
    ) -> bool:
        """Write rows and remove others, all or none; return whether it was done.

        Parameters:
            put: Each replaces the row of its kind and key.
            drop: Rows to remove; their bodies do not matter.
            holder: Only if this one holds the watch still. None: in any case.
        """
        ...
