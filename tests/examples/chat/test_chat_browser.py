"""The chat's board in a browser: see what failed, retry it, clean."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright, expect
from tests.examples.chat.deployment import ADMIN_KEY, FILES, MAIL, PUSH, Deployment
from tests.examples.chat.test_chat_board import mend, some_jobs
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.chromium import ARGUMENTS, chromium_binary
from tests.web.dashboard.browser.look import looking

from toril import App
from toril.core.codec import Json


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=chromium_binary(), args=ARGUMENTS
        )
        yield chromium
        await chromium.close()


async def test_board_shows_retries_and_cleans(chat: Deployment, app: App, browser: Browser) -> None:
    """Step 15, CH-45: at `/admin/queues`, with an administrator's key."""
    await some_jobs(chat, app)
    name = f"seen{secrets.token_hex(4)}"
    data: Json = {"fileId": name, "filePath": f"uploads/{name}"}
    added = await app.queue(FILES).add("process-image", data)
    assert (await chat.job(app, FILES, added.id)).state == "failed"
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with looking(browser, extra_http_headers=headers) as seen:
        page, board = seen.page, f"{chat.url}/admin/queues"
        await seen.goto(f"{board}/queues")
        for queue in (PUSH, FILES, MAIL):
            await expect(page.locator("main")).to_contain_text(queue)

        await seen.goto(f"{board}/queues/{FILES}/jobs/{added.id}")
        await expect(page.locator("main")).to_contain_text("there is no record of this file")
        await mend(chat, name)
        await page.get_by_role("button", name="Retry", exact=True).click()

        async def completed() -> bool:
            return (await added.info()).state == "completed"

        await wait_until(completed, what="the job to be retried")
        await expect(page.locator("main")).to_contain_text("completed")

        await seen.goto(f"{board}/queues/{FILES}/jobs/{added.id}")
        await page.locator("summary.button", has_text="Remove").click()
        dialog = page.locator("dialog:modal")
        await dialog.get_by_role("button", name="Remove the job").click()

        async def gone() -> bool:
            found = (await app.queue(FILES).jobs("completed", limit=1000)).jobs
            return added.id not in [job.id for job in found]

        await wait_until(gone, what="the job to be removed")


async def test_board_cleans_a_queue(chat: Deployment, app: App, browser: Browser) -> None:
    """CH-45: all failed jobs of a queue go at once, and no other."""
    await some_jobs(chat, app)
    before = await app.queue(FILES).info()
    assert before is not None
    assert before.failed > 0
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    async with looking(browser, extra_http_headers=headers) as seen:
        page = seen.page
        await seen.goto(f"{chat.url}/admin/queues/queues/{FILES}/settings")
        await page.locator("summary.button", has_text="Clean").click()
        dialog = page.locator("dialog:modal")
        await dialog.locator("select[name=state]").select_option("failed")
        await dialog.locator("input[name=older_than_s]").fill("0")
        await dialog.get_by_role("button", name="Remove them").click()

        async def none_left() -> bool:
            info = await app.queue(FILES).info()
            return info is not None and info.failed == 0

        await wait_until(none_left, what="the failed jobs to be removed")

    after = await app.queue(FILES).info()
    assert after is not None
    assert after.completed == before.completed
