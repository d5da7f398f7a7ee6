"""What video jobs give back, under their producers' camelCase names."""

from __future__ import annotations

import msgspec


class ProcessedVideo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was made of a file with an id."""

    compressed_url: str
    poster_url: str
    duration_seconds: float
    bytes: int
    """Size of the smaller video."""


class ConvertedVideo(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of a file that was given an output path."""

    original_size: int
    """Bytes."""
    compressed_size: int
    """Bytes."""
    savings: float
    """Percent; negative if it grew."""
    output_path: str
    """As the payload had it."""
    note: str | None = None
    """Anything to know besides."""
