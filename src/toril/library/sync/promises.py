"""What the sync task promises."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "cleanup.media": Promise(
        idempotency_key="none is needed",
        second_run="removes what is old by then; what is gone stays gone",
        side_effects="soft-deleted media are removed for good: local and unmarked files, objects,"
        " records",
        services="a storage of objects, media records (SQLite or PostgreSQL)",
        progress="none",
        cancelling="between two media; what was removed until then is gone",
    ),
    "sync.object": Promise(
        idempotency_key="the media's record, and size and SHA-256 of each of its files",
        second_run="sends no file that is there already, and removes nothing twice",
        side_effects="files in the storage of objects or in the media root, and where they are in"
        " the media's record",
        services="a storage of objects, media records (SQLite or PostgreSQL)",
        progress="0 to 100, after each file",
        cancelling="after each file; files that were copied stay, and no source is removed",
        memory="a few MiB, however large a file is",
    ),
}
