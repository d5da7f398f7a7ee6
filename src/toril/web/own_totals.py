"""Shows totals of jobs by type and tenant: as a route of an application's own, and as metrics.

```python
serve_totals(routes, totals, queue="jobs", path="/queue")  # GET /queue/totals
app.metrics(totals_metrics(totals, "jobs"))
```
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from toril.library.job_totals import JobTotals, took
from toril.observability.figures import Figures
from toril.observability.prometheus import Metric, MetricSample
from toril.services.totals.port import JobTotal
from toril.web.access.port import Permission
from toril.web.own_routes import Answer, OwnCall, OwnRoutes

MAX_SERIES = 1000
"""Types and tenants that metrics tell apart: those with the most attempts."""


def serve_totals(routes: OwnRoutes, totals: JobTotals, *, queue: str, path: str = "") -> None:
    """Add `GET …/totals`: what each type did, and each type for each tenant.

    A caller that belongs to a tenant sees what was done for that tenant. Times are in milliseconds.

    Parameters:
        routes: Where to add it.
        totals: What is shown.
        queue: Of which queue.
        path: Where it is, such as `/queue`.
    """

    async def answer(call: OwnCall) -> Answer:
        found = await totals.of_tenants(queue, tenant_id=call.tenant)
        return {
            "types": [_shown(one) for one in totals.by_type(found)],
            "tenants": [{"tenantId": one.tenant_id, **_shown(one)} for one in found],
        }

    routes.on("GET", f"{path}/totals", Permission.READ)(answer)


def totals_metrics(totals: JobTotals, queue: str) -> Callable[[Figures], Awaitable[list[Metric]]]:
    """Return a collector for `App.metrics`.

    It tells `toril_tenant_jobs_total` by queue, type, tenant and outcome, and
    `toril_tenant_job_seconds` by quantile (0.5 and 0.95).
    """

    async def collect(_: Figures) -> list[Metric]:
        found = await totals.of_tenants(queue)
        found.sort(key=_attempts, reverse=True)
        counts, lengths = [], []
        for one in found[:MAX_SERIES]:
            labels = {"queue": queue, "type": one.type, "tenant": one.tenant_id or ""}
            for outcome in ("completed", "failed", "retried"):
                many = float(getattr(one, outcome))
                counts.append(MetricSample({**labels, "outcome": outcome}, many))
            spent = took(one)
            for quantile, length_s in (("0.5", spent.p50_s), ("0.95", spent.p95_s)):
                if length_s is not None:
                    lengths.append(MetricSample({**labels, "quantile": quantile}, length_s))
        return [
            Metric("toril_tenant_jobs_total", "counter", "Attempts of a tenant's jobs", counts),
            Metric("toril_tenant_job_seconds", "gauge", "How long they ran", lengths),
        ]

    return collect


def _shown(one: JobTotal) -> dict[str, Any]:
    spent, last = took(one), one.last_error
    return {
        "type": one.type,
        "completed": one.completed,
        "failed": one.failed,
        "retried": one.retried,
        "p50": _ms(spent.p50_s),
        "p95": _ms(spent.p95_s),
        "lastError": None
        if last is None
        else {"message": last.message, "jobId": last.job_id, "at": last.at},
    }


def _ms(length_s: float | None) -> float | None:
    return None if length_s is None else round(length_s * 1000, 1)


def _attempts(one: JobTotal) -> int:
    return one.completed + one.failed + one.retried
