"""What both stores say when the doctor finds the same in them."""

from __future__ import annotations

from collections.abc import Iterable

from toril.core.checks import nearest
from toril.engine.contract.lifecycle import Finding


def leases(lapsed: object) -> Finding:
    """Return the finding about leases.

    Parameters:
        lapsed: The jobs whose lease has ended, as they are shown: how many, or which. False: none.
    """
    if lapsed:
        text = (
            f"jobs whose lease has ended: {lapsed}; the next worker that starts takes them back,"
            " and so does toril doctor --repair"
        )
        return Finding("leases", "warning", text)
    return Finding("leases", "ok", "every running job is held by a live lease")


def unserved(queue: str, waiting: int, served: Iterable[str]) -> Finding:
    """Return the finding about a queue that has jobs in line, and no live worker.

    Parameters:
        queue: Its name.
        waiting: How many jobs are in line.
        served: Queues that live workers serve: one of them may be meant.
    """
    close = nearest(queue, served)
    hint = "look for a misspelt name"
    if close is not None:
        hint = f"see whether {close!r} is meant, which a worker serves"
    text = (
        f"jobs in line: {waiting}, and no worker serves the queue; start one with"
        f" --queues {queue}, or {hint}"
    )
    return Finding(f"queue {queue}", "warning", text)
