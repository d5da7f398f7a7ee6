"""The walk-through of the chat, step by step, on each store, with real servers around it.

Steps 8 and 16 are in `test_chat_limits.py`, step 13 and what else is about Node in
`test_chat_node.py`, step 15 in `test_chat_board.py`, step 17 in `test_chat_outage.py`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.examples.chat.deployment import FILES, MAIL, PUSH, Deployment, lines_of
from tests.support.ffmpeg import clip, identified, probed, program
from tests.support.waiting import wait_until

from toril import App
from toril.services.push.port import Subscription


async def image_facts(content: bytes, folder: Path) -> dict[str, str]:
    """Return what ImageMagick, which shares no code with our engine, says of a picture."""
    path = folder / "picture"
    path.write_bytes(content)
    return await asyncio.to_thread(identified, path)


async def stored(chat: Deployment, url: str) -> bytes:
    """Return a file that the worker has stored."""
    storage = chat.storage()
    async with await storage.get(url.lstrip("/")) as stream:
        content = await stream.read(50_000_000)
    await storage.close()
    return bytes(content)


async def test_message_reaches_each_browser_of_the_others(chat: Deployment, app: App) -> None:
    """Steps 1 to 4: three pushes, none for the sender, and the four lines of the log."""
    a, b, c = [await chat.sign_up(name) for name in ("A", "B", "C")]
    browsers = [await chat.browser(b), await chat.browser(b), await chat.browser(c)]
    own = await chat.browser(a)
    room = await chat.room(a, b, c)

    answer = await chat.post(a, room, "Noon?")

    assert answer.status_code == 200
    message = answer.json()["message"]
    assert set(message) == {"id", "roomId", "senderId", "content", "type", "createdAt"}
    assert (message["roomId"], message["senderId"], message["content"]) == (room, a.id, "Noon?")
    await wait_until(lambda: all(each.received for each in browsers), what="three pushes")
    expected = {"title": "New message in Team", "body": "Noon?", "url": f"/chat/{room}"}
    assert [each.messages for each in browsers] == [[expected]] * 3
    assert own.received == []
    job_id = f"{message['id']}-{b.id}"
    done = await chat.job(app, PUSH, job_id)
    assert done.result == {"sent": 2, "failed": 0, "total": 2}
    assert done.priority == 1
    await wait_until(lambda: len(lines_of(chat.log(), job_id)) >= 4, what="four lines")
    assert lines_of(chat.log(), job_id) == [
        f"🔄 Worker: Processing job {job_id} of type push-notification",
        f"📤 Processing push notification job {job_id} for user {b.id}",
        f"✅ Push notification job {job_id} completed: 2 sent, 0 failed",
        f"✅ Job {job_id} completed",
    ]


async def test_ended_subscription_is_removed_and_not_tried_again(
    chat: Deployment, app: App
) -> None:
    """Step 5."""
    a, b = await chat.sign_up("A"), await chat.sign_up("B")
    good, gone = await chat.browser(b), await chat.browser(b)
    gone.status = 410
    room = await chat.room(a, b)

    first = (await chat.post(a, room, "one")).json()["message"]["id"]
    done = await chat.job(app, PUSH, f"{first}-{b.id}")
    second = (await chat.post(a, room, "two")).json()["message"]["id"]
    after = await chat.job(app, PUSH, f"{second}-{b.id}")

    result = {**done.result, "reasons": None}
    assert result == {"sent": 1, "failed": 1, "total": 2, "reasons": None}
    assert done.attempts_made == 1
    assert after.result == {"sent": 1, "failed": 0, "total": 1}
    assert [each["body"] for each in good.messages] == ["one", "two"]


async def test_failing_endpoint_is_tried_after_2_and_4_s_and_nobody_is_told_twice(
    chat: Deployment, app: App
) -> None:
    """Step 6."""
    a, b, c = [await chat.sign_up(name) for name in ("A", "B", "C")]
    browser_b, browser_c, other_c = [await chat.browser(user) for user in (b, c, c)]
    browser_c.statuses = [500, 500]
    room = await chat.room(a, b, c)

    message = (await chat.post(a, room, "again")).json()["message"]["id"]
    done = await chat.job(app, PUSH, f"{message}-{c.id}")

    assert done.result == {"sent": 2, "failed": 0, "total": 2}
    first, second = done.attempts[:2]
    assert done.processed_at is not None
    # Stores note moments to the millisecond, and a busy machine may be late, but never early.
    assert (second.started_at - first.ended_at).total_seconds() >= 1.99
    assert (done.processed_at - second.ended_at).total_seconds() >= 3.99
    assert len(browser_c.requests) == 3
    assert [len(each.received) for each in (browser_b, browser_c, other_c)] == [1, 1, 1]
    assert len(other_c.requests) == 1


async def test_user_without_subscriptions(chat: Deployment, app: App) -> None:
    """Step 7."""
    a, b = await chat.sign_up("A"), await chat.sign_up("B")
    room = await chat.room(a, b)

    message = (await chat.post(a, room, "anybody?")).json()["message"]["id"]

    done = await chat.job(app, PUSH, f"{message}-{b.id}")
    assert done.result == {"sent": 0, "failed": 0, "total": 0}


async def test_picture_becomes_two_files(chat: Deployment, app: App, tmp_path: Path) -> None:
    """Step 9: sizes and quality as another decoder reads them; the record is changed."""
    user = await chat.sign_up()
    path = tmp_path / "large.jpg"
    await asyncio.to_thread(magick, "-size", "4032x3024", "plasma:red-blue", "-quality", "90", path)

    answer = await chat.upload(user, path.read_bytes(), "image/jpeg")
    done = await chat.job(app, FILES, answer["processing"]["jobId"])

    file_id = answer["fileId"]
    assert done.state == "completed", done.failed_reason
    assert done.result == {
        "compressedUrl": f"/{file_id}-compressed.jpg",
        "thumbnailUrl": f"/{file_id}-thumbnail.jpg",
    }
    compressed = await image_facts(await stored(chat, done.result["compressedUrl"]), tmp_path)
    thumbnail = await image_facts(await stored(chat, done.result["thumbnailUrl"]), tmp_path)
    sizes = [(one["width"], one["height"], one["quality"]) for one in (compressed, thumbnail)]
    assert sizes == [("1440", "1080", "85"), ("320", "240", "75")]
    assert compressed["format"] == thumbnail["format"] == "JPEG"
    async with chat.http(user) as http:
        record = (await http.get(f"/api/files/{file_id}")).json()
    assert record == {"fileId": file_id, "processed": True, **done.result}
    assert f"🖼️ Processing image job {done.id} for file {file_id}\n" in chat.log()


async def test_video_and_avatar(chat: Deployment, app: App, tmp_path: Path) -> None:
    """Step 10: H.264 as ffprobe reads it, progress that rises, ten files of an avatar."""
    user = await chat.sign_up()
    source = await asyncio.to_thread(clip, tmp_path / "clip.mp4", size="1920x1080", seconds=3)
    portrait = tmp_path / "portrait.png"
    await asyncio.to_thread(magick, "-size", "700x500", "plasma:green-white", portrait)

    seen: list[int] = []
    answer = await chat.upload(user, source.read_bytes(), "video/mp4")
    job = app.queue(FILES).job(answer["processing"]["jobId"])

    async def ended() -> bool:
        info = await job.info()
        if isinstance(info.progress, int) and info.progress not in seen[-1:]:
            seen.append(info.progress)
        return info.state in ("completed", "failed")

    await wait_until(ended, deadline_s=120, what="the video")
    done = await job.info()
    assert done.state == "completed", done.failed_reason
    file_id = answer["fileId"]
    assert done.result["compressedUrl"] == f"/{file_id}-compressed.mp4"
    assert done.result["posterUrl"] == f"/{file_id}-poster.jpg"
    content = await stored(chat, done.result["compressedUrl"])
    (tmp_path / "out.mp4").write_bytes(content)
    facts = await asyncio.to_thread(probed, tmp_path / "out.mp4")
    video, sound = facts["video"], facts["audio"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 1280, 720)
    assert sound["codec_name"] == "aac"
    assert abs(float(facts["format"]["duration"]) - 3) < 0.3
    assert done.result["bytes"] == len(content)
    assert seen == sorted(seen)
    assert len(seen) >= 2

    answer = await chat.upload(user, portrait.read_bytes(), "image/png", "/api/users/avatar")
    done = await chat.job(app, FILES, answer["processing"]["jobId"])
    avatars = done.result["avatars"]
    assert sorted(avatars, key=int) == ["32", "64", "128", "256", "512"]
    for side, urls in avatars.items():
        assert set(urls) == {"webp", "jpeg"}
        for url in urls.values():
            found = await image_facts(await stored(chat, url), tmp_path)
            assert (found["width"], found["height"]) == (side, side)


async def test_killed_worker_leaves_one_output(chat: Deployment, app: App, tmp_path: Path) -> None:
    """Step 11."""
    user = await chat.sign_up()
    source = await asyncio.to_thread(clip, tmp_path / "clip.mp4", size="1280x720", seconds=8)
    answer = await chat.upload(user, source.read_bytes(), "video/mp4")
    job = app.queue(FILES).job(answer["processing"]["jobId"])

    async def works() -> bool:
        info = await job.info()
        assert info.state not in ("completed", "failed"), info.failed_reason
        return isinstance(info.progress, int) and info.progress >= 1

    await wait_until(works, what="the first progress")
    chat.kill("worker")
    await asyncio.to_thread(chat.start_worker)
    done = await chat.job(app, FILES, job.id)

    assert done.state == "completed", done.failed_reason
    assert done.attempts_started == 2
    storage = chat.storage()
    keys = [entry.key for entry in (await storage.list("")).entries]
    await storage.close()
    keys = [key for key in keys if key.startswith(f"{answer['fileId']}-")]
    assert sorted(keys) == sorted(
        [f"{answer['fileId']}-compressed.mp4", f"{answer['fileId']}-poster.jpg"]
    )


async def test_welcome_mail_is_escaped(chat: Deployment, app: App) -> None:
    """Step 12, and the row of a user's name with markup."""
    await chat.sign_up("<script>alert(1)</script>", "marked@example.com")

    def found() -> list[Any]:
        return [mail for mail in chat.smtp.mails() if mail["to"] == "marked@example.com"]

    await wait_until(found, what="the mail")

    (mail,) = found()
    assert mail["subject"] == "Welcome to Synapse!"
    assert "chat@example.com" in mail["from"]
    html = mail.get_body(("html",)).get_content()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>" not in html
    assert "Welcome, <script>alert(1)</script>!" in mail.get_body(("plain",)).get_content()
    page = await app.queue(MAIL).jobs("completed", limit=1000)
    (job,) = [one for one in page.jobs if one.data["to"] == "marked@example.com"]
    assert job.result == {"success": True}
    assert f"📧 Processing email job {job.id} to m***@example.com\n" in chat.log()
    assert f"✅ Email job {job.id} completed\n" in chat.log()


async def test_batch_of_1200_users_is_three_jobs(chat: Deployment, app: App, services: Any) -> None:
    """Step 14: the endpoint sees each user once."""
    users = [f"u{number}-{id(chat):x}" for number in range(1200)]
    browsers = []
    for user in users:
        browser = chat.endpoint.browser()
        browsers.append(browser)
        held: Subscription = browser.subscription
        await services.services.push.subscriptions.add(user, held)

    payload = services.PushPayload(title="News", body="for all")
    jobs = await services.get_service("queueService").add_batch_push_notification(users, payload)

    assert len(jobs) == 3
    done = [await chat.job(app, PUSH, job.id) for job in jobs]
    assert [one.state for one in done] == ["completed"] * 3
    assert [one.result["users"] for one in done] == [500, 500, 200]
    assert sum(one.result["sent"] for one in done) == 1200
    assert {len(each.received) for each in browsers} == {1}


def magick(*arguments: object) -> None:
    """Run ImageMagick."""
    import subprocess

    subprocess.run([program("convert", "imagemagick"), *map(str, arguments)], check=True)
