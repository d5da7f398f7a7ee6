"""A browser, and a dashboard with something of everything in it, one for each module of tests."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from tests.web.dashboard.browser.chromium import ARGUMENTS, chromium_binary
from tests.web.dashboard.browser.scene import Scene, scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Debian's Chromium, for all tests of a module."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=chromium_binary(), args=ARGUMENTS
        )
        yield chromium
        await chromium.close()


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where an empty store is."""
    if request.param == "redis":
        server = request.getfixturevalue("common_redis")
        return f"{server.url}?prefix=t{secrets.token_hex(6)}"
    folder: Path = tmp_path_factory.mktemp("scene")
    return f"sqlite:///{folder}/toril.db?durability=normal"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(store_url: str) -> AsyncIterator[Scene]:
    """A dashboard over a store of each kind, with jobs in every state."""
    async with scene(store_url) as found:
        yield found
