"""The image work as a task: `app.include(images)`, with `app.provide(MediaSettings(...))`.

`stored_images` are the tasks on images that lie in a storage of objects; `watermarks` puts marks on
media.
"""

from __future__ import annotations

from typing import Any

from toril.core.errors import AttemptTimeoutError
from toril.engine.context import Context
from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.images.naming import media_id_for
from toril.library.images.object_copies import follow_up
from toril.library.images.payloads import MediaProcessingJobData, MediaResult
from toril.library.images.settings import MediaSettings
from toril.library.images.stored_tasks import stored_images
from toril.library.images.watermark_tasks import watermarks
from toril.library.step_reports import step_report
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

__all__ = ["images", "process_upload", "stored_images", "watermarks"]

TIMEOUT_S = 60.0
"""How long one image may take, in seconds; then its process is killed."""

images = TaskBundle()
"""`process-upload` on the queue `media-processing`."""


@images.task(
    name="process-upload",
    queue="media-processing",
    run_in="process",  # image libraries meet hostile files: a crash must cost one attempt only
    any_name=True,
    rename="camel",
    timeout=TIMEOUT_S,
    # What took too long once takes too long again, and a worker's slot each time.
    retry=RetryPolicy(
        max_attempts=3, base_s=1.0, give_up_on=(UnusableInputError, AttemptTimeoutError)
    ),
    keep_completed=KeepPolicy(count=100),
    keep_failed=KeepPolicy(count=50),
)
def process_upload(
    ctx: Context,
    entity_type: str,
    temp_path: str,
    original_filename: str,
    media_id: str | None = None,
    user_id: str | None = None,
    metadata: dict[str, Any] | None = None,
    *,
    settings: MediaSettings = provided(MediaSettings),
) -> MediaResult:
    """Make the variants and the record of one upload; see `MediaProcessingJobData`.

    Harmless when run again: the media's id is the same in every attempt, and so are its files.

    Raises:
        UnusableInputError: This upload will never work; it is not tried again. Nor is one that
            takes longer than a minute.
        OSError: The disk; it is.
        sqlalchemy.exc.SQLAlchemyError: The database; it is.
    """
    from toril.library.images import pipeline  # here: the worker itself needs no image library

    data = MediaProcessingJobData(
        entity_type=entity_type,
        temp_path=temp_path,
        original_filename=original_filename,
        media_id=media_id,
        user_id=user_id,
        metadata=metadata,
    )
    chosen = media_id if media_id is not None else media_id_for(ctx.idempotency_key)
    result = pipeline.process_upload(data, settings, media_id=chosen, report=step_report(ctx))
    if settings.sync_objects:
        follow_up(ctx, chosen)
    return result
