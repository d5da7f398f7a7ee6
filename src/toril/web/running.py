"""Runs an ASGI application as a program, with a worker in the same process if it is wanted.

```python
async def main(alone: bool) -> None:
    from shop.web import app, web  # reads its settings now, not before

    await run_site(web, app, port=8000, concurrency=10 if alone else None)

if __name__ == "__main__":
    run_program(main, folder="shop-demo", settings={"EMAIL_FROM": "shop@example.com"})
```
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from toril.app import App
from toril.core.errors import InvalidSettingError, TorilError
from toril.web.access.control import AccessControl
from toril.web.serving import HttpServer

Show = Callable[[str], Awaitable[None]]


def run_program(
    main: Callable[[bool], Coroutine[Any, Any, None]], *, folder: str, settings: Mapping[str, str]
) -> None:
    """Run `main`, by the words of the command line: none, or `api`.

    Without a word all is in one process, to look at: `main(True)` runs in a folder of its own, with
    settings that make it work with nothing set up. With `api`, `main(False)` serves only.

    Parameters:
        main: What runs.
        folder: Made in the working directory, if it is not there.
        settings: Variables of the environment, where they are not set.

    Raises:
        SystemExit: Other words, or an error of Toril's, such as a setting that makes no sense: its
            sentence goes to standard error.
    """
    words = sys.argv[1:]
    if words not in ([], ["api"]):
        sys.exit(f"{' '.join(words)!r}: expected nothing, or the word api")
    if not words:
        for name, value in settings.items():
            os.environ.setdefault(name, value)
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
    _show("toril.places")
    try:
        asyncio.run(main(not words))
    except TorilError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _show(name: str) -> None:
    """Write what a logger is told to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    log = logging.getLogger(name)
    log.addHandler(handler)
    log.setLevel(logging.INFO)


async def run_site(
    application: ASGIApp,
    app: App,
    *,
    port: int,
    access: AccessControl | None = None,
    concurrency: int | None = None,
    show: Show | None = None,
    hint: str | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, on `HOST` (127.0.0.1) and `PORT` of the environment.

    Parameters:
        application: What answers. It opens and closes the app.
        app: Whose jobs.
        port: Unless `PORT` says another. 0: any that is free.
        access: Its first start without a key makes one, which is printed once.
        concurrency: Jobs at once of a worker in this process. None: no worker runs here.
        show: Called with the server's URL once it listens. With a worker, all jobs are run that can
            be, and where standard input is no terminal that is the end.
        hint: Printed once the server listens, with its address in place of `{url}` and the key in
            place of `{key}`: what to try. Default: the address, and the key if one was made.

    Raises:
        InvalidSettingError: `PORT` is no port.
        PortTakenError: It cannot listen there.
        TorilError: The application cannot start, such as without its store.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    host = os.environ.get("HOST") or "127.0.0.1"
    port = port_of(os.environ, "PORT", port)
    server = HttpServer(application, host=host, port=port, settings="HOST or PORT")
    await server.start()
    try:
        key = None if access is None else await access.keys.first()
        if key is not None:
            write(f"The key of the administrator, shown this once: {key}")
        write(f"Listening on {server.url}")
        if hint is not None:
            write(hint.replace("{url}", server.url).replace("{key}", key or "$KEY"))
        if show is not None:
            await show(server.url)
        if concurrency is None:
            await stopping.wait()
            return
        if show is not None:
            await app.worker(concurrency=concurrency).run(until_idle=True)
            if not sys.stdin.isatty():
                write("That was all. It ends here, as standard input is no terminal.")
                return
            write(f"That was all. {server.url} stays open until you press Ctrl-C.")
        async with app.worker(concurrency=concurrency) as worker:
            await stopping.wait()
            for number in (signal.SIGINT, signal.SIGTERM):  # the second one: now
                asyncio.get_running_loop().add_signal_handler(number, worker.stop)
            write("Stopping, once the jobs that run have ended; once more: now")
            worker.stop()
    finally:
        await server.stop()


def write(line: str) -> None:
    """Print a line for whoever started the program. A key is printed here, never logged."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def port_of(environment: Mapping[str, str], name: str, default: int) -> int:
    """Return the port that a variable names.

    Parameters:
        environment: Variables by name.
        name: Of the variable.
        default: Where it is not set, or empty.

    Raises:
        InvalidSettingError: Its value is no port.
    """
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise InvalidSettingError(f"{name}={text!r}: expected a number from 0 to 65535")
    return int(text)
