"""What the video tasks promise."""

from __future__ import annotations

from toril.library.promises import Promise

PROMISES = {
    "video.process": Promise(
        idempotency_key="the file's id, or the output path: names of files follow from it",
        second_run="writes the same files and the same record again",
        side_effects="a video and a poster in the storage, and the file's record; or one video, and"
        " a follow-up job that removes the original",
        services="a storage of objects, a video engine (PyAV), files' records if provided",
        progress="0 to 100, as far as the encoder is",
        cancelling="at any time: the encoder's process is killed, and files are removed that were"
        " not there before",
        memory="1 GiB a video (`limits.max_memory_bytes`); then its process is ended",
    ),
    "video.remove-original": Promise(
        idempotency_key="the file's path",
        second_run="finds nothing to remove",
        side_effects="one file less in the storage",
        services="a storage of objects",
        progress="none",
        cancelling="at any time; the file is there, or it is not",
    ),
}
