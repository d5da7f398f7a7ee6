"""What the image tasks promise."""

from __future__ import annotations

from toril.library.promises import Promise

_SERVICES = "a storage of objects, an image engine (Pillow), files' records if provided"
_PROGRESS = "0 to 100, after each picture"
_CANCELLING = (
    "at any time: the child process is killed, and files are removed that were not there before"
)
_MEMORY = "512 MiB an image by its structure and while it is decoded (`limits`)"

PROMISES = {
    "process-upload": Promise(
        idempotency_key="the media id: the payload's, or one made of the job's own key"
        " (`media_id_for`)",
        second_run="leaves one set of files and one record; if all was done, it returns what was"
        " recorded",
        side_effects="files below `media_root`, one record, the upload removed or put into"
        " quarantine",
        services="an image engine (Pillow), media records (SQLite or PostgreSQL)",
        progress="0 to 100, after each variant",
        cancelling="at any progress report; a killed attempt leaves nothing half-written",
        memory="512 MiB an image, see above; five at once want 2.5 GiB at worst",
    ),
    "images.watermark": Promise(
        idempotency_key="the media and its unmarked files",
        second_run="puts the mark on the unmarked files again, which gives the same bytes",
        side_effects="marked files in place of those before, unmarked ones below `clean_dir`, the"
        " media's record",
        services="an image marker (Pillow), media records (SQLite or PostgreSQL)",
        progress="0 to 100, after each file",
        cancelling="at any progress report; a killed attempt leaves nothing half-written",
        memory="about 16 bytes a pixel of the largest variant",
    ),
    "images.compress": Promise(
        idempotency_key="the file's id, or the output path: names of files follow from it",
        second_run="writes the same files and the same record again",
        side_effects="two files in the storage and the file's record; or one file, and a follow-up"
        " job that removes the original",
        services=_SERVICES,
        progress=_PROGRESS,
        cancelling=_CANCELLING,
        memory=_MEMORY,
    ),
    "images.thumbnail": Promise(
        idempotency_key="the file's id and the sizes: names of files follow from them",
        second_run="writes the same files and the same record again",
        side_effects="a file in the storage for each size, and the file's record",
        services=_SERVICES,
        progress=_PROGRESS,
        cancelling=_CANCELLING,
        memory=_MEMORY,
    ),
    "images.avatar": Promise(
        idempotency_key="the file's id, or its path: names of files follow from it",
        second_run="writes the same files and the same record again",
        side_effects="ten files in the storage, the file's record and the user's avatar; or one"
        " file, the avatar, and a follow-up job that removes the original",
        services=_SERVICES,
        progress=_PROGRESS,
        cancelling=_CANCELLING,
        memory=_MEMORY,
    ),
    "images.remove-original": Promise(
        idempotency_key="the file's path",
        second_run="finds nothing to remove",
        side_effects="one file less in the storage",
        services="a storage of objects",
        progress="none",
        cancelling="at any time; the file is there, or it is not",
    ),
}
