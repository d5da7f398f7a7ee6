"""What the chat does with bad input: a row each, on each store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.examples.chat.deployment import FILES, MAIL, PUSH, Deployment, User
from tests.examples.chat.test_chat import image_facts, magick, stored
from tests.support.ffmpeg import clip, probed, run
from tests.support.waiting import wait_until

from toril import App, InvalidPayloadError, JobInfo, JobOptions, TorilError
from toril.services.media.file_records import FileRecord
from toril.services.push.port import Subscription


async def add(chat: Deployment, app: App, queue: str, name: str, data: Any) -> JobInfo:
    """Add a job past the chat's door, as programs elsewhere do, and wait for its end."""
    job = await app.queue(queue).add(name, data)
    return await chat.job(app, queue, job.id)


@pytest.mark.parametrize(
    ("payload", "field"),
    [({"body": "no title"}, "title"), ({"title": 7, "body": "b"}, "title"),
     ({"title": "t"}, "body"), ({"title": "t", "body": "b", "url": 1}, "url")],
)  # fmt: skip
async def test_payload_that_does_not_fit_is_refused_and_kept(
    chat: Deployment, app: App, services: Any, payload: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidPayloadError, match=field):
        await services.get_service("queueService").add_push_notification("u1", payload)

    done = await add(chat, app, PUSH, "push-notification", {"userId": "u1", "payload": payload})

    assert done.state == "failed"
    assert done.attempts_started == 1
    assert field in str(done.failed_reason)
    assert done.data == {"userId": "u1", "payload": payload}


async def test_subscription_with_a_malformed_key_goes_and_others_are_served(
    chat: Deployment, app: App, services: Any
) -> None:
    user = await chat.sign_up()
    good = await chat.browser(user)
    bad = Subscription(endpoint=chat.endpoint.browser().endpoint, p256dh="AAAA", auth="AAAA")
    store = services.services.push.subscriptions
    await store.add(user.id, bad)

    done = await tell(chat, app, user, "hello")

    assert done.state == "completed"
    assert (done.result["sent"], done.result["failed"]) == (1, 1)
    assert [each["body"] for each in good.messages] == ["hello"]
    assert [one.endpoint for one in await store.of_user(user.id)] == [good.endpoint]


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "192.168.1.1"])
async def test_private_endpoint_is_refused_when_subscribing(chat: Deployment, host: str) -> None:
    user = await chat.sign_up()
    body = {**chat.endpoint.browser().json, "endpoint": f"https://{host}/push"}

    async with chat.http(user) as http:
        answer = await http.post("/api/push/subscriptions", json=body)

    assert answer.status_code == 422
    assert "endpoint" in answer.json()["error"]["message"]


async def test_one_of_five_endpoints_hangs(chat: Deployment, app: App) -> None:
    user = await chat.sign_up()
    browsers = [await chat.browser(user) for _ in range(5)]
    browsers[0].hangs = True
    job = await app.queue(PUSH).add("push-notification", message_for(user, "five"))

    await wait_until(lambda: sum(len(one.received) for one in browsers) == 4, what="four pushes")
    await wait_until(
        lambda: "failed:" in chat.log().partition(f"job {job.id} for")[2], what="a try"
    )
    browsers[0].hangs = False
    done = await chat.job(app, PUSH, job.id)

    assert done.state == "completed"
    assert done.result == {"sent": 5, "failed": 0, "total": 5}
    assert [len(one.received) for one in browsers] == [1] * 5
    assert [len(one.requests) for one in browsers[1:]] == [1] * 4


async def test_long_body_is_cut_between_characters(chat: Deployment, app: App) -> None:
    user = await chat.sign_up()
    browser = await chat.browser(user)
    family = "👨‍👩‍👧"

    done = await tell(chat, app, user, family * 2000)

    assert done.result["sent"] == 1
    (plain,) = browser.received
    assert len(plain) <= 3993
    body = browser.messages[0]["body"].removesuffix("…")
    assert body
    assert body == family * body.count(family)


