"""Serves an ASGI application over HTTP, by uvicorn, on the event loop of whoever asks.

It takes no signals: `cli/serve.py` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toril.core.errors import TorilError

BACKLOG = 2048
"""Connections that may wait to be taken."""
GRACE_S = 3
"""How long requests may go on when the server stops. Streams end at once."""
KEEP_ALIVE_S = 15
"""How long an idle connection stays open."""


class PortTakenError(TorilError):
    """The server cannot listen there. The message says why."""


class _Quiet(uvicorn.Server):
    """uvicorn without its signal handlers, and without an end of the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # uvicorn calls sys.exit when the application fails to start. In a task of the loop this
        # ends the whole program with a traceback, past all handlers. HttpServer.start raises.
        try:
            await super().startup(sockets)
        except SystemExit:
            self.should_exit = True


class _Noted:
    """An application that notes why it could not start, in place of a traceback in the log."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self.failure: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return

        async def silent(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                message = {"type": message["type"], "message": ""}
            await send(message)

        try:
            await self._application(scope, receive, silent)
        except Exception as error:
            self.failure = error
            raise


class HttpServer:
    """One listening server."""

    def __init__(
        self,
        application: ASGIApp,
        *,
        host: str,
        port: int,
        proxies: str | None = None,
        before_stop: Callable[[], Awaitable[None]] | None = None,
        settings: str = "--host or --port",
    ) -> None:
        """Prepare a server; it does not listen yet.

        Parameters:
            application: What answers.
            host: The address or name to listen on.
            port: Which port. 0: any that is free.
            proxies: Addresses and networks of proxies, with commas between them. What these say in
                `X-Forwarded-For` and `X-Forwarded-Proto` is believed.
            before_stop: Called when the server stops, such as to end streams that would go on.
            settings: What sets `host` and `port`, for the error if it cannot listen there.
        """
        self._settings = settings
        self._application = _Noted(application)
        self._host = host
        self._port = port
        self._before_stop = before_stop
        self._server = _Quiet(
            uvicorn.Config(
                self._application,
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=proxies is not None,
                forwarded_allow_ips=proxies,
                lifespan="on",
                timeout_graceful_shutdown=GRACE_S,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        self._running: asyncio.Task[None] | None = None
        self.url = ""
        """Where it listens, once it has started."""

    async def start(self) -> None:
        """Start the application, and listen.

        Raises:
            PortTakenError: It cannot listen there.
            Exception: What the application raised as it started, such as `StoreUnreachableError`.
        """
        listening = _listen(self._host, self._port, self._settings)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{host}:{listening.getsockname()[1]}"
        self._running = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started and not self._running.done():  # noqa: ASYNC110 - it has none
            await asyncio.sleep(0.005)
        if self._running.done():
            listening.close()
            await self._running
            if self._application.failure is not None:
                raise self._application.failure
            raise PortTakenError(f"{self.url}: the server ended before it had begun")

    async def ended(self) -> None:
        """Wait until the server has ended.

        Raises:
            Exception: What ended it, if it was not `stop`.
        """
        if self._running is not None:
            await asyncio.shield(self._running)

    async def stop(self) -> None:
        """Take no more requests, end those that go on within seconds, and end."""
        self._server.should_exit = True
        if self._before_stop is not None:
            await self._before_stop()
        if self._running is not None:
            await asyncio.wait([self._running])


def _listen(host: str, port: int, settings: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only of a socket that says so does asyncio know that it is TCP, and that what is written is to
    # be sent at once: else the body of each answer waits 40 ms for the receipt of its headers.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((host.strip("[]"), port))
        listening.listen(BACKLOG)
        return listening
    except (OSError, OverflowError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or str(error)
        raise PortTakenError(
            f"cannot listen on {host} port {port}: {why}. Give another {settings}"
        ) from None
