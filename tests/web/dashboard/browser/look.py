"""What tests look at on a page: what the browser complains of, its width, what axe finds."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect
from tests.support.node import node_modules
from tests.support.waiting import wait_until

MOST_ELEMENTS = 1_500
PATIENCE_MS = 90_000
"""The machine may be busy: nothing here is a measurement."""
expect.set_options(timeout=PATIENCE_MS)

_ASKED = (Path(__file__).parent / "look.js").read_text()


class Looked:
    """One page of a browser, and what it has complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", self._failed)
        page.on("dialog", self._refuse)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type} {message.text} at {self.page.url}")

    async def _refuse(self, dialog: Any) -> None:
        self.complaints.append(f"dialog {dialog.message}")
        await dialog.dismiss()

    async def goto(self, address: str) -> None:
        """Open a page that has to be there."""
        try:
            answer = await self.page.goto(address, wait_until="load")
        except Error as error:
            if "ERR_ABORTED" not in str(error):
                raise
            # What was pressed before has led to another page at the same moment.
            answer = await self.page.goto(address, wait_until="load")
        assert answer is not None
        assert answer.status == 200, (address, answer.status)

    @asynccontextmanager
    async def next_page(self, address: str) -> AsyncIterator[None]:
        """Wait for the page that is loaded in place of this one, which may have its address."""
        await self.page.evaluate("() => { window.isBefore = true; }")
        yield
        await self.page.wait_for_function(
            "address => !window.isBefore && location.href === address"
            " && document.readyState === 'complete'",
            arg=address,
        )

    async def ask(self, what: str) -> Any:
        """Return what `look.js` says of the page as it is."""
        return await self.page.evaluate(_ASKED, what)

    async def overflow(self, width: int, height: int = 900) -> list[str]:
        """Return what is wider than the window, at a width, once charts are drawn anew."""
        await self.page.set_viewport_size({"width": width, "height": height})
        found: list[str] = []

        async def fits() -> bool:
            found[:] = await self.ask("overflow")
            return not found

        with suppress(AssertionError):
            await wait_until(fits, deadline_s=3.0)
        return found

    async def axe(self) -> list[Any]:
        """Return what axe finds wrong with the page as it is."""
        if not await self.page.evaluate("() => 'axe' in window"):
            await self.page.evaluate((node_modules() / "axe-core/axe.min.js").read_text())
        found: list[Any] = await self.ask("axe")
        return found

    def _failed(self, error: Error) -> None:
        # A slow page is shown before its transition could begin: the browser's own, none of ours.
        if "Transition was aborted" not in str(error):
            self.complaints.append(f"error {error}")

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
