"""What `files.upload` takes and gives back, under camelCase names."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from toril.library.files.payloads import FileProblem

UploadStatus = Literal["clean", "infected", "rejected", "processed", "valid"]
"""`clean`: scanned, nothing was made of it. `processed`: something was. `valid`: looked at and not
scanned, as only that was asked for; nothing was stored."""
OutputKind = Literal["original", "optimized", "thumbnail", "converted"]
ProcessingType = Literal[
    "full", "validate", "virus_scan", "image_optimize", "thumbnail", "convert",
    "optimization", "thumbnail_generation", "format_conversion",
]  # fmt: skip
"""The last three are other names of the three before. All but `validate` include the scan."""
Side = Annotated[int, msgspec.Meta(ge=1, le=4000)]


class UploadOptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What to make of the file."""

    optimize_image: bool = True
    """`full`: make a smaller picture."""
    generate_thumbnail: bool = True
    """`full`: make thumbnails."""
    scan_for_viruses: bool = True
    """False is refused: a file is scanned in any case."""
    convert_to: Literal["jpeg", "png", "webp", "pdf"] | None = None
    """Another format to make, too. `convert` without it makes WebP."""
    thumbnail_sizes: Annotated[list[Side], msgspec.Meta(min_length=1, max_length=10)] | None = None
    """Longest sides, in pixels. Default: the settings'."""
    quality: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    """Of pictures. Default: the settings'."""
    max_size: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Largest file, in bytes, if below the settings'."""


class UploadOutput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One file of the storage."""

    kind: OutputKind
    key: str
    bytes: int
    content_type: str
    width: int | None = None
    """Of a picture, in pixels; so is `height`."""
    height: int | None = None


class UploadResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What came of an upload."""

    file_id: str
    status: UploadStatus
    outputs: list[UploadOutput]
    """What may be served. Empty unless it is `clean` or `processed`."""
    signature: str | None = None
    """`infected`: what the scanner found."""
    problems: list[FileProblem] = []
    """`rejected`: why."""


class UploadStep(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is known of an upload between its steps: `torilUpload` of the payload."""

    key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    """The random part of the keys of its objects."""
    step: Literal["", "virus_scan", "image_optimize", "thumbnail", "convert"] = ""
    """Which step a child is. Empty: the upload itself."""
    type: str | None = None
    """Its MIME type by its content. None: not looked at yet, or not known."""
    extension: str = "bin"
    bytes: int = 0
    problems: list[FileProblem] | None = None
    """What is wrong with it. None: not looked at yet."""
