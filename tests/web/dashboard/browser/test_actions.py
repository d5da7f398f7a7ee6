"""What somebody does on the pages: forms, dialogs, rows that are chosen, keys, and what is live."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import Browser, Page, expect
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.look import looking
from tests.web.dashboard.browser.scene import BILLS, HOOKS, MAIL, Scene

from toril import App
from toril.core.errors import JobNotFoundError

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
]


async def count(app: App, queue: str, state: str) -> int:
    """Return how many jobs of a queue are in a state."""
    info = await app.queue(queue, existing=True).info()
    assert info is not None
    return int(getattr(info, state))


async def said(page: Page, text: str | re.Pattern[str]) -> None:
    """Wait until a page says what was done."""
    await expect(page.locator("#flashes")).to_contain_text(text)


async def test_dialog_asks_and_a_form_acts_in_place(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues/{BILLS}")
        pause = page.locator("#head summary", has_text="Pause")
        await pause.click()
        dialog = page.locator("dialog:modal")
        await expect(dialog).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(pause).to_be_focused()

        await pause.click()
        await dialog.get_by_role("button", name="Leave it").click()
        await expect(dialog).to_be_hidden()
        await pause.click()
        await dialog.locator("input[name=reason]").fill("the bank is closed")
        await dialog.get_by_role("button", name="Pause the queue").click()
        await said(page, f"{BILLS} is paused")
        await expect(page.locator("#head")).to_contain_text("paused")
        info = await town.app.queue(BILLS, existing=True).info()
        assert info is not None
        assert info.paused

        await page.locator("#head").get_by_role("button", name="Resume").click()
        await said(page, f"{BILLS} goes on")
        seen.silent()


async def test_refresh_between_press_and_release_loses_no_click(
    town: Scene, browser: Browser
) -> None:
    """The button was replaced under the pointer, and nothing happened."""
    async with looking(browser) as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues/{BILLS}")
        await expect(page.locator("#live")).to_have_attribute("data-state", "on")
        await page.locator("#head summary", has_text="Pause").hover()
        await page.mouse.down()
        await page.evaluate(
            "void (window.refreshed = new Promise((done) =>"
            " document.addEventListener('toril:refreshed', () => done(true), { once: true })))"
        )
        await town.app.queue(BILLS).add("bill", {"no": 9})
        await page.evaluate("window.refreshed")
        await page.mouse.up()

        await expect(page.locator("dialog:modal")).to_be_visible()
        seen.silent()


async def test_form_of_a_refreshed_part_still_acts_in_place(town: Scene, browser: Browser) -> None:
    """The part came without what sends its forms from the page, and left the page."""
    async with looking(browser) as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues/{BILLS}")
        await expect(page.locator("#live")).to_have_attribute("data-state", "on")
        await page.evaluate(
            "window.stayed = true;"
            "void (window.refreshed = new Promise((done) =>"
            " document.addEventListener('toril:refreshed', () => done(true), { once: true })))"
        )
        await town.app.queue(BILLS).add("bill", {"no": 10})
        await page.evaluate("window.refreshed")

        await page.locator("#head summary", has_text="Pause").click()
        await page.locator("dialog:modal .button.primary").click()
        await said(page, f"{BILLS} is paused")
        await page.locator("#head").get_by_role("button", name="Resume").click()
        await said(page, f"{BILLS} goes on")

        assert await page.evaluate("window.stayed") is True
        seen.silent()


async def test_job_is_added_changed_and_removed(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues/{BILLS}/add")
        await page.locator("main input[name=name]").fill("bill")
        await page.locator("main textarea[name=data]").fill("{ not json")
        await page.locator("main form .button.primary").last.click()
        await expect(page.get_by_role("alert")).to_contain_text("this is not JSON")
        await expect(page.locator("main textarea[name=data]")).to_have_value("{ not json")
        await page.locator("main textarea[name=data]").fill('{"no": 400, "to": "zoe"}')
        await page.locator("main form .button.primary").last.click()
        await page.wait_for_url(f"{town.url}/queues/{BILLS}")
        await expect(page.locator("#flashes")).not_to_be_empty()
        await page.locator("#find").fill("data.no:400")
        await page.locator("#find").press("Enter")
        await page.locator("#jobs-rows th a").click()
        await page.wait_for_url(re.compile(rf"/queues/{BILLS}/jobs/"))
        job_id = page.url.split("/jobs/")[1]
        added = await town.app.queue(BILLS, existing=True).job(job_id).info()
        assert added.data == {"no": 400, "to": "zoe"}

        remove = page.locator("details.opens summary", has_text="Remove").first
        await remove.click()
        await page.locator("dialog:modal .button.primary").click()
        await expect(page.locator("#flashes")).not_to_be_empty()
        with pytest.raises(JobNotFoundError):
            await town.app.queue(BILLS, existing=True).job(job_id).info()


async def test_range_is_chosen_with_shift_and_acted_on(town: Scene, browser: Browser) -> None:
    before = await count(town.app, BILLS, "waiting")
    async with looking(browser) as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues/{BILLS}")
        picks = page.locator("[data-pick]")
        await expect(page.locator("#bulk")).to_be_hidden()
        await picks.nth(2).click()
        await picks.nth(6).click(modifiers=["Shift"])
        await expect(page.locator("#bulk [data-picked]")).to_have_text("5 selected")
        await page.locator("[data-pick-none]").click()
        await expect(page.locator("#bulk")).to_be_hidden()
        await picks.nth(2).click()
        await picks.nth(4).click(modifiers=["Shift"])
        await page.locator("#bulk button[value=remove]").click()
        await expect(page.locator("#flashes")).not_to_be_empty()

        async def gone() -> bool:
            return await count(town.app, BILLS, "waiting") == before - 3

        await wait_until(gone, deadline_s=30.0, what="three jobs to be removed")
        newest = page.locator("#lately .operation").first  # older ones may be put back as well
        await newest.get_by_role("button", name="Put back").click()

        async def back() -> bool:
            return await count(town.app, BILLS, "waiting") == before

        await wait_until(back, deadline_s=30.0, what="three jobs to be put back")
        seen.silent()


async def test_all_that_match_are_changed_after_a_look(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues/{BILLS}")
        await page.locator("#find").fill("data.no:7,8")
        await page.locator("#find").press("Enter")
        await expect(page.locator("#jobs-rows tr")).to_have_count(2)
        await expect(page.locator(".term").first).to_be_visible()
        await page.locator(".all-matching a", has_text="Remove").click()
        await expect(page.locator(".plan-count")).to_contain_text("2 jobs")
        await page.locator(".plan input[name=reason]").fill("paid twice")
        await page.locator(".plan .button.primary").click()
        await expect(page.locator("#flashes")).not_to_be_empty()

        async def done() -> bool:
            found = await town.app.bulk.list()
            return any(
                each.query and "data.no:7,8" in each.query and each.done == 2 for each in found
            )

        await wait_until(done, deadline_s=30.0, what="the operation")
        seen.silent()


async def test_search_that_cannot_be_read_says_so(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        await seen.goto(f"{town.url}/queues/{BILLS}?q=stat:failed")
        problem = seen.page.locator("#find-problem")
        await expect(problem).to_contain_text("stat")
        await expect(seen.page.locator("#find")).to_have_attribute("aria-invalid", "true")
        seen.silent()


async def test_new_rows_wait_behind_a_bar_and_cells_change(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        page = seen.page
        await town.app.queue(HOOKS).add("call", {"url": "https://first.example"})
        await seen.goto(f"{town.url}/queues/{HOOKS}")
        await expect(page.locator("#live")).to_have_attribute("data-state", "on")
        first = await page.locator("#jobs-rows tr").first.get_attribute("id")
        rows = await page.locator("#jobs-rows tr").count()
        await town.app.queue(HOOKS).add("call", {"url": "https://other.example"})
        news = page.locator('[data-news="jobs-rows"]')
        await expect(news).to_be_visible()
        await expect(news).to_contain_text("1 new")
        assert await page.locator("#jobs-rows tr").count() == rows
        assert await page.locator("#jobs-rows tr").first.get_attribute("id") == first
        await news.locator("a").click()
        await expect(page.locator("#jobs-rows tr")).to_have_count(rows + 1)

        await page.keyboard.press("r")
        await expect(page.locator("#live")).to_have_attribute("data-state", "off")
        await page.keyboard.press("r")
        await expect(page.locator("#live")).to_have_attribute("data-state", "on")
        seen.silent()


async def test_chosen_rows_stay_as_they_are(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        page = seen.page
        await town.app.queue(HOOKS).add("call", {"url": "https://first.example"})
        await seen.goto(f"{town.url}/queues/{HOOKS}")
        await expect(page.locator("#live")).to_have_attribute("data-state", "on")
        await page.locator("[data-pick]").first.click()
        await town.app.queue(HOOKS).add("call", {"url": "https://third.example"})
        waiting = await count(town.app, HOOKS, "waiting")
        await expect(page.locator("#life")).to_contain_text(str(waiting))  # the page was refreshed
        await expect(page.locator("[data-pick]").first).to_be_checked()
        await expect(page.locator('[data-news="jobs-rows"]')).to_be_hidden()
        await page.locator("[data-pick]").first.click()
        await expect(page.locator('[data-news="jobs-rows"]')).to_be_visible()


async def test_keys_move_choose_open_and_help(town: Scene, browser: Browser) -> None:
    async with looking(browser, color_scheme="light") as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues/{BILLS}")
        rows = page.locator("#jobs-rows tr")
        for _ in range(3):
            await page.keyboard.press("j")
        await page.keyboard.press("k")
        await expect(rows.nth(1)).to_have_class(re.compile(r"\bat\b"))
        await page.keyboard.press("x")
        await expect(rows.nth(1).locator("[data-pick]")).to_be_checked()
        await page.keyboard.press("?")
        await expect(page.locator("#help")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await expect(page.locator("#find")).to_be_focused()
        await page.keyboard.type("gq")  # typed, and no key
        await expect(page.locator("#find")).to_have_value("gq")
        await page.locator("#find").fill("")
        await page.locator("#find").blur()
        await page.keyboard.press("t")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        seen.silent()


async def test_theme_language_and_zone_are_kept(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues")
        menu = page.locator("details.menu")
        for field, value, attribute in (
            ("language", "de", "lang"),
            ("theme", "dark", "data-theme"),
        ):
            await menu.locator("> summary").click()
            await menu.locator(f"button[name={field}][value={value}]").click()
            await expect(page.locator("html")).to_have_attribute(attribute, value)
        await expect(page.locator("h1")).to_have_text("Warteschlangen")
        await menu.locator("> summary").click()
        await menu.locator("button[name=zone][value=local]").click()
        await expect(page.locator("html")).to_have_attribute("lang", "de")
        await seen.goto(f"{town.url}/")
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        seen.silent()


async def test_charts_are_drawn_and_read_as_tables(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        page = seen.page
        await seen.goto(f"{town.url}/queues/{MAIL}/metrics")
        await expect(page.locator(".uplot canvas").first).to_be_visible()
        await expect(page.locator(".twin-table")).to_have_count(0)
        await page.locator("#chart-rates .twin").click()
        await expect(page.locator("#chart-rates .twin-table")).to_be_visible()
        points = json.loads(await page.locator("#chart-rates").get_attribute("data-points") or "")
        assert await page.locator("#chart-rates .twin-table tbody tr").count() == len(points)
        await expect(page.locator("#chart-rates canvas")).to_be_visible()
        await page.locator("#chart-rates .twin").click()
        await expect(page.locator(".twin-table")).to_have_count(0)
        seen.silent()


ALONE = """async (many) => {
    const figure = document.querySelector("#chart-waits");
    const width = JSON.parse(figure.dataset.labels).length;
    const row = (at, value) => [at * 60, ...Array(width).fill(value)];
    const points = [row(1, null), row(2, many ? 2 : null), row(3, null)];
    figure.dataset.points = JSON.stringify(points);
    document.dispatchEvent(new Event("htmx:after:swap"));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)));
    const canvas = figure.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let seen = 0;
    for (let at = 0; at < data.length; at += 4) {
        const tones = [data[at], data[at + 1], data[at + 2]];
        seen += data[at + 3] > 200 && Math.max(...tones) - Math.min(...tones) > 60;
    }
    return seen;
}"""


async def test_value_that_is_alone_is_a_point(town: Scene, browser: Browser) -> None:
    """No line leads to the only minute that has any; without a point the chart was empty."""
    async with looking(browser) as seen:
        await seen.goto(f"{town.url}/queues/{MAIL}/metrics")
        await expect(seen.page.locator("#chart-waits canvas")).to_be_visible()
        assert await seen.page.evaluate(ALONE, 0) == 0
        assert await seen.page.evaluate(ALONE, 1) > 10
        seen.silent()


async def test_single_actions_and_forms_work_without_scripts(town: Scene, browser: Browser) -> None:
    async with looking(browser, java_script_enabled=False) as seen:
        page = seen.page
        await town.app.queue(HOOKS).add("call", {"url": "https://first.example"})
        await seen.goto(f"{town.url}/queues/{HOOKS}")
        await page.locator("#head").get_by_role("button", name="Resume").click()
        await said(page, f"{HOOKS} goes on")
        await page.locator("#head summary", has_text="Pause").click()
        await page.locator("#head dialog input[name=reason]").fill("again")
        await page.locator("#head dialog .button.primary").click()
        await said(page, f"{HOOKS} is paused")
        await page.locator("#find").fill("name:call")
        await page.locator("#find").press("Enter")
        await expect(page.locator("#jobs-rows tr").first).to_be_visible()
        await page.locator("[data-pick]").first.check()
        before = await count(town.app, HOOKS, "waiting")
        await page.locator("#bulk button[value=remove]").click()

        async def gone() -> bool:
            return await count(town.app, HOOKS, "waiting") == before - 1

        await wait_until(gone, deadline_s=30.0, what="the job to be removed")
