"""What tests of the image work share: an upload, and a look at everything on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.services.pictures import decoded

from toril.library.images.payloads import MediaProcessingJobData, MediaResult
from toril.library.images.pipeline import process_upload
from toril.library.images.settings import MediaSettings
from toril.services.media.records import MediaRecord
from toril.services.media.sql_records import SqlMediaRecords

MEDIA_ID = "m-1"


def upload(settings: MediaSettings, content: bytes, name: str = "up.jpg") -> Path:
    settings.temp_dir.mkdir(parents=True, exist_ok=True)
    path = settings.temp_dir / name
    path.write_bytes(content)
    return path


def payload(temp_path: str = "up.jpg", **fields: object) -> MediaProcessingJobData:
    given: dict[str, object] = {
        "entity_type": "user_avatar",
        "temp_path": temp_path,
        "original_filename": "me.jpg",
        **fields,
    }
    return MediaProcessingJobData(**given)  # type: ignore[arg-type]


def process(
    settings: MediaSettings,
    data: MediaProcessingJobData | None = None,
    *,
    media_id: str = MEDIA_ID,
    report: Callable[[int], None] = lambda _percent: None,
) -> MediaResult:
    return process_upload(data or payload(), settings, media_id=media_id, report=report)


def record(settings: MediaSettings, media_id: str = MEDIA_ID) -> MediaRecord | None:
    records = SqlMediaRecords(settings.database_url)
    try:
        return records.find(media_id)
    finally:
        records.close()


def public_files(settings: MediaSettings) -> set[str]:
    """Return every file below the media root, from there."""
    found = (path for path in settings.media_root.rglob("*") if path.is_file())
    return {str(path.relative_to(settings.media_root)) for path in found}


def uploads(settings: MediaSettings) -> set[str]:
    """Return every file below the temporary folder, from there."""
    found = (path for path in settings.temp_dir.rglob("*") if path.is_file())
    return {str(path.relative_to(settings.temp_dir)) for path in found}


def in_quarantine(settings: MediaSettings) -> set[str]:
    """Return every file below the quarantine folder, from there."""
    found = (path for path in settings.quarantine.rglob("*") if path.is_file())
    return {str(path.relative_to(settings.quarantine)) for path in found}


def check_whole(settings: MediaSettings) -> None:
    """Check what has to hold at any moment, also after a crash.

    Every file with a name that anybody looks for can be decoded whole; what the record names is
    there, with its size.
    """
    for name in public_files(settings):
        path = settings.media_root / name
        if not path.name.startswith("."):
            decoded(path.read_bytes())
    known = record(settings)
    for variant in known.variants if known else ():
        path = settings.media_root / variant.path
        assert path.stat().st_size == variant.size_bytes
        assert decoded(path.read_bytes()).size == (variant.width_px, variant.height_px)


def in_child(work: Callable[[], None]) -> int:
    """Run `work` in a forked process; return its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
