"""The SaaS API, step by step, on both stores, with the servers that it works with."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import secrets
import signal
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import redis
from PIL import Image
from tests.examples.saas_api.conftest import Shared, Start
from tests.examples.saas_api.saas import ACME, ADMIN, GLOBEX, OPERATOR, ROOT, System
from tests.library.documents import docx, pdf
from tests.services.pictures import photo
from tests.support.http_server import Answer, Request, serving
from tests.support.redis_servers import RedisServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(600)
MAIL = {"to": "user@example.com", "subject": "Hello", "template": "test"}
HOUR_MS = 3_600_000


class Gate:
    """A server whose answers wait until the test lets them go."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_open = False

    def __call__(self, request: Request) -> Answer:
        self.asked += 1
        return Answer(body=b"value") if self.is_open else Answer(hangs=True)


async def test_nobody_is_known_without_a_key_and_figures_begin_at_zero(start: Start) -> None:
    system = await start(workers=0)

    unknown = await system.ask("GET", "/api/queue/stats", key=None)
    wrong = await system.ask("GET", "/api/queue/stats", key="wrong-key-of-nobody")
    paths = [await system.ask("GET", f"{prefix}/queue/stats") for prefix in ("", "/api")]

    assert (unknown.status_code, wrong.status_code) == (401, 401)
    assert unknown.json()["error"]["code"] == "unauthenticated"
    assert unknown.headers["www-authenticate"].startswith("Bearer")
    zeros = dict.fromkeys(("waiting", "active", "completed", "failed", "delayed"), 0)
    assert [answer.json() for answer in paths] == [{**zeros, "paused": False}] * 2


async def test_every_request_of_the_file_is_answered_as_it_says(
    system: System, shared: Shared
) -> None:
    (system.files / "letter.txt").write_text("Dear Jo")
    text = (ROOT / "examples/saas_api/queue.http").read_text()
    values = {
        "{{host}}": "",
        "{{submitter}}": ACME,
        "{{operator}}": OPERATOR,
        "cache:": shared.cache,
    }
    for name, value in values.items():
        text = text.replace(name, value)

    answered, expected = [], []
    for block in re.split(r"^###.*$", text, flags=re.MULTILINE)[1:]:
        head, _, body = block.strip().partition("\n\n")
        lines = head.splitlines()
        expected.append((lines[1], int(lines[0].removeprefix("# > "))))
        method, path = lines[1].split()
        key = next((line.rpartition(" ")[2] for line in lines[2:]), None)
        sent = json.loads(body) if body.strip() else None
        answer = await system.ask(method, path, sent, key=key)
        answered.append((lines[1], answer.status_code))

    assert answered == expected
    assert {line.split()[1] for line, _ in expected} > {"/queue/stats", "/api/notifications"}
    types = set(re.findall(r'"type": "([A-Z_]+)", "data"', text)) - {"EMAIL"}
    assert len(types) == 6


async def test_sample_mail_arrives(system: System, shared: Shared) -> None:
    await system.operate("/pause")
    body = {"type": "EMAIL_SEND", "data": MAIL, "options": {"priority": 10}}

    added = await system.ask("POST", "/api/queue/jobs", body)
    waiting = await system.job(added.json()["jobId"])
    await system.operate("/resume")
    job = await system.ended(added.json()["jobId"])

    assert added.status_code == 201
    assert set(added.json()) == {"jobId", "type", "state", "priority", "createdAt"}
    assert added.headers["location"] == f"/api/queue/jobs/{added.json()['jobId']}"
    assert (waiting["state"], waiting["priority"]) == ("waiting", 10)
    assert job["state"] == "completed"
    assert job["result"]["accepted"] == ["user@example.com"]
    assert set(job) == {
        "jobId", "type", "state", "progress", "data", "result", "failedReason", "attemptsMade",
        "maxAttempts", "priority", "createdAt", "processedAt", "finishedAt",
    }  # fmt: skip
    (mail,) = shared.inbox.mails
    assert (mail["Subject"], mail["Message-ID"]) == ("Hello", job["result"]["messageId"])


async def test_attachment_arrives_byte_for_byte(system: System, shared: Shared) -> None:
    content = os.urandom(20_000)
    (system.files / "a.bin").write_bytes(content)
    attachments = [{"filename": "report.bin", "path": "a.bin"}]

    await system.done("EMAIL_SEND", {**MAIL, "attachments": attachments})

    (mail,) = shared.inbox.mails
    (part,) = mail.iter_attachments()
    assert (part.get_filename(), part.get_content()) == ("report.bin", content)


