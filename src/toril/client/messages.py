"""Builds requests and reads answers, for the client of either kind."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import UNSET

from toril.client.failures import refused
from toril.core.codec import encode_bytes

PATH = "/api/v1"
"""Where the interface is, below the server's URL."""
TIMEOUT_S = 70.0
"""How long a request may take, in seconds: verbs over many jobs go on for up to a minute."""


def http_library() -> Any:
    """Return the HTTP library, imported now.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module("httpx2")
    except ImportError:
        from toril.core.extras import missing_extra

        raise missing_extra("a client of a server needs an HTTP library", "client") from None


def address(url: str, path: str) -> str:
    """Return where the interface is.

    Parameters:
        url: Where the server is, or what it is mounted in.
        path: Where the interface is below that.
    """
    return f"{url.rstrip('/')}/{path.strip('/')}"


def headers_of(key: str | None) -> dict[str, str]:
    """Return the headers of every request."""
    return {"accept": "application/json"} | (
        {} if key is None else {"authorization": f"Bearer {key}"}
    )


def target(base: str, parts: Sequence[str], query: Mapping[str, Any]) -> str:
    """Return the URL of a request; whatever is None is left out of its query."""
    path = "/".join(quote(part, safe="") for part in parts)
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if isinstance(value, str) or not isinstance(value, Sequence):
            if value is not None:
                pairs.append((name, _word(value)))
        else:
            pairs += [(name, _word(each)) for each in value]
    return f"{base}/{path}" + (f"?{urlencode(pairs)}" if pairs else "")


def body_of(values: Mapping[str, Any]) -> bytes:
    """Return a body as JSON; what is UNSET is left out."""
    return encode_bytes({name: value for name, value in values.items() if value is not UNSET})


def read(status: int, content: bytes, retry_after: str | None, kind: Any) -> Any:
    """Return an answer as its type.

    Raises:
        ApiError: It is a refusal or failure, or no answer of this server.
    """
    if status >= 300:
        raise refused(status, content, retry_after)
    if kind is str:
        return content.decode()
    try:
        return _decoder(kind).decode(content)
    except msgspec.DecodeError:
        raise refused(status, content, retry_after) from None


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)
