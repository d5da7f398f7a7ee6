"""Bull 4's producers on the platform's four queues: what published programs add, as they add it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.examples.content_platform.deployment import (
    NOTIFY,
    PROCESSING,
    SYNC,
    WATERMARK,
    Deployment,
    camera_photo,
)
from tests.interop.samples import samples
from tests.support.relatives import Bull4

from toril import App

pytestmark = [
    pytest.mark.timeout(600),  # the first one installs
    pytest.mark.parametrize("store", ["redis"], indirect=True, scope="session"),
]


@pytest.fixture
async def bull(platform: Deployment) -> AsyncIterator[Bull4]:
    """Node with Bull 4, on the platform's Redis."""
    async with await Bull4.start(platform.store_url) as bull:
        yield bull


async def test_published_jobs_of_all_queues(platform: Deployment, app: App, bull: Bull4) -> None:
    """Each sample, unchanged but for files and ids that exist here, and for an hour's delay."""
    temp = platform.folder / "data/tmp"
    temp.mkdir(exist_ok=True)
    browser = await platform.browser_of("usr_1")
    mails = len(platform.inbox.mails)
    media_id = ""
    results: list[dict[str, Any]] = []
    for sample in samples(PROCESSING, SYNC, WATERMARK, NOTIFY):
        queue, data, options = sample["queue"], dict(sample["data"]), dict(sample["options"])
        if queue == PROCESSING:
            name = f"{secrets.token_hex(4)}_a.jpg"
            (temp / name).write_bytes(camera_photo(300, 200))
            data["tempPath"] = str(temp / name)
        if "mediaId" in data:
            data["mediaId"] = media_id
        if "delay" in options:
            options["delay"] = min(options["delay"], 300)
        job_id = await bull.add(queue, sample["name"], data, **options)
        done = await platform.job(app, queue, job_id)
        assert done.state == "completed", (sample, done.failed_reason)
        assert done.name == "__default__"
        assert await bull.state(queue, job_id) == "completed"
        assert (await bull.job(queue, job_id))["returnvalue"] == done.result
        results.append(done.result)
        if queue == PROCESSING:
            media_id = done.result["mediaId"]
            await platform.synced(media_id)

    made, sent, fetched, marked, mailed, pushed = results
    assert list(made)[:3] == ["success", "mediaId", "urls"]
    assert set(made["urls"]) == {"thumb", "medium", "large", "original"}
    for synced in (sent, fetched):
        assert list(synced)[:3] == ["success", "mediaId", "operation"]
    assert (marked["success"], marked["mediaId"]) == (True, media_id)
    assert mailed["success"] is pushed["success"] is True
    assert len(platform.inbox.mails) == mails + 1
    assert "T" in browser.received[-1].decode()
    record = (await platform.ask("GET", f"/media/{media_id}")).json()
    assert (record["userId"], record["metadata"]) == ("usr_1", {"alt": "A", "position": 2})
    assert {one["name"] for one in record["variants"] if one["watermarked"]} != set()


async def test_many_jobs_of_bull_run_once(platform: Deployment, app: App, bull: Bull4) -> None:
    """Some with a priority of Bull's: each ends once, and in-app rows are as many."""
    user = f"usr-{secrets.token_hex(4)}"
    rows = [
        (
            "__default__",
            {"channel": "database", "options": {"to": user, "subject": f"n{n}", "content": "C"}},
            {"attempts": 3, "priority": 1 + n % 3} if n % 2 else {"attempts": 3},
        )
        for n in range(30)
    ]
    ids = [await bull.add(NOTIFY, name, data, **options) for name, data, options in rows]
    for job_id in ids:
        done = await platform.job(app, NOTIFY, job_id)
        assert (done.state, done.attempts_made) == ("completed", 1), done.failed_reason
    assert sorted(await platform.notices_of(user)) == sorted(f"n{n}" for n in range(30))
