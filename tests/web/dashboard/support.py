"""A dashboard that runs in the test's event loop, and what a browser asks of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx2
from starlette.types import ASGIApp

from toril import App
from toril.web.access.port import Access
from toril.web.dashboard import Dashboard
from toril.web.options import ServerOptions
from toril.web.serving import HttpServer

SAME = {"sec-fetch-site": "same-origin"}
"""What a browser says of a form of the dashboard's own pages."""


class Reader(HTMLParser):
    """Reads a page: its elements, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "title")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)

    @property
    def text(self) -> str:
        """What somebody reads, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, **attrs: str) -> list[dict[str, str | None]]:
        """Return the attributes of elements of a tag that have some attributes."""
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in attrs.items())
        ]


@dataclass(frozen=True)
class Site:
    """A dashboard that listens."""

    url: str
    """Where it is, with the path of its mount."""
    http: httpx2.AsyncClient
    dashboard: Dashboard

    async def get(self, path: str, **how: Any) -> httpx2.Response:
        """Ask for a page, without following where it leads."""
        return await self.http.get(self.url + path, **how)

    async def read(self, path: str, **how: Any) -> Reader:
        """Return a page that has to be there."""
        answer = await self.get(path, **how)
        assert answer.status_code == 200, (answer.status_code, said(answer.text))
        return Reader(answer.text)

    async def post(self, path: str, data: Any = None, **how: Any) -> httpx2.Response:
        """Send a form as a page of the dashboard does."""
        headers = {**SAME, **how.pop("headers", {})}
        return await self.http.post(self.url + path, data=data or {}, headers=headers, **how)

    async def act(self, route: str, **fields: Any) -> Reader:
        """Send the form of an action, and return the page that it leads to."""
        answer = await self.post(f"/act/{route}", {"next": f"{self.root}/queues", **fields})
        assert answer.status_code == 303, answer.text
        place = answer.headers["location"]
        return Reader((await self.http.get(self.base + place)).text)

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.url.split("/")[:3])

    @property
    def root(self) -> str:
        """The path of the mount."""
        return self.url.removeprefix(self.base)


def said(html: str) -> str:
    """Return the sentence of a refusal."""
    found = re.search(r'refusal-sentence"><bdi>(.*?)</bdi>', html, re.DOTALL)
    return unescape(found[1]) if found else html[:300]


@asynccontextmanager
async def site(
    app: App,
    *,
    access: Access | None = None,
    options: ServerOptions | None = None,
    within: Any = None,
    path: str = "",
    environment: str | None = None,
) -> AsyncIterator[Site]:
    """Serve the dashboard of an app on a free port.

    Parameters:
        app: Whose jobs.
        access: Who may do what.
        options: Of the server.
        within: Returns the application that the dashboard is mounted in. None: it stands alone.
        path: Where it is mounted there.
        environment: Shown beside the name.
    """
    dashboard = Dashboard(app, access=access, options=options, environment=environment)
    whole: ASGIApp = dashboard if within is None else within(dashboard)
    server = HttpServer(whole, host="127.0.0.1", port=0, before_stop=dashboard.interface.close)
    await server.start()
    try:
        async with httpx2.AsyncClient(timeout=30.0, headers={"accept-language": "en"}) as http:
            yield Site(f"{server.url}{path}", http, dashboard)
    finally:
        await server.stop()
