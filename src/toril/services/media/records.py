"""The interface of a store of media records: one record per media, found by its id."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVariant:
    """One file of a media."""

    name: str
    path: str
    """From the media root, with `/` between its parts."""
    width_px: int
    height_px: int
    size_bytes: int


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

    def close(self) -> None:
        """Let go of the database. The records stay."""
        ...
