"""What producers in the field really send to the SaaS API, added by Node's client, as it stands."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.examples.saas_api.conftest import Start
from tests.examples.saas_api.saas import OPERATOR, System
from tests.interop.samples import samples
from tests.services.pictures import photo
from tests.support.node import Node
from tests.support.relatives import BullMQ5
from tests.support.smtp_server import Inbox

pytestmark = pytest.mark.timeout(600)  # the first one installs
STAMP = 1758400000000


@pytest.fixture
async def node(redis_url: str) -> AsyncIterator[Node]:
    async with await Node.start(redis_url) as started:
        yield started


async def ended(system: System, job_id: str) -> dict[str, Any]:
    job = await system.ended(job_id)
    assert job["state"] == "completed", job["failedReason"]
    return job


@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_older_producers_are_served(
    start: Start, node: Node, inbox: Inbox, redis_prefix: str
) -> None:
    system = await start(
        workers=1, SMTP_URL=inbox.url, QUEUE_NAME="main", QUEUE_PRIORITY_WIRE="raw"
    )
    (system.files / "a.png").write_bytes(photo("hubble_deep_field.jpg"))
    old = system.folder / "data/tmp/old.tmp"
    young = system.folder / "data/tmp/young.tmp"
    for path, days in ((old, 8), (young, 6)):
        path.write_text("x")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    kept = {"removeOnComplete": False}

    mail = await node.add(
        "main",
        "email:send",
        {
            "to": "u@x.test", "subject": "S", "body": "B", "template": "welcome",
            "variables": {"name": "N"}, "timestamp": STAMP,
        },
        priority=10, jobId="email_welcome_123", **kept,
    )  # fmt: skip
    plain = await node.add(
        "main",
        "email:send",
        {"to": "v@x.test", "subject": "S", "body": "<p>B</p>", "timestamp": STAMP},
        **kept,
    )
    note = await node.add(
        "main",
        "user:notification",
        {
            "userId": "u1", "title": "T", "message": "M", "type": "info",
            "channels": ["push", "email"], "timestamp": STAMP,
        },
        delay=500, priority=5, **kept,
    )  # fmt: skip
    file = await node.add(
        "main",
        "file:process",
        {
            "fileId": "f1", "filePath": str(system.files / "a.png"), "operation": "convert",
            "options": {"targetFormat": "webp"}, "timestamp": STAMP,
        },
        **kept,
    )  # fmt: skip
    clean = await node.add(
        "main",
        "cleanup",
        {"target": "temp_files", "olderThan": 7, "pattern": "*.tmp", "timestamp": STAMP},
        attempts=1, priority=1, **kept,
    )  # fmt: skip
    warm = await node.add(
        "main",
        "cache:warm",
        {"cacheKey": "cache:a", "dataSource": "stats", "ttl": 60, "timestamp": STAMP},
        **kept,
    )
    table = await node.add(
        "main",
        "data:export",
        {"userId": "u1", "format": "json", "filters": {}, "timestamp": STAMP},
        **kept,
    )
    user = {"userId": "u1", "userName": "N", "userEmail": "w@x.test"}
    bare = await node.add(
        "main", "registration:email", user, jobId="registration-email-u1-1759", attempts=1,
        priority=1, **kept,
    )  # fmt: skip
    letter = {"jobId": "registration-email-1759-k3", "jobData": user, "maxAttempts": 1}
    enveloped = await node.add(
        "main", "registration:email", letter, jobId="registration-email-1759-k3", attempts=3, **kept
    )

    results = {}
    for name, job_id in (
        ("mail", mail), ("plain", plain), ("note", note), ("file", file), ("clean", clean),
        ("warm", warm), ("table", table), ("bare", bare), ("enveloped", enveloped),
    ):  # fmt: skip
        results[name] = (await ended(system, job_id))["result"]

    for name in ("mail", "plain", "note", "file", "clean", "warm", "table"):
        result = results[name]
        assert (name, result["success"]) == (name, True)
        own = {key: value for key, value in result.items() if key not in ("success", "data")}
        assert result["data"] == own
    assert results["mail"]["accepted"] == ["u@x.test"]
    assert results["file"]["outputPath"].endswith(".webp")
    assert (results["clean"]["removed"], old.exists(), young.exists()) == (1, False, True)
    assert results["table"]["exportType"] == "json"
    assert sorted(to for mail in inbox.to for to in mail) == [
        "u@x.test", "v@x.test", "w@x.test", "w@x.test",
    ]  # fmt: skip
    assert (await node.job("main", mail))["returnvalue"] == results["mail"]


@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_node_adds_and_works_on_the_queue_of_the_api(
    start: Start, node: Node, inbox: Inbox
) -> None:
    system = await start(workers=0, SMTP_URL=inbox.url)
    data = {"to": "u@x.test", "subject": "S", "template": "test", "tenantId": "acme"}

    await system.operate("/pause")
    assert await node.is_paused("jobs")
    await node.resume("jobs")
    assert (await system.stats())["paused"] is False

    from_node = await node.add("jobs", "EMAIL_SEND", data, priority=1)
    removed = await system.submit("EMAIL_SEND", {**data, "tenantId": "acme"})
    await node.remove("jobs", removed)
    assert (await system.ask("GET", f"/api/queue/jobs/{removed}")).status_code == 404
    worker = await system.worker()
    job = await system.ended(from_node)
    assert (job["state"], job["priority"]) == ("completed", 20)
    worker.terminate()
    await system.exit_code(worker)

    for_node = await system.submit("USER_NOTIFICATION", {"title": "T", "body": "B"}, priority=20)
    stored = await node.job("jobs", for_node)
    assert (stored["name"], stored["opts"]["priority"]) == ("USER_NOTIFICATION", 1)
    assert stored["data"] == {"userId": "jo", "title": "T", "body": "B", "tenantId": "acme"}
    told = await node.worker("jobs", {"returns": {"notificationId": "n1"}})
    job = await system.ended(for_node)
    assert (job["state"], job["result"]) == ("completed", {"notificationId": "n1"})
    await told.close()
    assert (await system.operate("/clean/completed", {"olderThan": 0}))["removed"] == 2
    assert sum((await node.counts("jobs")).values()) == 0


@pytest.mark.parametrize("store", ["redis"], indirect=True)
@pytest.mark.parametrize(("mode", "stored"), [("raw", [1, 5, 10, 20]), ("", [20, 16, 11, 1])])
async def test_priorities_are_converted_at_this_door_only(
    start: Start, node: Node, mode: str, stored: list[int]
) -> None:
    system = await start(workers=0, QUEUE_PRIORITY_WIRE=mode)
    note = {"title": "T", "body": "B"}

    ids = [
        await system.submit("USER_NOTIFICATION", note, priority=priority)
        for priority in (1, 5, 10, 20)
    ]

    jobs = [await node.job("jobs", job_id) for job_id in ids]
    shown = [(await system.job(job_id, key=OPERATOR))["priority"] for job_id in ids]
    assert [job["opts"]["priority"] for job in jobs] == stored
    assert shown == [1, 5, 10, 20]


@pytest.mark.parametrize("store", ["redis"], indirect=True)
@pytest.mark.parametrize("queue", ["main", "app-queue"])
async def test_recorded_samples_are_done_as_they_stand(
    start: Start, inbox: Inbox, redis_url: str, queue: str
) -> None:
    """Added by BullMQ 5.58, the client of these producers, with their own options."""
    system = await start(SMTP_URL=inbox.url, QUEUE_NAME=queue, QUEUE_PRIORITY_WIRE="raw")
    (system.files / "a.png").write_bytes(photo("hubble_deep_field.jpg"))
    for name, days in (("old", 8), ("young", 6)):
        path = system.folder / f"data/tmp/{name}.tmp"
        path.write_text("x")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    added: dict[str, dict[str, Any]] = {}
    async with await BullMQ5.start(redis_url) as node5:
        for sample in samples(queue):
            text = json.dumps(sample["data"]).replace("{ROOT}", str(system.files))
            job_id = await node5.add(queue, sample["name"], json.loads(text), **sample["options"])
            added[job_id] = sample

        results = {job_id: (await ended(system, job_id))["result"] for job_id in added}

    assert len(added) == (4 if queue == "main" else 2)
    for job_id, sample in added.items():
        assert sample["options"].get("jobId", job_id) == job_id
        if queue == "main":
            assert (sample["name"], results[job_id]["success"]) == (sample["name"], True)
            assert set(results[job_id]["data"]) <= set(results[job_id])
    sent_to = ["u@x.test"] * (1 if queue == "main" else 2)
    assert [to for mail in inbox.to for to in mail] == sent_to
    tmp = system.folder / "data/tmp"
    if queue == "main":
        assert sorted(path.name for path in tmp.iterdir()) == ["young.tmp"]
        (made,) = (system.files / "processed").iterdir()
        assert made.suffix == ".webp"
