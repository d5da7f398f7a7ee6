"""The walk-through of the content platform, on both stores, against real servers.

Each test is a step or several; steps that are about Redis itself are in
`test_content_platform_outage.py`, those with Node in `test_content_platform_node.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
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
    message,
    picture,
)
from tests.services.pictures import chunks, decoded, near
from tests.support.waiting import wait_until
from websockets.exceptions import InvalidStatus

from toril import App

pytestmark = pytest.mark.timeout(600)
MARK = {"watermarkId": "wm-logo", "position": "bottom-right", "opacity": 0.5, "scale": 0.15}


async def figure(platform: Deployment, name: str, **labels: str) -> float:
    """Return a figure of /metrics."""
    families = await platform.figures()
    family = families[name.removesuffix("_total")]
    found = [one.value for one in family.samples if one.name == name and one.labels == labels]
    assert len(found) == 1, (name, labels, family.samples)
    return float(found[0])


async def test_counts_and_credentials(platform: Deployment, store: str) -> None:
    """Step 2."""
    answer = await platform.ask("GET", "/media/queue")
    assert answer.status_code == 200
    body = answer.json()
    assert list(body) == ["processing", "sync", "watermark"]
    for counts in body.values():
        assert list(counts) == ["waiting", "active", "completed", "failed", "type"]
        assert counts["type"] == ("bull" if store == "redis" else "in-memory")
    async with platform.http(None) as http:
        assert (await http.get(f"{BASE}/media/queue")).status_code == 401
        assert (await http.get("/metrics")).status_code == 401
        assert (await http.post(f"{BASE}/events", json={})).status_code == 401


async def test_small_roles_are_refused(platform: Deployment, app: App) -> None:
    """CP-59: 403."""
    from toril.web.access.control import AccessControl
    from toril.web.access.port import Role

    secret = await AccessControl(app).keys.add("viewer", role=Role.VIEWER)
    async with platform.http(secret) as http:
        assert (await http.get(f"{BASE}/media/queue")).status_code == 403
        assert (await http.get("/metrics")).status_code == 200


async def test_upload_becomes_clean_variants(platform: Deployment, app: App) -> None:
    """Steps 3 to 5."""
    before = await figure(platform, "media_sync_jobs_total", status="completed", operation="upload")
    async with platform.listen() as socket:
        job_id = await platform.upload(camera_photo(), userId="u1", metadata='{"alt":"A"}')
        told = await message(socket, job_id)
    assert told["type"] == "media.processed"
    media_id = told["mediaId"]
    assert [one["name"] for one in told["variants"]] == ["thumb", "medium", "large"]
    sizes = {"thumb": (320, 240), "medium": (600, 800), "large": (1200, 1600)}
    for variant in told["variants"]:
        content = (platform.media_root / variant["path"]).read_bytes()
        assert len(content) == variant["bytes"]
        assert not {b"EXIF", b"XMP ", b"ICCP"} & set(chunks(content))
        image = decoded(content).convert("RGB")
        assert image.size == sizes[variant["name"]] == (variant["width"], variant["height"])
        assert near(image.getpixel((4, 4)), (220, 30, 30), within=12)  # upright
        assert near(image.getpixel((image.width - 5, 5)), (40, 90, 160), within=12)
    record = (await platform.ask("GET", f"/media/{media_id}")).json()
    assert record["metadata"] == {"alt": "A"}
    assert (record["userId"], record["status"]) == ("u1", "active")
    assert list((platform.folder / "data/tmp").iterdir()) == []

    await platform.synced(media_id)
    await wait_until(
        lambda: _is_figure(
            platform, before + 1, "media_sync_jobs_total", status="completed", operation="upload"
        ),
        what="the sync to be counted",
    )
    assert (await platform.ask("GET", f"/media/{media_id}")).json()["storage"] == "both"
    assert (await platform.job(app, PROCESSING, job_id)).progress == 100


async def _is_figure(platform: Deployment, value: float, name: str, **labels: str) -> bool:
    return await figure(platform, name, **labels) >= value


async def test_socket_tells_owners_only(platform: Deployment, app: App) -> None:
    """CP-22, R-14: an administrator may listen as a user; without a session there is nothing."""
    async with platform.listen(query="?userId=u7") as own, platform.listen() as every:
        others = await platform.upload(camera_photo(80, 60), "user_avatar", userId="u8")
        bad = await platform.upload(b"no image", "user_avatar", userId="u7")
        assert (await message(every, others))["type"] == "media.processed"
        failed = await message(own, bad)
        assert failed["type"] == "media.failed"
        assert "its bytes are not an image" in failed["error"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await own.recv()
    with pytest.raises(InvalidStatus) as error:
        async with platform.listen(key="nobody"):
            pass
    assert error.value.response.status_code == 403


async def test_watermark_and_its_repeat(platform: Deployment, app: App) -> None:
    """Step 6, CP-10, CP-32: at that corner only; a repeat gives the same bytes."""
    media_id = await platform.media(app)
    clean = platform.files(media_id)
    answer = await platform.ask("POST", f"/media/{media_id}/watermark", MARK)
    assert answer.status_code == 202
    assert answer.json()["queue"] == WATERMARK
    done = await platform.job(app, WATERMARK, answer.json()["jobId"])
    assert done.state == "completed", done.failed_reason
    await platform.synced(media_id)
    marked = platform.files(media_id)
    for variant in done.result["variants"]:
        before = next(each for name, each in clean.items() if f"/{variant['name']}." in name)
        one, two = picture(before), picture(marked[variant["path"]])
        width, height = one.size
        corner = (width - 8, height - 8)
        assert not near(two.getpixel(corner), one.getpixel(corner), within=30)  # type: ignore[arg-type]
        for at in ((5, 5), (width - 8, 5), (5, height - 8), (width // 2, height // 2)):
            assert near(two.getpixel(at), one.getpixel(at), within=10)  # type: ignore[arg-type]
    again = await platform.ask("POST", f"/media/{media_id}/watermark", MARK)
    assert (await platform.job(app, WATERMARK, again.json()["jobId"])).state == "completed"
    assert platform.files(media_id) == marked
    one = await platform.ask(
        "POST", f"/media/{media_id}/watermark", {**MARK, "position": "tile", "variants": ["thumb"]}
    )
    result = (await platform.job(app, WATERMARK, one.json()["jobId"])).result
    assert [each["name"] for each in result["variants"]] == ["thumb"]


async def test_worker_killed_while_it_marks(platform: Deployment, app: App) -> None:
    """Step 6: the same pixels as of a single run."""
    media_id, other = await platform.media(app), await platform.media(app)
    answer = await platform.ask("POST", f"/media/{media_id}/watermark", MARK)
    whole = await platform.job(app, WATERMARK, answer.json()["jobId"])
    expected = sorted(platform.files(media_id).values())
    assert whole.state == "completed"
    answer = await platform.ask("POST", f"/media/{other}/watermark", MARK)
    job = app.queue(WATERMARK).job(answer.json()["jobId"])

    async def began() -> bool:
        return (await job.info()).state in ("active", "completed")

    await wait_until(began, what="the watermark to begin")
    platform.kill("worker")
    platform.start_worker()
    done = await platform.job(app, WATERMARK, job.id)
    assert done.state == "completed", done.failed_reason
    await platform.synced(other)
    assert sorted(platform.files(other).values()) == expected


async def test_sync_by_hand(platform: Deployment, app: App) -> None:
    """Step 7, CP-55, CP-25, CP-26."""
    media_id = await platform.media(app)
    files = platform.files(media_id)

    async def sync(operation: str, **more: Any) -> Any:
        body = {"mediaIds": [media_id], "operation": operation, **more}
        answer = await platform.ask("POST", "/media/sync", body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["count"] == 1
        (job_id,) = answer.json()["jobIds"]
        return await platform.job(app, SYNC, job_id)

    for path in files:
        (platform.media_root / path).unlink()
    assert (await sync("download")).state == "completed"
    assert platform.files(media_id) == files
    job = await sync("delete", deleteSource=False, priority=10)
    assert (job.state, job.priority) == ("completed", 1)
    there = await asyncio.to_thread(platform.objects)
    assert not any(f"/{media_id}/" in key for key in there)
    assert platform.files(media_id) == files
    assert (await sync("upload", deleteSource=True)).state == "completed"
    assert platform.files(media_id) == {}
    assert (await sync("delete", deleteSource=True)).state == "completed"
    assert (await platform.ask("GET", f"/media/{media_id}")).json()["storage"] == "none"


async def test_reprocess_replaces(platform: Deployment, app: App) -> None:
    """CP-18."""
    media_id = await platform.media(app, entity_type="user_avatar")
    before = platform.files(media_id)
    again = await platform.media(
        app, content=camera_photo(300, 300), entity_type="user_avatar", mediaId=media_id
    )
    assert again == media_id
    assert platform.files(media_id).keys().isdisjoint(before)
    bad = await platform.upload(b"no image", "user_avatar", mediaId=media_id)
    after = platform.files(media_id)
    assert (await platform.job(app, PROCESSING, bad)).state == "failed"
    assert platform.files(media_id) == after


async def test_all_five_channels(platform: Deployment, app: App) -> None:
    """Steps 8 and 9: a producer of any language adds them; each end point shows its own."""
    browser = await platform.browser_of("u5")
    to = {
        "email": ["a@example.com", "b@example.com"],
        "browser": "u5",
        "telegram": "77",
        "database": "u5",
        "sms": "+15551234567",
    }
    before = len(platform.inbox.mails)
    jobs = {}
    for channel, receivers in to.items():
        data: Any = {"channel": channel, "options": {
            "to": receivers, "template": "welcome", "data": {"name": "Jo"}}}  # fmt: skip
        jobs[channel] = await app.queue(NOTIFY).add("__default__", data)
    for channel, job in jobs.items():
        done = await platform.job(app, NOTIFY, job.id)
        assert done.state == "completed", (channel, done.failed_reason)
        assert {one["status"] for one in done.result["recipients"]} == {"sent"}
    mails = platform.inbox.mails[before:]
    assert sorted(str(mail["to"]) for mail in mails) == ["a@example.com", "b@example.com"]
    for mail in mails:
        assert mail["from"] == "Media <media@example.com>"
        html, text = mail.get_body(("html",)), mail.get_body(("plain",))
        assert html is not None
        assert text is not None
        assert "Jo" in html.get_content()
        assert "Jo" in text.get_content()
    (push,) = [json.loads(body) for body in browser.received]
    assert "Jo" in push["body"]
    assert "Jo" in platform.telegram.taken[-1]["text"]
    assert platform.sms.taken[-1]["to"] == "+15551234567"


async def test_rule_with_delay(platform: Deployment, app: App) -> None:
    """Step 10, CP-46: one event and one rule give one job, however often it is posted."""
    from toril.library.notify import EventRulesHandler, NotificationService
    from toril.library.notify.tasks import notify_send
    from toril.services.rules.sql import SqlRules

    rules = SqlRules(
        platform.environment.get("DATABASE_URL", f"sqlite:///{platform.folder}/data/records.db")
    )
    handler = EventRulesHandler(rules, NotificationService(app.adding(notify_send)))
    options = {"to": "{{ payload.chat }}", "text": "Order {{ payload.id }}"}
    await handler.save({
        "id": "paid", "event": "order.paid", "channel": "telegram", "options": options,
        "delayMs": 2000,
    })  # fmt: skip
    body = {"event": "order.paid", "id": "e-1", "payload": {"chat": "78", "id": 5}}
    first, second = [await platform.ask("POST", "/events", body) for _ in range(2)]
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    (job_id,) = first.json()["jobIds"]
    info = await app.queue(NOTIFY).job(job_id).info()
    assert info.delay_s == 2
    assert (await platform.job(app, NOTIFY, job_id)).state == "completed"
    sent = [one for one in platform.telegram.taken if one["to"] == "78"]
    assert sent == [{"to": "78", "text": "Order 5"}]
    missing = await platform.ask("POST", "/events", {"event": "order.paid", "payload": {}})
    assert (missing.status_code, missing.json()["error"]["field"]) == (422, "payload")
    await rules.close()


async def test_scenario_stops_by_its_event(platform: Deployment, app: App) -> None:
    """Step 11."""
    from toril.library.notify import ScenarioEngine
    from toril.library.notify.tasks import notify_step
    from toril.services.rules.sql import SqlRules

    url = platform.environment.get("DATABASE_URL", f"sqlite:///{platform.folder}/data/records.db")
    rules = SqlRules(url)
    engine = ScenarioEngine(app, app.adding(notify_step), rules)
    step = {"channel": "telegram", "options": {"to": "79", "text": "step"}, "unless": "bought"}
    later = {**step, "afterMs": 600_000}
    await engine.save({"id": "remind", "steps": [step, later, later]})
    run = await engine.start("remind", "u6")

    async def at_second() -> bool:
        found = await rules.run(run.id)
        return found is not None and found.step == 1

    await wait_until(at_second, what="the first step")
    body = {"event": "bought", "payload": {"userId": "u6"}}
    assert (await platform.ask("POST", "/events", body)).json() == {"jobIds": []}
    found = await rules.run(run.id)
    assert found is not None
    assert found.state == "stopped"
    assert [one for one in platform.telegram.taken if one["to"] == "79"] == [
        {"to": "79", "text": "step"}
    ]
    await rules.close()


async def test_mail_server_in_trouble(platform: Deployment, app: App) -> None:
    """Step 12, CP-3, CP-75: waits of 1 s and 2 s, then sent; the log's lines have their form."""
    platform.inbox.answer = "451 later"
    data: Any = {
        "channel": "email",
        "options": {"to": "late@example.com", "subject": "S", "text": "T"},
    }
    job = await app.queue(NOTIFY).add("__default__", data)

    async def failed_twice() -> bool:
        return (await job.info()).attempts_made == 2

    await wait_until(failed_twice, what="two attempts")
    platform.inbox.answer = "250 OK"
    done = await platform.job(app, NOTIFY, job.id)
    assert done.state == "completed", done.failed_reason
    assert [to for to in platform.inbox.to if to == ["late@example.com"]] == [["late@example.com"]]
    line = rf"\[NotificationQueue:(Bull|InMemory)\] completed job {job.id} in \d+ ms"
    await wait_until(lambda: re.search(line, platform.log()), what="the log's line")
    worker = platform.log("worker")
    assert f"job {job.id} of notifications (__default__), attempt 1," in worker
    assert re.search(rf"job {job.id} of .*attempt 1, .* tried again in 1.0 s", worker)
    assert re.search(rf"job {job.id} of .*attempt 2, .* tried again in 2.0 s", worker)


