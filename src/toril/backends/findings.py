"""What both stores say when the doctor finds the same in them."""

from __future__ import annotations

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


def unserved(queue: str, waiting: int) -> Finding:
    """Return the finding about a queue that has jobs in line, and no live worker."""
    text = (
        f"jobs in line: {waiting}, and no worker serves the queue; start one with"
        f" --queues {queue}, or look for a misspelt name"
    )
    return Finding(f"queue {queue}", "warning", text)