async def test_urgent_jobs_run_first(start: Start) -> None:
    system = await start(workers=0)
    assert await system.operate("/pause") == {"paused": True}
    note = {"title": "T", "body": "B"}
    for name, priority in (("low", 1), ("normal", 5), ("high", 10), ("urgent", 20)):
        data = {**note, "title": name}
        await system.submit("USER_NOTIFICATION", data, priority=priority, jobId=name)
    default = await system.submit("USER_NOTIFICATION", {**note, "title": "default"})

    paused = await system.stats()
    await system.worker(QUEUE_CONCURRENCY="1")
    assert await system.operate("/resume") == {"paused": False}
    await system.ended("low")
    await system.ended(default)

    listed = (await system.ask("GET", "/api/notifications")).json()["notifications"]
    assert (paused["waiting"], paused["paused"]) == (5, True)
    order = [one["title"] for one in reversed(listed)]
    assert order == ["urgent", "high", "normal", "default", "low"]


async def test_delayed_notice_is_shown_once_and_not_before(system: System) -> None:
    title = secrets.token_hex(4)
    job_id = await system.submit("USER_NOTIFICATION", {"title": title, "body": "B"}, delay=600_000)

    stats = await system.stats()
    state = (await system.job(job_id))["state"]
    before = await notices_of(system, title)
    await system.ask("POST", f"/api/toril/v1/queues/jobs/jobs/{job_id}/promote", {}, key=OPERATOR)
    job = await system.ended(job_id)

    (shown,) = await notices_of(system, title)
    assert stats["delayed"] >= 1
    assert (state, before) == ("delayed", [])
    assert (shown["id"], shown["type"]) == (job["result"]["notificationId"], "info")
    assert await notices_of(system, title, key=GLOBEX) == []


async def notices_of(system: System, title: str, key: str = ACME) -> list[dict[str, Any]]:
    found = (await system.ask("GET", "/api/notifications", key=key)).json()["notifications"]
    return [one for one in found if one["title"] == title]


async def test_files_are_worked_on_by_each_operation(system: System) -> None:
    (system.files / "a.jpg").write_bytes(photo("hubble_deep_field.jpg"))
    (system.files / "a.pdf").write_bytes(pdf("Invoice 42"))
    (system.files / "a.docx").write_bytes(docx("Dear Jo"))

    def process(operation: str, path: str, **options: Any) -> Any:
        data = {"filePath": path, "operation": operation, "options": options}
        return system.done("FILE_PROCESS", data)

    small = await process("resize", "a.jpg", width=100)
    light = await process("compress", "a.jpg", quality=30)
    other = await process("convert", str(system.files / "a.jpg"), format="webp")
    page = await process("convert", "a.jpg", format="pdf")
    texts = [(await process("extract_text", name))["text"] for name in ("a.pdf", "a.docx")]

    sizes = {}
    for name, result in (("small", small), ("light", light), ("other", other)):
        assert Path(result["outputPath"]).is_relative_to(system.files)
        with Image.open(result["outputPath"]) as made:
            sizes[name] = (made.format, made.size[0])
    assert sizes == {"small": ("JPEG", 100), "light": ("JPEG", 1000), "other": ("WEBP", 1000)}
    document = pypdfium2.PdfDocument(page["outputPath"])
    assert len(document) == 1
    document.close()
    assert texts == ["Invoice 42\n", "Dear Jo\n"]
    assert (system.files / "a.jpg").read_bytes() == photo("hubble_deep_field.jpg")


async def test_cache_is_warmed_where_another_client_sees_it(
    system: System, shared: Shared, redis_server: RedisServer
) -> None:
    async with serving(lambda _: Answer(body=b"rates")) as server:
        data = {"cacheKey": f"{shared.cache}a", "dataSource": server.url("/"), "ttl": 60}
        result = await system.done("CACHE_WARM", data)
    loaded = {"cacheKey": f"{shared.cache}b", "dataSource": "stats"}
    await system.done("CACHE_WARM", loaded)

    with redis.Redis.from_url(redis_server.url) as client:
        assert client.get(f"{shared.cache}a") == b"rates"
        assert 0 < client.ttl(f"{shared.cache}a") <= 60
        assert set(json.loads(client.get(f"{shared.cache}b"))) == {"completed", "failed"}
    assert result == {"cacheKey": f"{shared.cache}a", "bytes": 5, "ttl": 60.0}