async def test_metrics_have_their_names(platform: Deployment, app: App) -> None:
    """CP-71 to CP-73, by the official parser."""
    await platform.media(app)
    families = await platform.figures()
    kinds = {name: family.type for name, family in families.items()}
    expected = {
        "media_processing_queue_size": "gauge",
        "media_processing_jobs": "counter",
        "media_processing_duration_seconds": "histogram",
        "media_sync_queue_size": "gauge",
        "media_sync_jobs": "counter",
        "notification_queue_size": "gauge",
        "notification_queue_switches": "counter",
        "watermark_queue_size": "gauge",
        "watermark_jobs": "counter",
    }
    assert {name: kinds.get(name) for name in expected} == expected
    labels = {
        "media_processing_jobs": {"status"},
        "media_sync_jobs": {"status", "operation"},
        "notification_queue_switches": {"from", "to"},
    }
    for name, wanted in labels.items():
        assert {frozenset(one.labels) for one in families[name].samples} == {frozenset(wanted)}
    assert await figure(platform, "media_processing_jobs_total", status="completed") >= 1
    counted = [
        one.value
        for one in families["media_processing_duration_seconds"].samples
        if one.name.endswith("_count")
    ]
    assert counted[0] >= 1
    assert "toril_queue_jobs" in families


async def test_cleanup_counts_what_it_frees(platform: Deployment, app: App) -> None:
    """Step 16, with the age of the record moved by 31 days."""
    media_id = await platform.media(app)
    files = platform.files(media_id)
    assert (await platform.ask("DELETE", f"/media/{media_id}")).status_code == 204
    body = {"olderThanDays": 30, "status": "soft_deleted"}
    young = await platform.ask("POST", "/media/cleanup", body)
    assert young.json() == {"deleted": 0, "freedBytes": 0}
    await platform.age(media_id, days=31)

    answer = await platform.ask("POST", "/media/cleanup", body)

    size = 2 * sum(map(len, files.values()))  # on the disk and in the bucket
    assert answer.json() == {"deleted": 1, "freedBytes": size}
    assert platform.files(media_id) == {}
    assert (await platform.ask("GET", f"/media/{media_id}")).status_code == 404
    assert not any(f"/{media_id}/" in key for key in await asyncio.to_thread(platform.objects))


