"""Shows what a demo has left in a browser, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal

from toril.cli.output import GOOD, Output

PORT = 3030


def can_show() -> bool:
    """Whether the dashboard is installed."""
    from toril.core.errors import MissingExtraError

    try:
        import toril.web.dashboard  # noqa: F401 - whether it can be
    except (ImportError, MissingExtraError):
        return False
    return True


async def show(url: str, output: Output) -> None:
    """Serve the dashboard of a store on this machine until SIGINT or SIGTERM.

    Parameters:
        url: The store.
        output: Says where, with a link that signs in once.
    """
    from toril.app import App
    from toril.cli.signals import handle_on_loop
    from toril.web.access.control import AccessControl
    from toril.web.access.keys import SETTINGS_NAME
    from toril.web.dashboard import Dashboard
    from toril.web.serving import HttpServer, PortTakenError

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        handle_on_loop(number, stopping.set)
    async with App(url).existing() as app:
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
        output.say(f"The dashboard: {listening.url}/login?link={secret}", GOOD)
        output.say("The link signs you in once. Ctrl-C ends it.")
        await stopping.wait()
        await listening.stop()
