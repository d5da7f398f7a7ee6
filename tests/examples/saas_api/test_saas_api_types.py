"""What the types of jobs of the SaaS API do, beyond the walk-through."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tests.examples.saas_api.conftest import Shared, Start
from tests.examples.saas_api.saas import GLOBEX, OPERATOR, System
from tests.support.mounts import small_disk
from tests.support.smtp_server import Inbox
from tests.support.waiting import wait_until

from toril import App

pytestmark = pytest.mark.timeout(600)
MAIL = {"to": "user@example.com", "subject": "Hello", "template": "test"}
NOTE = {"title": "T", "body": "B"}
VARIABLES: dict[str, dict[str, str]] = {
    "welcome": {},
    "test": {},
    "security_alert": {"event": "A new device", "time": "noon"},
    "password_reset": {"url": "https://example.com/reset"},
    "export_ready": {"url": "https://example.com/file", "format": "csv"},
}


async def test_each_template_makes_a_mail_with_the_subject_of_the_job(
    system: System, shared: Shared
) -> None:
    for template, variables in VARIABLES.items():
        data = {**MAIL, "subject": f"Of {template}", "template": template, "variables": variables}
        result = await system.done("EMAIL_SEND", data)
        assert (result["accepted"], result["rejected"]) == (["user@example.com"], [])

    assert [mail["Subject"] for mail in shared.inbox.mails] == [f"Of {name}" for name in VARIABLES]
    for mail in shared.inbox.mails:
        kinds = [part.get_content_type() for part in mail.walk()]
        assert {"text/plain", "text/html"} <= set(kinds)


async def test_template_that_lacks_a_variable_fails_once_and_names_it(system: System) -> None:
    data = {**MAIL, "template": "password_reset"}

    job = await system.ended(await system.submit("EMAIL_SEND", data))

    assert (job["state"], job["attemptsMade"]) == ("failed", 1)
    assert "url" in job["failedReason"]


async def test_final_refusal_of_a_mail_is_not_tried_again(system: System, shared: Shared) -> None:
    shared.inbox.answer = "550 no such user"

    job = await system.ended(await system.submit("EMAIL_SEND", MAIL, attempts=5))

    assert (job["state"], job["attemptsMade"], job["maxAttempts"]) == ("failed", 1, 5)
    assert "550" in job["failedReason"]


async def test_failed_attempts_are_told_with_message_stack_and_number(system: System) -> None:
    options = {"attempts": 2, "backoff": {"type": "fixed", "delay": 10}, "removeOnFail": False}
    data = {"cacheKey": "none", "dataSource": "http://127.0.0.1:9/"}

    job = await system.ended(await cache_job(system, data, options))
    path = f"/api/toril/v1/queues/jobs/jobs/{job['jobId']}/attempts"
    items = (await system.ask("GET", path, key=OPERATOR)).json()["items"]

    assert (job["state"], job["attemptsMade"]) == ("failed", 2)
    assert [one["number"] for one in items] == [1, 2]
    assert [one["outcome"] for one in items] == ["retried", "failed"]
    for one in items:
        assert "127.0.0.1" in one["error"]
        assert "Traceback" in one["traceback"]
        assert one["worker_id"]


async def cache_job(system: System, data: dict[str, Any], options: dict[str, Any]) -> str:
    key = f"{system.environment['CACHE_PREFIX']}{data['cacheKey']}"
    return await system.submit("CACHE_WARM", {**data, "cacheKey": key}, **options)


async def test_long_text_is_a_file_and_not_in_the_result(system: System) -> None:
    (system.files / "long.txt").write_text("x" * 70_000)
    (system.files / "edge.txt").write_text("x" * 60_000)

    long = await system.done("FILE_PROCESS", {"filePath": "long.txt", "operation": "extract_text"})
    edge = await system.done("FILE_PROCESS", {"filePath": "edge.txt", "operation": "extract_text"})

    assert set(long) >= {"outputPath", "bytes"}
    assert "text" not in long or long["text"] is None
    assert Path(long["outputPath"]).is_relative_to(system.files)
    assert Path(long["outputPath"]).read_text() == "x" * 70_000
    assert len(json.dumps(long)) < 65_536
    assert edge["text"] == "x" * 60_000


async def test_text_just_below_the_limit_is_not_doubled_for_older_clients(system: System) -> None:
    (system.files / "edge.txt").write_text("x" * 65_000)
    async with App(system.store) as outside:
        data = {"fileId": "f", "filePath": "edge.txt", "operation": "extract_text"}
        job = await outside.queue("jobs").add("file:process", {**data, "tenantId": "acme"})

    ended = await system.ended(job.id)

    assert ended["state"] == "completed", ended["failedReason"]
    result = ended["result"]
    assert (result["success"], result["text"]) == (True, "x" * 65_000)
    assert result["data"]["bytes"] == 65_000


async def test_cells_that_would_be_formulas_are_harmless(system: System) -> None:
    titles = ["=1+1", "+1", "-1", "@SUM(A1)"]
    for title in titles:
        await system.done("USER_NOTIFICATION", {"title": title, "body": "export-me"})
    wanted = {"filters": {"body": "export-me"}, "columns": ["title"]}

    result = await system.done("DATA_EXPORT", {"exportType": "csv", **wanted})
    content = (system.folder / "data/objects" / result["key"]).read_text()

    rows = [row for (row,) in csv.reader(io.StringIO(content))]
    assert rows[0] == "title"
    assert sorted(rows[1:]) == sorted(f"'{title}" for title in titles)


async def test_tenants_export_their_own_rows_only(system: System) -> None:
    await system.ended(
        await system.submit("USER_NOTIFICATION", {"title": "theirs", "body": "B"}, key=GLOBEX)
    )
    await system.done("USER_NOTIFICATION", {"title": "ours", "body": "B"})
    asked = {"exportType": "json", "filters": {"tenant_id": "globex"}, "columns": ["title"]}

    result = await system.done("DATA_EXPORT", asked)
    rows = json.loads((system.folder / "data/objects" / result["key"]).read_text())

    titles = {row["title"] for row in rows}
    assert "ours" in titles
    assert "theirs" not in titles


async def test_full_disk_during_an_export_is_tried_again(
    start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("disk")
    with small_disk(folder, 2048) as disk:
        system = await start(workers=0, QUEUE_REMOVE_ON_COMPLETE="1000")
        await system.worker(TMPDIR=str(disk))
        notices = [
            await system.submit("USER_NOTIFICATION", {"title": f"T{number}", "body": "b" * 20_000})
            for number in range(40)
        ]
        for job_id in notices:
            await system.ended(job_id)
        filler = disk / "filler"
        filler.write_bytes(b"x" * 1_600_000)
        options: dict[str, Any] = {
            "backoff": {"type": "fixed", "delay": 200},
            "attempts": 1000,
        }
        asked = {"exportType": "csv", "filters": {}}

        job_id = await system.submit("DATA_EXPORT", asked, **options)

        async def has_failed() -> bool:
            return bool((await system.job(job_id))["attemptsMade"] >= 1)

        await wait_until(has_failed, deadline_s=120, what="the disk to be full")
        objects = system.folder / "data/objects"
        stored = [path for path in objects.rglob("*") if path.is_file()]
        reason = (await attempts_of(system, job_id))[0]["error"]
        filler.unlink()
        job = await system.ended(job_id)

    assert stored == []
    assert "No space left" in reason
    assert job["state"] == "completed", job["failedReason"]
    assert job["attemptsMade"] > 1
    assert job["result"]["rows"] == 40
    (file,) = (path for path in objects.rglob("*.csv") if path.is_file())
    assert file.stat().st_size == job["result"]["bytes"]


async def attempts_of(system: System, job_id: str) -> list[dict[str, Any]]:
    path = f"/api/toril/v1/queues/jobs/jobs/{job_id}/attempts"
    found: list[dict[str, Any]] = (await system.ask("GET", path, key=OPERATOR)).json()["items"]
    return found


async def test_failed_jobs_are_kept_by_their_own_figure(start: Start, inbox: Inbox) -> None:
    system = await start(SMTP_URL=inbox.url)
    bad = {**MAIL, "template": "nothing"}
    ids = [await system.submit("EMAIL_SEND", bad) for _ in range(55)]
    for job_id in ids[-5:]:
        await system.ended(job_id)

    async def have_ended() -> bool:
        stats = await system.stats()
        return bool(stats["waiting"] + stats["active"] == 0)

    await wait_until(have_ended, what="all of them to end", deadline_s=120)
    stats = await system.stats()
    for_ever = await system.ended(await system.submit("EMAIL_SEND", bad, removeOnFail=False))
    once = await system.submit("EMAIL_SEND", bad, removeOnFail=True)

    async def is_gone() -> bool:
        return (await system.ask("GET", f"/api/queue/jobs/{once}")).status_code == 404

    await wait_until(is_gone, what="the job that is not kept to go", deadline_s=60)
    assert stats["failed"] == 50
    assert for_ever["state"] == "failed"


async def test_old_jobs_are_cleaned_every_hour(system: System) -> None:
    found = await system.ask("GET", "/api/toril/v1/schedules", key=OPERATOR)

    (schedule,) = [one for one in found.json()["items"] if one["name"] == "clean-jobs"]
    assert schedule["queue"] == "cleanup"
    assert not schedule["paused"]
    path = f"/api/toril/v1/schedules/cleanup/{schedule['id']}/run"
    ran = await system.ask("POST", path, {}, key=OPERATOR)
    assert ran.status_code in (200, 201, 202), ran.text

    async def has_run() -> bool:
        path = "/api/toril/v1/queues/cleanup/jobs?state=completed"
        jobs = (await system.ask("GET", path, key=OPERATOR)).json()["items"]
        return any(one["name"] == "clean-jobs" for one in jobs)

    await wait_until(has_run, what="the cleaning to run", deadline_s=60)
