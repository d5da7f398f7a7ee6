"""Watermarks as a task: `app.include(watermarks)`, with `MediaSettings` and `WatermarkSettings`."""

from __future__ import annotations

from typing import Any, get_args

from toril.core.errors import AttemptTimeoutError
from toril.engine.context import Context
from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.images.object_copies import follow_up
from toril.library.images.settings import MediaSettings
from toril.library.images.watermark_payloads import (
    Position,
    Share,
    WatermarkJobData,
    WatermarkResult,
)
from toril.library.images.watermark_settings import WatermarkSettings
from toril.library.step_reports import step_report
from toril.services.unusable import UnusableInputError, named
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

QUEUE = "watermark"
TIMEOUT_S = 60.0
"""How long the files of one media may take, in seconds; then the process is killed."""

watermarks = TaskBundle()
"""`images.watermark` on the queue `watermark`."""


@watermarks.task(
    name="images.watermark",
    queue=QUEUE,
    run_in="process",
    any_name=True,
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(
        max_attempts=3, base_s=1.0, give_up_on=(UnusableInputError, AttemptTimeoutError)
    ),
    keep_completed=KeepPolicy(count=100),
    keep_failed=KeepPolicy(count=50),
)
def watermark(
    ctx: Context,
    media_id: str,
    watermark_id: str,
    position: Position,
    opacity: Share,
    scale: Share,
    variants: list[str] | None = None,
    *,
    settings: MediaSettings = provided(MediaSettings),
    marks: WatermarkSettings = provided(WatermarkSettings),
) -> WatermarkResult:
    """Put a mark on the files of a media; see `WatermarkJobData`.

    Harmless when run again: the mark goes on the clean files, so a second run gives the same bytes.

    Raises:
        UnusableInputError: There is no such media, variant or mark; it is not tried again. Nor is
            one that takes longer than a minute.
        OSError: The disk; it is.
        sqlalchemy.exc.SQLAlchemyError: The database; it is.
    """
    # Here: the worker itself needs no image library.
    from toril.library.images.watermarking import apply_watermark

    data = WatermarkJobData(
        media_id=media_id,
        watermark_id=watermark_id,
        position=position,
        opacity=opacity,
        scale=scale,
        variants=variants,
    )
    result = apply_watermark(data, settings, marks, report=step_report(ctx))
    if settings.sync_objects:
        follow_up(ctx, media_id)
    return result


class PublishedWatermarks:
    """Reads the payloads of producers that are out in the world: most say the media only.

    ```python
    reader = PublishedWatermarks(marks)
    app.bind("watermark", watermark, adapter=[watermark, reader.read], rename="camel")
    ```

    Parameters:
        settings: What is meant where a payload does not say it.
    """

    def __init__(self, settings: WatermarkSettings) -> None:
        self._settings = settings

    def read(
        self,
        media_id: str,
        entity_type: str | None = None,
        watermark_id: str | None = None,
        size_key: str | None = None,
        options: dict[str, Any] | None = None,
        overwrite: bool | None = None,
        variants: list[str] | None = None,
        position: str | None = None,
        opacity: float | None = None,
        scale: float | None = None,
    ) -> dict[str, Any]:
        """Return the arguments of `images.watermark`.

        Raises:
            UnusableInputError: No mark is named, and none is the default; or a value is wrong.
        """
        usual, given = self._settings, options or {}
        place: Any = position or given.get("position", usual.position)
        opacity = given.get("opacity", usual.opacity) if opacity is None else opacity
        scale = given.get("scale", usual.scale) if scale is None else scale
        if place not in get_args(Position):
            known = ", ".join(get_args(Position))
            raise UnusableInputError(named("position", str(place)), f"expected one of {known}")
        for field, value in (("opacity", opacity), ("scale", scale)):
            if not isinstance(value, int | float) or not 0.1 <= value <= 1.0:
                raise UnusableInputError(f"{field} {value!r}", "expected a number from 0.1 to 1.0")
        chosen = [size_key] if size_key else variants
        if chosen is None and usual.variants is not None:
            chosen = list(usual.variants)
        return watermark.arguments_of(
            media_id,
            watermark_id or usual.usual_id,
            place,
            opacity,
            scale,
            variants=chosen,
        )
