"""A traceback as the task's author wants to see it: from the task on, without our frames."""

from __future__ import annotations

from pathlib import Path
from traceback import TracebackException
from types import TracebackType

from toril.engine.texts import MAX_TEXT_BYTES, end

_ENGINE = str(Path(__file__).parent)


def traceback_text(error: BaseException, folder: str = _ENGINE) -> str:
    """Return the formatted traceback, the frames of `folder` left out at its start.

    Of a long one the end is kept, with a note of what was cut: it says most. Its parts are cut as
    they come, so that an error of any size is not copied whole.
    """
    place = _skip(error.__traceback__, folder)
    kept, chars = "", 0
    for part in TracebackException(type(error), error, place, compact=True).format():
        chars += len(part)
        kept = (kept + part[-MAX_TEXT_BYTES:])[-MAX_TEXT_BYTES:]
    return end(kept, chars=chars)


def _skip(place: TracebackType | None, folder: str) -> TracebackType | None:
    while place is not None and place.tb_frame.f_code.co_filename.startswith(folder):
        place = place.tb_next
    return place
