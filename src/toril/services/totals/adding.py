"""Adds two totals up. Pure."""

from __future__ import annotations

from collections import Counter

from toril.services.totals.port import JobTotal, LastError


def summed(one: JobTotal, other: JobTotal) -> JobTotal:
    """Return both together, under the queue, type and tenant of the first."""
    return JobTotal(
        queue=one.queue,
        type=one.type,
        tenant_id=one.tenant_id,
        completed=one.completed + other.completed,
        failed=one.failed + other.failed,
        retried=one.retried + other.retried,
        run_ms=one.run_ms + other.run_ms,
        runs=Counter(one.runs) + Counter(other.runs),
        last_error=_later(one.last_error, other.last_error),
    )


def _later(one: LastError | None, other: LastError | None) -> LastError | None:
    if one is None or other is None:
        return other if one is None else one
    return other if other.at >= one.at else one
