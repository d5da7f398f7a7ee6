"""The npm package beside the platform: its producers on all four queues, its worker, its board."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.examples.content_platform.deployment import (
    NOTIFY,
    PROCESSING,
    QUEUES,
    SYNC,
    WATERMARK,
    Deployment,
    camera_photo,
)
from tests.support.board import Board
from tests.support.node import Node
from tests.support.waiting import wait_until

from toril import App

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.parametrize("store", ["redis"], indirect=True, scope="session"),
]


@pytest.fixture
async def node(platform: Deployment) -> AsyncIterator[Node]:
    """Node, on the platform's Redis."""
    async with await Node.start(platform.store_url) as node:
        yield node


async def ran(platform: Deployment, app: App, node: Node, queue: str, data: Any) -> Any:
    """Have Node add a nameless job, as published producers do; return its result."""
    job = await node.add(queue, "__default__", data, attempts=3)
    done = await platform.job(app, queue, str(job))
    assert done.state == "completed", done.failed_reason
    return done.result


async def test_published_producers_on_all_queues(
    platform: Deployment, app: App, node: Node
) -> None:
    """R-37: each published form, unchanged but for ids that exist here."""
    name = f"{secrets.token_hex(4)}_a.jpg"
    temp = platform.folder / "data/tmp"
    temp.mkdir(exist_ok=True)
    (temp / name).write_bytes(camera_photo(300, 200))
    made = await ran(platform, app, node, PROCESSING, {
        "tempPath": str(temp / name), "filename": "a.jpg", "mimeType": "image/jpeg",
        "entityType": "listing_image", "uploadedBy": "usr_1",
        "options": {"alt": "A", "position": 2},
    })  # fmt: skip
    assert list(made)[:3] == ["success", "mediaId", "urls"]
    assert set(made["urls"]) == {"thumb", "medium", "large", "original"}
    media_id = made["mediaId"]
    record = (await platform.ask("GET", f"/media/{media_id}")).json()
    assert (record["userId"], record["metadata"]) == ("usr_1", {"alt": "A", "position": 2})

    await platform.synced(media_id)
    sent = await ran(platform, app, node, SYNC, {
        "operation": "upload_to_s3", "mediaId": media_id, "localPath": "uploads/a.webp",
        "deleteSource": False,
    })  # fmt: skip
    assert list(sent)[:3] == ["success", "mediaId", "operation"]
    fetched = await ran(platform, app, node, SYNC, {
        "operation": "download_from_s3_delete_s3", "mediaId": media_id, "jobId": "s2",
        "parentJobId": "s1", "batchIndex": 0,
        "options": {"deleteSource": True, "overwrite": False},
    })  # fmt: skip
    assert fetched["success"] is True
    assert (await platform.ask("GET", f"/media/{media_id}")).json()["storage"] == "local"

    marked = await ran(
        platform, app, node, WATERMARK, {"mediaId": media_id, "entityType": "listing_image"}
    )
    assert (marked["success"], marked["mediaId"]) == (True, media_id)

    before = len(platform.inbox.mails)
    mailed = await ran(platform, app, node, NOTIFY, {
        "channel": "email",
        "options": {"channel": "email", "to": "u@x.test", "templateId": "welcome",
                    "variables": {"name": "N"}},
        "maxAttempts": 3,
    })  # fmt: skip
    assert mailed["success"] is True
    assert len(platform.inbox.mails) == before + 1
    kept = await ran(platform, app, node, NOTIFY, {
        "channel": "database",
        "options": {"channel": "database", "to": "usr_1", "subject": "T", "content": "C",
                    "metadata": {"originalEventId": "ev_1"}, "eventId": "ev_1", "delay": 300},
        "maxAttempts": 3,
    })  # fmt: skip
    assert kept["recipients"] == [{"to": "usr_1", "status": "sent"}]


async def test_worker_of_node_takes_our_jobs(platform: Deployment, app: App, node: Node) -> None:
    """R-15: a job of each queue, added by the platform, is done by Node's worker."""
    platform.kill("worker")
    try:
        for queue in QUEUES:
            job = await app.queue(queue).add("__default__", {"mediaId": "m-1", "n": 1})
            taken = None
            token = secrets.token_hex(4)

            async def take(queue: str = queue, token: str = token) -> bool:
                nonlocal taken
                taken = await node.take(queue, token)
                return taken is not None

            await wait_until(take, what=f"a job of {queue}")
            assert taken is not None
            assert str(taken["id"]) == job.id
            await node.complete(job.id, token, {"by": "node"})
            done = await platform.job(app, queue, job.id)
            assert (done.state, done.result) == ("completed", {"by": "node"})
    finally:
        platform.start_worker()


async def test_bull_board_shows_the_same(platform: Deployment, app: App, node: Node) -> None:
    """CP-65: the same counts and jobs."""
    bad = await platform.upload(b"no image", "user_avatar")
    assert (await platform.job(app, PROCESSING, bad)).state == "failed"
    board = await Board.start(node, *QUEUES)
    for queue in QUEUES:

        async def same(queue: str = queue) -> bool:
            info = await app.queue(queue).info()
            counts = (await board.queue(queue))["counts"]
            ours = {} if info is None else {
                "active": info.active, "completed": info.completed, "failed": info.failed,
                "delayed": info.delayed, "waiting": info.waiting,
            }  # fmt: skip
            return {name: counts[name] for name in ours} == ours

        await wait_until(same, what=f"the counts of {queue}")
    shown = [job["id"] for job in await board.jobs(PROCESSING, "failed")]
    assert bad in [one["id"] if isinstance(one, dict) else one for one in shown]
