"""Runs the platform: all of it in one process, with a round to look at; with `api`, its API.

Run:
    python -m examples.content_platform
    python -m examples.content_platform api   # beside it: toril worker examples.content_platform
"""

import asyncio
import sys

from toril import TorilError


async def main(alone: bool) -> None:
    """Serve until told to stop; alone and without a terminal, until the round is over."""
    from examples.content_platform.app import access, platform
    from examples.content_platform.demo import show
    from examples.content_platform.queues import app

    from toril.web.running import run_site

    at_once, round_ = (23, show) if alone else (None, None)
    await run_site(platform, app, port=3000, access=access, concurrency=at_once, show=round_)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:] != ["api"]))
    except TorilError as error:  # a setting, a port, a store: its message says what to do
        sys.exit(f"{type(error).__name__}: {error}")
