"""Every page for everybody: what axe finds in both themes, and who asked that nothing moves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser
from tests.web.dashboard.browser.look import looking
from tests.web.dashboard.browser.scene import Scene

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store is enough: the pages are the same."""
    folder: Path = tmp_path_factory.mktemp("scene")
    return f"sqlite:///{folder}/toril.db?durability=normal"


async def test_axe_finds_nothing_in_either_theme(town: Scene, browser: Browser) -> None:
    async with looking(browser) as seen:
        found = {}
        for name, address in town.addresses().items():
            await seen.goto(town.url + address)
            for theme in ("light", "dark"):
                await seen.page.emulate_media(color_scheme=theme)
                if violations := await seen.axe():
                    found[f"{name}, {theme}"] = violations
        assert found == {}, json.dumps(found, indent=1)


async def test_nothing_moves_for_those_who_asked_for_that(town: Scene, browser: Browser) -> None:
    async with looking(browser, reduced_motion="reduce") as seen:
        for name, address in town.addresses().items():
            await seen.goto(town.url + address)
            moving = await seen.ask("moving")
            assert moving == [], name
