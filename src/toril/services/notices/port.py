"""What a store of notices promises: a notice once, and the newest of a user first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

NoticeType = Literal["info", "warning", "error", "success"]
MAX_PAGE = 500
"""Most notices that are returned at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One notice to one user."""

    id: str
    user_id: str
    tenant_id: str | None = None
    """Whose user it is, if several have users of the same names."""
    type: NoticeType = "info"
    title: str
    body: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What an application wants to know when it shows the notice. JSON."""
    created_at: datetime | None = None
    """Set by the store. None: not stored yet."""
    read_at: datetime | None = None
    """When the user read it. None: not yet."""


class Notices(Protocol):
    """Stores notices."""

    async def add(self, notice: Notice) -> bool:
        """Store a notice; return whether it is new. One of the same id stays as it is."""
        ...

    async def of_user(
        self,
        user_id: str,
        *,
        tenant_id: str | None = None,
        unread: bool = False,
        after: str | None = None,
        limit: int = 50,
    ) -> Sequence[Notice]:
        """Return a user's notices, the newest first.

        Parameters:
            user_id: Whose.
            tenant_id: Of which tenant; None: of those that have none.
            unread: Only those that were not read.
            after: The id of the last notice of the page before. Default: the first page.
            limit: At most so many, 1 to 500.

        Raises:
            InvalidOptionError: The limit makes no sense.
        """
        ...

    async def mark_read(self, user_id: str, *notice_ids: str, tenant_id: str | None = None) -> int:
        """Note that a user has read some of their notices; return how many were unread."""
        ...

    async def close(self) -> None:
        """Let go of connections, if they are its own. Twice is fine."""
        ...
