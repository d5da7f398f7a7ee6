"""Removes media that were soft-deleted long ago, by a schedule or by hand.

```python
app.include(media_cleanup)
app.schedule("0 3 * * *")(app.bound(clean_media))
```
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from toril.core.errors import TorilError
from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.sync.syncing import MediaSync
from toril.services.media.records import MediaStatus
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

OLDER_THAN_DAYS = 30
TIMEOUT_S = 3600.0
MEDIA_A_STEP = 500
_SHOWN = 20
Days = Annotated[int, msgspec.Meta(ge=0, le=36_500)]


class MediaCleaned(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a cleaning did."""

    deleted: int
    """Media that are gone."""
    freed_bytes: int
    """On the disk and in the storage of objects."""
    left: int = 0
    """Media that could not be removed whole; the next run tries again."""
    reasons: dict[str, str] = {}
    """Why, by media; of the first 20."""


def clean(
    media: MediaSync,
    *,
    older_than_days: int = OLDER_THAN_DAYS,
    now: datetime | None = None,
    check: Callable[[], None] = lambda: None,
) -> MediaCleaned:
    """Remove media that were soft-deleted so many days ago.

    Parameters:
        media: Where they are.
        older_than_days: How long ago.
        now: Default: the system's clock.
        check: Called before each media. What it raises ends the work, harmlessly.
    """
    before = (now or datetime.now(UTC)) - timedelta(days=older_than_days)
    deleted = freed = 0
    reasons: dict[str, str] = {}
    after: str | None = None
    left = 0
    while True:
        page = media.records.list(
            status=MediaStatus.SOFT_DELETED, deleted_before=before, after=after, limit=MEDIA_A_STEP
        )
        for record in page:
            check()
            try:
                size_bytes = media.erase(record.media_id)
            except (OSError, TorilError) as error:
                left += 1
                if len(reasons) < _SHOWN:
                    reasons[record.media_id] = str(error)
                continue
            if size_bytes is not None:
                deleted, freed = deleted + 1, freed + size_bytes
        if len(page) < MEDIA_A_STEP:
            return MediaCleaned(deleted=deleted, freed_bytes=freed, left=left, reasons=reasons)
        after = page[-1].media_id


media_cleanup = TaskBundle()
"""`cleanup.media` on the queue `media-cleanup`."""


@media_cleanup.task(
    name="cleanup.media",
    queue="media-cleanup",
    run_in="thread",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=3, base_s=60.0),
)
def clean_media(
    ctx: Context,
    older_than_days: Days = OLDER_THAN_DAYS,
    status: Literal["soft_deleted"] = "soft_deleted",
    *,
    media: MediaSync = provided(MediaSync),
) -> MediaCleaned:
    """Remove soft-deleted media for good, once they were deleted so many days ago.

    Harmless when run again: what is gone is gone. A media that cannot be removed whole keeps its
    record, and is in the result.

    Parameters:
        older_than_days: How long ago.
        status: Of the media; `soft_deleted` is the only one that is cleaned.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The database; it is tried again.
    """
    return clean(media, older_than_days=older_than_days, check=ctx.raise_if_cancelled)
