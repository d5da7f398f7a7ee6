"""Adds watermark jobs, for many media at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

from toril.engine.handle import Job
from toril.library.images.watermark_payloads import Position, WatermarkResult
from toril.library.images.watermark_tasks import watermark
from toril.tasks.task import Task

T = TypeVar("T", bound=Task[..., Any])


class Adding(Protocol):
    """What is needed of an app."""

    def bound(self, task: T) -> T:
        """Return the app's own task of one that a bundle declares."""
        ...


class WatermarkService:
    """Adds jobs of `images.watermark`.

    Parameters:
        app: Has the task, by `app.include(watermarks)`.
        task: What the jobs are of, such as a binding. Default: the app's own task.
    """

    def __init__(self, app: Adding, *, task: Task[..., Any] | None = None) -> None:
        self._task: Task[..., Any] = app.bound(watermark) if task is None else task

    async def apply_batch(
        self,
        media_ids: Iterable[str],
        *,
        watermark_id: str,
        position: Position,
        opacity: float,
        scale: float,
        variants: Sequence[str] | None = None,
    ) -> Sequence[Job[WatermarkResult]]:
        """Add a job for each media, in one call. A media that is named twice gets one job.

        Raises:
            InvalidPayloadError: A figure is out of its range, or there is no such position.
        """
        mark: dict[str, Any] = {"watermark_id": watermark_id, "position": position}
        mark |= {"opacity": opacity, "scale": scale}
        if variants is not None:
            mark["variants"] = list(variants)
        each = dict.fromkeys(media_ids)
        return await self._task.enqueue_many([{"media_id": one, **mark} for one in each])
