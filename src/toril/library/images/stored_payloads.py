"""What jobs on stored images carry and give back, under their producers' camelCase names."""

from __future__ import annotations

from typing import Literal

import msgspec


class ImageOptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How an image with an `outputPath` is written. What is left out, the settings say."""

    max_width: int | None = None
    """Pixels. Never enlarged."""
    max_height: int | None = None
    """Pixels. Never enlarged."""
    quality: int | None = None
    """1 to 100. PNG has none."""
    format: Literal["jpeg", "png", "webp"] | None = None
    """Default: as the ending of `outputPath` says, else the settings."""


class Size(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A thumbnail that is asked for."""

    width: int
    """Pixels."""
    height: int
    """Pixels."""
    fit: Literal["inside", "cover"] = "inside"
    """`inside` keeps the whole image and never enlarges it; `cover` fills the size exactly."""


class Compressed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `images.compress` made of a file with an id."""

    compressed_url: str
    thumbnail_url: str


class Converted(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
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


class Thumbnail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One finished thumbnail."""

    url: str
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    bytes: int


class Thumbnails(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `images.thumbnail` made, in the order of the sizes."""

    thumbnails: list[Thumbnail]


class Avatars(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `images.avatar` made of a file with an id."""

    avatars: dict[str, dict[str, str]]
    """By size in pixels: `{"64": {"webp": url, "jpeg": url}}`."""
