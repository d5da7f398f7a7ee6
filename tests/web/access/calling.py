"""Requests as a server sees them, and stores to ask about who makes them."""

from __future__ import annotations

from typing import Any

from argon2 import PasswordHasher
from starlette.requests import HTTPConnection

from toril import App
from toril.web.access.control import AccessControl
from toril.web.access.passwords import Passwords

HOME = "https://jobs.example"
PASSWORD = "correct horse battery"


def call(
    method: str = "GET",
    *,
    key: str | None = None,
    cookie: str | None = None,
    place: str = "192.0.2.1",
    scheme: str = "https",
    host: str = "jobs.example",
    kind: str = "http",
    **headers: str,
) -> HTTPConnection:
    """Return a request; `sec_fetch_site="cross-site"` is a header."""
    sent = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    if cookie is not None:
        sent["cookie"] = cookie
    scope: dict[str, Any] = {
        "type": kind,
        "method": method,
        "scheme": scheme,
        "path": "/api/v1/queues",
        "root_path": "",
        "query_string": b"",
        "server": (host, 443),
        "client": (place, 50_000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
    }
    if kind == "websocket":
        del scope["method"]
    return HTTPConnection(scope)


def own(method: str = "POST", **more: Any) -> HTTPConnection:
    """Return a request that a page of the server itself makes."""
    return call(method, sec_fetch_site="same-origin", **more)


def control(app: App, **options: Any) -> AccessControl:
    """Return access control whose passwords cost little."""
    cheap = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)
    return AccessControl(app, passwords=Passwords(cheap), **options)


def cookie_of(set_cookie: str) -> str:
    """Return what a browser sends back."""
    return set_cookie.partition(";")[0]
