"""What happens when the job of a slot is taken: which slot is next, and what of the missed ones.

Pure; `keeper.py` has the store do it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from toril.engine.schedules.slots import (
    CAUGHT_UP_AT_MOST,
    Missed,
    Timing,
    missed,
    newest,
    next_slot,
)

MissedPolicy = Literal["skip", "one", "all"]
"""What becomes of slots that nobody took in time: none of them runs; one run stands for all of
them; or each runs, the newest 100 of them."""
POLICIES: tuple[str, ...] = get_args(MissedPolicy)


class Turn(NamedTuple):
    """What to do with a schedule whose slot was taken, or whose chain was broken."""

    next_ms: int | None
    """The slot of the next job. None: the schedule has ended."""
    runs: bool
    """Whether the job of the slot that was taken is run."""
    missed: Missed | None
    dropped: int = 0
    """How many of the missed slots will not run."""


def turn(
    timing: Timing,
    policy: str,
    *,
    slot_ms: int,
    due_ms: int,
    now_ms: int,
    count: int,
    limit: int | None,
) -> Turn:
    """Return what to do when the job of a slot is taken.

    Parameters:
        timing: The schedule's.
        policy: A `MissedPolicy`; any other text is as good as `one`.
        slot_ms: The slot.
        due_ms: When it should have been taken.
        now_ms: When it is.
        count: How many jobs the schedule has made, this one included.
        limit: How many it may make.

    Raises:
        InvalidOptionError: The schedule cannot be read: somebody else wrote it.
    """
    late = missed(timing, slot_ms, due_ms, now_ms)
    base_ms = max(slot_ms, now_ms)
    runs, dropped = True, 0
    if late is not None and policy == "all":
        base_ms = slot_ms
        room = CAUGHT_UP_AT_MOST - 1  # the one that was taken runs as well
        if late.many > CAUGHT_UP_AT_MOST:
            left = newest(timing, slot_ms, now_ms, room)
            base_ms = left[0] - 1
            dropped = late.many - CAUGHT_UP_AT_MOST
    elif late is not None and policy == "skip":
        runs, dropped = False, late.many
    elif late is not None:
        dropped = late.many - 1
    # A slot that is skipped is no run: it does not use up the limit.
    made = count if runs else count - 1
    if limit is not None and made >= limit:
        return Turn(None, runs, late, dropped)
    return Turn(next_slot(timing, base_ms), runs, late, dropped)
