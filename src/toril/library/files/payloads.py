"""What `files.validate` and `files.process` give back, under camelCase names."""

from __future__ import annotations

from typing import Literal

import msgspec

ProblemCode = Literal[
    "too_large",
    "empty",
    "size_differs",
    "type_unknown",
    "type_differs",
    "type_not_allowed",
    "name_differs",
    "dangerous",
    "polyglot",
    "archive",
    "damaged",
]


class FileProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One reason not to take a file."""

    code: ProblemCode
    """A word that stays as it is."""
    message: str
    """What was found, and what was expected, for people."""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What a file really is."""

    valid: bool
    """Whether it may be taken: there is no problem."""
    problems: list[FileProblem]
    """All that were found."""
    type: str | None = None
    """Its MIME type by its content. Default: not known."""
    extension: str | None = None
    """The usual ending of its name, without a dot."""
    bytes: int | None = None
    """Its size. Default: not known, as it was too large to be read."""
    sha256: str | None = None
    """SHA-256 of its content, in hexadecimal."""


class FileProcessed(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What came of a file. Exactly one of `output_path`, `output_key` and `text`."""

    bytes: int
    """Size of the output, or of the text in UTF-8."""
    output_path: str | None = None
    """Where the output is, if outputs go to a folder."""
    output_key: str | None = None
    """Its key, if they go to a storage."""
    text: str | None = None
    """The text that was taken, unless it is too long for a result."""
    type: str | None = None
    """The MIME type of the output."""
    width: int | None = None
    """Of a picture, in pixels; so is `height`."""
    height: int | None = None
