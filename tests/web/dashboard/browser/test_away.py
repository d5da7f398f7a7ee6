"""Redis is killed while a page is open: it says so, acts on nothing, and comes back by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from tests.support.redis_servers import RedisServer
from tests.web.dashboard.browser.look import looking
from tests.web.dashboard.support import site

from toril import App
from toril.web.options import ServerOptions

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
]


async def test_open_page_says_that_redis_is_away_and_recovers(
    browser: Browser, tmp_path: Path
) -> None:
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    quick = ServerOptions(tick_s=0.1, heartbeat_s=1.0)
    with RedisServer.start(tmp_path, options=options, software="redis") as redis:
        async with App(redis.url) as app, site(app, options=quick) as pages:
            await app.queue("mail").add("send", {"to": "jo"})
            async with looking(browser) as seen, looking(browser) as late:
                live = seen.page.locator("#live")
                await seen.goto(f"{pages.url}/queues/mail")
                await expect(live).to_have_attribute("data-state", "on")

                redis.kill()
                await expect(live).to_have_attribute("data-state", "away")
                await expect(live).to_contain_text("store away")
                await expect(seen.page.locator("#jobs-rows tr")).to_have_count(1)
                await late.page.goto(f"{pages.url}/queues/mail")
                await expect(late.page.locator("h1")).to_contain_text("The store does not answer")
                await late.page.goto(f"{pages.url}/queues/mail")

                redis.restart()
                await expect(live).to_have_attribute("data-state", "on")
                await expect(late.page.locator("#jobs-rows tr")).to_have_count(1)
                await app.queue("mail").add("send", {"to": "al"})
                await expect(seen.page.locator('[data-news="jobs-rows"]')).to_be_visible()
