"""What `media-processing` jobs carry and give back, under its producers' camelCase names."""

from __future__ import annotations

from typing import Any

import msgspec


class MediaProcessingJobData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload: an uploaded file and what to make of it."""

    entity_type: str
    """Chooses the preset, such as `user_avatar`."""
    temp_path: str
    """The uploaded file: from the temporary folder, or absolute and inside it."""
    original_filename: str
    """The name as uploaded. Recorded; never used as a path or to tell the type."""
    media_id: str | None = None
    """The media to make again. Default: a new one."""
    user_id: str | None = None
    """The owner. Default: nobody, or who owned it before."""
    metadata: dict[str, Any] | None = None
    """Any JSON object, kept with the record. Default: none, or what was kept before."""


class Variant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One finished file."""

    name: str
    path: str
    """From the media root, with `/` between its parts; also a bucket's key or a URL's end."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    bytes: int


class MediaResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the job returns."""

    media_id: str
    variants: list[Variant]
    """In the order of the preset."""
    original_bytes: int
    """Size of the upload, in bytes."""
