"""Keeping media in step as a task: `app.include(sync)`, with `app.provide(MediaSync(...))`."""

from __future__ import annotations

from toril.engine.context import Context
from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.step_reports import step_report
from toril.library.sync.cleaning import clean_media, media_cleanup
from toril.library.sync.payloads import Operation, SyncPriority, SyncResult, Target
from toril.library.sync.syncing import MediaSync
from toril.services.objects.errors import StorageDeniedError
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

__all__ = ["clean_media", "media_cleanup", "sync", "sync_object", "wire_priority"]

QUEUE = "media-sync"
TIMEOUT_S = 600.0
"""How long the files of one media may take, in seconds."""
USUAL_PRIORITY = 5
"""Of a job that says none, 1 to 10."""

sync = TaskBundle()
"""`sync.object` on the queue `media-sync`."""


def wire_priority(priority: int | None) -> int:
    """Return the job's priority, lower first, of one from 1 to 10, higher first."""
    return 11 - (USUAL_PRIORITY if priority is None else priority)


@sync.task(
    name="sync.object",
    queue=QUEUE,
    run_in="thread",
    any_name=True,
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(
        max_attempts=3, base_s=1.0, give_up_on=(UnusableInputError, StorageDeniedError)
    ),
    keep_completed=KeepPolicy(count=100),
    keep_failed=KeepPolicy(count=50),
)
def sync_object(
    ctx: Context,
    media_id: str,
    operation: Operation,
    delete_source: bool = False,
    priority: SyncPriority | None = None,
    target: Target | None = None,
    *,
    media: MediaSync = provided(MediaSync),
) -> SyncResult:
    """Copy, fetch or remove the files of a media; see `MediaSyncJobData`.

    Harmless when run again: equal files are not sent again, and what is gone is gone.

    Raises:
        UnusableInputError: There is no such media, or no source; it is not tried again.
        StorageDeniedError: The storage refuses; nor is it.
        ObjectError: The storage did not answer, or damaged a file; it is.
        MediaChangedError: The media is changed all the time; it is.
        OSError: The disk; it is.
    """
    return media.sync(
        media_id, operation, delete_source=delete_source, target=target, report=step_report(ctx)
    )
