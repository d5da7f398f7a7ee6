"""Where exports go, and what bounds them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from toril.core.checks import is_whole, require


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """What exports are told once. Can be pickled: they run in child processes.

    Raises:
        InvalidOptionError: A value makes no sense; the message names it and what would do.
    """

    prefix: str = "exports"
    """What the keys of files begin with."""
    work_dir: Path = Path(tempfile.gettempdir()) / "toril-exports"
    """Where a file is written before it is stored. Room for the largest file is needed; an Excel
    workbook takes about twice its size."""
    link_s: float = 86_400.0
    """How long the link in the result works, in seconds. S3 allows 7 days. Default: a day."""
    max_rows: int = 10_000_000
    """Most rows of an export. Default: 10 million."""
    raw_csv: bool = False
    """Write texts into CSV as they are, also those that a spreadsheet takes for a formula."""

    def __post_init__(self) -> None:
        require(
            self.prefix.strip("/") == self.prefix != "", "prefix", self.prefix, "parts of a key"
        )
        require(
            0 < self.link_s <= 604_800, "link_s", self.link_s, "seconds, up to 604,800 (7 days)"
        )
        good = is_whole(self.max_rows) and self.max_rows >= 1
        require(good, "max_rows", self.max_rows, "a number of rows from 1")
        object.__setattr__(self, "work_dir", Path(self.work_dir).absolute())
