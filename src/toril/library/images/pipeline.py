"""Turns an upload into variants and a record. A crash after any step is repaired by the next run.

A second run is idempotent. One run per media goes on at a time: its lock ends with its process.
Files are named after their content and appear whole. The record is saved in one transaction, and
decides which files are valid. Old files are removed after it, and the upload last.
"""

from __future__ import annotations

from collections.abc import Callable

from toril.library.images.files import all_present, publish, remove_clean_files, remove_old_files
from toril.library.images.naming import check_media_id, folder_name
from toril.library.images.payloads import MediaProcessingJobData, MediaResult, Variant
from toril.library.images.quarantine import noted, put_away
from toril.library.images.settings import MediaSettings
from toril.services.disk.inside import InsideFile, inside_parts, open_inside
from toril.services.disk.locks import held
from toril.services.media.engines import open_engine
from toril.services.media.pillow import keep_memory
from toril.services.media.port import ImageEngine, Rendition
from toril.services.media.records import (
    MediaPlace,
    MediaRecord,
    MediaRecords,
    MediaStatus,
    StoredVariant,
)
from toril.services.media.sql_records import SqlMediaRecords
from toril.services.memory_limits import growth_refused
from toril.services.unusable import UnusableInputError, named

Report = Callable[[int], None]
"""Told how far the work is, 0 to 100, never less than before."""


def process_upload(
    data: MediaProcessingJobData, settings: MediaSettings, *, media_id: str, report: Report
) -> MediaResult:
    """Make the variants and the record of one upload, then remove the upload.

    Parameters:
        data: The job's payload.
        settings: Where files are, what is accepted.
        media_id: The payload's `media_id`, or one that all attempts share (`media_id_for`).
        report: Called with the progress, 0 to 100. Whatever it raises ends the work, harmlessly.

    Returns:
        What was made. If an earlier attempt did all the work and ended before it could say so:
        what that one made.

    Raises:
        UnusableInputError: This upload will never work. A bad image is in quarantine now; after a
            refused path nothing was read or moved; a record that was there is as it was.
        OSError: The disk; try again. No half-written file is visible.
        sqlalchemy.exc.SQLAlchemyError: The database; try again.
    """
    keep_memory()
    records = SqlMediaRecords(settings.database_url, file_mode=settings.access.file_mode)
    try:
        record = make_media(
            data,
            settings,
            media_id=media_id,
            report=report,
            records=records,
            engine=open_engine(settings.engine, settings.limits, quality=settings.quality),
        )
    finally:
        records.close()
    return as_result(record)


