"""What operators of the SaaS API see: totals of each type, alerts, findings; and limits by type."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.examples.saas_api.conftest import Start
from tests.examples.saas_api.saas import ACME, GLOBEX, OPERATOR, ROOT, System
from tests.support.http_server import Answer, Request, serving
from tests.support.node import Node
from tests.support.redis_server import RedisServer
from tests.support.smtp_server import Inbox
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)
NOTE = {"title": "T", "body": "B"}


async def toril(system: System, *arguments: str) -> tuple[int, str]:
    """Run a command over the system's store; return its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "toril", *arguments, "--url", system.store),
        cwd=ROOT,
        env=system.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_totals_of_each_type_are_there_by_rest_and_as_metrics(start: Start) -> None:
    system = await start()
    for _ in range(3):
        await system.done("USER_NOTIFICATION", NOTE)
    mail = {"to": "u@example.com", "subject": "S", "template": "nothing"}
    failed = await system.ended(await system.submit("EMAIL_SEND", mail))

    async def total(kind: str) -> dict[str, Any]:
        path = f"/api/toril/v1/queues/jobs/history?task={kind}&since_s=3600"
        answer = await system.ask("GET", path, key=OPERATOR)
        found: dict[str, Any] = answer.json()["total"]
        return found

    async def are_counted() -> bool:
        await asyncio.sleep(0.2)
        done, lost = await total("USER_NOTIFICATION"), await total("EMAIL_SEND")
        return bool(done["completed"] == 3 and lost["failed"] == 1)

    await wait_until(are_counted, what="the history to have them")
    notes = await total("USER_NOTIFICATION")
    metrics = await system.ask("GET", "/api/toril/v1/metrics", key=OPERATOR)

    assert failed["state"] == "failed"
    assert notes["failed"] == 0
    assert 0 < notes["run"]["p50_s"] <= notes["run"]["p95_s"]
    assert metrics.status_code == 200
    lines = [line for line in metrics.text.splitlines() if "USER_NOTIFICATION" in line]
    assert any('queue="jobs"' in line for line in lines), metrics.text[:3000]


async def test_totals_by_type_and_tenant_are_there_by_rest_and_as_metrics(start: Start) -> None:
    system = await start(workers=2)
    mail = {"to": "u@example.com", "subject": "S", "template": "nothing"}
    for key, many in ((ACME, 3), (GLOBEX, 2)):
        for _ in range(many):
            await system.ended(await system.submit("USER_NOTIFICATION", NOTE, key=key))
    lost = await system.ended(await system.submit("EMAIL_SEND", mail))

    async def totals(key: str) -> dict[str, Any]:
        answer = await system.ask("GET", "/api/queue/totals", key=key)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def are_counted() -> bool:
        found = (await totals(OPERATOR))["types"]
        return bool(sum(one["completed"] + one["failed"] for one in found) == 6)

    await wait_until(are_counted, what="all of them to be counted", deadline_s=60)
    found, ours, theirs = await totals(OPERATOR), await totals(ACME), await totals(GLOBEX)
    metrics = (await system.ask("GET", "/api/toril/v1/metrics", key=OPERATOR)).text

    by_type = {one["type"]: one for one in found["types"]}
    assert (by_type["USER_NOTIFICATION"]["completed"], by_type["EMAIL_SEND"]["failed"]) == (5, 1)
    for one in found["types"]:
        assert 0 < one["p50"] <= one["p95"]
    error = by_type["EMAIL_SEND"]["lastError"]
    assert (error["jobId"], error["message"]) == (lost["jobId"], lost["failedReason"])
    assert by_type["USER_NOTIFICATION"]["lastError"] is None
    shown = [(one["tenantId"], one["type"], one["completed"]) for one in found["tenants"]]
    assert shown == [
        ("acme", "EMAIL_SEND", 0), ("acme", "USER_NOTIFICATION", 3),
        ("globex", "USER_NOTIFICATION", 2),
    ]  # fmt: skip
    assert ours["tenants"] == found["tenants"][:2]
    assert theirs["tenants"] == found["tenants"][2:]
    assert [(one["type"], one["completed"]) for one in theirs["types"]] == [
        ("USER_NOTIFICATION", 2)
    ]
    lines = [line for line in metrics.splitlines() if "globex" in line]
    assert any(
        line.startswith("toril_tenant_jobs_total{") and line.endswith("} 2.0") for line in lines
    ), lines
    assert any('quantile="0.95"' in line for line in lines)


