"""What `export-table` jobs carry and give back, under their producers' camelCase names."""

from __future__ import annotations

from typing import Literal

import msgspec

ExportType = Literal["csv", "json", "xlsx"]
"""The format of the file."""


class ExportResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the job returns."""

    key: str
    """Where the file is in the object storage."""
    url: str
    """By which anybody can read it for a while, see `ExportSettings.link_s`."""
    rows: int
    """How many there are, the line of names not counted."""
    bytes: int
    """Size of the file."""
    export_type: ExportType