async def test_cleanup_counts_then_removes_the_same(system: System) -> None:
    temp, logs = system.folder / "data/tmp/walk", system.folder / "data/logs/walk"
    for folder in (temp, logs):
        folder.mkdir()
        for name in ("old.tmp", "new.tmp", "open.tmp", "old.txt"):
            (folder / name).write_text("x" * 10)
        (folder / "link.tmp").symlink_to(folder / "new.tmp")
    old_s = time.time() - 7200
    for path in (*temp.iterdir(), *logs.iterdir()):
        if not path.name.startswith("new"):
            os.utime(path, (old_s, old_s), follow_symlinks=False)
    asked = {"targetType": "temp_files", "olderThan": HOUR_MS, "pattern": "*.tmp", "path": "walk"}

    counted = await system.done("CLEANUP", {**asked, "dryRun": True})
    still = sorted(path.name for path in temp.iterdir())
    removed = await system.done("CLEANUP", asked)
    with (logs / "open.tmp").open("a"):
        os.utime(logs / "open.tmp", (old_s, old_s))
        cleaned = await system.done("CLEANUP", {**asked, "targetType": "old_logs"})

    assert still == ["link.tmp", "new.tmp", "old.tmp", "old.txt", "open.tmp"]
    assert (counted["removed"], counted["freedBytes"]) == (2, 20)
    assert (removed["removed"], removed["freedBytes"]) == (2, 20)
    assert sorted(path.name for path in temp.iterdir()) == ["link.tmp", "new.tmp", "old.txt"]
    assert cleaned["removed"] == 1
    assert sorted(path.name for path in logs.iterdir()) == [
        "link.tmp", "new.tmp", "old.txt", "open.tmp",
    ]  # fmt: skip


async def test_same_id_is_one_job_and_active_jobs_stay(system: System, shared: Shared) -> None:
    gate = Gate()
    async with serving(gate) as server:
        data = {"cacheKey": f"{shared.cache}a", "dataSource": server.url("/")}
        body = {"type": "CACHE_WARM", "data": data, "options": {"jobId": "warm-a"}}
        first = await system.ask("POST", "/api/queue/jobs", body)
        again = await system.ask("POST", "/api/queue/jobs", body)
        taken = await system.ask("POST", "/api/queue/jobs", body, key=GLOBEX)
        await wait_until(lambda: gate.asked > 0, what="the job to run", deadline_s=60)
        active = await system.ask("DELETE", "/api/queue/jobs/warm-a", key=OPERATOR)
        state = (await system.job("warm-a"))["state"]
        late = await system.submit("USER_NOTIFICATION", {"title": "T", "body": "B"}, delay=600_000)
        delayed = await system.ask("DELETE", f"/api/queue/jobs/{late}", key=OPERATOR)
        gone = await system.ask("GET", f"/api/queue/jobs/{late}")

    assert (first.status_code, again.status_code, taken.status_code) == (201, 200, 409)
    assert "duplicate" not in first.json()
    assert (again.json()["jobId"], again.json()["duplicate"]) == ("warm-a", True)
    assert (active.status_code, active.json()["error"]["code"]) == (409, "wrong_state")
    assert state == "active"
    assert (delayed.status_code, delayed.json()) == (200, {"removed": True})
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


async def test_temporary_refusals_are_three_attempts(system: System, shared: Shared) -> None:
    shared.inbox.answer = "451 try later"

    job = await system.ended(await system.submit("EMAIL_SEND", MAIL))

    attempts = await attempts_of(system, job["jobId"])
    waits_s = [
        (moment(later["started_at"]) - moment(one["ended_at"])).total_seconds()
        for one, later in itertools.pairwise(attempts)
    ]
    assert (job["state"], job["attemptsMade"], job["maxAttempts"]) == ("failed", 3, 3)
    assert "451" in job["failedReason"]
    assert [one["number"] for one in attempts] == [1, 2, 3]
    assert all("451" in one["error"] for one in attempts)
    # Both ends are noted in whole milliseconds.
    assert waits_s[0] >= 1.99
    assert waits_s[1] >= 3.99


