"""Events and figures in SQLite or PostgreSQL, by SQLAlchemy: the family `analytics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from toril.core.checks import require, unknown
from toril.core.clock import Clock, SystemClock, moment
from toril.services.analytics.metrics import (
    EVERYTHING,
    Metric,
    Only,
    Span,
    is_heeding,
    shipped_metrics,
)
from toril.services.analytics.tables import ANALYTICS, EVENTS, FIGURES, FILTERED_FIGURES
from toril.services.unusable import UnusableInputError, named

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("analytics need SQLAlchemy", "records") from error

PART_ROWS = 1000
"""Of one statement: SQLite takes 32,766 values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened."""

    id: str
    """The same event twice is one."""
    kind: str
    """`page_view`, `purchase`, `request`, `job`, or a kind of the app's own."""
    at: datetime
    """When; aware."""
    user_id: str | None = None
    amount_minor: int | None = None
    """Of a purchase, in the currency's smallest unit."""
    currency: str | None = None
    duration_ms: int | None = None
    """Of a request or job."""
    failed: bool | None = None
    shop_id: str | None = None
    product_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric in one bucket."""

    metric: str
    type: str
    start: datetime
    end: datetime
    """The first moment that is not in it."""
    value: float | None
    """None: there is none, such as a share of nothing."""


class Analytics:
    """Stores events, and figures that metrics make of them.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one:
            `sqlite:///shop.db` or `postgresql://user:password@host/database`.
        currency: What `revenue` and `average_order_value` count.
        metrics: More metrics by name, or others in place of those that come with Toril.
        clock: When figures were computed.

    Raises:
        InvalidOptionError: The URL cannot be read, or a metric's name is too long.
    """

    def __init__(
        self,
        database: Records | str,
        *,
        currency: str = "USD",
        metrics: Mapping[str, Metric] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._owns = isinstance(database, str)
        self._records = Records(database) if isinstance(database, str) else database
        self._metrics = {**shipped_metrics(currency), **(metrics or {})}
        for name in self._metrics:
            require(1 <= len(name) <= 64, "metrics", name, "names of 1 to 64 characters")
        self._clock = clock or SystemClock()

    @property
    def metrics(self) -> Sequence[str]:
        """The names of all metrics, sorted."""
        return sorted(self._metrics)

    def metrics_of(self, only: Only) -> Sequence[str]:
        """Return the names of metrics that can be computed of some events only, sorted."""
        if only == EVERYTHING:
            return self.metrics
        return [name for name in self.metrics if is_heeding(self._metrics[name])]

    def check(self, names: Sequence[str], only: Only = EVERYTHING) -> None:
        """Refuse metrics that are not registered, or not to be had of some events only.

        Raises:
            UnusableInputError: With the name and those that are known.
        """
        for name in names:
            if name not in self._metrics:
                known = ", ".join(self.metrics)
                near = unknown("metric", name, self._metrics)
                raise UnusableInputError(named("metric", name), f"{near}; known are {known}")
            if name not in self.metrics_of(only):
                raise UnusableInputError(
                    named("metric", name),
                    "it knows figures of everything only: leave out the"
                    " filters, or mark it with heeds_only",
                )

    async def add(self, *events: Event) -> int:
        """Store events, all or none; return how many are new."""
        rows = [
            {
                "id": one.id,
                "kind": one.kind,
                "at_ms": round(one.at.timestamp() * 1000),
                "user_id": one.user_id,
                "amount_minor": one.amount_minor,
                "currency": one.currency,
                "duration_ms": one.duration_ms,
                "failed": one.failed,
                "shop_id": one.shop_id,
                "product_id": one.product_id,
            }
            for one in events
        ]
        await self._records.prepare(ANALYTICS)
        new = 0
        async with self._records.begin() as connection:
            for start in range(0, len(rows), PART_ROWS):
                part = rows[start : start + PART_ROWS]
                adding = self._records.insert_missing(EVENTS, part).returning(EVENTS.c.id)
                new += len((await connection.execute(adding)).all())
        return new

    async def compute(self, names: Sequence[str], type_: str, span: Span) -> None:
        """Compute metrics of one bucket, and store a row for each in place of one that is there.

        With `span.only` the rows are beside those of everything.

        Raises:
            UnusableInputError: A metric is not registered, or does not heed `span.only`.
        """
        self.check(names, span.only)
        table, whose = _table(span.only)
        await self._records.prepare(ANALYTICS)
        rows = []
        async with self._records.reading() as connection:
            for name in dict.fromkeys(names):
                value = await self._metrics[name](connection, span)
                rows.append(
                    {
                        **whose,
                        "metric": name,
                        "type": type_,
                        "start_ms": span.start_ms,
                        "end_ms": span.end_ms,
                        "value": value,
                        "computed_at_ms": self._clock.now_ms(),
                    }
                )
        async with self._records.begin() as connection:
            await connection.execute(self._records.upsert(table, rows))

    async def figures(
        self, metric: str, type_: str, *, start: datetime, end: datetime, only: Only = EVERYTHING
    ) -> Sequence[Figure]:
        """Return the figures of a metric whose buckets begin in a stretch of time, oldest first.

        Parameters:
            metric: Which.
            type_: `hourly`, `daily`, `weekly` or `monthly`.
            start: The first moment; aware.
            end: The first moment after it; aware.
            only: Whose.
        """
        table, whose = _table(only)
        columns = table.c
        query = (
            sa.select(table)
            .where(
                *(columns[name] == value for name, value in whose.items()),
                columns.metric == metric,
                columns.type == type_,
                columns.start_ms >= round(start.timestamp() * 1000),
                columns.start_ms < round(end.timestamp() * 1000),
            )
            .order_by(columns.start_ms, columns.end_ms)
        )
        await self._records.prepare(ANALYTICS)
        async with self._records.reading() as connection:
            found = (await connection.execute(query)).mappings().all()
        return [
            Figure(
                metric=row["metric"],
                type=row["type"],
                start=moment(row["start_ms"]),
                end=moment(row["end_ms"]),
                value=row["value"],
            )
            for row in found
        ]

    async def close(self) -> None:
        """Close all connections, if they are its own. It may be used again."""
        if self._owns:
            await self._records.close()


def _table(only: Only) -> tuple[sa.Table, dict[str, str]]:
    """Return where figures are, and the columns that say whose they are."""
    if only == EVERYTHING:
        return FIGURES, {}
    return FILTERED_FIGURES, {name: value or "" for name, value in asdict(only).items()}
