"""An application's own routes with the dashboard and Toril's interface beside them, as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from toril.app import App
from toril.core.errors import TorilError
from toril.engine.habits import IN_REQUEST, watching
from toril.web.access.port import Access
from toril.web.problems import Problem, of_error
from toril.web.server import api

BOARD = "/admin/queues"
"""Where the dashboard is, unless it is said."""
ERRORS: Mapping[type[Exception], tuple[int, str]] = {
    LookupError: (404, "not_found"),
    PermissionError: (403, "forbidden"),
}
"""Errors of an application's own code that its routes answer with a status and a code."""


def site(
    app: App,
    routes: Sequence[BaseRoute],
    *,
    access: Access | None = None,
    board: str | None = None,
    labels: Mapping[str, str] | None = None,
    interface: str = "/api/toril",
    lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None,
    errors: Mapping[type[Exception], tuple[int, str]] = ERRORS,
) -> Starlette:
    """Return an ASGI application of your routes, the dashboard and the HTTP interface.

    It opens and closes the app. Errors of Toril's are answered with their status, and those of
    `errors` with theirs, as `{"error": {"code", "message"}}`.

    Parameters:
        app: Whose jobs.
        routes: Your own; they go before the others.
        access: Who may use the dashboard and the interface. None: callers on this machine.
        board: Where the dashboard is. Default, or empty: `/admin/queues`.
        labels: What it calls queues beside their names, by name.
        interface: Where the HTTP interface is.
        lifespan: Entered once the app is open, left before it is closed.
        errors: Status and code of other errors.
    """
    from toril.web.dashboard import Dashboard  # its extra is asked for by who uses it

    pages, rest = Dashboard(app, access=access, labels=labels), api(app, path="/", access=access)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(app)
            app.backend()  # what can never be opened is told now; a server that is away may come
            for part in (pages, rest):
                await stack.enter_async_context(part.router.lifespan_context(part))
            if lifespan is not None:
                await stack.enter_async_context(lifespan())
            yield

    handlers: dict[Any, Any] = {TorilError: _told}
    for kind, (status, code) in errors.items():
        handlers[kind] = _telling(status, code)
    mounted = [Mount(interface, rest), Mount(board or BOARD, pages)]
    own = Starlette(routes=[*routes, *mounted], exception_handlers=handlers, lifespan=life)
    if watching():
        own.add_middleware(_Named)
    return own


class _Named:
    """Lets `Job.result` see that it is waited for by code that answers a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        token = IN_REQUEST.set(f"{scope['method']} {scope['path']}")
        try:
            await self._app(scope, receive, send)
        finally:
            IN_REQUEST.reset(token)


def _told(_request: Request, error: Exception) -> Response:
    return of_error(error).response()


def _telling(status: int, code: str) -> Callable[[Request, Exception], Response]:
    def told(_request: Request, error: Exception) -> Response:
        return Problem(status, code, str(error)).response()

    return told
