"""Figures as a task: `app.include(analytics)`, with `app.provide(Analytics(...))`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.analytics.buckets import buckets, last_whole, read_range, zone_of
from toril.library.analytics.payloads import AggregationResult, BucketType, DateRange
from toril.services.analytics.metrics import Only, Span
from toril.services.analytics.sql import Analytics
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 3600.0
"""How long one aggregation may take, in seconds."""
Metrics = Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

analytics = TaskBundle()
"""`analytics.aggregate` on the queue `analytics-aggregation`."""


@analytics.task(
    name="analytics.aggregate",
    queue="analytics-aggregation",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=3, base_s=10.0, give_up_on=(UnusableInputError,)),
)
async def aggregate(
    ctx: Context,
    type: BucketType,
    date_range: DateRange | None = None,
    metrics: Metrics | None = None,
    timezone: Zone = "UTC",
    user_id: Id | None = None,
    shop_id: Id | None = None,
    product_id: Id | None = None,
    *,
    store: Analytics = provided(Analytics),
) -> AggregationResult:
    """Compute one row for each metric and bucket. A second run replaces the rows.

    Parameters:
        type: `hourly`, `daily`, `weekly` (from Monday) or `monthly`.
        date_range: Which stretch of time. Default: the last bucket that was over when the job was
            due.
        metrics: Which. Default: all that are registered, with filters those that heed them.
        timezone: An IANA zone, whose days and hours they are.
        user_id: Of this user's events only; their rows are beside those of everybody's.
        shop_id: Of this shop's events only.
        product_id: Of this product's events only.

    Raises:
        UnusableInputError: A metric, zone or range makes no sense; it is not tried again.
        sqlalchemy.exc.SQLAlchemyError: The database; it is tried again.
    """
    zone = zone_of(timezone)
    only = Only(user_id=user_id, shop_id=shop_id, product_id=product_id)
    names = list(dict.fromkeys(store.metrics_of(only) if metrics is None else metrics))
    store.check(names, only)
    if date_range is None:
        start, end = last_whole(type, ctx.due_at, zone)
    else:
        start, end = read_range(date_range, zone)
    found = buckets(type, start, end, zone)
    for done, (begin, after) in enumerate(found, start=1):
        span = Span(round(begin.timestamp() * 1000), round(after.timestamp() * 1000), only)
        await store.compute(names, type, span)
        ctx.progress(100 * done // len(found))
    return AggregationResult(
        type=type,
        start=start.isoformat(),
        end=end.isoformat(),
        buckets=len(found),
        rows=len(found) * len(names),
    )
