"""A store with something for every page, a worker that works, and the dashboard over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.waiting import wait_until
from tests.web.dashboard.support import Site, site

from toril import App, Context, RetryPolicy
from toril.web.access.port import Access
from toril.web.dashboard.page import Page, pages
from toril.web.options import ServerOptions

MAIL, FILMS, BILLS, HOOKS, GRAVES, ORDERS = "mail", "films", "bills", "hooks", "graves", "orders"


@dataclass
class Scene:
    """What is there."""

    app: App
    site: Site
    worker_id: str
    failed: str
    """A job of `mail` that has failed for good, with logs and attempts."""
    running: str
    """A job of `films` that runs until `release` is set."""
    parent: str
    """A job of `orders` that waits for its children."""
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return self.site.url

    def address(self, page: Page) -> str:
        """Return the path of a page, with what its parts are here."""
        parts = {"queue": MAIL, "job_id": self.failed, "worker_id": self.worker_id}
        if page.name.startswith("flow"):
            parts |= {"queue": ORDERS, "job_id": self.parent}
        elif page.name.startswith("schedule"):
            parts |= {"schedule_id": "digest"}
        path = page.path
        for name, value in parts.items():
            path = path.replace("{" + name + "}", value)
        assert "{" not in path, f"no test knows what {path} is about: say it here"
        return path

    def addresses(self) -> dict[str, str]:
        """Return the paths of all pages by their names."""
        return {page.name: self.address(page) for page in pages()}


def tasks_of(app: App, release: asyncio.Event) -> None:
    """Declare what works in the scene."""

    @app.task(queue=MAIL, dead_letter=GRAVES, retry=RetryPolicy(max_attempts=2, base_s=0.01))
    async def send(context: Context, to: str) -> str:
        context.log(f"connecting for {to}")
        if to.startswith("bad"):
            raise ValueError(f"550 no mailbox of {to}")
        return f"sent to {to}"

    @app.schedule("0 6 * * *", id="digest", timezone="Europe/Berlin")
    @app.task(queue=MAIL)
    async def digest() -> int:
        return 3

    @app.task(queue=FILMS, timeout=None)
    async def encode(context: Context, height: int) -> int:
        context.progress(40)
        await release.wait()
        return height

    @app.task(queue=ORDERS)
    async def pack(order: int) -> int:
        return order

    @app.task(queue=ORDERS)
    async def ship(order: int) -> int:
        return order


@asynccontextmanager
async def scene(
    url: str, *, access: Callable[[App], Access] | None = None, options: ServerOptions | None = None
) -> AsyncIterator[Scene]:
    """Fill an empty store, let a worker work in it, and serve its dashboard.

    Parameters:
        url: The store.
        access: Makes the access control of the app. None: open to this machine.
        options: Of the server.
    """
    options = options or ServerOptions(tick_s=0.1, heartbeat_s=1.0)
    release = asyncio.Event()
    async with App(url) as app:
        tasks_of(app, release)
        async with app.worker(concurrency=4, shutdown=0) as worker:
            control = None if access is None else access(app)
            async with site(app, access=control, options=options, environment="test") as found:
                yield await _filled(app, found, worker.id, release)
                release.set()


async def _filled(app: App, found: Site, worker_id: str, release: asyncio.Event) -> Scene:
    send, encode = app.find_task("send", MAIL), app.find_task("encode", FILMS)
    pack, ship = app.find_task("pack", ORDERS), app.find_task("ship", ORDERS)
    bad = [await send.enqueue(to=f"bad-{n}") for n in range(3)]
    for n in range(5):
        await send.enqueue(to=f"jo-{n}")
    await send.with_options(delay=3600.0).enqueue(to="later")
    running = await encode.enqueue(height=720)
    bills: list[Any] = [("bill", {"no": n, "to": "ann"}) for n in range(60)]
    await app.queue(BILLS).add_many(bills)
    await app.queue(HOOKS).add("call", {"url": "https://partner.example"})
    await app.queue(HOOKS).pause()
    late = pack.with_options(delay=3600.0)
    parent = await app.flows.add(ship.node(order=7, children=[late.node(order=7)]))
    operation = await app.bulk.remove("queue:bills data.no:59")
    await operation.run()

    async def settled() -> bool:
        letters = (await app.dead_letters(GRAVES).list()).letters
        film = await running.info()
        return len(letters) == 3 and film is not None and str(film.state) == "active"

    await wait_until(settled, deadline_s=60.0, what="the scene")
    return Scene(app, found, worker_id, bad[0].id, running.id, parent.id, release)
