"""The npm package beside the chat: its producers, its worker, and what published producers send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.examples.chat.deployment import FILES, MAIL, PUSH, Deployment
from tests.examples.chat.test_chat import image_facts, magick, stored
from tests.support.ffmpeg import clip, probed
from tests.support.node import Node
from tests.support.waiting import wait_until

from toril import App
from toril.services.media.file_records import FileRecord

pytestmark = pytest.mark.parametrize("store", ["redis"], indirect=True, scope="session")


@pytest.fixture
async def node(servers: Deployment) -> AsyncIterator[Node]:
    """Node, on the chat's Redis."""
    async with await Node.start(servers.store_url) as node:
        yield node


async def put(chat: Deployment, key: str, content: bytes, content_type: str) -> None:
    """Put a file into the storage, as another program's route does."""
    storage = chat.storage()
    await storage.put(key, content, content_type=content_type)
    await storage.close()


async def has(chat: Deployment, key: str) -> bool:
    """Whether a file is in the storage."""
    storage = chat.storage()
    found = [entry.key for entry in (await storage.list("")).entries]
    await storage.close()
    return key in found


def picture(folder: Path, size: str = "2500x2000") -> bytes:
    """Return a PNG."""
    path = folder / "source.png"
    magick("-size", size, "gradient:red-blue", path)
    return path.read_bytes()


async def test_producer_of_node(
    chat: Deployment, app: App, node: Node, services: Any, tmp_path: Path
) -> None:
    """Step 13: its `process-image` is done; its `process-nothing` fails once, and is kept."""
    await put(chat, "uploads/n1", await asyncio.to_thread(picture, tmp_path), "image/png")
    await services.services.files.add(FileRecord(file_id="n1"))
    data = {"fileId": "n1", "filePath": "/uploads/n1", "userId": "u1"}

    image = await node.add(FILES, "process-image", data, attempts=2)
    nothing = await node.add(FILES, "process-nothing", {"a": 1}, attempts=3)
    done = await chat.job(app, FILES, image)
    failed = await chat.job(app, FILES, nothing)

    assert done.result == {
        "compressedUrl": "/n1-compressed.jpg",
        "thumbnailUrl": "/n1-thumbnail.jpg",
    }
    seen = await node.job(FILES, image)
    assert seen["returnvalue"] == done.result
    assert failed.failed_reason == "Unknown job type: process-nothing"
    assert (failed.attempts_started, failed.data) == (1, {"a": 1})
    assert await node.state(FILES, nothing) == "failed"


async def test_push_of_node(chat: Deployment, app: App, node: Node) -> None:
    """With the options of the document; a number for a title fails once, and is kept."""
    user = await chat.sign_up()
    browser = await chat.browser(user)
    options = {"attempts": 3, "backoff": {"type": "exponential", "delay": 2000}, "priority": 1}
    payload = {"title": "From Node", "body": "hi", "unknownMember": [1]}

    good = await node.add(
        PUSH, "push-notification", {"userId": user.id, "payload": payload}, **options
    )
    bad = await node.add(
        PUSH,
        "push-notification",
        {"userId": user.id, "payload": {"title": 7, "body": "b"}},
        **options,
    )
    done, failed = await chat.job(app, PUSH, good), await chat.job(app, PUSH, bad)

    assert done.result == {"sent": 1, "failed": 0, "total": 1}
    assert browser.messages == [payload]
    assert (failed.state, failed.attempts_started) == ("failed", 1)
    assert "title" in str(failed.failed_reason)


async def test_mail_of_node(chat: Deployment, app: App, node: Node) -> None:
    data = {"to": "node@example.com", "subject": "From Node", "body": "<p>hi</p>"}

    added = await node.add(MAIL, "send-email", data)
    done = await chat.job(app, MAIL, added)

    assert done.result == {"success": True}
    assert "node@example.com" in chat.smtp.served()


async def test_worker_of_node_takes_what_the_chat_adds(
    chat: Deployment, app: App, node: Node, services: Any
) -> None:
    """R-28: on each queue, while no worker of ours runs."""
    queues = services.get_service("queueService")
    chat.stop("worker")
    try:
        workers = [
            await node.worker(queue, {"progress": [50], "returns": {"by": "node"}})
            for queue in (PUSH, FILES, MAIL)
        ]
        jobs = [
            (
                PUSH,
                await queues.add_push_notification("u1", services.PushPayload(title="t", body="b")),
            ),
            (FILES, await queues.add_image_processing("f", "/uploads/f", "u1")),
            (MAIL, await queues.add_email("jo@example.com", "s", "b")),
        ]
        results = [await job.result(timeout_s=30) for _, job in jobs]
        infos = [await job.info() for _, job in jobs]
        for worker in workers:
            await worker.close()
    finally:
        await asyncio.to_thread(chat.start_worker)

    assert [str(one) for one in results] == ["{'by': 'node'}"] * 3
    assert [one.progress for one in infos] == [50, 50, 50]
    assert infos[0].data == {"userId": "u1", "payload": {"title": "t", "body": "b"}}


