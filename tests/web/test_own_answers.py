"""What an application's own routes answer beside jobs: totals, notices, and the envelope."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from toril import App
from toril.library.job_totals import JobTotals
from toril.observability.figures import Figures
from toril.services.notices.memory import MemoryNotices
from toril.services.notices.port import Notice
from toril.services.totals.memory import MemoryTotals
from toril.services.totals.port import JobTotal, LastError
from toril.web import own_totals
from toril.web.access.control import AccessControl
from toril.web.access.tenants import TenantKeys
from toril.web.job_api import serve_jobs
from toril.web.job_manager import QueueJobs
from toril.web.own_envelope import in_envelope
from toril.web.own_notices import serve_notices
from toril.web.own_options import read_options
from toril.web.own_routes import OwnRoutes
from toril.web.own_totals import serve_totals, totals_metrics

JO, OPERATOR = "key-of-jo-of-acme-1", "key-of-the-operator"
KEYS = f"{JO}=submitter:acme:jo, {OPERATOR}=operator"
NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FIGURES = Figures(queues=[], workers=[])


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with App("sqlite://:memory:") as made:
        yield made


@pytest.fixture
async def totals() -> JobTotals:
    kept = MemoryTotals()
    error = LastError(message="no room", job_id="7", at=NOON)
    await kept.add(
        [
            JobTotal(
                queue="jobs", type="mail", tenant_id="acme", completed=3, failed=1, retried=2,
                run_ms=600, runs={12: 3, 16: 3}, last_error=error,
            ),
            JobTotal(queue="jobs", type="mail", tenant_id="globex", completed=9, runs={4: 9}),
            JobTotal(queue="jobs", type="note", completed=1),
            JobTotal(queue="others", type="mail", tenant_id="acme", completed=99),
        ]
    )  # fmt: skip
    return JobTotals(kept)


def routes_of(app: App, **more: Any) -> OwnRoutes:
    keys = TenantKeys.from_environment("API_KEYS", {"API_KEYS": KEYS})
    return OwnRoutes(AccessControl(app, host_users=keys), queue="jobs", **more)


async def ask(
    routes: OwnRoutes, path: str, key: str, method: str = "GET", body: Any = None
) -> httpx.Response:
    web = Starlette(routes=routes.made("/api"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(web),
        base_url="http://localhost",
        headers={"Authorization": f"Bearer {key}"},
    ) as http:
        return await http.request(method, f"/api{path}", json=body)


async def test_totals_are_of_all_for_operators_and_own_for_tenants(
    app: App, totals: JobTotals
) -> None:
    routes = routes_of(app)
    serve_totals(routes, totals, queue="jobs", path="/queue")

    every = (await ask(routes, "/queue/totals", OPERATOR)).json()
    own = (await ask(routes, "/queue/totals", JO)).json()

    assert [(one["tenantId"], one["type"]) for one in every["tenants"]] == [
        ("acme", "mail"), ("globex", "mail"), (None, "note"),
    ]  # fmt: skip
    assert [(one["type"], one["completed"]) for one in every["types"]] == [
        ("mail", 12), ("note", 1),
    ]  # fmt: skip
    assert every["tenants"][2]["p50"] is None
    assert own["tenants"] == [
        {
            "tenantId": "acme", "type": "mail", "completed": 3, "failed": 1, "retried": 2,
            "p50": 64.0, "p95": 256.0,
            "lastError": {"message": "no room", "jobId": "7", "at": "2026-11-29T12:00:00Z"},
        }
    ]  # fmt: skip
    assert [one["completed"] for one in own["types"]] == [3]
    assert (await ask(routes, "/queue/totals", "nobody-of-all-000")).status_code == 401


async def test_metrics_have_each_tenant_and_the_busiest_first(
    totals: JobTotals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_totals, "MAX_SERIES", 2)

    counts, lengths = await totals_metrics(totals, "jobs")(FIGURES)

    acme = {"queue": "jobs", "type": "mail", "tenant": "acme"}
    assert counts.name == "toril_tenant_jobs_total"
    assert {one.labels["tenant"] for one in counts.samples} == {"acme", "globex"}
    assert {
        one.labels["outcome"]: one.value for one in counts.samples if one.labels["tenant"] == "acme"
    } == {"completed": 3.0, "failed": 1.0, "retried": 2.0}
    assert lengths.name == "toril_tenant_job_seconds"
    ours = [one for one in lengths.samples if one.labels["tenant"] == "acme"]
    assert [(one.labels, one.value) for one in ours] == [
        ({**acme, "quantile": "0.5"}, 0.064), ({**acme, "quantile": "0.95"}, 0.256),
    ]  # fmt: skip


async def test_notices_are_those_of_the_keys_user(app: App) -> None:
    notices = MemoryNotices()
    for number, (tenant, user) in enumerate((("acme", "jo"), ("acme", "flo"), ("globex", "jo"))):
        await notices.add(
            Notice(
                id=f"n{number}", tenant_id=tenant, user_id=user, title="T", body="B",
                type="warning", metadata={"a": 1},
            )
        )  # fmt: skip
    routes = routes_of(app)
    serve_notices(routes, notices)

    found = (await ask(routes, "/notifications", JO)).json()["notifications"]

    (one,) = found
    assert one.pop("createdAt")
    assert one == {
        "id": "n0", "type": "warning", "title": "T", "body": "B", "metadata": {"a": 1},
        "readAt": None,
    }  # fmt: skip


def test_envelope_lifts_the_message_and_keeps_the_rest() -> None:
    error = {"error": {"code": "invalid", "message": "no"}}

    assert in_envelope(201, {"jobId": "1", "message": "Job added"}) == {
        "success": True, "message": "Job added", "data": {"jobId": "1"},
    }  # fmt: skip
    assert in_envelope(200, {"a": 1}) == {"success": True, "data": {"a": 1}}
    assert in_envelope(400, error) == {"success": False, "error": "no", "details": error["error"]}


async def test_answers_about_jobs_have_the_names_that_other_clients_know(app: App) -> None:
    def read(options: Any) -> Any:
        return read_options(options, most_urgent=20, priority=5, wire=lambda given: 21 - given)

    manager = QueueJobs(app.queue("jobs"), types=["note"], read_options=read)
    await manager.initialize()
    routes = routes_of(app, enveloped=True)
    serve_jobs(routes, manager)
    body = {"type": "note", "data": {"a": 1}, "options": {"jobId": "n1"}}

    async def told(method: str, path: str, body: Any = None) -> Any:
        answer = await ask(routes, path, OPERATOR, method, body)
        return answer.status_code, answer.json()

    added_status, added = await told("POST", "/jobs", body)
    known_status, known = await told("POST", "/jobs", body)
    _, job = await told("GET", "/jobs/n1")
    _, paused = await told("POST", "/pause", {})
    _, stats = await told("GET", "/stats")
    _, resumed = await told("POST", "/resume", {})
    _, removed = await told("DELETE", "/jobs/n1")
    _, cleaned = await told("POST", "/clean/failed", {})
    _, again = await told("GET", "/stats")

    assert (added_status, known_status) == (201, 200)
    assert (added["message"], known["message"]) == ("Job added", "Job is there already")
    assert (added["data"]["queueName"], added["data"]["addedAt"]) == (
        "jobs", added["data"]["createdAt"],
    )  # fmt: skip
    assert (job["data"]["status"], job["data"]["attempts"]) == ("waiting", 0)
    assert (paused["message"], resumed["message"]) == ("Queue jobs paused", "Queue jobs resumed")
    assert (stats["data"]["total"], stats["data"]["paused"], stats["data"]["waiting"]) == (1, 1, 1)
    assert again["data"]["paused"] == 0
    assert removed == {"success": True, "message": "Job removed", "data": {"removed": True}}
    assert cleaned["message"] == "Removed 0 jobs of jobs"
    assert cleaned["data"] == {"removed": 0, "more": False, "cleanedJobs": 0}
