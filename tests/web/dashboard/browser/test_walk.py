"""Every page, on every store: silent, small, whole at every width, and there without scripts."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Browser, expect
from tests.web.dashboard.browser.look import MOST_ELEMENTS, Looked, looking
from tests.web.dashboard.browser.scene import Scene

from toril.web.dashboard.page import navigation, pages

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
]


_PRESS = """([key, at]) => {
    const event = new KeyboardEvent("keydown", { key, bubbles: true });
    Object.defineProperty(event, "timeStamp", { value: at });
    document.body.dispatchEvent(event);
}"""


async def test_every_page_is_silent_and_small_and_no_wider_than_its_window(
    town: Scene, browser: Browser
) -> None:
    async with looking(browser) as seen:
        wrong: dict[str, object] = {}
        for name, address in town.addresses().items():
            await seen.goto(town.url + address)
            assert await seen.page.locator("h1").count() == 1, name
            if (elements := await seen.ask("elements")) > MOST_ELEMENTS:
                wrong[name] = elements
            for width in (1280, 640, 320):  # 640: 200 % on a small screen
                if too_wide := await seen.overflow(width):
                    wrong[f"{name} at {width}"] = too_wide
            if seen.complaints:
                wrong[f"{name} says"] = seen.complaints
                seen.complaints = []
            await seen.page.set_viewport_size({"width": 1280, "height": 900})
        assert wrong == {}, json.dumps(wrong, indent=1)


async def test_pages_read_the_same_without_scripts(town: Scene, browser: Browser) -> None:
    async with (
        looking(browser, java_script_enabled=False) as plain,
        looking(browser) as full,
    ):
        for name, address in town.addresses().items():
            await plain.goto(town.url + address)
            await full.goto(town.url + address)
            heads = [
                await each.page.locator("h1:visible, h2:visible").all_inner_texts()
                for each in (plain, full)
            ]
            assert [text for text in heads[1] if text not in heads[0]] == [], name
            assert await plain.page.locator("[data-scripts]:visible").count() == 0, name
            assert await _width(plain) <= 1280, name


async def _headings(seen: Looked) -> set[str]:
    return set(await seen.page.locator("h1:visible, h2:visible").all_inner_texts())


async def _width(seen: Looked) -> float:
    box = await seen.page.locator("body").bounding_box()
    assert box is not None
    return box["width"]


async def test_keys_lead_to_every_place_of_the_navigation(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        await seen.goto(town.url + "/")
        for place in navigation(pages()):
            assert place.nav is not None
            if place.nav.key is None:
                continue
            async with seen.next_page(town.url + place.path):
                await seen.page.keyboard.press("g")
                await seen.page.keyboard.press(place.nav.key)
            current = seen.page.locator(".side a[aria-current]")
            assert await current.get_attribute("href") == place.path
        seen.silent()


async def test_a_second_g_has_its_own_time(town: Scene, browser: Browser) -> None:
    """The time of the first, which nothing followed, does not end the second's."""
    async with looking(browser) as seen:
        await seen.goto(town.url + "/")
        await seen.page.evaluate(_PRESS, ["g", 0])
        await seen.page.evaluate(_PRESS, ["g", 1_400])
        async with seen.next_page(town.url + "/queues"):
            await seen.page.evaluate(_PRESS, ["q", 1_600])
        await seen.page.evaluate(_PRESS, ["g", 0])
        await seen.page.evaluate(_PRESS, ["w", 1_600])
        await seen.page.evaluate(_PRESS, ["?", 1_700])  # the page is still there, and answers
        await expect(seen.page.locator("#help")).to_be_visible()
        assert seen.page.url == town.url + "/queues"
