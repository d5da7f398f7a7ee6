"""The platform's board in a browser, on its own port: each ability that its source names."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright, expect
from tests.examples.content_platform.deployment import (
    ADMIN_KEY,
    PROCESSING,
    WATERMARK,
    Deployment,
    camera_photo,
)
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.chromium import ARGUMENTS, chromium_binary
from tests.web.dashboard.browser.look import looking

from toril import App
from toril.engine.states import State

pytestmark = pytest.mark.timeout(600)
HEADERS = {"authorization": f"Bearer {ADMIN_KEY}"}
MARK = {"watermarkId": "wm-logo", "position": "center", "opacity": 0.5, "scale": 0.5}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=chromium_binary(), args=ARGUMENTS
        )
        yield chromium
        await chromium.close()


async def test_failed_job_is_read_and_retried(
    platform: Deployment, app: App, browser: Browser
) -> None:
    """Step 15: the reason of a corrupt image; a retry once a good file is there."""
    job_id = await platform.upload(camera_photo(400, 300)[:-900], "user_avatar")
    failed = await platform.job(app, PROCESSING, job_id)
    assert failed.state == "failed"
    async with looking(browser, extra_http_headers=HEADERS) as seen:
        page = seen.page
        await seen.goto(f"{platform.board_url}/queues")
        await expect(page.locator("main")).to_contain_text(PROCESSING)
        await seen.goto(f"{platform.board_url}/queues/{PROCESSING}/jobs/{job_id}")
        await expect(page.locator("main")).to_contain_text("truncated or damaged")
        path = platform.folder / "data/tmp" / failed.data["tempPath"]
        path.write_bytes(camera_photo(400, 300))
        await page.get_by_role("button", name="Retry", exact=True).click()
        job = app.queue(PROCESSING).job(job_id)

        async def completed() -> bool:
            return (await job.info()).state == "completed"

        await wait_until(completed, what="the job to be retried")
        await expect(page.locator("main")).to_contain_text("completed")


async def test_queue_is_paused_resumed_and_cleaned(
    platform: Deployment, app: App, browser: Browser
) -> None:
    """Step 15: a job that is added to the paused queue waits; resumed it runs."""
    media_id = await platform.media(app, entity_type="user_avatar")
    queue = app.queue(WATERMARK)
    first = await platform.ask("POST", f"/media/{media_id}/watermark", MARK)
    assert (await platform.job(app, WATERMARK, first.json()["jobId"])).state == "completed"
    async with looking(browser, extra_http_headers=HEADERS) as seen:
        page = seen.page
        await seen.goto(f"{platform.board_url}/queues")
        row = page.locator("tr", has_text=WATERMARK)
        await row.get_by_role("button", name="Pause", exact=True).click()

        async def is_paused() -> bool:
            info = await queue.info()
            return info is not None and info.paused

        await wait_until(is_paused, what="the queue to be paused")
        answer = await platform.ask("POST", f"/media/{media_id}/watermark", MARK)
        job = queue.job(answer.json()["jobId"])
        assert (await job.info()).state == State.WAIT
        await row.get_by_role("button", name="Resume", exact=True).click()
        assert (await platform.job(app, WATERMARK, job.id)).state == "completed"

        await seen.goto(f"{platform.board_url}/queues/{WATERMARK}/settings")
        await page.locator("summary.button", has_text="Clean").click()
        dialog = page.locator("dialog:modal")
        await dialog.locator("select[name=state]").select_option("completed")
        await dialog.locator("input[name=older_than_s]").fill("0")
        await dialog.get_by_role("button", name="Remove them").click()

        async def none_left() -> bool:
            info = await queue.info()
            return info is not None and info.completed == 0

        await wait_until(none_left, what="the completed jobs to be removed")
