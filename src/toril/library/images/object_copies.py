"""Has media sent to the storage of objects once a job has changed their files."""

from __future__ import annotations

from toril.engine.context import Context


def follow_up(ctx: Context, media_id: str) -> None:
    """Have a media sent to the storage of objects, in the step that completes this job."""
    from toril.library.sync.tasks import sync_object, wire_priority  # only where it is asked for

    task = sync_object.with_options(priority=wire_priority(None))
    ctx.enqueue(task, media_id=media_id, operation="upload")
