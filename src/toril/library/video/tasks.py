"""Work on videos as tasks: `app.include(videos)`, with what it needs provided.

```python
app.include(videos)
app.provide(MediaWork(objects))
app.provide(VideoSettings())
```
"""

from __future__ import annotations

from typing import Any

import msgspec

from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.video.payloads import ConvertedVideo, ProcessedVideo
from toril.library.video.processing import StoredVideos
from toril.library.video.settings import LONGEST_S, VideoSettings
from toril.services.media.work import MediaWork
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

QUEUE = "process-video"

videos = TaskBundle()
"""`video.process` and `video.remove-original`, on the queue `process-video`."""


@videos.task(
    name="video.process",
    queue=QUEUE,
    rename="camel",
    timeout=LONGEST_S,
    # An encoder's minutes are dear: one retry, for what may pass.
    retry=RetryPolicy(max_attempts=2, base_s=5.0, give_up_on=(UnusableInputError,)),
)
async def process(
    ctx: Context,
    file_id: str | None = None,
    video_id: str | None = None,
    file_path: str | None = None,
    user_id: str | None = None,
    output_path: str | None = None,
    *,
    work: MediaWork = provided(MediaWork),
    settings: VideoSettings = provided(VideoSettings),
) -> dict[str, Any]:
    """Make a smaller video and a poster of the file `file_id`, or `video_id`.

    Returns `ProcessedVideo`. Or, with an `output_path`, makes one smaller video there and returns
    `ConvertedVideo`; the original is removed once the job is completed.

    Harmless when run again: it writes the same files again, and the original is there until the
    job is completed.

    Raises:
        UnusableInputError: This video will never work, or takes too long or too much memory; it is
            not tried again.
        ObjectError: The storage; it is.
        MediaChildError: The encoder's process died; it is.
    """
    videos = StoredVideos(work, settings, ctx.progress)
    if output_path is not None:
        if file_path is None:
            raise UnusableInputError("filePath", "give it along with outputPath")
        converted = await videos.convert(file_path, output_path)
        ctx.enqueue("video.remove-original", {"filePath": file_path})
        return _plain(converted)
    if file_id is not None:
        return _plain(await videos.process(file_id, file_path, field="fileId"))
    if video_id is not None:
        return _plain(await videos.process(video_id, file_path, field="videoId"))
    raise UnusableInputError("fileId", "give it, or a videoId, or an outputPath")


@videos.task(name="video.remove-original", queue=QUEUE, rename="camel", timeout=60.0)
async def remove_original(file_path: str, *, work: MediaWork = provided(MediaWork)) -> None:
    """Remove a file that was converted. Nothing happens if it is gone.

    Raises:
        ObjectError: The storage; it is tried again.
    """
    await work.remove(file_path)


def _plain(result: ProcessedVideo | ConvertedVideo) -> dict[str, Any]:
    """Return a result as it goes to the store: one task, results of several forms."""
    plain: dict[str, Any] = msgspec.to_builtins(result)
    return plain
