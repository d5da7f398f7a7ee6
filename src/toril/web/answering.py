"""Makes the bytes of an answer: only the fields that are wanted, and an ETag where it is polled."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from starlette.responses import Response

from toril.core.checks import unknown
from toril.web.declaring import Raw, Route
from toril.web.encoding import encode
from toril.web.problems import Problem
from toril.web.shapes import item_names

_AGING = re.compile(
    rb'"(?:oldest_waiting_s|beat_age_s|lease_remaining_s|held_s|resident_bytes|at)":[^,}\]]*'
)
"""What changes though nothing happens. An ETag leaves it out, so that a poll can get 304."""


def wanted_fields(route: Route, query: Any) -> list[str] | None:
    """Return the fields of each item that the caller wants; None: all.

    Raises:
        Problem: There is none of that name.
    """
    text = getattr(query, "fields", None)
    if text is None:
        return None
    known = item_names(route.answer)
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in known:
            raise Problem(
                422,
                "unknown_field",
                unknown("field", name[:100], known),
                field="fields",
                allowed=known,
            )
    return wanted


def response(route: Route, answer: object, fields: list[str] | None, seen: str | None) -> Response:
    """Return an answer.

    Parameters:
        route: Whose.
        answer: What it returned.
        fields: Those of each item that are wanted. None: all.
        seen: The ETag of the answer that the caller has.
    """
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
    if isinstance(answer, Raw):
        return Response(answer.content, headers=headers, media_type=answer.media_type)
    body = encode(answer if fields is None else _only(answer, fields))
    if route.method == "GET":
        tag = etag(body)
        headers |= {"cache-control": "private, no-cache", "etag": tag}
        if seen is not None and tag in (each.strip() for each in seen.split(",")):
            return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def etag(body: bytes) -> str:
    """Return the weak validator of a body: the same as long as nothing happens."""
    return f'W/"{hashlib.blake2b(without_ages(body), digest_size=12).hexdigest()}"'


def without_ages(body: bytes) -> bytes:
    """Return JSON without what changes though nothing happens."""
    return _AGING.sub(b"", body)


def _only(answer: object, fields: list[str]) -> object:
    plain = msgspec.to_builtins(answer)
    plain["items"] = [{name: item[name] for name in fields} for item in plain["items"]]
    return plain
