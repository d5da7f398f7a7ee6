"""`python -m examples.typed_queues`: API and workers together; `api` or `worker`: one side."""

import asyncio
import logging
import sys

from toril import TorilError
from toril.web.running import run_site, write

HERE = """API and workers in this process alone: a mail and a document follow. Files are in {0};
the board is at {1}/admin/queues; examples/typed_queues/README.md says what to try."""


async def play(url: str) -> None:
    """Add what the API would."""
    from examples.typed_queues.api import producers
    from examples.typed_queues.shared.app import FOLDER
    from examples.typed_queues.shared.queues.example import ExampleJobPayload, ExampleProducer

    write(HERE.format(FOLDER, url))
    mail, add = {"email": "user@example.com"}, producers.get(ExampleProducer).enqueue
    await add(ExampleJobPayload("u1", "send-email", mail))
    await add(ExampleJobPayload("u1", "generate-report"))


async def main(part: str = "all") -> None:
    """Run a side until told to stop; both without a terminal, until all jobs are done."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    from examples.typed_queues.shared.app import app

    if part != "api":
        from examples.typed_queues.worker import PROCESSORS
    if part == "worker":
        async with app:
            return await PROCESSORS.run(app)
    from examples.typed_queues.api import access, web

    at_once, show = (62, play) if part == "all" else (None, None)
    await run_site(web, app, port=3000, access=access, concurrency=at_once, show=show)


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:2]))
    except TorilError as error:  # a setting, a port, a store: its message says what to do
        sys.exit(f"{type(error).__name__}: {error}")