async def attempts_of(system: System, job_id: str) -> list[dict[str, Any]]:
    path = f"/api/toril/v1/queues/jobs/jobs/{job_id}/attempts"
    found: list[dict[str, Any]] = (await system.ask("GET", path, key=OPERATOR)).json()["items"]
    return found


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_stopped_worker_ends_its_job_and_starts_no_other(start: Start) -> None:
    system = await start(workers=0)
    worker = await system.worker(QUEUE_CONCURRENCY="1")
    async with serving(lambda _: Answer(body=b"v", delay_s=5.0)) as server:
        data = {"cacheKey": "cache:a", "dataSource": server.url("/")}
        running = await system.submit("CACHE_WARM", data)
        await wait_until(lambda: bool(server.requests), what="the job to run", deadline_s=60)
        worker.send_signal(signal.SIGTERM)
        waiting = await system.submit("USER_NOTIFICATION", {"title": "T", "body": "B"})
        code = await system.exit_code(worker)

    assert code == 0
    assert (await system.job(running))["state"] == "completed"
    assert (await system.job(waiting))["state"] == "waiting"
    assert len(server.requests) == 1


async def test_second_signal_gives_jobs_back_at_once(start: Start) -> None:
    system = await start(workers=0)
    worker = await system.worker()
    gate = Gate()
    async with serving(gate) as server:
        job_id = await system.submit(
            "CACHE_WARM", {"cacheKey": "cache:a", "dataSource": server.url("/")}
        )
        await wait_until(lambda: gate.asked > 0, what="the job to run", deadline_s=60)
        worker.send_signal(signal.SIGINT)
        await wait_until(
            lambda: b"once more: now" in (system.folder / "worker-1.log").read_bytes(),
            what="the first signal to be told",
            deadline_s=30,
        )
        worker.send_signal(signal.SIGINT)
        await system.exit_code(worker, timeout_s=25)
        job = await system.job(job_id)

    assert (job["state"], job["attemptsMade"]) == ("waiting", 0)


async def test_jobs_that_outlast_the_shutdown_go_back_unharmed(start: Start) -> None:
    system = await start(workers=0)
    worker = await system.worker(SHUTDOWN_TIMEOUT_S="1")
    gate = Gate()
    async with serving(gate) as server:
        job_id = await system.submit(
            "CACHE_WARM", {"cacheKey": "cache:a", "dataSource": server.url("/")}
        )
        await wait_until(lambda: gate.asked > 0, what="the job to run", deadline_s=60)
        began_s = time.monotonic()
        worker.send_signal(signal.SIGTERM)
        code = await system.exit_code(worker)
        took_s = time.monotonic() - began_s
        job = await system.job(job_id)
        gate.is_open = True
        await system.worker()
        done = await system.ended(job_id)

    assert code == 0
    assert took_s >= 1
    assert (job["state"], job["attemptsMade"]) == ("waiting", 0)
    assert (done["state"], done["attemptsMade"]) == ("completed", 1)


async def test_job_of_a_killed_worker_is_done_by_another(start: Start) -> None:
    system = await start(workers=0)
    killed = await system.worker()
    gate = Gate()
    async with serving(gate) as server:
        job_id = await system.submit(
            "CACHE_WARM", {"cacheKey": "cache:b", "dataSource": server.url("/")}
        )
        await wait_until(lambda: gate.asked > 0, what="the job to run", deadline_s=60)
        killed.send_signal(signal.SIGKILL)
        gate.is_open = True
        await system.worker()
        job = await system.ended(job_id)

    assert job["state"] == "completed"
    assert gate.asked == 2


async def test_three_workers_share_the_jobs(start: Start) -> None:
    system = await start(workers=3)
    async with serving(lambda _: Answer(body=b"v", delay_s=1.0)) as server:
        ids = [
            await system.submit(
                "CACHE_WARM",
                {"cacheKey": f"cache:{turn}", "dataSource": server.url("/")},
                removeOnComplete=False,
            )
            for turn in range(24)
        ]
        for job_id in ids:
            await system.ended(job_id)

    listed = (await system.ask("GET", "/api/toril/v1/workers", key=OPERATOR)).json()["items"]
    attempts = [one for job_id in ids for one in await attempts_of(system, job_id)]
    by = {one["worker_id"] for one in attempts}
    assert len(listed) == 3
    assert len(by) == 3
    assert len(server.requests) == 24


