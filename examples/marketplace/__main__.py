"""Runs the marketplace: API, dashboard, and, unless START_WORKERS=false, a worker in one process.

Run:
    python -m examples.marketplace
    python -m examples.marketplace demo     # beside that, a round to look at
"""

import asyncio
import logging
import sys
import tomllib
from pathlib import Path

from toril import TorilError

HERE = """The marketplace, in this process alone: API, dashboard and worker. Its files are in
{0}: mails in mail, files and reports in objects. The dashboard is at {1}/jobs."""


async def play(url: str) -> None:
    """Play a round: a customer, an upload, a purchase with a commission, a campaign, reports."""
    from importlib.resources import files as shipped

    from examples.marketplace.app import FOLDER, app, services, shop

    from examples.marketplace import services as calls

    print(HERE.format(FOLDER, url), flush=True)
    photo = shipped("toril.library.images").joinpath("photos", "rocket.jpg").read_bytes()
    await services.objects.put("inbox/rocket.jpg", photo)
    for who in ("ann", "bob"):
        if not await shop.sql("SELECT id FROM shop_users WHERE id = :id", id=who):
            await shop.insert("shop_users", id=who, name=who.title(), email=f"{who}@example.com")
    await calls.email.send_welcome_email("ann@example.com", "Ann", url)
    await calls.files.process_file(
        "file-1", "inbox/rocket.jpg", "rocket.jpg", "image/jpeg", len(photo), "ann"
    )
    round_ = tomllib.loads(Path(__file__).with_name("demo.toml").read_text("utf-8"))
    for job in round_["jobs"]:
        await app.queue(job["queue"]).add(job["name"], job["data"])


async def main(demo: bool) -> None:
    """Serve until told to stop; a demo without a terminal, until the round is over."""
    from examples.marketplace.app import ENV, QUEUES, app
    from examples.marketplace.web import access, market

    from toril.library.shops import starts_workers
    from toril.web.running import run_site

    works = demo or starts_workers(ENV)
    at_once = sum(row.concurrency for row in QUEUES.rows.values()) if works else None
    show = play if demo else None
    await run_site(market, app, port=3000, access=access, concurrency=at_once, show=show)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("toril.operator").setLevel(logging.WARNING)  # the audit log has these
    try:
        asyncio.run(main(sys.argv[1:] == ["demo"]))
    except TorilError as error:  # a setting, a port, a store: its message says what to do
        sys.exit(f"{type(error).__name__}: {error}")
