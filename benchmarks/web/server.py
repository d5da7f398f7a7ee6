"""The server that is measured, in a process of its own. Under `/counted` it tells its store calls.

Run: `python -m benchmarks.web.server URL`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from toril import App
from toril.backends.sqlite.reader import FileReader
from toril.backends.sqlite.writer import Writer
from toril.web.access.control import AccessControl
from toril.web.dashboard import Dashboard
from toril.web.options import ServerOptions
from toril.web.serving import HttpServer


class Counted:
    """Calls of a store in a file: how many, and the longest. A server of Redis counts by itself."""

    def __init__(self) -> None:
        self.calls = 0
        self.longest_s = 0.0
        self.name = ""

    def timed(self, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return a call that is counted, without the wait for its turn."""

        def counted(where: Any) -> Any:
            begin_s = time.perf_counter()
            try:
                return call(where)
            finally:
                took_s = time.perf_counter() - begin_s
                self.calls += 1
                if took_s > self.longest_s:
                    self.longest_s = took_s
                    self.name = getattr(call, "__qualname__", "") or repr(call)

        return counted

    async def tell(self, _: Request) -> JSONResponse:
        """Answer what was counted, and begin anew."""
        told = {"calls": self.calls, "longest_ms": self.longest_s * 1000, "name": self.name}
        self.calls, self.longest_s, self.name = 0, 0.0, ""
        return JSONResponse(told)


def watch(counted: Counted) -> None:
    """Count what the store in a file is asked in this process."""
    ask, start = FileReader.ask, Writer.start

    async def asking(self: FileReader, question: Any) -> Any:
        return await ask(self, counted.timed(question))

    def starting(self: Writer, transition: Any, **how: Any) -> Any:
        return start(self, counted.timed(transition), **how)

    FileReader.ask = asking  # type: ignore[method-assign]
    Writer.start = starting  # type: ignore[method-assign]


async def main(url: str) -> None:
    """Serve until told to stop."""
    counted = Counted()
    watch(counted)
    async with App(url) as app:
        options = ServerOptions(submissions_per_s=None)
        dashboard = Dashboard(app, access=AccessControl(app), options=options)
        application = Starlette(
            routes=[Route("/counted", counted.tell), Mount("/", app=dashboard)],
        )
        application.router.lifespan_context = dashboard.router.lifespan_context
        server = HttpServer(application, host="127.0.0.1", port=0)
        await server.start()
        print(server.url, flush=True)
        await server.ended()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