async def test_kept_and_cleaned_jobs_are_as_the_figures_say(start: Start) -> None:
    system = await start()
    note = {"title": "T", "body": "B"}
    ids = [await system.submit("USER_NOTIFICATION", note) for _ in range(14)]
    for job_id in ids[-3:]:
        await system.ended(job_id)
    once = await system.submit("USER_NOTIFICATION", note, removeOnComplete=True)

    async def is_gone() -> bool:
        return (await system.ask("GET", f"/api/queue/jobs/{once}")).status_code == 404

    async def is_idle() -> bool:
        found = await system.stats()
        return bool(found["waiting"] == found["active"] == 0)

    await wait_until(is_gone, deadline_s=60, what="the job that is not kept to go")
    await wait_until(is_idle, deadline_s=60, what="an earlier job that is slower")
    before = await system.stats()
    completed = await system.operate("/clean/completed", {"olderThan": 0, "limit": 4})
    rest = await system.operate("/clean/completed", {"gracePeriod": 0})
    failed = await system.operate("/clean/failed")
    after = await system.stats()

    assert before["completed"] == 10  # the newest of 14
    assert completed == {"removed": 4, "more": True}
    assert rest == {"removed": 6, "more": False}
    assert failed == {"removed": 0, "more": False}
    assert (after["completed"], after["failed"]) == (0, 0)
    gone = await system.ask("GET", f"/api/queue/jobs/{ids[0]}")
    assert "no longer kept" in gone.json()["error"]["message"]


async def test_sixty_jobs_a_minute_and_tenants_apart(start: Start) -> None:
    system = await start(workers=0, SUBMIT_RATE="60/min")
    note = {"title": "T", "body": "B"}
    body = {"type": "USER_NOTIFICATION", "data": note}

    answers = [await system.ask("POST", "/api/queue/jobs", body) for _ in range(100)]

    statuses = [answer.status_code for answer in answers]
    assert statuses == [201] * 60 + [429] * 40
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    other = await system.ask("POST", "/api/queue/jobs", body, key=GLOBEX)
    job_id = other.json()["jobId"]
    assert other.status_code == 201
    assert (await system.ask("GET", f"/api/queue/jobs/{job_id}")).status_code == 404
    assert (await system.ask("GET", f"/api/queue/jobs/{job_id}", key=OPERATOR)).status_code == 200
    for method, path in (
        ("POST", "/pause"), ("POST", "/resume"), ("POST", "/clean/completed"),
        ("POST", "/clean/failed"), ("DELETE", f"/jobs/{job_id}"),
    ):  # fmt: skip
        answer = await system.ask(method, f"/api/queue{path}", key=GLOBEX)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    foreign = {"type": "USER_NOTIFICATION", "data": {**note, "tenantId": "acme"}}
    assert (await system.ask("POST", "/api/queue/jobs", foreign, key=GLOBEX)).status_code == 403


async def test_acts_of_operators_are_recorded(system: System) -> None:
    job_id = await system.submit("USER_NOTIFICATION", {"title": "T", "body": "B"})
    await system.operate("/pause")
    await system.operate("/resume")
    await system.operate("/clean/failed")
    await system.ask("DELETE", f"/api/queue/jobs/{job_id}", key=OPERATOR)

    found = await system.ask("GET", "/api/toril/v1/audit", key=ADMIN)

    acts = [(entry["verb"], entry["actor"]) for entry in found.json()["items"]]
    for verb in ("pause", "resume", "clean", "remove"):
        assert (verb, "host:operator 3") in acts


async def test_tenants_keys_open_nothing_of_the_operators(system: System) -> None:
    await system.done("USER_NOTIFICATION", {"title": "T", "body": "B"})

    for path in ("/api/toril/v1/queues", "/api/toril/v1/queues/jobs/jobs"):
        assert (await system.ask("GET", path)).status_code == 401
        assert (await system.ask("GET", path, key=OPERATOR)).status_code == 200


