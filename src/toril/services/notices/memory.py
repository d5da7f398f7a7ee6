"""Notices in memory, for tests: gone with the process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock, moment
from toril.services.notices.port import MAX_PAGE, Notice


class MemoryNotices:
    """Fulfils `Notices`."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._notices: dict[str, Notice] = {}

    async def add(self, notice: Notice) -> bool:
        """Store a notice: see `Notices.add`."""
        if notice.id in self._notices:
            return False
        now = moment(self._clock.now_ms())
        self._notices[notice.id] = replace(notice, created_at=now, read_at=None)
        return True

    async def of_user(
        self,
        user_id: str,
        *,
        tenant_id: str | None = None,
        unread: bool = False,
        after: str | None = None,
        limit: int = 50,
    ) -> Sequence[Notice]:
        """Return a user's notices: see `Notices.of_user`."""
        require(1 <= limit <= MAX_PAGE, "limit", limit, f"1 to {MAX_PAGE}")
        found = sorted(self._of(user_id, tenant_id), key=_place, reverse=True)
        if after is not None:
            last = self._notices.get(after)
            found = [] if last is None else [one for one in found if _place(one) < _place(last)]
        return [one for one in found if one.read_at is None or not unread][:limit]

    async def mark_read(self, user_id: str, *notice_ids: str, tenant_id: str | None = None) -> int:
        """Note that notices were read: see `Notices.mark_read`."""
        now = moment(self._clock.now_ms())
        marked = 0
        for one in self._of(user_id, tenant_id):
            if one.id in notice_ids and one.read_at is None:
                self._notices[one.id] = replace(one, read_at=now)
                marked += 1
        return marked

    async def close(self) -> None:
        """Nothing has to be let go."""

    def _of(self, user_id: str, tenant_id: str | None) -> list[Notice]:
        every = self._notices.values()
        return [one for one in every if (one.user_id, one.tenant_id) == (user_id, tenant_id)]


def _place(notice: Notice) -> tuple[float, str]:
    return (0.0 if notice.created_at is None else notice.created_at.timestamp()), notice.id
