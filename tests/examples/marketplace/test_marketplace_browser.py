"""The dashboard of the marketplace at `/jobs`, in a browser; and the stage `test`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, async_playwright, expect
from tests.examples.marketplace.conftest import Start
from tests.examples.marketplace.market import ADMIN
from tests.support.payments import STRIPE_KEY, STRIPE_SECRET
from tests.support.smtp_server import Inbox
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.chromium import ARGUMENTS, chromium_binary
from tests.web.dashboard.browser.look import looking

from toril import JobNotFoundError

pytestmark = pytest.mark.timeout(600)
QUEUE = "email-sending"
MAIL = {"template": "welcome", "data": {}}
LACKING = {**MAIL, "to": "late@example.com",
           "attachments": [{"filename": "terms.txt", "path": "terms.txt"}]}  # fmt: skip


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=chromium_binary(), args=ARGUMENTS
        )
        yield chromium
        await chromium.close()


async def test_operator_retries_removes_pauses_and_reads_letters(
    start: Start, browser: Browser, inbox: Inbox
) -> None:
    """Step 14: the page's half of it."""
    market = await start()
    queue = market.app.queue(QUEUE)
    failed = await market.add(QUEUE, "send-email", LACKING)
    assert (await market.ended(QUEUE, failed)).state == "failed"
    (market.folder / "data/files/terms.txt").write_text("terms")
    headers = {"authorization": f"Bearer {ADMIN}"}
    async with looking(browser, extra_http_headers=headers) as seen:
        page, board = seen.page, f"{market.url}/jobs"
        await seen.goto(f"{board}/queues")
        await expect(page.locator("main")).to_contain_text("weekly-reports")
        await seen.goto(f"{board}/dead")
        await expect(page.locator("main")).to_contain_text("terms.txt")

        await seen.goto(f"{board}/queues/{QUEUE}/jobs/{failed}")
        await expect(page.locator("main")).to_contain_text("terms.txt")
        said = page.locator("#flashes")  # the page has come back before another is opened
        await page.get_by_role("button", name="Retry", exact=True).click()
        await expect(said).not_to_be_empty()
        done = await market.in_state(QUEUE, failed, "completed")
        assert done.attempts_made >= 1
        assert [one["to"] for one in inbox.mails] == ["late@example.com"]

        await seen.goto(f"{board}/queues/{QUEUE}")
        await page.locator("#head summary", has_text="Pause").click()
        dialog = page.locator("dialog:modal")
        await dialog.locator("input[name=reason]").fill("for a look")
        await dialog.get_by_role("button", name="Pause the queue").click()
        await expect(said).not_to_be_empty()

        async def is_paused() -> bool:
            return bool((await market.ask("GET", f"/api/jobs/queues/{QUEUE}")).json()["isPaused"])

        await wait_until(is_paused, what="the queue to be paused", deadline_s=60)
        waiting = await market.add(QUEUE, "send-email", {**MAIL, "to": "first@example.com"})
        unwanted = await market.add(QUEUE, "send-email", {**MAIL, "to": "never@example.com"})
        await seen.goto(f"{board}/queues/{QUEUE}/jobs/{unwanted}")
        await page.locator("details.opens summary", has_text="Remove").first.click()
        await page.locator("dialog:modal .button.primary").click()
        await expect(said).not_to_be_empty()

        async def is_gone() -> bool:
            try:
                await queue.job(unwanted).info()
            except JobNotFoundError:
                return True
            return False

        await wait_until(is_gone, what="the removed job to be gone")

        await seen.goto(f"{board}/queues/{QUEUE}")
        await page.locator("#head").get_by_role("button", name="Resume").click()
        await expect(said).not_to_be_empty()
        await market.in_state(QUEUE, waiting, "completed")
        seen.silent()
    assert [one["to"] for one in inbox.mails][1:] == ["first@example.com"]


@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)
async def test_viewer_sees_no_buttons(start: Start, browser: Browser) -> None:
    market = await start(workers=0)
    job = await market.add(QUEUE, "send-email", {**MAIL, "to": "a@example.com"})
    made = await market.ask("POST", "/api/toril/keys", {"name": "viewer", "role": "viewer"})
    for key, buttons in ((made.json()["key"], 0), (ADMIN, 1)):
        headers = {"authorization": f"Bearer {key}"}
        async with looking(browser, extra_http_headers=headers) as seen:
            await seen.goto(f"{market.url}/jobs/queues/{QUEUE}")
            await expect(seen.page.locator("#head")).to_contain_text(QUEUE)
            pause = seen.page.locator("#head summary", has_text="Pause")
            await expect(pause).to_have_count(buttons)
            await seen.goto(f"{market.url}/jobs/queues/{QUEUE}/jobs/{job}")
            await expect(seen.page.locator("main")).to_contain_text("send-email")
            remove = seen.page.locator("details.opens summary", has_text="Remove")
            assert (await remove.count() > 0) is (buttons > 0)


@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)
async def test_stage_test_sends_nothing_outside(start: Start) -> None:
    """Mails and objects are in memory, no money moves, nothing is really scanned."""
    market = await start(TORIL_ENV="test", SMTP_URL="")
    await market.done(QUEUE, "send-email", {**MAIL, "to": "a@example.com"})
    payment = {
        "paymentId": "p", "orderId": "o", "userId": "u", "provider": "crypto",
        "amountMinor": 1, "currency": "USD",
    }  # fmt: skip
    paid = await market.done("payment-retry", "retry-payment", payment)
    report = await market.done("daily-reports", "generate-daily-report", {})

    assert paid["state"] == "succeeded"
    assert len(report["files"]) == 3
    for name in ("mail", "objects"):
        assert not any((market.folder / "data" / name).rglob("*.*")), name


@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)
async def test_webhooks_are_taken_without_a_key_and_verified(start: Start) -> None:
    market = await start(
        workers=0, STRIPE_SECRET_KEY=STRIPE_KEY, STRIPE_WEBHOOK_SECRET=STRIPE_SECRET
    )

    forged = await market.ask("POST", "/webhooks/stripe", {}, key=None)
    nobody = await market.ask("POST", "/webhooks/paypal", {}, key=None)

    assert (forged.status_code, nobody.status_code) == (400, 404)
    assert "Stripe" in forged.json()["error"]["message"]
    assert "stripe" in nobody.json()["error"]["message"]
