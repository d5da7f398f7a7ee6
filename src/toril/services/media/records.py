"""The interface of a store of media records: one record per media, found by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from toril.core.codec import Json


class MediaStatus(StrEnum):
    """Whether a media may be shown."""

    READY = "ready"
    SOFT_DELETED = "soft_deleted"
    """Taken away by a person; the files go later."""


class MediaPlace(StrEnum):
    """Where the files of a media are."""

    LOCAL = "local"
    """In the media root only."""
    REMOTE = "s3"
    """In the storage of objects only."""
    BOTH = "both"
    NONE = "none"
    """Nowhere: both copies were removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVariant:
    """One file of a media."""

    name: str
    path: str
    """From the media root, with `/` between its parts."""
    width_px: int
    height_px: int
    size_bytes: int
    clean: str | None = None
    """The file's name in the folder of unmarked files, if this one is watermarked. None: it is
    not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRecord:
    """One media: where it came from and which files it has."""

    media_id: str
    entity_type: str
    original_filename: str
    user_id: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    original_bytes: int
    source_path: str
    """The upload it was made of, from the temporary folder. The file itself is gone."""
    variants: tuple[StoredVariant, ...]
    status: MediaStatus = MediaStatus.READY
    place: MediaPlace = MediaPlace.LOCAL
    created_at: datetime | None = None
    """Set when it is first saved, in UTC; None before."""
    updated_at: datetime | None = None
    """Set each time it is saved, in UTC; None before."""
    deleted_at: datetime | None = None
    """When it was soft-deleted, in UTC."""


class MediaRecords(Protocol):
    """A store of media records. Safe to share between threads."""

    def save(self, record: MediaRecord) -> MediaRecord:
        """Store a record, replacing the one of the same id, in one transaction.

        Returns:
            The record as stored: with `created_at` (kept from the first time) and `updated_at`.
        """
        ...

    def find(self, media_id: str) -> MediaRecord | None:
        """Return the record of this id, soft-deleted or not; None if there is none."""
        ...

    def list(
        self,
        *,
        entity_type: str | None = None,
        status: MediaStatus | None = None,
        deleted_before: datetime | None = None,
        after: str | None = None,
        limit: int = 500,
    ) -> Sequence[MediaRecord]:
        """Return records in the order of their ids.

        Parameters:
            entity_type: Only of this one. Default: all.
            status: Only of this one. Default: all.
            deleted_before: Only those that were soft-deleted earlier than this moment.
            after: Only ids behind this one: the last of the page before.
            limit: At most so many, 1 to 1,000.

        Raises:
            InvalidOptionError: The limit makes no sense.
        """
        ...

    def move(self, record: MediaRecord, place: MediaPlace) -> MediaRecord | None:
        """Note where the files are now, unless the record has changed since it was read.

        Returns:
            The record as stored. None: it is another one by now, or gone; nothing was changed.
        """
        ...

    def soft_delete(self, media_id: str) -> MediaRecord | None:
        """Take a media away from the public. Its files stay for now.

        Returns:
            The record, with the moment when it was deleted first. None: there is none.
        """
        ...

    def remove(self, record: MediaRecord) -> bool:
        """Remove a record, unless it has changed since it was read; return whether it did."""
        ...

    def close(self) -> None:
        """Let go of the database. The records stay."""
        ...
