"""What reports take and give back, under camelCase names."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

ReportFormat = Literal["pdf", "csv", "json"]
Formats = Annotated[list[ReportFormat], msgspec.Meta(min_length=1, max_length=3)]
Day = Annotated[str, msgspec.Meta(min_length=10, max_length=40)]
Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Recipients = Annotated[
    list[Annotated[str, msgspec.Meta(pattern=r"^[^\r\n\x00]*[^\s@]@[^\s@]+$", max_length=320)]],
    msgspec.Meta(max_length=100),
]


class ReportFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One file of a report."""

    format: ReportFormat
    key: str
    bytes: int


class ReportResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a report's task returns."""

    start: str
    """The first day."""
    end: str
    """The last day."""
    files: list[ReportFile]
    mailed: int
    """To how many people links were sent."""
