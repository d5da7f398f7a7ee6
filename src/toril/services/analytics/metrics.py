"""The metrics that come with Toril: functions of a connection and a stretch of time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import AsyncConnection
except ImportError as error:
    raise missing_extra("analytics need SQLAlchemy", "records") from error

from toril.services.analytics.tables import EVENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """Whose events count. None: everybody's."""

    user_id: str | None = None
    shop_id: str | None = None
    product_id: str | None = None


EVERYTHING = Only()


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in milliseconds since 1970."""

    start_ms: int
    end_ms: int
    """The first that is not in it."""
    only: Only = EVERYTHING
    """Whose events count."""


Metric = Callable[[AsyncConnection, Span], Awaitable[float | None]]
"""Computes one figure. None: there is none, such as a share of nothing."""
_HEEDING: WeakSet[Metric] = WeakSet()


def heeds_only(metric: Metric) -> Metric:
    """Say that a metric heeds `Span.only`; return it. Those of this module do."""
    _HEEDING.add(metric)
    return metric


def is_heeding(metric: Metric) -> bool:
    """Whether a metric heeds `Span.only`."""
    return metric in _HEEDING


def count_of(kind: str) -> Metric:
    """Return a metric: how many events of a kind there were."""

    @heeds_only
    async def count(connection: AsyncConnection, span: Span) -> float:
        return float(await _scalar(connection, sa.func.count(), kind, span) or 0)

    return count


def users_of(*kinds: str) -> Metric:
    """Return a metric: how many different users there were. No kind: of all events."""

    @heeds_only
    async def users(connection: AsyncConnection, span: Span) -> float:
        query = sa.select(sa.func.count(sa.distinct(EVENTS.c.user_id))).where(_in(span))
        if kinds:
            query = query.where(EVENTS.c.kind.in_(kinds))
        return float((await connection.execute(query)).scalar_one())

    return users


def sum_of(kind: str, currency: str) -> Metric:
    """Return a metric: the amounts of events of a kind in one currency, in its smallest unit."""

    @heeds_only
    async def total(connection: AsyncConnection, span: Span) -> float:
        found = await _scalar(
            connection, sa.func.sum(EVENTS.c.amount_minor), kind, span,
            EVENTS.c.currency == currency,
        )  # fmt: skip
        return float(found or 0)

    return total


def mean_of(kind: str, currency: str) -> Metric:
    """Return a metric: the mean of the amounts of `sum_of`."""

    @heeds_only
    async def mean(connection: AsyncConnection, span: Span) -> float | None:
        ours = EVENTS.c.currency == currency
        total = await _scalar(connection, sa.func.sum(EVENTS.c.amount_minor), kind, span, ours)
        many = await _scalar(connection, sa.func.count(), kind, span, ours)
        return float(total) / many if many else None

    return mean


def ratio_of(part: Metric, whole: Metric) -> Metric:
    """Return a metric: one divided by another."""

    async def ratio(connection: AsyncConnection, span: Span) -> float | None:
        below = await whole(connection, span)
        above = await part(connection, span)
        return None if not below or above is None else above / below

    return heeds_only(ratio) if is_heeding(part) and is_heeding(whole) else ratio


def percentile_of(kind: str, percent: int) -> Metric:
    """Return a metric: the duration that `percent` of the events of a kind did not exceed, in ms.

    Source:
        The nearest-rank definition of a percentile.
    """

    @heeds_only
    async def percentile(connection: AsyncConnection, span: Span) -> float | None:
        timed = EVENTS.c.duration_ms.is_not(None)
        many = await _scalar(connection, sa.func.count(), kind, span, timed)
        if not many:
            return None
        rank = -(-many * percent // 100)  # rounded up
        query = (
            sa.select(EVENTS.c.duration_ms)
            .where(EVENTS.c.kind == kind, _in(span), timed)
            .order_by(EVENTS.c.duration_ms)
            .offset(rank - 1)
            .limit(1)
        )
        return float((await connection.execute(query)).scalar_one())

    return percentile


def failed_of(kind: str) -> Metric:
    """Return a metric: the share of events of a kind that failed, 0 to 1."""

    @heeds_only
    async def failed(connection: AsyncConnection, span: Span) -> float:
        bad = EVENTS.c.failed.is_(True)
        return float(await _scalar(connection, sa.func.count(), kind, span, bad))

    return ratio_of(failed, count_of(kind))


def shipped_metrics(currency: str) -> Mapping[str, Metric]:
    """Return the metrics that come with Toril, by name.

    Parameters:
        currency: What `revenue` and `average_order_value` count; other currencies are left out.
    """
    return {
        "page_views": count_of("page_view"),
        "product_views": count_of("product_view"),
        "purchases": count_of("purchase"),
        "user_registrations": count_of("user_registration"),
        "referral_clicks": count_of("referral_click"),
        "active_users": users_of(),
        "conversion_rate": ratio_of(users_of("purchase"), users_of("page_view")),
        "revenue": sum_of("purchase", currency),
        "average_order_value": mean_of("purchase", currency),
        "request_p50_ms": percentile_of("request", 50),
        "request_p95_ms": percentile_of("request", 95),
        "request_p99_ms": percentile_of("request", 99),
        "request_error_ratio": failed_of("request"),
        "job_p50_ms": percentile_of("job", 50),
        "job_p95_ms": percentile_of("job", 95),
        "job_p99_ms": percentile_of("job", 99),
        "job_error_ratio": failed_of("job"),
    }


async def _scalar(
    connection: AsyncConnection,
    what: sa.ColumnElement[Any],
    kind: str,
    span: Span,
    *holds: sa.ColumnElement[bool],
) -> Any:
    query = sa.select(what).select_from(EVENTS).where(EVENTS.c.kind == kind, _in(span), *holds)
    return (await connection.execute(query)).scalar_one()


def _in(span: Span) -> sa.ColumnElement[bool]:
    only = [
        column == value
        for column, value in (
            (EVENTS.c.user_id, span.only.user_id),
            (EVENTS.c.shop_id, span.only.shop_id),
            (EVENTS.c.product_id, span.only.product_id),
        )
        if value is not None
    ]
    return sa.and_(EVENTS.c.at_ms >= span.start_ms, EVENTS.c.at_ms < span.end_ms, *only)