async def test_type_with_a_limit_leaves_slots_to_others(start: Start) -> None:
    system = await start(workers=0, QUEUE_TYPE_LIMITS="CACHE_WARM:1")
    await system.worker(QUEUE_CONCURRENCY="2")
    is_open = False

    def gate(_: Request) -> Answer:
        return Answer(body=b"v") if is_open else Answer(hangs=True)

    async with serving(gate) as server:
        held = [
            await system.submit(
                "CACHE_WARM",
                {"cacheKey": f"cache:{turn}", "dataSource": server.url(f"/{turn}")},
                removeOnComplete=False,
            )
            for turn in range(3)
        ]
        await wait_until(lambda: bool(server.requests), what="one of them to run")
        await system.done("USER_NOTIFICATION", NOTE)  # has a slot, though three jobs came before
        jobs = [await system.job(job_id) for job_id in held]
        asked = len(server.requests)

    assert asked == 1
    assert [job["attemptsMade"] for job in jobs] == [0, 0, 0]
    assert all(job["failedReason"] is None for job in jobs)


async def test_high_failure_rate_is_told_by_mail(start: Start, inbox: Inbox) -> None:
    system = await start(SMTP_URL=inbox.url, ALERT_EMAIL_TO="ops@example.com")
    mail = {"to": "u@example.com", "subject": "S", "template": "nothing"}
    ids = [await system.submit("EMAIL_SEND", mail) for _ in range(25)]
    for job_id in ids:
        await system.ended(job_id)

    def told() -> list[str]:
        return [
            str(one["Subject"])
            for one, to in zip(inbox.mails, inbox.to, strict=False)
            if to == ["ops@example.com"]
        ]

    await wait_until(lambda: any("error" in one for one in told()), what="the alert's mail")
    alerts = await system.ask("GET", "/api/toril/v1/alerts", key=OPERATOR)
    raised = [one for one in alerts.json()["alerts"] if one["rule"] == "error_rate"]
    assert [(one["queue"], one["state"]) for one in raised] == [("jobs", "raised")]


async def test_doctor_says_that_nothing_is_processed(start: Start) -> None:
    system = await start(workers=0)
    await system.submit("USER_NOTIFICATION", NOTE)

    _, said = await toril(system, "doctor", "--json")

    findings = json.loads(said)["findings"]
    (found,) = [one for one in findings if one["subject"] == "queue jobs"]
    assert found["grade"] == "warning"
    assert "no worker serves the queue" in found["text"]


@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_doctor_fails_where_the_server_may_drop_jobs(start: Start, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with RedisServer.start(tmp_path / "redis", options=options) as server:
        system = System(tmp_path, server.url, {})
        code, said = await toril(system, "doctor", "--json")

    (found,) = [one for one in json.loads(said)["findings"] if one["subject"] == "eviction"]
    assert (code, found["grade"]) == (1, "error")
    assert "noeviction" in found["text"]


@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_letters_of_older_producers_stay_and_are_shown(start: Start, redis_url: str) -> None:
    system = await start(workers=1)
    letter = {
        "to": "u@x.test", "timestamp": 1758400000000, "originalJobId": "12",
        "originalJobType": "email:send", "finalError": "E", "attemptHistory": [],
        "totalAttempts": 3,
    }  # fmt: skip
    async with await Node.start(redis_url) as node:
        job_id = await node.add(
            "dead-letter", "dlq:email:send", letter, priority=10, jobId="dlq:12:1758400000000",
            attempts=1,
        )  # fmt: skip
        await system.done("USER_NOTIFICATION", NOTE)
        shown = await system.ask(
            "GET", f"/api/toril/v1/queues/dead-letter/jobs/{job_id}/data", key=OPERATOR
        )
        counts = await node.counts("dead-letter")

    assert (shown.status_code, shown.json()["value"]) == (200, letter)
    assert counts["prioritized"] == 1