async def test_ours_keeps_age_and_count_as_node_does(
    chat: Deployment, app: App, node: Node
) -> None:
    """What a producer of Node says for its own jobs goes before the queue's."""
    data = {"filePath": "uploads/none"}
    for _ in range(5):
        keep = {"count": 2, "age": 3600}
        await node.add(FILES, "images.remove-original", data, removeOnComplete=keep)

    async def all_ended() -> bool:  # the last one may end first, and is not kept then
        info = await app.queue(FILES).info()
        return info is not None and info.waiting == info.prioritized == info.active == 0

    await wait_until(all_ended, deadline_s=120, what="the five to end")
    page = await app.queue(FILES).jobs("completed", limit=1000)

    assert 1 <= len([job for job in page.jobs if job.data == data]) <= 2


SEND = "send-push-notification"


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        (
            {"title": "A in Team", "body": "hi", "data": {"roomId": "r1", "type": "text"}},
            {"title": "A in Team", "body": "hi", "url": "/chat/r1",
             "data": {"roomId": "r1", "type": "text"}},
        ),
        (
            {"title": "A", "body": "hi", "url": "/chat?roomId=r1", "icon": "/icon-192x192.png"},
            {"title": "A", "body": "hi", "url": "/chat?roomId=r1", "icon": "/icon-192x192.png"},
        ),
    ],
)  # fmt: skip
async def test_wild_push(
    chat: Deployment, app: App, node: Node, payload: dict[str, Any], sent: dict[str, Any]
) -> None:
    user = await chat.sign_up()
    browser = await chat.browser(user)

    added = await node.add(PUSH, SEND, {"userId": user.id, "payload": payload}, priority=0)
    done = await chat.job(app, PUSH, added)

    assert done.result == {"sent": 1, "failed": 0, "total": 1}
    assert browser.messages == [sent]


async def test_wild_image(chat: Deployment, app: App, node: Node, tmp_path: Path) -> None:
    """The original goes with the outcome, and the result has the real keys."""
    source = await asyncio.to_thread(picture, tmp_path)
    await put(chat, "uploads/17_a.png", source, "image/png")
    data = {
        "filePath": "/uploads/17_a.png",
        "outputPath": "uploads/17_a_optimized.webp",
        "options": {"maxWidth": 1920, "maxHeight": 1920, "quality": 85, "format": "webp"},
    }

    added = await node.add(FILES, "process-image", data, priority=0)
    done = await chat.job(app, FILES, added)

    assert done.state == "completed", done.failed_reason
    made = await stored(chat, "uploads/17_a_optimized.webp")
    facts = await image_facts(made, tmp_path)
    assert (facts["format"], facts["width"], facts["height"]) == ("WEBP", "1920", "1536")
    assert set(done.result) == {"originalSize", "compressedSize", "savings", "outputPath"}
    assert done.result["originalSize"] == len(source)
    assert done.result["compressedSize"] == len(made)

    async def gone() -> bool:
        return not await has(chat, "uploads/17_a.png")

    await wait_until(gone, what="the original to go")


async def test_wild_video(chat: Deployment, app: App, node: Node, tmp_path: Path) -> None:
    source = await asyncio.to_thread(clip, tmp_path / "v.mp4", seconds=1)
    await put(chat, "uploads/17_v.mp4", source.read_bytes(), "video/mp4")
    data = {"filePath": "/uploads/17_v.mp4", "outputPath": "uploads/17_v_processed.mp4"}

    added = await node.add(FILES, "process-video", data, priority=0)
    done = await chat.job(app, FILES, added)

    assert done.state == "completed", done.failed_reason
    (tmp_path / "out.mp4").write_bytes(await stored(chat, data["outputPath"]))
    assert (await asyncio.to_thread(probed, tmp_path / "out.mp4"))["video"]["codec_name"] == "h264"
    assert set(done.result) >= {"originalSize", "compressedSize", "savings", "outputPath"}


async def test_wild_avatar(
    chat: Deployment, app: App, node: Node, services: Any, tmp_path: Path
) -> None:
    user = await chat.sign_up()
    await put(chat, "avatars/u1_17_x.png", await asyncio.to_thread(picture, tmp_path), "image/png")
    data = {"filePath": "/avatars/u1_17_x.png", "userId": user.id}

    added = await node.add(FILES, "optimize-avatar", data, priority=10)
    done = await chat.job(app, FILES, added)

    assert done.state == "completed", done.failed_reason
    facts = await image_facts(await stored(chat, "avatars/u1_17_x_optimized.webp"), tmp_path)
    assert (facts["format"], facts["width"], facts["height"]) == ("WEBP", "400", "400")
    (row,) = await services.sql("SELECT avatar FROM chat_users WHERE id = :id", id=user.id)
    assert row["avatar"] == "/avatars/u1_17_x_optimized.webp"
