"""Cleaning as tasks: `app.include(cleanup)`, with `app.provide(CleanupSettings(...))`."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import msgspec

from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.cleanup.payloads import CleanedState, CleanupResult, JobsCleaned, Target
from toril.library.cleanup.queues import CleanedQueues
from toril.library.cleanup.settings import CleanupSettings
from toril.services.disk.sweeping import Swept, sweep
from toril.services.unusable import UnusableInputError, named
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 600.0
"""How long one cleaning may take, in seconds."""
LIMIT = 1000
"""How many jobs of a queue one run removes at most, unless the payload says otherwise."""
DAY_MS = 86_400_000
Age = Annotated[int, msgspec.Meta(ge=0)]
"""Milliseconds."""

cleanup = TaskBundle()
"""`run-cleanup` and `clean-jobs` on the queue `cleanup`."""

_RETRY = RetryPolicy(max_attempts=3, base_s=2.0, give_up_on=(UnusableInputError,))


@cleanup.task(name="run-cleanup", queue="cleanup", rename="camel", timeout=TIMEOUT_S, retry=_RETRY)
async def run_cleanup(
    ctx: Context,
    target_type: Target,
    older_than: Age,
    path: str | None = None,
    pattern: str | None = None,
    dry_run: bool = False,
    *,
    settings: CleanupSettings = provided(CleanupSettings),
) -> CleanupResult:
    """Remove temporary files, logs or sessions that are old.

    Harmless when run again: what is gone is gone, and what became old meanwhile goes, too.

    Parameters:
        target_type: What to remove.
        older_than: How long ago the last change has to be, in milliseconds.
        path: Files only: a folder below the root of its kind. Default: the root itself.
        pattern: Files only: what a file's name has to match, such as `*.tmp`. Default: any.
        dry_run: Only count.

    Raises:
        UnusableInputError: The path leads out of its root, or nothing is set for this target.
        OSError: The disk; it is tried again.
    """
    age_s = max(older_than / 1000, settings.min_age_s)
    settings.check(target_type, path, pattern)
    if target_type == "expired_sessions":
        count = await settings.session_store().remove_expired(
            before_s=time.time() - age_s, dry_run=dry_run
        )
        return CleanupResult(removed=count, freed_bytes=0, skipped=0, dry_run=dry_run)
    swept = await asyncio.to_thread(
        _sweep, ctx, settings, target_type, age_s, path, pattern, dry_run
    )
    return CleanupResult(
        removed=swept.removed,
        freed_bytes=swept.freed_bytes,
        skipped=swept.skipped,
        reasons=swept.reasons,
        dry_run=dry_run,
    )


def _sweep(
    ctx: Context,
    settings: CleanupSettings,
    target: Target,
    age_s: float,
    path: str | None,
    pattern: str | None,
    dry_run: bool,
) -> Swept:
    root, parts = settings.root_of(target), settings.parts_of(target, path)
    try:
        return sweep(
            root,
            parts,
            older_than_s=age_s,
            now_s=time.time(),
            pattern=pattern,
            spare_open=target == "old_logs",
            dry_run=dry_run,
            seen=lambda files: ctx.raise_if_cancelled(),
        )
    except NotADirectoryError as error:
        subject = named("path", path or "")
        raise UnusableInputError(subject, "it is no folder, or leads through a link") from error
    except FileNotFoundError as error:
        if parts:
            reason = f"there is no such folder in {str(root)!r}"
            raise UnusableInputError(named("path", path or ""), reason) from error
        raise


@cleanup.task(name="clean-jobs", queue="cleanup", rename="camel", timeout=TIMEOUT_S, retry=_RETRY)
async def clean_jobs(
    ctx: Context,
    state: CleanedState | None = None,
    older_than: Age | None = None,
    limit: Annotated[int, msgspec.Meta(ge=1)] = LIMIT,
    queue: str | None = None,
    *,
    queues: CleanedQueues = provided(CleanedQueues),
) -> JobsCleaned:
    """Remove finished jobs that are old, as their keep policies do while queues are busy.

    Harmless when run again: it goes on where it was.

    Parameters:
        state: Whose. Default: completed and failed ones, each by its own default age.
        older_than: How long ago they ended, in milliseconds. Default: 86,400,000 (a day) for
            completed ones, 172,800,000 for failed ones.
        limit: At most so many of each queue and state.
        queue: Default: all that `CleanedQueues` names.

    Raises:
        UnusableInputError: The queue is none of those.
    """
    removed: dict[str, int] = {}
    more = []
    handles = queues.chosen(queue)
    for number, handle in enumerate(handles):
        for each, age_ms in (("completed", DAY_MS), ("failed", 2 * DAY_MS)):
            if state not in (None, each):
                continue
            age_s = (age_ms if older_than is None else older_than) / 1000
            gone = await handle.clean(each, older_than=age_s, limit=limit)
            removed[handle.name] = removed.get(handle.name, 0) + len(gone)
            if len(gone) >= limit and handle.name not in more:
                more.append(handle.name)
        ctx.progress(100 * (number + 1) // len(handles))
    return JobsCleaned(removed=removed, more=more)
