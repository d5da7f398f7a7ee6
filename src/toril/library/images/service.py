"""Processes an image without a queue: for scripts, tests, and requests that may wait."""

from __future__ import annotations

from types import TracebackType

from toril.library.images.naming import new_media_id
from toril.library.images.payloads import MediaProcessingJobData
from toril.library.images.pipeline import Report, make_media
from toril.library.images.settings import MediaSettings
from toril.services.media.engines import open_engine
from toril.services.media.port import ImageEngine
from toril.services.media.records import MediaRecord, MediaRecords
from toril.services.media.sql_records import SqlMediaRecords


class MediaService:
    """Processes uploads in the caller's own thread. May be shared between threads.

    Parameters:
        settings: Default: from the environment.
        records: Where records go. Default: `settings.database_url`. Closed with the service only
            if the service opened it.
        engine: What makes the variants. Default: `settings.engine`.

    Raises:
        InvalidOptionError: The settings make no sense.
        MissingExtraError: `toril[media]` is not installed.
    """

    def __init__(
        self,
        settings: MediaSettings | None = None,
        *,
        records: MediaRecords | None = None,
        engine: ImageEngine | None = None,
    ) -> None:
        self.settings = settings if settings is not None else MediaSettings.from_environment()
        self._owns_records = records is None
        self._records = records or SqlMediaRecords(
            self.settings.database_url, file_mode=self.settings.access.file_mode
        )
        self._engine = engine or open_engine(
            self.settings.engine, self.settings.limits, quality=self.settings.quality
        )

    def process_upload(
        self, data: MediaProcessingJobData, *, report: Report | None = None
    ) -> MediaRecord:
        """Make the variants and the record of one upload, then remove the upload.

        Takes as long as the image needs, typically a tenth of a second to a few seconds.

        Parameters:
            data: What a job would carry. Without `media_id` it becomes a new media.
            report: Called with the progress, 0 to 100. Default: nobody is told.

        Returns:
            The record, as stored.

        Raises:
            UnusableInputError: This upload will never work; a bad image is in quarantine now.
            OSError: The disk; it can be tried again.
            sqlalchemy.exc.SQLAlchemyError: The database; it can be tried again.
        """
        return make_media(
            data,
            self.settings,
            media_id=new_media_id() if data.media_id is None else data.media_id,
            report=report or _silent,
            records=self._records,
            engine=self._engine,
        )

    def find(self, media_id: str) -> MediaRecord | None:
        """Return the record of a media, soft-deleted or not; None if there is none."""
        return self._records.find(media_id)

    def close(self) -> None:
        """Let go of the database."""
        if self._owns_records:
            self._records.close()

    def __enter__(self) -> MediaService:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _silent(_percent: int) -> None:
    return
