"""The dashboard in a browser, over queues that Node's BullMQ fills and works."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import async_playwright, expect
from tests.support.node import Node
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.chromium import ARGUMENTS, chromium_binary
from tests.web.dashboard.browser.look import MOST_ELEMENTS, Looked, looking
from tests.web.dashboard.support import Site, site

from toril import App
from toril.web.dashboard.page import pages
from toril.web.options import ServerOptions

pytestmark = pytest.mark.timeout(600)  # the first one installs


async def test_every_page_reads_what_node_has_written_and_node_sees_what_is_done(
    app: App, node: Node
) -> None:
    worker = await node.worker("paint", {"throws": "out of paint"})
    failed = await node.add("paint", "cars", {"to": "jo", "n": 1})
    await worker.wait_for("failed")
    await worker.close()
    steady = await node.worker("wash", {"returns": {"ok": 1}})
    await node.add("wash", "cars", {"to": "jo"})
    await steady.wait_for("completed")
    await node.add("paint", "cars", {"to": "al", "n": 2})
    await node.upsert_scheduler("paint", "nightly", {"pattern": "0 0 3 * * *"}, {"name": "cars"})
    child = {"name": "wheel", "queueName": "wheels"}
    flow = await node.add_flow({"name": "car", "queueName": "paint", "children": [child]})
    parent = flow["job"]["id"]
    options = ServerOptions(tick_s=0.1, heartbeat_s=1.0)
    async with site(app, options=options) as found, async_playwright() as playwright:
        await app.queues(search=True)  # on no list of ours until somebody looks for it
        browser = await playwright.chromium.launch(
            executable_path=chromium_binary(), args=ARGUMENTS
        )
        for scripts in (True, False):
            async with looking(browser, java_script_enabled=scripts) as seen:
                await _read(seen, found, failed, parent, scripts=scripts)
        async with looking(browser) as seen:
            await _act(seen, found, node, failed)
        await browser.close()
    await steady.close()


async def _read(seen: Looked, found: Site, failed: str, parent: str, *, scripts: bool) -> None:
    """Read every page that needs no worker of ours."""
    wrong: dict[str, object] = {}
    for page in pages():
        if "worker_id" in page.path:
            continue
        job = parent if page.name == "flow" else failed
        address = page.path.replace("{queue}", "paint").replace("{job_id}", job)
        address = address.replace("{schedule_id}", "nightly")
        await seen.goto(found.url + address)
        if scripts and (elements := await seen.ask("elements")) > MOST_ELEMENTS:
            wrong[page.name] = elements
        if scripts and (too_wide := await seen.overflow(320)):
            wrong[f"{page.name} at 320"] = too_wide
    assert wrong == {}, json.dumps(wrong, indent=1)
    seen.silent()
    await seen.goto(f"{found.url}/queues/paint/jobs/{failed}")
    await expect(seen.page.locator("main")).to_contain_text("out of paint")
    await seen.goto(f"{found.url}/queues/paint/schedules")
    await expect(seen.page.locator("main")).to_contain_text("nightly")
    await seen.goto(f"{found.url}/queues")
    await expect(seen.page.locator("#q-wash")).to_be_visible()


async def _act(seen: Looked, found: Site, node: Node, failed: str) -> None:
    """Pause a queue and retry a job; Node sees both."""
    page = seen.page
    await seen.goto(f"{found.url}/queues/paint")
    await page.locator("#head summary", has_text="Pause").click()
    await page.locator("dialog:modal .button.primary").click()
    await expect(page.locator("#flashes")).to_contain_text("paint is paused")
    assert await node.is_paused("paint")

    await seen.goto(f"{found.url}/queues/paint/jobs/{failed}")
    await page.get_by_role("button", name=re.compile("^Retry$")).first.click()
    await expect(page.locator("#flashes")).not_to_be_empty()

    async def waits() -> bool:
        return await node.state("paint", failed) in ("waiting", "paused")

    await wait_until(waits, deadline_s=30.0, what="the job to be back in line")
    await seen.goto(f"{found.url}/queues/paint")
    await page.locator("#head").get_by_role("button", name="Resume").click()
    await expect(page.locator("#flashes")).to_contain_text("paint goes on")
    assert not await node.is_paused("paint")
    worker = await node.worker("paint", {"returns": {"ok": 2}})
    await worker.wait_for("completed")
    await expect(page.locator("#life")).to_contain_text(re.compile(r"completed\s*[1-9]"))
    await worker.close()
    seen.silent()
