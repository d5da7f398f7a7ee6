"""What a fallback store costs an add while Redis is well."""

from __future__ import annotations

import sys
from types import FrameType

from tests.support.redis_server import RedisServer

from toril import App

MANY = 200
FEW_CALLS = 1.15
"""Python calls of an add, with a fallback store, to those of one without."""


async def cost(app: App, server: RedisServer) -> tuple[float, int]:
    """Return the Python calls of an add, and the scripts that were run for all of them."""
    queue = app.queue("mail")
    for n in range(10):
        await queue.add("send", {"n": n})
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    server.command("CONFIG", "RESETSTAT")
    sys.setprofile(count)
    try:
        for n in range(MANY):
            await queue.add("send", {"n": n})
    finally:
        sys.setprofile(None)
    text = str(server.command("INFO", "commandstats"))
    stats = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    scripts = int(stats["cmdstat_evalsha"].split("calls=")[1].split(",")[0])
    return calls / MANY, scripts


async def test_plain_add_is_one_script_and_few_calls_more(server: RedisServer, app: App) -> None:
    async with App(server.url) as bare:
        bare_calls, bare_scripts = await cost(bare, server)
    calls, scripts = await cost(app, server)

    assert bare_scripts == scripts == MANY, "one round trip each"
    assert calls <= FEW_CALLS * bare_calls, (calls, bare_calls)
