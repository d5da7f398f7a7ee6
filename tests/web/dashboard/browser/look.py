"""What tests look at on a page: messages of the browser, its width, how many elements, what axe finds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page
from tests.support.node import node_modules

MOST_ELEMENTS = 1_500
PATIENCE_MS = 30_000
"""The machine may be busy: nothing here is a measurement."""

_OVERFLOW = """() => {
  const most = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= most) return [];
  const scrolls = (one) => one && one !== document.body && (getComputedStyle(one).overflowX !== "visible" || scrolls(one.parentElement));
  return [...document.querySelectorAll("body *")]
    .filter((each) => each.getBoundingClientRect().right > most + 1 && !scrolls(each.parentElement))
    .slice(0, 5).map((each) => `${each.tagName}.${each.className} to ${Math.round(each.getBoundingClientRect().right)}`)
    .concat(`page ${document.documentElement.scrollWidth} > ${most}`);
}"""
_COUNT = "() => document.querySelectorAll('*').length"
_AXE = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"],
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
  return found.violations.map((one) => [one.id, one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.any.map((each) => each.message).join("; ")}`)]);
}"""


class Looked:
    """One page of a browser, and what it has complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"error {error}"))
        page.on("dialog", self._refuse)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type} {message.text} at {self.page.url}")

    async def _refuse(self, dialog: Any) -> None:
        self.complaints.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    async def goto(self, address: str) -> None:
        """Open a page that has to be there."""
        answer = await self.page.goto(address, wait_until="load")
        assert answer is not None
        assert answer.status == 200, (address, answer.status)

    async def overflow(self, width: int, height: int = 900) -> list[str]:
        """Return what is wider than the window, at a width."""
        await self.page.set_viewport_size({"width": width, "height": height})
        found: list[str] = await self.page.evaluate(_OVERFLOW)
        return found

    async def elements(self) -> int:
        """Return how many elements the page has."""
        return int(await self.page.evaluate(_COUNT))

    async def axe(self) -> list[Any]:
        """Return what axe finds wrong with the page as it is."""
        if not await self.page.evaluate("() => 'axe' in window"):
            await self.page.evaluate((node_modules() / "axe-core/axe.min.js").read_text())
        found: list[Any] = await self.page.evaluate(_AXE)
        return found

    def silent(self) -> None:
        """Fail if the page has complained; begin anew."""
        complaints, self.complaints = self.complaints, []
        assert complaints == [], json.dumps(complaints, indent=1)


@asynccontextmanager
async def looking(browser: Browser, **context: Any) -> AsyncIterator[Looked]:
    """Open a window of somebody with no cookies.

    Parameters:
        browser: Whose.
        context: What Playwright is told of it, such as `java_script_enabled=False`.
    """
    whole: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US"}
    opened: BrowserContext = await browser.new_context(**{**whole, **context})
    opened.set_default_timeout(PATIENCE_MS)
    try:
        yield Looked(await opened.new_page())
    finally:
        await opened.close()