CLASSES = {
    PROCESSING: "MediaProcessingQueue",
    SYNC: "MediaSyncQueue",
    WATERMARK: "WatermarkQueue",
    NOTIFY: "NotificationQueue",
}


async def test_board_shows_all_queues(platform: Deployment, app: App) -> None:
    """Step 15, CP-63: on a port of its own, and not without signing in.

    CP-64: under their names, with the class names.
    """
    media_id = await platform.media(app)  # a queue is shown once it had a job
    answer = await platform.ask("POST", f"/media/{media_id}/watermark", MARK)
    note: Any = {"channel": "database", "options": {"to": "u1", "text": "T"}}
    told = await app.queue(NOTIFY).add("__default__", note)
    await platform.job(app, WATERMARK, answer.json()["jobId"])
    await platform.job(app, NOTIFY, told.id)
    async with platform.http(None) as http:
        page = await http.get(f"{platform.board_url}/queues")
        assert page.status_code in (302, 303, 307, 401)
    async with platform.http() as http:
        for board in (platform.board_url, f"{platform.url}/board"):
            page = await http.get(f"{board}/queues")
            assert page.status_code == 200
            for queue, class_name in CLASSES.items():
                assert queue in page.text
                assert class_name in page.text
                shown = await http.get(f"{board}/queues/{queue}")
                assert class_name in shown.text.partition("</h1>")[0]


