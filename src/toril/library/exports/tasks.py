"""Exports as a task: `app.include(exports)`; provide settings, sources and a storage."""

from __future__ import annotations

from typing import Any

from toril.core.errors import AttemptTimeoutError
from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.exports.payloads import ExportResult, ExportType
from toril.library.exports.settings import ExportSettings
from toril.library.exports.sources import Sources
from toril.services.objects.sync import SyncObjects
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 3600.0
"""How long one export may take, in seconds; then its process is killed."""

exports = TaskBundle()
"""`export-table` on the queue `exports`."""


@exports.task(
    name="export-table",
    queue="exports",
    run_in="process",  # millions of rows are work for a processor, and would hold up other jobs
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(
        max_attempts=3, base_s=5.0, give_up_on=(UnusableInputError, AttemptTimeoutError)
    ),
)
def export_table(
    ctx: Context,
    export_type: ExportType,
    filters: dict[str, Any],
    columns: list[str] | None = None,
    *,
    settings: ExportSettings = provided(ExportSettings),
    sources: Sources = provided(Sources),
    objects: SyncObjects = provided(SyncObjects),
) -> ExportResult:
    """Write the rows of a table into a file and store it.

    Harmless when run again: the file's key is the same in every attempt, and an object appears
    whole or not at all.

    Parameters:
        export_type: The format.
        filters: `source`, the name of a data source, default `default`; and column to a value that
            has to be equal, or to a mapping of `gte`, `lte` and `in`.
        columns: Which, and in which order. Default: all.

    Raises:
        UnusableInputError: This export will never work; it is not tried again. Nor is one that
            takes longer than an hour.
        OSError: The disk; it is.
        StorageUnavailableError: The storage; it is.
        sqlalchemy.exc.SQLAlchemyError: The database; it is.
    """
    from toril.library.exports.exporting import export  # here: the worker itself needs no writers

    return export(
        export_type,
        filters,
        columns,
        settings=settings,
        sources=sources,
        objects=objects,
        job_key=ctx.idempotency_key,
        report=ctx.progress,
        check=ctx.raise_if_cancelled,
    )
