"""Tells of the progress of work that goes on in steps, and ends it where its job was cancelled."""

from __future__ import annotations

from collections.abc import Callable

from toril.engine.context import Context


def step_report(ctx: Context) -> Callable[[int], None]:
    """Return what work calls after each of its steps, with the percent that are done.

    What is returned raises `Cancel` or `AttemptTimeoutError` if the attempt should end.
    """

    def report(percent: int) -> None:
        ctx.raise_if_cancelled()
        ctx.progress(percent)

    return report