@pytest.mark.parametrize(
    "path", ["../outside.jpg", "/uploads/../../outside.jpg", "/etc/passwd", "uploads/none.jpg"]
)
async def test_file_outside_or_missing_fails_at_once(
    chat: Deployment, app: App, services: Any, path: str
) -> None:
    await remember(services, "f1", path)

    done = await add(
        chat, app, FILES, "process-image", {"fileId": "f1", "filePath": path, "userId": "u1"}
    )

    assert done.state == "failed"
    assert done.attempts_started == 1
    assert "filePath" in str(done.failed_reason)


async def test_odd_images(chat: Deployment, app: App, tmp_path: Path) -> None:
    """An animated GIF gives its first frame; one pixel and CMYK are fine."""
    user = await chat.sign_up()
    gif, dot, cmyk = tmp_path / "a.gif", tmp_path / "dot.png", tmp_path / "cmyk.jpg"
    await asyncio.to_thread(
        magick, "-delay", "10", "-size", "60x40", "xc:red", "xc:blue", "-loop", "0", gif
    )
    await asyncio.to_thread(magick, "-size", "1x1", "xc:green", dot)
    await asyncio.to_thread(magick, "-size", "80x60", "xc:white", "-colorspace", "CMYK", cmyk)

    facts = []
    for path, kind in ((gif, "image/gif"), (dot, "image/png"), (cmyk, "image/jpeg")):
        answer = await chat.upload(user, path.read_bytes(), kind)
        done = await chat.job(app, FILES, answer["processing"]["jobId"])
        assert done.state == "completed", done.failed_reason
        facts.append(await image_facts(await stored(chat, done.result["compressedUrl"]), tmp_path))

    sizes = [(one["width"], one["height"]) for one in facts]
    assert sizes == [("60", "40"), ("1", "1"), ("80", "60")]
    assert {one["space"] for one in facts} <= {"sRGB", "Gray"}


async def test_truncated_image_fails_with_the_reason(
    chat: Deployment, app: App, tmp_path: Path
) -> None:
    user = await chat.sign_up()
    path = tmp_path / "cut.png"
    await asyncio.to_thread(magick, "-size", "400x300", "plasma:", path)

    answer = await chat.upload(user, path.read_bytes()[:2000], "image/png")
    done = await chat.job(app, FILES, answer["processing"]["jobId"])

    assert done.state == "failed"
    assert done.attempts_started == 1
    assert done.failed_reason
    async with chat.http(user) as http:
        record = (await http.get(f"/api/files/{answer['fileId']}")).json()
    assert record["processed"] is False


async def test_odd_videos(chat: Deployment, app: App, tmp_path: Path) -> None:
    """Without sound: fine. Empty, or none: failed, with a reason."""
    user = await chat.sign_up()
    silent = await asyncio.to_thread(clip, tmp_path / "silent.mp4", seconds=1, sound=False)

    ends = []
    for content in (silent.read_bytes(), b"\0" * 2000, b"no video at all" * 50):
        answer = await chat.upload(user, content, "video/mp4")
        ends.append(await chat.job(app, FILES, answer["processing"]["jobId"]))

    good, zero, text = ends
    assert good.state == "completed", good.failed_reason
    (tmp_path / "out.mp4").write_bytes(await stored(chat, good.result["compressedUrl"]))
    assert (await asyncio.to_thread(probed, tmp_path / "out.mp4"))["audio"] is None
    for one in (zero, text):
        assert one.state == "failed"
        assert one.attempts_started == 1
        assert one.failed_reason


async def test_video_of_no_length_fails(chat: Deployment, app: App, tmp_path: Path) -> None:
    user = await chat.sign_up()
    path = tmp_path / "none.mp4"
    options = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-frames:v", "0")
    await asyncio.to_thread(run, "-y", *options, str(path))

    answer = await chat.upload(user, path.read_bytes() or b"\0", "video/mp4")
    done = await chat.job(app, FILES, answer["processing"]["jobId"])

    assert done.state == "failed"
    assert done.attempts_started == 1