def make_media(
    data: MediaProcessingJobData,
    settings: MediaSettings,
    *,
    media_id: str,
    report: Report,
    records: MediaRecords,
    engine: ImageEngine,
) -> MediaRecord:
    """Do what `process_upload` does with given services, and return the record."""
    _check(data, media_id)
    if settings.owned_uploads:
        _check_owner(data, settings)
    specs = settings.presets.of(data.entity_type)
    report(0)
    with held(settings.locks, media_id, settings.access):
        existing = records.find(media_id)
        if existing is not None and existing.status is MediaStatus.SOFT_DELETED:
            reason = f"it was deleted at {existing.deleted_at}; upload it as a new media"
            raise UnusableInputError(named("mediaId", media_id), reason)
        try:
            upload = open_inside(settings.temp_dir, data.temp_path, field="tempPath")
        except FileNotFoundError as error:
            record = _made_before(data, settings, media_id, existing)
            if record is None:
                raise _missing(data, settings, media_id) from error
            report(100)
            return record
        with upload:
            try:
                content = upload.read(settings.max_bytes)
                report(10)
                renditions: list[Rendition] = []
                with growth_refused(
                    named("image", data.original_filename), "decoding it", settings.max_memory_bytes
                ):
                    for rendition in engine.render(content, specs, name=data.original_filename):
                        renditions.append(rendition)
                        report(10 + 70 * len(renditions) // len(specs))
            except UnusableInputError as error:
                put_away(
                    upload,
                    settings.quarantine,
                    media_id=media_id,
                    original_filename=data.original_filename,
                    why=error,
                    access=settings.access,
                )
                raise
            order = [spec.name for spec in specs]
            renditions.sort(key=lambda each: order.index(each.name))
            folder = folder_name(data.entity_type, media_id)
            variants = publish(renditions, settings.media_root, folder)
            report(90)
            record = records.save(_record(data, media_id, existing, upload, len(content), variants))
            remove_old_files(settings.media_root, record)
            remove_clean_files(settings.clean, record)
            report(95)
            upload.remove()
    report(100)
    return record


def as_result(record: MediaRecord) -> MediaResult:
    """Return a record as the job's result."""
    return MediaResult(
        media_id=record.media_id,
        variants=[
            Variant(
                name=each.name,
                path=each.path,
                width=each.width_px,
                height=each.height_px,
                bytes=each.size_bytes,
            )
            for each in record.variants
        ],
        original_bytes=record.original_bytes,
    )


def _check(data: MediaProcessingJobData, media_id: str) -> None:
    check_media_id(media_id)
    if data.media_id is not None and data.media_id != media_id:
        reason = f"the payload says {data.media_id!r}; expected the same"
        raise UnusableInputError(named("mediaId", media_id), reason)
    for field, text in (("originalFilename", data.original_filename), ("userId", data.user_id)):
        if text is not None and "\0" in text:  # PostgreSQL can store any text but this
            raise UnusableInputError(named(field, text), "expected a text without NUL")


def _check_owner(data: MediaProcessingJobData, settings: MediaSettings) -> None:
    if data.user_id is None:
        reason = "it is missing; uploads belong to who made them (owned_uploads)"
        raise UnusableInputError("userId", reason)
    owner, *rest = _source_path(data, settings).split("/")
    if owner != data.user_id or not rest:
        reason = f"path not allowed: uploads of {data.user_id!r} lie in the folder of this name"
        raise UnusableInputError(named("tempPath", data.temp_path), f"{reason} (owned_uploads)")


def _made_before(
    data: MediaProcessingJobData,
    settings: MediaSettings,
    media_id: str,
    existing: MediaRecord | None,
) -> MediaRecord | None:
    """Return the record if this very upload was done with, but for saying so; otherwise None."""
    if existing is None or existing.entity_type != data.entity_type:
        return None
    if existing.source_path != _source_path(data, settings):
        return None
    elsewhere = existing.place is MediaPlace.REMOTE
    if not elsewhere and not all_present(settings.media_root, existing.variants):
        return None
    return existing


def _missing(
    data: MediaProcessingJobData, settings: MediaSettings, media_id: str
) -> UnusableInputError:
    source = _source_path(data, settings)
    note = noted(settings.quarantine, media_id=media_id, temp_path=source)
    if note is not None:
        return UnusableInputError(note.subject, f"{note.reason}; it is in quarantine")
    return UnusableInputError(
        named("tempPath", data.temp_path),
        "there is no such file and none will come; upload it again",
    )


def _source_path(data: MediaProcessingJobData, settings: MediaSettings) -> str:
    subject = named("tempPath", data.temp_path)
    return "/".join(inside_parts(settings.temp_dir, data.temp_path, subject))


def _record(
    data: MediaProcessingJobData,
    media_id: str,
    existing: MediaRecord | None,
    upload: InsideFile,
    original_bytes: int,
    variants: tuple[StoredVariant, ...],
) -> MediaRecord:
    user_id, metadata = data.user_id, data.metadata
    if existing is not None:  # what a new upload does not say stays as it was
        user_id = existing.user_id if user_id is None else user_id
        metadata = dict(existing.metadata) if metadata is None else metadata
    return MediaRecord(
        media_id=media_id,
        entity_type=data.entity_type,
        original_filename=data.original_filename,
        user_id=user_id,
        metadata=metadata or {},
        original_bytes=original_bytes,
        source_path=upload.relative,
        variants=variants,
    )
