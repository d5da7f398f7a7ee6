"""Saved views: addresses of this dashboard under names of the reader's own, kept in a cookie."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence

import msgspec
from starlette.requests import HTTPConnection

from toril.web.dashboard.preferences import LASTS_S
from toril.web.dashboard.visit import local, root_of

COOKIE = "toril_views"
MOST = 20
MOST_NAME_CHARS = 60
MOST_COOKIE_CHARS = 3_500
"""A browser keeps 4,096 bytes of a cookie, its name and attributes among them."""


class View(msgspec.Struct, frozen=True, array_like=True):
    """One saved view."""

    name: str
    to: str
    """Its address, without where the dashboard is mounted, such as `/jobs?q=state%3Afailed`."""


def views_of(connection: HTTPConnection) -> list[View]:
    """Return the saved views of a browser; whatever else its cookie holds is left out."""
    text = connection.cookies.get(COOKIE, "")[:MOST_COOKIE_CHARS]
    try:
        found = msgspec.json.decode(urlsafe_b64decode(text), type=list[View]) if text else []
    except (ValueError, msgspec.DecodeError):
        return []
    return [one for one in found if 0 < len(one.name) <= MOST_NAME_CHARS and is_local(one.to)][
        :MOST
    ]


def is_local(to: str) -> bool:
    """Whether an address is one of this dashboard, without where it is mounted."""
    return to.startswith("/") and local(to, "") == to


def cookie_for(views: Sequence[View], connection: HTTPConnection) -> str | None:
    """Return the header `Set-Cookie` that keeps views; None if they are too long for one."""
    text = urlsafe_b64encode(msgspec.json.encode(list(views))).decode()
    if len(text) > MOST_COOKIE_CHARS:
        return None
    lasts_s = LASTS_S if views else 0
    path = root_of(connection) or "/"
    return f"{COOKIE}={text}; Path={path}; Max-Age={lasts_s}; SameSite=Lax; HttpOnly"
