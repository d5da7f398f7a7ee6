"""What sync jobs carry and give back, under their producers' camelCase names."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Operation = Literal["upload", "download", "delete"]
Target = Literal["local", "record"]
SyncPriority = Annotated[int, msgspec.Meta(ge=1, le=10)]
"""1 to 10; higher runs sooner."""


class MediaSyncJobData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload: which media, and what to do with its files."""

    media_id: str
    operation: Operation
    """`upload` copies the local files to the storage, `download` the storage's to the local disk,
    `delete` removes files."""
    delete_source: bool = False
    """With `upload` and `download`: remove the source once its copy is verified. With `delete`:
    remove the local files, too."""
    priority: SyncPriority | None = None
    """Informational in the payload: what adds the job makes the job's own priority of it."""
    target: Target | None = None
    """With `delete` only: `local` removes the local files alone, `record` all files and the record.
    Default: as `delete_source` says."""


class SyncResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a sync job returns. It counts what this attempt did."""

    success: bool = True
    media_id: str
    operation: Operation
    copied: int = 0
    """Files that were sent, or fetched."""
    unchanged: int = 0
    """Files whose copy was there already."""
    removed: int = 0
    """Files that were removed, here or there."""
    bytes: int = 0
    """Bytes that were sent, or fetched."""
