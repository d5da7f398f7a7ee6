"""Makes `docs/shots/`, the pictures of the dashboard, from stores that are filled for it.

Run from the root of the repository: `make shots`, or `make shots ARGS="overview flow"` for some by
the beginnings of their names. Nothing in them is drawn: a shop works while they are taken.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.chromium import ARGUMENTS, chromium_binary

from toril import App, JobOptions
from toril.cli.demo_life import PAUSED, Shop
from toril.engine.states import State
from toril.web.access.control import AccessControl
from toril.web.access.port import Access
from toril.web.dashboard import Dashboard
from toril.web.serving import HttpServer

FOLDER = Path(__file__).with_name("shots")
WIDE, PHONE = (1280, 800), (390, 780)
LIVED_S = 45.0
"""How long the shop has worked when the first picture is taken."""
MANY_QUEUES = 300
LARGE_ROWS = 28_000
"""Of 100 characters: a payload of 3 MB."""
CHUNK = 2_000
QUALITY = 74
SETTLED_MS = 700
"""For charts to be drawn, and for the first answer of the stream."""

Before = Callable[[Page], Awaitable[None]]


@dataclass(frozen=True)
class Shot:
    """One picture."""

    name: str
    path: str
    theme: str = "light"
    size: tuple[int, int] = WIDE
    before: Before | None = None
    """Done on the page before it is taken."""


class Camera:
    """Takes pictures of one dashboard, and keeps those that are wanted."""

    def __init__(self, browser: Browser, url: str, wanted: Sequence[str]) -> None:
        self._browser = browser
        self._url = url
        self._wanted = tuple(wanted)

    def wants(self, name: str) -> bool:
        """Whether a picture is asked for."""
        return not self._wanted or name.startswith(self._wanted)

    async def take(self, shots: Sequence[Shot]) -> None:
        """Take some pictures."""
        for shot in shots:
            if not self.wants(shot.name):
                continue
            width, height = shot.size
            context = await self._browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if shot.theme == "dark" else "light",
                locale="en-US",
                reduced_motion="reduce",
            )
            page = await context.new_page()
            await page.goto(self._url + shot.path, wait_until="load")
            await page.wait_for_timeout(SETTLED_MS)
            if shot.before is not None:
                await shot.before(page)
                await page.wait_for_timeout(SETTLED_MS)
            keep(shot.name, await page.screenshot())
            await context.close()


def keep(name: str, png: bytes) -> None:
    """Write a picture, shrunk."""
    target = FOLDER / f"{name}.webp"
    Image.open(io.BytesIO(png)).convert("RGB").save(target, quality=QUALITY, method=6)
    sys.stdout.write(f"{target.name}: {target.stat().st_size // 1024} KB\n")
    sys.stdout.flush()


@asynccontextmanager
async def serving(app: App, access: Access | None = None) -> AsyncIterator[str]:
    """Serve the dashboard of an app."""
    dashboard = Dashboard(app, access=access, environment="production")
    server = HttpServer(dashboard, host="127.0.0.1", port=0, before_stop=dashboard.interface.close)
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


async def choose(page: Page) -> None:
    """Choose some rows with Shift."""
    picks = page.locator("[data-pick]")
    await picks.nth(1).click()
    await picks.nth(5).click(modifiers=["Shift"])


async def open_pause(page: Page) -> None:
    """Open the dialog that pauses the queue."""
    await page.locator("#head summary", has_text="Pause").click()


async def open_menu(page: Page) -> None:
    """Open the menu of settings."""
    await page.locator("details.menu > summary").click()


async def help_of_keys(page: Page) -> None:
    """Open the list of keys."""
    await page.keyboard.press("?")


async def living(browser: Browser, wanted: Sequence[str], folder: Path) -> None:
    """Take the pictures of a shop at work."""
    url = f"sqlite:///{folder}/shop.db?durability=normal"
    async with Shop(url, seed=7).open() as app, serving(app) as place:
        camera = Camera(browser, place, wanted)
        await asyncio.sleep(LIVED_S)
        failed = (await app.queue("mail").jobs(State.FAILED, limit=1)).jobs[0].id
        running = await _running(app)
        parent = (await app.queue("orders").jobs(State.WAITING_CHILDREN, limit=1)).jobs
        worker = (await app.workers())[0].id
        await camera.take(
            [
                Shot("overview-light", "/"),
                Shot("overview-dark", "/", "dark"),
                Shot("overview-phone", "/", "light", PHONE),
                Shot("queues-light", "/queues?group=."),
                Shot("queues-phone", "/queues", "dark", PHONE),
                Shot("queue-light", "/queues/mail"),
                Shot("queue-phone", "/queues/mail", "light", PHONE),
                Shot("queue-selected-dark", "/queues/mail?q=state:failed", "dark", WIDE, choose),
                Shot("queue-bulk-light", "/queues/mail?q=state:failed&bulk=retry"),
                Shot("queue-pause-light", "/queues/orders", "light", WIDE, open_pause),
                Shot("queue-metrics-dark", "/queues/mail/metrics?span=1h", "dark"),
                Shot("queue-settings-light", "/queues/reports.daily/settings"),
                Shot("queue-add-light", "/queues/mail/add"),
                Shot("search-light", "/jobs?q=state:failed+name:receipt+since:1h"),
                Shot("job-failed-light", f"/queues/mail/jobs/{failed}"),
                Shot("job-running-dark", f"/queues/{running}", "dark"),
                Shot("job-phone", f"/queues/mail/jobs/{failed}", "dark", PHONE),
                Shot("errors-light", "/errors"),
                Shot("dead-dark", "/dead", "dark"),
                Shot("flows-light", "/flows"),
                *([Shot("flow-light", f"/flows/orders/{parent[0].id}")] if parent else []),
                *(Shot(f"{name}-light", f"/{name}") for name in _more()),
                Shot("workers-dark", "/workers", "dark"),
                Shot("worker-light", f"/workers/{worker}"),
                Shot("operations-light", "/operations"),
                Shot("audit-dark", "/audit", "dark"),
                Shot("menu-light", f"/queues/{PAUSED}", "light", WIDE, open_menu),
                Shot("keys-dark", "/queues", "dark", WIDE, help_of_keys),
            ]
        )


def _more() -> list[str]:
    """Return the pages that stand by themselves and have no picture above."""
    from toril.web.dashboard.page import pages

    above = {"", "queues", "jobs", "errors", "dead", "flows", "workers", "operations", "audit"}
    found = {page.path.strip("/") for page in pages() if "{" not in page.path and page.nav}
    return sorted(found - above)


async def _running(app: App) -> str:
    """Return the path of a job that runs, below `/queues`."""
    found: list[str] = []

    async def runs() -> bool:
        jobs = (await app.queue("video.transcode").jobs(State.ACTIVE, limit=1)).jobs
        found[:] = [f"video.transcode/jobs/{job.id}" for job in jobs]
        return bool(found)

    await wait_until(runs, deadline_s=60.0, what="a film in work")
    return found[0]


async def large(browser: Browser, wanted: Sequence[str], folder: Path, jobs: int) -> None:
    """Take the pictures of a store with very many jobs, very many queues, and a large payload."""
    async with App(f"sqlite:///{folder}/large.db?durability=normal") as app:
        rows = {"file": "customers.csv", "rows": ["0123456789" * 10] * LARGE_ROWS}
        big = await app.queue("imports").add(
            "import", rows, JobOptions(max_payload_bytes=4_000_000)
        )
        for number in range(MANY_QUEUES - 2):
            kind = ("mail", "pdf", "sync")[number % 3]
            queue = app.queue(f"tenant-{number % 20:02}.{kind}-{number}")
            await queue.add_many([("send", {"n": n}) for n in range(number % 40 + 1)])
        long = app.queue("archive")
        for first in range(0, jobs, CHUNK):
            some = range(first, first + CHUNK)
            await long.add_many([("send", {"to": f"user{n}@example.com"}) for n in some])
        async with serving(app) as place:
            await Camera(browser, place, wanted).take(
                [
                    Shot("large-overview-dark", "/", "dark"),
                    Shot("large-queues-light", "/queues?sort=-waiting"),
                    Shot("large-queue-light", "/queues/archive"),
                    Shot("large-payload-light", f"/queues/imports/jobs/{big.id}"),
                ]
            )


async def bare(browser: Browser, wanted: Sequence[str], folder: Path) -> None:
    """Take the pictures of an empty store, of signing in, and of what is refused."""
    async with App(f"sqlite:///{folder}/empty.db") as app:
        async with serving(app) as place:
            await Camera(browser, place, wanted).take(
                [
                    Shot("empty-overview-light", "/"),
                    Shot("empty-errors-dark", "/errors", "dark"),
                    Shot("error-not-found-light", "/queues/mial"),
                ]
            )
        async with serving(app, AccessControl(app)) as place:
            await Camera(browser, place, wanted).take([Shot("sign-in-light", "/login")])


async def away(browser: Browser, wanted: Sequence[str], folder: Path) -> None:
    """Take the picture of a page whose Redis is gone."""
    with RedisServer.start(folder, software="redis") as redis:
        async with App(redis.url) as app, serving(app) as place:
            await app.queue("mail").add("send", {})
            camera = Camera(browser, place, wanted)
            redis.kill()
            await camera.take([Shot("error-store-away-dark", "/queues/mail", "dark")])


async def take_all(wanted: Sequence[str], jobs: int) -> None:
    """Fill stores, and take all pictures, or some."""
    FOLDER.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_binary(), args=ARGUMENTS
        )
        with tempfile.TemporaryDirectory(prefix="toril-shots-") as name:
            folder = Path(name)
            starts = ("large", "empty", "error", "sign")
            if not wanted or any(one.startswith(("empty", "sign", "error")) for one in wanted):
                await bare(browser, wanted, folder)
            if not wanted or any(one.startswith("error") for one in wanted):
                await away(browser, wanted, folder)
            if not wanted or any(one.startswith("large") for one in wanted):
                await large(browser, wanted, folder, jobs)
            if not wanted or any(not one.startswith(starts) for one in wanted):
                await living(browser, wanted, folder)
        await browser.close()


def main() -> None:
    """Read what is wanted, and take it."""
    parser = argparse.ArgumentParser(prog="make shots", description=__doc__)
    parser.add_argument("names", nargs="*", help="Beginnings of names. Default: all.")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="In the largest queue.")
    options = parser.parse_args()
    logging.getLogger("toril").setLevel(logging.CRITICAL)  # the shop's failures are meant
    asyncio.run(take_all(options.names, options.jobs))


if __name__ == "__main__":
    main()
