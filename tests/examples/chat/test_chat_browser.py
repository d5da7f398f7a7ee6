"""The chat in a browser: its board, and what a page shows of a push.

Chromium's own push service cannot be replaced: it speaks to Google's servers, by a protocol of
theirs. So a push arrives at a push service of the test's, which decrypts it as a browser does, and
goes from there to the page's service worker.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright, expect
from tests.examples.chat.deployment import ADMIN_KEY, FILES, MAIL, PUSH, ROOT, Deployment
from tests.examples.chat.test_chat_board import mend, some_jobs
from tests.support.http_server import Answer, Request, serving
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


async def test_page_shows_a_message_as_documented(
    chat: Deployment, app: App, browser: Browser
) -> None:
    """The service worker is the one of the page about pushes."""
    a, b = await chat.sign_up("A"), await chat.sign_up("B")
    subscribed = await chat.browser(b)
    room = await chat.room(a, b)
    await chat.post(a, room, "Noon?")
    await wait_until(lambda: subscribed.received, what="the push")
    page_about = (ROOT / "docs" / "library" / "push.md").read_text("utf-8")
    (script,) = re.findall(r"```js\n(self\..*?)```", page_about, re.DOTALL)

    def answer(request: Request) -> Answer:
        if request.path == "/sw.js":
            return Answer(200, {"content-type": "text/javascript"}, script.encode())
        return Answer(200, {"content-type": "text/html"}, b"<title>The chat</title>")

    async with serving(answer) as server, looking(browser) as seen:
        page, origin = seen.page, server.url("")
        await page.context.grant_permissions(["notifications"], origin=origin)
        await page.goto(f"{origin}/")
        devtools = await page.context.new_cdp_session(page)
        known: list[dict[str, str]] = []
        devtools.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda event: known.extend(event["registrations"]),
        )
        await devtools.send("ServiceWorker.enable")
        await page.evaluate(
            "navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready)"
            ".then(() => true)"
        )
        await wait_until(lambda: known, what="the service worker")
        shown: list[list[object]] = []

        async def is_shown() -> bool:
            # Once may be too early: a worker that has just begun drops what is delivered to it.
            await devtools.send(
                "ServiceWorker.deliverPushMessage",
                {"origin": origin, "registrationId": known[-1]["registrationId"],
                 "data": subscribed.received[0].decode()},
            )  # fmt: skip
            shown[:] = await page.evaluate(
                "navigator.serviceWorker.ready.then((found) => found.getNotifications())"
                ".then((all) => all.map((one) => [one.title, one.body, one.data]))"
            )
            return shown != []

        await wait_until(is_shown, what="the notification")

    wanted = ["New message in Team", "Noon?", {"url": f"/chat/{room}"}]
    assert all(one == wanted for one in shown)
