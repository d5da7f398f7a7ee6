"""`toril serve` and `toril up`: the REST interface of an app, alone or with a worker beside it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Literal

import click

from toril.cli.codes import DONE, USAGE, RefusedError
from toril.cli.harmless import write
from toril.cli.options import duration, url_option
from toril.cli.worker_arguments import Loop, queue_list
from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError
from toril.core.loggers import logger

if TYPE_CHECKING:
    from toril.app import App
    from toril.web.access.control import AccessControl
    from toril.web.access.port import Access
    from toril.web.serving import HttpServer

log = logger("toril.cli")

DEFAULT_PORT = 3030


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where a server is to listen, and whom it answers."""

    host: str
    port: int
    path: str
    proxies: str | None
    is_open: bool
    environment: str | None
    has_pages: bool


def listening_options(command: Any) -> Any:
    """Add the options that say where the server listens, and what it logs."""
    for option in (
        click.option(
            "--log-level", type=click.Choice(["debug", "info", "warning", "error"]),
            help="Default: TORIL_LOG_LEVEL, else info.",
        ),
        click.option(
            "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True
        ),
        click.option(
            "--loop", type=click.Choice(["auto", "asyncio", "uvloop"]), default="auto",
            show_default=True, help="auto: uvloop where it is installed.",
        ),
        click.option(
            "--path", default="/api/v1", show_default=True, help="Where the interface answers."
        ),
        click.option(
            "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True,
            help="0: any that is free.",
        ),
        click.option(
            "--host", default="127.0.0.1", show_default=True, help="The address to listen on."
        ),
        click.option(
            "--behind-proxy", "proxies", metavar="ADDRESS,...", help="Believe X-Forwarded-For and"
            " X-Forwarded-Proto of a proxy there; a network such as 10.0.0.0/8 will do.",
        ),
        click.option(
            "--environment", metavar="NAME", help="Shown on every page of the dashboard, such as"
            " production.",
        ),
        click.option(
            "--dashboard/--no-dashboard", "has_pages", default=True, show_default=True,
            help="Pages for a browser beside the interface.",
        ),
        click.option(
            "--open", "is_open", is_flag=True, help="Ask nobody for a key; only on this machine.",
        ),
        url_option,
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("target", metavar="[MODULE:APP]", required=False)
@listening_options
def serve(
    target: str | None,
    url: str | None,
    loop: Loop,
    log_format: Literal["text", "json"],
    log_level: str | None,
    **listening: Any,
) -> int:
    """Answer over HTTP: a dashboard for browsers, and an interface for programs.

    With MODULE:APP payloads of new jobs are checked against the app's tasks. Without it the store
    is served that --url or the settings name; it has to be there.

    Whoever asks needs a key. The first start makes one for an administrator and prints it; see
    toril keys.

    SIGTERM or Ctrl-C ends it within seconds, open streams included.
    """
    app = _app(target, url, log_format, log_level)
    return _run(loop, lambda: _serve(app, Listening(**listening)))


@click.command()
@click.argument("target", metavar="MODULE:APP")
@click.option("-c", "--concurrency", type=click.IntRange(min=1), help="Jobs at once.")
@click.option(
    "-q", "--queues", type=queue_list, metavar="A,B|A=3,B=1", help="Which, in the order in which"
    " they are asked; with numbers: their shares. Default: all that have tasks.",
)  # fmt: skip
@click.option(
    "--shutdown", type=duration, metavar="TIME", help="How long what runs may go on when told to"
    " stop. Default: 25s.",
)  # fmt: skip
@listening_options
def up(
    target: str,
    concurrency: int | None,
    queues: Sequence[str] | Mapping[str, int] | None,
    shutdown: float | None,
    url: str | None,
    loop: Loop,
    log_format: Literal["text", "json"],
    log_level: str | None,
    **listening: Any,
) -> int:
    """Run the jobs of an app, and answer over HTTP, in one process: for a small product.

    \b
    SIGTERM, SIGINT  take no new jobs, let running ones end until --shutdown is
    or Ctrl-C        over, give back what is left, then end; a second one gives
                     back now, a third leaves at once
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    app = _app(target, url, log_format, log_level)
    known = list(dict.fromkeys(task.queue for task in app.tasks()))
    for name in queues or ():
        if name not in known:  # each of its jobs would fail, for want of a task
            words = unknown("queue", name, known)
            raise RefusedError(f"--queues: {target} has no task on that queue: {words}", USAGE)

    async def both() -> int:
        worker = app.worker(queues=queues, concurrency=concurrency, shutdown=shutdown)
        return await _work_and_serve(app, worker, Listening(**listening))

    return _run(loop, both)


def _app(target: str | None, url: str | None, log_format: Any, log_level: str | None) -> App:
    """Return the app, with log lines set up."""
    from toril.cli.logs import set_up, warn_of_variables
    from toril.cli.target import load_app
    from toril.settings import Settings

    set_up(log_format, log_level or Settings.load().log_level, with_pid=False)
    warn_of_variables()
    if target is None:
        from toril.app import App

        return App(url).existing()
    app = load_app(target)
    if url is not None:
        app.close_sync()  # in case the module has used it already, where it was
        app.url = url
    return app


def _run(loop: Loop, action: Callable[[], Any]) -> int:
    from toril.cli.signals import ignore_handled
    from toril.cli.worker import loop_factory

    try:
        with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
            code: int = runner.run(action())
            return code
    finally:
        ignore_handled()


async def _start(app: App, listening: Listening) -> HttpServer:
    """Start a server of an app's interface. The app is open.

    Raises:
        RefusedError: The extra `web` is not installed, or an option makes no sense.
        InvalidOptionError: Others than this machine would reach it, and nobody is asked for a key.
        PortTakenError: It cannot listen there.
    """
    try:
        from toril.web.access.control import AccessControl
        from toril.web.access.listening import check_listener
        from toril.web.loopback import LoopbackOnly
        from toril.web.server import check_path
        from toril.web.serving import HttpServer
    except ImportError as error:
        from toril.core.extras import how_to_install

        raise RefusedError(
            f"a server needs an extra ({error.name} is missing): {how_to_install('web')}", USAGE
        ) from None
    check_path(listening.path, "--path")
    _check_proxies(listening.proxies)
    if listening.is_open:
        check_listener(listening.host, None)
    app.backend()  # where there is none, say so before anybody asks
    access = LoopbackOnly() if listening.is_open else AccessControl(app)
    application = _application(app, listening, access)
    server = HttpServer(
        application,
        host=listening.host,
        port=listening.port,
        proxies=listening.proxies,
        before_stop=application.state.toril.close,
    )
    await server.start()
    if isinstance(access, AccessControl):
        _say_key(await access.keys.first())
        if listening.has_pages:
            await _say_link(access, server.url)
    return server


def _application(app: App, listening: Listening, access: Access) -> Any:
    """Return what is served: the interface, and the pages unless they are not wanted.

    Raises:
        RefusedError: The pages cannot be where the interface is, or their extra is not installed.
    """
    from toril.web.server import api

    if not listening.has_pages:
        return api(app, path=listening.path, access=access)
    if listening.path == "/":
        raise RefusedError(
            "--path '/': the pages of the dashboard are there; give --no-dashboard, or another path"
            " such as /api/v1",
            USAGE,
        )
    from toril.core.errors import MissingExtraError

    try:
        from toril.web.dashboard import Dashboard
    except MissingExtraError as error:
        log.warning("no dashboard, the interface alone: %s", error)
        return api(app, path=listening.path, access=access)
    return Dashboard(app, path=listening.path, access=access, environment=listening.environment)


async def _say_link(access: AccessControl, url: str) -> None:
    """Print a link that signs the first administrator in once, where somebody can follow it."""
    if not sys.stdout.isatty():  # a log that is kept is no place for it
        return
    try:
        secret = await access.links.for_key("admin")
    except InvalidOptionError:  # its key was removed: others sign in
        return
    write(f"Sign in once within 15 minutes: {url}/login?link={secret}")


def _check_proxies(proxies: str | None) -> None:
    for one in (proxies or "127.0.0.1").split(","):
        try:
            ip_network(one.strip())
        except ValueError:
            raise RefusedError(
                f"--behind-proxy {proxies!r}: expected addresses or networks, such as 10.0.0.7 or"
                f" 10.0.0.0/8, not {one.strip()!r}",
                USAGE,
            ) from None


def _say_key(key: str | None) -> None:
    """Print the key that was made for the first administrator. It is never logged."""
    if key is None:
        return
    write(
        f"The key of the administrator, shown this once: {key}\n"
        "Send it as 'Authorization: Bearer KEY', or set it as TORIL_KEY for --server. toril keys"
        " adds others."
    )


async def _serve(app: App, listening: Listening) -> int:
    from toril.cli.signals import handle_on_loop

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        handle_on_loop(number, stopping.set)
    async with app:
        server = await _start(app, listening)
        _say_serving(app, server, listening)
        ended = asyncio.ensure_future(server.ended())
        told = asyncio.ensure_future(stopping.wait())
        await asyncio.wait([ended, told], return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        await server.stop()
        await ended
    log.info("server stopped")
    return DONE


async def _work_and_serve(app: App, worker: Any, listening: Listening) -> int:
    from toril.cli.lifecycle import say_started, say_stopped
    from toril.cli.worker_signals import WorkerSignals

    async with app:
        signals = WorkerSignals(worker)
        signals.install()
        server = await _start(app, listening)
        running = asyncio.ensure_future(worker.run())
        ready = asyncio.ensure_future(worker.ready())
        try:
            await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                kind = type(asyncio.get_running_loop()).__module__.partition(".")[0]
                say_started(app, worker, loop=kind)
                _say_serving(app, server, listening)
            ready.cancel()
            # While the worker ends what runs, the server still tells how far it is.
            await running
        finally:
            with suppress(Exception):
                await server.stop()
        signals.done = True
        say_stopped(worker)
    return DONE


def _say_serving(app: App, server: HttpServer, listening: Listening) -> None:
    from toril.core.loggers import FACTS

    url = f"{server.url}{listening.path}"
    log.info(
        "serving %s at %s, described at %s/openapi.json",
        app.backend().url, url, server.url,
        extra={FACTS: {"event": "serving", "url": url, "store": app.backend().url}},
    )  # fmt: skip
    if listening.has_pages:
        log.info("dashboard at %s", server.url)
