"""What the dashboard's pages take: bytes, elements, time, and calls of the store by open tabs.

Bull Board stands beside it where the store is Redis: over the same queues, in the same browser.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import NamedTuple, Protocol

from playwright.async_api import Browser, async_playwright
from tests.support.node import Node
from tests.web.dashboard.browser.chromium import ARGUMENTS, chromium_binary

from benchmarks.web.store import LONG, Calls, Counters
from benchmarks.web.wire import Wire

TIMES = 20
TABS = 50
REFRESHED_S = 2.0
"""How often an open page asks for its newest state, at most."""
QUIET_S = 1.0
"""So long without an answer, and a page has loaded."""
PAGES = ("/", "/queues", f"/queues/{LONG}")
GZIP = "accept-encoding: gzip\r\n"
REFRESH = "x-toril-refresh: 1\r\n"


class Rows(Protocol):
    """Where rows of the table go."""

    def row(self, what: str, measured: str, meant: str = "") -> None:
        """Print a row."""


class Loaded(NamedTuple):
    """What a browser took to open a page."""

    kilobytes: float
    requests: int
    elements: int

    def __str__(self) -> str:
        return f"{self.kilobytes:.1f} KB, {self.requests} requests, {self.elements:,} elements"


async def measure_pages(
    server: str, key: str, store: str, counters: Counters, watched_s: float, report: Rows
) -> None:
    """Measure the pages, and Bull Board where it can be.

    Parameters:
        server: Where the dashboard is.
        key: Of an administrator.
        store: The URL of the store.
        counters: Of its calls.
        watched_s: How long open tabs are watched.
        report: Where rows go.
    """
    bearer = {"authorization": f"Bearer {key}"}
    async with _browser() as browser:
        await _loads(browser, server, bearer, list(PAGES), "dashboard", report, meant=True)
    await _times(server, key, report)
    await _tabs(server, key, counters, watched_s, report)
    if not store.startswith("sqlite"):
        await _peer(server, key, store, counters, watched_s, report)


async def _peer(
    server: str, key: str, store: str, counters: Counters, watched_s: float, report: Rows
) -> None:
    wire = await Wire.open(server, key)
    names = [
        one["name"] for one in (await wire.ask("GET", "/api/v1/queues?limit=1000")).json["items"]
    ]
    wire.close()
    async with await Node.start(store) as node, _browser() as browser:
        board = await node.board(names)
        await _loads(browser, board, {}, ["/", f"/queue/{LONG}"], "Bull Board", report)
        wire = await Wire.open(board)
        poll = f"/api/queues?activeQueue={LONG}&page=1&jobsPerPage=10"
        took = [(await wire.ask("GET", poll)).took_s for _ in range(5)]
        report.row("… Bull Board: what each tab asks every 5 s", f"{max(took) * 1000:.0f} ms", "")
        wire.close()
        found = []
        for many in (1, TABS):
            await counters.since()
            await _poll(board, poll, many, watched_s)
            found.append((await counters.since()).many)
        what = f"… Bull Board: calls of the store in {watched_s:g} s, 1 tab and {TABS}"
        report.row(what, f"{found[0]:,} and {found[1]:,}", "")


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_binary(), args=ARGUMENTS
        )
        yield browser
        await browser.close()


async def _loads(
    browser: Browser,
    base: str,
    headers: dict[str, str],
    paths: list[str],
    what: str,
    report: Rows,
    *,
    meant: bool = False,
) -> None:
    """Open pages one after another, as somebody does who has never been there."""
    context = await browser.new_context(extra_http_headers=headers)
    page = await context.new_page()
    wire = await context.new_cdp_session(page)
    await wire.send("Network.enable")
    sizes: dict[str, float] = {}
    heard_s = time.monotonic()

    def hear(event: dict[str, object]) -> None:
        nonlocal heard_s
        heard_s = time.monotonic()
        size = event.get("encodedDataLength")
        sizes[str(event["requestId"])] = float(size) if isinstance(size, int | float) else 0.0

    wire.on("Network.loadingFinished", hear)
    for path in paths:
        sizes.clear()
        heard_s = time.monotonic()
        await page.goto(base + path, wait_until="load")
        while time.monotonic() - heard_s < QUIET_S:
            await asyncio.sleep(0.05)
        elements = await page.evaluate("() => document.querySelectorAll('*').length")
        loaded = Loaded(
            sum(sizes.values()) / 1000, sum(size > 0 for size in sizes.values()), elements
        )
        cold = path == paths[0]
        words = "≤ 80 KB" if cold else "≤ 25 KB"
        if meant:
            report.row(
                f"{what} {path}, {'first' if cold else 'later'} page",
                str(loaded),
                f"{words}, ≤ 1,500",
            )
        else:
            report.row(f"… {what} {path}", str(loaded))
    await context.close()


async def _times(server: str, key: str, report: Rows) -> None:
    wire = await Wire.open(server, key)
    for path, meant in zip(PAGES, ("≤ 80 ms", "≤ 80 ms", "≤ 25 ms"), strict=True):
        took = [(await wire.ask("GET", path, headers=GZIP)).took_s * 1000 for _ in range(TIMES)]
        most = quantiles(took, n=20)[-1]
        report.row(f"server time of {path}, p95 (first: {took[0]:.0f} ms)", f"{most:.0f} ms", meant)
    wire.close()


async def _tabs(server: str, key: str, counters: Counters, watched_s: float, report: Rows) -> None:
    """Open tabs as the script of the pages does: a stream each, and the page anew meanwhile."""
    found: list[Calls] = []
    for many in (1, TABS):
        wires = [await Wire.open(server, key) for _ in range(2 * many)]
        for wire in wires[:many]:
            await wire.follow(f"/api/v1/stream?topics=overview,queue:{LONG}")
        await counters.since()
        until_s = time.monotonic() + watched_s
        await asyncio.gather(*(_refresh(wire, f"/queues/{LONG}", until_s) for wire in wires[many:]))
        found.append(await counters.since())
        for wire in wires:
            wire.close()
    what = f"calls of the store in {watched_s:g} s, 1 tab of a queue and {TABS}"
    report.row(what, f"{found[0].many:,} and {found[1].many:,}", "the same")


async def _refresh(wire: Wire, path: str, until_s: float) -> None:
    while (now_s := time.monotonic()) < until_s:
        await wire.ask("GET", path, headers=GZIP + REFRESH)
        await asyncio.sleep(max(0.0, now_s + REFRESHED_S - time.monotonic()))


async def _poll(board: str, path: str, many: int, watched_s: float) -> None:
    """Ask as so many tabs of Bull Board do."""
    until_s = time.monotonic() + watched_s

    async def tab() -> None:
        wire = await Wire.open(board)
        while (now_s := time.monotonic()) < until_s:
            await wire.ask("GET", path)
            await asyncio.sleep(max(0.0, now_s + 5.0 - time.monotonic()))
        wire.close()

    await asyncio.gather(*(tab() for _ in range(many)))
