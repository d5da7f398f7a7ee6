"""Tells requests of the server's own pages from those of other sites, without tokens in forms.

A browser sends cookies with requests that any site has it make. It also says which site that was,
and no page can change this: `Sec-Fetch-Site`, or `Origin` in older browsers and without TLS.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from toril.core.checks import require
from toril.web.access.port import CrossOrigin

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


def refuse_cross_origin(
    connection: HTTPConnection, trusted: Collection[str] = (), *, browsers_only: bool = False
) -> None:
    """Refuse a request that changes something and that a page of another site has made.

    To be called for requests whose caller is known by something that a browser sends by itself: a
    cookie, the host application's session, the address.

    Parameters:
        connection: The request.
        trusted: Other origins whose pages may make such requests, such as `https://ops.example`.
        browsers_only: Let requests pass that no browser has made: without cookies, a program has
            nobody else's rights to misuse.

    Raises:
        CrossOrigin: It was, or nobody can tell.
    """
    method = connection.scope.get("method", "GET")
    is_socket = connection.scope["type"] == "websocket"
    if method in SAFE and not is_socket:
        return
    headers = connection.headers
    origin = headers.get("origin")
    if origin is not None and origin in trusted:
        return
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site == "same-origin":
            return
    elif origin is not None:
        if origin.partition("://")[2] == _host(headers) != "":
            return
    elif browsers_only:
        return
    raise CrossOrigin(
        "a page of another site made this request, so that the browser's session does not count:"
        " send 'Authorization: Bearer KEY', or name the site's origin among the trusted ones"
    )


def check_origins(origins: Collection[str]) -> frozenset[str]:
    """Return origins as browsers spell them.

    Raises:
        InvalidOptionError: One is no origin.
    """
    for origin in origins:
        scheme, _, host = origin.partition("://")
        good = scheme in ("http", "https") and host and not set(host) & set("/?#@* ")
        require(bool(good), "trusted_origins", origin, "origins such as 'https://ops.example'")
    return frozenset(origin.lower() for origin in origins)


def _host(headers: Headers) -> str:
    return headers.get("host", "").lower()
