"""Work on a file as a task: `app.include(file_work)`, with what it needs provided.

```python
app.include(file_work)
app.provide(FileProcessSettings(outputs=Path("/srv/shop/made")))
app.provide(OpenSources(root="/srv/shop/uploads"), Sources)
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toril.core.errors import AttemptTimeoutError
from toril.engine.context import Context
from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.files.operations import (
    ExtractOptions,
    Operation,
    read_options,
)
from toril.library.files.payloads import FileProcessed
from toril.library.files.settings import FileProcessSettings
from toril.library.files.sniffing import HEAD_BYTES, recognise
from toril.library.step_reports import step_report
from toril.services.sources.opening import OpenSources
from toril.services.sources.port import Source, Sources
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

if TYPE_CHECKING:
    from toril.library.files.operations import Options

TIMEOUT_S = 120.0
"""How long one file may take, in seconds; then its process is killed."""

file_work = TaskBundle()
"""`files.process` on the queue `files`."""


@file_work.task(
    name="files.process",
    queue="files",
    run_in="process",  # parsers meet hostile files: a crash must cost one attempt only
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(
        max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError, AttemptTimeoutError)
    ),
    keep_completed=KeepPolicy(count=1000),
)
def process(
    ctx: Context,
    operation: Operation,
    options: dict[str, Any] | None = None,
    file_path: str | None = None,
    object_key: str | None = None,
    file_url: str | None = None,
    *,
    settings: FileProcessSettings = provided(FileProcessSettings),
    sources: Sources = provided(Sources),  # type: ignore[type-abstract]
) -> FileProcessed:
    """Make another file of one, or take its text. The file itself stays as it is.

    Harmless when run again: the output has the same name in every attempt, and appears whole.

    Parameters:
        operation: `resize`, `compress` and `convert` for images; `extract_text` for PDF, Word,
            HTML and plain text.
        options: Of the operation; see `operations.py`.
        file_path: The file, below the root of `OpenSources`; or
        object_key: as an object; or
        file_url: at a URL.

    Raises:
        UnusableInputError: This will never work; it is not tried again. Nor is a file that takes
            longer than two minutes.
        SourceUnavailableError, StorageUnavailableError, OSError: It may later.
    """
    read = read_options(operation, options)
    source = _source(file_path, object_key, file_url)

    async def work() -> FileProcessed:
        # Here: the worker itself needs no parser.
        from toril.library.files.processing import process as work_on

        async with sources.open(source, max_bytes=settings.max_bytes) as opened:
            return work_on(
                opened.file,
                read,
                subject=str(source),
                settings=settings,
                job_key=ctx.idempotency_key,
                report=step_report(ctx),
            )

    return asyncio.run(work())


def check_request(
    operation: str,
    options: Mapping[str, Any] | None,
    file_path: str,
    sources: OpenSources,
) -> Options:
    """Refuse, before it is added, what would fail: for the door of an application.

    A path that leads out, an unknown option, or an operation on images for what is none. A file
    that is not there is no reason: the worker may have it.

    Parameters:
        operation: What to do.
        options: Of the operation.
        file_path: The file.
        sources: What the worker opens files by.

    Raises:
        UnusableInputError: It would fail.
    """
    from toril.library.files.processing import refuse_no_picture

    read = read_options(operation, options)
    source = Source(file_path=file_path)
    head = sources.beginning(source, HEAD_BYTES)
    if head is not None and not isinstance(read, ExtractOptions):
        refuse_no_picture(recognise(head), str(source))
    return read


def _source(file_path: str | None, object_key: str | None, file_url: str | None) -> Source:
    return Source.of({"filePath": file_path, "objectKey": object_key, "fileUrl": file_url})
