"""Bad input of the content platform: the rows of its table, and what its door refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.examples.content_platform.deployment import (
    BASE,
    NOTIFY,
    PROCESSING,
    SYNC,
    WATERMARK,
    Deployment,
    camera_photo,
)
from tests.support import messengers as shapes
from tests.support.waiting import wait_until

from toril import App

pytestmark = pytest.mark.timeout(600)
MARK = {"watermarkId": "wm-logo", "position": "center", "opacity": 0.5, "scale": 0.5}


async def failed(platform: Deployment, app: App, queue: str, data: dict[str, Any]) -> Any:
    """Add a job as another program does; it fails at once, and its payload is kept."""
    job = await app.queue(queue).add("__default__", data)
    done = await platform.job(app, queue, job.id)
    assert (done.state, done.attempts_made) == ("failed", 1)
    assert done.data == data
    return done.failed_reason


def upload_of(temp_path: str) -> dict[str, Any]:
    return {"entityType": "user_avatar", "tempPath": temp_path, "originalFilename": "a.jpg"}


async def test_paths_outside(platform: Deployment, app: App) -> None:
    """Path not allowed; nothing read."""
    temp = platform.folder / "data/tmp"
    temp.mkdir(parents=True, exist_ok=True)
    secret = platform.folder / "secret.jpg"
    secret.write_bytes(camera_photo(40, 30))
    link = temp / "link.jpg"
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    for path in ("../../secret.jpg", str(secret), "link.jpg"):
        reason = await failed(platform, app, PROCESSING, upload_of(path))
        assert "not allowed" in reason, reason
    assert secret.exists()
    link.unlink()


async def test_missing_file(platform: Deployment, app: App) -> None:
    reason = await failed(platform, app, PROCESSING, upload_of("nowhere.jpg"))
    assert "nowhere.jpg" in reason
    assert "none will come" in reason


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"just a text", "its bytes are not an image"),
        (camera_photo(400, 300)[:-900], "truncated or damaged"),
    ],
    ids=["text", "truncated"],
)
async def test_bad_images_are_kept_for_review(
    platform: Deployment, app: App, content: bytes, words: str
) -> None:
    job_id = await platform.upload(content, "user_avatar")
    done = await platform.job(app, PROCESSING, job_id)
    assert (done.state, done.attempts_made) == ("failed", 1)
    assert words in str(done.failed_reason)
    kept = list((platform.folder / "data/tmp-quarantine").glob(f"*/{done.data['tempPath']}"))
    assert [path.read_bytes() for path in kept] == [content]
    note = json.loads(Path(f"{kept[0]}.note.json").read_text())
    assert words in note["reason"]


@pytest.mark.parametrize(
    ("queue", "data", "words"),
    [
        (SYNC, {"mediaId": "m-1", "operation": "move"}, ["operation", "upload", "hard_delete"]),
        (SYNC, {"mediaId": "m-no", "operation": "upload", "deleteSource": False}, ["m-no"]),
        (WATERMARK, {"mediaId": "m-1", **MARK, "position": "middle"}, ["position", "bottom-right"]),
        (WATERMARK, {"mediaId": "m-1", **MARK, "watermarkId": "wm-x"}, ["wm-x", "wm-logo"]),
        (NOTIFY, {"channel": "fax", "options": {"to": "a", "text": "x"}}, ["channel", "telegram"]),
        (PROCESSING, {**upload_of("a"), "entityType": "planet"}, ["planet", "user_avatar"]),
    ],
)
async def test_unknown_words_from_a_queue(
    platform: Deployment, app: App, queue: str, data: dict[str, Any], words: list[str]
) -> None:
    """Failed at once, payload kept, allowed values listed."""
    reason = await failed(platform, app, queue, data)
    for word in words:
        assert word in reason, reason


async def test_door_names_fields(platform: Deployment, app: App) -> None:
    """422 with the field's name; 404 for an unknown media."""
    media_id = await platform.media(app, entity_type="user_avatar")
    mark = f"/media/{media_id}/watermark"
    bodies: list[tuple[str, dict[str, Any], int, str]] = [
        (mark, {**MARK, "position": "middle"}, 422, "position"),
        (mark, {**MARK, "opacity": 1.5}, 422, "opacity"),
        (mark, {**MARK, "scale": 0.01}, 422, "scale"),
        (mark, {**MARK, "watermarkId": "wm-x"}, 422, "watermarkId"),
        (mark, {**MARK, "opacity": "half"}, 422, "opacity"),
        (mark, {**MARK, "colour": "red"}, 422, "colour"),
        (mark, {"watermarkId": "wm-logo"}, 422, "position"),
        ("/media/m-no/watermark", MARK, 404, "mediaId"),
        ("/media/sync", {"mediaIds": [media_id], "operation": "move"}, 422, "operation"),
        ("/media/sync", {"mediaIds": ["m-no"], "operation": "upload"}, 404, "mediaIds"),
        ("/media/sync", {"mediaIds": [media_id], "operation": "upload", "priority": 11}, 422,
         "priority"),
        ("/media/cleanup", {"olderThanDays": -1}, 422, "olderThanDays"),
        ("/media/cleanup", {"status": "active"}, 422, "status"),
        ("/events", {"payload": {}}, 422, "event"),
    ]  # fmt: skip
    for path, body, status, field in bodies:
        answer = await platform.ask("POST", path, body)
        assert answer.status_code == status, (path, body, answer.text)
        assert answer.json()["error"]["field"] == field, answer.text
    assert (await platform.ask("GET", "/media/m-no")).status_code == 404
    async with platform.http() as http:
        broken = await http.post(f"{BASE}/media/sync", content=b"{")
    assert broken.status_code == 400


