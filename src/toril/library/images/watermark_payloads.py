"""What watermark jobs carry and give back, under their producers' camelCase names."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from toril.library.images.payloads import Variant

Position = Literal[
    "top-left", "top-right", "bottom-left", "bottom-right", "center", "tile",
    "top-center", "bottom-center", "center-left", "center-right",
]  # fmt: skip
"""Where a mark goes; `tile` is all over the image."""
Share = Annotated[float, msgspec.Meta(ge=0.1, le=1.0)]


class WatermarkJobData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The payload: a media, and the mark that goes on its files."""

    media_id: str
    watermark_id: str
    """A mark that is registered; see `WatermarkSettings`."""
    position: Position
    opacity: Share
    scale: Share
    """The mark's width as a share of the image's."""
    variants: list[str] | None = None
    """Names of the variants to mark. Default: all."""


class WatermarkResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a watermark job returns."""

    success: bool = True
    media_id: str
    variants: list[Variant]
    """Those that were marked."""
