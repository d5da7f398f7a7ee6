"""Routes about the server itself: whether it lives, who asks."""

from __future__ import annotations

from toril.rest.answers import Health, Me
from toril.version import VERSION
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.me import me_of
from toril.web.outage import ask_little

routes = Routes("server")


@routes.get("/health", permission=None)
async def get_health(call: Call) -> Health:
    """Say that the server lives, and which store is live. No server of a store is asked."""
    if not call.app.has_fallback:
        return Health(status="ok", version=VERSION)
    state = await call.app.store_state()
    return Health(
        status="ok", version=VERSION, store=state.live, since=state.since, to_move=state.to_move
    )


@routes.get("/ready", permission=None, timeout_s=2.0)
async def get_readiness(call: Call) -> Health:
    """Say that the store answers; 503 if it does not within 2 s."""
    await ask_little(call.app)
    return Health(status="ok", version=VERSION)


@routes.get("/me")
async def get_me(call: Call) -> Me:
    """Say who asks, and what they may."""
    return me_of(call.principal)