async def test_answers_come_in_an_envelope_where_that_is_set(start: Start) -> None:
    system = await start(workers=0, API_ENVELOPE="1")

    note = {"type": "user:notification", "data": {"userId": "jo", "title": "T", "message": "M"}}
    added = await system.ask("POST", "/queue/jobs", {**note, "options": {"priority": 15}})
    job_id = added.json()["data"]["jobId"]
    again = await system.ask("POST", "/queue/jobs", {**note, "options": {"jobId": "a"}})
    known = await system.ask("POST", "/queue/jobs", {**note, "options": {"jobId": "a"}})
    job = await system.ask("GET", f"/queue/jobs/{job_id}")
    stats = await system.ask("GET", "/queue/stats")
    paused = await system.ask("POST", "/queue/pause", {}, key=OPERATOR)
    stopped = await system.ask("GET", "/queue/stats")
    resumed = await system.ask("POST", "/queue/resume", {}, key=OPERATOR)
    asked = {"gracePeriod": 1000, "limit": 100}
    cleaned = await system.ask("POST", "/queue/clean/completed", asked, key=OPERATOR)
    removed = await system.ask("DELETE", f"/queue/jobs/{job_id}", key=OPERATOR)
    bad = await system.ask("GET", "/queue/jobs/404")

    assert [answer.status_code for answer in (added, again, known, bad)] == [201, 201, 200, 404]
    data = added.json()["data"]
    assert (added.json()["success"], added.json()["message"]) == (True, "Job added")
    assert (data["type"], data["queueName"]) == ("user:notification", "jobs")
    assert data["addedAt"] == data["createdAt"]
    assert added.headers["location"] == f"/queue/jobs/{job_id}"
    assert known.json()["message"] == "Job is there already"
    assert known.json()["data"]["duplicate"] is True
    data = job.json()["data"]
    assert (data["status"], data["attempts"], data["state"]) == ("waiting", 0, "waiting")
    assert set(data) > {"type", "data", "result", "processedAt", "finishedAt", "failedReason"}
    data = stats.json()["data"]
    assert (data["waiting"], data["total"], data["paused"]) == (2, 2, 0)
    assert datetime.fromisoformat(data["timestamp"]).tzinfo is not None
    assert stopped.json()["data"]["paused"] == 1
    for answer, said in ((paused, "paused"), (resumed, "resumed")):
        assert answer.json()["message"] == f"Queue jobs {said}"
    assert cleaned.json()["data"]["cleanedJobs"] == 0
    assert removed.json()["message"] == "Job removed"
    assert bad.json()["success"] is False
    assert isinstance(bad.json()["error"], str)


async def test_sessions_that_nobody_uses_go(system: System) -> None:
    from toril.services.records.records import Records
    from toril.services.records.sessions import SessionTable

    records = Records(f"sqlite:///{system.folder}/data/records.db")
    sessions = SessionTable(records)
    await sessions.prepare()
    now_ms = round(time.time() * 1000)
    async with records.begin() as connection:
        for name, age_ms in (("old", 2 * HOUR_MS), ("new", 0)):
            row = {"id": name, "user_id": "jo", "used_at_ms": now_ms - age_ms}
            await connection.execute(sessions.table.insert().values(row))
    asked = {"targetType": "expired_sessions", "olderThan": HOUR_MS}

    counted = await system.done("CLEANUP", {**asked, "dryRun": True})
    removed = await system.done("CLEANUP", asked)
    again = await system.done("CLEANUP", asked)
    await records.close()

    assert [each["removed"] for each in (counted, removed, again)] == [1, 1, 0]


async def test_every_call_of_the_manager_works_from_python(start: Start) -> None:
    system = await start(workers=0)
    program = """
import asyncio
import itertools
from examples.saas_api.manager import get_default_queue_manager
from examples.saas_api.types import JobPriority, JobType
from toril import TorilError

async def main():
    manager = get_default_queue_manager()
    try:
        await manager.get_stats()
    except TorilError as error:
        print(error)
    await manager.initialize()
    await manager.initialize()
    mail = {"to": "u@example.com", "subject": "S", "template": "welcome"}
    job, duplicate = await manager.add_job(
        JobType.EMAIL_SEND, mail, {"priority": JobPriority.URGENT, "attempts": 5}
    )
    info = await manager.get_job(job.id).info()
    print(info.priority, info.max_attempts, duplicate)
    await manager.add_job(
        "USER_NOTIFICATION", {"userId": "u", "title": "T", "body": "B"},
        {"delay": 30_000, "priority": JobPriority.NORMAL},
    )
    print(await manager.get_stats())
    await manager.pause()
    print((await manager.get_stats())["paused"])
    await manager.resume()
    print(await manager.clean_completed(24 * 3600_000), await manager.clean_failed(48 * 3600_000))
    print(await manager.remove_job(job.id), get_default_queue_manager() is manager)

asyncio.run(main())
"""
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, env=system.environment,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await run.communicate()

    assert told.decode().splitlines() == [
        "this queue is not ready: await its initialize() first",
        "1 5 False",
        "{'waiting': 1, 'active': 0, 'completed': 0, 'failed': 0, 'delayed': 1, 'paused': False}",
        "True",
        "0 0",
        "True True",
    ]
