"""What there is to say of the stores of an app."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from toril.fallback.breaker import Live, Switch


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """Which store is live."""

    live: str
    """`redis`; `spool` while Redis is away; `sqlite` of an app whose store is a file."""
    store: str
    """Its URL, without secrets."""
    since: datetime | None = None
    """Since when it is live. None: since the app began, which has no fallback store."""
    reason: str | None = None
    """Why Redis is away. None: it is not."""
    spool: str | None = None
    """The URL of the spool. None: there is none."""
    to_move: int = 0
    """Jobs in the spool that have not moved to Redis yet, those that run here included."""
    moving: bool = False
    """Jobs move at this moment."""
    switches: dict[tuple[Live, Live], int] = field(default_factory=dict)
    """How often this process changed from one store to the other."""
    latest: list[Switch] = field(default_factory=list)
    """The latest of these, oldest first."""

    @property
    def type(self) -> str:
        """`bull` while jobs go to Redis, else `in-memory`, as boards of Bull have it."""
        return "bull" if self.live == "redis" else "in-memory"
