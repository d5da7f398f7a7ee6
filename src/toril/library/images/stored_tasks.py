"""Work on stored images as tasks: `app.include(stored_images)`, with what it needs provided.

```python
app.include(stored_images)
app.provide(MediaWork(objects))
app.provide(StoredImageSettings())
```
"""

from __future__ import annotations

from typing import Any

import msgspec

from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.images.stored import StoredImages
from toril.library.images.stored_payloads import (
    Avatars,
    Compressed,
    Converted,
    ImageOptions,
    Size,
    Thumbnails,
)
from toril.library.images.stored_settings import StoredImageSettings
from toril.services.media.work import MediaWork
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

QUEUE = "image-processing"
TIMEOUT_S = 300.0
"""How long an attempt may take in all, in seconds; the image itself has its own limit."""

_RETRY = RetryPolicy(max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError,))

stored_images = TaskBundle()
"""`images.compress`, `images.thumbnail`, `images.avatar` and `images.remove-original`, on the queue
`image-processing`."""


@stored_images.task(
    name="images.compress", queue=QUEUE, rename="camel", timeout=TIMEOUT_S, retry=_RETRY
)
async def compress(
    ctx: Context,
    file_path: str | None = None,
    file_id: str | None = None,
    user_id: str | None = None,
    output_path: str | None = None,
    options: ImageOptions | None = None,
    *,
    work: MediaWork = provided(MediaWork),
    settings: StoredImageSettings = provided(StoredImageSettings),
) -> dict[str, Any]:
    """Make a smaller version and a thumbnail of the file `file_id`, and return `Compressed`.

    Or, with an `output_path`, one smaller version there, by `options`, and return `Converted`; the
    original is removed once the job is completed.

    Harmless when run again: it writes the same files again, and the original is there until the
    job is completed.

    Raises:
        UnusableInputError: This file will never work; it is not tried again.
        ObjectError: The storage; it is.
        MediaChildError: The child process died; it is.
    """
    images = StoredImages(work, settings, ctx.progress)
    if output_path is None:
        if file_id is None:
            raise UnusableInputError("fileId", "give it, or an outputPath")
        return _plain(await images.compress(file_id, file_path))
    if file_path is None:
        raise UnusableInputError("filePath", "give it along with outputPath")
    converted = await images.convert(file_path, output_path, options)
    ctx.enqueue("images.remove-original", {"filePath": file_path})
    return _plain(converted)


@stored_images.task(
    name="images.thumbnail", queue=QUEUE, rename="camel", timeout=TIMEOUT_S, retry=_RETRY
)
async def thumbnail(
    ctx: Context,
    file_id: str,
    sizes: list[Size],
    file_path: str | None = None,
    user_id: str | None = None,
    *,
    work: MediaWork = provided(MediaWork),
    settings: StoredImageSettings = provided(StoredImageSettings),
) -> Thumbnails:
    """Make thumbnails of the file `file_id` in each of `sizes`.

    Raises:
        UnusableInputError: This file will never work; it is not tried again.
        ObjectError: The storage; it is.
        MediaChildError: The child process died; it is.
    """
    return await StoredImages(work, settings, ctx.progress).thumbnails(file_id, file_path, sizes)


@stored_images.task(
    name="images.avatar", queue=QUEUE, rename="camel", timeout=TIMEOUT_S, retry=_RETRY
)
async def avatar(
    ctx: Context,
    file_path: str | None = None,
    file_id: str | None = None,
    user_id: str | None = None,
    *,
    work: MediaWork = provided(MediaWork),
    settings: StoredImageSettings = provided(StoredImageSettings),
) -> dict[str, Any]:
    """Make squares of the file `file_id` in each size and format, and return `Avatars`.

    Or, without a `file_id`, one square beside the original, and return `Converted`; the original is
    removed once the job is completed.

    Raises:
        UnusableInputError: This file will never work; it is not tried again.
        ObjectError: The storage; it is.
        MediaChildError: The child process died; it is.
    """
    images = StoredImages(work, settings, ctx.progress)
    if file_id is not None:
        return _plain(await images.avatars(file_id, file_path, user_id))
    if file_path is None:
        raise UnusableInputError("filePath", "give it, or a fileId whose record has it")
    converted = await images.single_avatar(file_path, user_id)
    ctx.enqueue("images.remove-original", {"filePath": file_path})
    return _plain(converted)


@stored_images.task(name="images.remove-original", queue=QUEUE, rename="camel", timeout=60.0)
async def remove_original(file_path: str, *, work: MediaWork = provided(MediaWork)) -> None:
    """Remove a file that was converted. Nothing happens if it is gone.

    Raises:
        ObjectError: The storage; it is tried again.
    """
    await work.remove(file_path)


def _plain(result: Compressed | Converted | Avatars) -> dict[str, Any]:
    """Return a result as it goes to the store: one task, results of several forms."""
    plain: dict[str, Any] = msgspec.to_builtins(result)
    return plain
