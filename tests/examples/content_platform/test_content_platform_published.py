"""Clients of the published platform: their bodies, paths and answers, beside ours."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import httpx2
import pytest
from tests.examples.content_platform.deployment import (
    BASE,
    PROCESSING,
    SYNC,
    Deployment,
    camera_photo,
)
from tests.support.waiting import wait_until

from toril import App

pytestmark = pytest.mark.timeout(600)
DAY_S = 86_400


async def ask(platform: Deployment, method: str, path: str, body: Any = None) -> dict[str, Any]:
    answer = await platform.ask(method, path, body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_upload_with_its_preview(platform: Deployment, app: App) -> None:
    photo = camera_photo(400, 300)
    await ask(platform, "POST", "/media/queue", {"action": "pause"})
    try:
        async with platform.http() as http:
            answer = await http.post(
                f"{BASE}/media/upload-async",
                files={"file": ("a.jpg", photo, "text/html")},
                data={
                    "entityType": "listing_image",
                    "entityId": "e-1",
                    "alt": "A",
                    "position": "2",
                },
            )
            assert answer.status_code == 200, answer.text
            made = answer.json()
            assert (made["success"], made["status"]) == (True, "processing")
            url = made["tempPreview"].pop("url")
            assert made["tempPreview"] == {
                "filename": "a.jpg", "size": len(photo), "mimeType": "image/jpeg",
            }  # fmt: skip
            shown = await http.get(url)
            assert (shown.status_code, shown.content) == (200, photo)
            assert shown.headers["content-type"] == "image/jpeg"
            assert "sandbox" in shown.headers["content-security-policy"]
        assert httpx2.get(f"{platform.url}{url}").status_code == 401
        path = f"/media/jobs/{made['jobId']}"
        assert (await ask(platform, "GET", path))["status"] == "waiting"
    finally:
        await ask(platform, "POST", "/media/queue", {"action": "resume"})
    done = await platform.job(app, PROCESSING, made["jobId"])
    assert done.state == "completed", done.failed_reason

    job = await ask(platform, "GET", path)
    assert set(job) == {
        "jobId", "status", "progress", "data", "result", "failedReason", "attemptsMade",
        "queueType",
    }  # fmt: skip
    assert (job["jobId"], job["status"], job["progress"]) == (made["jobId"], "completed", 100)
    assert (job["attemptsMade"], job["failedReason"]) == (1, None)
    assert job["data"]["metadata"] == {"entityId": "e-1", "alt": "A", "position": 2}
    assert list(job["result"]["urls"]) == ["thumb", "medium", "large", "original"]
    assert (await platform.ask("GET", f"{path}/preview")).status_code == 404
    assert (await platform.ask("GET", "/media/jobs/no-such")).status_code == 404


async def test_sync_by_scope(platform: Deployment, app: App) -> None:
    ids = [await platform.media(app, entity_type="user_avatar") for _ in range(2)]

    async def sync(**body: Any) -> dict[str, Any]:
        made = await ask(platform, "POST", "/media/sync", body)
        assert made["success"] is True
        for job_id in made["jobIds"]:
            done = await platform.job(app, SYNC, job_id)
            # Other tests have left media without files, to be met by the scope of all.
            assert done.state == "completed" or done.data["mediaId"] not in ids, done.failed_reason
        return made

    made = await sync(
        action="upload_to_s3_with_delete", scope="selected", mediaIds=ids, overwrite=False
    )
    first = made["jobIds"][0]
    assert made["job"] == {
        "id": first, "status": "pending", "operation": "upload_to_s3_with_delete", "totalFiles": 2,
    }  # fmt: skip
    assert [platform.files(one) for one in ids] == [{}, {}]
    job = await ask(platform, "GET", f"/media/jobs/{first}?queue=sync")
    assert (job["status"], job["result"]["operation"]) == ("completed", "upload")

    made = await sync(action="download_from_s3", scope="entity_type", entityType="user_avatar")
    assert made["count"] >= 2
    assert all(platform.files(one) for one in ids)
    none = await sync(action="upload_to_s3", scope="entity_type", entityType="nothing_yet")
    assert none["job"] == {
        "id": None, "status": "completed", "operation": "upload_to_s3", "totalFiles": 0,
    }  # fmt: skip
    everything = await sync(action="upload_to_s3", scope="all")
    assert everything["count"] >= 2

    await sync(action="hard_delete", scope="selected", mediaIds=ids[:1])
    assert (await platform.ask("GET", f"/media/{ids[0]}")).status_code == 404
    assert platform.files(ids[0]) == {}


async def test_cleanup_by_type(platform: Deployment, app: App) -> None:
    """A trial changes nothing; orphans go at once; media that were deleted lately are skipped."""
    media_id = await platform.media(app, entity_type="user_avatar")
    assert (await platform.ask("DELETE", f"/media/{media_id}")).status_code == 204
    name = next(iter(platform.files(media_id))).rpartition("/")[2]
    lost = platform.media_root / f"user_avatar/m-lost/{name}"
    lost.parent.mkdir()
    lost.write_bytes(b"x")
    then_s = time.time() - 31 * DAY_S
    os.utime(lost, (then_s, then_s))

    async def clean(**body: Any) -> dict[str, Any]:
        made = await ask(platform, "POST", "/media/cleanup", body)
        assert made["success"] is True
        result: dict[str, Any] = made["result"]
        assert set(result) == {"success", "queuedForDeletion", "errors", "skipped", "dryRun"}
        assert (result["success"], result["errors"]) == (True, 0)
        return result

    before = (await app.queue(SYNC).info()).completed_total  # type: ignore[union-attr]
    tried = await clean(type="all", dryRun=True)
    assert (tried["queuedForDeletion"], tried["dryRun"]) == (1, True)
    assert tried["skipped"] >= 1
    assert lost.exists()
    assert (await clean(type="soft_deleted"))["queuedForDeletion"] == 0
    assert lost.exists()
    assert (await clean(type="orphans"))["queuedForDeletion"] == 1
    assert not lost.exists()
    assert platform.files(media_id)
    assert (await app.queue(SYNC).info()).completed_total == before  # type: ignore[union-attr]


async def test_cleanup_adds_jobs_for_media_deleted_long_ago(platform: Deployment, app: App) -> None:
    media_id = await platform.media(app, entity_type="user_avatar")
    assert (await platform.ask("DELETE", f"/media/{media_id}")).status_code == 204
    await platform.age(media_id, days=31)
    made = await ask(platform, "POST", "/media/cleanup", {"type": "soft_deleted", "dryRun": False})
    assert made["result"]["queuedForDeletion"] == 1

    async def gone() -> bool:
        return bool((await platform.ask("GET", f"/media/{media_id}")).status_code == 404)

    await wait_until(gone, what="the job of the cleanup")
    assert platform.files(media_id) == {}
    assert not any(f"/{media_id}/" in key for key in await asyncio.to_thread(platform.objects))


async def test_queues_are_steered(platform: Deployment, app: App) -> None:
    async def steer(**body: str) -> str:
        made = await ask(platform, "POST", "/media/queue", body)
        assert made["success"] is True
        return str(made["message"])

    async def cleaned() -> int:
        """Clean; return the total. What Node's workers did counts only while it is kept."""
        assert "removed from media-sync" in await steer(action="clean", queue="sync")
        found: list[Any] = []

        async def empty() -> bool:
            found[:] = [await app.queue(SYNC).info()]
            return found[0] is not None and found[0].completed == found[0].failed == 0

        await wait_until(empty, what="the kept jobs to go")
        return int(found[0].completed_total)

    media_id = await platform.media(app, entity_type="user_avatar")
    before = await cleaned()
    await steer(action="pause", queue="sync")
    body = {"action": "download_from_s3", "scope": "selected", "mediaIds": [media_id]}
    job_id = (await ask(platform, "POST", "/media/sync", body))["job"]["id"]
    info = await app.queue(SYNC).info()
    assert info is not None
    assert info.paused
    processing = await app.queue(PROCESSING).info()
    assert processing is not None
    assert not processing.paused
    await steer(action="resume", queue="sync")
    assert (await platform.job(app, SYNC, job_id)).state == "completed"

    assert await cleaned() >= before + 1, "the totals stay"
    answer = await platform.ask("GET", f"/media/jobs/{job_id}?queue=sync")
    assert (answer.status_code, answer.json()["error"]["field"]) == (404, "jobId")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("queue", {"action": "explode"}, "action"),
        ("queue", {}, "action"),
        ("queue", {"action": "pause", "queue": "mail"}, "queue"),
        ("sync", {"action": "move", "scope": "all"}, "action"),
        ("sync", {"action": "upload_to_s3", "scope": "some"}, "scope"),
        ("sync", {"action": "upload_to_s3"}, "scope"),
        ("sync", {"action": "upload_to_s3", "scope": "selected"}, "mediaIds"),
        ("sync", {"action": "upload_to_s3", "scope": "entity_type"}, "entityType"),
        ("sync", {"action": "hard_delete", "scope": "all"}, "confirm"),
        ("sync", {"action": "upload_to_s3", "scope": "all", "priority": 3}, "priority"),
        ("cleanup", {"type": "everything"}, "type"),
        ("cleanup", {"dryRun": True}, "type"),
        ("cleanup", {"type": "all", "olderThanDays": 3}, "olderThanDays"),
    ],
)
async def test_wrong_words_name_their_field(
    platform: Deployment, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await platform.ask("POST", f"/media/{path}", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == field


async def test_position_has_to_be_a_number(platform: Deployment) -> None:
    async with platform.http() as http:
        answer = await http.post(
            f"{BASE}/media/upload-async",
            files={"file": ("a.jpg", camera_photo(40, 30), "image/jpeg")},
            data={"entityType": "user_avatar", "position": "first"},
        )
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "position")
    assert list((platform.folder / "data/tmp").iterdir()) == []
