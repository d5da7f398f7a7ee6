"""What the image tasks promise."""

from __future__ import annotations

from toril.library.promises import Promise

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
    )
}
