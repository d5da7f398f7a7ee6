"""The check of a file as a task: `app.include(files)`, with settings and `Sources` provided.

`file_work` is the task that makes other files of it, `uploads` the one that takes uploads in.
"""

from __future__ import annotations

import asyncio
from pathlib import PurePosixPath

from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.files.checking import Checking, Declared
from toril.library.files.payloads import FileFacts, FileProblem
from toril.library.files.process_task import file_work, process
from toril.library.files.settings import FileSettings
from toril.library.files.upload_task import upload, uploads
from toril.services.sources.port import Source, Sources, SourceTooLargeError
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

__all__ = ["file_work", "files", "process", "upload", "uploads", "validate"]

TIMEOUT_S = 120.0
"""How long one file may take, in seconds."""

files = TaskBundle()
"""`files.validate` on the queue `files`."""


@files.task(
    name="files.validate",
    queue="files",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError,)),
    keep_completed=KeepPolicy(count=1000),
)
async def validate(
    file_path: str | None = None,
    object_key: str | None = None,
    file_url: str | None = None,
    file_type: str | None = None,
    file_size: int | None = None,
    file_name: str | None = None,
    *,
    settings: FileSettings = provided(FileSettings),
    sources: Sources = provided(Sources),  # type: ignore[type-abstract]
) -> FileFacts:
    """Say what a file is, and whether it may be taken. Changes nothing: a second run is harmless.

    A file that may not be taken is a result, not a failure.

    Raises:
        UnusableInputError: There is no such file, or it may not be read; not tried again.
        SourceUnavailableError, OSError: It cannot be read at present; tried again.
    """
    source = Source.of({"filePath": file_path, "objectKey": object_key, "fileUrl": file_url})
    if file_name is None and file_path is not None:
        file_name = PurePosixPath(file_path).name
    declared = Declared(mime=file_type, size_bytes=file_size, name=file_name)
    try:
        async with sources.open(source, max_bytes=settings.max_bytes) as opened:
            checking = Checking(opened.file, declared, settings)
            return await asyncio.to_thread(checking.facts)
    except SourceTooLargeError as error:
        problem = FileProblem(code="too_large", message=error.reason)
        return FileFacts(valid=False, problems=[problem])
