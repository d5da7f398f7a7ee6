"""Reads the payloads of producers that are out in the world: other words for the operations.

```python
app.bind("media-sync", sync_object, adapter=[sync_object, published_sync], rename="camel")
```
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from toril.library.sync.payloads import Operation
from toril.library.sync.tasks import sync_object
from toril.services.unusable import UnusableInputError, named

PublishedOperation = Literal[
    "upload_to_s3",
    "upload_to_s3_with_delete",
    "upload_to_s3_keep_local",
    "download_from_s3",
    "download_from_s3_delete_s3",
    "delete_s3",
    "delete_s3_only",
    "delete_local",
    "delete_local_only",
    "hard_delete",
]
_KNOWN: tuple[str, ...] = get_args(PublishedOperation)
_REMOVES_SOURCE = ("upload_to_s3_with_delete", "download_from_s3_delete_s3")


def published_sync(
    media_id: str,
    operation: str,
    delete_source: bool = False,
    options: dict[str, Any] | None = None,
    local_path: str | None = None,
    s3_key: str | None = None,
    job_id: str | None = None,
    parent_job_id: str | None = None,
    batch_index: int | None = None,
) -> dict[str, Any]:
    """Return the arguments of `sync.object`.

    Whether the source goes is said by the operation's name, at the top, or in the options. Paths
    and keys are those of the media's record, whatever the payload says.

    Raises:
        UnusableInputError: There is no such operation.
    """
    if operation not in _KNOWN:
        known = ", ".join((*get_args(Operation), *_KNOWN))
        raise UnusableInputError(named("operation", operation), f"expected one of {known}")
    if operation.startswith(("upload", "download")):
        removes = operation in _REMOVES_SOURCE
        if not removes and operation != "upload_to_s3_keep_local":
            removes = delete_source or (options or {}).get("deleteSource") is True
        name = "upload" if operation.startswith("upload") else "download"
        return sync_object.arguments_of(media_id, name, delete_source=removes)  # type: ignore[arg-type]
    if operation == "hard_delete":
        return sync_object.arguments_of(media_id, "delete", target="record")
    local = operation.startswith("delete_local")
    return sync_object.arguments_of(media_id, "delete", target="local" if local else None)
