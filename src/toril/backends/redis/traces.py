"""Which stack trace of a job belongs to which attempt.

A job has one list of stack traces, to which Node's workers add as well, and which keeps the newest
ones only. So an attempt in Toril's history notes a mark of its trace, by which it is found again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from toril.core.reading import read_list
from toril.engine.job import Attempt

MARK_CHARS = 8


def mark(trace: str) -> str:
    """Return what an attempt notes of its trace."""
    digest = hashlib.sha1(trace.encode("utf-8", "surrogatepass"), usedforsecurity=False)
    return digest.hexdigest()[:MARK_CHARS]


def read(text: str | None) -> list[str]:
    """Return the stack traces of a job, oldest first."""
    return [trace for trace in read_list(text or "[]") if isinstance(trace, str)]


def assign(
    attempts: Sequence[Attempt], marks: Sequence[str | bool], traces: Sequence[str]
) -> str | None:
    """Give each attempt its trace, if that is kept.

    Parameters:
        attempts: Oldest first.
        marks: One for each. True, from versions that noted none: it has a trace, the newest that is
            left, which is right unless Node's workers have failed the job as well. False: none.
        traces: Oldest first.

    Returns:
        The newest trace, if it is nobody's: that of an attempt of a Node worker since, as these
        write no history.
    """
    known = [mark(trace) for trace in traces]
    place = len(traces)
    newest = traces[-1] if traces else None
    for attempt, noted in zip(reversed(attempts), reversed(marks), strict=True):
        if noted is False:
            continue
        found = place - 1
        while isinstance(noted, str) and found >= 0 and known[found] != noted:
            found -= 1
        if found >= 0:
            attempt.traceback, place = traces[found], found
            if found == len(traces) - 1:
                newest = None
    return newest
