"""A clock whose calendar any process can move while others run: the offset is in a file."""

from __future__ import annotations

import time
from pathlib import Path


class MovableClock:
    """The host's clocks, with the calendar moved by as many seconds as the file says."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now_ms(self) -> int:
        """Return the calendar time, epoch milliseconds."""
        return time.time_ns() // 1_000_000 + self._offset_s() * 1000

    def steady_ms(self) -> int:
        """Return the host's stopwatch."""
        return time.monotonic_ns() // 1_000_000

    def move_calendar(self, seconds: int) -> None:
        """Set how far off the calendar is, from now on and for every process."""
        draft = self._path.with_suffix(".new")
        draft.write_text(str(seconds))
        draft.replace(self._path)

    def _offset_s(self) -> int:
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            return 0
