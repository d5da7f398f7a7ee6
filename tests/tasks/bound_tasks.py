"""A task for child processes, and adapters: what children import has to be in a module."""

from __future__ import annotations

import os
from typing import Any

from toril import StoredJob, TaskBundle

bundle = TaskBundle()


@bundle.task(name="files.count", queue="counting", run_in="process")
def count(path: str, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """Count, far from the worker."""
    return {"path": path, "words": list(words), "pid": os.getpid()}


def from_upload(file_path: str, job: StoredJob) -> dict[str, Any]:
    """Take what the upload service sends."""
    return count.arguments_of(path=file_path, words=(job.name, str(job.attempt)))


def success(result: dict[str, Any]) -> dict[str, Any]:
    """Answer as the upload service expects."""
    return {"success": True, "child": result["pid"] != os.getpid(), **result}


bundle.bind("uploads", count, names="count", adapter=from_upload, result=success, rename="camel")