async def test_paused_queue_waits(platform: Deployment, app: App) -> None:
    """Step 15: pause `watermark`, add a job, resume; clean what completed."""
    media_id = await platform.media(app)
    queue = app.queue(WATERMARK)
    await queue.clean("completed", older_than=0, limit=1000)  # Node's count only while kept
    await queue.pause()
    answer = await platform.ask("POST", f"/media/{media_id}/watermark", MARK)
    job = queue.job(answer.json()["jobId"])
    counts = (await platform.ask("GET", "/media/queue")).json()["watermark"]
    assert (counts["waiting"], counts["active"]) == (1, 0)
    await queue.resume()
    assert (await platform.job(app, WATERMARK, job.id)).state == "completed"
    total = (await platform.ask("GET", "/media/queue")).json()["watermark"]["completed"]
    assert await queue.clean("completed", older_than=0, limit=1000)
    after = (await platform.ask("GET", "/media/queue")).json()["watermark"]["completed"]
    assert after == total > 0  # since the queue began, kept or not


async def test_schedule_of_the_cleanup(platform: Deployment, app: App) -> None:
    """CP-49, CP-50: daily at three, UTC, once however many workers there are."""
    found: list[Any] = []

    async def is_there() -> bool:  # a worker that has just started puts it
        found[:] = [one for one in await app.schedules.list() if one.name == "cleanup.media"]
        return bool(found)

    await wait_until(is_there, what="the schedule")
    assert len(found) == 1
    assert found[0].cron == "0 3 * * *"
