"""Shows the demo in a browser: the dashboard, over a shop that goes on while it is open."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from toril.cli.output import GOOD, Output

PORT = 3030
WORTH_A_LINK_S = 10.0
"""A dashboard that is gone sooner needs no link: nobody can follow it in time."""


def can_show() -> bool:
    """Whether the dashboard is installed."""
    from toril.core.errors import MissingExtraError

    try:
        import toril.web.dashboard  # noqa: F401 - whether it can be
    except (ImportError, MissingExtraError):
        return False
    return True


async def show(url: str, output: Output, *, stay_s: float | None) -> None:
    """Serve the dashboard of a store on this machine, and let a shop live in it meanwhile.

    Parameters:
        url: The store.
        output: Says where, with a link that signs in once.
        stay_s: How long. None: until SIGINT or SIGTERM, which end it in any case.
    """
    from toril.cli.demo_life import Shop
    from toril.cli.signals import handle_on_loop
    from toril.web.access.control import AccessControl
    from toril.web.access.keys import SETTINGS_NAME
    from toril.web.dashboard import Dashboard
    from toril.web.serving import HttpServer, PortTakenError

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        handle_on_loop(number, stopping.set)
    async with Shop(url).open() as app:
        access = AccessControl(app)
        await access.keys.first()
        name = "admin" if app.settings.admin_key is None else SETTINGS_NAME
        secret = await access.links.for_key(name)
        dashboard = Dashboard(app, access=access, environment="demo")

        def server(port: int) -> HttpServer:
            stop = dashboard.interface.close
            return HttpServer(dashboard, host="127.0.0.1", port=port, before_stop=stop)

        listening = server(PORT)
        try:
            await listening.start()
        except PortTakenError:  # such as by another demo
            listening = server(0)
            await listening.start()
        output.say()
        output.say(f"The dashboard, with a shop at work: {listening.url}", GOOD)
        if stay_s is None or stay_s >= WORTH_A_LINK_S:
            output.say(f"This link signs you in once: {listening.url}/login?link={secret}", GOOD)
        if stay_s is None:
            output.say("Ctrl-C ends it.")
        else:
            output.say(f"It ends in {stay_s:g} s; in a terminal it stays until Ctrl-C.")
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), stay_s)
        await listening.stop()
