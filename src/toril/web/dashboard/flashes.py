"""What is said once on the next page: how an action went. It travels in a cookie of a minute."""

from __future__ import annotations

import base64
import binascii

import msgspec
from starlette.requests import HTTPConnection

COOKIE = "toril_said"
LASTS_S = 60
MAX_CHARS = 1500


class Flash(msgspec.Struct, frozen=True):
    """One message."""

    kind: str
    """`good`, `bad` or `note`."""
    text: str


def flash_cookie(flash: Flash, root: str) -> str:
    """Return the `Set-Cookie` that carries a message to the next page.

    Parameters:
        flash: The message; it is cut if it is very long.
        root: Where the dashboard is mounted.
    """
    body = msgspec.json.encode(
        [flash.kind, flash.text[:MAX_CHARS].encode("utf-8", "replace").decode()]
    )
    value = base64.urlsafe_b64encode(body).decode().rstrip("=")
    return f"{COOKIE}={value}; Path={root or '/'}; Max-Age={LASTS_S}; HttpOnly; SameSite=Strict"


def forget_cookie(root: str) -> str:
    """Return the `Set-Cookie` that removes the message."""
    return f"{COOKIE}=; Path={root or '/'}; Max-Age=0; HttpOnly; SameSite=Strict"


def flash_of(connection: HTTPConnection) -> Flash | None:
    """Return the message that a request carries; None if there is none that can be read."""
    value = connection.cookies.get(COOKIE)
    if not value:
        return None
    try:
        body = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        kind, text = msgspec.json.decode(body, type=tuple[str, str])
    except (binascii.Error, ValueError):
        return None
    return Flash(kind if kind in ("good", "bad", "note") else "note", text)
