"""The board of the chat, Toril's API beside it, and Bull Board on the same Redis."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import TypeVar

import httpx2
import pytest
from tests.examples.chat.deployment import FILES, MAIL, PUSH, Deployment
from tests.support.board import Board
from tests.support.node import Node
from tests.support.waiting import wait_until

from toril import App, JobFailedError, JobInfo
from toril.core.codec import Json
from toril.services.media.file_records import FileRecord
from toril.services.media.sql_file_records import SqlFileRecords
from toril.services.records.records import Records
from toril.typed import BullQueue

QUEUES = (PUSH, FILES, MAIL)
T = TypeVar("T")


async def while_unchanged(
    app: App, ask: Callable[[], Awaitable[T]]
) -> tuple[T, dict[str, dict[str, int]]]:
    """Return what was told of the queues and their counts, while these did not change.

    Who signs up is sent a mail, and pushes are tried again: jobs go on beside a test.
    """
    found: list[tuple[T, dict[str, dict[str, int]]]] = []

    async def is_unchanged() -> bool:
        before = await counts_of(app)
        found[:] = [(await ask(), before)]
        return await counts_of(app) == before

    await wait_until(is_unchanged, deadline_s=120, what="the counts to stay for a moment")
    return found[0]


async def counts_of(app: App) -> dict[str, dict[str, int]]:
    """Return the counts of each queue."""
    found = {}
    for name in QUEUES:
        info = await app.queue(name).info()
        assert info is not None
        found[name] = {
            "active": info.active, "completed": info.completed, "failed": info.failed,
            "delayed": info.delayed, "waiting": info.waiting, "prioritized": info.prioritized,
        }  # fmt: skip
    return found


async def some_jobs(chat: Deployment, app: App) -> str:
    """Have jobs that ended well and badly; return the id of one that failed."""
    user = await chat.sign_up()
    payload: Json = {"userId": user.id, "payload": {"title": "t", "body": "b"}}
    good = await app.queue(PUSH).add("push-notification", payload)
    name = f"board{secrets.token_hex(4)}"
    data = {"fileId": name, "filePath": f"uploads/{name}"}
    bad = await app.queue(FILES).add("process-image", data)
    await chat.job(app, PUSH, good.id)
    failed = await chat.job(app, FILES, bad.id)
    assert failed.state == "failed"
    return bad.id


async def test_api_tells_the_counts_of_the_store(chat: Deployment, app: App) -> None:
    """Step 15, CH-44, CH-46: counts, the failed ones, a job by id, and its retry."""
    failed = await some_jobs(chat, app)
    async with chat.http() as http:

        async def ask() -> dict[str, dict[str, int]]:
            answers = {name: await http.get(f"/api/toril/queues/{name}") for name in QUEUES}
            return {name: answer.json()["queue"] for name, answer in answers.items()}

        told, expected = await while_unchanged(app, ask)
        for name in QUEUES:
            assert {key: told[name][key] for key in expected[name]} == expected[name]
        page = (
            await http.get(f"/api/toril/queues/{FILES}/jobs", params={"state": "failed"})
        ).json()
        job = (await http.get(f"/api/toril/queues/{FILES}/jobs/{failed}")).json()
        before = await app.queue(FILES).job(failed).info()
        again = await http.post(f"/api/toril/queues/{FILES}/jobs/{failed}/retry", json={})

    assert failed in [one["id"] for one in page["items"]]
    assert job["name"] == "process-image"
    assert again.status_code in (200, 202, 204)
    await ran_again(app, before)


async def test_counts_under_published_names(chat: Deployment, app: App) -> None:
    """R-45: and who may not read the queues is refused."""
    await some_jobs(chat, app)
    user = await chat.sign_up()
    async with chat.http() as http, chat.http(user) as theirs:
        answer, expected = await while_unchanged(app, lambda: http.get("/api/queues/stats"))
        told = answer.json()
        refused = await theirs.get("/api/queues/stats")

    names = {"pushNotifications": PUSH, "fileProcessing": FILES, "email": MAIL}
    for name, queue in names.items():
        mine = dict(expected[queue])
        mine["waiting"] += mine.pop("prioritized")
        assert told[name] == {**mine, "total": sum(mine.values())}, name
    assert set(told) == set(names)
    assert refused.status_code == 401


async def test_ported_code_finds_the_words_of_bullmq(chat: Deployment, app: App) -> None:
    """CH-43, CH-44."""
    failed = await some_jobs(chat, app)
    files = BullQueue(app, FILES)

    job = await files.get_job(failed)
    counts = await files.get_job_counts("failed")
    listed = await files.get_failed()
    before = await app.queue(FILES).job(failed).info()
    assert job is not None
    state = await job.get_state()
    with pytest.raises(JobFailedError, match="there is no record"):
        await job.wait_until_finished(ttl=60_000)
    await job.retry()
    await ran_again(app, before)

    assert state == "failed"
    assert counts["failed"] == len(listed) >= 1
    assert failed in [one.id for one in listed]
    assert "there is no record" in str(job.failed_reason)


async def ran_again(app: App, before: JobInfo) -> None:
    """Wait until a job that had failed has run once more."""
    job = app.queue(before.queue).job(before.id)

    async def ran() -> bool:
        info = await job.info()
        return info.state == "failed" and info.processed_at != before.processed_at

    await wait_until(ran, what=f"job {before.id} to run again")


async def test_board_and_api_ask_for_a_credential(chat: Deployment) -> None:
    """CH-45, CR-15."""
    async with httpx2.AsyncClient(base_url=chat.url) as http:
        api = await http.get("/api/toril/queues")
        board = await http.get("/admin/queues/queues")

    assert api.status_code == 401
    assert board.status_code in (302, 303, 307, 401)


async def test_board_shows_all_three_queues(chat: Deployment, app: App) -> None:
    """CH-45: with the same counts."""
    await some_jobs(chat, app)
    async with chat.http() as http:
        page = await http.get("/admin/queues/queues")

    assert page.status_code == 200
    for name in QUEUES:
        assert name in page.text


@pytest.mark.parametrize("store", ["redis"], indirect=True, scope="session")
async def test_bull_board_shows_the_same(chat: Deployment, app: App) -> None:
    """Step 15: its counts are ours, and a job that it retries is completed."""
    failed = await some_jobs(chat, app)
    async with await Node.start(chat.store_url) as node:
        board = await Board.start(node, *QUEUES)

        async def ask() -> dict[str, dict[str, int]]:
            return {name: (await board.queue(name))["counts"] for name in QUEUES}

        shown, expected = await while_unchanged(app, ask)
        for name, counts in shown.items():
            for key in ("active", "completed", "failed", "delayed", "waiting", "prioritized"):
                assert counts[key] == expected[name][key], (name, key)
        await mend(chat, str((await app.queue(FILES).job(failed).info()).data["fileId"]))
        assert await board.put(FILES, failed, "retry") in (200, 204)
        done = await chat.job(app, FILES, failed)

    assert done.state == "completed", done.failed_reason


async def mend(chat: Deployment, file_id: str) -> None:
    """Put the file there that a job has missed, and its record."""
    photo = files("toril.library.images").joinpath("photos", "rocket.jpg").read_bytes()
    storage = chat.storage()
    await storage.put(f"uploads/{file_id}", photo, content_type="image/jpeg")
    await storage.close()
    records = Records(chat.environment["DATABASE_URL"])
    await SqlFileRecords(records).add(FileRecord(file_id=file_id))
    await records.close()


async def test_commands(chat: Deployment, app: App) -> None:
    """CH-52."""
    failed = await some_jobs(chat, app)
    environment = {**os.environ, **chat.environment, "TORIL_URL": chat.store_url}

    async def toril(*words: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-m", "toril", *words], env=environment,
            cwd=chat.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    listed = await toril("jobs", "list", FILES, "--state", "failed")
    queues = await toril("queues")
    events = await toril("events", FILES, "--json")
    before = await app.queue(FILES).job(failed).info()
    await toril("jobs", "retry", FILES, failed)

    assert re.search(rf"\b{failed}\b", listed)
    assert all(name in queues for name in QUEUES)
    told = [json.loads(line) for line in events.splitlines()]
    assert {"added", "failed"} <= {one["name"] for one in told}
    await ran_again(app, before)
