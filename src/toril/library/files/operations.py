"""What `files.process` can do with a file, and the options of each operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec

from toril.core.checks import unknown
from toril.services.media.port import MAX_SIDE_PX
from toril.services.unusable import UnusableInputError, named

Operation = Literal["resize", "compress", "convert", "extract_text"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
Side = Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE_PX)]
Quality = Annotated[int, msgspec.Meta(ge=1, le=100)]


class ResizeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """At least one of `width` and `height`; both for `cover`."""

    width: Side | None = None
    height: Side | None = None
    fit: Literal["inside", "cover"] = "inside"
    """`inside`: the whole picture within the size, never enlarged. `cover`: exactly the size; what
    is too much is cut off evenly."""
    quality: Quality = 85


class CompressOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How small, and how good."""

    quality: Quality = 75


class ConvertOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Into what."""

    format: Literal["jpeg", "png", "webp", "pdf"]
    quality: Quality = 85


class ExtractOptions(msgspec.Struct, frozen=True, kw_only=True):
    """There is nothing to choose."""


Options = ResizeOptions | CompressOptions | ConvertOptions | ExtractOptions
_OF_OPERATION: dict[str, type[Options]] = {
    "resize": ResizeOptions,
    "compress": CompressOptions,
    "convert": ConvertOptions,
    "extract_text": ExtractOptions,
}


def read_options(operation: str, options: Mapping[str, Any] | None) -> Options:
    """Return the options of an operation.

    Raises:
        UnusableInputError: The operation or an option is unknown, or a value makes no sense.
    """
    kind = _OF_OPERATION.get(operation)
    if kind is None:
        reason = unknown("operation", operation, OPERATIONS)
        raise UnusableInputError(named("operation", operation), reason)
    given = dict(options or {})
    for name in given:
        if name not in kind.__struct_fields__:
            known = kind.__struct_fields__
            reason = f"{unknown('option', name, known)} ({operation})"
            raise UnusableInputError(named("options", name), reason)
    try:
        read = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise UnusableInputError(named("options", operation), str(error)) from None
    if isinstance(read, ResizeOptions):
        _check_size(read)
    return read


def _check_size(options: ResizeOptions) -> None:
    subject = named("options", "resize")
    sides = [side for side in (options.width, options.height) if side is not None]
    if not sides:
        raise UnusableInputError(subject, "expected width, height, or both, in pixels")
    if options.fit == "cover" and len(sides) < 2:
        raise UnusableInputError(subject, "expected width and height, as fit 'cover' needs both")
