"""Totals in SQLite or PostgreSQL, by SQLAlchemy.

Two tables, the family `totals` of `services/records`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from toril.core.clock import moment
from toril.services.totals.adding import summed
from toril.services.totals.port import MAX_TOTALS, JobTotal, LastError
from toril.services.totals.tables import COUNTS, RUNS, TOTALS

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
    from toril.services.records.upserts import insert
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("totals in a database need SQLAlchemy", "records") from error

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

_KEY = ("queue", "type", "tenant_id")
_SUMS = ("completed", "failed", "retried", "run_ms")
_ERROR = ("error", "error_job_id", "error_at_ms")
_ROWS = 500
"""Rows of one statement: SQLite takes 32,766 values, and each row has up to ten."""


class SqlTotals:
    """Fulfils `Totals`, in a database that is opened when it is first asked.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one:
            `sqlite:///totals.db` or `postgresql://user:password@host/database`.

    Raises:
        InvalidOptionError: The URL cannot be read, or is of another kind of database.
    """

    def __init__(self, database: Records | str) -> None:
        self._owns = isinstance(database, str)
        self._records = Records(database) if isinstance(database, str) else database

    async def add(self, counted: Sequence[JobTotal]) -> None:
        """Add what was counted: see `Totals.add`."""
        if not counted:
            return
        by_key: dict[tuple[str, str, str], list[JobTotal]] = {}
        for one in counted:
            by_key.setdefault((one.queue, one.type, one.tenant_id or ""), []).append(one)
        # In one order everywhere: two processes that add the same rows do not wait for each other.
        totals = {key: reduce(summed, by_key[key]) for key in sorted(by_key)}
        counts = [_count_row(key, one) for key, one in totals.items()]
        runs = [
            {**dict(zip(_KEY, key, strict=True)), "bucket": bucket, "many": one.runs[bucket]}
            for key, one in totals.items()
            for bucket in sorted(one.runs)
        ]
        await self._records.prepare(TOTALS)
        async with self._records.begin() as connection:
            for table, rows in ((COUNTS, counts), (RUNS, runs)):
                for first in range(0, len(rows), _ROWS):
                    await connection.execute(self._adding(table, rows[first : first + _ROWS]))

    async def read(self, queue: str, *, tenant_id: str | None = None) -> Sequence[JobTotal]:
        """Return totals: see `Totals.read`."""
        await self._records.prepare(TOTALS)
        async with self._records.reading() as connection:
            counts = (
                await connection.execute(_of(COUNTS, queue, tenant_id).limit(MAX_TOTALS))
            ).all()
            runs = (await connection.execute(_of(RUNS, queue, tenant_id))).all()
        buckets: dict[tuple[str, str], dict[int, int]] = {}
        for row in runs:
            buckets.setdefault((row.type, row.tenant_id), {})[row.bucket] = row.many
        found = [_total(row, buckets.get((row.type, row.tenant_id), {})) for row in counts]
        # Databases sort texts by rules of their own.
        return sorted(found, key=lambda one: (one.type, one.tenant_id or ""))

    async def close(self) -> None:
        """Close all connections, if they are its own. It may be used again."""
        if self._owns:
            await self._records.close()

    def _adding(
        self, table: sa.Table, rows: list[dict[str, Any]]
    ) -> sqlite.Insert | postgresql.Insert:
        statement = insert(self._records.kind, table, rows)
        new, old = statement.excluded, table.c
        if table is RUNS:
            return statement.on_conflict_do_update(
                index_elements=[*_KEY, "bucket"], set_={"many": old.many + new.many}
            )
        is_later = new.error_at_ms >= sa.func.coalesce(old.error_at_ms, 0)
        changed: dict[str, Any] = {name: old[name] + new[name] for name in _SUMS}
        changed |= {name: sa.case((is_later, new[name]), else_=old[name]) for name in _ERROR}
        return statement.on_conflict_do_update(index_elements=_KEY, set_=changed)


def _of(table: sa.Table, queue: str, tenant_id: str | None) -> sa.Select[Any]:
    query = sa.select(table).where(table.c.queue == queue)
    return query if tenant_id is None else query.where(table.c.tenant_id == tenant_id)


def _count_row(key: Sequence[str], one: JobTotal) -> dict[str, Any]:
    last = one.last_error
    return {
        **dict(zip(_KEY, key, strict=True)),
        **{name: getattr(one, name) for name in _SUMS},
        "error": None if last is None else last.message,
        "error_job_id": None if last is None else last.job_id,
        "error_at_ms": None if last is None else round(last.at.timestamp() * 1000),
    }


def _total(row: sa.Row[Any], runs: Mapping[int, int]) -> JobTotal:
    last = None
    if row.error_at_ms is not None:
        last = LastError(message=row.error, job_id=row.error_job_id, at=moment(row.error_at_ms))
    return JobTotal(
        queue=row.queue,
        type=row.type,
        tenant_id=row.tenant_id or None,
        **{name: getattr(row, name) for name in _SUMS},
        runs=runs,
        last_error=last,
    )
