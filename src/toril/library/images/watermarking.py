"""Puts a watermark on the files of a media. A run that is repeated gives the same bytes.

The mark always goes on the clean file, which is kept in a private folder from the first time on. So
a second run, or another mark, never marks a file twice. Files are named after their content: they
appear whole, the record is saved in one transaction and decides which are valid, and those before
are removed after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from toril.core.checks import nearest
from toril.library.images.files import remove_clean_files, remove_old_files
from toril.library.images.naming import check_media_id, file_name, folder_name
from toril.library.images.payloads import Variant
from toril.library.images.settings import MediaSettings
from toril.library.images.watermark_payloads import WatermarkJobData, WatermarkResult
from toril.library.images.watermark_settings import WatermarkSettings
from toril.services.disk.folders import open_folder
from toril.services.disk.locks import held
from toril.services.disk.writing import AsideFiles
from toril.services.media.pillow_marks import PillowMarker
from toril.services.media.port import ImageMarker, MarkPosition, Stamp
from toril.services.media.records import (
    MediaPlace,
    MediaRecord,
    MediaRecords,
    MediaStatus,
    StoredVariant,
)
from toril.services.media.sql_records import SqlMediaRecords
from toril.services.unusable import UnusableInputError, named

Report = Callable[[int], None]
"""Told how far the work is, 0 to 100. What it raises ends the work, harmlessly."""


def apply_watermark(
    data: WatermarkJobData, settings: MediaSettings, marks: WatermarkSettings, *, report: Report
) -> WatermarkResult:
    """Put a mark on the files of a media, and return those that have it now.

    Raises:
        UnusableInputError: There is no such media, variant or mark, or no file to put it on.
        OSError: The disk; try again.
        sqlalchemy.exc.SQLAlchemyError: The database; try again.
    """
    records = SqlMediaRecords(settings.database_url, file_mode=settings.access.file_mode)
    try:
        marker = PillowMarker(settings.limits, quality=settings.quality)
        return mark_media(data, settings, marks, report=report, records=records, marker=marker)
    finally:
        records.close()


def mark_media(
    data: WatermarkJobData,
    settings: MediaSettings,
    marks: WatermarkSettings,
    *,
    report: Report,
    records: MediaRecords,
    marker: ImageMarker,
) -> WatermarkResult:
    """Do what `apply_watermark` does with given services."""
    check_media_id(data.media_id)
    stamp = Stamp(
        content=marks.read(data.watermark_id),
        position=MarkPosition(data.position),
        opacity=data.opacity,
        scale=data.scale,
    )
    report(0)
    with held(settings.locks, data.media_id, settings.access):
        record = _record(records, data.media_id)
        chosen = _chosen(record, data.variants)
        after: list[StoredVariant] = []
        made: list[StoredVariant] = []
        for variant in record.variants:
            if variant.name in chosen:
                marked = _marked(record, variant, settings, marker, stamp)
                made.append(marked)
                report(90 * len(made) // len(chosen))
                variant = marked
            after.append(variant)
        # What is in the storage of objects has another mark, or none.
        place = record.place if tuple(after) == record.variants else MediaPlace.LOCAL
        record = records.save(replace(record, variants=tuple(after), place=place))
        remove_old_files(settings.media_root, record)
        remove_clean_files(settings.clean, record)
    report(100)
    return WatermarkResult(media_id=data.media_id, variants=[_as_result(each) for each in made])


def _record(records: MediaRecords, media_id: str) -> MediaRecord:
    record = records.find(media_id)
    if record is None:
        reason = "there is no such media; its record was removed, or never made"
        raise UnusableInputError(named("mediaId", media_id), reason)
    if record.status is MediaStatus.SOFT_DELETED:
        reason = f"it was deleted at {record.deleted_at}"
        raise UnusableInputError(named("mediaId", media_id), reason)
    if record.place in (MediaPlace.REMOTE, MediaPlace.NONE):
        reason = "its files are not on this disk: fetch them with sync.object, operation 'download'"
        raise UnusableInputError(named("mediaId", media_id), reason)
    return record


def _chosen(record: MediaRecord, variants: list[str] | None) -> set[str]:
    known = [each.name for each in record.variants]
    for name in variants or []:
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean {close!r}? " if close else ""
            reason = f"the media has none of this name; {hint}it has {', '.join(known)}"
            raise UnusableInputError(named("variants", name), reason)
    return set(variants or known)


def _marked(
    record: MediaRecord,
    variant: StoredVariant,
    settings: MediaSettings,
    marker: ImageMarker,
    stamp: Stamp,
) -> StoredVariant:
    """Write a variant with the mark, and return it. Nothing names the file yet."""
    content = _content(record, variant, settings)
    marked = marker.mark(content, stamp, name=variant.path)
    name = file_name(variant.name, content)
    if variant.clean is None:
        with open_folder(settings.clean, settings.access) as root:
            with root.child(record.media_id) as folder_of_media:
                folder_of_media.write(name, content)
    folder = folder_name(record.entity_type, record.media_id)
    published = file_name(variant.name, marked)
    with AsideFiles(settings.media_root / folder) as files:
        files.write(published, marked)
        files.publish()
    return replace(
        variant, path=f"{folder}/{published}", size_bytes=len(marked), clean=variant.clean or name
    )


def _content(record: MediaRecord, variant: StoredVariant, settings: MediaSettings) -> bytes:
    """Return the unmarked file of a variant.

    Raises:
        UnusableInputError: It is not there, or is another one by now.
    """
    marked = variant.clean is not None
    path = settings.media_root / variant.path
    if variant.clean is not None:
        path = settings.clean / record.media_id / variant.clean
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = None
    # Files are named after their content.
    if content is None or file_name(variant.name, content) != path.name:
        what = "its unmarked file" if marked else "its file"
        reason = f"{what} is not there, or is damaged; upload it again"
        raise UnusableInputError(named("variant", f"{record.media_id}/{variant.name}"), reason)
    return content


def _as_result(each: StoredVariant) -> Variant:
    return Variant(
        name=each.name,
        path=each.path,
        width=each.width_px,
        height=each.height_px,
        bytes=each.size_bytes,
    )
