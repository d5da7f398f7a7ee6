"""A traceback as the task's author wants to see it: from the task on, without our frames."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType

from toril.engine.judging import storable

MAX_CHARS = 16_000
"""What is kept of a traceback: its end says most."""

_ENGINE = str(Path(__file__).parent)


def traceback_text(error: BaseException) -> str:
    """Return the formatted traceback, its frames in this package left out at the start."""
    lines = traceback.format_exception(type(error), error, _skip_ours(error.__traceback__))
    return storable("".join(lines))[-MAX_CHARS:]


def _skip_ours(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_ENGINE):
        frames = frames.tb_next
    return frames
