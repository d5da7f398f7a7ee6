"""Names, data, errors and log lines of strangers: shown as text, and no page breaks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from tests.support.waiting import wait_until
from tests.web.dashboard.browser.look import looking
from tests.web.dashboard.support import Site, site

from toril import App, Context, JobOptions, RetryPolicy
from toril.web.dashboard.page import pages as all_pages
from toril.web.options import ServerOptions

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
]

SCRIPT = '"><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">'
ANSI = "\x1b[31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07"
RIGHT_TO_LEFT = "\u202egnp.exe שלום עולם مرحبا"
WORD = "W" * 10_000
DIGITS = "9" * 400
WORST = f"{SCRIPT} {ANSI} {RIGHT_TO_LEFT} {WORD}"
QUEUE = "<script>window.hacked=1</script>" + "q" * 150
Odd = tuple[Site, dict[str, str]]
"""A dashboard, and the paths of its pages by what they show."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def odd(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Site, dict[str, str]]]:
    """A dashboard over a store in which everything is odd, and the addresses of its pages."""
    folder: Path = tmp_path_factory.mktemp("odd")
    async with App(f"sqlite:///{folder}/toril.db?durability=normal") as app:

        @app.task(
            name="odd", queue="odd", dead_letter="odd.dead",
            retry=RetryPolicy(max_attempts=2, base_s=0.01),
        )  # fmt: skip
        async def fails(context: Context, words: dict[str, Any]) -> None:
            context.log(WORST)
            raise ValueError(WORST)

        queue = app.queue(QUEUE, existing=True)
        data: Any = {SCRIPT: WORST, "n": int(DIGITS), "deep": [[[[SCRIPT]]]]}
        for number in range(3):
            await queue.add(
                f"{SCRIPT[:60]}{number}", data, JobOptions(job_id=f"a<b>{number}" + "i" * 60)
            )
        await queue.pause()
        failing = app.queue("odd", existing=True)
        job = await failing.add("odd", {"words": data})
        async with app.worker(queues=["odd"], concurrency=2) as worker:

            async def failed() -> bool:
                info = await job.info()
                return info is not None and str(info.state) == "failed"

            await wait_until(failed, deadline_s=60.0, what="the odd job to fail")
            quick = ServerOptions(tick_s=0.1, heartbeat_s=1.0)
            async with site(app, options=quick, environment=SCRIPT) as found:
                parts = {"queue": "odd", "job_id": job.id, "worker_id": worker.id}
                yield (
                    found,
                    {page.name: filled(page.path, parts) for page in all_pages()}
                    | {
                        f"{page.name} of the queue": filled(page.path, {"queue": QUEUE})
                        for page in all_pages()
                        if "{queue}" in page.path and page.path.count("{") == 1
                    },
                )


def filled(path: str, parts: dict[str, str]) -> str:
    """Return a path with its parts."""
    for name, value in parts.items():
        path = path.replace("{" + name + "}", quote(value, safe=""))
    return path


async def test_nothing_runs_and_nothing_is_wider_than_its_window(
    odd: Odd, browser: Browser
) -> None:
    site, addresses = odd
    wrong: dict[str, object] = {}
    shown: set[str] = set()
    async with looking(browser) as seen:
        for name, address in addresses.items():
            if "{" in address:  # of things that are not here, such as one flow or schedule
                continue
            answer = await seen.page.goto(site.url + address, wait_until="load")
            assert answer is not None
            if answer.status != 200:
                wrong[name] = answer.status
            for width in (1280, 320):
                if too_wide := await seen.overflow(width):
                    wrong[f"{name} at {width}"] = too_wide
            if await seen.page.evaluate("() => 'hacked' in window"):
                wrong[f"{name} ran it"] = True
            text = await seen.page.locator("body").inner_text()
            if "window.hacked" in text.partition(SCRIPT)[2]:  # its first sight is the environment
                shown.add(name)
            if "\x1b" in text or "\u202e" in text:
                wrong[f"{name} shows controls"] = True
            if seen.complaints:
                wrong[f"{name} says"] = seen.complaints
                seen.complaints = []
            await seen.page.set_viewport_size({"width": 1280, "height": 900})
    assert wrong == {}, json.dumps(wrong, indent=1)
    odd_by_itself = {"queues", "jobs", "queue", "job", "errors", "dead", "queue of the queue"}
    assert odd_by_itself <= shown
