"""What tests of the fallback store share."""

from __future__ import annotations

from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from toril import App

RETURN_S = 40.0


async def away(app: App) -> None:
    """Wait until an app has noticed that Redis is away."""

    async def noticed() -> bool:
        return (await app.store_state()).live == "spool"

    await wait_until(noticed, deadline_s=RETURN_S, what="the switch to the spool")


async def back(app: App) -> None:
    """Wait until an app uses Redis again, and nothing is left in the spool."""

    async def settled() -> bool:
        state = await app.store_state()
        return state.live == "redis" and state.to_move == 0

    await wait_until(settled, deadline_s=RETURN_S, what="the return to Redis")


def ids_in_line(server: RedisServer, queue: str) -> list[str]:
    """Return the jobs that wait in Redis, the next one first."""
    return list(reversed(server.command("LRANGE", f"bull:{queue}:wait", 0, -1)))
