"""The queue of the SaaS API on the dashboard, in a browser, and on Bull Board."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright, expect
from tests.examples.saas_api.conftest import Start
from tests.examples.saas_api.saas import OPERATOR, System
from tests.support.board import Board
from tests.support.node import Node
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.chromium import ARGUMENTS, chromium_binary
from tests.web.dashboard.browser.look import looking

pytestmark = pytest.mark.timeout(600)
NOTE = {"title": "T", "body": "B"}
BAD = {"to": "u@example.com", "subject": "S", "template": "nothing"}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=chromium_binary(), args=ARGUMENTS
        )
        yield chromium
        await chromium.close()


async def some_jobs(system: System) -> tuple[str, str]:
    """Have jobs in each state; return the ids of a failed and of a waiting one."""
    await system.done("USER_NOTIFICATION", NOTE)
    failed = await system.ended(await system.submit("EMAIL_SEND", BAD))
    await system.operate("/pause")
    await system.submit("USER_NOTIFICATION", NOTE, delay=600_000)
    waiting = await system.submit("USER_NOTIFICATION", NOTE, priority=20)
    return str(failed["jobId"]), waiting


async def test_operator_sees_pauses_resumes_and_cleans_in_a_browser(
    start: Start, browser: Browser
) -> None:
    system = await start()
    failed, waiting = await some_jobs(system)
    headers = {"authorization": f"Bearer {OPERATOR}"}
    async with looking(browser, extra_http_headers=headers) as seen:
        page, board = seen.page, f"{system.url}/api/toril/queues/jobs"
        await seen.goto(f"{board}/jobs/{failed}")
        await expect(page.locator("main")).to_contain_text("EMAIL_SEND")
        await expect(page.locator("main")).to_contain_text("'nothing'")

        await seen.goto(board)
        await expect(page.locator("#head")).to_contain_text("paused")
        await page.locator("#head").get_by_role("button", name="Resume").click()
        await system.ended(waiting)
        await expect(page.locator("#head summary", has_text="Pause")).to_be_visible()
        await page.locator("#head summary", has_text="Pause").click()
        dialog = page.locator("dialog:modal")
        await dialog.locator("input[name=reason]").fill("for a look")
        await dialog.get_by_role("button", name="Pause the queue").click()

        async def is_paused() -> bool:
            return bool((await system.stats())["paused"])

        await wait_until(is_paused, what="the queue to be paused", deadline_s=60)
        await seen.goto(f"{board}/settings")
        await page.locator("summary.button", has_text="Clean").click()
        dialog = page.locator("dialog:modal")
        await dialog.locator("select[name=state]").select_option("failed")
        await dialog.locator("input[name=older_than_s]").fill("0")
        await dialog.get_by_role("button", name="Remove them").click()

        async def is_cleaned() -> bool:
            return bool((await system.stats())["failed"] == 0)

        await wait_until(is_cleaned, what="the failed job to be removed", deadline_s=60)

    stats = await system.stats()
    assert (stats["completed"], stats["delayed"]) == (2, 1)


async def test_board_asks_for_a_credential(start: Start) -> None:
    system = await start(workers=0)

    for key in (None, "wrong-key-of-nobody"):
        answer = await system.ask("GET", "/api/toril/v1/queues", key=key)
        page = await system.ask("GET", "/api/toril/queues", key=key)
        assert answer.status_code == 401
        assert page.status_code in (302, 303, 307, 401)


@pytest.mark.parametrize("store", ["redis"], indirect=True)
async def test_bull_board_shows_the_same_counts(start: Start, redis_url: str) -> None:
    system = await start()
    failed, _ = await some_jobs(system)
    stats = await system.stats()
    async with await Node.start(redis_url) as node:
        board = await Board.start(node, "jobs")
        shown = await board.queue("jobs")
        listed = await board.jobs("jobs", "failed")

    counts: dict[str, Any] = shown["counts"]
    assert shown["isPaused"] is True
    assert counts["waiting"] + counts["prioritized"] + counts.get("paused", 0) == stats["waiting"]
    for state in ("active", "completed", "failed", "delayed"):
        assert (state, counts[state]) == (state, stats[state])
    assert [(job["id"], job["name"]) for job in listed] == [(failed, "EMAIL_SEND")]
