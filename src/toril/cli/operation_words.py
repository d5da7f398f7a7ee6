"""What is said of an operation on many jobs."""

from __future__ import annotations

from toril.cli.output import moment_text, plural
from toril.engine.bulk.info import OperationInfo

_DONE = {
    "retry": "retried",
    "remove": "removed",
    "promote": "promoted",
    "cancel": "cancelled",
    "move": "moved",
}


def far(info: OperationInfo) -> str:
    """Return how far one is, in a line that passes."""
    return (
        f"{info.done:,} {_DONE[info.action]}, {info.looked_at:,} of at most {info.at_most:,}"
        " looked at; Ctrl-C leaves it to the store's workers"
    )


def ended(info: OperationInfo) -> str:
    """Return how one has ended, or stands."""
    words = f"{plural(info.done, 'job')} {_DONE[info.action]}"
    if info.refused:
        words += f", {info.refused:,} left as they had changed"
    match info.state:
        case "running":
            words += f"; it goes on: toril operations show {info.id}"
        case "failed":
            words += f"; then it failed: {info.note}"
        case "cancelled":
            words += "; then it was cancelled"
        case "undone":
            words += f"; undone: {info.note}"
    if info.undo_until is not None and info.state != "running" and info.done:
        until = moment_text(info.undo_until)
        words += f"; until {until} at least: toril operations undo {info.id}"
    return f"{words}."