async def test_door_of_uploads(platform: Deployment) -> None:
    async with platform.http() as http:

        async def send(content: bytes | None = b"x", **fields: str) -> Any:
            files = None if content is None else {"file": ("a.jpg", content, "image/jpeg")}
            return await http.post(f"{BASE}/media/upload-async", files=files, data=fields)

        planet = await send(entityType="planet")
        assert planet.status_code == 422
        assert planet.json()["error"]["field"] == "entityType"
        assert "user_avatar" in planet.json()["error"]["allowed"]
        words = await send(entityType="user_avatar", metadata="no JSON")
        assert (words.status_code, words.json()["error"]["field"]) == (422, "metadata")
        unknown = await send(entityType="user_avatar", mediaId="m-no")
        assert (unknown.status_code, unknown.json()["error"]["field"]) == (404, "mediaId")
        large = await send(b"x" * 6_000_001, entityType="user_avatar")
        assert (large.status_code, large.json()["error"]["field"]) == (413, "file")
        missing = await send(None, entityType="user_avatar")
        assert (missing.status_code, missing.json()["error"]["field"]) == (422, "file")
    assert list((platform.folder / "data/tmp").iterdir()) == []


async def test_one_of_three_receivers(platform: Deployment, app: App) -> None:
    """SMTP 4xx: retried for that one; 5xx: failed for that one; the others are not sent again."""
    platform.inbox.refused |= {"gone@x.test": "550 no such user", "busy@x.test": "451 later"}
    options = {"to": ["ok@x.test", "gone@x.test", "busy@x.test"], "subject": "S", "text": "T"}
    data: Any = {"channel": "email", "options": options}
    job = await app.queue(NOTIFY).add("__default__", data)

    async def tried() -> bool:
        return (await job.info()).attempts_made == 1

    await wait_until(tried, what="the first attempt")
    del platform.inbox.refused["busy@x.test"]
    done = await platform.job(app, NOTIFY, job.id)
    assert done.state == "completed", done.failed_reason
    status = {one["to"]: one["status"] for one in done.result["recipients"]}
    assert status == {"ok@x.test": "sent", "gone@x.test": "failed", "busy@x.test": "sent"}
    sent = [to[0] for to in platform.inbox.to if to[0] in options["to"]]
    assert sorted(sent) == ["busy@x.test", "ok@x.test"]


async def test_refusals_of_telegram_and_sms(platform: Deployment, app: App) -> None:
    for channel, to, words in (
        ("telegram", shapes.BLOCKED, "blocked by the user"),
        ("telegram", "@nobody_here", "/start"),
        ("sms", shapes.BAD_NUMBER, "21211"),
    ):
        data: Any = {"channel": channel, "options": {"to": to, "text": "x"}}
        job = await app.queue(NOTIFY).add("__default__", data)
        done = await platform.job(app, NOTIFY, job.id)
        assert (done.state, done.attempts_made) == ("failed", 1)
        assert words in str(done.failed_reason)