async def test_unknown_name_fails_at_once_and_is_kept(
    chat: Deployment, app: App, services: Any
) -> None:
    """CH-9: also at the door."""
    for queue in (PUSH, FILES, MAIL):
        done = await add(chat, app, queue, "process-nothing", {"a": 1})
        assert done.state == "failed"
        assert done.failed_reason == "Unknown job type: process-nothing"
        assert done.data == {"a": 1}
        with pytest.raises(TorilError, match="process-nothing"):
            await services.queues.app.queue(queue).add("process-nothing", {})


async def test_payload_over_64_kib_is_refused_with_advice(services: Any) -> None:
    """CH-24."""
    queues = services.get_service("queueService")

    with pytest.raises(InvalidPayloadError, match=r"65,?536") as refused:
        await queues.add_email("jo@example.com", "s", "x" * 70_000)

    assert "store" in str(refused.value).lower()


async def test_malformed_requests_are_answered(chat: Deployment) -> None:
    """CR-14: 400, 401, 403, 404, 422, each with its words."""
    a, b = await chat.sign_up("A"), await chat.sign_up("B")
    room = await chat.room(a)

    async with chat.http(a) as http:
        no_json = await http.post("/api/messages", content=b"{")
        no_field = await http.post("/api/messages", json={"roomId": room})
        too_much = await http.post(
            "/api/messages", json={"roomId": room, "content": "c", "titel": "t"}
        )
        no_room = await http.post("/api/messages", json={"roomId": "none", "content": "c"})
    async with chat.http(b) as http:
        no_member = await http.post("/api/messages", json={"roomId": room, "content": "c"})
        nobody = await http.post(
            "/api/messages", json={}, headers={"authorization": "Bearer nobody-at-all"}
        )

    answers = [no_json, no_field, too_much, no_room, no_member, nobody]
    assert [one.status_code for one in answers] == [400, 422, 422, 404, 403, 401]
    assert all(set(one.json()["error"]) >= {"code", "message"} for one in answers)
    assert no_field.json()["error"]["field"] == "content"


def message_for(user: User, body: str) -> dict[str, Any]:
    """Return the payload of a push."""
    return {"userId": user.id, "payload": {"title": "t", "body": body}}


async def tell(chat: Deployment, app: App, user: User, body: str) -> JobInfo:
    """Send a push, and return what became of it."""
    return await add(chat, app, PUSH, "push-notification", message_for(user, body))


async def remember(services: Any, file_id: str, path: str) -> None:
    """Add a file's record."""
    await services.services.files.add(FileRecord(file_id=file_id, path=path))


async def test_options_of_a_call_go_before_those_of_the_queue(app: App, services: Any) -> None:
    """CH-29, R-28: what is not given is the queue's."""
    queues = services.get_service("queueService")
    payload = services.PushPayload(title="t", body="b")
    own = JobOptions(priority=5, delay_s=3600.0)

    plain = await (await queues.add_push_notification("nobody", payload)).info()
    other = await (await queues.add_push_notification("nobody", payload, own)).info()
    file = await (await queues.add_image_processing("x", "/x", "u", JobOptions(delay_s=60))).info()

    assert plain.options["priority"] == 1
    assert plain.options["attempts"] == 3
    assert plain.options["backoff"] == {"type": "exponential", "delay": 2000}
    assert plain.options["removeOnComplete"] == {"age": 86_400, "count": 1000}
    assert plain.options["removeOnFail"] == {"age": 604_800}
    assert (other.options["priority"], other.options["delay"]) == (5, 3_600_000)
    assert other.options["attempts"] == 3
    assert file.options["attempts"] == 2
    assert file.options["backoff"] == {"type": "exponential", "delay": 5000}
    assert file.options["removeOnComplete"] == {"age": 604_800, "count": 500}
