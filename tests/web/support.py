"""A server that runs in the test's event loop, on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from toril import App
from toril.web.access.port import Access
from toril.web.options import ServerOptions
from toril.web.server import Interface, api
from toril.web.serving import HttpServer


@dataclass(frozen=True)
class Served:
    """A server that listens."""

    url: str
    """Where it is."""
    http: httpx2.AsyncClient
    """Asks it; paths begin with `/`, below the interface's own."""
    interface: Interface
    server: HttpServer

    async def ask(self, method: str, path: str, **how: Any) -> httpx2.Response:
        """Send a request and return the answer."""
        return await self.http.request(method, f"{self.url}/api/v1{path}", **how)


@asynccontextmanager
async def serve(
    app: App, options: ServerOptions | None = None, access: Access | None = None
) -> AsyncIterator[Served]:
    """Serve an app's interface on a free port."""
    application = api(app, options=options, access=access)
    interface: Interface = application.state.toril
    server = HttpServer(application, host="127.0.0.1", port=0, before_stop=interface.close)
    await server.start()
    try:
        async with httpx2.AsyncClient(timeout=30.0) as http:
            yield Served(server.url, http, interface, server)
    finally:
        await server.stop()
