"""What is cut off on a phone: a list that hides its overflow looks whole to a test of widths."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.look import looking
from tests.web.dashboard.support import site

from toril import App

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
]

WIDTH = 375
LAST_END = """(which) => Math.max(0, ...[...document.querySelectorAll(which)].map(
    (one) => one.getBoundingClientRect().right))"""
"""Where the last of some elements ends, once one is drawn: a live page may replace them."""
LEAST_WIDTH = """(which) => Math.min(...[...document.querySelectorAll(which)].map(
    (one) => one.getBoundingClientRect().width).filter(Boolean), 9999) % 9999"""


async def test_buttons_of_what_needs_attention_stay_on_the_screen(
    tmp_path: Path, browser: Browser
) -> None:
    """A long name made the list wider than the screen, which cut the buttons off."""
    async with App(f"sqlite:///{tmp_path}/toril.db?durability=normal") as app:
        queue = app.queue("q" * 80, existing=True)
        await queue.add("send", {})
        await queue.pause()
        async with site(app) as found, looking(browser) as seen:
            await seen.page.set_viewport_size({"width": WIDTH, "height": 800})
            await seen.page.goto(f"{found.url}/", wait_until="load")
            ends = await seen.page.wait_for_function(LAST_END, arg=".concern button")
            assert 0 < await ends.json_value() <= WIDTH


async def test_reason_of_a_dead_letter_keeps_a_width_that_can_be_read(
    tmp_path: Path, browser: Browser
) -> None:
    """The column was one letter wide."""
    async with App(f"sqlite:///{tmp_path}/toril.db?durability=normal") as app:

        @app.task(queue="mail", dead_letter="mail.dead")
        async def send() -> None:
            raise ValueError("550 5.1.1 mailbox unavailable")

        await send.with_options(max_attempts=1).enqueue()
        async with app.worker(concurrency=1):

            async def lies_there() -> bool:
                return bool((await app.dead_letters("mail.dead").list()).letters)

            await wait_until(lies_there, what="the letter")
        async with site(app) as found, looking(browser) as seen:
            await seen.page.set_viewport_size({"width": WIDTH, "height": 800})
            await seen.page.goto(f"{found.url}/dead", wait_until="load")
            width = await seen.page.wait_for_function(LEAST_WIDTH, arg=".data td.wide")
            assert await width.json_value() >= 150


async def test_navigation_shows_where_somebody_is(tmp_path: Path, browser: Browser) -> None:
    """It is one line on a phone, and began at its start on every page."""
    async with (
        App(f"sqlite:///{tmp_path}/toril.db?durability=normal") as app,
        site(app) as found,
        looking(browser) as seen,
    ):
        await seen.page.set_viewport_size({"width": WIDTH, "height": 800})
        for path in ("/", "/flows", "/system"):
            await seen.page.goto(f"{found.url}{path}", wait_until="load")
            link = seen.page.locator(".side a[aria-current]")
            box = await link.bounding_box()
            assert box is not None
            assert box["x"] >= 0, path
            assert box["x"] + box["width"] <= WIDTH, path
